/**
 * A network in memory: the pipelines of one or more shards under the plan of a lab file, with frames going in by hand and coming out judged.
 *
 *     send ─▶ steering ─▶ shard ─▶ output ─▶ judged: checksums, hop, addresses ─▶ arrivals
 *                           │ ▲
 *                 hand-over └─┘ by hand
 *
 * After every burst the books must balance: in + originated = out + drops + held + on the way between shards, and all slots are back.
 */
import { parseConfig } from '../../src/daemon/config.ts'
import { ticks } from '../../src/nat/timeouts.ts'
import { regionSections } from '../../src/pipeline/core.ts'
import { BURST, Pipeline } from '../../src/pipeline/pipeline.ts'
import { ABSENT, AddressMap } from '../../src/tables/addresses.ts'
import { Burst } from '../../src/tables/burst.ts'
import { Counter } from '../../src/tables/counters.ts'
import { Drop, dropName } from '../../src/tables/drops.ts'
import { FlowTable } from '../../src/tables/flows.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import { ENI_BYTES, EniPorts, portOwner } from '../../src/tables/ports.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { frameAt, Slab, STRIDE, VNET_LEN } from '../../src/tables/slab.ts'
import { ownerBetween, ownerInside, STEER_KEYS } from '../../src/tables/steer.ts'
import { compile } from '../../src/vpc/compile.ts'
import type { PlanNames } from '../../src/vpc/names.ts'
import type { NumbersJson } from '../../src/vpc/numbers.ts'
import { DeviceKind, EniKind, type Plan } from '../../src/vpc/plan.ts'
import { Random } from '../tables/random.ts'
import { Judge } from './judge.ts'
import { isFragment, words } from './packets.ts'

/** What the virtio-net header of a frame says; nothing by default. */
export interface Offload {
  /** The transport checksum is left to the device. */
  readonly partial?: boolean
  /** The sender's kernel has checked the transport checksum. */
  readonly checked?: boolean
  readonly gso?: 'tcp4' | 'tcp6' | 'udp'
  /** Payload bytes of each packet that a super-frame stands for. */
  readonly gsoSize?: number
}

export interface SendOptions extends Offload {
  /** The shard whose queue the frame comes from; by default the one that steering chooses. */
  readonly shard?: number
  /** Many frames, whose test looks at what comes out itself: it is neither judged nor remembered. */
  readonly unjudged?: boolean
}

/** A frame that came out. */
export interface Arrival {
  /** The device's name, that of the host or environment behind it. */
  readonly to: string
  readonly frame: Uint8Array
  /** The virtio-net header before it. */
  readonly header: Uint8Array
}

export interface NetOptions {
  readonly shards?: number
  /** Records of a shard's flow table. */
  readonly flows?: number
  readonly slots?: number
  /** Tick that the clock begins at. */
  readonly tick?: number
  readonly seed?: number
  /** Frames that fit between two shards. */
  readonly room?: number
}

interface Handed {
  readonly shard: number
  readonly device: number
  readonly bytes: Uint8Array
}

const GSO = { tcp4: 1, tcp6: 4, udp: 5 } as const

interface Member {
  readonly pipeline: Pipeline
  readonly input: Burst
  readonly slab: Slab
  readonly memory: Region
  /** Ports of ENIs by slot, as this shard sees them. */
  readonly enis: Map<number, EniPorts>
}

/** Memory of slabs, used again and again: what an earlier test left in a slot must not matter. */
const slabs = new Map<string, ArrayBuffer>()
function slabMemory(shard: number, slots: number): ArrayBuffer {
  const key = `${shard} ${slots}`
  if (!slabs.has(key)) slabs.set(key, new ArrayBuffer(slots * STRIDE))
  const memory = slabs.get(key)!
  const bytes = new Uint8Array(memory)
  for (let slot = 0; slot < slots; slot++) bytes.fill(0xa5, slot * STRIDE, slot * STRIDE + 2048)
  return memory
}

