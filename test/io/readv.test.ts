/** Devices by read and write: the contract. */
import t from 'tap'
import { ReadvIo } from '../../src/io/readv.ts'
import { Slab, STRIDE } from '../../src/tables/slab.ts'
import { testContract } from './contract.ts'

// Closing a TUN queue takes the kernel some milliseconds, on a busy machine many.
t.setTimeout(180_000)

testContract((slab, options) => new ReadvIo(slab, options))

t.test('numbers beyond the device table are refused', async t => {
  const io = new ReadvIo(new Slab(new ArrayBuffer(STRIDE), 1), { devices: 4 })
  t.throws(() => io.attach(4, 0), { name: 'RangeError', message: /device 4 is beyond 4/ })
})
