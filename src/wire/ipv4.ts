/**
 * The IPv4 header, RFC 791 section 3.1.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------+-------+---------------+-------------------------------+
 *    |version|  ihl  |    service    |         total length          |
 *    +-------+-------+---------------+-----+-------------------------+
 *    |        identification         |flags|     fragment offset     |
 *    +---------------+---------------+-----+-------------------------+
 *    |      ttl      |   protocol    |        header checksum        |
 *    +---------------+---------------+-------------------------------+
 *    |                            source                             |
 *    +---------------------------------------------------------------+
 *    |                          destination                          |
 *    +---------------------------------------------------------------+
 *    |                    options, 0 to 40 bytes                     |
 *    +---------------------------------------------------------------+
 *
 * Addresses and the checksum are as loaded (`checksum.ts` says why), all else are the numbers that the header
 * says.
 */
import { text4 } from './address.ts'
import { load16, load32, read16, store16, store32, wordOf, write16 } from './bytes.ts'
import { addDelta, fill, holds } from './checksum.ts'
import { protocolName } from './protocol.ts'

const VERSION_AND_LENGTH = 0
const SERVICE = 1
const TOTAL_LENGTH = 2
const IDENTIFICATION = 4
const FRAGMENT = 6
const TTL = 8
const PROTOCOL = 9
const CHECKSUM = 10
const SOURCE = 12
const DESTINATION = 16

/** Bytes of a header without options. */
export const HEADER_LEN = 20
/** Bytes of the longest header. */
export const MAX_HEADER_LEN = 60
/** The least MTU of a link, and a floor for what a Fragmentation Needed may ask for. RFC 791 section 3.2. */
export const MIN_MTU = 68

/** Flags of `setFragment`, as they stand in the 16 bits before the offset. */
export const DONT_FRAGMENT = 0x4000
export const MORE_FRAGMENTS = 0x2000
const OFFSET_MASK = 0x1fff
const FRAGMENT_MASK = MORE_FRAGMENTS | OFFSET_MASK

/** Bits of the second word *as loaded* that are set in any fragment: the more flag and the offset. */
export const FRAGMENT_WORD_MASK = wordOf(0, 0, FRAGMENT_MASK >>> 8, FRAGMENT_MASK & 0xff)
/** Bits of the second word *as loaded* that are set in any fragment but the first. */
export const OFFSET_WORD_MASK = wordOf(0, 0, OFFSET_MASK >>> 8, OFFSET_MASK & 0xff)

/**
 * What the sum of the header changes by when the TTL, the low byte of a half as loaded, is one less: ~m + (m
 * - 1).
 */
const TTL_DELTA = 0xfffe

/** Why a header cannot be used, in the order of RFC 1812 section 5.2.2. */
export const Fault = { None: 0, Truncated: 1, Version: 2, HeaderLength: 3, TotalLength: 4 } as const
export type Fault = (typeof Fault)[keyof typeof Fault]

/** What the options of a header come to. */
export const OptionFault = { None: 0, Malformed: 1, SourceRoute: 2 } as const
export type OptionFault = (typeof OptionFault)[keyof typeof OptionFault]

const END_OF_OPTIONS = 0
const NO_OPERATION = 1
const RECORD_ROUTE = 7
const TIMESTAMP = 68
const LOOSE_SOURCE_ROUTE = 131
const STRICT_SOURCE_ROUTE = 137
const ROUTER_ALERT = 148

/**
 * Why the packet in `at` to `end` is no IPv4 packet, or `Fault.None`: then every accessor is in bounds,
 * options too, and the total length does not pass `end`. Setting version, header length or total length
 * invalidates this. The checksum is apart.
 */
export function fault(bytes: Uint8Array, at: number, end: number): Fault {
  const header = headerFault(bytes, at, end)
  if (header !== Fault.None) return header
  const total = totalLength(bytes, at)
  return total < headerLength(bytes, at) || at + total > end ? Fault.TotalLength : Fault.None
}

