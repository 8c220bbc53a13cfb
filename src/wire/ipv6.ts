/**
 * The IPv6 header, RFC 8200 section 3, and the chain of extension headers behind it, section 4.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------+---------------+---------------------------------------+
 *    |version| traffic class |              flow label               |
 *    +-------+---------------+-------+---------------+---------------+
 *    |        payload length         |  next header  |   hop limit   |
 *    +-------------------------------+---------------+---------------+
 *    |                       source, 16 bytes                        |
 *    +---------------------------------------------------------------+
 *    |                     destination, 16 bytes                     |
 *    +---------------------------------------------------------------+
 *
 * The chain is walked once, into an Int32Array of the caller's, at a bounded cost: no more than MAX_EXTENSIONS headers and
 * MAX_EXTENSION_BYTES. Most packets have none, and callers see that from `nextHeader` without a walk.
 */
import { text6 } from './address.ts'
import { load32, read16, read32, store32, write16, write32 } from './bytes.ts'
import { Protocol, protocolName } from './protocol.ts'

const VERSION = 0
const PAYLOAD_LENGTH = 4
const NEXT_HEADER = 6
const HOP_LIMIT = 7
const SOURCE = 8
const DESTINATION = 24

// The fragment header, RFC 8200 section 4.5: next header, reserved, offset and more flag, identification.
const FRAGMENT_OFFSET = 2
const FRAGMENT_IDENTIFICATION = 4

// The routing header, RFC 8200 section 4.4.
const ROUTING_TYPE = 2
const SEGMENTS_LEFT = 3

/** Bytes of the header without extensions. */
export const HEADER_LEN = 40
export const FRAGMENT_HEADER_LEN = 8
/** The least MTU of a link. RFC 8200 section 5. */
export const MIN_MTU = 1280

/* Ours to tune: real chains have one or two headers and some dozens of bytes. */
export const MAX_EXTENSIONS = 8
export const MAX_EXTENSION_BYTES = 512

const MORE_FRAGMENTS = 1
const OFFSET_MASK = 0xfff8

const PAD1 = 0
const PADN = 1
const JUMBO_PAYLOAD = 0xc2

/** Why a header cannot be used. */
export const Fault = { None: 0, Truncated: 1, Version: 2, PayloadLength: 3 } as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** Indices of what `walk` found. Offsets count from the start of the bytes, as `at` does. */
export const Walk = {
  /** The protocol behind the last header that was understood; of a fragment that is not the first, what its fragment header says. */
  Protocol: 0,
  /** Where that protocol's header begins, or a later fragment's data. */
  TransportAt: 1,
  /** Where the fragment header is, -1 where there is none. */
  FragmentAt: 2,
  /** Where the routing header is, -1 where there is none. While it has segments left, the header's destination is not the final one. */
  RoutingAt: 3,
  /** A `ChainFault`. */
  Fault: 4,
  /** Where the fault is, for the pointer of an ICMPv6 Parameter Problem; counts from the start of the IPv6 header. */
  Pointer: 5,
} as const
/** Elements of the array that `walk` fills. */
export const WALK_LEN = 6

/** Why a chain was not walked to its end. */
export const ChainFault = {
  None: 0,
  /** The chain passes the end of the packet. In a first fragment: RFC 7112. */
  Truncated: 1,
  /** More headers or bytes than the caps. */
  TooLong: 2,
  /** A hop-by-hop header that is not the first. RFC 8200 section 4.1. */
  HopByHopNotFirst: 3,
  /** A routing header of type 0 with segments left. RFC 5095. */
  RoutingType0: 4,
  /** A fragment header behind a fragment header. */
  SecondFragment: 5,
  /** A hop-by-hop option that passes the end of its header. */
  OptionMalformed: 6,
  /** An unknown hop-by-hop option whose sender wants the packet discarded where it is unknown. RFC 8200 section 4.2. */
  OptionRefused: 7,
  /** A payload longer than 65535 bytes, or a packet that says so. RFC 2675. */
  Jumbogram: 8,
  /** Next header 59: there is no transport. */
  NoNextHeader: 9,
  /** An authentication header: the packet cannot be changed. */
  Authentication: 10,
  /** Encrypted: there are no ports. */
  Encryption: 11,
  /** An extension header that this walk does not look behind: mobility, HIP, shim6, the experimental ones. RFC 7045 section 2.1. */
  Unknown: 12,
} as const
export type ChainFault = (typeof ChainFault)[keyof typeof ChainFault]

