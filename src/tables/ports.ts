/**
 * The ports of one ENI: who holds each, and which are free.
 *
 * Six spaces, TCP, UDP and ICMP identifiers for each address family. A space has a table indexed by port, whose entry names the shard and the
 * record of the first flow on the port (further flows on it, to other remote end points, follow through the records' NEXT_ON_PORT), and the free
 * ports in rings, one a shard. The memory is shared by all shards.
 *
 * Ports are dealt to shards in blocks of 64, `block % shards`, the same in every ENI: the steering program delivers a packet from the VPC to the
 * owner of its destination port's block. A ring is filled with its owner's free ports in random order when it is first needed (RFC 6056: from all of
 * 1024 to 65535, unpredictable), and used first in first out, so that the port that rested longest is leased next, in constant time at any fill. A
 * shard whose ring is empty takes from another's. A ring is only touched under its lock, which holds the epoch of the process that took it: a lock
 * of another epoch was left by a killed process, and is free; the ring behind it may be half changed, and is made anew. The table tells
 * all that a ring needs: a port that is taken is marked there before the lock is let go.
 *
 * The file of an ENI costs the pages that are touched: a space that was never used costs nothing.
 */
import { getRandomValues } from 'node:crypto'

/** First and last port that is leased. */
export const FIRST_PORT = 1024
export const LAST_PORT = 65535
/** Ports of a space: 64,512. */
export const PORTS_PER_SPACE = LAST_PORT - FIRST_PORT + 1
/** Connections an ENI carries in one address family. Source: Lambda developer guide, "Hyperplane ENIs". */
export const ENI_CONNECTIONS = 65000
/** Ports a block; a block has one owner. */
export const BLOCK = 64
export const NO_PORT = -1

/** Spaces: family × 3 + one of these. */
export const SPACE_TCP = 0
export const SPACE_UDP = 1
export const SPACE_ICMP = 2
export const SPACES = 6
/** The most shards that share an ENI. */
export const MAX_SHARDS = 64

const LINE_WORDS = 16
const HEADER_WORDS = 1024
const WORD_MAGIC = 0
const WORD_SHARDS = 1
const MAGIC = 0x506e_3256 | 0 // "V2nP"
/** By family and shard, each in a line of its own: the flows a shard has on this ENI. */
const FLOWS_AT = HEADER_WORDS
/** By space and shard: LOCK, HEAD, COUNT, STATE of the ring. */
const RINGS_AT = FLOWS_AT + 2 * MAX_SHARDS * LINE_WORDS
const LOCK = 0
const HEAD = 1
const COUNT = 2
const STATE = 3
/* States of a ring: nobody has used its ports yet; it holds the free ones; it is to be made anew from the table. */
const UNUSED = 0
const MADE = 1
const STALE = 2
const TABLES_AT = RINGS_AT + SPACES * MAX_SHARDS * LINE_WORDS
const RING_AT_BYTES = (TABLES_AT + SPACES * 65536) * 4

/** Bytes of an ENI's file. */
export const ENI_BYTES = RING_AT_BYTES + SPACES * 65536 * 2

/** The shard that owns a port. */
export const portOwner = (port: number, shards: number): number => (port >>> 6) % shards

export class EniPorts {
  readonly shards: number
  readonly #shard: number
  readonly #epoch: number
  readonly #words: Int32Array
  readonly #rings: Uint16Array
  /** First element of each shard's part of a ring. */
  readonly #base: Int32Array
  readonly #size: Int32Array

  /**
   * @param memory ENI_BYTES, zeros for a new ENI
   * @param shard whose leases this object makes
   * @param epoch a number that differs from one process to the next, never 0
   * @throws RangeError where the memory was made for another number of shards
   */
  constructor(memory: ArrayBuffer, shard: number, shards: number, epoch = 1) {
    if (shards < 1 || shards > MAX_SHARDS)
      throw new RangeError(`ports: 1 to ${MAX_SHARDS} shards, not ${shards}`)
    this.shards = shards
    this.#shard = shard
    this.#epoch = epoch
    this.#words = new Int32Array(memory, 0, RING_AT_BYTES / 4)
    this.#rings = new Uint16Array(memory, RING_AT_BYTES, SPACES * 65536)
    this.#size = new Int32Array(shards)
    for (let port = FIRST_PORT; port <= LAST_PORT; port += BLOCK) this.#size[portOwner(port, shards)] += BLOCK
    this.#base = new Int32Array(shards)
    for (let s = 1; s < shards; s++) this.#base[s] = this.#base[s - 1] + this.#size[s - 1]
    const words = this.#words
    if (words[WORD_MAGIC] === 0) {
      words[WORD_SHARDS] = shards
      words[WORD_MAGIC] = MAGIC
    } else if (words[WORD_MAGIC] !== MAGIC || words[WORD_SHARDS] !== shards)
      throw new RangeError(`ports: the ENI's file was made for ${words[WORD_SHARDS]} shards, not ${shards}`)
  }