export class Net {
  readonly shards: readonly Member[]
  readonly #options: Required<NetOptions>
  readonly #steeringKeys: Int32Array
  readonly #eniMemory = new Map<number, ArrayBuffer>()
  #handed: Handed[] = []
  #room: number
  /** Frames that went in and out, counted here. */
  #in = 0
  #out = 0
  #numbers: NumbersJson | null = null
  plan: Plan
  names: PlanNames
  tick: number
  /** What went in last: of these an error may quote more than is seen outside. */
  sent: Uint8Array[] = []
  /** Everything that came out, in order. */
  readonly arrivals: Arrival[] = []

  /** @param config text of a lab file */
  constructor(config: string, options: NetOptions = {}) {
    this.#options = { shards: 1, flows: 1024, slots: 160, tick: 1000, seed: 1, room: 1024, ...options }
    this.#room = this.#options.room
    this.tick = this.#options.tick
    ;({ plan: this.plan, names: this.names } = this.#compile(config))
    const random = new Random(this.#options.seed)
    this.#steeringKeys = random.words(STEER_KEYS)
    this.shards = Array.from({ length: this.#options.shards }, (_, shard) => {
      const sections = regionSections(this.#options.flows)
      const memory = new Region(new ArrayBuffer(regionBytes(sections)), sections)
      FlowTable.begin(memory, random.words(HASH_KEYS))
      return this.#start(shard, memory)
    })
  }

  #compile(config: string) {
    const { model, settings } = parseConfig(config, 'test.yaml', { numbers: this.#numbers })
    const compiled = compile(model, settings)
    this.#numbers = model.numbers.toJSON()
    return compiled
  }

  #start(shard: number, memory: Region): Member {
    const { slots, flows, shards } = this.#options
    const slab = new Slab(slabMemory(shard, slots), slots)
    const handOver = {
      push: (to: number, slot: number, length: number, device: number) => {
        if (this.#handed.length >= this.#room) return false
        const from = frameAt(slot) - VNET_LEN
        this.#handed.push({ shard: to, device, bytes: slab.bytes.slice(from, from + VNET_LEN + length) })
        return true
      },
    }
    const steeringKeys = this.#steeringKeys
    const pipeline = new Pipeline({ shard, shards, flows, memory, slab, handOver, steeringKeys }, this.plan)
    const input = new Burst(BURST)
    const member = { pipeline, input, slab, memory, enis: new Map<number, EniPorts>() }
    this.#openEnis(member, shard)
    return member
  }

  #openEnis({ pipeline, enis }: Member, shard: number): void {
    for (const [slot, kind] of this.plan.enis.kind.entries()) {
      if (kind !== EniKind.Hyperplane || enis.has(slot)) continue
      if (!this.#eniMemory.has(slot)) this.#eniMemory.set(slot, new ArrayBuffer(ENI_BYTES))
      const ports = new EniPorts(this.#eniMemory.get(slot)!, shard, this.#options.shards)
      enis.set(slot, ports)
      pipeline.core.leases.setPorts(slot, ports)
    }
  }

  /** Swaps in the plan of another file, as a shard does between two bursts. */
  apply(config: string): void {
    ;({ plan: this.plan, names: this.names } = this.#compile(config))
    this.swap(this.plan)
  }

  /** Swaps in a plan. */
  swap(plan: Plan): void {
    this.plan = plan
    for (const [shard, member] of this.shards.entries()) {
      this.#openEnis(member, shard)
      const { core } = member.pipeline
      core.swap(plan)
      for (const eni of member.enis.keys()) {
        if (plan.enis.kind[eni] === EniKind.Hyperplane) continue
        core.conntrack.endAll(eni)
        core.leases.setPorts(eni, undefined)
        member.enis.delete(eni)
        this.#eniMemory.delete(eni)
      }
    }
  }

  /**
   * Kills the shards and starts them again on the same regions. What is on its way between them is in rings that stay, too.
   * @param config the file that is read then, where it is another one
   */
  restart(config?: string): void {
    if (config !== undefined) ({ plan: this.plan, names: this.names } = this.#compile(config))
    for (const [shard, { memory }] of this.shards.entries()) {
      const member = this.#start(shard, memory)
      for (const ports of member.enis.values()) ports.forget()
      Object.assign(this.shards[shard], member)
    }
    for (const { pipeline } of this.shards) pipeline.core.recover()
    this.balance()
  }

  /** Number of the device with this name. */
  device(name: string): number {
    const found = this.names.devices.find(device => device.name === name)
    if (found === undefined) throw new Error(`there is no device ${name}`)
    return found.device
  }

  /** The ENI of a host, or the hyperplane ENI of a function. */
  eni(name: string): { slot: number; address: string; ipv6Address: string; ports: EniPorts } {
    const found = this.names.enis.find(({ host, functions }) => host === name || functions.includes(name))
    if (found === undefined) throw new Error(`there is no ENI of ${name}`)
    const { slot, address, ipv6Address } = found
    return { slot, address, ipv6Address: ipv6Address ?? '::', ports: this.shards[0].enis.get(slot)! }
  }

  /** Sends one frame and all that follows from it. The answer is what came out. */
  send(from: string, frame: Uint8Array, options: SendOptions = {}): Arrival[] {
    return this.burst([[from, frame]], options)
  }

  /** Sends frames in one burst for each shard. */
  burst(
    frames: readonly (readonly [from: string, frame: Uint8Array])[],
    options: SendOptions = {},
  ): Arrival[] {
    const first = this.arrivals.length
    const queues = this.shards.map((): Handed[] => [])
    if (this.sent.length > 2000) this.sent = this.sent.slice(-1000)
    if (!options.unjudged) this.sent.push(...frames.map(([, frame]) => frame))
    for (const [from, frame] of frames) {
      const device = this.device(from)
      const shard = options.shard ?? this.steer(device, frame)
      const bytes = new Uint8Array(VNET_LEN + frame.length)
      bytes.set(headerOf(frame, options))
      bytes.set(frame, VNET_LEN)
      queues[shard].push({ shard, device, bytes })
    }
    const judge = options.unjudged ? undefined : new Judge(this, frames, options)
    for (const [shard, queue] of queues.entries())
      for (let at = 0; at < queue.length; at += BURST) this.#run(shard, queue.slice(at, at + BURST), judge)
    this.deliver(judge)
    judge?.close()
    return options.unjudged ? this.arrivals.splice(first) : this.arrivals.slice(first)
  }

  /** Lets the shards take what was handed over to them, until nothing is between them. */
  deliver(judge?: Judge): void {
    while (this.#handed.length > 0) {
      const { shard } = this.#handed[0]
      const burst = this.#handed.filter(frame => frame.shard === shard).slice(0, BURST)
      this.#handed = this.#handed.filter(frame => !burst.includes(frame))
      const { core } = this.shards[shard].pipeline
      core.takenOver = true
      core.counters.values[Counter.TakenOver] += burst.length
      this.#run(shard, burst, judge)
      core.takenOver = false
    }
  }

  /** The shard that the kernel's steering program gives a frame to. */
  steer(device: number, frame: Uint8Array): number {
    const { shards } = this.#options
    if (shards === 1 || frame.length < 20) return 0
    if (this.plan.devices.kind[device] === DeviceKind.Environments)
      return ownerInside(frame, 0, frame.length, this.#steeringKeys, shards)
    const wide = frame[0] >>> 4 === 6
    const protocol = frame[wide ? 6 : 9]
    if ((protocol === 6 || protocol === 17) && !isFragment(frame) && frame.length >= 60) {
      const addresses = new AddressMap(this.plan.addresses.slots)
      const vpc = this.plan.devices.vpc[device]
      const eni = wide ? addresses.find6(vpc, words(frame), 6) : addresses.find4(vpc, words(frame)[4])
      const ports = wide ? 40 : (frame[0] & 0x0f) * 4
      if (eni !== ABSENT && this.plan.enis.kind[eni] === EniKind.Hyperplane)
        return portOwner(frame[ports + 2] * 256 + frame[ports + 3], shards)
    }
    return ownerBetween(frame, 0, frame.length, this.#steeringKeys, shards)
  }

  #run(shard: number, queue: readonly Handed[], judge: Judge | undefined): void {
    const { pipeline, input, slab } = this.shards[shard]
    const { output, takenOver } = pipeline.core
    for (const { bytes, device } of queue) {
      const slot = slab.take()
      slab.bytes.set(bytes, frameAt(slot) - VNET_LEN)
      input.add(slot, bytes.length - VNET_LEN, device)
    }
    if (!takenOver) this.#in += queue.length
    pipeline.run(input, this.tick)
    for (let i = 0; i < output.count; i++) {
      const at = frameAt(output.slot[i])
      const arrival = {
        to:
          this.names.devices.find(({ device }) => device === output.device[i])?.name ?? `${output.device[i]}`,
        frame: slab.bytes.slice(at, at + output.length[i]),
        header: slab.bytes.slice(at - VNET_LEN, at),
      }
      this.arrivals.push(arrival)
      judge?.see(arrival, output.device[i])
      slab.give(output.slot[i])
    }
    this.#out += output.count
    output.clear()
    this.balance()
  }

  /** Turns the clock, and lets the shards do what is due: as many turns as a second of theirs has. */
  wait(seconds: number): void {
    this.tick = (this.tick + ticks(seconds)) | 0
    this.expire()
  }

  /** Turns of every shard in which nothing arrives. */
  expire(turns = 100): void {
    for (let turn = 0; turn < turns; turn++)
      for (const { pipeline } of this.shards) pipeline.expire(this.tick)
    this.balance()
  }

  /** The sum of a counter over the shards. */
  counter(name: keyof typeof Counter): number {
    return this.#sum(({ pipeline }) => pipeline.core.counters.values[Counter[name]])
  }

  /** The drops that there were, by word. */
  drops(): Record<string, number> {
    const found: Record<string, number> = {}
    for (const drop of Object.values(Drop)) {
      const count = this.#sum(({ pipeline }) => pipeline.core.counters.drops[drop])
      if (count !== 0) found[dropName[drop]] = count
    }
    return found
  }

  /** Live flows of all shards. */
  get flows(): number {
    return this.#sum(({ pipeline }) => pipeline.core.flows.live)
  }

  /** Frames that shards have handed over and not yet taken. */
  get between(): number {
    return this.#handed.length
  }

  #sum(of: (member: Member) => number): number {
    return this.shards.reduce((sum, member) => sum + of(member), 0)
  }

  /** @throws Error where a frame is unaccounted for, or a slot */
  balance(): void {
    const dropped = this.#sum(({ pipeline }) => pipeline.core.counters.drops.reduce((a, b) => a + b))
    const into = this.counter('FramesIn') + this.counter('Originated')
    const outOf = this.counter('FramesOut') + dropped + this.counter('Held') + this.between
    const books = {
      'in + originated = out + drops + held + between': [into, outOf],
      'frames in': [this.counter('FramesIn'), this.#in],
      'frames out': [this.counter('FramesOut'), this.#out],
      'handed over - taken over': [this.counter('HandedOver') - this.counter('TakenOver'), this.between],
      held: [this.counter('Held'), this.#sum(({ pipeline }) => pipeline.core.fragments.held)],
      'free slots': [this.#sum(({ slab }) => slab.free), this.#options.slots * this.shards.length],
    }
    for (const [name, [one, other]] of Object.entries(books))
      if (one !== other) throw new Error(`${name}: ${one} is not ${other}`)
  }
}

/** The virtio-net header that the kernel puts before a frame. */
function headerOf(frame: Uint8Array, { partial, checked, gso, gsoSize = 0 }: Offload): Uint8Array {
  const header = new Uint8Array(VNET_LEN)
  if (!partial && !checked && gso === undefined) return header
  const view = new DataView(header.buffer)
  const wide = frame[0] >>> 4 === 6
  const start = wide ? 40 : (frame[0] & 0x0f) * 4
  const isTcp = frame[wide ? 6 : 9] === 6
  if (partial) {
    header[0] = 1
    view.setUint16(6, start, true)
    view.setUint16(8, isTcp ? 16 : 6, true)
  }
  if (checked) header[0] |= 2
  if (gso !== undefined) {
    header[1] = GSO[gso]
    view.setUint16(2, start + (isTcp ? (frame[start + 12] >>> 4) * 4 : 8), true)
    view.setUint16(4, gsoSize, true)
  }
  return header
}