const chainFaultName: Record<ChainFault, string> = {
  [ChainFault.None]: 'none',
  [ChainFault.Truncated]: 'truncated',
  [ChainFault.TooLong]: 'too-long',
  [ChainFault.HopByHopNotFirst]: 'hop-by-hop-not-first',
  [ChainFault.RoutingType0]: 'routing-type-0',
  [ChainFault.SecondFragment]: 'second-fragment',
  [ChainFault.OptionMalformed]: 'option-malformed',
  [ChainFault.OptionRefused]: 'option-refused',
  [ChainFault.Jumbogram]: 'jumbogram',
  [ChainFault.NoNextHeader]: 'no-next-header',
  [ChainFault.Authentication]: 'authentication',
  [ChainFault.Encryption]: 'encryption',
  [ChainFault.Unknown]: 'unknown',
}

/**
 * Why the packet in `at` to `end` is no IPv6 packet, or `Fault.None`: then every accessor is in bounds and the payload
 * does not pass `end`. Setting version or payload length invalidates this. Extension headers are `walk`'s.
 */
export function fault(bytes: Uint8Array, at: number, end: number): Fault {
  const header = headerFault(bytes, at, end)
  if (header !== Fault.None) return header
  return endAt(bytes, at) > end ? Fault.PayloadLength : Fault.None
}

/** As `fault`, but the payload may pass `end`: for packets that an ICMPv6 error quotes. */
export function headerFault(bytes: Uint8Array, at: number, end: number): Fault {
  if (end - at < HEADER_LEN) return Fault.Truncated
  return bytes[at + VERSION] >>> 4 === 6 ? Fault.None : Fault.Version
}

/** True when `fault` finds nothing. */
export const fits = (bytes: Uint8Array, at: number, end: number): boolean =>
  fault(bytes, at, end) === Fault.None

export const version = (bytes: Uint8Array, at: number): number => bytes[at + VERSION] >>> 4
/** DSCP and ECN. */
export const trafficClass = (bytes: Uint8Array, at: number): number =>
  (read16(bytes, at + VERSION) >>> 4) & 0xff
export const flowLabel = (bytes: Uint8Array, at: number): number => read32(bytes, at + VERSION) & 0xfffff
/** In bytes, extension headers included, this header not. */
export const payloadLength = (bytes: Uint8Array, at: number): number => read16(bytes, at + PAYLOAD_LENGTH)
export const nextHeader = (bytes: Uint8Array, at: number): number => bytes[at + NEXT_HEADER]
export const hopLimit = (bytes: Uint8Array, at: number): number => bytes[at + HOP_LIMIT]
/** Word 0 to 3 of the source, as loaded. */
export const sourceWord = (bytes: Uint8Array, at: number, index: number): number =>
  load32(bytes, at + SOURCE + (index << 2))
/** Word 0 to 3 of the destination, as loaded. */
export const destinationWord = (bytes: Uint8Array, at: number, index: number): number =>
  load32(bytes, at + DESTINATION + (index << 2))
/** Where source and destination begin, 32 bytes in a row: what `pseudoSum6` takes. */
export const addressesAt = (at: number): number => at + SOURCE
/** Where the packet ends by its own account. */
export const endAt = (bytes: Uint8Array, at: number): number => at + HEADER_LEN + payloadLength(bytes, at)

/** In bytes, a multiple of 8 up to 65528. `fragment` is where the fragment header is. */
export const fragmentOffset = (bytes: Uint8Array, fragment: number): number =>
  read16(bytes, fragment + FRAGMENT_OFFSET) & OFFSET_MASK
export const moreFragments = (bytes: Uint8Array, fragment: number): boolean =>
  (bytes[fragment + FRAGMENT_OFFSET + 1] & MORE_FRAGMENTS) !== 0
/** Signed. */
export const identification = (bytes: Uint8Array, fragment: number): number =>
  read32(bytes, fragment + FRAGMENT_IDENTIFICATION)
