/**
 * The Internet checksum: RFC 1071, incremental updates after RFC 1624, pseudo-headers of RFC 9293, RFC 768
 * and RFC 8200 section 8.1.
 *
 * Everything here is in the byte order of memory. RFC 1071 section 2(B): a one's-complement sum of swapped
 * halves is the swapped sum, so halves and words are summed as they are loaded and a checksum is stored as it
 * comes out, with `store16`; nothing is swapped on the way. Functions that take no bytes (`fold`, the deltas,
 * the updates) hold in either order, as long as all arguments of a call are in the same one. Plain numbers
 * appear in two places only, the protocol and the length of a pseudo-header.
 *
 * A *sum* is a folded one's-complement sum, 0 to 0xffff, where 0 and 0xffff are both zero; it is 0 only if
 * all that was summed is. A *checksum* is what a header's field holds: the complement of a sum. A *delta* is
 * a sum: what replacing some bytes adds to the sum of the packet. Deltas of several changes are added with
 * `addSums`; that of the change undone is the complement.
 *
 * Updates use equation 3 of RFC 1624, ~(~C + ~m + m'), which never yields the wrong one of the two zeros from
 * a correct packet; the subtracting forms of RFC 1141 and equation 4 do.
 */
import { load16, store16, swap16 } from './bytes.ts'

/** What every half of a packet adds up to when its checksum is right. */
const ALL_ONES = 0xffff

/** Folds the carries of a sum of up to 32 bits (signed integers count as unsigned) into 16. */
export function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** One's-complement addition of two sums or deltas. */
export function addSums(a: number, b: number): number {
  const sum = a + b
  return (sum & 0xffff) + (sum >>> 16)
}

/**
 * The checksum of a sum, and the sum of a checksum; also the delta of a change undone from that of the
 * change.
 */
export const complement = (sum: number): number => ~sum & 0xffff

/** What replacing one half by another adds to a sum. */
export const delta16 = (from: number, to: number): number => addSums(~from & 0xffff, to & 0xffff)

/** What replacing one word by another adds to a sum. */
export const delta32 = (from: number, to: number): number =>
  fold((~from & 0xffff) + (~from >>> 16) + (to & 0xffff) + (to >>> 16))

/** A checksum after a change of the bytes that it covers. RFC 1624 equation 3. */
export const addDelta = (checksum: number, delta: number): number =>
  ~addSums(~checksum & 0xffff, delta) & 0xffff

/**
 * A UDP checksum over IPv4 after a change of the bytes that it covers: 0 says that there is no checksum and
 * stays, and a checksum that comes out as 0 is sent as 0xffff. RFC 768.
 */
export function addDeltaUdp(checksum: number, delta: number): number {
  if (checksum === 0) return 0
  const updated = addDelta(checksum, delta)
  return updated === 0 ? ALL_ONES : updated
}

/**
 * The field of a packet with VIRTIO NEEDS_CSUM after a change of its pseudo-header: the field holds the sum
 * of the pseudo-header, not complemented. Changes of anything but addresses and length do not concern it.
 */
export const addDeltaPartial = (sum: number, delta: number): number => addSums(sum, delta)

/** A checksum after one of the halves it covers was replaced. */
export const update16 = (checksum: number, from: number, to: number): number =>
  addDelta(checksum, delta16(from, to))

/** A checksum after one of the words it covers was replaced. */
export const update32 = (checksum: number, from: number, to: number): number =>
  addDelta(checksum, delta32(from, to))

/**
 * The sum of `length` bytes, at most 65535, at any alignment. A last odd byte counts as the first of a half
 * whose second is 0. The even and the odd bytes are summed apart and shifted once at the end, which needs no
 * shift in the loop.
 */
