/** Budgets of errors that are originated: RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f, P-12. */
import t from 'tap'
import { ERRORS_BURST, ERRORS_PER_SECOND, ErrorBudget, TokenBucket } from '../../src/nat/errors.ts'

/** How many of `tries` a bucket lets pass at one tick. */
const passed = (bucket: TokenBucket, now: number, tries: number): number => {
  let count = 0
  for (let i = 0; i < tries; i++) if (bucket.take(now)) count++
  return count
}

t.test('a bucket begins full, whatever the tick', async test => {
  for (const now of [0, 5, -5, 2 ** 31 - 1, -(2 ** 31)])
    test.equal(passed(new TokenBucket(10, 7), now, 100), 7)
})

t.test('it gains at its rate, and no more than a burst', async test => {
  const bucket = new TokenBucket(50, 20)
  passed(bucket, 1000, 100)
  test.equal(passed(bucket, 1001, 100), 0, 'half a token after 10 ms')
  test.equal(passed(bucket, 1002, 100), 1, 'one after 20 ms')
  test.equal(passed(bucket, 1022, 100), 10)
  test.equal(passed(bucket, 1_000_000, 100), 20)
})

t.test('over a second of flood it lets pass a second of its rate', async test => {
  const bucket = new TokenBucket(ERRORS_PER_SECOND, ERRORS_BURST)
  passed(bucket, 0, 1000)
  let count = 0
  for (let now = 1; now <= 100; now++) count += passed(bucket, now, 1000)
  test.equal(count, ERRORS_PER_SECOND)
})

t.test('it works across the wrap of the tick', async test => {
  const bucket = new TokenBucket(100, 10)
  passed(bucket, 2 ** 31 - 1, 100)
  test.equal(passed(bucket, -(2 ** 31), 100), 1)
  test.equal(passed(bucket, -(2 ** 31) + 3, 100), 3)
})

t.test('it is full again after an age', async test => {
  const bucket = new TokenBucket(1, 10)
  passed(bucket, 0, 100)
  test.equal(passed(bucket, -10, 100), 10, '2^32 - 10 ticks later')
})

t.test(
  'P-12: other errors do not use up the budget of packet-too-big, nor the other way round',
  async test => {
    const budget = new ErrorBudget()
    while (budget.mayTell(0)) {}
    test.ok(budget.mayTellSize(0))
    while (budget.mayTellSize(0)) {}
    test.notOk(budget.mayTellSize(0))
    test.ok(budget.mayTell(1))
    test.notOk(new ErrorBudget(1, 0).mayTell(0), 'no budget, no error')
  },
)
