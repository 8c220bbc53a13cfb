/**
 * A region: memory that outlives the process, a file mapped shared, cut into named sections.
 *
 * The first page is a header with the layout's version and the length of every section; a region whose layout is another one is refused, not
 * guessed at. Sections begin at page boundaries, so that a sparse file only costs the pages that were touched. The file is made and mapped by
 * `io/`, here is only the ArrayBuffer; tests and benchmarks give a plain one.
 */
const MAGIC = 0x6e32_7630 | 0 // "0v2n"
/** Grows with every change of any layout in a region. */
export const LAYOUT_VERSION = 3
const PAGE = 4096

const WORD_MAGIC = 0
const WORD_VERSION = 1
const WORD_SECTIONS = 2
const WORD_LENGTHS = 8

/** A part of a region. */
export interface Section {
  readonly name: string
  readonly bytes: number
}

const rounded = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE

/** Bytes of a region with these sections, header included. */
export const regionBytes = (sections: readonly Section[]): number =>
  sections.reduce((sum, section) => sum + rounded(section.bytes), PAGE)

/** A region's file belongs to another version or was made with other sizes. */
export class RegionMismatch extends Error {
  override readonly name = 'RegionMismatch'
}

/** A region's memory by the names of its sections. */
export class Region {
  readonly memory: ArrayBuffer
  /** True when the memory was all zeros and this call made the header. */
  readonly fresh: boolean
  readonly #at = new Map<string, { offset: number; bytes: number }>()

  /**
   * Opens the region in this memory, or makes its header where the memory is all zeros.
   * @throws RegionMismatch where the header says otherwise
   */
  constructor(memory: ArrayBuffer, sections: readonly Section[]) {
    if (memory.byteLength < regionBytes(sections))
      throw new RegionMismatch(
        `region: ${regionBytes(sections)} bytes wanted, the memory has ${memory.byteLength}`,
      )
    this.memory = memory
    const header = new Int32Array(memory, 0, PAGE / 4)
    this.fresh = header[WORD_MAGIC] === 0
    let offset = PAGE
    for (const [index, { name, bytes }] of sections.entries()) {
      this.#at.set(name, { offset, bytes })
      const length = rounded(bytes)
      const pages = length / PAGE
      if (this.fresh) header[WORD_LENGTHS + index] = pages
      else if (header[WORD_LENGTHS + index] !== pages)
        throw new RegionMismatch(
          `region: section ${name} has ${header[WORD_LENGTHS + index]} pages, ${pages} expected`,
        )
      offset += length
    }
    if (this.fresh) {
      header[WORD_SECTIONS] = sections.length
      header[WORD_VERSION] = LAYOUT_VERSION
      header[WORD_MAGIC] = MAGIC
    } else if (
      header[WORD_MAGIC] !== MAGIC ||
      header[WORD_VERSION] !== LAYOUT_VERSION ||
      header[WORD_SECTIONS] !== sections.length
    )
      throw new RegionMismatch(
        `region: layout version ${header[WORD_VERSION]} with ${header[WORD_SECTIONS]} sections, ` +
          `version ${LAYOUT_VERSION} with ${sections.length} expected`,
      )
  }

  /** A section as 32-bit words. */
  words(section: string): Int32Array {
    const { offset, bytes } = this.#section(section)
    return new Int32Array(this.memory, offset, bytes >>> 2)
  }

  /** A section as doubles. */
  doubles(section: string): Float64Array {
    const { offset, bytes } = this.#section(section)
    return new Float64Array(this.memory, offset, bytes >>> 3)
  }

  /** A section as bytes. */
  bytes(section: string): Uint8Array {
    const { offset, bytes } = this.#section(section)
    return new Uint8Array(this.memory, offset, bytes)
  }

  #section(name: string): { offset: number; bytes: number } {
    const section = this.#at.get(name)
    if (section === undefined) throw new RangeError(`region: no section ${name}`)
    return section
  }
}
