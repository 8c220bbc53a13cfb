/**
 * The oracle that judges packets: a checksum of its own, and whole packets verified with it.
 *
 * The checksum is arithmetic modulo 65535 on network-order numbers, slow and obvious, so that it cannot share
 * a mistake with `src/wire/checksum.ts`. Only `describeFrame` uses src, to say what a packet is.
 */
import * as extensions from '../../src/wire/extensions.ts'
import * as icmp from '../../src/wire/icmp.ts'
import * as icmp6 from '../../src/wire/icmp6.ts'
import * as ipv4 from '../../src/wire/ipv4.ts'
import * as ipv6 from '../../src/wire/ipv6.ts'
import * as tcp from '../../src/wire/tcp.ts'
import * as udp from '../../src/wire/udp.ts'

const ICMP = 1
const TCP = 6
const UDP = 17
const FRAGMENT = 44
const ICMP6 = 58

/** Where the checksum is in a transport header, by protocol. */
export const checksumAt: Record<number, number> = { [TCP]: 16, [UDP]: 6, [ICMP]: 2, [ICMP6]: 2 }
const names: Record<number, string> = { [TCP]: 'tcp', [UDP]: 'udp', [ICMP]: 'icmp', [ICMP6]: 'icmp6' }

const half = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff]
const at16 = (bytes: Uint8Array, at: number): number => bytes[at] * 256 + bytes[at + 1]

/** Bytes from hexadecimal text; spaces and line ends are for the reader. */
export const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.replace(/\s+/g, '').match(/../g) ?? [], pair => Number.parseInt(pair, 16))

/** Hexadecimal text, two bytes a group. */
export const toHex = (bytes: Uint8Array): string =>
  Array.from(
    bytes,
    (byte, at) => (at > 0 && at % 2 === 0 ? ' ' : '') + byte.toString(16).padStart(2, '0'),
  ).join('')

/**
 * The one's-complement sum of bytes: their network-order halves modulo 65535, where only nothing but zeros
 * sums up to 0.
 */
export function slowSum(bytes: Iterable<number>): number {
  const all = [...bytes]
  if (all.length % 2 === 1) all.push(0)
  let total = 0
  for (let at = 0; at < all.length; at += 2) total += all[at] * 256 + all[at + 1]
  return total === 0 ? 0 : ((total - 1) % 65535) + 1
}

/** The Internet checksum of bytes, as a network-order number. */
export const slowChecksum = (bytes: Iterable<number>): number => 65535 - slowSum(bytes)

/**
 * The addresses, 8 or 32 bytes, come first in every pseudo-header; protocol and length are laid out per
 * family.
 */
export const pseudoHeader = (addresses: Iterable<number>, protocol: number, length: number): number[] => {
  const both = [...addresses]
  return both.length === 8
    ? [...both, 0, protocol, ...half(length)]
    : [...both, 0, 0, ...half(length), 0, 0, 0, protocol]
}

interface Parsed {
  readonly header: number
  readonly end: number
  readonly protocol: number
  readonly transport: number
  readonly addresses: Uint8Array
  readonly anyFragment: boolean
}

function parse(frame: Uint8Array): Parsed | string {
  if (frame[0] >>> 4 === 4) {
    const header = (frame[0] & 0x0f) * 4
    if (frame.length < 20 || header < 20 || header > frame.length) return 'no ipv4 header'
    const fragment = at16(frame, 6) & 0x3fff
    return {
      header,
      end: at16(frame, 2),
      protocol: frame[9],
      transport: header,
      addresses: frame.subarray(12, 20),
      anyFragment: fragment !== 0,
    }
  }
  if (frame[0] >>> 4 !== 6 || frame.length < 40) return 'no ip header'
  let protocol = frame[6]
  let transport = 40
  let fragment = 0
  while (
    [0, 43, 60, FRAGMENT].includes(protocol) &&
    transport + 8 <= frame.length &&
    (fragment & 0xfff8) === 0
  ) {
    if (protocol === FRAGMENT) fragment = at16(frame, transport + 2)
    const length = protocol === FRAGMENT ? 8 : (frame[transport + 1] + 1) * 8
    protocol = frame[transport]
    transport += length
  }
  return {
    header: 40,
    end: 40 + at16(frame, 4),
    protocol,
    transport,
    addresses: frame.subarray(8, 40),
    anyFragment: (fragment & 0xfff9) !== 0,
  }
}

/**
 * What is wrong with a whole packet: its length, its IPv4 header checksum, its TCP, UDP, ICMP or ICMPv6
 * checksum. Empty where all is right. Transport checksums of fragments are not looked at, other protocols
 * have none. UDP over IPv4 may have none, over IPv6 it may not.
 * @param partial the transport checksum is left to the device, its field must hold the sum of the
 * pseudo-header
 */
