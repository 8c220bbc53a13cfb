/** LRU lists against a model of them: order, counts, both ends, many ENIs and classes in one set of links. */
import t from 'tap'
import { type FlowId, FlowTable, flowSections, NO_FLOW } from '../../src/tables/flows.ts'
import { CLASSES, ENI_SLOTS, Lru, lruSections } from '../../src/tables/lru.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { randomOf } from './random.ts'

function lists(capacity: number) {
  const sections = [...flowSections(capacity), ...lruSections]
  const memory = new Region(new ArrayBuffer(regionBytes(sections)), sections)
  const flows = new FlowTable(memory, capacity)
  return { flows, lru: new Lru(memory, flows), memory }
}

/** The flows of a list from the oldest on, by the links forwards; and whether the links backwards agree. */
function walk({ flows, lru }: ReturnType<typeof lists>, eni: number, timeoutClass: number): FlowId[] {
  const order: FlowId[] = []
  let previous = 0
  for (let id = lru.oldest(eni, timeoutClass); id !== NO_FLOW; id = (flows.next[id] - 1) as FlowId) {
    order.push(id)
    if (flows.previous[id] !== previous || order.length > flows.capacity) throw new Error('links disagree')
    previous = id + 1
  }
  return order
}

t.test('the first that came is the oldest', async t => {
  const all = lists(8)
  for (const id of [3, 1, 5] as FlowId[]) all.lru.append(0, 0, id)
  t.same(walk(all, 0, 0), [3, 1, 5])
  t.equal(all.lru.counts[0], 3)
})

t.test('one that is touched becomes the youngest', async t => {
  const all = lists(8)
  for (const id of [0, 1, 2] as FlowId[]) all.lru.append(7, 4, id)
  all.lru.touch(7, 4, 0 as FlowId)
  t.same(walk(all, 7, 4), [1, 2, 0])
  all.lru.touch(7, 4, 2 as FlowId)
  t.same(walk(all, 7, 4), [1, 0, 2])
  all.lru.touch(7, 4, 2 as FlowId)
  t.same(walk(all, 7, 4), [1, 0, 2], 'the youngest stays')
  t.equal(all.lru.counts[7 * CLASSES + 4], 3)
})

t.test('head, middle, tail and the last one can be taken out', async t => {
  const all = lists(8)
  for (const id of [0, 1, 2, 3] as FlowId[]) all.lru.append(1, 1, id)
  for (const [id, rest] of [
    [1, [0, 2, 3]],
    [0, [2, 3]],
    [3, [2]],
    [2, []],
  ] as [FlowId, number[]][]) {
    all.lru.remove(1, 1, id)
    t.same(walk(all, 1, 1), rest)
  }
  t.equal(all.lru.oldest(1, 1), NO_FLOW)
  t.equal(all.lru.counts[CLASSES + 1], 0)
})

t.test('clear empties every list, of the last ENI and class too', async t => {
  const all = lists(4)
  all.lru.append(0, 0, 0 as FlowId)
  all.lru.append(ENI_SLOTS - 1, CLASSES - 1, 1 as FlowId)
  all.lru.clear()
  t.equal(all.lru.oldest(0, 0), NO_FLOW)
  t.equal(all.lru.oldest(ENI_SLOTS - 1, CLASSES - 1), NO_FLOW)
  t.ok(all.lru.counts.every(count => count === 0))
})

t.test('thousands of random operations, against arrays', async t => {
  const random = randomOf(t)
  const capacity = 200
  const all = lists(capacity)
  const enis = [0, 1, 2, ENI_SLOTS - 1]
  const model = new Map<string, FlowId[]>()
  const at = new Map<FlowId, [eni: number, timeoutClass: number]>()
  const listOf = (eni: number, timeoutClass: number): FlowId[] => {
    const key = `${eni} ${timeoutClass}`
    if (!model.has(key)) model.set(key, [])
    return model.get(key)!
  }
  const without = (eni: number, timeoutClass: number, id: FlowId) => {
    const list = listOf(eni, timeoutClass)
    list.splice(list.indexOf(id), 1)
    return list
  }
  for (let step = 0; step < 20_000; step++) {
    const id = random.below(capacity) as FlowId
    const place = at.get(id)
    if (place === undefined) {
      const [eni, timeoutClass] = [random.pick(enis), random.below(CLASSES)]
      all.lru.append(eni, timeoutClass, id)
      listOf(eni, timeoutClass).push(id)
      at.set(id, [eni, timeoutClass])
    } else if (random.chance(0.5)) {
      all.lru.touch(...place, id)
      without(...place, id).push(id)
    } else {
      all.lru.remove(...place, id)
      without(...place, id)
      at.delete(id)
    }
  }
  for (const [key, list] of model) {
    const [eni, timeoutClass] = key.split(' ').map(Number)
    t.same(walk(all, eni, timeoutClass), list, `ENI ${eni}, class ${timeoutClass}`)
    t.equal(all.lru.counts[eni * CLASSES + timeoutClass], list.length)
  }
})
