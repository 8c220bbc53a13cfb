/**
 * ICMP and ICMPv6 errors on their way through the NAT: reading the packet that an error quotes, and
 * translating both (RFC 5508 section 4).
 *
 * An error goes to the sender of the packet it quotes, so the quoted packet is of the flow's other direction
 * and is found by its own tuple:
 *
 *     outside ▶ inside    quotes ENI:port ▶ remote      the outer destination and the quoted source become the inside's
 *     inside ▶ outside    quotes remote ▶ inside:port   the outer source and the quoted destination become the ENI's
 *
 * A quotation may end at any byte, hold any packet, and be followed by extension objects (RFC 4884), which
 * are left alone. It is read as far as it goes; what is not there is not translated. All checksums are
 * brought up to date incrementally, the quoted ones too, so that what was right stays right and what was
 * wrong stays wrong: the transport checksum of a quoted packet is not looked at (REQ-3 c).
 *
 * An error never changes a flow: it neither renews nor ends it (REQ-6, RFC 4787 REQ-12).
 */
import { Drop } from '../tables/drops.ts'
import { load16, load32, store16 } from '../wire/bytes.ts'
import { addDelta, addDeltaUdp, addSums, delta16, delta32, pseudoSum6 } from '../wire/checksum.ts'
import * as extensions from '../wire/extensions.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import * as udp from '../wire/udp.ts'

/** Indices of what `readQuote4` and `readQuote6` find. Offsets count from the start of the bytes. */
export const Quote = {
  /** Where the quoted IP header begins. */
  At: 0,
  /** TCP, UDP, or the ICMP of its family. */
  Protocol: 1,
  TransportAt: 2,
  /** Both ports as loaded, the source's in the low half; of an echo its identifier as loaded. */
  Ports: 3,
  /** TCP: the sequence number, signed. Else 0. */
  Sequence: 4,
  /** Where the transport checksum is, -1 where the quotation ends before it. */
  ChecksumAt: 5,
} as const
/** Elements of the array that is filled. */
export const QUOTE_LEN = 6

/** What a quotation must have of the transport header: RFC 792 has every router quote as much. */
const LEAST_TRANSPORT = 8
/* The identifier of an echo and the checksum, from the header, in ICMP and ICMPv6 alike. */
const IDENTIFIER = 4
const ICMP_CHECKSUM = 2

const walked = new Int32Array(extensions.WALK_LEN)

/**
 * Reads the packet that an ICMP error quotes.
 * @param at where the outer IP header begins @param message where the ICMP header begins; it fits
 * @param end where the packet ends
 * @param whole false for the first fragment of an error, whose checksum cannot be seen from it
 * @returns Drop.None, then `quote` is filled; or why the error cannot be translated: BadIcmpChecksum (REQ-3);
 * IcmpType where it is none that is forwarded (REQ-10 c, RFC 1812 section 5.2.7.2); BadHeaderChecksum of the
 * quoted header (REQ-3 a); ErrorForError; IcmpNoMatch where the quoted packet can be of no flow;
 * IcmpInnerMismatch where it is not to be understood, was not sent by whom the error is sent to, or the MTU
 * is less than any link's
 */
export function readQuote4(
  bytes: Uint8Array,
  at: number,
  message: number,
  end: number,
  whole: boolean,
  quote: Int32Array,
): Drop {
  if (whole && !icmp.checksumHolds(bytes, message, end - message)) return Drop.BadIcmpChecksum
  const type = icmp.type(bytes, message)
  if (!isForwarded4(type)) return Drop.IcmpType
  const sizes =
    type === icmp.Type.DestinationUnreachable &&
    icmp.code(bytes, message) === icmp.Unreachable.FragmentationNeeded
  if (sizes && icmp.nextHopMtu(bytes, message) < ipv4.MIN_MTU) return Drop.IcmpInnerMismatch

  const inner = icmp.quotedAt(message)
  const innerEnd = icmp.quotedEnd(bytes, message, end)
  if (ipv4.headerFault(bytes, inner, innerEnd) !== ipv4.Fault.None) return Drop.IcmpInnerMismatch
  if (!ipv4.checksumHolds(bytes, inner)) return Drop.BadHeaderChecksum
  if (ipv4.source(bytes, inner) !== ipv4.destination(bytes, at)) return Drop.IcmpInnerMismatch
  if (ipv4.fragmentOffset(bytes, inner) !== 0) return Drop.IcmpNoMatch
  quote[Quote.At] = inner
  const protocol = ipv4.protocol(bytes, inner)
  return readTransport(bytes, Protocol.Icmp, protocol, ipv4.payloadAt(bytes, inner), innerEnd, quote)
}

