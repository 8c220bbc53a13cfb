import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { parallel } from '../../src/daemon/parallel.ts'

t.test('results come in the order of the items, whatever the order of the work', async t => {
  let atWork = 0
  let most = 0
  const results = await parallel(
    Array.from({ length: 40 }, (_, i) => i),
    async item => {
      most = Math.max(most, ++atWork)
      await sleep((item * 7) % 5)
      atWork--
      return item * 2
    },
  )
  t.same(
    results,
    Array.from({ length: 40 }, (_, i) => i * 2),
  )
  t.ok(most > 1 && most <= 8, `${most} at a time`)
  t.same(await parallel([], async () => 1), [])
})

t.test('after a failure nothing new is begun, and what had begun is over', async t => {
  const begun: number[] = []
  const over: number[] = []
  const work = parallel(
    Array.from({ length: 40 }, (_, i) => i),
    async item => {
      begun.push(item)
      await sleep(5)
      if (item === 3) throw new Error('three')
      over.push(item)
    },
  )
  await t.rejects(work, { message: 'three' })
  t.ok(begun.length < 40)
  t.equal(over.length, begun.length - 1)
})
