/** Devices in memory. */
import t from 'tap'
import { MemoryIo } from '../../src/io/memory.ts'
import { Burst } from '../../src/tables/burst.ts'
import { frameAt, Slab, STRIDE } from '../../src/tables/slab.ts'
import { udp4 } from '../wire/build.ts'

t.test('frames come in the order of their injection and leave with their headers', async t => {
  const slab = new Slab(new ArrayBuffer(4 * STRIDE), 4)
  const io = new MemoryIo(slab)
  const burst = new Burst(2)
  io.attach(0)
  io.attach(5)
  t.throws(() => io.attach(5), { name: 'RangeError' })
  const header = Uint8Array.of(1, 0, 0, 0, 0, 0, 20, 0, 6, 0, 0, 0)
  for (const number of [1, 2, 3]) io.inject(number === 2 ? 5 : 0, udp4({ sourcePort: number }), header)
  io.inject(9, udp4())

  io.receive(burst)
  t.equal(burst.count, 2, 'a burst has its capacity')
  t.same([...burst.device], [0, 5])
  t.equal(burst.length[0], udp4().length)
  slab.bytes[frameAt(burst.slot[0]) + 8] = 7
  burst.device[0] = 5
  burst.device[1] = 3
  io.send(burst)
  t.equal(burst.count, 0)
  t.equal(slab.free, 4)
  t.equal(io.sent.length, 1)
  t.equal(io.sent[0].device, 5)
  t.equal(io.sent[0].packet[8], 7)
  t.same(io.sent[0].header, header)
  t.equal(io.counters.deviceGone, 1, 'device 3 does not exist')

  io.receive(burst)
  t.equal(burst.count, 1, 'device 9 brings nothing')
  t.equal(io.waiting, 0)
  slab.give(burst.slot[0])
  burst.clear()

  io.inject(0, udp4())
  io.detach(0)
  io.receive(burst)
  t.equal(burst.count, 0, 'what waits in a device goes with it')
  io.wait(1000)
  io.close()
})

t.test('frames wait for a free slot', async t => {
  const slab = new Slab(new ArrayBuffer(STRIDE), 1)
  const io = new MemoryIo(slab)
  const burst = new Burst(8)
  io.attach(0)
  io.inject(0, udp4({ sourcePort: 1 }))
  io.inject(0, udp4({ sourcePort: 2 }))
  io.receive(burst)
  t.equal(burst.count, 1)
  t.equal(io.waiting, 1)
})
