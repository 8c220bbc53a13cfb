/**
 * What is made of repeated measurements: medians, spreads, and the order in which contenders take turns.
 *
 * Noise of a shared machine comes in stretches of seconds. Contenders therefore take turns within each round, and every second
 * round runs in reverse, so that a slow stretch, or a machine that warms up, does not fall on one of them alone.
 */

/** The middle of the sorted values; the mean of the two middles where their number is even. NaN for none. */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

/**
 * The value below which a share of the values lies, interpolated linearly between neighbours. NaN for none.
 * @param share 0 to 1
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN
  const sorted = values.toSorted((a, b) => a - b)
  const at = share * (sorted.length - 1)
  const low = Math.floor(at)
  const high = Math.min(low + 1, sorted.length - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

/** How far apart the values lie: largest minus smallest, as a share of the median. 0.1 reads as "within 10 %". NaN for none. */
export function spread(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN
  return (Math.max(...values) - Math.min(...values)) / median(values)
}

/** A contender of a comparison: measures once. */
export type Contender = () => number | Promise<number>

/**
 * Measures each contender once a round, every second round in reverse order.
 * @returns the values of each, in order of the rounds
 */
export async function takeTurns<Name extends string>(
  rounds: number,
  contenders: Record<Name, Contender>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contenders) as Name[]
  const values = Object.fromEntries(names.map(name => [name, [] as number[]])) as Record<Name, number[]>
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 === 0 ? names : names.toReversed())
      values[name].push(await contenders[name]())
  return values
}
