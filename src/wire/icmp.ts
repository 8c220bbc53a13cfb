/**
 * ICMP for IPv4, RFC 792, with the MTU of RFC 1191 and the extension length of RFC 4884.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |     type      |     code      |           checksum            |
 *    +---------------+---------------+-------------------------------+
 *    |          identifier           |        sequence number        |  queries
 *    +---------------+---------------+-------------------------------+
 *    |    unused     | length, words |         next-hop mtu          |  errors
 *    +---------------+---------------+-------------------------------+
 *    |        an error quotes the packet that it is about ...        |
 *    +---------------------------------------------------------------+
 *
 * The checksum covers the message and no pseudo-header.
 */
import { load16, read16, store16, write16, write32 } from './bytes.ts'
import { fill, holds } from './checksum.ts'

const TYPE = 0
const CODE = 1
const CHECKSUM = 2
const REST = 4
const IDENTIFIER = 4
const QUOTED_WORDS = 5
const SEQUENCE = 6
const NEXT_HOP_MTU = 6

export const HEADER_LEN = 8

export const Type = {
  EchoReply: 0,
  DestinationUnreachable: 3,
  SourceQuench: 4,
  Redirect: 5,
  Echo: 8,
  RouterAdvertisement: 9,
  RouterSolicitation: 10,
  TimeExceeded: 11,
  ParameterProblem: 12,
  Timestamp: 13,
  TimestampReply: 14,
  InformationRequest: 15,
  InformationReply: 16,
  AddressMaskRequest: 17,
  AddressMaskReply: 18,
} as const

/** Codes of Destination Unreachable. RFC 792, RFC 1812 section 5.2.7.1. */
export const Unreachable = {
  Network: 0,
  Host: 1,
  Protocol: 2,
  Port: 3,
  FragmentationNeeded: 4,
  SourceRouteFailed: 5,
  Prohibited: 13,
} as const

/** Codes of Time Exceeded. */
export const Exceeded = { InTransit: 0, Reassembly: 1 } as const

/**
 * True when every accessor below is in bounds. What an error quotes is checked apart, with
 * `ipv4.headerFault`.
 */
export const fits = (_bytes: Uint8Array, at: number, end: number): boolean => end - at >= HEADER_LEN

export const type = (bytes: Uint8Array, at: number): number => bytes[at + TYPE]
export const code = (bytes: Uint8Array, at: number): number => bytes[at + CODE]
/** A half as loaded. */
export const checksum = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM)
/** Of a query. */
export const identifier = (bytes: Uint8Array, at: number): number => read16(bytes, at + IDENTIFIER)
/** Of a query. */
export const sequence = (bytes: Uint8Array, at: number): number => read16(bytes, at + SEQUENCE)
/** Of a Fragmentation Needed, in bytes; 0 from routers older than RFC 1191. */
export const nextHopMtu = (bytes: Uint8Array, at: number): number => read16(bytes, at + NEXT_HOP_MTU)
/** Where the packet that an error quotes begins. */
export const quotedAt = (at: number): number => at + HEADER_LEN
/**
 * Where the quotation of an error ends: at `end`, where the message does, or earlier if it states a length
 * because extension objects follow. RFC 4884 section 5. A length that passes the end is a lie and is ignored.
 */
export function quotedEnd(bytes: Uint8Array, at: number, end: number): number {
  const kind = bytes[at + TYPE]
  if (kind !== Type.DestinationUnreachable && kind !== Type.TimeExceeded && kind !== Type.ParameterProblem)
    return end
  const stated = bytes[at + QUOTED_WORDS] << 2
  const last = at + HEADER_LEN + stated
  return stated === 0 || last > end ? end : last
}

/** True of the types that report about a packet and quote it. RFC 1122 section 3.2.2. */
export const isError = (kind: number): boolean =>
  (kind >= Type.DestinationUnreachable && kind <= Type.Redirect) ||
  kind === Type.TimeExceeded ||
  kind === Type.ParameterProblem

/**
 * True of the types that are questions and answers, router discovery left out: there is no error to fear in
 * them.
 */
export const isQuery = (kind: number): boolean =>
  kind === Type.EchoReply || kind === Type.Echo || (kind >= Type.Timestamp && kind <= Type.AddressMaskReply)

/** True when the checksum over `length` bytes, the whole message, is right. */
export const checksumHolds = (bytes: Uint8Array, at: number, length: number): boolean =>
  holds(bytes, at, length, 0)

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
export function setNextHopMtu(bytes: Uint8Array, at: number, mtu: number): void {
  write16(bytes, at + NEXT_HOP_MTU, mtu)
}
/**
 * The second word of the header as a number: an MTU is in its low half, a Parameter Problem's pointer in its
 * high byte.
 */
export function setRest(bytes: Uint8Array, at: number, value: number): void {
  write32(bytes, at + REST, value)
}

/** Computes and stores the checksum over `length` bytes, the whole message. */
export function fillChecksum(bytes: Uint8Array, at: number, length: number): void {
  fill(bytes, at, length, at + CHECKSUM, 0)
}

/**
 * For logs and traces: `icmp echo id 7 seq 1`, `icmp unreachable code 4 mtu 1280`. Requires a header in
 * bounds.
 */
export function describe(bytes: Uint8Array, at: number): string {
  const kind = type(bytes, at)
  const detail = `code ${code(bytes, at)}`
  switch (kind) {
    case Type.Echo:
    case Type.EchoReply:
      return `icmp ${kind === Type.Echo ? 'echo' : 'echo-reply'} id ${identifier(bytes, at)} seq ${sequence(bytes, at)}`
    case Type.DestinationUnreachable:
      return code(bytes, at) === Unreachable.FragmentationNeeded
        ? `icmp unreachable ${detail} mtu ${nextHopMtu(bytes, at)}`
        : `icmp unreachable ${detail}`
    case Type.TimeExceeded:
      return `icmp time-exceeded ${detail}`
    default:
      return `icmp type ${kind} ${detail}`
  }
}
