/** The addon itself: several threads at once, arguments that are wrong, descriptors of threads that end. */
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { native, SystemCallError } from '../../src/io/native.ts'

const io = (name: string) => JSON.stringify(new URL(`../../src/io/${name}.js`, import.meta.url))
const events = () => {
  let count = 0
  for (const descriptor of readdirSync('/proc/self/fd'))
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`) === 'anon_inode:[eventfd]') count++
    } catch {
      // The descriptor that reads the directory is gone by now.
    }
  return count
}

/** Runs a module in a thread until it ends; answers what it posted. */
async function thread(source: string): Promise<unknown> {
  const worker = new Worker(
    `import('node:worker_threads').then(async ({ parentPort }) => {
      const { native } = await import(${io('native')})
      const { mapMemory } = await import(${io('mapping')})
      ${source}
    })`,
    { eval: true },
  )
  const message = once(worker, 'message')
  const exit = once(worker, 'exit')
  const answer = await message
  await exit
  return answer[0]
}

t.test('three threads use the addon at once, each with errors of its own', async t => {
  const answers = await Promise.all(
    ['/nowhere/a', '/etc', ''].map(path =>
      thread(`
        const result = native.lockFile(${JSON.stringify(path)})
        for (let i = 0; i < 1000; i++) native.close(native.eventCreate())
        const { memory } = mapMemory(1 << 20)
        new Uint8Array(memory).fill(7)
        parentPort.postMessage([result, native.lastCall(), native.threadId()])`),
    ),
  )
  const results = answers as [number, string, number][]
  t.same(
    results.map(([result]) => native.errorCode(-result)),
    ['ENOENT', 'EISDIR', 'ENOENT'],
  )
  t.equal(new Set([native.threadId(), ...results.map(([, , id]) => id)]).size, 4, 'four different threads')
})

t.test('a thread that ends leaves no descriptor behind, unless another closed it', async t => {
  const before = events()
  const held = await thread(`
    const kept = [native.eventCreate(), native.eventCreate(), native.eventCreate()]
    parentPort.postMessage(kept)`)
  t.equal((held as number[]).length, 3)
  t.equal(events(), before)

  // The number is free again before the thread ends, and somebody else's then.
  const worker = new Worker(
    `import('node:worker_threads').then(async ({ parentPort }) => {
      const { native } = await import(${io('native')})
      parentPort.postMessage(native.eventCreate())
      parentPort.once('message', () => {})
    })`,
    { eval: true },
  )
  const [descriptor] = await once(worker, 'message')
  t.equal(native.close(descriptor), 0, 'any thread may close it')
  const mine = native.eventCreate()
  t.equal(mine, descriptor)
  worker.postMessage('end')
  await once(worker, 'exit')
  t.equal(native.eventSignal(mine), 0, 'ours is still open')
  native.close(mine)
})

t.test('a thread that is stopped leaves neither ring nor memory behind', async t => {
  const worker = new Worker(
    `import('node:worker_threads').then(async ({ parentPort }) => {
      const { UringIo } = await import(${io('uring')})
      const { mapMemory } = await import(${io('mapping')})
      const { Slab, STRIDE } = await import(${JSON.stringify(new URL('../../src/tables/slab.js', import.meta.url))})
      globalThis.io = new UringIo(new Slab(mapMemory(16 * STRIDE).memory, 16))
      parentPort.postMessage('ready')
      setInterval(() => globalThis.io.wait(1), 10)
    })`,
    { eval: true },
  )
  await once(worker, 'message')
  const rings = () =>
    readdirSync('/proc/self/fd').filter(descriptor => {
      try {
        return readlinkSync(`/proc/self/fd/${descriptor}`) === 'anon_inode:[io_uring]'
      } catch {
        return false
      }
    }).length
  const during = rings()
  await worker.terminate()
  t.equal(rings(), during - 1)
})

t.test('wrong arguments are errors, never crashes', async t => {
  const verbs = Object.entries(native as unknown as Record<string, (...args: unknown[]) => unknown>)
  const texts = new Set(['lastCall', 'errorWords', 'errorCode', 'threadId', 'eventCreate'])
  const wrong = [
    [],
    [undefined],
    ['x', 'y', 'z', 'a', 'b'],
    [null, null],
    [{}, [], Symbol.iterator],
    [Number.NaN, 'x'],
  ]
  t.ok(verbs.length > 25)
  for (const [name, verb] of verbs)
    for (const args of wrong) {
      // A lock file would be made under that name.
      if (texts.has(name) || (name === 'lockFile' && args[0] === 'x')) continue
      const result = verb(...args)
      t.ok(
        typeof result === 'number' && result < 0,
        `${name}(${args.map(String).join(', ')}) is ${String(result)}`,
      )
    }
  t.match(new SystemCallError('try', native.mappingRelease(new ArrayBuffer(8)), native.lastCall()), {
    code: 'EINVAL',
  })
  t.equal(
    native.frameRead(0, new Uint8Array(10), Int32Array.of(0), 2, 1, new Int32Array(2)),
    -22,
    'too few places',
  )
  t.equal(
    native.frameRead(0, new Uint8Array(10), Int32Array.of(5), 1, 6, new Int32Array(1)),
    -22,
    'beyond the memory',
  )
  t.equal(
    native.frameWrite(
      Int32Array.of(1),
      new Uint8Array(4),
      Int32Array.of(-1),
      Int32Array.of(1),
      1,
      new Int32Array(1),
    ),
    -22,
  )
  t.equal(native.uringSetup(8, 16, 0, new Int32Array(29)), -22, 'no room for the parameters')
})

t.test('a program and its table are loaded, mapped and let go of', async t => {
  const map = native.bpfArrayMap(8192)
  const value = native.bpfMapValue(map, 8192) as ArrayBuffer
  new Uint8Array(value)[8191] = 1
  const again = native.bpfMapValue(map, 8192) as ArrayBuffer
  t.equal(new Uint8Array(again)[8191], 1, 'every mapping shows the same')
  t.equal(native.mappingRelease(value), 0)
  t.equal(native.mappingRelease(again), 0)
  // r0 = 0; exit
  const program = native.bpfSocketFilter(
    Uint8Array.of(0xb4, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0),
    new Uint8Array(0),
  )
  t.ok(program >= 0)
  t.equal(native.close(program), 0)
  t.equal(native.close(map), 0)
})

t.test('errors have words and codes', async t => {
  t.equal(native.errorWords(16), 'Device or resource busy')
  t.equal(native.errorCode(16), 'EBUSY')
  t.equal(native.errorCode(77), 'EBADFD')
  t.equal(native.errorCode(9999), '')
  t.equal(new SystemCallError('try', -9999, 'x').code, 'errno 9999')
})
