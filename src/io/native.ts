/**
 * The native addon, typed, and its failures in words.
 *
 * The addon makes system calls and maps memory, nothing else (`native-bindings/`). Its verbs answer a number: zero or more,
 * or a negative errno. `check` turns the latter into a SystemCallError that says what was attempted, for people and for
 * programs; verbs of the packet path are called directly by those who read their numbers themselves.
 *
 * The addon is found beside the sources whether they run compiled (`dist/src/io`) or as they are (`src/io`).
 * `V2N_NATIVE=asan` loads the build with the address sanitizer, for which the process needs `LD_PRELOAD` of libasan.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What the addon exports, by family. Each answers zero or more, or a negative errno, unless it says otherwise. */
export interface NativeAddon {
  /* tun.cc */
  /** Opens a queue, made where it is missing; the descriptor does not block. An empty namespace path is the own one. */
  tunOpen(namespacePath: string, name: string, flags: number, headerBytes: number): number
  tunOffload(descriptor: number, flags: number): number
  tunPersist(descriptor: number, on: number): number
  /** The device's flags (IFF_*), as the kernel has them. */
  tunFlags(descriptor: number): number
  /** Attaches a socket filter that chooses the queue; a program of -1 detaches. */
  tunSteering(descriptor: number, program: number): number
  /** Sets how many frames a queue of the device holds. */
  tunQueueLength(namespacePath: string, name: string, frames: number): number
  /** 0 no such device, 1 TUN, 2 TAP, 3 another kind. */
  tunKind(namespacePath: string, name: string): number

  /* uring.cc */
  /** `parameters` has 30 words and receives struct io_uring_params. */
  uringSetup(entries: number, completionEntries: number, flags: number, parameters: Int32Array): number
  uringMap(descriptor: number, offset: number, bytes: number): ArrayBuffer | number
  uringRegisterBuffer(descriptor: number, memory: Uint8Array): number
  uringRegisterFiles(descriptor: number, count: number): number
  /** A file of -1 empties the place. */
  uringUpdateFile(descriptor: number, index: number, file: number): number
  /** A negative time-out waits without end; it counts only where `minComplete` is above 0. */
  uringEnter(
    descriptor: number,
    toSubmit: number,
    minComplete: number,
    flags: number,
    timeoutNanoseconds: number,
  ): number

  /* frames.cc */
  /** Reads up to `count` frames; the entry of `results` after the last frame has the errno that ended the burst. */
  frameRead(
    descriptor: number,
    memory: Uint8Array,
    offsets: Int32Array,
    count: number,
    bytes: number,
    results: Int32Array,
  ): number
  /** Tries to write each of `count` frames to its own descriptor. */
  frameWrite(
    descriptors: Int32Array,
    memory: Uint8Array,
    offsets: Int32Array,
    lengths: Int32Array,
    count: number,
    results: Int32Array,
  ): number
  poll(descriptors: Int32Array, count: number, milliseconds: number, ready: Int32Array): number

  /* bpf.cc */
  bpfArrayMap(valueBytes: number): number
  bpfMapValue(descriptor: number, bytes: number): ArrayBuffer | number
  bpfSocketFilter(instructions: Uint8Array, log: Uint8Array): number

  /* memory.cc */
  mapFile(
    path: string,
    bytes: number,
    create: number,
    readOnly: number,
    hugePages: number,
  ): ArrayBuffer | number
  mapMemory(bytes: number, hugePages: number): ArrayBuffer | number
  mappingAddress(memory: ArrayBuffer | Uint8Array): number
  mappingRelease(memory: ArrayBuffer): number
  lockFile(path: string): number

  /* thread.cc */
  eventCreate(): number
  eventSignal(descriptor: number): number
  /** 1 where it was signalled, else 0. */
  eventClear(descriptor: number): number
  threadPin(cpu: number): number
  threadAffinity(cpus: Int32Array): number
  threadId(): number
  /** Closes a descriptor that any verb above opened, in whichever thread. */
  close(descriptor: number): number
  /** The system call that failed last in this thread. */
  lastCall(): string
  errorWords(errno: number): string
  errorCode(errno: number): string
}

/** A system call that failed, with what was attempted. Fields as in Node's own system errors. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError'
  /** The word for the errno, such as `EBUSY`. */
  readonly code: string
  /** Negative, as Node gives it. */
  readonly errno: number
  /** The call that failed, such as `ioctl TUNSETIFF`. */
  readonly syscall: string
  readonly attempted: string

  constructor(attempted: string, errno: number, syscall: string, detail = '') {
    const code = native.errorCode(-errno) || `errno ${-errno}`
    super(`${attempted}: ${native.errorWords(-errno)} (${code})${detail === '' ? '' : `\n${detail}`}`)
    this.attempted = attempted
    this.code = code
    this.errno = errno
    this.syscall = syscall
  }
}

function load(): NativeAddon {
  const variant = process.env.V2N_NATIVE === 'asan' ? 'build-asan/build' : 'build'
  const here = dirname(fileURLToPath(import.meta.url))
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    const path = join(folder, 'native-bindings', variant, 'Release/v2n.node')
    if (existsSync(path)) return createRequire(import.meta.url)(path) as NativeAddon
  }
  throw new Error(`the native addon is not built (native-bindings/${variant}): run npm run build`)
}

export const native: NativeAddon = load()

/**
 * The answer of a verb, where it is not a failure.
 * @param attempted in words, such as `open TUN device eth0 in namespace web`
 * @throws SystemCallError for a negative errno
 */
export function check(result: number, attempted: string): number {
  if (result < 0) throw new SystemCallError(attempted, result, native.lastCall())
  return result
}

/** The same for verbs that answer memory. */
export function checkMemory(result: ArrayBuffer | number, attempted: string): ArrayBuffer {
  if (typeof result === 'number') throw new SystemCallError(attempted, result, native.lastCall())
  return result
}

/** Closes a descriptor that something of this folder opened. A descriptor that is not open is an error of the caller. */
export function closeDescriptor(descriptor: number): void {
  check(native.close(descriptor), `close descriptor ${descriptor}`)
}
