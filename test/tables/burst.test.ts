/** A burst: frames side by side, in the order they were added. */
import t from 'tap'
import { Burst } from '../../src/tables/burst.ts'

t.test('frames stand where they were added', async t => {
  const burst = new Burst(3)
  burst.add(7, 60, 1)
  burst.add(2, 1500, 4)
  t.equal(burst.count, 2)
  t.same(
    [0, 1].map(i => [burst.slot[i], burst.length[i], burst.device[i]]),
    [
      [7, 60, 1],
      [2, 1500, 4],
    ],
  )
})

t.test('an emptied burst begins anew', async t => {
  const burst = new Burst(2)
  burst.add(1, 20, 0)
  burst.clear()
  t.equal(burst.count, 0)
  burst.add(5, 40, 2)
  t.same([burst.slot[0], burst.length[0], burst.device[0]], [5, 40, 2])
})
