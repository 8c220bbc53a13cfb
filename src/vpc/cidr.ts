/**
 * Addresses and prefixes as the model holds them.
 *
 * Words are 32-bit integers as a little-endian machine loads them from a packet (network order, unswapped), one for IPv4 and
 * four for IPv6, so that they go into a plan as they are. Arithmetic happens on the plain value as a bigint: this is the control
 * side, and one way for both families is worth more here than speed. Text is for messages and listings; parsing is done at
 * the edges (`daemon/config-values.ts`).
 */
import { text4, text6 } from '../wire/address.ts'

export type Family = 4 | 6

export interface Address {
  readonly family: Family
  /** One word (IPv4) or four (IPv6), as loaded from a packet. */
  readonly words: readonly number[]
}

export interface Cidr extends Address {
  /** Length of the prefix in bits. */
  readonly prefix: number
}

/** Bits of an address of the family. */
export const bits = (family: Family): number => (family === 4 ? 32 : 128)

/** The word with its bytes in the opposite order. */
export const swap = (word: number): number =>
  (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24) | 0

/** The plain value of an address: 10.0.0.1 is 0x0a000001. */
export function plainValue({ words }: Address): bigint {
  let value = 0n
  for (const word of words) value = (value << 32n) | BigInt(swap(word) >>> 0)
  return value
}

/** The address with this plain value, modulo the size of the family. */
export function fromValue(family: Family, value: bigint): Address {
  const words: number[] = []
  for (let shift = bits(family) - 32; shift >= 0; shift -= 32)
    words.push(swap(Number((value >> BigInt(shift)) & 0xffffffffn) | 0))
  return { family, words }
}

/** The words of the mask of a prefix, in the same byte order as addresses. */
export function maskOf(family: Family, prefix: number): number[] {
  const all = (1n << BigInt(bits(family))) - 1n
  const host = (1n << BigInt(bits(family) - prefix)) - 1n
  return [...fromValue(family, all ^ host).words]
}

/** The prefix with its host bits cleared: 10.0.0.7/24 becomes 10.0.0.0/24. */
export function canonical(cidr: Cidr): Cidr {
  const mask = maskOf(cidr.family, cidr.prefix)
  return { family: cidr.family, words: cidr.words.map((word, i) => word & mask[i]), prefix: cidr.prefix }
}

/** The prefix that holds this address alone. */
export const single = ({ family, words }: Address): Cidr => ({ family, words, prefix: bits(family) })

/** How many addresses the prefix has. */
export const sizeOf = ({ family, prefix }: Cidr): number => 2 ** (bits(family) - prefix)

/** Whether the addresses are one, the family included. */
export const sameAddress = (a: Address, b: Address): boolean =>
  a.family === b.family && a.words.every((word, i) => word === b.words[i])

/** Whether the prefixes are one. */
export const sameCidr = (a: Cidr, b: Cidr): boolean => a.prefix === b.prefix && sameAddress(a, b)

/** Whether the address, or the whole of the prefix, lies in `cidr`. */
export function contains(cidr: Cidr, other: Address | Cidr): boolean {
  if (cidr.family !== other.family) return false
  if ('prefix' in other && other.prefix < cidr.prefix) return false
  const mask = maskOf(cidr.family, cidr.prefix)
  return cidr.words.every((word, i) => (word & mask[i]) === (other.words[i] & mask[i]))
}

/** Whether the prefixes have an address in common, which is when one holds the other. */
export const overlaps = (a: Cidr, b: Cidr): boolean => contains(a, b) || contains(b, a)

/** The address's distance from the start of the prefix; the address lies in the prefix. */
export const offsetIn = (cidr: Cidr, address: Address): bigint =>
  plainValue(address) - plainValue(canonical(cidr))

/** The address at this distance from the start of the prefix. */
export const addressAt = (cidr: Cidr, offset: number | bigint): Address =>
  fromValue(cidr.family, plainValue(canonical(cidr)) + BigInt(offset))

/** The address this many after the given one. */
export const addressAfter = (address: Address, distance: number): Address =>
  fromValue(address.family, plainValue(address) + BigInt(distance))

/** Dotted quad, or the form of RFC 5952. */
export function addressText({ family, words }: Address): string {
  return family === 4 ? text4(words[0]) : text6(words[0], words[1], words[2], words[3])
}

/** The prefix as people write it: `10.0.0.0/24`. */
export const cidrText = (cidr: Cidr): string => `${addressText(cidr)}/${cidr.prefix}`
