/**
 * Devices by read and write, for where io_uring is refused: the addon loops over the frames of a burst, one system call each.
 *
 * As with io_uring a device is active while it brings frames. After `idleTurns` empty turns it is idle and no longer read: one poll
 * over all idle devices, every few turns and in `wait`, says which have something. Frames are written in `send` itself, so a slot
 * comes back at once.
 */
import type { Burst } from '../tables/burst.ts'
import { FRAME_AT, MAX_FRAME, type Slab, STRIDE, VNET_LEN } from '../tables/slab.ts'
import { countWriteFault, EAGAIN, EINTR, isGone } from './faults.ts'
import type { Io, IoCounters } from './io.ts'
import { check, native } from './native.ts'
import { clearEvent, signalEvent } from './thread.ts'

/* Ours to tune */
/** Frames a device gives in a turn, at most. */
const MAX_BATCH = 64
/** Turns without a frame before a device is idle; see `uring.ts`. */
const IDLE_TURNS = 200
/** Turns from one look at the idle devices to the next, while others are active. */
const POLL_TURNS = 16

const POLLIN = 0x1

export interface ReadvOptions {
  /** An event (`eventfd`) that ends a `wait`; the caller keeps it. */
  readonly wake?: number
  /** Device numbers are below this. */
  readonly devices?: number
  /** Turns without a frame before a device is polled instead of read, and calls of `wait` before one sleeps. */
  readonly idleTurns?: number
}

export class ReadvIo implements Io {
  readonly counters: IoCounters = { deviceGone: 0, deviceFull: 0, writeFailed: 0, sleeps: 0 }
  readonly #slab: Slab
  readonly #wake: number
  readonly #idleTurns: number
  /** By device number: the descriptor, -1 where there is none. */
  readonly #descriptor: Int32Array
  readonly #empty: Int32Array
  readonly #active: Int32Array
  #activeCount = 0
  readonly #idle: Int32Array
  #idleCount = 0
  #first = 0
  #turn = 0
  #emptyWaits = 0

  /* Arguments and results of the addon's loops. */
  readonly #slots = new Int32Array(MAX_BATCH)
  readonly #offsets = new Int32Array(MAX_BATCH)
  readonly #lengths = new Int32Array(MAX_BATCH)
  readonly #files = new Int32Array(MAX_BATCH)
  readonly #results = new Int32Array(MAX_BATCH)
  readonly #pollFiles: Int32Array
  readonly #pollReady: Int32Array

  /** @throws RangeError for a slab above 2 GiB */
  constructor(slab: Slab, options: ReadvOptions = {}) {
    const { wake = -1, devices = 4096, idleTurns = IDLE_TURNS } = options
    if (slab.slots * STRIDE > 2 ** 31) throw new RangeError('readv: a slab has at most 2 GiB')
    this.#slab = slab
    this.#wake = wake
    this.#idleTurns = idleTurns
    this.#descriptor = new Int32Array(devices).fill(-1)
    this.#empty = new Int32Array(devices)
    this.#active = new Int32Array(devices)
    this.#idle = new Int32Array(devices)
    this.#pollFiles = new Int32Array(devices + 1)
    this.#pollReady = new Int32Array(devices + 1)
  }