  /** What holds a port: 0 for nothing, else shard + 1 in the upper 8 bits, record number + 1 in the lower 24 (0 while it is only taken). */
  entry(space: number, port: number): number {
    return this.#words[TABLES_AT + (space << 16) + port]
  }

  /** Makes a record of this shard the first on a port. */
  set(space: number, port: number, flow: number): void {
    this.#words[TABLES_AT + (space << 16) + port] = ((this.#shard + 1) << 24) | (flow + 1)
  }

  /**
   * Takes a free port, this shard's own first. The caller must `set` it or `give` it back.
   * @returns NO_PORT when no shard has one
   */
  take(space: number): number {
    for (let i = 0; i < this.shards; i++) {
      const owner = (this.#shard + i) % this.shards
      const port = this.#takeFrom(space, owner)
      if (port !== NO_PORT) return port
    }
    return NO_PORT
  }

  /** Frees a port that no flow holds any more: it goes to the end of its owner's ring. */
  give(space: number, port: number): void {
    const owner = portOwner(port, this.shards)
    const at = this.#lock(space, owner)
    const words = this.#words
    words[TABLES_AT + (space << 16) + port] = 0
    // A ring that is yet to be made will find the port free when it is.
    if (words[at + STATE] === MADE) {
      let end = words[at + HEAD] + words[at + COUNT]
      if (end >= this.#size[owner]) end -= this.#size[owner]
      this.#rings[(space << 16) + this.#base[owner] + end] = port
      words[at + COUNT]++
    }
    Atomics.store(words, at + LOCK, 0)
  }

  /** Free ports of a space, of all shards. */
  free(space: number): number {
    let sum = 0
    for (let owner = 0; owner < this.shards; owner++) {
      const at = this.#ring(space, owner)
      const state = this.#words[at + STATE]
      if (state === MADE) sum += this.#words[at + COUNT]
      else sum += state === UNUSED ? this.#size[owner] : this.#countFree(space, owner)
    }
    return sum
  }

  /** Ports of a space that flows hold. */
  leased(space: number): number {
    return PORTS_PER_SPACE - this.free(space)
  }

  /** Flows of all shards on this ENI in a family (0 IPv4, 1 IPv6). */
  flows(family: number): number {
    let sum = 0
    for (let shard = 0; shard < this.shards; shard++)
      sum += Atomics.load(this.#words, FLOWS_AT + (family * MAX_SHARDS + shard) * LINE_WORDS)
    return sum
  }

  /**
   * Counts one flow more, if the ENI may carry it. Shards that race for the last place may both be refused, never both admitted.
   */
  claim(family: number): boolean {
    const at = FLOWS_AT + (family * MAX_SHARDS + this.#shard) * LINE_WORDS
    Atomics.add(this.#words, at, 1)
    if (this.flows(family) <= ENI_CONNECTIONS) return true
    Atomics.sub(this.#words, at, 1)
    return false
  }

  /** Counts one flow less. */
  unclaim(family: number): void {
    Atomics.sub(this.#words, FLOWS_AT + (family * MAX_SHARDS + this.#shard) * LINE_WORDS, 1)
  }

  /**
   * Forgets all that this shard had here, before its flow table is rebuilt: its counts, its entries, its rings' order. Call `restore` for every
   * flow that lives.
   */
  forget(): void {
    const words = this.#words
    for (let family = 0; family < 2; family++)
      Atomics.store(words, FLOWS_AT + (family * MAX_SHARDS + this.#shard) * LINE_WORDS, 0)
    for (let space = 0; space < SPACES; space++) {
      const own = this.#ring(space, this.#shard)
      // A space that no shard ever used has no ring, and its table's pages are not worth touching.
      const used = this.#used(space)
      if (used) words[own + STATE] = STALE
      Atomics.store(words, own + LOCK, 0)
      if (!used) continue
      for (let port = FIRST_PORT; port <= LAST_PORT; port++) {
        const at = TABLES_AT + (space << 16) + port
        if (words[at] >>> 24 !== this.#shard + 1) continue
        if (portOwner(port, this.shards) === this.#shard) words[at] = 0
        else this.give(space, port)
      }
    }
  }

  /**
   * Puts a living flow back on its port after `forget`, before any port is taken.
   * @returns the record number + 1 of the flow that was first on the port, which the caller chains behind; 0 for none; NO_PORT where another
   * shard has leased the port meanwhile, and the flow cannot have it any more
   */
  restore(space: number, port: number, flow: number, family: number): number {
    const at = this.#lock(space, portOwner(port, this.shards))
    const words = this.#words
    const entry = this.entry(space, port)
    const isOther = entry !== 0 && entry >>> 24 !== this.#shard + 1
    if (!isOther) {
      this.set(space, port, flow)
      Atomics.add(words, FLOWS_AT + (family * MAX_SHARDS + this.#shard) * LINE_WORDS, 1)
      // A ring that was made meanwhile has the port as a free one.
      if (entry === 0) words[at + STATE] = STALE
    }
    Atomics.store(words, at + LOCK, 0)
    return isOther ? NO_PORT : entry & 0xffffff
  }

  #used(space: number): boolean {
    for (let owner = 0; owner < this.shards; owner++)
      if (this.#words[this.#ring(space, owner) + STATE] !== UNUSED) return true
    return false
  }

  #countFree(space: number, owner: number): number {
    let count = 0
    for (let port = FIRST_PORT; port <= LAST_PORT; port++)
      if (portOwner(port, this.shards) === owner && this.entry(space, port) === 0) count++
    return count
  }

  #ring(space: number, owner: number): number {
    return RINGS_AT + (space * MAX_SHARDS + owner) * LINE_WORDS
  }

  #lock(space: number, owner: number): number {
    const at = this.#ring(space, owner)
    if (this.shards === 1) return at
    const words = this.#words
    for (;;) {
      // Held for some tens of nanoseconds, or for the making of a ring; nothing sleeps with it.
      const holder = Atomics.compareExchange(words, at + LOCK, 0, this.#epoch)
      if (holder === 0) break
      if (holder === this.#epoch) continue
      if (Atomics.compareExchange(words, at + LOCK, holder, this.#epoch) === holder) {
        words[at + STATE] = STALE
        break
      }
    }
    return at
  }

  #takeFrom(space: number, owner: number): number {
    const at = this.#lock(space, owner)
    const words = this.#words
    if (words[at + STATE] !== MADE) this.#build(space, owner)
    let port = NO_PORT
    if (words[at + COUNT] > 0) {
      const head = words[at + HEAD]
      port = this.#rings[(space << 16) + this.#base[owner] + head]
      words[at + HEAD] = head + 1 === this.#size[owner] ? 0 : head + 1
      words[at + COUNT]--
      words[TABLES_AT + (space << 16) + port] = (this.#shard + 1) << 24
    }
    Atomics.store(words, at + LOCK, 0)
    return port
  }

  /** Fills a ring with its owner's free ports, shuffled (Fisher and Yates). The caller holds the lock. */
  #build(space: number, owner: number): void {
    const words = this.#words
    const at = this.#ring(space, owner)
    const ring = this.#rings.subarray(
      (space << 16) + this.#base[owner],
      (space << 16) + this.#base[owner] + this.#size[owner],
    )
    let count = 0
    for (let port = FIRST_PORT; port <= LAST_PORT; port++)
      if (portOwner(port, this.shards) === owner && words[TABLES_AT + (space << 16) + port] === 0)
        ring[count++] = port
    const random = new Uint32Array(16384)
    for (let i = count - 1; i > 0; i--) {
      const draw = (count - 1 - i) % random.length
      if (draw === 0) getRandomValues(random)
      const j = Math.floor((random[draw] / 2 ** 32) * (i + 1))
      const port = ring[i]
      ring[i] = ring[j]
      ring[j] = port
    }
    words[at + HEAD] = 0
    words[at + COUNT] = count
    words[at + STATE] = MADE
  }
}
