/**
 * The flow table after a kill: whatever of it was being written, the records tell all.
 *
 * A kill is simulated at every single store of an operation: the table gets arrays that stop at the n-th one. What is left in the memory is
 * opened again, as a daemon does that starts anew.
 */
import t from 'tap'
import {
  FLAG_LIVE,
  type FlowId,
  type FlowMemory,
  FlowTable,
  HOT_WORDS,
  NO_FLOW,
  SEEN,
  TAG_IPV6,
} from '../../src/tables/flows.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import type { Region } from '../../src/tables/region.ts'
import { auditFlows, find, insert, liveFlows, type Tuple, tableOf } from './flow-table.ts'
import { randomOf } from './random.ts'

const tupleAt = (i: number): Tuple =>
  i % 2 === 0
    ? { a: [i], b: [99], ports: i, tag: 6 }
    : { a: [0xfd, 0, 0, i], b: [0xfd, 0, 1, 9], ports: i, tag: 17 | TAG_IPV6 }

/** What a rebuild calls out, with every record kept. */
function rebuilt(flows: FlowTable, keep: (id: FlowId) => boolean = () => true): FlowId[] {
  const called: FlowId[] = []
  flows.rebuild(id => {
    called.push(id)
    return keep(id)
  })
  return called
}

/** Spoils all that is derived from the records. */
function forget(memory: Region): void {
  memory.words('index').fill(0x01000001)
  memory.words('next').fill(-1)
  memory.words('previous').fill(-1)
  // Free head and live count; the high water and the secret are the region's own.
  memory.words('flows').set([-1, 12345], 1)
}

t.test('index, free list and count are made anew from the records', async t => {
  const random = randomOf(t)
  const { flows, memory } = tableOf(200, random.seed)
  const ids = Array.from({ length: 150 }, (_, i) => insert(flows, tupleAt(i)))
  const gone = new Set(random.shuffle(ids.slice()).slice(0, 60))
  for (const id of gone) flows.release(id)
  forget(memory)
  const again = new FlowTable(memory, 200)
  t.same(rebuilt(again).sort(), ids.filter(id => !gone.has(id)).sort())
  t.equal(again.live, 90)
  t.same(auditFlows(again), [])
  for (const [i, id] of ids.entries()) t.equal(find(again, tupleAt(i)).id, gone.has(id) ? NO_FLOW : id)
})

t.test('flows are called out oldest first, over the wrap of the clock', async t => {
  const { flows } = tableOf(8)
  const seen = [5, -3, -2_000_000, 7, 0].map((tick, i) => [tick, insert(flows, tupleAt(i))] as const)
  for (const [tick, id] of seen) flows.hot[id * HOT_WORDS + SEEN] = tick
  t.same(
    rebuilt(flows).map(id => flows.hot[id * HOT_WORDS + SEEN]),
    [-2_000_000, -3, 0, 5, 7],
  )
  // 2^31 ticks are 248 days: what was seen before the wrap is older than what was seen after it.
  for (const [i, tick] of [2 ** 31 - 5, -(2 ** 31) + 4, 2 ** 31 - 1].entries())
    flows.hot[i * HOT_WORDS + SEEN] = tick
  for (const id of [3, 4] as FlowId[]) flows.release(id)
  t.same(rebuilt(flows), [0, 2, 1])
})

t.test('a flow that nobody wants any more is free afterwards', async t => {
  const { flows } = tableOf(8)
  const ids = Array.from({ length: 8 }, (_, i) => insert(flows, tupleAt(i)))
  rebuilt(flows, id => id !== ids[2] && id !== ids[5])
  t.equal(flows.live, 6)
  t.equal(find(flows, tupleAt(2)).id, NO_FLOW)
  t.same(auditFlows(flows), [])
})

t.test('an empty table stays empty', async t => {
  const { flows, memory } = tableOf(8)
  forget(memory)
  t.same(rebuilt(flows), [])
  t.equal(insert(flows, tupleAt(0)), 0)
  t.same(auditFlows(flows), [])
})

class Kill extends Error {}

/** Memory whose arrays stop at the n-th store into any of them. */
function mortal(memory: Region, stores: number): FlowMemory {
  let left = stores
  const guard = <T extends Int32Array | Float64Array>(array: T): T =>
    new Proxy(array, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
      set(target, key, value) {
        if (left-- === 0) throw new Kill()
        return Reflect.set(target, key, value)
      },
    })
  return { words: name => guard(memory.words(name)), doubles: name => guard(memory.doubles(name)) }
}