  /** The descriptor must not block (`openTun` opens such). */
  attach(device: number, descriptor: number): void {
    if (device >= this.#descriptor.length)
      throw new RangeError(`readv: device ${device} is beyond ${this.#descriptor.length}`)
    if (this.#descriptor[device] !== -1) throw new RangeError(`readv: device ${device} is attached already`)
    this.#descriptor[device] = descriptor
    this.#empty[device] = 0
    this.#active[this.#activeCount++] = device
  }

  detach(device: number): void {
    if (this.#descriptor[device] === -1) return
    this.#descriptor[device] = -1
    this.#forget(device)
  }

  receive(burst: Burst): void {
    const before = burst.count
    if (this.#idleCount > 0 && ++this.#turn >= POLL_TURNS) {
      this.#turn = 0
      this.#poll(0, false)
    }
    const count = this.#activeCount
    if (count === 0) return
    const share = Math.max(1, Math.trunc((burst.capacity - burst.count) / count))
    // A device that becomes idle leaves its place to the last one, which then may wait for the next turn.
    for (let left = count, at = this.#first++; left > 0 && this.#activeCount > 0; left--, at++)
      this.#read(this.#active[at % this.#activeCount], share, burst)
    if (this.#first >= this.#activeCount) this.#first = 0
    if (burst.count > before) this.#emptyWaits = 0
  }

  send(burst: Burst): void {
    for (let at = 0; at < burst.count; at += MAX_BATCH)
      this.#write(burst, at, Math.min(MAX_BATCH, burst.count - at))
    burst.clear()
  }

  /** As in `Io`; returns at once until it was called `idleTurns` times without a frame between. */
  wait(milliseconds: number): void {
    if (this.#emptyWaits < this.#idleTurns) {
      this.#emptyWaits++
      return
    }
    this.counters.sleeps++
    for (let at = 0; at < this.#activeCount; at++) this.#idle[this.#idleCount++] = this.#active[at]
    this.#activeCount = 0
    this.#poll(milliseconds, true)
  }

  /** Ends a `wait` of this, from the same thread; other threads signal the event itself. */
  wake(): void {
    signalEvent(this.#wake)
  }

  close(): void {
    this.#descriptor.fill(-1)
    this.#activeCount = 0
    this.#idleCount = 0
  }

  #read(device: number, share: number, burst: Burst): void {
    const slab = this.#slab
    const wanted = Math.min(MAX_BATCH, share, burst.capacity - burst.count, slab.free)
    if (wanted === 0) return
    for (let at = 0; at < wanted; at++) {
      const slot = slab.take()
      this.#slots[at] = slot
      this.#offsets[at] = slot * STRIDE + FRAME_AT - VNET_LEN
    }
    const file = this.#descriptor[device]
    const found = native.frameRead(
      file,
      slab.bytes,
      this.#offsets,
      wanted,
      VNET_LEN + MAX_FRAME,
      this.#results,
    )
    check(found, `read from device ${device}`)
    for (let at = 0; at < found; at++) {
      if (this.#results[at] > VNET_LEN) burst.add(this.#slots[at], this.#results[at] - VNET_LEN, device)
      else slab.give(this.#slots[at])
    }
    for (let at = found; at < wanted; at++) slab.give(this.#slots[at])
    if (found > 0) this.#empty[device] = 0
    else if (isGone(this.#results[0])) this.#forget(device)
    else if (++this.#empty[device] >= this.#idleTurns) {
      this.#forget(device)
      this.#idle[this.#idleCount++] = device
    }
  }

  #write(burst: Burst, from: number, count: number): void {
    const slab = this.#slab
    for (let at = 0; at < count; at++) {
      this.#files[at] = this.#descriptor[burst.device[from + at]]
      this.#offsets[at] = burst.slot[from + at] * STRIDE + FRAME_AT - VNET_LEN
      this.#lengths[at] = burst.length[from + at] + VNET_LEN
    }
    check(
      native.frameWrite(this.#files, slab.bytes, this.#offsets, this.#lengths, count, this.#results),
      'write frames',
    )
    for (let at = 0; at < count; at++) {
      slab.give(burst.slot[from + at])
      if (this.#results[at] < 0) countWriteFault(this.counters, this.#results[at])
    }
  }

  /** Looks for idle devices that have something, which become active; waits for one, and for the wake-up, if told to. */
  #poll(milliseconds: number, withWake: boolean): void {
    let count = this.#idleCount
    for (let at = 0; at < count; at++) this.#pollFiles[at] = this.#descriptor[this.#idle[at]]
    if (withWake) this.#pollFiles[count++] = this.#wake
    const found = native.poll(this.#pollFiles, count, milliseconds, this.#pollReady)
    if (found === 0 || found === EINTR || found === EAGAIN) return
    check(found, 'poll devices')
    if (withWake && this.#pollReady[count - 1] !== 0) {
      clearEvent(this.#wake)
      this.#emptyWaits = 0
    }
    for (let at = this.#idleCount - 1; at >= 0; at--) {
      const ready = this.#pollReady[at]
      if (ready === 0) continue
      const device = this.#idle[at]
      this.#idle[at] = this.#idle[--this.#idleCount]
      // Errors without anything to read: the device is gone, and polling it again would find the same at once.
      if ((ready & POLLIN) === 0) continue
      this.#empty[device] = 0
      this.#active[this.#activeCount++] = device
    }
  }

  /** Reads and polls the device no more. Writing to one that is gone fails and is counted. */
  #forget(device: number): void {
    const active = this.#active.subarray(0, this.#activeCount).indexOf(device)
    if (active !== -1) this.#active[active] = this.#active[--this.#activeCount]
    const idle = this.#idle.subarray(0, this.#idleCount).indexOf(device)
    if (idle !== -1) this.#idle[idle] = this.#idle[--this.#idleCount]
  }
}
