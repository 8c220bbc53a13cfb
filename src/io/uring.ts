/**
 * Devices by io_uring: the rings are typed arrays, a turn is one system call.
 *
 * A turn's call submits the writes of the turn before and a batch of reads that do not wait (RWF_NOWAIT), so both are
 * complete when it returns, and nothing of a turn is left in the kernel. Reads are never parked in the ring: with many of
 * them waiting on one queue, every packet wakes them all. How many reads a device gets follows what its last batch found.
 *
 *     active ──idleTurns empty turns──▶ idle: one poll in the ring, no reads
 *        ▲                                │
 *        └──────────the poll fires────────┘        gone: the device said so; nothing until it is attached anew
 *
 * Only active devices cost anything. `wait` spins, by returning at once, for `idleTurns` calls that follow each other without a
 * frame, then makes every device idle and sleeps in the ring.
 *
 * A slot is in the kernel from its submission to its completion and goes back to the slab there. The completion ring has
 * room for everything that can be under way: a full submission ring, a poll and a cancellation per device, and the wake-up.
 * What completes outside `receive` (in practice nothing, on a kernel that completes such reads later a frame) waits in
 * `#early` for the next turn.
 */
import { Burst } from '../tables/burst.ts'
import { FRAME_AT, MAX_FRAME, type Slab, STRIDE, VNET_LEN } from '../tables/slab.ts'
import { countWriteFault, EAGAIN, isGone } from './faults.ts'
import type { Io, IoCounters } from './io.ts'
import { check, native } from './native.ts'
import { POLLIN, READ, Ring, WRITE } from './rings.ts'
import { clearEvent, signalEvent } from './thread.ts'

/* Ours to tune */
/** Reads a device gets in a turn, at most. */
const MAX_BATCH = 64
/** Reads a device gets in its first turn after it was idle. */
const FIRST_BATCH = 4
/** A device whose batch brought more than this is not given a larger one: 64 super-frames would be 4 MB and leave the cache. */
const BATCH_BYTES = 512 * 1024
/** Turns without a frame before a device is idle: 20 more than doubled the time of a request and its response, 200 did not. */
const IDLE_TURNS = 200

/* What a completion is of: the upper bits of user_data's first word, the slot being the lower. The second word is the device. */
const SLOT_BITS = 24
const SLOT_MASK = (1 << SLOT_BITS) - 1
const Kind = { Read: 0, Write: 1, Poll: 2, Cancel: 3, Wake: 4 } as const

const POLL_TAG = Kind.Poll << SLOT_BITS
const WAKE_TAG = Kind.Wake << SLOT_BITS
const CANCEL_TAG = Kind.Cancel << SLOT_BITS

const State = { None: 0, Active: 1, Idle: 2, Gone: 3 } as const

/** The wake-up's place in the table of registered files; devices have those behind it. */
const WAKE_FILE = 0
const NO_FILE = -1

const POLLERR_HUP = 0x8 | 0x10

export interface UringOptions {
  /** An event (`eventfd`) that ends a `wait`; the caller keeps it. */
  readonly wake?: number
  /** Device numbers are below this. */
  readonly devices?: number
  /** Entries of the submission ring, a power of two. */
  readonly entries?: number
  /** Turns without a frame before a device is polled instead of read, and calls of `wait` before one sleeps. */
  readonly idleTurns?: number
}

export class UringIo implements Io {
  readonly counters: IoCounters = { deviceGone: 0, deviceFull: 0, writeFailed: 0, sleeps: 0 }
  readonly #slab: Slab
  readonly #ring: Ring
  readonly #wake: number
  readonly #idleTurns: number
  /** Where the kernel finds a slot's frame: the two words of its address. */
  readonly #addressLow: Int32Array
  readonly #addressHigh: Int32Array

  /** Places in the table of registered files that nobody has. */
  readonly #freeFiles: number[] = []

  /* By device number. */
  /** The device's place in the table of registered files. */
  readonly #file: Int32Array
  readonly #state: Uint8Array
  readonly #batch: Uint8Array
  readonly #asked: Uint16Array
  readonly #found: Uint16Array
  readonly #foundBytes: Int32Array
  readonly #empty: Int32Array
  readonly #polled: Uint8Array
  /** Reads and writes in the kernel or queued for it. */
  readonly #underWay: Int32Array

