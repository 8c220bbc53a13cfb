/** Rings between shards: what goes in comes out, whole and in order, over the wrap and between two threads. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { FrameRing, RING_BYTES, RING_MEMORY } from '../../src/tables/ring.ts'
import { frameAt, MAX_FRAME, Slab, STRIDE, VNET_LEN } from '../../src/tables/slab.ts'
import { type Random, randomOf } from './random.ts'
import type { RingPeerReport, RingPeerStart } from './ring-peer.ts'

/** A ring whose slot 0 is for what goes in and slot 1 for what comes out. */
function ringOf(memory = new ArrayBuffer(RING_MEMORY)) {
  const slab = new Slab(new ArrayBuffer(2 * STRIDE), 2)
  return { slab, ring: new FrameRing(memory, slab), memory }
}

/** Fills slot 0 with a header and a frame of this length that nobody mistakes for another. */
function write(slab: Slab, length: number, mark: number): Buffer {
  const from = frameAt(0) - VNET_LEN
  const frame = slab.bytes.subarray(from, from + VNET_LEN + length)
  for (let i = 0; i < frame.length; i++) frame[i] = mark + i * 7
  return Buffer.from(frame)
}

const read = (slab: Slab, length: number): Buffer => {
  const from = frameAt(1) - VNET_LEN
  return Buffer.from(slab.bytes.subarray(from, from + VNET_LEN + length))
}

t.test('an empty ring has nothing', async t => {
  const { ring } = ringOf()
  t.ok(ring.empty)
  t.equal(ring.peek(), -1)
})

t.test('frames come out as they went in, header, length and device too', async t => {
  const { ring, slab } = ringOf()
  const lengths = [1, 20, 52, 53, 1500, MAX_FRAME]
  const frames = lengths.map((length, i) => {
    const frame = write(slab, length, i)
    t.ok(ring.push(0, length, i + 40))
    return frame
  })
  t.notOk(ring.empty)
  for (const [i, frame] of frames.entries()) {
    t.equal(ring.peek(), lengths[i])
    t.equal(ring.peek(), lengths[i], 'peeking twice takes nothing')
    t.equal(ring.pop(1), i + 40)
    t.ok(read(slab, lengths[i]).equals(frame))
  }
  t.ok(ring.empty)
})

t.test('a full ring refuses, loses nothing, and takes again when there is room', async t => {
  const { ring, slab } = ringOf()
  const length = 1500
  const record = 64 * Math.ceil((64 + VNET_LEN + length) / 64)
  let pushed = 0
  while (ring.push(0, write(slab, length, pushed).length - VNET_LEN, pushed % 256)) pushed++
  t.equal(pushed, Math.floor(RING_BYTES / record))
  t.notOk(ring.push(0, length, 0))
  ring.peek()
  t.equal(ring.pop(1), 0)
  t.ok(ring.push(0, write(slab, length, pushed).length - VNET_LEN, pushed % 256), 'one out, one in')
  for (let i = 1; i <= pushed; i++) {
    ring.peek()
    if (ring.pop(1) !== i % 256 || read(slab, length)[0] !== i % 256) t.fail(`frame ${i} is another`)
  }
  t.ok(ring.empty)
})

t.test('records never wrap: many laps of random lengths, with fillers, come out in order', async t => {
  const random = randomOf(t)
  const { ring, slab } = ringOf()
  const expected: { frame: Buffer; device: number }[] = []
  let bytes = 0
  let wrong = 0
  const take = () => {
    const { frame, device } = expected.shift()!
    const length = ring.peek()
    if (length !== frame.length - VNET_LEN || ring.pop(1) !== device || !read(slab, length).equals(frame))
      wrong++
  }
  for (let i = 0; bytes < 12 * RING_BYTES; i++) {
    const length = random.chance(0.2) ? 1 + random.below(MAX_FRAME) : 20 + random.below(1480)
    const frame = write(slab, length, i)
    if (ring.push(0, length, i & 0xffff)) {
      expected.push({ frame, device: i & 0xffff })
      bytes += length
    } else for (let n = random.below(expected.length) + 1; n > 0; n--) take()
    if (random.chance(0.3) && expected.length > 0) take()
  }
  while (expected.length > 0) take()
  t.equal(wrong, 0)
  t.ok(ring.empty)
  t.equal(ring.peek(), -1)
})

t.test('positions count on past 2^32 bytes', async t => {
  const { ring, slab, memory } = ringOf()
  // Head and tail, a lap and a half before their wrap.
  const control = new Int32Array(memory, 0, 32)
  control[0] = (-1.5 * RING_BYTES) | 0
  control[16] = control[0]
  let wrong = 0
  for (let i = 0; i < 4000; i++) {
    const frame = write(slab, 1000, i)
    if (!ring.push(0, 1000, i)) wrong++
    if (ring.peek() !== 1000 || ring.pop(1) !== i || !read(slab, 1000).equals(frame)) wrong++
  }
  t.equal(wrong, 0)
  t.ok(control[0] > 0, 'the position wrapped')
})

t.test('a consumer says when it sleeps', async t => {
  const { ring, slab, memory } = ringOf()
  const other = new FrameRing(memory, slab)
  t.notOk(other.asleep)
  ring.asleep = true
  t.ok(other.asleep)
  ring.asleep = false
  t.notOk(other.asleep)
})

/** Pushes a random train of frames, waiting where the ring is full; the hash of all of it. */
function pushAll(ring: FrameRing, slab: Slab, random: Random, frames: number): RingPeerReport {
  const hash = createHash('sha256')
  const header = new Int32Array(2)
  let bytes = 0
  for (let i = 0; i < frames; i++) {
    const length = random.chance(0.05) ? 1 + random.below(MAX_FRAME) : 20 + random.below(1480)
    const frame = write(slab, length, random.word())
    while (!ring.push(0, length, i & 0x7fff));
    header.set([length, i & 0x7fff])
    hash.update(new Uint8Array(header.buffer))
    hash.update(frame)
    bytes += length
  }
  return { digest: hash.digest('hex'), bytes }
}

t.test('between two threads nothing is lost, torn or out of order', async t => {
  const random = randomOf(t)
  const frames = 6000
  const memory = new SharedArrayBuffer(RING_MEMORY)
  const start: RingPeerStart = { memory, frames }
  const worker = new Worker(new URL('./ring-peer.js', import.meta.url), { workerData: start })
  const answer = once(worker, 'message')
  const end = once(worker, 'exit')
  const { ring, slab } = ringOf(memory as unknown as ArrayBuffer)
  const sent = pushAll(ring, slab, random, frames)
  t.same((await answer)[0], sent)
  await end
})
