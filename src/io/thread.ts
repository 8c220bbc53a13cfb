/** The calling thread and how it is woken. */
import { check, native } from './native.ts'

/** An event that another thread of the process signals by its descriptor. Close it with `closeDescriptor`. */
export function eventfd(): number {
  return check(native.eventCreate(), 'create an event')
}

/** Wakes whoever waits on the event. From any thread. */
export function signalEvent(descriptor: number): void {
  check(native.eventSignal(descriptor), 'signal an event')
}

/** True where the event was signalled since it was cleared last; clears it. */
export function clearEvent(descriptor: number): boolean {
  return check(native.eventClear(descriptor), 'clear an event') === 1
}

/** Keeps the calling thread on one CPU. @throws SystemCallError; EINVAL where the thread may not use that CPU */
export function pinThread(cpu: number): void {
  check(native.threadPin(cpu), `pin the thread to CPU ${cpu}`)
}

/** The CPUs that the calling thread may use, ascending. */
export function affinity(): number[] {
  const cpus = new Int32Array(1024)
  const count = check(native.threadAffinity(cpus), "read the thread's CPUs")
  return Array.from(cpus.subarray(0, count))
}

/** The kernel's number of the calling thread, as in /proc/PID/task. */
export function threadId(): number {
  return native.threadId()
}