  readonly #active: Int32Array
  #activeCount = 0
  /** The active device that reads first in the next turn, for fairness where a turn has not room for all. */
  #first = 0

  #writesQueued = 0
  #emptyWaits = 0
  #wakePolled = false
  readonly #early: Burst
  #closed = false

  /**
   * Made by the thread that uses it: the ring belongs to one thread.
   * @throws SystemCallError where io_uring or something that this needs is refused; RangeError for a slab above 1 GiB
   */
  constructor(slab: Slab, options: UringOptions = {}) {
    const { wake = -1, devices = 4096, entries = 512, idleTurns = IDLE_TURNS } = options
    if (slab.slots * STRIDE > 2 ** 30) throw new RangeError('io_uring: a slab has at most 1 GiB')
    this.#slab = slab
    this.#wake = wake
    this.#idleTurns = idleTurns
    this.#ring = new Ring(entries, 2 * (entries + 2 * devices + 2), devices + 1)
    try {
      const { descriptor } = this.#ring
      const memory = slab.bytes.subarray(0, slab.slots * STRIDE)
      check(native.uringRegisterBuffer(descriptor, memory), 'register the slab with io_uring')
      if (wake >= 0)
        check(native.uringUpdateFile(descriptor, WAKE_FILE, wake), 'register the wake-up with io_uring')
    } catch (error) {
      this.#ring.close()
      throw error
    }
    const base = native.mappingAddress(slab.bytes)
    this.#addressLow = new Int32Array(slab.slots)
    this.#addressHigh = new Int32Array(slab.slots)
    for (let slot = 0; slot < slab.slots; slot++) {
      const address = base + slot * STRIDE + FRAME_AT - VNET_LEN
      this.#addressLow[slot] = address | 0
      this.#addressHigh[slot] = Math.floor(address / 2 ** 32)
    }
    this.#file = new Int32Array(devices).fill(NO_FILE)
    for (let file = this.#ring.files - 1; file > WAKE_FILE; file--) this.#freeFiles.push(file)
    this.#state = new Uint8Array(devices)
    this.#batch = new Uint8Array(devices)
    this.#asked = new Uint16Array(devices)
    this.#found = new Uint16Array(devices)
    this.#foundBytes = new Int32Array(devices)
    this.#empty = new Int32Array(devices)
    this.#polled = new Uint8Array(devices)
    this.#underWay = new Int32Array(devices)
    this.#active = new Int32Array(devices)
    this.#early = new Burst(slab.slots)
  }

  attach(device: number, descriptor: number): void {
    if (device >= this.#state.length)
      throw new RangeError(`io_uring: device ${device} is beyond ${this.#state.length}`)
    if (this.#state[device] !== State.None)
      throw new RangeError(`io_uring: device ${device} is attached already`)
    const file = this.#freeFiles.pop()
    if (file === undefined)
      throw new RangeError(`io_uring: ${this.#ring.files - 1} devices are attached already`)
    const registered = native.uringUpdateFile(this.#ring.descriptor, file, descriptor)
    if (registered < 0) this.#freeFiles.push(file)
    check(registered, `register device ${device} with io_uring`)
    this.#file[device] = file
    this.#activate(device)
  }

  detach(device: number): void {
    if (this.#state[device] === State.None) return
    if (this.#state[device] === State.Active) this.#deactivate(device)
    this.#state[device] = State.Gone
    if (this.#polled[device] !== 0) {
      if (this.#ring.room === 0) this.#makeRoom()
      this.#ring.cancelPoll(POLL_TAG, device, CANCEL_TAG)
    }
    // Everything of the device completes within the call that submits it, or as soon as its task work has run.
    do this.#enter(0, 0)
    while (this.#reap(this.#early) > 0 || this.#underWay[device] > 0 || this.#polled[device] !== 0)
    const file = this.#file[device]
    check(native.uringUpdateFile(this.#ring.descriptor, file, -1), `let go of device ${device}`)
    this.#file[device] = NO_FILE
    this.#freeFiles.push(file)
    this.#state[device] = State.None
    this.#dropEarly(device)
  }

  receive(burst: Burst): void {
    this.#takeEarly(burst)
    const before = burst.count
    this.#queueReads(burst)
    if (this.#ring.queued > 0 || this.#ring.hasWork) this.#enter(0, 0)
    this.#reap(burst)
    this.#adapt()
    if (burst.count > before) this.#emptyWaits = 0
  }

  send(burst: Burst): void {
    const { count, slot, length, device } = burst
    const slab = this.#slab
    for (let at = 0; at < count; at++) {
      const to = device[at]
      const state = this.#state[to]
      if (state !== State.Active && state !== State.Idle) {
        this.counters.deviceGone++
        slab.give(slot[at])
        continue
      }
      if (this.#ring.room === 0) this.#makeRoom()
      this.#transfer(WRITE, to, slot[at], length[at] + VNET_LEN, Kind.Write)
      this.#underWay[to]++
      this.#writesQueued++
    }
    burst.clear()
  }

  /**
   * As in `Io`; returns at once, though nothing has come, until it was called `idleTurns` times without a frame between.
   */
  wait(milliseconds: number): void {
    if (this.#writesQueued > 0) {
      this.#enter(0, 0)
      this.#reap(this.#early)
    }
    if (this.#early.count > 0) return
    if (this.#emptyWaits < this.#idleTurns) {
      this.#emptyWaits++
      return
    }
    for (let left = this.#activeCount; left > 0; left--) this.#poll(this.#active[0])
    if (this.#wake >= 0 && !this.#wakePolled) {
      this.#wakePolled = true
      if (this.#ring.room === 0) this.#makeRoom()
      this.#ring.poll(WAKE_FILE, WAKE_TAG, 0)
    }
    // Where the polls did not fit into the ring at once, some may have fired already.
    if (this.#activeCount > 0 || this.#early.count > 0) return
    this.counters.sleeps++
    this.#enter(1, milliseconds * 1e6)
    this.#reap(this.#early)
  }

  /** Ends a `wait` of this, from the same thread; other threads signal the event itself. */
  wake(): void {
    signalEvent(this.#wake)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (let device = 0; device < this.#state.length; device++) this.detach(device)
    for (let at = 0; at < this.#early.count; at++) this.#slab.give(this.#early.slot[at])
    this.#ring.close()
  }

  /** Reads for every active device, as many as the burst, the slab and the ring have room for. */
  #queueReads(burst: Burst): void {
    const count = this.#activeCount
    if (count === 0) return
    let room = Math.min(burst.capacity - burst.count, this.#slab.free)
    if (room > this.#ring.room) {
      this.#makeRoom()
      room = Math.min(room, this.#ring.room)
    }
    if (this.#first >= count) this.#first = 0
    const share = Math.max(1, Math.trunc(room / count))
    let at = this.#first
    for (let left = count; left > 0 && room > 0; left--) {
      const device = this.#active[at]
      const reads = Math.min(this.#batch[device], left === 1 ? room : share)
      for (let read = 0; read < reads; read++)
        this.#transfer(READ, device, this.#slab.take(), VNET_LEN + MAX_FRAME, Kind.Read)
      this.#asked[device] = reads
      this.#found[device] = 0
      this.#foundBytes[device] = 0
      this.#underWay[device] += reads
      room -= reads
      if (++at === count) at = 0
    }
    this.#first = at + 1
  }

  /** Follows what each active device's batch found. */
  #adapt(): void {
    for (let at = this.#activeCount - 1; at >= 0; at--) {
      const device = this.#active[at]
      const asked = this.#asked[device]
      if (asked === 0) continue
      this.#asked[device] = 0
      const found = this.#found[device]
      if (found === 0) {
        this.#batch[device] = 2
        if (++this.#empty[device] >= this.#idleTurns) this.#poll(device)
        continue
      }
      this.#empty[device] = 0
      if (found < asked) this.#batch[device] = Math.min(MAX_BATCH, found + 2)
      else if (this.#foundBytes[device] < BATCH_BYTES)
        this.#batch[device] = Math.min(MAX_BATCH, Math.max(this.#batch[device], asked * 2))
    }
  }

  /** Takes everything out of the completion ring; answers how many there were. Frames read go to the burst. */
  #reap(burst: Burst): number {
    const { cq, cqHead, cqTail, cqMask, cqes } = this.#ring
    const slab = this.#slab
    const tail = Atomics.load(cq, cqTail)
    const begin = cq[cqHead]
    let head = begin
    for (; head !== tail; head = (head + 1) | 0) {
      const at = cqes + (head & cqMask) * 4
      const tag = cq[at]
      const device = cq[at + 1]
      const result = cq[at + 2]
      const kind = tag >>> SLOT_BITS
      if (kind === Kind.Write) {
        this.#underWay[device]--
        slab.give(tag & SLOT_MASK)
        if (result < 0) countWriteFault(this.counters, result)
      } else if (kind === Kind.Read) {
        this.#underWay[device]--
        if (result > VNET_LEN) {
          this.#found[device]++
          this.#foundBytes[device] += result
          const into = burst.count < burst.capacity ? burst : this.#early
          into.add(tag & SLOT_MASK, result - VNET_LEN, device)
        } else {
          slab.give(tag & SLOT_MASK)
          if (result < 0 && result !== EAGAIN) this.#readFailed(device, result)
        }
      } else this.#reapRare(kind, device, result)
    }
    if (head !== begin) Atomics.store(cq, cqHead, head)
    return (head - begin) | 0
  }

  #reapRare(kind: number, device: number, result: number): void {
    if (kind === Kind.Poll) {
      this.#polled[device] = 0
      if (this.#state[device] !== State.Idle) return
      if (result > 0 && (result & POLLIN) === 0 && (result & POLLERR_HUP) !== 0)
        this.#state[device] = State.Gone
      else this.#activate(device)
    } else if (kind === Kind.Wake) {
      clearEvent(this.#wake)
      this.#wakePolled = false
      this.#emptyWaits = 0
    }
  }

  #readFailed(device: number, error: number): void {
    if (!isGone(error) || this.#state[device] !== State.Active) return
    this.#deactivate(device)
    this.#state[device] = State.Gone
  }

  #activate(device: number): void {
    this.#state[device] = State.Active
    this.#batch[device] = FIRST_BATCH
    this.#empty[device] = 0
    this.#active[this.#activeCount++] = device
  }

  #deactivate(device: number): void {
    const at = this.#active.indexOf(device)
    this.#active[at] = this.#active[--this.#activeCount]
    this.#asked[device] = 0
  }

  /** Makes an active device idle. */
  #poll(device: number): void {
    this.#deactivate(device)
    this.#state[device] = State.Idle
    this.#polled[device] = 1
    if (this.#ring.room === 0) this.#makeRoom()
    this.#ring.poll(this.#file[device], POLL_TAG, device)
  }

  /** Queues a read or a write. There is room in the ring. */
  #transfer(operation: number, device: number, slot: number, bytes: number, kind: number): void {
    this.#ring.transfer(
      operation,
      this.#file[device],
      this.#addressLow[slot],
      this.#addressHigh[slot],
      bytes,
      slot | (kind << SLOT_BITS),
      device,
    )
  }

  /** Submits what is queued and takes what is complete, in the middle of a turn. */
  #makeRoom(): void {
    this.#enter(0, 0)
    this.#reap(this.#early)
  }

  #enter(minComplete: number, nanoseconds: number): void {
    this.#ring.enter(minComplete, nanoseconds)
    if (this.#ring.queued === 0) this.#writesQueued = 0
  }

  #takeEarly(burst: Burst): void {
    const early = this.#early
    if (early.count === 0) return
    const count = Math.min(early.count, burst.capacity - burst.count)
    for (let at = 0; at < count; at++) burst.add(early.slot[at], early.length[at], early.device[at])
    early.slot.copyWithin(0, count, early.count)
    early.length.copyWithin(0, count, early.count)
    early.device.copyWithin(0, count, early.count)
    early.count -= count
    this.#emptyWaits = 0
  }

  /** Frames of a device that was detached are given up: nobody knows the number any more. */
  #dropEarly(device: number): void {
    const early = this.#early
    const { slot, length, device: from } = early
    let kept = 0
    for (let at = 0; at < early.count; at++) {
      if (from[at] === device) {
        this.#slab.give(slot[at])
        continue
      }
      slot[kept] = slot[at]
      length[kept] = length[at]
      from[kept++] = from[at]
    }
    early.count = kept
  }
}
