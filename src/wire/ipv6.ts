/**
 * The IPv6 header, RFC 8200 section 3. What may stand between it and the transport is in `extensions.ts`.
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
 * Addresses are as loaded, word by word; all else are the numbers that the header says.
 */
import { text6 } from './address.ts'
import { load32, read16, read32, store32, write16, write32 } from './bytes.ts'
import { protocolName } from './protocol.ts'

const VERSION = 0
const PAYLOAD_LENGTH = 4
const NEXT_HEADER = 6
const HOP_LIMIT = 7
const SOURCE = 8
const DESTINATION = 24

/** Bytes of the header without extensions. */
export const HEADER_LEN = 40
/** The least MTU of a link. RFC 8200 section 5. */
export const MIN_MTU = 1280

/** Why a header cannot be used. */
export const Fault = { None: 0, Truncated: 1, Version: 2, PayloadLength: 3 } as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/**
 * Why the packet in `at` to `end` is no IPv6 packet, or `Fault.None`: then every accessor is in bounds and
 * the payload does not pass `end`. Setting version or payload length invalidates this. Extension headers are
 * apart.
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

/** One line for logs and traces: `fd00::1 > fd00::2 tcp hops 64 length 40`. Requires a header in bounds. */
export function describe(bytes: Uint8Array, at: number): string {
  const word = (index: number) => load32(bytes, at + SOURCE + (index << 2))
  return (
    `${text6(word(0), word(1), word(2), word(3))} > ${text6(word(4), word(5), word(6), word(7))}` +
    ` ${protocolName(nextHeader(bytes, at))} hops ${hopLimit(bytes, at)} length ${payloadLength(bytes, at)}`
  )
}