export function verifyFrame(frame: Uint8Array, { partial = false }: { partial?: boolean } = {}): string[] {
  const packet = parse(frame)
  if (typeof packet === 'string') return [packet]
  const faults: string[] = []
  if (packet.end !== frame.length) faults.push(`length ${frame.length}, the header says ${packet.end}`)
  const is4 = frame[0] >>> 4 === 4
  if (is4 && slowSum(frame.subarray(0, packet.header)) !== 65535) faults.push('ipv4 header checksum')
  if (packet.anyFragment || !(packet.protocol in checksumAt)) return faults

  const { protocol, addresses } = packet
  const name = names[protocol]
  let message = frame.subarray(packet.transport)
  if (message.length < checksumAt[protocol] + 2) return [...faults, `${name} truncated`]
  if (protocol === UDP) {
    if (at16(message, 4) < 8 || at16(message, 4) > message.length) return [...faults, 'udp length']
    message = message.subarray(0, at16(message, 4))
    if (at16(message, 6) === 0) return is4 ? faults : [...faults, 'udp checksum is zero over ipv6']
  }
  const pseudo = protocol === ICMP ? [] : pseudoHeader(addresses, protocol, message.length)
  if (partial && protocol !== ICMP && protocol !== ICMP6) {
    const field = at16(message, checksumAt[protocol])
    if (field % 65535 !== slowSum(pseudo) % 65535) faults.push(`${name} partial checksum`)
  } else if (slowSum([...pseudo, ...message]) !== 65535) faults.push(`${name} checksum`)
  return faults
}

/** The packet that an ICMP or ICMPv6 error quotes, or undefined where the frame is no such error. */
export function quotedFrame(frame: Uint8Array): Uint8Array | undefined {
  const packet = parse(frame)
  if (typeof packet === 'string' || packet.anyFragment) return undefined
  const type = frame[packet.transport]
  const error =
    packet.protocol === ICMP ? [3, 4, 5, 11, 12].includes(type) : packet.protocol === ICMP6 && type < 128
  return error ? frame.subarray(packet.transport + 8) : undefined
}

/**
 * What is wrong with the packet that an error quotes, as far as it goes: its header checksum always, its
 * transport checksum where it is quoted whole.
 */
export function verifyQuoted(frame: Uint8Array): string[] {
  const quoted = quotedFrame(frame)
  if (quoted === undefined) return ['no error']
  const packet = parse(quoted)
  if (typeof packet === 'string') return [packet]
  if (packet.end <= quoted.length) return verifyFrame(quoted.subarray(0, packet.end))
  return verifyFrame(quoted).filter(fault => fault === 'ipv4 header checksum')
}

/** A packet in one line, for messages of failed tests. */
export function describeFrame(frame: Uint8Array): string {
  const end = frame.length
  if (ipv4.headerFault(frame, 0, end) === ipv4.Fault.None) {
    const transport = ipv4.payloadAt(frame, 0)
    const later = ipv4.fragmentOffset(frame, 0) !== 0
    return `${ipv4.describe(frame, 0)}${later ? '' : describeTransport(frame, ipv4.protocol(frame, 0), transport)}`
  }
  if (ipv6.headerFault(frame, 0, end) !== ipv6.Fault.None) return `no ip packet: ${toHex(frame)}`
  const found = new Int32Array(extensions.WALK_LEN)
  const fault = extensions.walk(frame, 0, end, found)
  const fragment = found[extensions.Walk.FragmentAt]
  const later = fragment >= 0 && extensions.fragmentOffset(frame, fragment) !== 0
  const text = `${ipv6.describe(frame, 0)} | ${extensions.describe(frame, 0, end)}`
  if (fault !== extensions.ChainFault.None || later) return text
  return `${text}${describeTransport(frame, found[extensions.Walk.Protocol], found[extensions.Walk.TransportAt])}`
}

function describeTransport(frame: Uint8Array, protocol: number, at: number): string {
  if (protocol === TCP && tcp.fits(frame, at, frame.length)) return ` | ${tcp.describe(frame, at)}`
  if (protocol === UDP && udp.headerFits(at, frame.length)) return ` | ${udp.describe(frame, at)}`
  if (protocol === ICMP && icmp.fits(frame, at, frame.length)) return ` | ${icmp.describe(frame, at)}`
  if (protocol === ICMP6 && icmp6.fits(frame, at, frame.length)) return ` | ${icmp6.describe(frame, at)}`
  return ''
}