/**
 * As `readQuote4`, for ICMPv6. A Packet Too Big may ask for less than 1280: it passes, RFC 8200 section 5
 * says what that means.
 */
export function readQuote6(
  bytes: Uint8Array,
  at: number,
  message: number,
  end: number,
  whole: boolean,
  quote: Int32Array,
): Drop {
  const pseudo = pseudoSum6(bytes, ipv6.addressesAt(at), Protocol.Icmp6, end - message)
  if (whole && !icmp6.checksumHolds(bytes, message, end - message, pseudo)) return Drop.BadIcmpChecksum
  if (!isForwarded6(icmp6.type(bytes, message))) return Drop.IcmpType

  const inner = icmp6.quotedAt(message)
  const innerEnd = icmp6.quotedEnd(bytes, message, end)
  if (ipv6.headerFault(bytes, inner, innerEnd) !== ipv6.Fault.None) return Drop.IcmpInnerMismatch
  for (let index = 0; index < 4; index++)
    if (ipv6.sourceWord(bytes, inner, index) !== ipv6.destinationWord(bytes, at, index))
      return Drop.IcmpInnerMismatch
  const chain = extensions.walk(bytes, inner, innerEnd, walked)
  if (chain === extensions.ChainFault.Truncated) return Drop.IcmpInnerMismatch
  if (chain !== extensions.ChainFault.None) return Drop.IcmpNoMatch
  const fragment = walked[extensions.Walk.FragmentAt]
  if (fragment >= 0 && extensions.fragmentOffset(bytes, fragment) !== 0) return Drop.IcmpNoMatch
  quote[Quote.At] = inner
  const protocol = walked[extensions.Walk.Protocol]
  return readTransport(bytes, Protocol.Icmp6, protocol, walked[extensions.Walk.TransportAt], innerEnd, quote)
}

/**
 * Translates an ICMP error whose quotation was read and whose flow is known.
 * @param at where the outer IP header begins @param message where the ICMP header begins
 * @param inward whether it goes from outside to inside
 * @param address of the inside (`inward`) or the ENI, a word as loaded
 * @param port of the inside or the lease, or the identifier of an echo, a half as loaded
 */
export function translateError4(
  bytes: Uint8Array,
  at: number,
  message: number,
  quote: Int32Array,
  inward: boolean,
  address: number,
  port: number,
): void {
  const inner = quote[Quote.At]
  const outerAddress = inward ? ipv4.destination(bytes, at) : ipv4.source(bytes, at)
  const innerAddress = inward ? ipv4.source(bytes, inner) : ipv4.destination(bytes, inner)
  if (inward) {
    ipv4.setDestination(bytes, at, address)
    ipv4.setSource(bytes, inner, address)
  } else {
    ipv4.setSource(bytes, at, address)
    ipv4.setDestination(bytes, inner, address)
  }
  ipv4.setChecksum(bytes, at, addDelta(ipv4.checksum(bytes, at), delta32(outerAddress, address)))

  const addressDelta = delta32(innerAddress, address)
  const headerChecksum = ipv4.checksum(bytes, inner)
  const newChecksum = addDelta(headerChecksum, addressDelta)
  ipv4.setChecksum(bytes, inner, newChecksum)
  let delta = addSums(addressDelta, delta16(headerChecksum, newChecksum))
  delta = addSums(delta, translateTransport(bytes, quote, inward, addressDelta, port))
  icmp.setChecksum(bytes, message, addDelta(icmp.checksum(bytes, message), delta))
}

/**
 * As `translateError4`, for ICMPv6.
 * @param words where the address stands, four words as loaded from `addressAt` on
 */