/** True of a fragment header that divides nothing: such a packet is whole and is handled alone. RFC 6946. */
export const isAtomic = (bytes: Uint8Array, fragment: number): boolean =>
  (read16(bytes, fragment + FRAGMENT_OFFSET) & (OFFSET_MASK | MORE_FRAGMENTS)) === 0

/** `routing` is where the routing header is. */
export const routingType = (bytes: Uint8Array, routing: number): number => bytes[routing + ROUTING_TYPE]
export const segmentsLeft = (bytes: Uint8Array, routing: number): number => bytes[routing + SEGMENTS_LEFT]

/**
 * Walks the extension headers into `found`, see `Walk`. Whatever the fault, what was found before it stands there, so a quoted and truncated
 * packet can be read as far as it goes. The walk ends at the transport header without looking at it.
 * @param end where the packet ends: `endAt`, or the end of the quotation
 * @returns the `ChainFault`, which is also in `found`
 */
export function walk(bytes: Uint8Array, at: number, end: number, found: Int32Array): ChainFault {
  found[Walk.FragmentAt] = -1
  found[Walk.RoutingAt] = -1
  let protocol = bytes[at + NEXT_HEADER]
  let here = at + HEADER_LEN
  // Where the number of the header at `here` stands, for faults that are about that number.
  let named = at + NEXT_HEADER
  // A payload of no bytes with a hop-by-hop header is how a jumbogram begins; its true length is never looked at.
  if (protocol === Protocol.HopByHop && payloadLength(bytes, at) === 0)
    return stop(found, protocol, here, ChainFault.Jumbogram, PAYLOAD_LENGTH)

  for (let count = 0; ; count++) {
    const refusal = refusalOf(protocol)
    if (refusal !== ChainFault.None) return stop(found, protocol, here, refusal, named - at)
    if (!isWalked(protocol)) return stop(found, protocol, here, ChainFault.None, 0)
    if (count === MAX_EXTENSIONS) return stop(found, protocol, here, ChainFault.TooLong, named - at)
    if (end - here < 8) return stop(found, protocol, here, ChainFault.Truncated, here - at)
    const length = protocol === Protocol.Fragment ? FRAGMENT_HEADER_LEN : (bytes[here + 1] + 1) << 3
    if (here + length - at - HEADER_LEN > MAX_EXTENSION_BYTES)
      return stop(found, protocol, here, ChainFault.TooLong, here - at)
    if (here + length > end) return stop(found, protocol, here, ChainFault.Truncated, here - at)

    if (protocol === Protocol.HopByHop) {
      if (count !== 0) return stop(found, protocol, here, ChainFault.HopByHopNotFirst, named - at)
      const option = walkOptions(bytes, here + 2, here + length)
      if (option !== ChainFault.None) return stop(found, protocol, here, option, here - at)
    } else if (protocol === Protocol.Routing) {
      if (bytes[here + ROUTING_TYPE] === 0 && bytes[here + SEGMENTS_LEFT] !== 0)
        return stop(found, protocol, here, ChainFault.RoutingType0, here + ROUTING_TYPE - at)
      found[Walk.RoutingAt] = here
    } else if (protocol === Protocol.Fragment) {
      if (found[Walk.FragmentAt] >= 0)
        return stop(found, protocol, here, ChainFault.SecondFragment, named - at)
      found[Walk.FragmentAt] = here
      // What follows in a later fragment is the middle of something, not a header.
      if (fragmentOffset(bytes, here) !== 0)
        return stop(found, bytes[here], here + length, ChainFault.None, 0)
    }
    protocol = bytes[here]
    named = here
    here += length
  }
}

function stop(
  found: Int32Array,
  protocol: number,
  here: number,
  reason: ChainFault,
  pointer: number,
): ChainFault {
  found[Walk.Protocol] = protocol
  found[Walk.TransportAt] = here
  found[Walk.Fault] = reason
  found[Walk.Pointer] = pointer
  return reason
}

const isWalked = (protocol: number): boolean =>
  protocol === Protocol.HopByHop ||
  protocol === Protocol.Routing ||
  protocol === Protocol.Fragment ||
  protocol === Protocol.DestinationOptions

