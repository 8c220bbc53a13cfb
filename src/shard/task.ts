/**
 * The Piscina task of a shard. It does not return before it is told to stop, and turns no event loop meanwhile.
 */
import type { ShardStart } from './messages.ts'
import { Shard } from './shard.ts'

/**
 * Runs a shard until control stops it.
 * @throws what stopped it otherwise; control is told before
 */
export function runShard(start: ShardStart): void {
  try {
    new Shard(start).run()
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    start.port.postMessage({ type: 'failed', message })
    throw error
  }
}