export function translateError6(
  bytes: Uint8Array,
  at: number,
  message: number,
  quote: Int32Array,
  inward: boolean,
  words: Int32Array,
  addressAt: number,
  port: number,
): void {
  const inner = quote[Quote.At]
  let outerDelta = 0
  let innerDelta = 0
  for (let index = 0; index < 4; index++) {
    const word = words[addressAt + index]
    if (inward) {
      outerDelta = addSums(outerDelta, delta32(ipv6.destinationWord(bytes, at, index), word))
      innerDelta = addSums(innerDelta, delta32(ipv6.sourceWord(bytes, inner, index), word))
      ipv6.setDestinationWord(bytes, at, index, word)
      ipv6.setSourceWord(bytes, inner, index, word)
    } else {
      outerDelta = addSums(outerDelta, delta32(ipv6.sourceWord(bytes, at, index), word))
      innerDelta = addSums(innerDelta, delta32(ipv6.destinationWord(bytes, inner, index), word))
      ipv6.setSourceWord(bytes, at, index, word)
      ipv6.setDestinationWord(bytes, inner, index, word)
    }
  }
  // The outer address counts in the pseudo-header, the quoted one as part of the message.
  const delta = addSums(
    addSums(outerDelta, innerDelta),
    translateTransport(bytes, quote, inward, innerDelta, port),
  )
  icmp6.setChecksum(bytes, message, addDelta(icmp6.checksum(bytes, message), delta))
}

/**
 * Destination Unreachable, Time Exceeded, Parameter Problem. Source Quench and Redirect are errors too, and
 * not forwarded.
 */
const isForwarded4 = (type: number): boolean =>
  type === icmp.Type.DestinationUnreachable ||
  type === icmp.Type.TimeExceeded ||
  type === icmp.Type.ParameterProblem

/** The errors that RFC 4443 defines; what others quote, and whether they do, is not known. */
const isForwarded6 = (type: number): boolean =>
  type >= icmp6.Type.DestinationUnreachable && type <= icmp6.Type.ParameterProblem

const isEcho4 = (type: number): boolean => type === icmp.Type.Echo || type === icmp.Type.EchoReply

/** Reads the quoted transport header. @param echoes the protocol number of the family's ICMP */
function readTransport(
  bytes: Uint8Array,
  echoes: number,
  protocol: number,
  transport: number,
  end: number,
  quote: Int32Array,
): Drop {
  if (end - transport < LEAST_TRANSPORT) return Drop.IcmpInnerMismatch
  let checksumAt = transport
  quote[Quote.Sequence] = 0
  quote[Quote.Ports] = load32(bytes, transport)
  switch (protocol) {
    case Protocol.Tcp:
      quote[Quote.Sequence] = tcp.sequence(bytes, transport)
      checksumAt += tcp.CHECKSUM_OFFSET
      break
    case Protocol.Udp:
      checksumAt += udp.CHECKSUM_OFFSET
      break
    case echoes: {
      const type = bytes[transport]
      if (protocol === Protocol.Icmp ? icmp.isError(type) : icmp6.isError(type)) return Drop.ErrorForError
      if (protocol === Protocol.Icmp ? !isEcho4(type) : !icmp6.isEcho(type)) return Drop.IcmpNoMatch
      quote[Quote.Ports] = load16(bytes, transport + IDENTIFIER)
      checksumAt += ICMP_CHECKSUM
      break
    }
    default:
      return Drop.IcmpNoMatch
  }
  quote[Quote.Protocol] = protocol
  quote[Quote.TransportAt] = transport
  quote[Quote.ChecksumAt] = checksumAt + 2 <= end ? checksumAt : -1
  return Drop.None
}

/**
 * Translates the port or identifier that is ours, and the transport checksum.
 * @returns the delta of all that was changed
 */
function translateTransport(
  bytes: Uint8Array,
  quote: Int32Array,
  inward: boolean,
  addressDelta: number,
  port: number,
): number {
  const protocol = quote[Quote.Protocol]
  const transport = quote[Quote.TransportAt]
  const isEcho = protocol === Protocol.Icmp || protocol === Protocol.Icmp6
  const portAt = transport + (isEcho ? IDENTIFIER : inward ? 0 : 2)
  const portDelta = delta16(load16(bytes, portAt), port)
  store16(bytes, portAt, port)
  const checksumAt = quote[Quote.ChecksumAt]
  if (checksumAt < 0) return portDelta

  // ICMP of IPv4 alone has no pseudo-header.
  const covered = protocol === Protocol.Icmp ? portDelta : addSums(addressDelta, portDelta)
  const checksum = load16(bytes, checksumAt)
  const updated = protocol === Protocol.Udp ? addDeltaUdp(checksum, covered) : addDelta(checksum, covered)
  store16(bytes, checksumAt, updated)
  return addSums(portDelta, delta16(checksum, updated))
}
