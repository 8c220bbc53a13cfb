/**
 * The rings of io_uring as typed arrays: struct io_uring_sqe and io_uring_cqe as 32-bit words, after linux/io_uring.h.
 *
 * The kernel is asked for the set-up that serves one thread best and for plainer ones where it refuses: completions that
 * run only when the thread asks for them (DEFER_TASKRUN, Linux 6.1), then without interrupts (COOP_TASKRUN, 5.19), then as
 * it was in 5.11. With the first, nothing but the thread's own calls ever writes the completion ring.
 */
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
export const ENTER_GETEVENTS = 1 << 0
/** uapi/linux/fs.h: fail with EAGAIN instead of waiting. */
export const RWF_NOWAIT = 0x8
export const POLLIN = 0x1

/** First words of entries: the operation, and that the file is a registered one. */
export const Sqe = {
  ReadFixed: 4 | (IOSQE_FIXED_FILE << 8),
  WriteFixed: 5 | (IOSQE_FIXED_FILE << 8),
  PollAdd: 6 | (IOSQE_FIXED_FILE << 8),
  PollRemove: 7,
} as const

const ATTEMPTS = [
  SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN,
  SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_COOP_TASKRUN,
  SETUP_CQSIZE,
]
const EINVAL = -22
const EMFILE = -24
const ENOSYS = -38

/* Words of struct io_uring_params: sq_off begins at 10, cq_off at 20. */
const P = { SqEntries: 0, CqEntries: 1, Features: 5, SqOff: 10, CqOff: 20 } as const

export interface Ring {
  readonly descriptor: number
  /** 16 words an entry. */
  readonly sqes: Int32Array
  readonly sqMask: number
  /** Both rings are one mapping; these are places in it. */
  readonly sq: Int32Array
  readonly sqHead: number
  readonly sqTail: number
  readonly cq: Int32Array
  readonly cqHead: number
  readonly cqTail: number
  readonly cqMask: number
  /** Word where the completions begin, 4 words each: user_data (two), result, flags. */
  readonly cqes: number
  /** Places in the table of registered files. */
  readonly files: number
  /** True where a call would bring completions that the ring does not show yet. */
  readonly hasWork: () => boolean
  readonly memory: readonly ArrayBuffer[]
}

/**
 * Makes a ring for the calling thread, with an empty table of registered files.
 * @param entries of the submission ring, a power of two
 * @param completions at least as many as can be under way at once
 * @param files wanted in the table; there are fewer where the process may not open as many
 * @throws SystemCallError; ENOSYS where the kernel's io_uring is too old
 */
export function openRing(entries: number, completions: number, files: number): Ring {
  const parameters = new Int32Array(30)
  let descriptor = EINVAL
  let deferred = false
  for (const flags of ATTEMPTS) {
    descriptor = native.uringSetup(entries, completions, flags, parameters)
    deferred = (flags & SETUP_TASKRUN_FLAG) !== 0
    if (descriptor !== EINVAL) break
  }
  check(descriptor, 'set up io_uring')
  const memory: ArrayBuffer[] = []
  try {
    const needed = FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_EXT_ARG
    if ((parameters[P.Features] & needed) !== needed)
      throw new SystemCallError('set up io_uring of Linux 5.11 or later', ENOSYS, 'io_uring_setup')
    const [sqHead, sqTail, sqMask, , sqFlags, , sqArray] = parameters.subarray(P.SqOff)
    const [cqHead, cqTail, cqMask, , , cqes] = parameters.subarray(P.CqOff)
    const sqEntries = parameters[P.SqEntries]
    const bytes = Math.max(sqArray + sqEntries * 4, cqes + parameters[P.CqEntries] * 16)
    memory.push(checkMemory(native.uringMap(descriptor, OFF_SQ_RING, bytes), 'map the rings of io_uring'))
    memory.push(checkMemory(native.uringMap(descriptor, OFF_SQES, sqEntries * 64), 'map entries of io_uring'))
    const rings = new Int32Array(memory[0])
    // Entry i stands at place i for ever, so the array between ring and entries is written once.
    for (let at = 0; at < sqEntries; at++) rings[sqArray / 4 + at] = at
    return {
      files: registerFiles(descriptor, files),
      descriptor,
      sqes: new Int32Array(memory[1]),
      sqMask: rings[sqMask / 4],
      sq: rings,
      sqHead: sqHead / 4,
      sqTail: sqTail / 4,
      cq: rings,
      cqHead: cqHead / 4,
      cqTail: cqTail / 4,
      cqMask: rings[cqMask / 4],
      cqes: cqes / 4,
      hasWork: () => !deferred || (Atomics.load(rings, sqFlags / 4) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)) !== 0,
      memory,
    }
  } catch (error) {
    for (const mapping of memory) native.mappingRelease(mapping)
    native.close(descriptor)
    throw error
  }
}

/** Registers an empty table of as many files as the kernel lets, which is no more than the process may open. */
function registerFiles(descriptor: number, wanted: number): number {
  for (let files = wanted; ; files >>>= 1) {
    const result = native.uringRegisterFiles(descriptor, files)
    if (result === EMFILE && files > 1) continue
    check(result, `register ${files} files with io_uring`)
    return files
  }
}

/** Closes a ring. Nothing may be under way in it; typed arrays over it have a length of 0 afterwards. */
export function closeRing(ring: Ring): void {
  for (const mapping of ring.memory) native.mappingRelease(mapping)
  native.close(ring.descriptor)
}
