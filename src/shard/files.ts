/**
 * The files of a daemon's regions, all in one directory: who writes them is a shard, who reads them is anyone.
 *
 *     shard-0           a shard's counters, flow table and lists (`regionSections`)
 *     eni-12            the ports of the ENI in slot 12, shared by all shards (`EniPorts`)
 *     ring-0-1          frames that shard 0 hands over to shard 1 (`FrameRing`)
 */
import { join } from 'node:path'

/** The region of a shard. */
export const shardFile = (directory: string, shard: number): string => join(directory, `shard-${shard}`)

/** The ports of an ENI. */
export const eniFile = (directory: string, slot: number): string => join(directory, `eni-${slot}`)

/** The frames from one shard to another. */
export const ringFile = (directory: string, from: number, to: number): string =>
  join(directory, `ring-${from}-${to}`)
