/**
 * A flow table, tuples for it, and an audit that asks of a table what must always hold of one: for the tests of tables and of what stands on them.
 */
import {
  A,
  ADDRESS6_WORDS,
  B,
  FLAG_LIVE,
  type FlowId,
  FlowTable,
  flowSections,
  HOT_WORDS,
  MAX_PROBES,
  NO_FLOW,
  PORTS,
  STATE,
  TAG,
  TAG_IPV6,
} from '../../src/tables/flows.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { Random } from './random.ts'

/** A tuple of either family: one word or four an address. */
export interface Tuple {
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly ports: number
  readonly tag: number
}

export const keyOf = ({ a, b, ports, tag }: Tuple): string => [...a, ...b, ports, tag].join()

/** A fresh table and the memory that it lives in. */
export function tableOf(capacity: number, seed = 1) {
  const sections = flowSections(capacity)
  const memory = new Region(new ArrayBuffer(regionBytes(sections)), sections)
  FlowTable.begin(memory, new Random(seed).words(HASH_KEYS))
  return { flows: new FlowTable(memory, capacity), memory }
}

/** The hash and the record of a tuple. */
export function find(flows: FlowTable, { a, b, ports, tag }: Tuple): { hash: number; id: FlowId } {
  if (a.length === 1) {
    const hash = flows.hasher.hash4(a[0], b[0], ports, tag)
    return { hash, id: flows.find4(hash, a[0], b[0], ports, tag) }
  }
  const words = Int32Array.from([...a, ...b])
  const hash = flows.hasher.hash6(words, 0, 4, ports, tag)
  return { hash, id: flows.find6(hash, words, 0, 4, ports, tag) }
}

/** Writes a tuple into a record, as admission does. */
export function write(flows: FlowTable, id: FlowId, tuple: Tuple, hash: number): void {
  const at = id * HOT_WORDS
  const wide = tuple.a.length === 4
  flows.hot[at + A] = wide ? hash : tuple.a[0]
  flows.hot[at + B] = wide ? 0 : tuple.b[0]
  flows.hot[at + PORTS] = tuple.ports
  flows.hot[at + TAG] = tuple.tag
  if (wide) flows.address6.set([...tuple.a, ...tuple.b], id * ADDRESS6_WORDS)
}

/** Allocates, writes and commits. NO_FLOW where the table has no room. */
export function insert(flows: FlowTable, tuple: Tuple, state = FLAG_LIVE): FlowId {
  const { hash } = find(flows, tuple)
  const id = flows.allocate()
  if (id === NO_FLOW) return id
  write(flows, id, tuple, hash)
  if (flows.commit(id, hash, state)) return id
  flows.abandon(id)
  return NO_FLOW
}

/** The tuple that a record has. */
export function tupleOf(flows: FlowTable, id: FlowId): Tuple {
  const { hot, address6 } = flows
  const at = id * HOT_WORDS
  const tag = hot[at + TAG]
  const six = id * ADDRESS6_WORDS
  const wide = (tag & TAG_IPV6) !== 0
  return {
    a: wide ? Array.from(address6.subarray(six, six + 4)) : [hot[at + A]],
    b: wide ? Array.from(address6.subarray(six + 4, six + 8)) : [hot[at + B]],
    ports: hot[at + PORTS],
    tag,
  }
}

/** The records that are live. */
export const liveFlows = (flows: FlowTable): FlowId[] =>
  Array.from({ length: flows.highWater }, (_, id) => id as FlowId).filter(id => flows.isLive(id))

/**
 * What is wrong with a table; empty where nothing is. Every live record is in the index once, where a probe from its home finds it; nothing
 * else is in the index; every other record below the high water is free, once.
 */
export function auditFlows(flows: FlowTable): string[] {
  const faults: string[] = []
  const live = liveFlows(flows)
  if (flows.live !== live.length) faults.push(`live says ${flows.live}, there are ${live.length}`)
  const seen = new Set<string>()
  for (const id of live) {
    const tuple = tupleOf(flows, id)
    if (seen.has(keyOf(tuple))) faults.push(`two records of ${keyOf(tuple)}`)
    seen.add(keyOf(tuple))
    if (find(flows, tuple).id !== id) faults.push(`flow ${id} is not found`)
  }
  const entries = flows.index.filter(entry => entry !== 0)
  if (entries.length !== live.length) faults.push(`${entries.length} entries of ${live.length} flows`)
  for (const [slot, entry] of flows.index.entries()) {
    if (entry === 0) continue
    const id = ((entry & 0xffffff) - 1) as FlowId
    const hash = flows.hashOf(id)
    if (!flows.isLive(id)) faults.push(`slot ${slot} has the dead flow ${id}`)
    if (((entry ^ hash) & 0xff000000) !== 0) faults.push(`slot ${slot} has another hash than flow ${id}`)
    const distance = (slot - (hash & flows.indexMask)) & flows.indexMask
    if (distance >= MAX_PROBES) faults.push(`flow ${id} is ${distance} slots from home`)
    for (let at = hash & flows.indexMask; at !== slot; at = (at + 1) & flows.indexMask)
      if (flows.index[at] === 0) faults.push(`flow ${id} lies behind the gap ${at}`)
  }
  return [...faults, ...auditFree(flows, live.length)]
}

/** Takes every free record and gives them back, which leaves the list in the other order. */
function auditFree(flows: FlowTable, live: number): string[] {
  const faults: string[] = []
  const free = new Set<FlowId>()
  const room = flows.capacity - live
  for (let id = flows.allocate(); id !== NO_FLOW && free.size <= room; id = flows.allocate()) {
    if (flows.isLive(id)) faults.push(`flow ${id} is live and free`)
    if (free.has(id)) faults.push(`record ${id} is free twice`)
    free.add(id)
  }
  if (free.size !== room) faults.push(`${free.size} records are free, ${room} should be`)
  for (const id of free) flows.abandon(id)
  return faults
}

/** The STATE word of a record. */
export const stateOf = (flows: FlowTable, id: FlowId): number => flows.hot[id * HOT_WORDS + STATE]
