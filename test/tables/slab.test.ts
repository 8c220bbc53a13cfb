/** The slab: slots that do not touch each other, handed out once each, the warmest first. */
import t from 'tap'
import { FRAME_AT, frameAt, MAX_FRAME, NO_SLOT, Slab, STRIDE, VNET_LEN } from '../../src/tables/slab.ts'

const slabOf = (slots: number) => new Slab(new ArrayBuffer(slots * STRIDE), slots)

t.test('a slot holds the longest packet and the header before it, in cache lines of its own', async t => {
  t.ok(FRAME_AT >= VNET_LEN)
  t.ok(FRAME_AT + MAX_FRAME <= STRIDE)
  t.equal(FRAME_AT % 64, 0)
  t.equal(STRIDE % 64, 0)
  t.equal(
    (STRIDE / 64) % 2,
    1,
    'an odd number of lines: headers of neighbours fall into different cache sets',
  )
  t.equal(frameAt(3), 3 * STRIDE + FRAME_AT)
})

t.test('every slot is handed out once, then none', async t => {
  const slab = slabOf(5)
  t.equal(slab.free, 5)
  const taken = Array.from({ length: 5 }, () => slab.take())
  t.same([...taken].sort(), [0, 1, 2, 3, 4])
  t.equal(slab.take(), NO_SLOT)
  t.equal(slab.free, 0)
})

t.test('the slot given back last is the next', async t => {
  const slab = slabOf(4)
  const [a, b] = [slab.take(), slab.take()]
  slab.give(a)
  slab.give(b)
  t.equal(slab.take(), b)
  t.equal(slab.take(), a)
})

t.test('words and bytes are the same memory', async t => {
  const slab = slabOf(2)
  slab.bytes.set([1, 2, 3, 4], frameAt(1))
  t.equal(slab.words[frameAt(1) >> 2], 0x04030201)
})

t.test('memory that is too short for the slots is refused', async t => {
  t.throws(() => new Slab(new ArrayBuffer(2 * STRIDE - 1), 2), /slab: 2 slots need \d+ bytes, got \d+/)
})