export function sumBytes(bytes: Uint8Array, at: number, length: number): number {
  const end = at + length
  const unrolledEnd = end - 7
  let even = 0
  let odd = 0
  let i = at
  for (; i < unrolledEnd; i += 8) {
    even += bytes[i] + bytes[i + 2] + bytes[i + 4] + bytes[i + 6]
    odd += bytes[i + 1] + bytes[i + 3] + bytes[i + 5] + bytes[i + 7]
  }
  for (; i + 1 < end; i += 2) {
    even += bytes[i]
    odd += bytes[i + 1]
  }
  if (i < end) even += bytes[i]
  return fold(even + (odd << 8))
}

/**
 * The same sum, read as words in less than half the time: for long ranges that begin on a word. `at` is in
 * bytes and a multiple of 4, `length` at most 65535; the words that the range touches must exist, bytes of
 * the last one past the range do not count.
 */
export function sumWords(words: Int32Array, at: number, length: number): number {
  const last = (at + length) >> 2
  const unrolledEnd = last - 3
  let low = 0
  let high = 0
  let i = at >> 2
  // Four words a step take a quarter less time than one, and `| 0` spares a check for overflow that cannot be.
  for (; i < unrolledEnd; i += 4) {
    const a = words[i]
    const b = words[i + 1]
    const c = words[i + 2]
    const d = words[i + 3]
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0
  }
  for (; i < last; i++) {
    low += words[i] & 0xffff
    high += words[i] >>> 16
  }
  const rest = length & 3
  if (rest !== 0) {
    const word = words[last] & ((1 << (rest << 3)) - 1)
    low += word & 0xffff
    high += word >>> 16
  }
  return addSums(fold(low), fold(high))
}

/**
 * The sum of the pseudo-header of RFC 9293 and RFC 768. Addresses are words as loaded, protocol and transport
 * length plain.
 */
export const pseudoSum4 = (source: number, destination: number, protocol: number, length: number): number =>
  fold(
    (source & 0xffff) +
      (source >>> 16) +
      (destination & 0xffff) +
      (destination >>> 16) +
      swap16(protocol) +
      swap16(length),
  )

/**
 * The sum of the pseudo-header of RFC 8200 section 8.1. `addresses` is where the 32 bytes of source and
 * destination begin; behind a routing header with segments left, the destination that counts is another (its
 * last address) and this is not it.
 */
export const pseudoSum6 = (bytes: Uint8Array, addresses: number, protocol: number, length: number): number =>
  fold(sumBytes(bytes, addresses, 32) + swap16(protocol) + swap16(length))

/**
 * Computes and stores a checksum over `length` bytes from `at`, whose field is at `field`.
 * @param pseudo the sum of the pseudo-header, 0 where there is none (IPv4 header, ICMP)
 */
export function fill(bytes: Uint8Array, at: number, length: number, field: number, pseudo: number): void {
  store16(bytes, field, 0)
  store16(bytes, field, complement(addSums(sumBytes(bytes, at, length), pseudo)))
}

/** As `fill`, for UDP: a checksum that comes out as 0 is sent as 0xffff. RFC 768. */
export function fillUdp(bytes: Uint8Array, at: number, length: number, field: number, pseudo: number): void {
  fill(bytes, at, length, field, pseudo)
  if (load16(bytes, field) === 0) store16(bytes, field, ALL_ONES)
}

/**
 * Completes a checksum that a sender left to the device (VIRTIO NEEDS_CSUM): the field at `field` holds the
 * sum of the pseudo-header, the `length` bytes from `at` are what it covers. 0 becomes 0xffff whatever the
 * protocol, which says the same.
 */
export function completePartial(bytes: Uint8Array, at: number, length: number, field: number): void {
  const checksum = complement(sumBytes(bytes, at, length))
  store16(bytes, field, checksum === 0 ? ALL_ONES : checksum)
}

/**
 * True when the checksum within `length` bytes from `at` is right. A UDP checksum of 0 over IPv4 is none and
 * is the caller's to see.
 * @param pseudo the sum of the pseudo-header, 0 where there is none (IPv4 header, ICMP)
 */
export const holds = (bytes: Uint8Array, at: number, length: number, pseudo: number): boolean =>
  addSums(sumBytes(bytes, at, length), pseudo) === ALL_ONES
