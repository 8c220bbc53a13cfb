/** Counters and drops: where they lie, that none is in the way of another, that every one has a word. */
import t from 'tap'
import { Counter, Counters, counterSections } from '../../src/tables/counters.ts'
import { DROP_COUNT, Drop, dropName } from '../../src/tables/drops.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'

const memory = new Region(new ArrayBuffer(regionBytes(counterSections)), counterSections)

t.test('every counter and every drop is a double of its own', async t => {
  const counters = new Counters(memory)
  for (const counter of Object.values(Counter)) counters.values[counter] += 1 + counter
  for (const drop of Object.values(Drop)) counters.drops[drop] += 1000 + drop
  for (const [name, counter] of Object.entries(Counter)) t.equal(counters.values[counter], 1 + counter, name)
  for (const [name, drop] of Object.entries(Drop)) t.equal(counters.drops[drop], 1000 + drop, name)
})

t.test('whoever maps the region reads the same figures', async t => {
  const writer = new Counters(memory)
  writer.values[Counter.FramesIn] = 2 ** 40 + 1
  t.equal(new Counters(memory).values[Counter.FramesIn], 2 ** 40 + 1)
})

t.test('every reason has a number and a word of its own', async t => {
  const numbers = Object.values(Drop)
  t.equal(DROP_COUNT, Math.max(...numbers) + 1)
  t.equal(new Set(numbers).size, numbers.length)
  const words = numbers.map(drop => dropName[drop])
  t.equal(new Set(words).size, words.length)
  for (const word of words) t.match(word, /^[a-z0-9]+(-[a-z0-9]+)*$/)
})
