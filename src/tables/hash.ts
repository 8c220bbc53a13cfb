/**
 * The keyed hash of flow tuples: two multilinear sums over the 16-bit halves of the key, the upper half of each taken.
 *
 * A multilinear sum with secret random 32-bit keys over 16-bit characters is strongly universal in its upper 17 bits (Lemire and
 * Kaser, "Strongly universal string hashing is fast", The Computer Journal 57, 2014): for two different tuples, chosen by someone who
 * does not know the keys, the chance of a collision is that of a coin tossed for every bit. Unlike a public mixing function with a seed
 * there is no set of tuples that collides under every key. It is also cheap where 64-bit multiplication is not to be had: one
 * `Math.imul` a half, all independent of each other.
 *
 * Such a sum is linear: tuples in a row (ports, clients) are sent to slots in a row of equal steps, and under one secret in
 * twenty the steps of some row nearly meet, which piles its entries up to runs of hundreds of slots. So the sum is mixed at the
 * end, by a bijection, which keeps apart what is apart and takes the steps away (test/tables/hash.test.ts has such rows).
 *
 * The characters are halves of the key's words as they were loaded; the byte order does not matter to a hash.
 */

/** Halves of the longest key: two IPv6 addresses, the ports, the tag. */
const HALVES = 20
/** 32-bit words of secret that `Hasher` wants: two sums, a constant each. */
export const HASH_KEYS = 2 * (HALVES + 1)

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
    const a0 = a & 0xffff
    const a1 = a >>> 16
    const b0 = b & 0xffff
    const b1 = b >>> 16
    const p0 = ports & 0xffff
    const p1 = ports >>> 16
    const t0 = tag & 0xffff
    const t1 = tag >>> 16
    const high =
      (k[0] +
        Math.imul(a0, k[1]) +
        Math.imul(a1, k[2]) +
        Math.imul(b0, k[3]) +
        Math.imul(b1, k[4]) +
        Math.imul(p0, k[5]) +
        Math.imul(p1, k[6]) +
        Math.imul(t0, k[7]) +
        Math.imul(t1, k[8])) |
      0
    const low =
      (k[21] +
        Math.imul(a0, k[22]) +
        Math.imul(a1, k[23]) +
        Math.imul(b0, k[24]) +
        Math.imul(b1, k[25]) +
        Math.imul(p0, k[26]) +
        Math.imul(p1, k[27]) +
        Math.imul(t0, k[28]) +
        Math.imul(t1, k[29])) |
      0
    return mixed((high & 0xffff0000) | (low >>> 16))
  }

  /** Hash of an IPv6 tuple: four words at `words[a]`, four at `words[b]`, the ports, the tag. */
  hash6(words: Int32Array, a: number, b: number, ports: number, tag: number): number {
    const k = this.#keys
    let high = (k[0] + Math.imul(ports & 0xffff, k[1]) + Math.imul(ports >>> 16, k[2])) | 0
    high = (high + Math.imul(tag & 0xffff, k[3]) + Math.imul(tag >>> 16, k[4])) | 0
    let low = (k[21] + Math.imul(ports & 0xffff, k[22]) + Math.imul(ports >>> 16, k[23])) | 0
    low = (low + Math.imul(tag & 0xffff, k[24]) + Math.imul(tag >>> 16, k[25])) | 0
    for (let i = 0; i < 4; i++) {
      const x = words[a + i]
      const y = words[b + i]
      const at = 5 + i * 4
      high =
        (high +
          Math.imul(x & 0xffff, k[at]) +
          Math.imul(x >>> 16, k[at + 1]) +
          Math.imul(y & 0xffff, k[at + 2]) +
          Math.imul(y >>> 16, k[at + 3])) |
        0
      low =
        (low +
          Math.imul(x & 0xffff, k[at + 21]) +
          Math.imul(x >>> 16, k[at + 22]) +
          Math.imul(y & 0xffff, k[at + 23]) +
          Math.imul(y >>> 16, k[at + 24])) |
        0
    }
    return mixed((high & 0xffff0000) | (low >>> 16))
  }
}

/** A bijection that is not linear; the constants are those of Chris Wellons' search for 32-bit mixers. */
function mixed(sum: number): number {
  const product = Math.imul(sum ^ (sum >>> 15), 0x2c1b3c6d)
  return product ^ (product >>> 16)
}
