/**
 * The rings of io_uring as typed arrays: struct io_uring_sqe and io_uring_cqe as 32-bit words, after linux/io_uring.h.
 *
 * The kernel is asked for the set-up that serves one thread best and for plainer ones where it refuses: completions that
 * run only when the thread asks for them (DEFER_TASKRUN, Linux 6.1), then without interrupts (COOP_TASKRUN, 5.19), then as
 * it was in 5.11. With the first, nothing but the thread's own calls ever writes the completion ring.
 *
 * A ring belongs to the thread that made it. Its counters wrap at 32 bits, so they are compared by their difference.
 */
import { EAGAIN, EINTR } from './faults.ts'
import { check, checkMemory, native, SystemCallError } from './native.ts'

/* linux/io_uring.h */
const SETUP_CQSIZE = 1 << 3
const SETUP_SUBMIT_ALL = 1 << 7
const SETUP_COOP_TASKRUN = 1 << 8
const SETUP_TASKRUN_FLAG = 1 << 9
const SETUP_SINGLE_ISSUER = 1 << 12
const SETUP_DEFER_TASKRUN = 1 << 13
const FEAT_SINGLE_MMAP = 1 << 0
const FEAT_NODROP = 1 << 1
const FEAT_EXT_ARG = 1 << 8
const OFF_SQ_RING = 0
const OFF_SQES = 0x10000000
const SQ_CQ_OVERFLOW = 1 << 1
const SQ_TASKRUN = 1 << 2
const IOSQE_FIXED_FILE = 1 << 0

/** Ask for completions in the same call. */
const ENTER_GETEVENTS = 1 << 0
/** linux/fs.h: fail with EAGAIN instead of waiting. */
const RWF_NOWAIT = 0x8
export const POLLIN = 0x1

/** First words of entries that read or write registered memory and a registered file. */
export const READ = 4 | (IOSQE_FIXED_FILE << 8)
export const WRITE = 5 | (IOSQE_FIXED_FILE << 8)
const POLL_ADD = 6 | (IOSQE_FIXED_FILE << 8)
const POLL_REMOVE = 7

const ATTEMPTS = [
  SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN,
  SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_COOP_TASKRUN,
  SETUP_CQSIZE,
]
const EINVAL = -22
const EMFILE = -24
const EBUSY = -16
const ETIME = -62
const ENOSYS = -38

/* Words of struct io_uring_params: sq_off begins at 10, cq_off at 20. */
const P = { SqEntries: 0, CqEntries: 1, Features: 5, SqOff: 10, CqOff: 20 } as const

export class Ring {
  readonly descriptor: number
  /** Entries of the submission ring. */
  readonly entries: number
  /** Places in the table of registered files. */
  readonly files: number

  /** The completion ring: words of head and tail, and where the completions begin, 4 words each: user_data (two), result, flags. */
  readonly cq: Int32Array
  readonly cqHead: number
  readonly cqTail: number
  readonly cqMask: number
  readonly cqes: number

  /** 16 words an entry. Words that no operation here uses are zero and stay so. */
  readonly #sqes: Int32Array
  readonly #sqMask: number
  /** Both rings are one mapping; these are words of it. */
  readonly #rings: Int32Array
  readonly #sqHead: number
  readonly #sqTail: number
  readonly #sqFlags: number
  /** Flags say when a call would bring completions that the ring does not show yet. */
  readonly #flagged: boolean
  readonly #memory: ArrayBuffer[] = []
  /** Entries filled; the kernel has taken `#taken` of them. */
  #filled = 0
  #taken = 0

