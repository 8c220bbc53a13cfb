/**
 * ICMPv6, RFC 4443, and the types of neighbor discovery (RFC 4861) and listener discovery (RFC 2710, RFC
 * 3810), which are never forwarded.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |     type      |     code      |           checksum            |
 *    +---------------+---------------+-------------------------------+
 *    |          identifier           |        sequence number        |  echo
 *    +-------------------------------+-------------------------------+
 *    |      mtu, or pointer, or length in 8 bytes and 24 unused      |  errors
 *    +---------------------------------------------------------------+
 *    |        an error quotes the packet that it is about ...        |
 *    +---------------------------------------------------------------+
 *
 * The checksum covers a pseudo-header, so a change of addresses changes it.
 */
import { load16, read16, read32, store16, write16, write32 } from './bytes.ts'
import { fill, holds } from './checksum.ts'

const TYPE = 0
const CODE = 1
const CHECKSUM = 2
const REST = 4
const IDENTIFIER = 4
const SEQUENCE = 6

export const HEADER_LEN = 8

export const Type = {
  DestinationUnreachable: 1,
  PacketTooBig: 2,
  TimeExceeded: 3,
  ParameterProblem: 4,
  EchoRequest: 128,
  EchoReply: 129,
  ListenerQuery: 130,
  ListenerReport: 131,
  ListenerDone: 132,
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  Redirect: 137,
  ListenerReport2: 143,
} as const

// Types of a link that are known only to be kept there: RFC 3122, RFC 3971, RFC 4286.
const INVERSE_SOLICITATION = 141
const CERTIFICATE_SOLICITATION = 148
const CERTIFICATE_ADVERTISEMENT = 149
const MULTICAST_ROUTER_ADVERTISEMENT = 151
const MULTICAST_ROUTER_TERMINATION = 153

/** Codes of Destination Unreachable. RFC 4443 section 3.1. */
export const Unreachable = {
  NoRoute: 0,
  Prohibited: 1,
  BeyondScope: 2,
  Address: 3,
  Port: 4,
  SourcePolicy: 5,
  RejectRoute: 6,
} as const

/** Codes of Time Exceeded. */
export const Exceeded = { InTransit: 0, Reassembly: 1 } as const

/** Codes of Parameter Problem. RFC 4443 section 3.4, RFC 7112 section 6. */
export const Problem = { Field: 0, NextHeader: 1, Option: 2, IncompleteChain: 3 } as const

/**
 * True when every accessor below is in bounds. What an error quotes is checked apart, with
 * `ipv6.headerFault`.
 */
export const fits = (_bytes: Uint8Array, at: number, end: number): boolean => end - at >= HEADER_LEN

export const type = (bytes: Uint8Array, at: number): number => bytes[at + TYPE]
export const code = (bytes: Uint8Array, at: number): number => bytes[at + CODE]
/** A half as loaded. */
export const checksum = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM)
/** Of an echo. */
export const identifier = (bytes: Uint8Array, at: number): number => read16(bytes, at + IDENTIFIER)
/** Of an echo. */
export const sequence = (bytes: Uint8Array, at: number): number => read16(bytes, at + SEQUENCE)
/** Of a Packet Too Big, in bytes, as an unsigned number: a sender may state any 32 bits. */
export const mtu = (bytes: Uint8Array, at: number): number => read32(bytes, at + REST) >>> 0
/** Of a Parameter Problem, unsigned: the byte of the quoted packet that the problem is about. */
export const pointer = (bytes: Uint8Array, at: number): number => read32(bytes, at + REST) >>> 0
/** Where the packet that an error quotes begins. */
export const quotedAt = (at: number): number => at + HEADER_LEN
/**
 * Where the quotation of an error ends: at `end`, where the message does, or earlier if it states a length
 * because extension objects follow. RFC 4884 section 4. A length that passes the end is a lie and is ignored.
 */
export function quotedEnd(bytes: Uint8Array, at: number, end: number): number {
  const kind = bytes[at + TYPE]
  if (kind !== Type.DestinationUnreachable && kind !== Type.TimeExceeded) return end
  const stated = bytes[at + REST] << 3
  const last = at + HEADER_LEN + stated
  return stated === 0 || last > end ? end : last
}

/** True of the types that report about a packet and quote it, known or not. RFC 4443 section 2.1. */
export const isError = (kind: number): boolean => kind < 128

export const isEcho = (kind: number): boolean => kind === Type.EchoRequest || kind === Type.EchoReply

/**
 * True of the messages of one link, which are never forwarded: listener, router and neighbor discovery,
 * redirects, inverse and secure neighbor discovery, multicast router discovery. RFC 4890 section 4.3.3.
 */
export const isLinkScoped = (kind: number): boolean =>
  (kind >= Type.ListenerQuery && kind <= Type.Redirect) ||
  (kind >= INVERSE_SOLICITATION && kind <= Type.ListenerReport2) ||
  kind === CERTIFICATE_SOLICITATION ||
  kind === CERTIFICATE_ADVERTISEMENT ||
  (kind >= MULTICAST_ROUTER_ADVERTISEMENT && kind <= MULTICAST_ROUTER_TERMINATION)

/**
 * True when the checksum over `length` bytes, the whole message, is right.
 * @param pseudo the sum of the pseudo-header
 */
export const checksumHolds = (bytes: Uint8Array, at: number, length: number, pseudo: number): boolean =>
  holds(bytes, at, length, pseudo)

export function setType(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + TYPE] = value
}
export function setCode(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + CODE] = value
}
/** Stores a half as loaded. */
export function setChecksum(bytes: Uint8Array, at: number, half: number): void {
  store16(bytes, at + CHECKSUM, half)
}
export function setIdentifier(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + IDENTIFIER, value)
}
export function setSequence(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + SEQUENCE, value)
}
/** The second word of the header as a number: an MTU or a pointer. */
export function setRest(bytes: Uint8Array, at: number, value: number): void {
  write32(bytes, at + REST, value)
}

/**
 * Computes and stores the checksum over `length` bytes, the whole message.
 * @param pseudo the sum of the pseudo-header
 */
export function fillChecksum(bytes: Uint8Array, at: number, length: number, pseudo: number): void {
  fill(bytes, at, length, at + CHECKSUM, pseudo)
}

/** For logs and traces: `icmp6 echo id 7 seq 1`, `icmp6 too-big mtu 1280`. Requires a header in bounds. */
export function describe(bytes: Uint8Array, at: number): string {
  const kind = type(bytes, at)
  switch (kind) {
    case Type.EchoRequest:
    case Type.EchoReply:
      return `icmp6 ${kind === Type.EchoRequest ? 'echo' : 'echo-reply'} id ${identifier(bytes, at)} seq ${sequence(bytes, at)}`
    case Type.PacketTooBig:
      return `icmp6 too-big mtu ${mtu(bytes, at)}`
    case Type.DestinationUnreachable:
      return `icmp6 unreachable code ${code(bytes, at)}`
    case Type.TimeExceeded:
      return `icmp6 time-exceeded code ${code(bytes, at)}`
    default:
      return `icmp6 type ${kind} code ${code(bytes, at)}`
  }
}
