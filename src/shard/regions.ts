/**
 * The files of a shard: its region, the ports of every ENI, the rings between shards.
 *
 *     shard-0  shard-1  …       flow table, lists, counters of one shard
 *     eni-0  eni-17  …          ports of one ENI, shared by all shards, named after the ENI's slot
 *     ring-0-1  ring-1-0  …     frames from one shard to another
 */
import { join } from 'node:path'
import { type Mapping, mapRegion } from '../io/mapping.ts'
import { regionSections } from '../pipeline/core.ts'
import { ENI_BYTES, EniPorts } from '../tables/ports.ts'
import { Region, regionBytes } from '../tables/region.ts'
import { FrameRing, RING_MEMORY } from '../tables/ring.ts'
import type { Slab } from '../tables/slab.ts'

/* Readers use these too. */
/** The file of a shard's region. */
export const shardFile = (directory: string, shard: number): string => join(directory, `shard-${shard}`)
/** The file of an ENI's ports. */
export const eniFile = (directory: string, eni: number): string => join(directory, `eni-${eni}`)
/** The file of the ring from one shard to another. */
export const ringFile = (directory: string, from: number, to: number): string =>
  join(directory, `ring-${from}-${to}`)

export interface RegionFilesOptions {
  readonly directory: string
  readonly shard: number
  readonly shards: number
  readonly flows: number
  readonly hugePages: boolean
}

export class RegionFiles {
  readonly region: Region
  readonly #options: RegionFilesOptions
  readonly #mappings: Mapping[] = []
  readonly #enis = new Map<number, { ports: EniPorts; mapping: Mapping }>()

  /**
   * Maps the shard's region.
   * @throws SystemCallError where a file cannot be mapped, RegionMismatch where it was made with other sizes
   */
  constructor(options: RegionFilesOptions) {
    this.#options = options
    const sections = regionSections(options.flows)
    const mapping = mapRegion(shardFile(options.directory, options.shard), {
      bytes: regionBytes(sections),
      hugePages: options.hugePages,
    })
    this.#mappings.push(mapping)
    this.region = new Region(mapping.memory, sections)
  }

  /** The ports of an ENI; the file is made by whichever shard comes first. */
  openEni(eni: number): EniPorts {
    const known = this.#enis.get(eni)
    if (known !== undefined) return known.ports
    const { directory, shard, shards } = this.#options
    const mapping = mapRegion(eniFile(directory, eni), { bytes: ENI_BYTES })
    // One process has one lock epoch; its shards are threads of it.
    const ports = new EniPorts(mapping.memory, shard, shards, process.pid)
    this.#enis.set(eni, { ports, mapping })
    return ports
  }

  /** Lets go of an ENI's ports. */
  closeEni(eni: number): void {
    this.#enis.get(eni)?.mapping.release()
    this.#enis.delete(eni)
  }

  /** The ring that carries frames between two shards. */
  openRing(from: number, to: number, slab: Slab): FrameRing {
    const mapping = mapRegion(ringFile(this.#options.directory, from, to), { bytes: RING_MEMORY })
    this.#mappings.push(mapping)
    return new FrameRing(mapping.memory, slab)
  }

  close(): void {
    for (const eni of [...this.#enis.keys()]) this.closeEni(eni)
    for (const mapping of this.#mappings) mapping.release()
  }
}
