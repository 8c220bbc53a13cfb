/** Opens what the reading verbs read: the regions of a daemon, and the names in its state. No answer of the daemon is needed. */
import { NameBook } from '../observe/name-book.ts'
import { RegionReader } from '../observe/regions.ts'
import { stateOf, type TargetOptions, targetOf } from './target.ts'

/**
 * Runs `read` on the regions of the daemon that the options choose.
 * @throws Failure where there is none
 */
export async function withRegions<T>(
  options: TargetOptions,
  read: (reader: RegionReader, names: NameBook) => T | Promise<T>,
): Promise<T> {
  const directory = targetOf(options)
  const { names, shards, flows } = stateOf(directory)
  const reader = new RegionReader({ directory: directory.regions, shards, flows })
  try {
    return await read(reader, new NameBook(names))
  } finally {
    reader.close()
  }
}