function refusalOf(protocol: number): ChainFault {
  switch (protocol) {
    case Protocol.NoNextHeader:
      return ChainFault.NoNextHeader
    case Protocol.Ah:
      return ChainFault.Authentication
    case Protocol.Esp:
      return ChainFault.Encryption
    case Protocol.Mobility:
    case Protocol.Hip:
    case Protocol.Shim6:
    case Protocol.Experiment1:
    case Protocol.Experiment2:
      return ChainFault.Unknown
    default:
      return ChainFault.None
  }
}

/**
 * Walks hop-by-hop options: type, length, data, or the single byte Pad1. The two high bits of an unknown type say what its
 * sender wants: 00 to skip it, else to discard the packet.
 */
function walkOptions(bytes: Uint8Array, from: number, end: number): ChainFault {
  let option = from
  while (option < end) {
    const type = bytes[option]
    if (type === PAD1) {
      option++
      continue
    }
    if (option + 1 === end || option + 2 + bytes[option + 1] > end) return ChainFault.OptionMalformed
    if (type === JUMBO_PAYLOAD) return ChainFault.Jumbogram
    if (type !== PADN && type >>> 6 !== 0) return ChainFault.OptionRefused
    option += 2 + bytes[option + 1]
  }
  return ChainFault.None
}

/** Version 6, traffic class and flow label at once: they share bytes. */
export function setVersion(bytes: Uint8Array, at: number, trafficClass: number, flowLabel: number): void {
  write32(bytes, at + VERSION, 0x60000000 | (trafficClass << 20) | flowLabel)
}
export function setPayloadLength(bytes: Uint8Array, at: number, length: number): void {
  write16(bytes, at + PAYLOAD_LENGTH, length)
}
export function setNextHeader(bytes: Uint8Array, at: number, protocol: number): void {
  bytes[at + NEXT_HEADER] = protocol
}
export function setHopLimit(bytes: Uint8Array, at: number, hops: number): void {
  bytes[at + HOP_LIMIT] = hops
}
/** Stores word 0 to 3 of the source, as loaded. */
export function setSourceWord(bytes: Uint8Array, at: number, index: number, word: number): void {
  store32(bytes, at + SOURCE + (index << 2), word)
}
/** Stores word 0 to 3 of the destination, as loaded. */
export function setDestinationWord(bytes: Uint8Array, at: number, index: number, word: number): void {
  store32(bytes, at + DESTINATION + (index << 2), word)
}
/** A whole fragment header: `offset` in bytes, a multiple of 8. */
export function setFragment(
  bytes: Uint8Array,
  fragment: number,
  nextHeader: number,
  offset: number,
  more: boolean,
  identification: number,
): void {
  bytes[fragment] = nextHeader
  bytes[fragment + 1] = 0
  write16(bytes, fragment + FRAGMENT_OFFSET, offset | (more ? MORE_FRAGMENTS : 0))
  write32(bytes, fragment + FRAGMENT_IDENTIFICATION, identification)
}
/** Signed or not, the low 32 bits are written. */
export function setIdentification(bytes: Uint8Array, fragment: number, value: number): void {
  write32(bytes, fragment + FRAGMENT_IDENTIFICATION, value)
}

/** One line for logs and traces, the chain walked. Requires a header in bounds. */
export function describe(bytes: Uint8Array, at: number, end: number): string {
  const found = new Int32Array(WALK_LEN)
  const reason = walk(bytes, at, end, found)
  const fragment = found[Walk.FragmentAt]
  const place =
    fragment < 0
      ? ''
      : ` id ${identification(bytes, fragment) >>> 0} offset ${fragmentOffset(bytes, fragment)}` +
        `${moreFragments(bytes, fragment) ? ' mf' : ''}`
  const word = (index: number) => load32(bytes, at + SOURCE + (index << 2))
  return (
    `${text6(word(0), word(1), word(2), word(3))} > ${text6(word(4), word(5), word(6), word(7))}` +
    ` ${protocolName(found[Walk.Protocol])} hops ${hopLimit(bytes, at)} length ${payloadLength(bytes, at)}${place}` +
    `${reason === ChainFault.None ? '' : ` chain ${chainFaultName[reason]}`}`
  )
}