interface Aftermath {
  readonly flows: FlowTable
  readonly killed: boolean
}

/** Does something to a table of ten flows with three gaps, killed at store after store until it gets through; after each kill, opens what is left. */
function* kills(work: (flows: FlowTable, ids: FlowId[]) => void): Generator<Aftermath> {
  for (let stores = 0; ; stores++) {
    const { flows, memory } = tableOf(16)
    const ids = Array.from({ length: 10 }, (_, i) => insert(flows, tupleAt(i)))
    for (const gone of [3, 6, 7]) flows.release(ids[gone])
    let killed = false
    try {
      work(new FlowTable(mortal(memory, stores), 16), ids)
    } catch (error) {
      if (!(error instanceof Kill)) throw error
      killed = true
    }
    const again = new FlowTable(memory, 16)
    rebuilt(again)
    yield { flows: again, killed }
    if (!killed) return
  }
}

/** The flows of `kills` that no work touches. */
const others = [0, 1, 2, 4, 5, 8, 9]

t.test('killed while a flow is made: it is there whole, or not at all', async t => {
  const made: Tuple = { a: [1, 2, 3, 4], b: [5, 6, 7, 8], ports: 4321, tag: 6 | TAG_IPV6 }
  let points = 0
  let there = 0
  for (const { flows, killed } of kills(flows => insert(flows, made))) {
    points++
    const { id } = find(flows, made)
    if (id !== NO_FLOW) there++
    if (!killed) t.not(id, NO_FLOW)
    t.same(auditFlows(flows), [], `killed at store ${points}`)
    t.same(
      liveFlows(flows).filter(each => each !== id),
      others,
    )
  }
  t.ok(points > 8, `${points} points`)
  // The state is the record's last store: only a kill after it leaves the flow.
  t.equal(there, 2)
})

t.test('killed while a flow is ended: it is there whole, or not at all', async t => {
  let points = 0
  for (const { flows, killed } of kills((flows, ids) => flows.release(ids[4]))) {
    points++
    const { id } = find(flows, tupleAt(4))
    if (!killed) t.equal(id, NO_FLOW)
    t.same(auditFlows(flows), [], `killed at store ${points}`)
    t.same(liveFlows(flows), id === NO_FLOW ? others.filter(each => each !== 4) : others)
  }
  t.ok(points > 4, `${points} points`)
})

t.test('killed while many come and go: none is lost but the one at hand', async t => {
  const work = (flows: FlowTable, ids: FlowId[]) => {
    for (let i = 0; i < 6; i++) {
      insert(flows, tupleAt(100 + i))
      if (i < 3) flows.release(ids[[0, 5, 9][i]])
    }
  }
  const faults: string[] = []
  let points = 0
  for (const { flows } of kills(work)) {
    points++
    faults.push(...auditFlows(flows))
    for (const kept of [1, 2, 4, 8])
      if (find(flows, tupleAt(kept)).id === NO_FLOW) faults.push(`${kept} is lost`)
  }
  t.same(faults, [])
  t.ok(points > 60, `${points} points`)
})

t.test('killed while it is rebuilt: the next rebuild does it all', async t => {
  let points = 0
  const faults: string[] = []
  for (const { flows } of kills(flows => flows.rebuild(id => id !== 2))) {
    points++
    faults.push(...auditFlows(flows))
    const lost = others.filter(id => id !== 2 && !flows.isLive(id as FlowId))
    if (lost.length > 0) faults.push(`lost ${lost.join()}`)
  }
  t.same(faults, [])
  t.ok(points > 10, `${points} points`)
})

t.test('a region without a secret gets one, and keeps it', async t => {
  const { memory } = tableOf(4)
  const words = memory.words('flows')
  // Killed while the first secret was written: half of it is there, and not the mark behind it.
  words.fill(0, 64 + HASH_KEYS / 2, 64 + HASH_KEYS)
  words[3] = 0
  FlowTable.begin(memory, new Int32Array(HASH_KEYS).fill(7))
  t.equal(words[64], 7)
  t.equal(words[64 + HASH_KEYS - 1], 7)
  FlowTable.begin(memory, new Int32Array(HASH_KEYS).fill(8))
  t.equal(words[64], 7, 'flows are in the index by the old one')
  t.equal(insert(new FlowTable(memory, 4), tupleAt(0), FLAG_LIVE), 0)
})
