/**
 * Hand-over: frames that arrive at a shard which does not own their flow.
 *
 * Every ordered pair of shards has a ring. A frame is copied into it and decided by the shard that takes it out, as if it had come from its device there; it
 * is not handed on again. A consumer that goes to sleep says so in its rings, looks once more, and then sleeps; a producer that sees the mark writes
 * the consumer's eventfd.
 */
import { signalEvent } from '../io/thread.ts'
import type { HandOver } from '../pipeline/core.ts'
import type { Burst } from '../tables/burst.ts'
import { Counter } from '../tables/counters.ts'
import type { FrameRing } from '../tables/ring.ts'
import type { Slab } from '../tables/slab.ts'
import type { RegionFiles } from './regions.ts'

export class Rings implements HandOver {
  readonly #slab: Slab
  readonly #out: (FrameRing | null)[] = []
  readonly #in: FrameRing[] = []
  readonly #eventDescriptors: readonly number[]

  constructor(
    files: RegionFiles,
    slab: Slab,
    shard: number,
    shards: number,
    eventDescriptors: readonly number[],
  ) {
    this.#slab = slab
    this.#eventDescriptors = eventDescriptors
    for (let other = 0; other < shards; other++) {
      this.#out.push(other === shard ? null : files.openRing(shard, other, slab))
      if (other !== shard) this.#in.push(files.openRing(other, shard, slab))
    }
  }

  push(shard: number, slot: number, length: number, device: number): boolean {
    const ring = this.#out[shard]
    if (ring === null || ring === undefined || !ring.push(slot, length, device)) return false
    if (ring.asleep) signalEvent(this.#eventDescriptors[shard])
    return true
  }

  /**
   * Appends frames that other shards handed over, up to the burst's capacity. Each is counted as it leaves its ring: a shard that is killed with
   * the burst in its hands finds them in its books.
   * @param values the shard's counters
   */
  take(burst: Burst, values: Float64Array): void {
    for (const ring of this.#in) {
      while (burst.count < burst.capacity && this.#slab.free > 0) {
        const length = ring.peek()
        if (length < 0) break
        const slot = this.#slab.take()
        burst.add(slot, length, ring.pop(slot))
        values[Counter.TakenOver]++
      }
    }
  }

  /** Says that the shard is going to sleep, or has woken. @returns whether there is nothing to take */
  sleep(asleep: boolean): boolean {
    let empty = true
    for (const ring of this.#in) {
      ring.asleep = asleep
      if (!ring.empty) empty = false
    }
    return empty
  }
}
