/**
 * How many ICMP errors a shard sends: token buckets (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f).
 *
 * A bucket holds up to a burst of tokens and gains them at a steady rate; an error takes one or is not sent.
 * Packet-too-big draws from a bucket of its own: a scan that wears out all other errors must not silence path
 * MTU discovery, which whole connections wait for.
 *
 * There is no clock here. `now` is the shard's tick, 10 ms, and may wrap.
 */

/* Ours to tune: what Linux allows by default (icmp_msgs_per_sec, icmp_msgs_burst), for each shard and each bucket. */
export const ERRORS_PER_SECOND = 1000
export const ERRORS_BURST = 50

const TICKS_PER_SECOND = 100

/**
 * A token bucket over ticks. A token is counted in hundredths, so that a tick adds a whole number of them.
 */
export class TokenBucket {
  readonly #perSecond: number
  readonly #full: number
  #held: number
  #since = 0

  /** @param perSecond tokens gained a second @param burst tokens at most; the bucket begins full */
  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#full = burst * TICKS_PER_SECOND
    this.#held = this.#full
  }

  /** Takes a token; false where there is none. @param now tick, not before that of the last call */
  take(now: number): boolean {
    const elapsed = (now - this.#since) | 0
    this.#since = now
    // Negative after more than 248 days without a call, or at the first one: the bucket has long been full.
    this.#held = elapsed < 0 ? this.#full : Math.min(this.#held + elapsed * this.#perSecond, this.#full)
    if (this.#held < TICKS_PER_SECOND) return false
    this.#held -= TICKS_PER_SECOND
    return true
  }
}

/** The two budgets of a shard. */
export class ErrorBudget {
  readonly #errors: TokenBucket
  readonly #sizes: TokenBucket

  /** @param perSecond and @param burst hold for each of the two buckets */
  constructor(perSecond = ERRORS_PER_SECOND, burst = ERRORS_BURST) {
    this.#errors = new TokenBucket(perSecond, burst)
    this.#sizes = new TokenBucket(perSecond, burst)
  }

  /** Whether an error may be sent now, which is then counted as sent. */
  mayTell(now: number): boolean {
    return this.#errors.take(now)
  }

  /** As `mayTell`, for Fragmentation Needed and Packet Too Big. */
  mayTellSize(now: number): boolean {
    return this.#sizes.take(now)
  }
}
