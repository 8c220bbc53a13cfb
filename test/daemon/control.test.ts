import { existsSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ControlServer, type Handler, request } from '../../src/daemon/control.ts'
import { Failure } from '../../src/daemon/failure.ts'
import { shortFolder } from './folder.ts'

const socketFor = (t: Test): string => join(shortFolder(t), 'control.sock')

async function serverFor(t: Test, handlers: Readonly<Record<string, Handler>>): Promise<string> {
  const path = socketFor(t)
  const server = await ControlServer.listen(path, handlers)
  t.teardown(() => server.close())
  return path
}

t.test('a request gets its answer', async t => {
  const path = await serverFor(t, { add: ({ a, b }) => Number(a) + Number(b), nothing: () => undefined })
  t.equal(await request(path, 'add', { a: 1, b: 2 }), 3)
  t.equal(await request(path, 'nothing'), null)
})

t.test('failures come back with their words and their hint', async t => {
  const path = await serverFor(t, {
    refuse: () => {
      throw new Failure('It is not possible.', 'Try another.')
    },
    break: () => {
      throw new TypeError('a defect')
    },
  })
  await t.rejects(request(path, 'refuse'), { message: 'It is not possible.', hint: 'Try another.' })
  await t.rejects(request(path, 'break'), { message: 'a defect' })
  await t.rejects(request(path, 'toString'), { message: 'No such verb: toString.' })
})

t.test('progress comes before the answer', async t => {
  const path = await serverFor(t, {
    count: (_, { progress }) => {
      progress(1)
      progress(2)
      return 'done'
    },
  })
  const seen: unknown[] = []
  t.equal(await request(path, 'count', {}, { onProgress: value => seen.push(value) }), 'done')
  t.same(seen, [1, 2])
})

t.test('hanging up withdraws the request', async t => {
  let withdrawn = false
  const path = await serverFor(t, {
    wait: (_, { signal }) =>
      new Promise(resolve => {
        signal.addEventListener('abort', () => {
          withdrawn = true
          resolve(null)
        })
      }),
  })
  const over = new AbortController()
  const answer = request(path, 'wait', {}, { signal: over.signal })
  setTimeout(() => over.abort(), 50)
  await t.rejects(answer, /hung up/)
  for (let i = 0; i < 100 && !withdrawn; i++) await sleep(10)
  t.ok(withdrawn)
})

t.test('lines that are no requests are refused, and the connection goes on', async t => {
  const path = await serverFor(t, { ping: () => 'pong' })
  const socket = connect(path)
  t.teardown(() => socket.destroy())
  let output = ''
  socket.setEncoding('utf8').on('data', text => {
    output += text
  })
  socket.write('not json\n7\n{"verb":\n{"verb":"ping"}\n')
  for (let i = 0; i < 100 && output.split('\n').length < 5; i++) await sleep(10)
  const answers = output
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { ok: boolean })
  t.same(
    answers.map(({ ok }) => ok),
    [false, false, false, true],
  )
})

t.test('the socket is for its owner only, and goes with the server', async t => {
  const path = socketFor(t)
  writeFileSync(path, 'left behind')
  const server = await ControlServer.listen(path, {})
  t.equal(statSync(path).mode & 0o777, 0o600)
  await server.close()
  t.notOk(existsSync(path))
  await t.rejects(request(path, 'x'), { message: `No daemon answers at ${path}.` })
})