/** As `fault`, but the total length may pass `end`: for packets that an ICMP error quotes. */
export function headerFault(bytes: Uint8Array, at: number, end: number): Fault {
  if (end - at < HEADER_LEN) return Fault.Truncated
  if (bytes[at + VERSION_AND_LENGTH] >>> 4 !== 4) return Fault.Version
  const length = headerLength(bytes, at)
  return length < HEADER_LEN || at + length > end ? Fault.HeaderLength : Fault.None
}

/** True when `fault` finds nothing. */
export const fits = (bytes: Uint8Array, at: number, end: number): boolean =>
  fault(bytes, at, end) === Fault.None

export const version = (bytes: Uint8Array, at: number): number => bytes[at + VERSION_AND_LENGTH] >>> 4
/** In bytes, with options. */
export const headerLength = (bytes: Uint8Array, at: number): number =>
  (bytes[at + VERSION_AND_LENGTH] & 0x0f) << 2
/** DSCP and ECN. */
export const service = (bytes: Uint8Array, at: number): number => bytes[at + SERVICE]
/** In bytes, header and payload. */
export const totalLength = (bytes: Uint8Array, at: number): number => read16(bytes, at + TOTAL_LENGTH)
export const identification = (bytes: Uint8Array, at: number): number => read16(bytes, at + IDENTIFICATION)
export const dontFragment = (bytes: Uint8Array, at: number): boolean =>
  (read16(bytes, at + FRAGMENT) & DONT_FRAGMENT) !== 0
export const moreFragments = (bytes: Uint8Array, at: number): boolean =>
  (read16(bytes, at + FRAGMENT) & MORE_FRAGMENTS) !== 0
/** In bytes, a multiple of 8 up to 65528. */
export const fragmentOffset = (bytes: Uint8Array, at: number): number =>
  (read16(bytes, at + FRAGMENT) & OFFSET_MASK) << 3
/** True of first, middle and last fragments, false of whole packets. */
export const isFragment = (bytes: Uint8Array, at: number): boolean =>
  (read16(bytes, at + FRAGMENT) & FRAGMENT_MASK) !== 0
export const ttl = (bytes: Uint8Array, at: number): number => bytes[at + TTL]
export const protocol = (bytes: Uint8Array, at: number): number => bytes[at + PROTOCOL]
/** A half as loaded. */
export const checksum = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM)
/** A word as loaded. */
export const source = (bytes: Uint8Array, at: number): number => load32(bytes, at + SOURCE)
/** A word as loaded. */
export const destination = (bytes: Uint8Array, at: number): number => load32(bytes, at + DESTINATION)
/** Where the payload begins. */
export const payloadAt = (bytes: Uint8Array, at: number): number => at + headerLength(bytes, at)
/** Where the packet ends by its own account. */
export const endAt = (bytes: Uint8Array, at: number): number => at + totalLength(bytes, at)
/** True when the header checksum is right. */
export const checksumHolds = (bytes: Uint8Array, at: number): boolean =>
  holds(bytes, at, headerLength(bytes, at), 0)

/**
 * What the options come to. Source routes are refused whole (RFC 7126 section 4.3); lengths and pointers that
 * point outside of an option or of the header are malformed; unknown options pass. Requires `fits` or a
 * `headerFault` of `None`.
 */
export function optionFault(bytes: Uint8Array, at: number): OptionFault {
  const end = at + headerLength(bytes, at)
  let option = at + HEADER_LEN
  while (option < end) {
    const kind = bytes[option]
    if (kind === END_OF_OPTIONS) return OptionFault.None
    if (kind === NO_OPERATION) {
      option++
      continue
    }
    if (option + 1 === end) return OptionFault.Malformed
    const length = bytes[option + 1]
    if (length < 2 || option + length > end) return OptionFault.Malformed
    if (kind === LOOSE_SOURCE_ROUTE || kind === STRICT_SOURCE_ROUTE) return OptionFault.SourceRoute
    if (kind === RECORD_ROUTE && !routePointerHolds(bytes, option, length)) return OptionFault.Malformed
    if (kind === TIMESTAMP && !timestampHolds(bytes, option, length)) return OptionFault.Malformed
    if (kind === ROUTER_ALERT && length !== 4) return OptionFault.Malformed
    option += length
  }
  return OptionFault.None
}

