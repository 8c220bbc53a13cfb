/** The flow table against a Map: allocation, look-up, deletion, in both families, through thousands of random operations. */
import t from 'tap'
import {
  FLAG_LIVE,
  type FlowId,
  FlowTable,
  flowSections,
  indexSlots,
  MAX_FLOWS,
  MAX_PROBES,
  NO_FLOW,
  TAG_HOSTS,
  TAG_IPV6,
} from '../../src/tables/flows.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { auditFlows, find, insert, keyOf, stateOf, type Tuple, tableOf, write } from './flow-table.ts'
import { type Random, randomOf } from './random.ts'

/** Few enough that many exist already when they are drawn. */
function anyTuple(random: Random): Tuple {
  const ports = (random.below(8) << 16) | random.below(40)
  const kind = random.below(3)
  if (kind === 0)
    return { a: [random.below(6)], b: [random.below(6)], ports, tag: 6 | (random.below(3) << 8) }
  const tag = kind === 1 ? TAG_IPV6 | 17 : TAG_IPV6 | TAG_HOSTS | 6
  return { a: [0xfd, 0, 0, random.below(9)], b: [0xfd, 0, random.below(4), 9], ports, tag }
}

t.test('an empty table finds nothing', async t => {
  const { flows } = tableOf(4)
  t.equal(find(flows, { a: [1], b: [2], ports: 3, tag: 6 }).id, NO_FLOW)
  t.equal(find(flows, { a: [0, 0, 0, 1], b: [0, 0, 0, 2], ports: 3, tag: 17 | TAG_IPV6 }).id, NO_FLOW)
  t.equal(flows.live, 0)
  t.notOk(flows.full)
})

t.test('a flow is found by its whole tuple and by nothing less', async t => {
  const { flows } = tableOf(16)
  const four: Tuple = { a: [11], b: [22], ports: 0x50_1234, tag: 6 | (3 << 8) }
  const six: Tuple = { a: [1, 2, 3, 4], b: [5, 6, 7, 8], ports: 0x50_1234, tag: 6 | (3 << 8) | TAG_IPV6 }
  const [id4, id6] = [four, six].map(tuple => insert(flows, tuple))
  t.equal(find(flows, four).id, id4)
  t.equal(find(flows, six).id, id6)
  const others: Tuple[] = [
    { ...four, a: [12] },
    { ...four, b: [11] },
    { ...four, ports: 0x50_1235 },
    { ...four, tag: 17 | (3 << 8) },
    { ...four, tag: 6 | (4 << 8) },
    { ...four, tag: four.tag | TAG_HOSTS },
    ...[0, 1, 2, 3].map(i => ({ ...six, a: six.a.with(i, 99) })),
    ...[0, 1, 2, 3].map(i => ({ ...six, b: six.b.with(i, 99) })),
  ]
  for (const other of others) t.equal(find(flows, other).id, NO_FLOW, keyOf(other))
})

t.test('a record that was not committed is found by nobody', async t => {
  const { flows } = tableOf(4)
  const tuple: Tuple = { a: [1], b: [2], ports: 3, tag: 6 }
  const id = flows.allocate()
  write(flows, id, tuple, find(flows, tuple).hash)
  t.equal(find(flows, tuple).id, NO_FLOW)
  t.notOk(flows.isLive(id))
  flows.abandon(id)
  t.same(auditFlows(flows), [])
})

t.test('a full table has no record, and one again after a release', async t => {
  const { flows } = tableOf(3)
  const ids = [1, 2, 3].map(port => insert(flows, { a: [1], b: [2], ports: port, tag: 6 }))
  t.same(ids, [0, 1, 2])
  t.ok(flows.full)
  t.equal(flows.allocate(), NO_FLOW)
  flows.release(1 as FlowId)
  t.notOk(flows.full)
  t.equal(flows.allocate(), 1)
})

t.test('capacities that do not fit a slot of the index are refused', async t => {
  const memory = new Region(new ArrayBuffer(regionBytes(flowSections(1))), flowSections(1))
  t.throws(() => new FlowTable(memory, 0), /capacity 1 to 16777214, not 0/)
  t.throws(() => new FlowTable(memory, MAX_FLOWS + 1), /capacity/)
})

t.test('the index is at most half full', async t => {
  for (const capacity of [1, 512, 513, 65_000, 1_000_000]) {
    const slots = indexSlots(capacity)
    t.ok(slots >= 2 * capacity)
    t.equal(slots & (slots - 1), 0, 'a power of two')
  }
})

