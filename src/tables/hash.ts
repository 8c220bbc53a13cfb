/**
 * The keyed hash of flow tuples: a multilinear sum over the 16-bit halves of the key, mixed at the end.
 *
 * A multilinear sum with secret random 32-bit keys over 16-bit characters is universal (Lemire and Kaser, "Strongly universal string
 * hashing is fast", The Computer Journal 57, 2014): two different tuples, chosen by someone who does not know the keys, have
 * the same sum with a chance of at most 2^-17, and of 2^-32 where they differ in the lowest bit of a half. Unlike a public mixing
 * function with a seed there is no set of tuples that collides under every key. It is also cheap where 64-bit
 * multiplication is not to be had: one `Math.imul` a half, all independent of each other.
 *
 * Such a sum is linear: tuples in a row (ports, clients) are sent to slots in a row of equal steps, and under one secret in
 * twenty the steps of some row nearly meet, which piles its entries up to runs of hundreds of slots. So the sum is mixed at the
 * end, by a bijection, which keeps apart what is apart, takes the steps away and brings the upper bits, which are the better ones,
 * to where the slot is taken from (test/tables/hash.test.ts has such rows).
 *
 * The characters are halves of the key's words as they were loaded; the byte order does not matter to a hash.
 */

/** Halves of the longest key: two IPv6 addresses, the ports, the tag. */
const HALVES = 20
/** 32-bit words of secret that `Hasher` wants: a constant and a key for each half. */
export const HASH_KEYS = HALVES + 1

export class Hasher {
  readonly #keys: Int32Array

  /** @param keys HASH_KEYS secret, uniformly random 32-bit words */
  constructor(keys: Int32Array) {
    if (keys.length < HASH_KEYS)
      throw new RangeError(`hash: ${HASH_KEYS} words of secret wanted, got ${keys.length}`)
    this.#keys = keys
  }

  /** Hash of an IPv4 tuple: two addresses, the ports, the tag (see `flows.ts`). */
  hash4(a: number, b: number, ports: number, tag: number): number {
    const k = this.#keys
    return mixed(
      k[0] +
        Math.imul(a & 0xffff, k[1]) +
        Math.imul(a >>> 16, k[2]) +
        Math.imul(b & 0xffff, k[3]) +
        Math.imul(b >>> 16, k[4]) +
        Math.imul(ports & 0xffff, k[5]) +
        Math.imul(ports >>> 16, k[6]) +
        Math.imul(tag & 0xffff, k[7]) +
        Math.imul(tag >>> 16, k[8]),
    )
  }

  /** Hash of an IPv6 tuple: four words at `words[a]`, four at `words[b]`, the ports, the tag. */
  hash6(words: Int32Array, a: number, b: number, ports: number, tag: number): number {
    const k = this.#keys
    let sum = (k[0] + Math.imul(ports & 0xffff, k[1]) + Math.imul(ports >>> 16, k[2])) | 0
    sum = (sum + Math.imul(tag & 0xffff, k[3]) + Math.imul(tag >>> 16, k[4])) | 0
    for (let i = 0; i < 4; i++) {
      const x = words[a + i]
      const y = words[b + i]
      const at = 5 + i * 4
      sum =
        (sum +
          Math.imul(x & 0xffff, k[at]) +
          Math.imul(x >>> 16, k[at + 1]) +
          Math.imul(y & 0xffff, k[at + 2]) +
          Math.imul(y >>> 16, k[at + 3])) |
        0
    }
    return mixed(sum)
  }
}

/** A bijection that is not linear; the constants are those of Chris Wellons' search for 32-bit mixers. */
function mixed(sum: number): number {
  const product = Math.imul(sum ^ (sum >>> 15), 0x2c1b3c6d)
  return product ^ (product >>> 16)
}
