/**
 * The conntrack LRU: for every ENI one list a timeout class, oldest first.
 *
 * A list is in order of the flows' SEEN, since a flow moves to the end whenever SEEN is written; so the head is the next of its class to
 * expire and no timer wheel is needed. Lists are per ENI because what an ENI runs short of (its ports, its connections) can only be given
 * back by its own flows, and because no tenant's pressure may end another's flows.
 *
 * The links live beside the records (`FlowTable.next`, `previous`), record number + 1, 0 at both ends. They are derived: `rebuild` of the flow
 * table makes them again.
 */
import type { FlowId, FlowTable } from './flows.ts'

/** ENIs a region has lists for: as many as a record can number. What no ENI uses costs no memory. */
export const ENI_SLOTS = 65536
/** Lists an ENI; the timeout classes are fewer. */
export const CLASSES = 8
const LIST_WORDS = 2
const TAIL = 1
/** Words an ENI: its lists' heads and tails, one cache line. */
const ENI_WORDS = CLASSES * LIST_WORDS

export const lruSections = [
  { name: 'lists', bytes: ENI_SLOTS * ENI_WORDS * 4 },
  { name: 'counts', bytes: ENI_SLOTS * CLASSES * 4 },
]

export class Lru {
  /** Flows by ENI slot × CLASSES + class, for readers and for skipping what is empty. */
  readonly counts: Int32Array
  readonly #lists: Int32Array
  readonly #next: Int32Array
  readonly #previous: Int32Array

  constructor(memory: { words(section: string): Int32Array }, flows: FlowTable) {
    this.#lists = memory.words('lists')
    this.counts = memory.words('counts')
    this.#next = flows.next
    this.#previous = flows.previous
  }

  /** Empties every list, before a rebuild. */
  clear(): void {
    this.#lists.fill(0)
    this.counts.fill(0)
  }

  /** The oldest flow of a list, or NO_FLOW (-1). */
  oldest(eni: number, timeoutClass: number): FlowId {
    return (this.#lists[eni * ENI_WORDS + timeoutClass * LIST_WORDS] - 1) as FlowId
  }

  append(eni: number, timeoutClass: number, id: FlowId): void {
    const list = eni * ENI_WORDS + timeoutClass * LIST_WORDS
    const lists = this.#lists
    const tail = lists[list + TAIL]
    this.#previous[id] = tail
    this.#next[id] = 0
    if (tail === 0) lists[list] = id + 1
    else this.#next[tail - 1] = id + 1
    lists[list + TAIL] = id + 1
    this.counts[eni * CLASSES + timeoutClass]++
  }

  remove(eni: number, timeoutClass: number, id: FlowId): void {
    const list = eni * ENI_WORDS + timeoutClass * LIST_WORDS
    const lists = this.#lists
    const next = this.#next[id]
    const previous = this.#previous[id]
    if (previous === 0) lists[list] = next
    else this.#next[previous - 1] = next
    if (next === 0) lists[list + TAIL] = previous
    else this.#previous[next - 1] = previous
    this.counts[eni * CLASSES + timeoutClass]--
  }

  /** Makes a flow the youngest of its list. */
  touch(eni: number, timeoutClass: number, id: FlowId): void {
    if (this.#next[id] === 0) return
    this.remove(eni, timeoutClass, id)
    this.append(eni, timeoutClass, id)
  }
}