t.test('thousands of random operations, against a Map', async t => {
  const random = randomOf(t)
  const { flows } = tableOf(300, random.seed)
  const model = new Map<string, { tuple: Tuple; id: FlowId }>()
  const wrong: string[] = []
  let refused = 0
  for (let step = 0; step < 40_000; step++) {
    const tuple = anyTuple(random)
    const key = keyOf(tuple)
    const known = model.get(key)
    const { id } = find(flows, tuple)
    if (id !== (known?.id ?? NO_FLOW)) wrong.push(`step ${step}: ${key} is ${id}`)
    // Twice as many tuples are drawn as there is room for, so the table runs full and is emptied by turns.
    if (known === undefined && random.chance(step % 8000 < 4000 ? 0.9 : 0.3)) {
      const made = insert(flows, tuple)
      if (made === NO_FLOW) refused++
      else model.set(key, { tuple, id: made })
      if ((made === NO_FLOW) !== (model.size === 300 && !model.has(key))) wrong.push(`step ${step}: no room`)
    } else if (known !== undefined && random.chance(0.7)) {
      flows.release(known.id)
      model.delete(key)
    }
    if (step % 4000 === 0) wrong.push(...auditFlows(flows))
  }
  t.ok(refused > 0, 'the table was full at times')
  for (const { tuple, id } of model.values()) if (find(flows, tuple).id !== id) wrong.push(`${id} is lost`)
  t.same([...wrong, ...auditFlows(flows)], [])
  t.equal(flows.live, model.size)
})

/** A table whose secret is zeros: every IPv4 tuple hashes alike, which makes runs as an attacker would want them. */
function collidingTable(capacity: number) {
  const sections = flowSections(capacity)
  return new FlowTable(new Region(new ArrayBuffer(regionBytes(sections)), sections), capacity)
}

t.test('a run of entries with one home closes whichever of them goes', async t => {
  for (let gone = 0; gone < 6; gone++) {
    const flows = collidingTable(16)
    const tuples = Array.from({ length: 6 }, (_, i): Tuple => ({ a: [i], b: [9], ports: 1, tag: 6 }))
    const ids = tuples.map(tuple => insert(flows, tuple))
    flows.release(ids[gone])
    t.same(
      tuples.map(tuple => find(flows, tuple).id),
      ids.map((id, i) => (i === gone ? NO_FLOW : id)),
    )
    t.same(auditFlows(flows), [])
    t.equal(flows.probeLength(find(flows, tuples[0]).hash), 5)
  }
})

t.test('a run that wraps around the end of the index closes too', async t => {
  const random = randomOf(t)
  // A small index and many secrets: runs over the wrap come by themselves.
  let wraps = 0
  for (let secret = 0; secret < 60; secret++) {
    const { flows } = tableOf(512, random.word())
    const tuples = Array.from({ length: 512 }, (_, i): Tuple => ({ a: [i], b: [i * 7], ports: i, tag: 17 }))
    const ids = tuples.map(tuple => insert(flows, tuple))
    const last = flows.indexMask
    if (flows.index[0] !== 0 && flows.index[last] !== 0) wraps++
    for (const id of random.shuffle(ids.slice()).slice(0, 256)) flows.release(id)
    const faults = auditFlows(flows)
    if (faults.length > 0) t.same(faults, [])
  }
  t.ok(wraps > 0, `${wraps} of 60 indices had a run over the wrap`)
})

t.test(
  'a probe has a bound: what would need a longer one is refused, and nothing else is harmed',
  async t => {
    const flows = collidingTable(512)
    const tuples = Array.from(
      { length: MAX_PROBES + 5 },
      (_, i): Tuple => ({ a: [i], b: [9], ports: 1, tag: 6 }),
    )
    const ids = tuples.map(tuple => insert(flows, tuple))
    t.equal(ids.filter(id => id !== NO_FLOW).length, MAX_PROBES)
    t.same(ids.slice(MAX_PROBES), new Array(5).fill(NO_FLOW))
    t.equal(flows.live, MAX_PROBES)
    t.same(auditFlows(flows), [])
    flows.release(ids[0])
    t.not(insert(flows, tuples[MAX_PROBES]), NO_FLOW, 'there is room for one again')
  },
)

t.test('a release forgets the state before the record is free', async t => {
  const { flows } = tableOf(4)
  const id = insert(flows, { a: [1], b: [2], ports: 3, tag: 6 }, FLAG_LIVE | 5)
  t.equal(stateOf(flows, id), FLAG_LIVE | 5)
  flows.release(id)
  t.equal(stateOf(flows, id), 0)
})

t.test("the secret is the region's: whoever opens it again finds what was there", async t => {
  const { flows, memory } = tableOf(4, 77)
  const tuple: Tuple = { a: [1], b: [2], ports: 3, tag: 6 }
  const id = insert(flows, tuple)
  t.equal(find(new FlowTable(memory, 4), tuple).id, id)
  t.not(find(tableOf(4, 78).flows, tuple).hash, find(flows, tuple).hash)
})
