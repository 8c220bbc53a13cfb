/**
 * The flow table: one record a tracked conversation, both directions in it.
 *
 * Records are split by temperature. `hot` is one cache line a flow with all that a packet on the fast path needs; `cold` has the
 * sequence tracking of TCP and the port chain; `address6` the full addresses of IPv6 flows (a flow of IPv4 never touches its part, so it
 * costs no memory there); the links of the LRU lists stand apart because they move at most once a second.
 *
 *     hot, 16 words     IPv4                                   IPv6
 *      0 A              address of end A                       hash of the two addresses, a fingerprint
 *      1 B              address of end B                       0
 *      2 PORTS          port of A | port of B << 16, as loaded from a packet that goes from A to B
 *      3 TAG            protocol | scope << 8 | kind bits << 24
 *      4 TRANSLATED     the ENI's address                      ENI slot   (host flow: device of end A)
 *      5 LEASE          leased port, as loaded | address delta << 16
 *      6 OUT            address and port delta | device of end B << 16
 *      7 GENERATION     of the plan that the flow was decided under
 *      8 STATE          TCP state | timeout class << 8 | flags << 16; 0: the record is free
 *      9 SEEN           tick of the last packet, written at most once a second
 *     10 PACKETS_OUT    11 PACKETS_IN   (unsigned, wrap at 2^32)
 *     12 BYTES_OUT      14 BYTES_IN     (doubles)
 *
 * End A is the inside of a function's flow. A flow between two hosts has its ends in order of address and port, and a flag says which one
 * began; it has no lease. Deltas are one's-complement sums of what leaves and what comes, see `wire/checksum.ts`.
 *
 * The index is open addressing with linear probing over 32-bit slots: 8 bits of the hash, 24 bits of record number + 1. A deletion shifts
 * later entries back, so that there are no tombstones and a probe ends at the first empty slot. Chains are at most MAX_PROBES long: what
 * would need a longer one is refused, which at half load and with a keyed hash does not happen by accident.
 *
 * The record is the truth, and STATE is written last when it is made and first when it is freed: everything else is derived and rebuilt by
 * `rebuild` when a region is opened again, after a kill at any point.
 */
import { Hasher } from './hash.ts'
import type { Section } from './region.ts'

declare const kind: unique symbol
export type FlowId = number & { readonly [kind]: 'flow' }
export const NO_FLOW = -1 as FlowId

/** Words of a record in `hot`. */
export const HOT_WORDS = 16
export const A = 0
export const B = 1
export const PORTS = 2
export const TAG = 3
export const TRANSLATED = 4
export const LEASE = 5
export const OUT = 6
export const GENERATION = 7
export const STATE = 8
export const SEEN = 9
export const PACKETS_OUT = 10
export const PACKETS_IN = 11
/** Index of the double in `bytes`, eight doubles a record. */
export const BYTES_OUT = 6
export const BYTES_IN = 7

/** Words of a record in `cold`. */
export const COLD_WORDS = 8
/** Next flow on the same leased port, record number + 1. */
export const NEXT_ON_PORT = 0
/** ENI slot | window scale of A << 16 | window scale of B << 20; a scale of 15 says that none was offered. */
export const ENI = 1
/** TCP, by sender: end of the data sent, right edge of what may be sent, what the other end acknowledged (RFC 9293). */
export const END_A = 2
export const EDGE_A = 3
export const ACKED_A = 4
export const END_B = 5
export const EDGE_B = 6
export const ACKED_B = 7

/** Kind bits of TAG. */
export const TAG_IPV6 = 1 << 24
/** A flow between two hosts: the scope is a VPC, there is no lease. */
export const TAG_HOSTS = 2 << 24

/** Flags of STATE. */
export const FLAG_LIVE = 1 << 16
/** A packet came from the end that did not begin. */
export const FLAG_ANSWERED = 2 << 16
/** A host flow that end B began. */
export const FLAG_BEGUN_BY_B = 4 << 16
/** The flow has a leased port. */
export const FLAG_LEASED = 8 << 16
/** A FIN was seen from A, from B. */
export const FLAG_FIN_A = 16 << 16
export const FLAG_FIN_B = 32 << 16

/** Bytes of `address6` a record: A, then B. */
export const ADDRESS6_WORDS = 8

/** The longest probe of the index. */
export const MAX_PROBES = 128
/** Record numbers are 24 bits of an index slot, one value means empty. */
export const MAX_FLOWS = (1 << 24) - 2

/* Words of the section `flows` of a region's header. */
const HIGH_WATER = 0
const FREE_HEAD = 1
const LIVE = 2
/** 1 from when the secret is there. */
const HAS_SECRET = 3
const SECRET = 64

/** Slots of the index of a table of this capacity: a power of two, at most half of it in use. */
export const indexSlots = (capacity: number): number => {
  let slots = 1024
  while (slots < capacity * 2) slots *= 2
  return slots
}

