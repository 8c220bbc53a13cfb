/**
 * Memory that outlives a thread or a process, and locks of files.
 *
 * A mapping is unmapped by `release`, or when nothing refers to its ArrayBuffer any more. Every thread maps a region for
 * itself: an ArrayBuffer over mapped memory does not cross threads, the file's path does. Atomics work on it all the same.
 */
import { statSync } from 'node:fs'
import { check, checkMemory, native } from './native.ts'

export class Mapping {
  readonly memory: ArrayBuffer
  /** Where the memory begins in the process's address space, for the kernel. */
  readonly address: number
  /** True where the file was missing or empty before: all of it is zero. */
  readonly isNew: boolean

  constructor(memory: ArrayBuffer, isNew: boolean) {
    this.memory = memory
    this.address = native.mappingAddress(memory)
    this.isNew = isNew
  }

  /** Unmaps. Every typed array over the memory has a length of 0 from then on. */
  release(): void {
    check(native.mappingRelease(this.memory), 'release a mapping')
  }
}

export interface RegionOptions {
  /** Size to map. The file is grown to it (sparse), never cut. Without it: as much as there is, and nothing is made. */
  readonly bytes?: number
  /** For observers: writing to the memory ends the process. The file must be there. */
  readonly readOnly?: boolean
  readonly hugePages?: boolean
}

/**
 * Maps a file shared, made where it is missing unless `readOnly` (mode 0600; a symbolic link is refused).
 * @throws SystemCallError; ENODATA where a file that must not be grown is shorter than asked or empty
 */
export function mapRegion(path: string, options: RegionOptions = {}): Mapping {
  const { bytes = 0, readOnly = false, hugePages = false } = options
  const before = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  const create = bytes > 0 && !readOnly
  const memory = native.mapFile(path, bytes, Number(create), Number(readOnly), Number(hugePages))
  return new Mapping(checkMemory(memory, `map ${bytes || 'all'} bytes of ${path}`), before === 0)
}

/** Maps zeroed memory of this process, rounded up to whole pages. */
export function mapMemory(bytes: number, options: { readonly hugePages?: boolean } = {}): Mapping {
  const memory = native.mapMemory(bytes, Number(options.hugePages ?? false))
  return new Mapping(checkMemory(memory, `map ${bytes} bytes of memory`), true)
}

/**
 * Takes the lock of a file, made where it is missing, without waiting. The lock lasts until the descriptor is closed
 * (`closeDescriptor`) or the process ends, however it ends.
 * @returns the descriptor that holds the lock
 * @throws SystemCallError; EAGAIN where another holds the lock
 */
export function lockFile(path: string): number {
  return check(native.lockFile(path), `lock ${path}`)
}
