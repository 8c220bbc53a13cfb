/**
 * The steering program: the kernel asks it for the queue of every packet that it is about to put into a TUN device.
 *
 * Shard i reads queue i, so the program answers a shard. On devices of environments that is `ownerInside` of `tables/steer.ts`; on
 * devices of hosts, for TCP and UDP to an address that translates, the owner of the destination port's block, and `ownerBetween` for
 * all else. Whether an address translates stands in a table of buckets, by hash: an address that shares its bucket with an ENI's is taken
 * for it. That is harmless, since a shard hands over what it does not own; steering only has to be right nearly always, and is
 * exact where no two addresses share a bucket.
 *
 * The tables are the one value of an array map, which the program reads by address and this process maps: writing an element moves a
 * block to another shard, with the next packet.
 *
 *     0         row 0: owners of 1024 blocks, block % shards     for every ENI that has no row of its own
 *     1024      row 1 …
 *     ROWS·1024 buckets, 16 bits each: 0, or the row + 1 of the ENI whose address falls there
 *
 * The program sees a packet from its IP header on, before the virtio-net header is put before it. It runs under the socket filter type:
 * LD_ABS and LD_IND for the packet, and nothing that needs a helper, a licence or a library. Without the right to load
 * it (no CAP_BPF or CAP_SYS_ADMIN, a seccomp filter) nothing is attached: the kernel then sends replies to the queue that wrote the
 * flow last, and shards hand over the rest.
 */
import { portOwner } from '../tables/ports.ts'
import { STEER_KEYS, SteerKey, steerBucket } from '../tables/steer.ts'
import { Assembler, Size } from './ebpf.ts'
import { check, checkMemory, closeDescriptor, native, SystemCallError } from './native.ts'

/** Blocks of 64 ports. */
const BLOCKS = 1024
/* Ours to tune; powers of two, since the verifier bounds an index by a mask. */
const ROWS = 256
const BUCKET_BITS = 14
const BUCKETS = 1 << BUCKET_BITS
const BUCKETS_AT = ROWS * BLOCKS
const TABLE_BYTES = BUCKETS_AT + BUCKETS * 2
/** Of the verifier's words, kept for the error. */
const LOG_BYTES = 64 * 1024

const TCP = 6
const UDP = 17

/* Registers */
const R0 = 0
const R1 = 1
const CONTEXT = 6
const SUM = 7
const OTHER_SUM = 8
const PROTOCOL = 9
const STACK = 10

/** An address that translates, and whose owners its ports have. */
export interface SteeredEni {
  /** As loaded from a packet: one word (IPv4) or four (IPv6). */
  readonly address: ArrayLike<number>
  /** Row of the owner table, 0 where the ENI's blocks are dealt `block % shards`. */
  readonly row?: number
}

/** What a device leads to. */
export type SteeredSide = 'inside' | 'outside'

export interface SteeringOptions {
  /** STEER_KEYS secret random words, the same that the shards have. */
  readonly keys: Int32Array
  /** 1 to 64. */
  readonly shards: number
}

export class Steering {
  readonly #keys: Int32Array
  readonly #map: number
  readonly #inside: number
  readonly #outside: number
  readonly #table: ArrayBuffer
  readonly #owners: Uint8Array
  readonly #buckets: Uint16Array

