/**
 * The other end of a ring, on a thread of its own: takes every frame out, and answers what it took as a hash.
 */
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import { FrameRing } from '../../src/tables/ring.ts'
import { frameAt, Slab, STRIDE, VNET_LEN } from '../../src/tables/slab.ts'

/** What the thread is given. */
export interface RingPeerStart {
  readonly memory: SharedArrayBuffer
  readonly frames: number
}

/** What it found. */
export interface RingPeerReport {
  readonly digest: string
  readonly bytes: number
}

const { memory, frames } = workerData as RingPeerStart
const slab = new Slab(new ArrayBuffer(STRIDE), 1)
// A ring's memory is a mapping in the daemon; views of a shared buffer behave alike.
const ring = new FrameRing(memory as unknown as ArrayBuffer, slab)
const hash = createHash('sha256')
const header = new Int32Array(2)
let bytes = 0
for (let taken = 0; taken < frames; ) {
  const length = ring.peek()
  if (length < 0) continue
  const device = ring.pop(0)
  header.set([length, device])
  hash.update(new Uint8Array(header.buffer))
  hash.update(slab.bytes.subarray(frameAt(0) - VNET_LEN, frameAt(0) + length))
  bytes += length
  taken++
}
const report: RingPeerReport = { digest: hash.digest('hex'), bytes }
parentPort?.postMessage(report)
