/**
 * The regions of a daemon, for reading: mapped read-only, so that looking costs the shards nothing and can harm nothing.
 *
 * A region belongs to its shard, which writes on while it is read: a reader sees each word as it is at some moment, and whoever needs
 * several words of one record looks twice (`flows.ts`). A daemon need not run: the regions of one that ended, or was killed, read the same.
 */
import { readFileSync, statSync } from 'node:fs'
import { type Mapping, mapRegion } from '../io/mapping.ts'
import { regionSections } from '../pipeline/core.ts'
import { eniFile, shardFile } from '../shard/regions.ts'
import { Counters } from '../tables/counters.ts'
import { FlowTable } from '../tables/flows.ts'
import { Lru } from '../tables/lru.ts'
import { ENI_BYTES, EniPorts } from '../tables/ports.ts'
import { Region } from '../tables/region.ts'

export interface ReaderOptions {
  /** The directory of the region files. */
  readonly directory: string
  /** What the regions were made for. */
  readonly shards: number
  /** Records of a shard's flow table. */
  readonly flows: number
}

/** The tables of one shard. */
export interface ShardTables {
  readonly shard: number
  readonly counters: Counters
  readonly flows: FlowTable
  readonly lru: Lru
}

export class RegionReader {
  readonly shards: readonly ShardTables[]
  readonly #options: ReaderOptions
  readonly #mappings: Mapping[] = []

  /**
   * Maps the region of every shard that has one.
   * @throws SystemCallError where a file may not be read; RegionMismatch where it is of another layout
   */
  constructor(options: ReaderOptions) {
    this.#options = options
    const shards: ShardTables[] = []
    for (let shard = 0; shard < options.shards; shard++) {
      const region = this.#open(shard)
      if (region === null) continue
      const flows = new FlowTable(region, options.flows)
      shards.push({ shard, counters: new Counters(region), flows, lru: new Lru(region, flows) })
    }
    this.shards = shards
  }

  /** A copy of the ports of an ENI at this moment; null where nothing went through it yet. */
  ports(eni: number): EniPorts | null {
    const path = eniFile(this.#options.directory, eni)
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) < ENI_BYTES) return null
    const bytes = new Uint8Array(ENI_BYTES)
    bytes.set(readFileSync(path).subarray(0, ENI_BYTES))
    return new EniPorts(bytes.buffer, 0, this.#options.shards)
  }

  close(): void {
    for (const mapping of this.#mappings) mapping.release()
  }

  /** Null where the shard has not made its region yet: opening that would be to write its header. */
  #open(shard: number): Region | null {
    const path = shardFile(this.#options.directory, shard)
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return null
    const mapping = mapRegion(path, { readOnly: true })
    this.#mappings.push(mapping)
    if (new Int32Array(mapping.memory, 0, 1)[0] === 0) return null
    return new Region(mapping.memory, regionSections(this.#options.flows))
  }
}
