/**
 * The errors that a router owes: whether one may be sent about a packet, and writing it, quotation and
 * checksums included.
 *
 * An error goes to the source of the packet and quotes it as that source sent it: callers come here before
 * they translate anything, and give addresses and packet as they were received. Rates are limited elsewhere.
 * None of these functions allocates, so they may be used in the loop.
 */
import { isClassE4, isMartianSource4, isMartianSource6, isMulticast4, isMulticast6 } from './address.ts'
import { copyBytes } from './bytes.ts'
import { pseudoSum6 } from './checksum.ts'
import * as extensions from './extensions.ts'
import * as icmp from './icmp.ts'
import * as icmp6 from './icmp6.ts'
import * as ipv4 from './ipv4.ts'
import * as ipv6 from './ipv6.ts'
import { Protocol } from './protocol.ts'

/** The longest ICMP error: as much of the packet as fits. RFC 1812 section 4.3.2.3. */
export const MAX_ERROR_LEN4 = 576
/** The longest ICMPv6 error: the least MTU. RFC 4443 section 2.4 (c). */
export const MAX_ERROR_LEN6 = ipv6.MIN_MTU

const HEADERS_LEN4 = ipv4.HEADER_LEN + icmp.HEADER_LEN
const HEADERS_LEN6 = ipv6.HEADER_LEN + icmp6.HEADER_LEN

/** Precedence 6, internetwork control. RFC 1812 section 4.3.2.5. */
const ERROR_SERVICE = 0xc0
const ERROR_HOPS = 64

const found = new Int32Array(extensions.WALK_LEN)

/**
 * True when an ICMP error may be sent about the packet in `at` to `end`: it is no ICMP error itself, not sent
 * to many, no later fragment, and its source is one host. RFC 1812 section 4.3.2.7. ICMP of unknown types
 * counts as errors. Directed broadcasts are the caller's to see. Requires an `ipv4.headerFault` of `None`.
 */
export function mayAnswer4(bytes: Uint8Array, at: number, end: number): boolean {
  const destination = ipv4.destination(bytes, at)
  if (isMulticast4(destination) || isClassE4(destination)) return false
  if (isMartianSource4(ipv4.source(bytes, at))) return false
  if (ipv4.fragmentOffset(bytes, at) !== 0) return false
  if (ipv4.protocol(bytes, at) !== Protocol.Icmp) return true
  const message = ipv4.payloadAt(bytes, at)
  return message < end && icmp.isQuery(icmp.type(bytes, message))
}

/**
 * True when this ICMPv6 error may be sent about the packet in `at` to `end`: it is no ICMPv6 error or
 * redirect itself, its source is one node, and it was not sent to many, except for Packet Too Big and the
 * Parameter Problem of an unknown option. RFC 4443 section 2.4 (e). Requires an `ipv6.headerFault` of `None`.
 */
export function mayAnswer6(bytes: Uint8Array, at: number, end: number, type: number, code: number): boolean {
  const toMany =
    type === icmp6.Type.PacketTooBig ||
    (type === icmp6.Type.ParameterProblem && code === icmp6.Problem.Option)
  if (!toMany && isMulticast6(ipv6.destinationWord(bytes, at, 0))) return false
  const source0 = ipv6.sourceWord(bytes, at, 0)
  const source1 = ipv6.sourceWord(bytes, at, 1)
  const source2 = ipv6.sourceWord(bytes, at, 2)
  if (isMartianSource6(source0, source1, source2, ipv6.sourceWord(bytes, at, 3))) return false

  extensions.walk(bytes, at, end, found)
  if (found[extensions.Walk.Protocol] !== Protocol.Icmp6) return true
  // A later fragment of an ICMPv6 message does not say whether it belongs to an error.
  const fragment = found[extensions.Walk.FragmentAt]
  if (fragment >= 0 && extensions.fragmentOffset(bytes, fragment) !== 0) return false
  const message = found[extensions.Walk.TransportAt]
  if (message >= end) return false
  const kind = icmp6.type(bytes, message)
  return !icmp6.isError(kind) && kind !== icmp6.Type.Redirect
}