/** The sections of a region that a flow table of this capacity lives in. */
export function flowSections(capacity: number): Section[] {
  return [
    { name: 'flows', bytes: 4096 },
    { name: 'hot', bytes: capacity * HOT_WORDS * 4 },
    { name: 'cold', bytes: capacity * COLD_WORDS * 4 },
    { name: 'next', bytes: capacity * 4 },
    { name: 'previous', bytes: capacity * 4 },
    { name: 'created', bytes: capacity * 4 },
    { name: 'index', bytes: indexSlots(capacity) * 4 },
    { name: 'address6', bytes: capacity * ADDRESS6_WORDS * 4 },
  ]
}

/** What gives a table its memory: a `Region`, or anything else that has the sections of `flowSections`. */
export interface FlowMemory {
  words(section: string): Int32Array
  doubles(section: string): Float64Array
}

export class FlowTable {
  readonly capacity: number
  readonly hot: Int32Array
  /** The same memory as `hot`, for the byte counters. */
  readonly bytes: Float64Array
  readonly cold: Int32Array
  readonly address6: Int32Array
  /** Tick at which the flow was admitted. */
  readonly created: Int32Array
  /** Links of the LRU lists (`lru.ts`), record number + 1; `next` also chains free records. */
  readonly next: Int32Array
  readonly previous: Int32Array
  readonly index: Int32Array
  readonly indexMask: number
  readonly hasher: Hasher
  readonly #header: Int32Array

