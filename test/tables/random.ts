/**
 * Randomness that can be repeated: a seed from the environment or the clock, printed by whoever uses it.
 */
import type { Test } from 'tap'

/** Numbers of one seed. */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed
    this.#state = seed | 0
  }

  /** 32 random bits, signed. */
  word(): number {
    // The finalizer of splitmix32; good enough to draw test cases from.
    this.#state = (this.#state + 0x9e3779b9) | 0
    let z = this.#state
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return z ^ (z >>> 15)
  }

  /** A number from 0 to `end - 1`. */
  below(end: number): number {
    return Math.floor(((this.word() >>> 0) / 2 ** 32) * end)
  }

  pick<T>(all: ArrayLike<T>): T {
    return all[this.below(all.length)]
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000
  }

  /** Random words, as secrets are made of. */
  words(count: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.word())
  }

  shuffle<T>(all: T[]): T[] {
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const other = all[i]
      all[i] = all[j]
      all[j] = other
    }
    return all
  }
}

/** A seed for this run, said aloud: `TEST_SEED=…` runs the same again. */
export function randomOf(t: Test): Random {
  const given = process.env.TEST_SEED
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
  t.comment(`TEST_SEED=${seed}`)
  return new Random(seed)
}
