/**
 * A flat hash map from (scope, address) to a number: which environment a source is, which ENI a VPC address is.
 *
 * Control builds it once a plan (`buildAddresses`), shards read it (`AddressMap`). It is made of one Int32Array so that it crosses
 * threads as it is: six words a slot, open addressing, linear probing, a power of two of slots at most half full. The keys are
 * those of the configuration, no stranger chooses them, so the hash needs no secret.
 */
const WORDS = 6
const IPV6 = 1 << 31

/** What `find4` and `find6` answer for an address that is not in the map. */
export const ABSENT = -1

/** One entry of the map. `address` has one word (IPv4) or four (IPv6), as loaded from a packet. */
export interface AddressEntry {
  readonly scope: number
  readonly address: ArrayLike<number>
  readonly value: number
}

const mix = (scope: number, a: number, b: number, c: number, d: number): number => {
  let h = Math.imul(scope ^ 0x9e3779b9, 0x85ebca6b)
  h = Math.imul(h ^ a ^ (h >>> 15), 0xc2b2ae35)
  h = Math.imul(h ^ b ^ (h >>> 13), 0x27d4eb2f)
  h = Math.imul(h ^ c ^ (h >>> 15), 0x165667b1)
  h = Math.imul(h ^ d ^ (h >>> 13), 0x85ebca6b)
  return h ^ (h >>> 16)
}

/**
 * The slots of a map with these entries. Two entries with the same scope and address are an error of the caller.
 * @throws RangeError for a duplicate
 */
export function buildAddresses(entries: readonly AddressEntry[]): Int32Array {
  let size = 8
  while (size < entries.length * 2) size *= 2
  const slots = new Int32Array(size * WORDS)
  for (const { scope, address, value } of entries) {
    const wide = address.length === 4
    const key = wide ? scope | IPV6 : scope
    const [a, b, c, d] = wide ? [address[0], address[1], address[2], address[3]] : [address[0], 0, 0, 0]
    let at = (mix(key, a, b, c, d) & (size - 1)) * WORDS
    while (slots[at + 5] !== 0) {
      if (
        slots[at] === key &&
        slots[at + 1] === a &&
        slots[at + 2] === b &&
        slots[at + 3] === c &&
        slots[at + 4] === d
      )
        throw new RangeError(`addresses: the same address twice in scope ${scope}`)
      at += WORDS
      if (at === slots.length) at = 0
    }
    slots[at] = key
    slots[at + 1] = a
    slots[at + 2] = b
    slots[at + 3] = c
    slots[at + 4] = d
    slots[at + 5] = value + 1
  }
  return slots
}

export class AddressMap {
  readonly #slots: Int32Array
  readonly #mask: number

  constructor(slots: Int32Array) {
    this.#slots = slots
    this.#mask = slots.length / WORDS - 1
  }

  /** The value of an IPv4 address in a scope, or ABSENT. */
  find4(scope: number, address: number): number {
    return this.#find(scope, address, 0, 0, 0)
  }

  /** The value of the IPv6 address at `words[at]` in a scope, or ABSENT. */
  find6(scope: number, words: Int32Array, at: number): number {
    return this.#find(scope | IPV6, words[at], words[at + 1], words[at + 2], words[at + 3])
  }

  #find(key: number, a: number, b: number, c: number, d: number): number {
    const slots = this.#slots
    let slot = mix(key, a, b, c, d) & this.#mask
    for (;;) {
      const at = slot * WORDS
      const value = slots[at + 5]
      if (value === 0) return ABSENT
      if (
        slots[at] === key &&
        slots[at + 1] === a &&
        slots[at + 2] === b &&
        slots[at + 3] === c &&
        slots[at + 4] === d
      )
        return value - 1
      slot = (slot + 1) & this.#mask
    }
  }
}