/**
 * The pointer of a record route is from 4, counted from 1, and there is room for an address where it points,
 * or none left at all.
 */
function routePointerHolds(bytes: Uint8Array, option: number, length: number): boolean {
  if (length < 3) return false
  const pointer = bytes[option + 2]
  return pointer >= 4 && (pointer > length || pointer + 3 <= length)
}

/**
 * The pointer of a timestamp option is from 5, with room for an entry of 4 bytes, or of 8 where addresses are
 * recorded too (flags 1 and 3).
 */
function timestampHolds(bytes: Uint8Array, option: number, length: number): boolean {
  if (length < 4) return false
  const pointer = bytes[option + 2]
  const flag = bytes[option + 3] & 0x0f
  const entry = flag === 0 ? 4 : 8
  return pointer >= 5 && (pointer > length || pointer + entry - 1 <= length)
}

/** Version 4 and a header length in bytes, a multiple of 4 from 20 to 60. */
export function setHeaderLength(bytes: Uint8Array, at: number, length: number): void {
  bytes[at + VERSION_AND_LENGTH] = 0x40 | (length >>> 2)
}
export function setService(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + SERVICE] = value
}
export function setTotalLength(bytes: Uint8Array, at: number, length: number): void {
  write16(bytes, at + TOTAL_LENGTH, length)
}
export function setIdentification(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + IDENTIFICATION, value)
}
/** @param offset in bytes, a multiple of 8 @param flags DONT_FRAGMENT, MORE_FRAGMENTS, both or 0 */
export function setFragment(bytes: Uint8Array, at: number, offset: number, flags: number): void {
  write16(bytes, at + FRAGMENT, flags | (offset >>> 3))
}
export function setTtl(bytes: Uint8Array, at: number, hops: number): void {
  bytes[at + TTL] = hops
}
export function setProtocol(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + PROTOCOL] = value
}
/** Stores a half as loaded. */
export function setChecksum(bytes: Uint8Array, at: number, half: number): void {
  store16(bytes, at + CHECKSUM, half)
}
/** Stores a word as loaded. */
export function setSource(bytes: Uint8Array, at: number, word: number): void {
  store32(bytes, at + SOURCE, word)
}
/** Stores a word as loaded. */
export function setDestination(bytes: Uint8Array, at: number, word: number): void {
  store32(bytes, at + DESTINATION, word)
}

/**
 * Takes one from the TTL and keeps the checksum as right or wrong as it was. The caller has seen that the TTL
 * is not 0.
 */
export function decrementTtl(bytes: Uint8Array, at: number): void {
  bytes[at + TTL]--
  setChecksum(bytes, at, addDelta(checksum(bytes, at), TTL_DELTA))
}

/** Computes and stores the header checksum. */
export function fillChecksum(bytes: Uint8Array, at: number): void {
  fill(bytes, at, headerLength(bytes, at), at + CHECKSUM, 0)
}

/**
 * One line for logs and traces: `10.0.0.1 > 10.0.1.20 tcp ttl 64 length 60 id 1 df`. Requires a header in
 * bounds.
 */
export function describe(bytes: Uint8Array, at: number): string {
  const id = identification(bytes, at)
  const flags = `${dontFragment(bytes, at) ? ' df' : ''}${moreFragments(bytes, at) ? ' mf' : ''}`
  const place = isFragment(bytes, at) ? ` offset ${fragmentOffset(bytes, at)}` : ''
  return (
    `${text4(source(bytes, at))} > ${text4(destination(bytes, at))} ${protocolName(protocol(bytes, at))}` +
    ` ttl ${ttl(bytes, at)} length ${totalLength(bytes, at)} id ${id}${place}${flags}`
  )
}
