/**
 * Numbers that stay: which small number a named thing has, from plan to plan and over restarts.
 *
 * Flow records hold numbers of devices, ENIs and environments, so a number must not come to mean another thing while a record
 * may still hold it. A name keeps its number for as long as every generation takes it; a name that a generation did not take
 * loses its number at the end of that generation, and the number rests for one whole generation more before another name may
 * have it. A name that comes back while its number rests gets it back. Where the range is bounded and nothing else is
 * left, the number that rested longest is given early.
 *
 * Numbers are grouped in spaces ('device', 'eni', …). All names of a space are taken at once, those that have a number
 * first, then new ones in the order given, which callers make independent of the order of creation. The whole is
 * plain JSON, which the daemon keeps beside its regions. An instance is changed by whoever compiles: to try something
 * out, work on a `copy`.
 */

interface Holder {
  number: number
  /** The last generation that took the name. */
  seen: number
}

/** The state of a `Numbers`. */
export interface NumbersJson {
  readonly generation: number
  /** Per space, one more than the largest number ever given. */
  readonly sizes: Readonly<Record<string, number>>
  /** Per space, name to [number, generation that took it last]. */
  readonly spaces: Readonly<Record<string, Readonly<Record<string, readonly [number, number]>>>>
}

/** Where the numbers of a space may lie: both ends included, without those that `except` has. */
export interface NumberRange {
  readonly from?: number
  readonly to?: number
  readonly except?: { has(number: number): boolean }
}

export class Numbers {
  #generation: number
  readonly #spaces = new Map<string, Map<string, Holder>>()

  readonly #sizes: Map<string, number>

  constructor(json: NumbersJson = { generation: 0, sizes: {}, spaces: {} }) {
    this.#generation = json.generation
    this.#sizes = new Map(Object.entries(json.sizes))
    for (const [space, entries] of Object.entries(json.spaces)) {
      const holders = new Map<string, Holder>()
      for (const [name, [number, seen]] of Object.entries(entries)) holders.set(name, { number, seen })
      this.#spaces.set(space, holders)
    }
  }

  /** The generation that was begun last; 0 before the first. */
  get generation(): number {
    return this.#generation
  }

  /** Begins a generation: names that it does not take are let go of by `end`. */
  begin(): void {
    this.#generation++
  }

  /** Ends a generation: forgets the names whose number has rested for a whole one. */
  end(): void {
    for (const [space, holders] of this.#spaces) {
      for (const [name, { seen }] of holders) if (seen < this.#generation - 1) holders.delete(name)
      if (holders.size === 0) this.#spaces.delete(space)
    }
  }

  /**
   * The numbers of all names that the space has in this generation: the ones they had, else the lowest free ones.
   * @throws RangeError where the range is too small for the names
   */
  takeAll(space: string, names: Iterable<string>, range: NumberRange = {}): Map<string, number> {
    const { from = 0, to = Number.MAX_SAFE_INTEGER, except } = range
    const allowed = (number: number) => number >= from && number <= to && !except?.has(number)
    const holders = this.#spaces.get(space) ?? new Map<string, Holder>()
    this.#spaces.set(space, holders)

    const taken = new Map<string, number>()
    const fresh: string[] = []
    for (const name of names) {
      const holder = holders.get(name)
      if (holder !== undefined && allowed(holder.number)) {
        holder.seen = this.#generation
        taken.set(name, holder.number)
      } else {
        holders.delete(name)
        fresh.push(name)
      }
    }

    const held = new Set(Array.from(holders.values(), ({ number }) => number))
    let next = from
    for (const name of fresh) {
      while (next <= to && (held.has(next) || !allowed(next))) next++
      const number = next <= to ? next++ : this.#oldestResting(holders, taken, allowed)
      if (number === undefined) throw new RangeError(`numbers: nothing is left in ${space} for ${name}`)
      holders.set(name, { number, seen: this.#generation })
      taken.set(name, number)
      if (number >= this.size(space)) this.#sizes.set(space, number + 1)
    }
    return taken
  }

  /** The number that a name has, or undefined. Asking does not take it. */
  find(space: string, name: string): number | undefined {
    return this.#spaces.get(space)?.get(name)?.number
  }

  /** One more than the largest number that the space ever gave: what an array indexed by its numbers must have. */
  size(space: string): number {
    return this.#sizes.get(space) ?? 0
  }

  copy(): Numbers {
    return new Numbers(this.toJSON())
  }

  toJSON(): NumbersJson {
    const spaces: Record<string, Record<string, [number, number]>> = {}
    for (const [space, holders] of this.#spaces)
      spaces[space] = Object.fromEntries(
        Array.from(holders, ([name, { number, seen }]) => [name, [number, seen]]),
      )
    return { generation: this.#generation, sizes: Object.fromEntries(this.#sizes), spaces }
  }

  /** Takes away, and answers, the number of the name that was not taken for the longest time. */
  #oldestResting(
    holders: Map<string, Holder>,
    taken: ReadonlyMap<string, number>,
    allowed: (number: number) => boolean,
  ): number | undefined {
    let oldest: [string, Holder] | undefined
    for (const entry of holders) {
      const [name, { number, seen }] = entry
      if (taken.has(name) || !allowed(number)) continue
      if (oldest === undefined || seen < oldest[1].seen) oldest = entry
    }
    if (oldest === undefined) return undefined
    holders.delete(oldest[0])
    return oldest[1].number
  }
}

/** The order of names everywhere in the model: that of their UTF-16 code units, the same on every machine. */
export const byCodeUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