  /** @throws SystemCallError where the kernel refuses, with the verifier's words; RangeError for keys or shards out of range */
  constructor({ keys, shards }: SteeringOptions) {
    if (keys.length < STEER_KEYS)
      throw new RangeError(`steering: ${STEER_KEYS} keys wanted, got ${keys.length}`)
    if (!Number.isInteger(shards) || shards < 1 || shards > 64)
      throw new RangeError(`steering: 1 to 64 shards, not ${shards}`)
    this.#keys = keys
    const opened: number[] = []
    try {
      this.#map = check(native.bpfArrayMap(TABLE_BYTES), 'make the owner table')
      opened.push(this.#map)
      this.#table = checkMemory(native.bpfMapValue(this.#map, TABLE_BYTES), 'map the owner table')
      this.#owners = new Uint8Array(this.#table, 0, BUCKETS_AT)
      this.#buckets = new Uint16Array(this.#table, BUCKETS_AT, BUCKETS)
      for (let at = 0; at < BUCKETS_AT; at++) this.#owners[at] = portOwner((at % BLOCKS) << 6, shards)
      this.#inside = loadProgram(insideProgram(keys, shards), 'load the steering program of environments')
      opened.push(this.#inside)
      this.#outside = loadProgram(
        outsideProgram(keys, shards, this.#map),
        'load the steering program of hosts',
      )
    } catch (error) {
      for (const descriptor of opened) closeDescriptor(descriptor)
      throw error
    }
  }

  /** Steers a device; the descriptor is any of its queues'. It stays steered until `detachSteering` or its end, also after `close`. */
  attach(descriptor: number, side: SteeredSide): void {
    const program = side === 'inside' ? this.#inside : this.#outside
    check(native.tunSteering(descriptor, program), `attach the steering program to descriptor ${descriptor}`)
  }

  /** Says which addresses translate: all of them. Those named before and not now are forgotten. */
  setEnis(enis: readonly SteeredEni[]): void {
    const buckets = new Uint16Array(BUCKETS)
    for (const { address, row = 0 } of enis) {
      if (row < 0 || row >= ROWS) throw new RangeError(`steering: rows are 0 to ${ROWS - 1}, not ${row}`)
      buckets[steerBucket(address, this.#keys, BUCKET_BITS)] = row + 1
    }
    // What does not change is not touched, so that a packet on its way never sees an ENI missing.
    for (let at = 0; at < BUCKETS; at++)
      if (this.#buckets[at] !== buckets[at]) this.#buckets[at] = buckets[at]
  }

  /** Gives a block of ports (port >>> 6) of a row to a shard, from the next packet on. */
  setOwner(row: number, block: number, shard: number): void {
    this.#owners[row * BLOCKS + block] = shard
  }

  /** The shard that a block of ports belongs to. */
  owner(row: number, block: number): number {
    return this.#owners[row * BLOCKS + block]
  }

  /** Lets go of programs and table. Devices keep the program they have, and it keeps its table. */
  close(): void {
    check(native.mappingRelease(this.#table), 'release the owner table')
    for (const descriptor of [this.#inside, this.#outside, this.#map]) closeDescriptor(descriptor)
  }
}

/** Takes the steering program from a device: the kernel chooses queues itself again. */
export function detachSteering(descriptor: number): void {
  check(native.tunSteering(descriptor, -1), `detach the steering program from descriptor ${descriptor}`)
}

function loadProgram(instructions: Uint8Array, attempted: string): number {
  const program = native.bpfSocketFilter(instructions, new Uint8Array(0))
  if (program >= 0) return program
  const syscall = native.lastCall()
  // The log costs the verifier time and room, so it is asked for once something is wrong.
  const log = new Uint8Array(LOG_BYTES)
  native.bpfSocketFilter(instructions, log)
  const end = log.indexOf(0)
  throw new SystemCallError(attempted, program, syscall, Buffer.from(log.subarray(0, end)).toString().trim())
}

/** Adds `keys[key]` times the upper and `keys[key + 1]` times the lower half of R0 to a sum. Spoils R0 and R1. */
function addHalves(code: Assembler, sum: number, keys: Int32Array, key: number): void {
  code.aluRegister('Mov', R1, R0).alu('Rsh', R1, 16).alu('Mul', R1, keys[key]).aluRegister('Add', sum, R1)
  code
    .alu('And', R0, 0xffff)
    .alu('Mul', R0, keys[key + 1])
    .aluRegister('Add', sum, R0)
}

function addAddress(
  code: Assembler,
  sum: number,
  at: number,
  words: number,
  keys: Int32Array,
  key: number,
): void {
  for (let word = 0; word < words; word++) {
    code.loadPacket(Size.Word, at + 4 * word)
    addHalves(code, sum, keys, key + 2 * word)
  }
}

/** Goes on at `v4` or `v6`; a packet of neither ends in queue 0. */
function branchOnVersion(code: Assembler): void {
  code.move64(CONTEXT, R1).loadPacket(Size.Byte, 0).alu('Rsh', R0, 4)
  code.jumpIf('Equal', R0, 4, 'v4').jumpIf('Equal', R0, 6, 'v6').alu('Mov', R0, 0).exit()
}

/** R0 = both ports, the source's above, where the packet is TCP or UDP and no fragment; else jumps to `none`. */
function loadPorts(code: Assembler, version: 4 | 6, none: string): void {
  const yes = `ports${version}`
  code.jumpIf('Equal', PROTOCOL, TCP, yes).jumpIf('NotEqual', PROTOCOL, UDP, none).label(yes)
  if (version === 6) {
    code.loadPacket(Size.Word, 40)
    return
  }
  code.loadPacket(Size.Half, 6).alu('And', R0, 0x3fff).jumpIf('NotEqual', R0, 0, none)
  // A header length of 0 would have the ports at 0; no such packet is forwarded, it ends in queue 0.
  const wrong = 'wrong length'
  code.loadPacket(Size.Byte, 0).alu('And', R0, 0x0f).jumpIf('Equal', R0, 0, wrong).alu('Lsh', R0, 2)
  code.loadPacketAt(Size.Word, R0, 0)
}

/** Ends with (sum >>> 16) · shards >>> 16. */
function endWithOwner(code: Assembler, sum: number, shards: number): void {
  code.aluRegister('Mov', R0, sum).alu('Rsh', R0, 16).alu('Mul', R0, shards).alu('Rsh', R0, 16).exit()
  code.label('wrong length').alu('Mov', R0, 0).exit()
}

/** `ownerInside`. */
export function insideProgram(keys: Int32Array, shards: number): Uint8Array {
  const code = new Assembler()
  branchOnVersion(code)
  for (const version of [4, 6] as const) {
    const words = version === 4 ? 1 : 4
    const source = version === 4 ? 12 : 8
    code
      .label(`v${version}`)
      .loadPacket(Size.Byte, version === 4 ? 9 : 6)
      .aluRegister('Mov', PROTOCOL, R0)
    code
      .alu('Mul', R0, keys[SteerKey.Protocol])
      .alu('Add', R0, keys[SteerKey.Constant])
      .aluRegister('Mov', SUM, R0)
    addAddress(code, SUM, source, words, keys, SteerKey.Source)
    addAddress(code, SUM, source + 4 * words, words, keys, SteerKey.Destination)
    loadPorts(code, version, 'end')
    addHalves(code, SUM, keys, SteerKey.Port)
    code.jump('end')
  }
  code.label('end')
  endWithOwner(code, SUM, shards)
  return code.assemble()
}

/** The owner table for TCP and UDP to an address that translates, else `ownerBetween`. */
export function outsideProgram(keys: Int32Array, shards: number, map: number): Uint8Array {
  const code = new Assembler()
  branchOnVersion(code)
  for (const version of [4, 6] as const) {
    const words = version === 4 ? 1 : 4
    const source = version === 4 ? 12 : 8
    code
      .label(`v${version}`)
      .loadPacket(Size.Byte, version === 4 ? 9 : 6)
      .aluRegister('Mov', PROTOCOL, R0)
    code.alu('Mov', SUM, keys[SteerKey.Constant]).alu('Mov', OTHER_SUM, keys[SteerKey.Constant])
    addAddress(code, SUM, source, words, keys, SteerKey.Source)
    addAddress(code, OTHER_SUM, source + 4 * words, words, keys, SteerKey.Source)
    loadPorts(code, version, 'mix')
    // The port waits on the stack while the sums are used up: 4 bytes, the destination port in the lower half.
    code.store(Size.Word, STACK, -4, R0)
    code.aluRegister('Mov', R1, R0).alu('Rsh', R1, 16)
    code.alu('Mul', R1, keys[SteerKey.Port]).aluRegister('Add', SUM, R1)
    code.alu('And', R0, 0xffff).alu('Mul', R0, keys[SteerKey.Port]).aluRegister('Add', OTHER_SUM, R0)
    byPortBlock(code, source + 4 * words, words, keys, map)
  }
  code.label('mix')
  mixEndPoints(code, keys)
  endWithOwner(code, SUM, shards)
  return code.assemble()
}

/** Ends with the owner of the destination port's block, where the destination's bucket names a row; else jumps to `mix`. */
function byPortBlock(
  code: Assembler,
  destination: number,
  words: number,
  keys: Int32Array,
  map: number,
): void {
  const [BUCKET, POINTER] = [2, 3]
  // The protocol is read again by whoever wants it later; its register holds the bucket's sum meanwhile.
  code.store(Size.Word, STACK, -8, PROTOCOL)
  code.alu('Mov', PROTOCOL, keys[SteerKey.Port])
  addAddress(code, PROTOCOL, destination, words, keys, SteerKey.Destination)
  code
    .aluRegister('Mov', BUCKET, PROTOCOL)
    .alu('Rsh', BUCKET, 32 - BUCKET_BITS)
    .alu('Lsh', BUCKET, 1)
  code.load(Size.Word, PROTOCOL, STACK, -8)
  code.mapValue(POINTER, map, BUCKETS_AT).add64(POINTER, BUCKET).load(Size.Half, R0, POINTER)
  code.jumpIf('Equal', R0, 0, 'mix')
  code
    .alu('Add', R0, -1)
    .alu('And', R0, ROWS - 1)
    .alu('Lsh', R0, 10)
  code.load(Size.Word, R1, STACK, -4).alu('And', R1, 0xffff).alu('Rsh', R1, 6).aluRegister('Add', R0, R1)
  code.mapValue(POINTER, map, 0).add64(POINTER, R0).load(Size.Byte, R0, POINTER).exit()
}

/** SUM = the hash of both sums, the lower first, and the protocol. */
function mixEndPoints(code: Assembler, keys: Int32Array): void {
  const mix = SteerKey.Destination
  code.jumpIfRegister('Greater', SUM, OTHER_SUM, 'swap').jump('ordered').label('swap')
  code.aluRegister('Mov', R1, SUM).aluRegister('Mov', SUM, OTHER_SUM).aluRegister('Mov', OTHER_SUM, R1)
  code
    .label('ordered')
    .alu('Mul', PROTOCOL, keys[SteerKey.Protocol])
    .alu('Add', PROTOCOL, keys[SteerKey.Port2])
  code.aluRegister('Mov', R0, SUM)
  addHalves(code, PROTOCOL, keys, mix)
  code.aluRegister('Mov', R0, OTHER_SUM)
  addHalves(code, PROTOCOL, keys, mix + 2)
  code.aluRegister('Mov', SUM, PROTOCOL)
}
