/**
 * Devices in memory, for tests and benchmarks: frames are injected by hand, what is sent is collected.
 *
 * Frames come out of `receive` in the order of their injection. A device that is not attached brings nothing and takes nothing, as a
 * device that is gone.
 */
import type { Burst } from '../tables/burst.ts'
import { frameAt, type Slab, VNET_LEN } from '../tables/slab.ts'
import type { Io, IoCounters } from './io.ts'

/** A frame outside of the slab. */
export interface MemoryFrame {
  readonly device: number
  /** The IP packet. */
  readonly packet: Uint8Array
  /** The virtio-net header, VNET_LEN bytes. */
  readonly header: Uint8Array
}

const NO_HEADER = new Uint8Array(VNET_LEN)

export class MemoryIo implements Io {
  readonly counters: IoCounters = { deviceGone: 0, deviceFull: 0, writeFailed: 0, sleeps: 0 }
  /** What was sent, oldest first; empty it at will. */
  readonly sent: MemoryFrame[] = []
  readonly #slab: Slab
  readonly #devices = new Set<number>()
  #waiting: MemoryFrame[] = []

  constructor(slab: Slab) {
    this.#slab = slab
  }

  /** Frames injected and not received yet. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets a frame come in, a copy of it. Without a header nothing is left to do about it: no checksum, no segmentation. */
  inject(device: number, packet: Uint8Array, header: Uint8Array = NO_HEADER): void {
    this.#waiting.push({ device, packet: packet.slice(), header: header.slice() })
  }

  attach(device: number, _descriptor = -1): void {
    if (this.#devices.has(device)) throw new RangeError(`memory: device ${device} is attached already`)
    this.#devices.add(device)
  }

  detach(device: number): void {
    this.#devices.delete(device)
    this.#waiting = this.#waiting.filter(frame => frame.device !== device)
  }

  receive(burst: Burst): void {
    const { bytes } = this.#slab
    let taken = 0
    for (const { device, packet, header } of this.#waiting) {
      if (burst.count === burst.capacity || this.#slab.free === 0) break
      taken++
      if (!this.#devices.has(device)) continue
      const slot = this.#slab.take()
      bytes.set(header, frameAt(slot) - VNET_LEN)
      bytes.set(packet, frameAt(slot))
      burst.add(slot, packet.length, device)
    }
    this.#waiting.splice(0, taken)
  }

  send(burst: Burst): void {
    const { bytes } = this.#slab
    for (let i = 0; i < burst.count; i++) {
      const slot = burst.slot[i]
      const device = burst.device[i]
      const at = frameAt(slot)
      if (this.#devices.has(device))
        this.sent.push({
          device,
          packet: bytes.slice(at, at + burst.length[i]),
          header: bytes.slice(at - VNET_LEN, at),
        })
      else this.counters.deviceGone++
      this.#slab.give(slot)
    }
    burst.clear()
  }

  /** Never waits: what could come is there already. */
  wait(_milliseconds: number): void {
    this.counters.sleeps++
  }

  close(): void {
    this.#devices.clear()
    this.#waiting = []
  }
}
