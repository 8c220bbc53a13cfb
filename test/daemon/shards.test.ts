import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Detail, Level } from '../../src/daemon/log.ts'
import { Shards } from '../../src/daemon/shards.ts'
import type { Seen, WatchMatch } from '../../src/shard/messages.ts'
import { compile } from '../../src/vpc/compile.ts'
import { Model } from '../../src/vpc/model.ts'
import type { Plan } from '../../src/vpc/plan.ts'

const STUB = fileURLToPath(new URL('./stub-shard.js', import.meta.url))

const planOf = (generation: number): Plan => ({ ...compile(new Model()).plan, generation })

interface Line {
  readonly level: Level
  readonly event: string
  readonly detail: Detail
}

function shardsFor(t: Test, count = 2) {
  const directory = t.testdir({})
  const lines: Line[] = []
  const shards = new Shards(
    {
      filename: STUB,
      shards: count,
      directory,
      io: 'readv',
      flows: 1024,
      hugePages: false,
      keys: new Int32Array(64),
      cpus: [],
      eventDescriptors: Array.from({ length: count }, (_, shard) => 100 + shard),
      wake: () => {},
      log: (level, event, detail = {}) => lines.push({ level, event, detail }),
    },
    planOf(1),
  )
  t.teardown(() => shards.stop())
  return {
    shards,
    lines,
    said: (shard: number) =>
      readFileSync(join(directory, `said-${shard}`), 'utf8')
        .trim()
        .split('\n'),
    put: (name: string) => writeFileSync(join(directory, name), ''),
  }
}

const match = (device: number): WatchMatch => ({
  device,
  protocol: -1,
  identification: -1,
  source: new Int32Array(0),
  destination: new Int32Array(0),
  sourcePort: -1,
  destinationPort: -1,
})

const until = async (holds: () => boolean) => {
  for (let i = 0; i < 500 && !holds(); i++) await sleep(10)
}

t.test('plans and devices reach every shard, each its own queue', async t => {
  const { shards, said } = shardsFor(t)
  await shards.start(new Map([[5, [50, 51]]]))
  t.same(shards.ready, [true, true])
  await shards.apply(planOf(2))
  await shards.attach(7, [70, 71])
  await shards.detach(5)
  await shards.stop()
  t.same(said(0), ['start 1 5:50', 'plan', 'attach', 'detach', 'stop'])
  t.same(said(1), ['start 1 5:51', 'plan', 'attach', 'detach', 'stop'])
  t.equal(shards.deaths, 0)
})

t.test('a shard that dies is started again with what holds now', async t => {
  const { shards, said, lines, put } = shardsFor(t)
  await shards.start(new Map([[5, [50, 51]]]))
  await shards.attach(7, [70, 71])
  put('die-1')
  await shards.apply(planOf(3))
  t.same(said(1).at(-1), 'start 3 5:51 7:71', 'the present plan and devices, no old messages')
  t.same(shards.ready, [true, true])
  t.equal(shards.deaths, 1)
  t.match(
    lines.find(({ event }) => event === 'shard-died'),
    { level: 'error', detail: { shard: 1, message: 'die-1 was there' } },
  )
  t.same(said(0), ['start 1 5:50', 'attach', 'plan'], 'the other one runs on')
})

t.test('a shard that dies before it is ready fails the start', async t => {
  const { shards, put } = shardsFor(t)
  put('never-0')
  await t.rejects(shards.start(new Map()), { message: 'A shard did not start: never-0 was there' })
})

t.test('a watch answers once, and is withdrawn from every shard', async t => {
  const { shards, said } = shardsFor(t)
  await shards.start(new Map())
  const seen: Seen[] = []
  shards.watch(match(1), what => seen.push(what))
  await until(() => seen.length > 0)
  t.match(seen, [{ verdict: 'dropped', fromDevice: 1 }])
  const over = shards.watch(match(9), () => t.fail('nobody saw it'))
  over()
  over()
  await shards.stop()
  t.same(said(0).slice(1), ['watch', 'unwatch', 'watch', 'unwatch', 'stop'])
})
