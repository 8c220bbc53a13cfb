/**
 * ICMP errors for tests: about packets of one conversation, before translation and built anew after it.
 */
import { QUOTE_LEN, readQuote4, readQuote6, translateError4, translateError6 } from '../../src/nat/icmp.ts'
import { Drop, dropName } from '../../src/tables/drops.ts'
import { type Extension, icmp4, icmp6, tcp4, tcp6, udp4, udp6, word4, words6 } from '../wire/build.ts'

export const ROUTER = '10.9.9.9'
export const ROUTER6 = 'fd00:9::9'
export const quote = new Int32Array(QUOTE_LEN)

/** The half as loaded that holds a port. */
export const loaded = (port: number): number => ((port & 0xff) << 8) | (port >>> 8)

/** Where frames lie in tests: `before` bytes of anything in front, and anything behind. */
export const AT = 64
function placed(frame: Uint8Array, noise = 0xa5): Uint8Array {
  const bytes = new Uint8Array(AT + frame.length + 128).fill(noise)
  bytes.set(frame, AT)
  return bytes
}

export function read(frame: Uint8Array, { whole = true, noise = 0xa5 } = {}): Drop {
  const bytes = placed(frame, noise)
  const is4 = frame[0] >>> 4 === 4
  const message = AT + (is4 ? (frame[0] & 0x0f) * 4 : 40)
  return (is4 ? readQuote4 : readQuote6)(bytes, AT, message, AT + frame.length, whole, quote)
}

interface Translation {
  inward: boolean
  address: string
  port: number
}

export function translate(frame: Uint8Array, { inward, address, port }: Translation): Uint8Array {
  const bytes = placed(frame)
  const is4 = frame[0] >>> 4 === 4
  const message = AT + (is4 ? (frame[0] & 0x0f) * 4 : 40)
  const reason = (is4 ? readQuote4 : readQuote6)(bytes, AT, message, AT + frame.length, true, quote)
  if (reason !== Drop.None) throw new Error(dropName[reason])
  if (is4) translateError4(bytes, AT, message, quote, inward, word4(address), loaded(port))
  else translateError6(bytes, AT, message, quote, inward, words6(address), 0, loaded(port))
  return bytes.slice(AT, AT + frame.length)
}

export const bytes = (length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + 5) & 0xff)

/**
 * One conversation: the inside 10.0.0.5:40000, the ENI 10.0.1.200:50123, the remote 10.0.1.20:80, and the
 * same in IPv6.
 */
export const inside = { address: '10.0.0.5', address6: 'fd00::5', port: 40_000 }
export const eni = { address: '10.0.1.200', address6: 'fd00:0:0:1::200', port: 50_123 }
export const remote = { address: '10.0.1.20', address6: 'fd00:0:0:1::20', port: 80 }
export type Side = typeof inside

export type Shape = 'tcp' | 'udp' | 'udp-without' | 'echo'
interface Inner {
  shape: Shape
  options?: number[]
  extensions?: Extension[]
  length?: number
}

/** The packet that is quoted, whole, from one side to another. */
export function inner4(from: Side, to: Side, { shape, options = [], length = 32 }: Inner): Uint8Array {
  const ip = { source: from.address, destination: to.address, options, ttl: 1 }
  const ports = { sourcePort: from.port, destinationPort: to.port, payload: bytes(length) }
  if (shape === 'tcp') return tcp4({ ...ip, ...ports, flags: 'A', sequence: 0xdeadbeef })
  if (shape === 'echo') {
    // An echo has one identifier, which is the inside's or the ENI's.
    const [type, ours] = to === remote ? [8, from] : [0, to]
    return icmp4({ ...ip, type, identifier: ours.port, payload: bytes(length) })
  }
  return udp4({ ...ip, ...ports, checksum: shape === 'udp' })
}

export function inner6(from: Side, to: Side, { shape, extensions = [], length = 32 }: Inner): Uint8Array {
  const ip = { source: from.address6, destination: to.address6, extensions, hops: 1 }
  const ports = { sourcePort: from.port, destinationPort: to.port, payload: bytes(length) }
  if (shape === 'tcp') return tcp6({ ...ip, ...ports, flags: 'A', sequence: 0xdeadbeef })
  if (shape === 'echo') {
    const [type, ours] = to === remote ? [128, from] : [129, to]
    return icmp6({ ...ip, type, identifier: ours.port, payload: bytes(length) })
  }
  return udp6({ ...ip, ...ports })
}

export const shapes: Shape[] = ['tcp', 'udp', 'udp-without', 'echo']
/** Destination Unreachable, Fragmentation Needed, Time Exceeded, Parameter Problem. */
export const errors4 = [
  { type: 3, code: 3, identifier: 0, sequence: 0 },
  { type: 3, code: 4, identifier: 0, sequence: 1280 },
  { type: 11, code: 0, identifier: 0, sequence: 0 },
  { type: 12, code: 0, identifier: 0x1400, sequence: 0 },
]
export const errors6 = [
  { type: 1, code: 4, identifier: 0, sequence: 0 },
  { type: 2, code: 0, identifier: 0, sequence: 1280 },
  { type: 3, code: 0, identifier: 0, sequence: 0 },
  { type: 4, code: 1, identifier: 0, sequence: 6 },
]

/** An error about a packet, before and after translation, and how it is translated. */
interface Case {
  before: Uint8Array
  after: Uint8Array
  how: Translation
}

export function inward4(inner: Inner, error: (typeof errors4)[number], cut = 10_000): Case {
  const about = (from: Side) =>
    icmp4({
      ...error,
      source: ROUTER,
      destination: from.address,
      payload: inner4(from, remote, inner).subarray(0, cut),
    })
  return {
    before: about(eni),
    after: about(inside),
    how: { inward: true, address: inside.address, port: inside.port },
  }
}

export function outward4(inner: Inner, error: (typeof errors4)[number], cut = 10_000): Case {
  const about = (to: Side) =>
    icmp4({
      ...error,
      source: to.address,
      destination: remote.address,
      payload: inner4(remote, to, inner).subarray(0, cut),
    })
  return {
    before: about(inside),
    after: about(eni),
    how: { inward: false, address: eni.address, port: eni.port },
  }
}

export function inward6(inner: Inner, error: (typeof errors6)[number], cut = 10_000): Case {
  const about = (from: Side) =>
    icmp6({
      ...error,
      source: ROUTER6,
      destination: from.address6,
      payload: inner6(from, remote, inner).subarray(0, cut),
    })
  return {
    before: about(eni),
    after: about(inside),
    how: { inward: true, address: inside.address6, port: inside.port },
  }
}

export function outward6(inner: Inner, error: (typeof errors6)[number], cut = 10_000): Case {
  const about = (to: Side) =>
    icmp6({
      ...error,
      source: to.address6,
      destination: remote.address6,
      payload: inner6(remote, to, inner).subarray(0, cut),
    })
  return {
    before: about(inside),
    after: about(eni),
    how: { inward: false, address: eni.address6, port: eni.port },
  }
}
