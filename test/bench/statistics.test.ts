/** The statistics of the benchmarks. */
import fc from 'fast-check'
import t from 'tap'
import { median, quantile, spread, takeTurns } from '../../bench/statistics.ts'

t.test('the median is the middle', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 3, 2]), 2.5, 'the mean of the two middles')
  t.equal(median([7]), 7)
  t.ok(Number.isNaN(median([])), 'nothing has no middle')
})

t.test('a quantile lies between neighbours', async t => {
  const values = [10, 20, 30, 40, 50]
  t.equal(quantile(values, 0), 10)
  t.equal(quantile(values, 1), 50)
  t.equal(quantile(values, 0.25), 20)
  t.equal(quantile(values, 0.875), 45)
})

t.test('the order of values does not matter, and none is changed', async t => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 1e9 }), { minLength: 1 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (values, share) => {
        const copy = [...values]
        const answer = quantile(values, share)
        return (
          answer === quantile(values.toReversed(), share) &&
          answer >= Math.min(...values) &&
          answer <= Math.max(...values) &&
          copy.every((value, index) => value === values[index])
        )
      },
    ),
  )
  t.pass('for any values')
})

t.test('the spread is relative to the median', async t => {
  t.equal(spread([90, 100, 110]), 0.2)
  t.equal(spread([5, 5, 5]), 0)
})

t.test('contenders take turns, every second round in reverse', async t => {
  const turns: string[] = []
  const turn = (name: string) => () => turns.push(name)
  const values = await takeTurns(3, { a: turn('a'), b: turn('b') })
  t.same(turns, ['a', 'b', 'b', 'a', 'a', 'b'])
  t.same(values, { a: [1, 4, 5], b: [2, 3, 6] }, 'each has its values in order of the rounds')
})

t.test('a contender that fails ends the comparison', async t => {
  const broken = async () => {
    throw new Error('no route')
  }
  await t.rejects(takeTurns(2, { a: () => 1, b: broken }), { message: 'no route' })
})
