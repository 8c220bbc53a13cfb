/**
 * Packets for tests, byte by byte.
 *
 * Nothing of src makes a byte here: headers are written out by hand and the checksum is the slow one of
 * `verify.ts`. A *frame* is a whole IP packet as a Uint8Array of its own. Every field has a default, so that
 * tests name what they are about.
 */
import { checksumAt, pseudoHeader, slowChecksum, slowSum } from './verify.ts'

export {
  describeFrame,
  hex,
  quotedFrame,
  slowChecksum,
  slowSum,
  toHex,
  verifyFrame,
  verifyQuoted,
} from './verify.ts'

const ICMP = 1
const TCP = 6
const UDP = 17
const FRAGMENT = 44
const ICMP6 = 58

const letters = 'FSRPAUEC'

export interface Ip4 {
  /** Dotted; default 10.0.0.5. */
  source?: string
  /** Dotted; default 10.0.1.20. */
  destination?: string
  /** Default 64. */
  ttl?: number
  /** DSCP and ECN, default 0. */
  service?: number
  /** Default 0x1234. */
  identification?: number
  /** Default true. */
  dontFragment?: boolean
  /** Padded with zeros to a multiple of 4. */
  options?: Iterable<number>
  /** The transport checksum is left to the device: its field holds the sum of the pseudo-header. */
  partial?: boolean
}

export interface Ip6 {
  /** Default fd00::5. */
  source?: string
  /** Default fd00:0:0:1::20. */
  destination?: string
  /** Default 64. */
  hops?: number
  /** Default 0. */
  trafficClass?: number
  /** Default 0. */
  flowLabel?: number
  /** Headers between the IPv6 header and the transport, in order. */
  extensions?: readonly Extension[]
  /** The transport checksum is left to the device: its field holds the sum of the pseudo-header. */
  partial?: boolean
}

/**
 * An extension header: its own number, and what follows next header and length, padded with zeros to a
 * multiple of 8.
 */
export interface Extension {
  readonly header: number
  readonly body: Iterable<number>
}

export interface Ports {
  /** Default 40000. */
  sourcePort?: number
  /** Default 80. */
  destinationPort?: number
  payload?: Uint8Array | string
}

export interface Tcp extends Ports {
  /** Letters of FSRPAUEC, in any order; default 'S'. */
  flags?: string
  /** Default 1000. */
  sequence?: number
  /** Default 0. */
  acknowledgment?: number
  /** Default 65535. */
  window?: number
  /** Padded with zeros to a multiple of 4. */
  tcpOptions?: Iterable<number>
}

export interface Udp extends Ports {
  /** False sends no checksum, which is 0. */
  checksum?: boolean
  /** What the length field says; default what there is. */
  udpLength?: number
}

export interface Icmp {
  /** Default an echo request. */
  type?: number
  /** Default 0. */
  code?: number
  /** Default 7; the high half of the second word. */
  identifier?: number
  /** Default 1; the low half of the second word: also the next-hop MTU. */
  sequence?: number
  /** The packet that an error quotes, or data. */
  payload?: Uint8Array | string
}

// Numbers and addresses.

const half = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff]
const word = (value: number): number[] => [...half(value >>> 16), ...half(value & 0xffff)]
const at16 = (bytes: Uint8Array, at: number): number => bytes[at] * 256 + bytes[at + 1]

/** The four bytes of a dotted address. */
export const address4 = (text: string): number[] => text.split('.').map(Number)

/** The sixteen bytes of an IPv6 address, `::` and a dotted end understood. */
export function address6(text: string): number[] {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  if (dotted) {
    const [a, b, c, d] = address4(dotted[2])
    return address6(`${dotted[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`)
  }
  const groups = (part: string) =>
    part === '' ? [] : part.split(':').map(group => Number.parseInt(group, 16))
  const [head, tail] = text.split('::').map(groups)
  const middle = tail === undefined ? [] : new Array<number>(8 - head.length - tail.length).fill(0)
  return [...head, ...middle, ...(tail ?? [])].flatMap(half)
}

/** The word of a dotted address as an Int32Array over packet memory holds it. */
export const word4 = (text: string): number => new Int32Array(Uint8Array.from(address4(text)).buffer)[0]

