/**
 * Where held fragments lie: a fixed piece of memory, cut into chunks; a fragment is a chain of them.
 *
 * A fragment has the number of its first chunk, which is less than CHUNKS, so that callers keep what they
 * know of it in arrays beside the pool.
 */
import { copyBytes } from '../wire/bytes.ts'

/* Ours to tune. */
/** A fragment of an ordinary link fits into one chunk. */
export const CHUNK_BYTES = 1536
/** 4 MiB of chunks. */
export const CHUNKS = 2730

/** The end of a chain. */
const NONE = -1

/** Chunks that a fragment of this many bytes takes. */
export const chunksOf = (length: number): number => Math.ceil(length / CHUNK_BYTES)

/** Fragments as they came, in a memory of fixed size. */
export class FragmentPool {
  /** Chunks that hold nothing. */
  free = CHUNKS
  readonly #bytes = new Uint8Array(CHUNKS * CHUNK_BYTES)
  readonly #next = new Int32Array(CHUNKS)
  readonly #length = new Int32Array(CHUNKS)
  #firstFree = 0

  constructor() {
    for (let chunk = 0; chunk < CHUNKS; chunk++) this.#next[chunk] = chunk + 1 < CHUNKS ? chunk + 1 : NONE
  }

  /** Copies a packet in. There must be `chunksOf(length)` free chunks. @returns the fragment */
  put(bytes: Uint8Array, at: number, length: number): number {
    const fragment = this.#firstFree
    let chunk = fragment
    let from = 0
    while (length - from > CHUNK_BYTES) {
      copyBytes(this.#bytes, chunk * CHUNK_BYTES, bytes, at + from, CHUNK_BYTES)
      chunk = this.#next[chunk]
      from += CHUNK_BYTES
    }
    copyBytes(this.#bytes, chunk * CHUNK_BYTES, bytes, at + from, length - from)
    this.#firstFree = this.#next[chunk]
    this.#next[chunk] = NONE
    this.#length[fragment] = length
    this.free -= chunksOf(length)
    return fragment
  }

  /** Copies a packet out. @returns its length in bytes */
  copy(fragment: number, bytes: Uint8Array, at: number): number {
    const length = this.#length[fragment]
    let chunk = fragment
    for (let from = 0; from < length; from += CHUNK_BYTES) {
      copyBytes(bytes, at + from, this.#bytes, chunk * CHUNK_BYTES, Math.min(CHUNK_BYTES, length - from))
      chunk = this.#next[chunk]
    }
    return length
  }

  /** Frees the chunks of a fragment. @returns how many there were */
  drop(fragment: number): number {
    let last = fragment
    while (this.#next[last] !== NONE) last = this.#next[last]
    this.#next[last] = this.#firstFree
    this.#firstFree = fragment
    const chunks = chunksOf(this.#length[fragment])
    this.free += chunks
    return chunks
  }

  /** Whether bytes of the fragment, from `from` to its end, are those at `at`. */
  endsWith(fragment: number, from: number, bytes: Uint8Array, at: number): boolean {
    const length = this.#length[fragment]
    let chunk = fragment
    for (let begin = 0; begin < length; begin += CHUNK_BYTES) {
      const end = Math.min(begin + CHUNK_BYTES, length)
      for (let byte = Math.max(begin, from); byte < end; byte++)
        if (this.#bytes[chunk * CHUNK_BYTES + byte - begin] !== bytes[at + byte - from]) return false
      chunk = this.#next[chunk]
    }
    return true
  }
}
