/**
 * What the errors of a device mean, the same for every way of reading and writing it: negative errnos, as the kernel gives them to
 * io_uring and the addon passes them on.
 */
import type { IoCounters } from './io.ts'

export const EINTR = -4
export const EAGAIN = -11
const EIO = -5
const EBADF = -9
const ENOMEM = -12
const EFAULT = -14
const ENODEV = -19
const EBADFD = -77
const ENOBUFS = -105

/** Counts a frame that could not be written. */
export function countWriteFault(counters: IoCounters, error: number): void {
  if (error === EAGAIN || error === ENOBUFS || error === ENOMEM) counters.deviceFull++
  else if (error === EBADFD || error === EIO || error === ENODEV || error === EBADF) counters.deviceGone++
  else counters.writeFailed++
}

/**
 * True where a read says that the device is gone: a queue whose device was deleted says EBADFD, and EFAULT while it is being deleted.
 * A device that is down is not gone: it says EAGAIN.
 */
export const isGone = (error: number): boolean =>
  error === EBADFD || error === EFAULT || error === EBADF || error === EIO || error === ENODEV