/** The four words of an IPv6 address as an Int32Array over packet memory holds them. */
export const words6 = (text: string): Int32Array => new Int32Array(Uint8Array.from(address6(text)).buffer)

const padded = (bytes: Iterable<number>, multiple: number): number[] => {
  const all = [...bytes]
  while (all.length % multiple !== 0) all.push(0)
  return all
}
const data = (payload: Uint8Array | string | undefined): Uint8Array =>
  typeof payload === 'string' ? new TextEncoder().encode(payload) : (payload ?? new Uint8Array(0))

/** Puts the checksum into a transport message whose field is 0. */
function sealed(message: Uint8Array, addresses: number[], protocol: number, partial: boolean): Uint8Array {
  const pseudo = protocol === ICMP ? [] : pseudoHeader(addresses, protocol, message.length)
  let value = partial ? slowSum(pseudo) : slowChecksum([...pseudo, ...message])
  if (protocol === UDP && value === 0) value = 65535
  message.set(half(value), checksumAt[protocol])
  return message
}

// Headers.

/** An IPv4 packet of any protocol around a payload, its header checksum right. */
export function packet4(protocol: number, payload: Uint8Array, ip: Ip4 = {}, fragment = 0): Uint8Array {
  const options = padded(ip.options ?? [], 4)
  const header = 20 + options.length
  const flags = ((ip.dontFragment ?? true) && fragment === 0 ? 0x4000 : 0) | fragment
  const frame = Uint8Array.from([
    0x40 + header / 4,
    ip.service ?? 0,
    ...half(header + payload.length),
    ...half(ip.identification ?? 0x1234),
    ...half(flags),
    ip.ttl ?? 64,
    protocol,
    0,
    0,
    ...address4(ip.source ?? '10.0.0.5'),
    ...address4(ip.destination ?? '10.0.1.20'),
    ...options,
    ...payload,
  ])
  frame.set(half(slowChecksum(frame.subarray(0, header))), 10)
  return frame
}

/** An IPv6 packet of any protocol around a payload, extension headers between. */
export function packet6(protocol: number, payload: Uint8Array, ip: Ip6 = {}): Uint8Array {
  const chain = ip.extensions ?? []
  const next = (index: number) => chain[index]?.header ?? protocol
  const headers = chain.flatMap(({ header, body }, index) => {
    const rest = padded([0, 0, ...body], 8)
    return [next(index + 1), header === FRAGMENT ? 0 : rest.length / 8 - 1, ...rest.slice(2)]
  })
  return Uint8Array.from([
    ...word((0x60000000 | ((ip.trafficClass ?? 0) << 20) | (ip.flowLabel ?? 0)) >>> 0),
    ...half(headers.length + payload.length),
    next(0),
    ip.hops ?? 64,
    ...addresses6(ip),
    ...headers,
    ...payload,
  ])
}

const addresses4 = (ip: Ip4): number[] => [
  ...address4(ip.source ?? '10.0.0.5'),
  ...address4(ip.destination ?? '10.0.1.20'),
]
const addresses6 = (ip: Ip6): number[] => [
  ...address6(ip.source ?? 'fd00::5'),
  ...address6(ip.destination ?? 'fd00:0:0:1::20'),
]

function tcpMessage(of: Tcp): Uint8Array {
  const options = padded(of.tcpOptions ?? [], 4)
  const flags = [...(of.flags ?? 'S')].reduce((set, letter) => set | (1 << letters.indexOf(letter)), 0)
  return Uint8Array.from([
    ...half(of.sourcePort ?? 40000),
    ...half(of.destinationPort ?? 80),
    ...word(of.sequence ?? 1000),
    ...word(of.acknowledgment ?? 0),
    (5 + options.length / 4) << 4,
    flags,
    ...half(of.window ?? 65535),
    0,
    0,
    0,
    0,
    ...options,
    ...data(of.payload),
  ])
}

function udpMessage(of: Udp): Uint8Array {
  const payload = data(of.payload)
  return Uint8Array.from([
    ...half(of.sourcePort ?? 40000),
    ...half(of.destinationPort ?? 80),
    ...half(of.udpLength ?? 8 + payload.length),
    0,
    0,
    ...payload,
  ])
}

