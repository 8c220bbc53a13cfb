/**
 * Where the frames of a shard live: one piece of memory, cut into slots.
 *
 * A slot holds one frame of up to 64 KiB. Its IP header begins at byte 64 of the slot, a cache line of its own, aligned to
 * 4 bytes so that the loop can read it as 32-bit words; the 12 bytes before it are the virtio-net header, as the TUN driver
 * reads and writes it. The stride is an odd number of cache lines: strides that are a multiple of 4 KiB would put every
 * header into the same few cache sets.
 *
 * Slots are taken and given back through a stack, so the warmest is used next.
 */

/** Byte of a slot where the IP header begins. */
export const FRAME_AT = 64
/** Bytes of the virtio-net header with `num_buffers`, directly before the IP header. */
export const VNET_LEN = 12
/** The longest IP packet, RFC 791 total length. */
export const MAX_FRAME = 65535
const LINE = 64
/** Bytes from one slot to the next: 1029 cache lines. */
export const STRIDE = 1029 * LINE

/** What `take` answers when every slot is in use. */
export const NO_SLOT = -1

export class Slab {
  readonly slots: number
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly #free: Int32Array
  #freeCount: number

  /**
   * @param memory at least `slots * STRIDE` bytes, aligned to a cache line
   */
  constructor(memory: ArrayBuffer, slots: number) {
    if (memory.byteLength < slots * STRIDE)
      throw new RangeError(`slab: ${slots} slots need ${slots * STRIDE} bytes, got ${memory.byteLength}`)
    this.slots = slots
    this.bytes = new Uint8Array(memory)
    this.words = new Int32Array(memory)
    this.#free = new Int32Array(slots)
    for (let slot = 0; slot < slots; slot++) this.#free[slot] = slots - 1 - slot
    this.#freeCount = slots
  }

  /** Slots nobody holds. */
  get free(): number {
    return this.#freeCount
  }

  /** A slot for the caller to fill, or NO_SLOT. */
  take(): number {
    return this.#freeCount === 0 ? NO_SLOT : this.#free[--this.#freeCount]
  }

  /** Gives a slot back. Giving the same slot back twice corrupts the slab. */
  give(slot: number): void {
    this.#free[this.#freeCount++] = slot
  }
}

/** Byte offset of a slot's IP header in `bytes`. */
export const frameAt = (slot: number): number => slot * STRIDE + FRAME_AT