/**
 * Writes an ICMP error, a whole IPv4 packet of at most MAX_ERROR_LEN4 bytes, to `out` from `at` on.
 * The destination may be the same array as `quoted` but must not overlap the packet.
 * @param source the router's address, a word as loaded
 * @param destination the source of the quoted packet, a word as loaded
 * @param rest the second word of the ICMP header as a number: the next-hop MTU of a Fragmentation Needed,
 * else 0
 * @param quotedLength bytes of the packet at `quotedAt`; what does not fit is left out
 * @returns the length of the error packet
 */
export function writeError4(
  out: Uint8Array,
  at: number,
  source: number,
  destination: number,
  type: number,
  code: number,
  rest: number,
  quoted: Uint8Array,
  quotedAt: number,
  quotedLength: number,
): number {
  const kept = Math.min(quotedLength, MAX_ERROR_LEN4 - HEADERS_LEN4)
  const total = HEADERS_LEN4 + kept
  const message = at + ipv4.HEADER_LEN
  ipv4.setHeaderLength(out, at, ipv4.HEADER_LEN)
  ipv4.setService(out, at, ERROR_SERVICE)
  ipv4.setTotalLength(out, at, total)
  // An atomic datagram needs no identification. RFC 6864 section 4.1.
  ipv4.setIdentification(out, at, 0)
  ipv4.setFragment(out, at, 0, ipv4.DONT_FRAGMENT)
  ipv4.setTtl(out, at, ERROR_HOPS)
  ipv4.setProtocol(out, at, Protocol.Icmp)
  ipv4.setSource(out, at, source)
  ipv4.setDestination(out, at, destination)
  ipv4.fillChecksum(out, at)

  icmp.setType(out, message, type)
  icmp.setCode(out, message, code)
  icmp.setRest(out, message, rest)
  copyBytes(out, icmp.quotedAt(message), quoted, quotedAt, kept)
  icmp.fillChecksum(out, message, icmp.HEADER_LEN + kept)
  return total
}

/**
 * Writes an ICMPv6 error, a whole IPv6 packet of at most MAX_ERROR_LEN6 bytes, to `out` from `at` on.
 * The destination may be the same array as `quoted` but must not overlap the packet.
 * @param source words as loaded, four of them from `sourceAt`: the router's address
 * @param destination words as loaded, four of them from `destinationAt`: the source of the quoted packet
 * @param rest the second word of the ICMPv6 header as a number: the MTU of a Packet Too Big, a pointer, else
 * 0
 * @param quotedLength bytes of the packet at `quotedAt`; what does not fit is left out
 * @returns the length of the error packet
 */
export function writeError6(
  out: Uint8Array,
  at: number,
  source: Int32Array,
  sourceAt: number,
  destination: Int32Array,
  destinationAt: number,
  type: number,
  code: number,
  rest: number,
  quoted: Uint8Array,
  quotedAt: number,
  quotedLength: number,
): number {
  const kept = Math.min(quotedLength, MAX_ERROR_LEN6 - HEADERS_LEN6)
  const length = icmp6.HEADER_LEN + kept
  const message = at + ipv6.HEADER_LEN
  ipv6.setVersion(out, at, 0, 0)
  ipv6.setPayloadLength(out, at, length)
  ipv6.setNextHeader(out, at, Protocol.Icmp6)
  ipv6.setHopLimit(out, at, ERROR_HOPS)
  for (let index = 0; index < 4; index++) {
    ipv6.setSourceWord(out, at, index, source[sourceAt + index])
    ipv6.setDestinationWord(out, at, index, destination[destinationAt + index])
  }

  icmp6.setType(out, message, type)
  icmp6.setCode(out, message, code)
  icmp6.setRest(out, message, rest)
  copyBytes(out, icmp6.quotedAt(message), quoted, quotedAt, kept)
  icmp6.fillChecksum(out, message, length, pseudoSum6(out, ipv6.addressesAt(at), Protocol.Icmp6, length))
  return HEADERS_LEN6 + kept
}
