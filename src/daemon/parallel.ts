/** Works on several things at a time: what waits for the kernel, or for a child process, need not wait in line. */

/* Ours to tune */
const AT_ONCE = 8

/**
 * Does `work` for each item, a few at a time, and answers the results in the order of the items.
 * @throws what the first that failed threw, once all that had begun are over; no further one is begun
 */
export async function parallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length)
  let next = 0
  let failed = false
  const lane = async () => {
    while (!failed && next < items.length) {
      const at = next++
      try {
        results[at] = await work(items[at])
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane))
  for (const one of lanes) if (one.status === 'rejected') throw one.reason
  return results
}
