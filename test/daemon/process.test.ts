import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { end, gone, identify, isAlive, signal } from '../../src/daemon/process.ts'

const sleeper = (script = 'setTimeout(() => {}, 60000); console.log("ready")', options = {}) =>
  spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'], ...options })

t.test('a process is known by pid and start time', async t => {
  const child = sleeper()
  const identity = identify(child.pid ?? 0)
  if (identity === null) throw new Error('no process')
  t.ok(isAlive(identity))
  t.notOk(isAlive({ ...identity, start: identity.start + 1 }), 'another process with this pid is not it')
  t.notOk(signal({ ...identity, start: identity.start + 1 }, 'SIGKILL'), 'and is not signalled')
  t.ok(isAlive(identity))
  t.ok(signal(identity, 'SIGKILL'))
  t.ok(await gone(identity, 5000))
  t.notOk(isAlive(identity))
  t.notOk(signal(identity, 'SIGKILL'))
})

t.test('there is no process 0', async t => {
  t.equal(identify(0), null)
})

t.test('a process that ignores SIGTERM is killed', async t => {
  const child = sleeper('process.on("SIGTERM", () => {}); setTimeout(() => {}, 60000); console.log("ready")')
  await once(child.stdout, 'data')
  const identity = identify(child.pid ?? 0)
  if (identity === null) throw new Error('no process')
  t.notOk(await gone(identity, 30), 'it runs')
  await end(identity, { graceMilliseconds: 100 })
  t.notOk(isAlive(identity))
})

t.test('a group ends as a whole', async t => {
  const script = `
    const child = require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"])
    console.log(child.pid)
    setTimeout(() => {}, 60000)`
  const leader = sleeper(script, { detached: true })
  const [output] = (await once(leader.stdout, 'data')) as [Buffer]
  const [first, second] = [identify(leader.pid ?? 0), identify(Number(output.toString()))]
  if (first === null || second === null) throw new Error('no process')
  await end(first, { group: true })
  t.ok(await gone(second, 5000))
})
