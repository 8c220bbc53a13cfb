/** Devices by io_uring: the contract, and what only rings have. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { mapMemory } from '../../src/io/mapping.ts'
import { closeDescriptor } from '../../src/io/native.ts'
import { openTun } from '../../src/io/tun.ts'
import { UringIo } from '../../src/io/uring.ts'
import { Slab, STRIDE } from '../../src/tables/slab.ts'
import { udp4 } from '../wire/build.ts'
import { Bench, testContract } from './contract.ts'
import { Namespace, Peer } from './namespace.ts'

// Closing a TUN queue takes the kernel some milliseconds, on a busy machine many.
t.setTimeout(180_000)

testContract((slab, options) => new UringIo(slab, options))

t.test('a ring smaller than what is queued is emptied in between', async t => {
  const bench = new Bench(t, (slab, options) => new UringIo(slab, { ...options, entries: 8 }), { burst: 128 })
  const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
  for (let number = 0; number < 100; number++) {
    const packet = udp4({
      source: '10.9.0.2',
      destination: '10.9.0.1',
      destinationPort: 5000,
      payload: `${number}`,
    })
    bench.burst.add(bench.place(packet), packet.length, 0)
  }
  bench.io.send(bench.burst)
  t.ok(bench.slab.free > 256 - 8, 'no more than a ring of them is still queued')
  peer.send('in ', '10.9.0.2', 99, { count: 50 })
  t.equal((await bench.take(50)).length, 50)
  await bench.until(
    () => peer.received.length === 100,
    slot => bench.slab.give(slot),
  )
  t.same(
    peer.received.map(({ text }) => Number(text)),
    Array.from({ length: 100 }, (_, number) => number),
  )
  bench.close()
})

t.test('many devices cost a sleeping loop nothing', async t => {
  const namespace = new Namespace(t)
  const memory = mapMemory(128 * STRIDE)
  const slab = new Slab(memory.memory, 128)
  const bench = new Bench(t, (slab, options) => new UringIo(slab, options), { devices: 1 })
  const io = new UringIo(slab, { entries: 16, idleTurns: 2 })
  const descriptors: number[] = []
  for (let device = 0; device < 100; device++) {
    descriptors.push(openTun({ namespace: namespace.path, name: `many${device}` }).queues[0])
    io.attach(device, descriptors[device])
  }
  // More devices than the submission ring has entries become idle at once.
  for (let turn = 0; turn < 10; turn++) {
    io.receive(bench.burst)
    io.wait(0)
  }
  const cpu = process.cpuUsage()
  const { sleeps } = io.counters
  for (let turn = 0; turn < 10; turn++) {
    io.receive(bench.burst)
    io.wait(20)
  }
  const { user, system } = process.cpuUsage(cpu)
  t.equal(io.counters.sleeps, sleeps + 10, 'every turn slept')
  t.ok(user + system < 100_000, `200 ms of sleep cost ${user + system} µs`)
  io.close()
  t.equal(slab.free, 128)
  for (const descriptor of descriptors) closeDescriptor(descriptor)
  bench.close()
})

t.test('a slab that cannot be registered is refused', async t => {
  const memory = new ArrayBuffer(STRIDE)
  const slab = new Slab(memory, 1)
  Object.defineProperty(slab, 'slots', { value: 20_000 })
  t.throws(() => new UringIo(slab), { name: 'RangeError' })
})

t.test('a process that may open few files still has rings', async t => {
  const from = (name: string) => JSON.stringify(new URL(`../../src/${name}.js`, import.meta.url))
  const program = `
    const { UringIo } = await import(${from('io/uring')})
    const { mapMemory } = await import(${from('io/mapping')})
    const { eventfd } = await import(${from('io/thread')})
    const { Slab, STRIDE } = await import(${from('tables/slab')})
    const io = new UringIo(new Slab(mapMemory(STRIDE).memory, 1))
    let attached = 0
    try {
      for (let device = 4000; ; device--) {
        io.attach(device, eventfd())
        attached++
      }
    } catch (error) {
      console.log(attached > 50, error.message)
    }
    io.close()`
  const said = execFileSync(
    'sh',
    ['-c', `ulimit -n 200; exec "$0" "$@"`, process.execPath, '--input-type=module', '-e', program],
    {
      encoding: 'utf8',
    },
  )
  t.match(said, /^true io_uring: \d+ devices are attached already/)
})

t.test('numbers beyond the device table are refused', async t => {
  const memory = mapMemory(STRIDE)
  const io = new UringIo(new Slab(memory.memory, 1), { devices: 4 })
  t.throws(() => io.attach(4, 0), { name: 'RangeError', message: /device 4 is beyond 4/ })
  t.throws(() => io.attach(3, 100_000), {
    name: 'SystemCallError',
    code: 'EBADF',
    message: 'register device 3 with io_uring: Bad file descriptor (EBADF)',
  })
  io.close()
  io.close()
})