  /**
   * Makes a ring for the calling thread, with an empty table of registered files.
   * @param entries of the submission ring, a power of two
   * @param completions at least as many as can be under way at once
   * @param files wanted in the table; there are fewer where the process may not open as many
   * @throws SystemCallError; ENOSYS where the kernel's io_uring is too old
   */
  constructor(entries: number, completions: number, files: number) {
    const parameters = new Int32Array(30)
    let flags = 0
    let descriptor = EINVAL
    for (flags of ATTEMPTS) {
      descriptor = native.uringSetup(entries, completions, flags, parameters)
      if (descriptor !== EINVAL) break
    }
    this.descriptor = check(descriptor, 'set up io_uring')
    this.#flagged = (flags & SETUP_TASKRUN_FLAG) !== 0
    try {
      const needed = FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_EXT_ARG
      if ((parameters[P.Features] & needed) !== needed)
        throw new SystemCallError('set up io_uring of Linux 5.11 or later', ENOSYS, 'io_uring_setup')
      // The kernel gives places in bytes.
      const [sqHead, sqTail, sqMask, , sqFlags, , sqArray] = parameters.subarray(P.SqOff).map(at => at >>> 2)
      const [cqHead, cqTail, cqMask, , , cqes] = parameters.subarray(P.CqOff).map(at => at >>> 2)
      this.entries = parameters[P.SqEntries]
      const words = Math.max(sqArray + this.entries, cqes + parameters[P.CqEntries] * 4)
      this.#rings = this.#map(OFF_SQ_RING, words * 4)
      this.#sqes = this.#map(OFF_SQES, this.entries * 64)
      // Entry i stands at place i for ever, so the array between ring and entries is written once.
      for (let at = 0; at < this.entries; at++) this.#rings[sqArray + at] = at
      this.#sqHead = sqHead
      this.#sqTail = sqTail
      this.#sqFlags = sqFlags
      this.#sqMask = this.#rings[sqMask]
      this.cq = this.#rings
      this.cqHead = cqHead
      this.cqTail = cqTail
      this.cqMask = this.#rings[cqMask]
      this.cqes = cqes
      this.files = this.#registerFiles(files)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Entries filled that the kernel has not taken. */
  get queued(): number {
    return (this.#filled - this.#taken) | 0
  }

  /** Entries that can be filled before the next `enter`. */
  get room(): number {
    return this.entries - this.queued
  }

  /** True where `enter` would bring something though nothing is queued. */
  get hasWork(): boolean {
    if (!this.#flagged) return true
    return (Atomics.load(this.#rings, this.#sqFlags) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)) !== 0
  }

  /**
   * Queues a read or a write that does not wait; there is room. `low` and `high` are the address, `tag` and `device` come back with the
   * completion.
   */
  transfer(
    operation: number,
    file: number,
    low: number,
    high: number,
    bytes: number,
    tag: number,
    device: number,
  ): void {
    const at = this.#next(operation, file, tag, device)
    const sqes = this.#sqes
    sqes[at + 4] = low
    sqes[at + 5] = high
    sqes[at + 6] = bytes
    sqes[at + 7] = RWF_NOWAIT
  }

  /** Queues a wait, once, for something to read; there is room. */
  poll(file: number, tag: number, device: number): void {
    const at = this.#next(POLL_ADD, file, tag, device)
    this.#sqes.fill(0, at + 4, at + 7)
    this.#sqes[at + 7] = POLLIN
  }

  /** Queues the end of the poll that has this tag and device; there is room. */
  cancelPoll(ofTag: number, ofDevice: number, tag: number): void {
    const at = this.#next(POLL_REMOVE, 0, tag, ofDevice)
    this.#sqes[at + 4] = ofTag
    this.#sqes[at + 5] = ofDevice
    this.#sqes[at + 6] = 0
    this.#sqes[at + 7] = 0
  }

  /**
   * Submits what is queued, and waits until there are `minComplete` completions or the time is over.
   * @throws SystemCallError for what is no passing state of the ring
   */
  enter(minComplete: number, nanoseconds: number): void {
    Atomics.store(this.#rings, this.#sqTail, this.#filled)
    const result = native.uringEnter(this.descriptor, this.queued, minComplete, ENTER_GETEVENTS, nanoseconds)
    // A call that fails while it waits has submitted all the same, so the ring is asked and not the result.
    this.#taken = Atomics.load(this.#rings, this.#sqHead)
    if (result < 0 && result !== EINTR && result !== ETIME && result !== EAGAIN && result !== EBUSY)
      check(result, 'enter io_uring')
  }

  /** Closes the ring. Nothing may be under way in it; typed arrays over it have a length of 0 afterwards. */
  close(): void {
    for (const mapping of this.#memory) native.mappingRelease(mapping)
    this.#memory.length = 0
    native.close(this.descriptor)
  }

  /** What every entry has, struct io_uring_sqe. Answers the entry's first word. */
  #next(operation: number, file: number, tag: number, device: number): number {
    const sqes = this.#sqes
    const at = (this.#filled & this.#sqMask) * 16
    this.#filled = (this.#filled + 1) | 0
    sqes[at] = operation
    sqes[at + 1] = file
    sqes[at + 8] = tag
    sqes[at + 9] = device
    return at
  }

  #map(offset: number, bytes: number): Int32Array {
    const memory = checkMemory(native.uringMap(this.descriptor, offset, bytes), 'map a ring of io_uring')
    this.#memory.push(memory)
    return new Int32Array(memory)
  }

  /** Registers an empty table of as many files as the kernel lets, which is no more than the process may open. */
  #registerFiles(wanted: number): number {
    for (let files = wanted; ; files >>>= 1) {
      const result = native.uringRegisterFiles(this.descriptor, files)
      if (result === EMFILE && files > 1) continue
      return check(result, `register ${files} files with io_uring`) + files
    }
  }
}
