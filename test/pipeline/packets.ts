/**
 * Frames read back and answered, without a byte of src but the text of addresses.
 */
import { text4, text6 } from '../../src/wire/address.ts'
import * as build from '../wire/build.ts'

const at16 = (bytes: Uint8Array, at: number): number => bytes[at] * 256 + bytes[at + 1]
const at32 = (bytes: Uint8Array, at: number): number => at16(bytes, at) * 65536 + at16(bytes, at + 2)

/** A frame as words, as a shard sees it. */
export function words(frame: Uint8Array): Int32Array {
  const padded = new Uint8Array(Math.ceil(frame.length / 4) * 4)
  padded.set(frame)
  return new Int32Array(padded.buffer)
}

/** What a packet says; ports of an echo are its identifier. */
export interface Packet {
  readonly family: 4 | 6
  readonly source: string
  readonly destination: string
  readonly hops: number
  readonly protocol: number
  /** DSCP and ECN. */
  readonly service: number
  readonly flowLabel: number
  readonly identification: number
  readonly dontFragment: boolean
  readonly moreFragments: boolean
  /** In bytes. */
  readonly offset: number
  /** Where the transport header begins. */
  readonly transport: number
  readonly sourcePort: number
  readonly destinationPort: number
  /** TCP flags as letters in the order of the header. */
  readonly flags: string
  readonly sequence: number
  readonly acknowledgment: number
  /** ICMP. */
  readonly type: number
  readonly code: number
  /** The transport checksum's field. */
  readonly checksum: number
  /** What follows the transport header; of an ICMP error, the quoted packet. */
  readonly payload: Uint8Array
}

const LETTERS = 'FSRPAUEC'
const CHECKSUM_AT: Record<number, number> = { 1: 2, 6: 16, 17: 6, 58: 2 }

