/** How the benchmarks count what arrived. */
import t from 'tap'
import { rateWithin } from '../../bench/traffic.ts'

const second = 1e9

t.test('a rate is that between the first and the last note within', async t => {
  const lines = ['0 0', `${second} 500`, `${2 * second} 1500`, `${3 * second} 2500`, `${4 * second} 2600`]
  t.equal(rateWithin(lines, second, 3 * second), 1000)
  t.equal(rateWithin(lines, 0.5 * second, 3.5 * second), 1000, 'notes without do not count')
  t.equal(rateWithin(lines, 0, 4 * second), 650)
})

t.test('fewer than two notes make no rate', async t => {
  t.ok(Number.isNaN(rateWithin([], 0, second)))
  t.ok(Number.isNaN(rateWithin(['5 1'], 0, second)))
})