const icmpMessage = (of: Icmp, echo: number): Uint8Array =>
  Uint8Array.from([
    of.type ?? echo,
    of.code ?? 0,
    0,
    0,
    ...half(of.identifier ?? 7),
    ...half(of.sequence ?? 1),
    ...data(of.payload),
  ])

// Packets.

export const tcp4 = (of: Ip4 & Tcp = {}): Uint8Array =>
  packet4(TCP, sealed(tcpMessage(of), addresses4(of), TCP, of.partial ?? false), of)

export const tcp6 = (of: Ip6 & Tcp = {}): Uint8Array =>
  packet6(TCP, sealed(tcpMessage(of), addresses6(of), TCP, of.partial ?? false), of)

export const udp4 = (of: Ip4 & Udp = {}): Uint8Array => {
  const message = udpMessage(of)
  if (of.checksum ?? true) sealed(message, addresses4(of), UDP, of.partial ?? false)
  return packet4(UDP, message, of)
}

export const udp6 = (of: Ip6 & Udp = {}): Uint8Array => {
  const message = udpMessage(of)
  if (of.checksum ?? true) sealed(message, addresses6(of), UDP, of.partial ?? false)
  return packet6(UDP, message, of)
}

export const icmp4 = (of: Ip4 & Icmp = {}): Uint8Array =>
  packet4(ICMP, sealed(icmpMessage(of, 8), addresses4(of), ICMP, false), of)

export const icmp6 = (of: Ip6 & Icmp = {}): Uint8Array =>
  packet6(ICMP6, sealed(icmpMessage(of, 128), addresses6(of), ICMP6, false), of)

// Fragments.

/**
 * One fragment of a whole IPv4 packet: payload bytes `from` (a multiple of 8) to `to`. Options with the
 * copied flag go into every one.
 * @param more default: whether payload is left behind it
 */
export function piece4(whole: Uint8Array, from: number, to: number, more?: boolean): Uint8Array {
  const header = (whole[0] & 0x0f) * 4
  const payload = whole.subarray(header)
  const options: number[] = []
  for (let at = 20; at < header && whole[at] !== 0; ) {
    // An option that says it has no length would never end.
    const length = whole[at] === 1 ? 1 : Math.max(whole[at + 1], 2)
    if (from === 0 || whole[at] >= 0x80) options.push(...whole.subarray(at, at + length))
    at += length
  }
  return packet4(
    whole[9],
    payload.subarray(from, to),
    {
      source: whole.subarray(12, 16).join('.'),
      destination: whole.subarray(16, 20).join('.'),
      ttl: whole[8],
      service: whole[1],
      identification: at16(whole, 4),
      dontFragment: false,
      options,
    },
    ((more ?? to < payload.length) ? 0x2000 : 0) | (from / 8),
  )
}

/** A whole IPv4 packet in fragments of at most `size` payload bytes, in order. */
export const fragments4 = (whole: Uint8Array, size: number): Uint8Array[] =>
  cuts(whole.length - (whole[0] & 0x0f) * 4, size).map(([from, to]) => piece4(whole, from, to))

/**
 * One fragment of an IPv6 packet without extension headers: payload bytes `from` (a multiple of 8) to `to`.
 */
export function piece6(
  whole: Uint8Array,
  from: number,
  to: number,
  identification = 0x12345678,
  more?: boolean,
): Uint8Array {
  const payload = whole.subarray(40)
  const flag = (more ?? to < payload.length) ? 1 : 0
  const fragment = [whole[6], 0, ...half(from | flag), ...word(identification)]
  const frame = Uint8Array.from([...whole.subarray(0, 40), ...fragment, ...payload.subarray(from, to)])
  frame.set(half(frame.length - 40), 4)
  frame[6] = FRAGMENT
  return frame
}

/** A whole IPv6 packet in fragments of at most `size` payload bytes, in order. */
export const fragments6 = (whole: Uint8Array, size: number, identification?: number): Uint8Array[] =>
  cuts(whole.length - 40, size).map(([from, to]) => piece6(whole, from, to, identification))

function cuts(length: number, size: number): [number, number][] {
  const step = size - (size % 8)
  const all: [number, number][] = []
  for (let from = 0; from < length; from += step) all.push([from, Math.min(from + step, length)])
  return all
}