/** Reads a packet that is well formed. */
export function read(frame: Uint8Array): Packet {
  const family = frame[0] >>> 4 === 6 ? 6 : 4
  let transport = family === 6 ? 40 : (frame[0] & 0x0f) * 4
  let protocol = frame[family === 6 ? 6 : 9]
  let fragment = family === 4 ? at16(frame, 6) : 0
  let identification = family === 4 ? at16(frame, 4) : 0
  while (family === 6 && [0, 43, 44, 60].includes(protocol)) {
    const isFragmentHeader = protocol === 44
    if (isFragmentHeader) {
      fragment = (at16(frame, transport + 2) >>> 3) | ((frame[transport + 3] & 1) << 13)
      identification = at32(frame, transport + 4)
    }
    protocol = frame[transport]
    transport += isFragmentHeader ? 8 : (frame[transport + 1] + 1) * 8
  }
  const isTcp = protocol === 6
  const isIcmp = protocol === 1 || protocol === 58
  const header = isTcp ? (frame[transport + 12] >>> 4) * 4 : 8
  const identifier = at16(frame, transport + 4)
  const address = (at: number) => {
    const all = new Int32Array(frame.slice(at, at + (family === 6 ? 16 : 4)).buffer)
    return family === 6 ? text6(all[0], all[1], all[2], all[3]) : text4(all[0])
  }
  return {
    family,
    source: address(family === 6 ? 8 : 12),
    destination: address(family === 6 ? 24 : 16),
    hops: frame[family === 6 ? 7 : 8],
    protocol,
    service: family === 6 ? (at16(frame, 0) >>> 4) & 0xff : frame[1],
    flowLabel: family === 6 ? at32(frame, 0) & 0xfffff : 0,
    identification,
    dontFragment: family === 4 && (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    offset: (fragment & 0x1fff) * 8,
    transport,
    sourcePort: isIcmp ? identifier : at16(frame, transport),
    destinationPort: isIcmp ? identifier : at16(frame, transport + 2),
    flags: isTcp ? [...LETTERS].filter((_, bit) => ((frame[transport + 13] >>> bit) & 1) === 1).join('') : '',
    sequence: at32(frame, transport + 4),
    acknowledgment: at32(frame, transport + 8),
    type: isIcmp ? frame[transport] : -1,
    code: isIcmp ? frame[transport + 1] : -1,
    checksum: at16(frame, transport + (CHECKSUM_AT[protocol] ?? 0)),
    payload: frame.slice(transport + header),
  }
}

/** True of first, middle and last fragments. */
export function isFragment(frame: Uint8Array): boolean {
  if (frame[0] >>> 4 === 4) return (at16(frame, 6) & 0x3fff) !== 0
  return frame[6] === 44
}

/** What an answer differs in from the plain one. */
export type Reply = build.Tcp &
  build.Udp &
  build.Icmp & { ttl?: number; hops?: number; identification?: number }

/** An answer to a packet: ends swapped; of an echo request its reply; of TCP a SYN-ACK to a SYN, else an ACK. */
export function reply(frame: Uint8Array, of: Reply = {}): Uint8Array {
  const packet = read(frame)
  const { family, protocol, source, destination, sourcePort, destinationPort } = packet
  const ends = { source: destination, destination: source }
  const ports = { sourcePort: destinationPort, destinationPort: sourcePort }
  if (protocol === 6) {
    const syn = packet.flags.includes('S')
    const length = packet.payload.length + (syn ? 1 : 0) + (packet.flags.includes('F') ? 1 : 0)
    const answer = {
      flags: syn && !packet.flags.includes('A') ? 'SA' : 'A',
      sequence: syn && !packet.flags.includes('A') ? 5000 : packet.acknowledgment,
      acknowledgment: (packet.sequence + length) >>> 0,
    }
    return (family === 4 ? build.tcp4 : build.tcp6)({ ...ends, ...ports, ...answer, ...of })
  }
  if (protocol === 17) return (family === 4 ? build.udp4 : build.udp6)({ ...ends, ...ports, ...of })
  const echo = {
    identifier: sourcePort,
    sequence: at16(frame, packet.transport + 6),
    payload: packet.payload,
  }
  return family === 4
    ? build.icmp4({ ...ends, type: 0, ...echo, ...of })
    : build.icmp6({ ...ends, type: 129, ...echo, ...of })
}

/** How an error differs from an unreachable port, told by the packet's destination. */
export interface ErrorOf {
  /** Who sends it. */
  readonly by?: string
  readonly type?: number
  readonly code?: number
  /** The second word of its header: the MTU, or a pointer. */
  readonly rest?: number
  /** Bytes that are quoted. */
  readonly quoted?: number
  readonly hops?: number
}

/** An ICMP error about a packet. */
export function error(frame: Uint8Array, of: ErrorOf = {}): Uint8Array {
  const { family, source, destination } = read(frame)
  const {
    by = destination,
    type = family === 4 ? 3 : 1,
    code = family === 4 ? 3 : 4,
    rest = 0,
    hops = 64,
  } = of
  const payload = frame.slice(0, of.quoted ?? (family === 4 ? 548 : 1232))
  const header = { type, code, identifier: rest >>> 16, sequence: rest & 0xffff, payload }
  const ends = { source: by, destination: source, ttl: hops, hops }
  return family === 4 ? build.icmp4({ ...ends, ...header }) : build.icmp6({ ...ends, ...header })
}

/** A packet in fragments, of either family. */
export const fragmentsOf = (whole: Uint8Array, size: number, identification = 0x12345678): Uint8Array[] =>
  whole[0] >>> 4 === 4 ? build.fragments4(whole, size) : build.fragments6(whole, size, identification)

/** The packet that fragments make, whole; they must be of one datagram. */
export function joined(frames: readonly Uint8Array[]): Uint8Array {
  const wide = frames[0][0] >>> 4 === 6
  const header = wide ? 48 : 20
  const pieces = frames.map(frame => ({ at: read(frame).offset, bytes: frame.subarray(header) }))
  const payload = new Uint8Array(Math.max(...pieces.map(({ at, bytes }) => at + bytes.length)))
  for (const { at, bytes } of pieces) payload.set(bytes, at)
  const first = frames.find(frame => read(frame).offset === 0)!
  const { source, destination, protocol, hops } = read(first)
  if (!wide) return build.packet4(protocol, payload, { source, destination, ttl: hops })
  const whole = Uint8Array.from([...first.subarray(0, 40), ...payload])
  whole.set([payload.length >>> 8, payload.length & 0xff], 4)
  whole[6] = protocol
  return whole
}
