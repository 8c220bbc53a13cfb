/**
 * The chain of extension headers between an IPv6 header and the transport, RFC 8200 section 4.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |  next header  | 8 bytes, -1   |   options: type, length, data |  hop-by-hop, destination options
 *    +---------------+---------------+---------------+---------------+
 *    |  next header  | 8 bytes, -1   |     type      | segments left |  routing
 *    +---------------+---------------+---------------+---------+---+-+
 *    |  next header  |   reserved    |    offset, in 8 bytes   | 0 |m|  fragment
 *    +---------------+---------------+-------------------------+---+-+
 *    |                        identification                         |
 *    +---------------------------------------------------------------+
 *
 * The chain is walked once, into an Int32Array of the caller's, at a bounded cost: no more than
 * MAX_EXTENSIONS headers and MAX_EXTENSION_BYTES. Most packets have no chain, and callers see that from
 * `nextHeader` without a walk.
 */
import { read16, read32, write16, write32 } from './bytes.ts'
import { HEADER_LEN, nextHeader, payloadLength } from './ipv6.ts'
import { Protocol, protocolName } from './protocol.ts'

// Fields of the IPv6 header that a Parameter Problem may point at.
const PAYLOAD_LENGTH_FIELD = 4
const NEXT_HEADER_FIELD = 6

// The fragment header, RFC 8200 section 4.5: next header, reserved, offset and more flag, identification.
const FRAGMENT_OFFSET = 2
const FRAGMENT_IDENTIFICATION = 4

// The routing header, RFC 8200 section 4.4.
const ROUTING_TYPE = 2
const SEGMENTS_LEFT = 3

/** Bytes of a fragment header. */
export const FRAGMENT_HEADER_LEN = 8

/* Ours to tune: real chains have one or two headers and some dozens of bytes. */
export const MAX_EXTENSIONS = 8
export const MAX_EXTENSION_BYTES = 512

const MORE_FRAGMENTS = 1
const OFFSET_MASK = 0xfff8

const PAD1 = 0
const JUMBO_PAYLOAD = 0xc2

/** Indices of what `walk` found. Offsets count from the start of the bytes, as `at` does. */
export const Walk = {
  /**
   * The protocol behind the last header that was understood; of a fragment that is not the first, what its
   * fragment header says.
   */
  Protocol: 0,
  /** Where that protocol's header begins, or a later fragment's data. */
  TransportAt: 1,
  /** Where the fragment header is, -1 where there is none. */
  FragmentAt: 2,
  /**
   * Where the routing header is, -1 where there is none. While it has segments left, the header's destination
   * is not the final one.
   */
  RoutingAt: 3,
  /** A `ChainFault`. */
  Fault: 4,
  /**
   * Where the fault is, for the pointer of an ICMPv6 Parameter Problem; counts from the start of the IPv6
   * header.
   */
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
  /**
   * An unknown hop-by-hop option whose sender wants the packet discarded where it is unknown. RFC 8200
   * section 4.2.
   */
  OptionRefused: 7,
  /** A payload longer than 65535 bytes, or a packet that says so. RFC 2675. */
  Jumbogram: 8,
  /** Next header 59: there is no transport. */
  NoNextHeader: 9,
  /** An authentication header: the packet cannot be changed. */
  Authentication: 10,
  /** Encrypted: there are no ports. */
  Encryption: 11,
  /**
   * An extension header that this walk does not look behind: mobility, HIP, shim6, the experimental ones. RFC
   * 7045 section 2.1.
   */
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
 * Walks the extension headers into `found`, see `Walk`. Whatever the fault, what was found before it stands
 * there, so a quoted and truncated packet can be read as far as it goes. The walk ends at the transport
 * header without looking at it.
 * @param end where the packet ends: `endAt`, or the end of the quotation
 * @returns the `ChainFault`, which is also in `found`
 */
export function walk(bytes: Uint8Array, at: number, end: number, found: Int32Array): ChainFault {
  found[Walk.FragmentAt] = -1
  found[Walk.RoutingAt] = -1
  let protocol = nextHeader(bytes, at)
  let here = at + HEADER_LEN
  // Where the number of the header at `here` stands, for faults that are about that number.
  let named = at + NEXT_HEADER_FIELD
  // A hop-by-hop header and a payload length of 0 is how a jumbogram begins; its true length is not looked at.
  if (protocol === Protocol.HopByHop && payloadLength(bytes, at) === 0)
    return stop(found, protocol, here, ChainFault.Jumbogram, PAYLOAD_LENGTH_FIELD)

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
      const option = endOfOptions(bytes, here + 2, here + length)
      if (option < here + length)
        return stop(found, protocol, here, optionFault(bytes, option, here + length), option - at)
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
 * Walks hop-by-hop options (type, length, data, or the single byte Pad1) up to the first that is a fault, and
 * answers where that is, or `end`.
 */
function endOfOptions(bytes: Uint8Array, from: number, end: number): number {
  let option = from
  while (option < end && optionFault(bytes, option, end) === ChainFault.None)
    option += bytes[option] === PAD1 ? 1 : 2 + bytes[option + 1]
  return option
}

/**
 * The two high bits of an unknown option's type say what its sender wants: 00 to skip it, else to discard the
 * packet.
 */
function optionFault(bytes: Uint8Array, option: number, end: number): ChainFault {
  const type = bytes[option]
  if (type === PAD1) return ChainFault.None
  if (option + 1 === end || option + 2 + bytes[option + 1] > end) return ChainFault.OptionMalformed
  if (type === JUMBO_PAYLOAD) return ChainFault.Jumbogram
  return type >>> 6 === 0 ? ChainFault.None : ChainFault.OptionRefused
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

/**
 * For logs and traces, what the chain comes to: `udp id 7 offset 1448 mf`, `no chain: routing-type-0`.
 * Requires an IPv6 header in bounds; `end` as for `walk`.
 */
export function describe(bytes: Uint8Array, at: number, end: number): string {
  const found = new Int32Array(WALK_LEN)
  const reason = walk(bytes, at, end, found)
  const fragment = found[Walk.FragmentAt]
  const place =
    fragment < 0
      ? ''
      : ` id ${identification(bytes, fragment) >>> 0} offset ${fragmentOffset(bytes, fragment)}` +
        `${moreFragments(bytes, fragment) ? ' mf' : ''}`
  return reason === ChainFault.None
    ? `${protocolName(found[Walk.Protocol])}${place}`
    : `no chain: ${chainFaultName[reason]}${place}`
}
