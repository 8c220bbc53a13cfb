/**
 * A single-producer, single-consumer ring of frames in shared memory: how a shard hands a frame to another.
 *
 * Frames are copied in and out, with their virtio-net header; a record is a line of header (length, device) and the bytes, padded to a cache line. A
 * record never wraps: where it would, a filler record ends the lap. `head` is only written by the consumer, `tail` only by the producer, each in a
 * cache line of its own; both count bytes and wrap at 2^32.
 */
import { frameAt, type Slab, VNET_LEN } from './slab.ts'

const LINE = 64
const HEAD = 0
const TAIL = 16
/** Set by a consumer that is about to sleep; the producer then wakes it. */
const ASLEEP = 32
const DATA_AT = 4096
const FILLER = -1

/** Bytes of frames a ring holds; a power of two. */
export const RING_BYTES = 1 << 20
/** Bytes of a ring in memory. */
export const RING_MEMORY = DATA_AT + RING_BYTES

const recordBytes = (length: number): number => (LINE + VNET_LEN + length + LINE - 1) & ~(LINE - 1)

export class FrameRing {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #slab: Slab

  /** @param memory RING_MEMORY bytes, zeros when new */
  constructor(memory: ArrayBuffer, slab: Slab) {
    this.#control = new Int32Array(memory, 0, DATA_AT / 4)
    this.#words = new Int32Array(memory, DATA_AT, RING_BYTES / 4)
    this.#bytes = new Uint8Array(memory, DATA_AT, RING_BYTES)
    this.#slab = slab
  }

  get empty(): boolean {
    return Atomics.load(this.#control, HEAD) === Atomics.load(this.#control, TAIL)
  }

  /** The consumer says that it is going to sleep, or that it woke. */
  set asleep(value: boolean) {
    Atomics.store(this.#control, ASLEEP, value ? 1 : 0)
  }

  get asleep(): boolean {
    return Atomics.load(this.#control, ASLEEP) === 1
  }

  /** Copies a frame in; false when there is no room. The slot stays the caller's. */
  push(slot: number, length: number, device: number): boolean {
    const need = recordBytes(length)
    const tail = this.#control[TAIL]
    const used = (tail - Atomics.load(this.#control, HEAD)) | 0
    let at = tail & (RING_BYTES - 1)
    const toEnd = RING_BYTES - at
    const lap = need > toEnd ? toEnd : 0
    if (used + lap + need > RING_BYTES) return false
    if (lap > 0) {
      this.#words[at >> 2] = FILLER
      at = 0
    }
    const words = this.#words
    words[at >> 2] = length
    words[(at >> 2) + 1] = device
    const from = frameAt(slot) - VNET_LEN
    this.#bytes.set(this.#slab.bytes.subarray(from, from + VNET_LEN + length), at + LINE)
    Atomics.store(this.#control, TAIL, (tail + lap + need) | 0)
    return true
  }

  /** The length of the oldest frame, or -1 when the ring is empty. */
  peek(): number {
    const head = this.#control[HEAD]
    if (head === Atomics.load(this.#control, TAIL)) return -1
    const at = head & (RING_BYTES - 1)
    const length = this.#words[at >> 2]
    if (length !== FILLER) return length
    Atomics.store(this.#control, HEAD, (head + RING_BYTES - at) | 0)
    return this.peek()
  }

  /** Copies the oldest frame, which `peek` has found, into a slot; its device is the answer. */
  pop(slot: number): number {
    const head = this.#control[HEAD]
    const at = head & (RING_BYTES - 1)
    const length = this.#words[at >> 2]
    const device = this.#words[(at >> 2) + 1]
    this.#slab.bytes.set(
      this.#bytes.subarray(at + LINE, at + LINE + VNET_LEN + length),
      frameAt(slot) - VNET_LEN,
    )
    Atomics.store(this.#control, HEAD, (head + recordBytes(length)) | 0)
    return device
  }
}