  /**
   * Opens the table in a region, which needs `begin` first.
   * @param memory has the sections of `flowSections(capacity)`
   */
  constructor(memory: FlowMemory, capacity: number) {
    if (capacity < 1 || capacity > MAX_FLOWS)
      throw new RangeError(`flows: capacity 1 to ${MAX_FLOWS}, not ${capacity}`)
    this.capacity = capacity
    this.#header = memory.words('flows')
    this.hot = memory.words('hot')
    this.bytes = memory.doubles('hot')
    this.cold = memory.words('cold')
    this.next = memory.words('next')
    this.previous = memory.words('previous')
    this.created = memory.words('created')
    this.index = memory.words('index')
    this.indexMask = indexSlots(capacity) - 1
    this.address6 = memory.words('address6')
    this.hasher = new Hasher(this.#header.subarray(SECRET))
  }

  /** Gives a region that has none its secret: HASH_KEYS uniformly random words. A region that has one keeps it. */
  static begin(memory: FlowMemory, secret: Int32Array): void {
    const header = memory.words('flows')
    if (header[HAS_SECRET] === 1) return
    header.set(secret, SECRET)
    header[HAS_SECRET] = 1
  }

  /** Flows in the table. */
  get live(): number {
    return this.#header[LIVE]
  }

  /** Every record below this number has been in use once. */
  get highWater(): number {
    return this.#header[HIGH_WATER]
  }

  /** True when no record is free; the caller makes room (`lru.ts`) or refuses. */
  get full(): boolean {
    return this.#header[FREE_HEAD] === 0 && this.#header[HIGH_WATER] === this.capacity
  }

  isLive(id: FlowId): boolean {
    return (this.hot[id * HOT_WORDS + STATE] & FLAG_LIVE) !== 0
  }

  /** The flow with this IPv4 tuple, or NO_FLOW. */
  find4(hash: number, a: number, b: number, ports: number, tag: number): FlowId {
    const index = this.index
    const hot = this.hot
    const mask = this.indexMask
    let slot = hash & mask
    for (;;) {
      const entry = index[slot]
      if (entry === 0) return NO_FLOW
      if (((entry ^ hash) & 0xff000000) === 0) {
        const id = (entry & 0xffffff) - 1
        const at = id * HOT_WORDS
        if (hot[at + A] === a && hot[at + B] === b && hot[at + PORTS] === ports && hot[at + TAG] === tag)
          return id as FlowId
      }
      slot = (slot + 1) & mask
    }
  }

  /** The flow with this IPv6 tuple, addresses at `words[a]` and `words[b]`, or NO_FLOW. */
  find6(hash: number, words: Int32Array, a: number, b: number, ports: number, tag: number): FlowId {
    const index = this.index
    const hot = this.hot
    const mask = this.indexMask
    let slot = hash & mask
    for (;;) {
      const entry = index[slot]
      if (entry === 0) return NO_FLOW
      if (((entry ^ hash) & 0xff000000) === 0) {
        const id = (entry & 0xffffff) - 1
        const at = id * HOT_WORDS
        if (
          hot[at + A] === hash &&
          hot[at + PORTS] === ports &&
          hot[at + TAG] === tag &&
          this.#same6(id, words, a, b)
        )
          return id as FlowId
      }
      slot = (slot + 1) & mask
    }
  }

  /**
   * A free record that nobody finds yet: the caller fills it and calls `commit`. NO_FLOW when the table is full.
   * Nothing of the record is to be trusted before it is written.
   */
  allocate(): FlowId {
    const header = this.#header
    const free = header[FREE_HEAD]
    if (free !== 0) {
      header[FREE_HEAD] = this.next[free - 1]
      return (free - 1) as FlowId
    }
    if (header[HIGH_WATER] === this.capacity) return NO_FLOW
    return header[HIGH_WATER]++ as FlowId
  }

  /** Gives back a record that was allocated and not committed. */
  abandon(id: FlowId): void {
    this.next[id] = this.#header[FREE_HEAD]
    this.#header[FREE_HEAD] = id + 1
  }

  /**
   * Makes a filled record a flow: enters it into the index and writes its state, which must hold FLAG_LIVE.
   * @returns false where the probe would be too long; the record is then still the caller's to abandon
   */
  commit(id: FlowId, hash: number, state: number): boolean {
    if (!this.#enter(id, hash)) return false
    this.hot[id * HOT_WORDS + STATE] = state
    this.#header[LIVE]++
    return true
  }

  /** Removes a flow: out of the index, its record free. The caller has taken it off its LRU list and its port before. */
  release(id: FlowId): void {
    this.#leave(id, this.hashOf(id))
    this.hot[id * HOT_WORDS + STATE] = 0
    this.#header[LIVE]--
    this.abandon(id)
  }

  /** The hash of a record's own tuple. */
  hashOf(id: FlowId): number {
    const hot = this.hot
    const at = id * HOT_WORDS
    const tag = hot[at + TAG]
    if ((tag & TAG_IPV6) === 0) return this.hasher.hash4(hot[at + A], hot[at + B], hot[at + PORTS], tag)
    const six = id * ADDRESS6_WORDS
    return this.hasher.hash6(this.address6, six, six + 4, hot[at + PORTS], tag)
  }

  /**
   * Rebuilds the index and the free list from the records, after a region was mapped again.
   * @param each called for every live flow, so that the caller rebuilds lists and ports; a flow for which it answers false is dropped
   */
  rebuild(each: (id: FlowId) => boolean): void {
    const header = this.#header
    this.index.fill(0)
    header[FREE_HEAD] = 0
    header[LIVE] = 0
    const order: FlowId[] = []
    for (let id = Math.min(header[HIGH_WATER], this.capacity) - 1; id >= 0; id--) {
      if (this.isLive(id as FlowId)) order.push(id as FlowId)
      else this.abandon(id as FlowId)
    }
    // Lists are oldest first, and their order was derived too.
    const { hot } = this
    order.sort((x, y) => (hot[x * HOT_WORDS + SEEN] - hot[y * HOT_WORDS + SEEN]) | 0)
    for (const id of order) {
      const hash = this.hashOf(id)
      if (!this.#enter(id, hash)) {
        this.hot[id * HOT_WORDS + STATE] = 0
        this.abandon(id)
        continue
      }
      header[LIVE]++
      if (!each(id)) this.release(id)
    }
  }

  /** Length of the probe that finds a hash's last entry; a measure of how evenly the hash spreads. */
  probeLength(hash: number): number {
    let length = 0
    for (let slot = hash & this.indexMask; this.index[slot] !== 0; slot = (slot + 1) & this.indexMask)
      length++
    return length
  }

  #same6(id: number, words: Int32Array, a: number, b: number): boolean {
    const six = this.address6
    const at = id * ADDRESS6_WORDS
    return (
      six[at] === words[a] &&
      six[at + 1] === words[a + 1] &&
      six[at + 2] === words[a + 2] &&
      six[at + 3] === words[a + 3] &&
      six[at + 4] === words[b] &&
      six[at + 5] === words[b + 1] &&
      six[at + 6] === words[b + 2] &&
      six[at + 7] === words[b + 3]
    )
  }

  #enter(id: FlowId, hash: number): boolean {
    const index = this.index
    let slot = hash & this.indexMask
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      if (index[slot] === 0) {
        index[slot] = (hash & 0xff000000) | (id + 1)
        return true
      }
      slot = (slot + 1) & this.indexMask
    }
    return false
  }

  #leave(id: FlowId, hash: number): void {
    const index = this.index
    const mask = this.indexMask
    let slot = hash & mask
    while ((index[slot] & 0xffffff) !== id + 1) {
      if (index[slot] === 0) return
      slot = (slot + 1) & mask
    }
    // Shift back what stands behind the gap and belongs at or before it, until an empty slot ends the run.
    let gap = slot
    for (let at = (gap + 1) & mask; index[at] !== 0; at = (at + 1) & mask) {
      const home = this.hashOf(((index[at] & 0xffffff) - 1) as FlowId) & mask
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        index[gap] = index[at]
        gap = at
      }
    }
    index[gap] = 0
  }
}
