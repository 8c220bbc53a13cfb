/** Programs that the benchmarks start: their output, their failures, their ends. */
import t from 'tap'
import { BenchError, requirePrograms, run, serve } from '../../bench/programs.ts'

const limits = { seconds: 10 }

t.test('a program answers what it wrote', async t => {
  t.equal(await run(['echo', 'hello'], limits), 'hello\n')
})

t.test('a failure says the command, the status and the words', async t => {
  await t.rejects(run(['sh', '-c', 'echo no route >&2; exit 3'], limits), {
    name: 'BenchError',
    message: /exit 3` ended with 3\nno route/,
  })
  await t.rejects(run(['/nowhere/at/all'], limits), { name: 'BenchError', message: /cannot be started/ })
})

t.test('a program that takes too long is ended, with its children', async t => {
  const began = performance.now()
  await t.rejects(run(['sh', '-c', 'sleep 30; true'], { seconds: 0.2 }), {
    message: /took longer than 0.2 s/,
  })
  t.ok(performance.now() - began < 10_000, 'long before it would have ended')
})

t.test('an abort ends a program with its reason', async t => {
  const abort = new AbortController()
  const running = run(['sleep', '30'], { ...limits, signal: abort.signal })
  abort.abort(new BenchError('enough'))
  await t.rejects(running, { message: 'enough' })
  await t.rejects(async () => run(['true'], { ...limits, signal: abort.signal }), { message: 'enough' })
})

t.test('a server is ready at its word and ends with its input', async t => {
  const server = await serve(
    ['sh', '-c', 'echo starting; echo ready; cat >/dev/null; echo bye'],
    /^ready$/,
    limits,
  )
  t.same(await server.stop(), ['starting', 'ready', 'bye'])
})

t.test('a server that ends before it is ready is a failure', async t => {
  await t.rejects(serve(['sh', '-c', 'echo port taken >&2; exit 1'], /^ready$/, limits), {
    message: /ended early\nport taken/,
  })
  await t.rejects(serve(['/nowhere/at/all'], /^ready$/, limits), { message: /ended early/ })
})

t.test('missing programs are named together with their packages', async t => {
  await t.resolves(requirePrograms({ sh: 'dash' }))
  await t.rejects(
    requirePrograms({ sh: 'dash', 'no-such-program': 'some-package', 'nor-this': 'some-package' }),
    {
      message: 'Missing: no-such-program, nor-this. Install with: apt-get install some-package',
    },
  )
})
