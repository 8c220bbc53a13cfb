/**
 * The shard's clock: ticks of 10 ms of the monotonic clock, as 32-bit integers.
 *
 * Ticks count from the machine's boot, so records of an earlier process on the same region keep their age. They wrap after 497 days; whoever
 * compares takes differences.
 */
import { hrtime } from 'node:process'

const MILLISECONDS_PER_TICK = 10

export class Clock {
  /** Milliseconds from the machine's boot to the origin of `performance.now`. */
  readonly #offset: number

  constructor() {
    const [seconds, nanoseconds] = hrtime()
    this.#offset = seconds * 1000 + nanoseconds / 1e6 - performance.now()
  }

  /** Ticks now. */
  tick(): number {
    return ((performance.now() + this.#offset) / MILLISECONDS_PER_TICK) | 0
  }
}
