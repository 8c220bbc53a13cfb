/**
 * A shard on a thread of its own that takes and gives ports at random, and looks whether anybody else holds what it was given.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { EniPorts, NO_PORT, SPACE_TCP } from '../../src/tables/ports.ts'
import { Random } from './random.ts'

/** What the thread is given. */
export interface PortsPeerStart {
  readonly memory: SharedArrayBuffer
  /** By port: who holds it, shard + 1. */
  readonly holders: SharedArrayBuffer
  readonly shard: number
  readonly shards: number
  readonly seed: number
  readonly steps: number
  /** Ports the shard holds at most. */
  readonly most: number
}

/** What it found. */
export interface PortsPeerReport {
  readonly conflicts: number
  readonly held: number
  /** Times that no shard had a port left. */
  readonly refused: number
}

/** Takes and gives; what is held at the end stays held. */
export function takeAndGive({
  memory,
  holders,
  shard,
  shards,
  seed,
  steps,
  most,
}: PortsPeerStart): PortsPeerReport {
  const random = new Random(seed)
  const ports = new EniPorts(memory as unknown as ArrayBuffer, shard, shards)
  const holder = new Int32Array(holders)
  const held: number[] = []
  let conflicts = 0
  let refused = 0
  for (let step = 0; step < steps; step++) {
    if (held.length < most && random.chance(0.7)) {
      const port = ports.take(SPACE_TCP)
      if (port === NO_PORT) {
        refused++
        continue
      }
      if (Atomics.compareExchange(holder, port, 0, shard + 1) !== 0) conflicts++
      ports.set(SPACE_TCP, port, held.length)
      held.push(port)
    } else if (held.length > 0) {
      const at = random.below(held.length)
      const port = held[at]
      held[at] = held[held.length - 1]
      held.pop()
      Atomics.store(holder, port, 0)
      ports.give(SPACE_TCP, port)
    }
  }
  return { conflicts, held: held.length, refused }
}

if (parentPort !== null) parentPort.postMessage(takeAndGive(workerData as PortsPeerStart))
