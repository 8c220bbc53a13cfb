/**
 * Byte order, all of it: no other file shifts bytes into numbers.
 *
 * There are two ways to see the bytes of a packet, and their verbs keep them apart. *read* and *write* are
 * network order: the number a person would say (port 443, sequence number 1). *load* and *store* are the
 * order of memory on a little-endian machine: what an `Int32Array` over the same bytes holds, compared,
 * hashed and summed without swapping. `swap16` and `swap32` cross from one to the other. 32-bit values are
 * signed, so that V8 keeps them as small integers or plain 32-bit registers.
 */

/** The 16 bits at `at` as the number they say in network order, 0 to 65535. */
export const read16 = (bytes: Uint8Array, at: number): number => (bytes[at] << 8) | bytes[at + 1]

/** The 32 bits at `at` as the signed number they say in network order: 192.168.1.1 is -1062731519. */
export const read32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]

/** The 16 bits at `at` as a little-endian machine loads them. */
export const load16 = (bytes: Uint8Array, at: number): number => bytes[at] | (bytes[at + 1] << 8)

/** The 32 bits at `at` as an `Int32Array` holds them, at any alignment. */
export const load32 = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)

/** Writes the low 16 bits of `value` in network order. */
export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

/** Writes the low 32 bits of `value`, signed or not, in network order. */
export function write32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** Stores a half as loaded: the inverse of `load16`. */
export function store16(bytes: Uint8Array, at: number, half: number): void {
  bytes[at] = half
  bytes[at + 1] = half >>> 8
}

/** Stores a word as loaded: the inverse of `load32`. */
export function store32(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word
  bytes[at + 1] = word >>> 8
  bytes[at + 2] = word >>> 16
  bytes[at + 3] = word >>> 24
}

/**
 * A half as loaded from the number it says, or the number from the half; only the low 16 bits of the argument
 * count.
 */
export const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff)

/** A word as loaded from the signed number it says, or the number from the word. */
export const swap32 = (value: number): number =>
  (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)

/**
 * The word that is loaded from four bytes in this order: `wordOf(10, 0, 0, 1)` is 10.0.0.1 in packet memory.
 */
export const wordOf = (first: number, second: number, third: number, fourth: number): number =>
  first | (second << 8) | (third << 16) | (fourth << 24)

/** Byte 0 (first in memory) to 3 of a word as loaded. */
export const byteOf = (word: number, index: number): number => (word >>> (index << 3)) & 0xff

/** Moves bytes between two places, which may be in the same array and overlap. Allocates nothing. */
export function copyBytes(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  if (to === from) {
    to.copyWithin(toAt, fromAt, fromAt + length)
    return
  }
  for (let i = 0; i < length; i++) to[toAt + i] = from[fromAt + i]
}
