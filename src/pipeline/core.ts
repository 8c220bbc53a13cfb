/**
 * What the stages of the pipeline share: the tables, the plan in force, where frames go, and the one place where a drop is counted.
 *
 * A shard has one core. Nothing here decides anything; the stages do, each in a file of its own.
 */

import { Conntrack } from '../nat/conntrack.ts'
import { FragmentTable } from '../nat/fragments.ts'
import { Leases } from '../nat/leases.ts'
import { AddressMap } from '../tables/addresses.ts'
import { Burst } from '../tables/burst.ts'
import { Counter, Counters, counterSections } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import {
  COLD_WORDS,
  ENI,
  FLAG_LEASED,
  type FlowMemory,
  FlowTable,
  flowSections,
  HOT_WORDS,
  STATE,
  TAG,
  TAG_HOSTS,
} from '../tables/flows.ts'
import { Lru, lruSections } from '../tables/lru.ts'
import type { Section } from '../tables/region.ts'
import type { Slab } from '../tables/slab.ts'
import type { Plan } from '../vpc/plan.ts'
import { EniKind } from '../vpc/plan.ts'

/** Verdicts that are not a flow: the frame is gone and counted; another shard has it; it waits for the rest of its datagram. */
export const DROPPED = -1
export const HANDED_OVER = -2
export const HELD = -3

/** The sections of a shard's region. */
export const regionSections = (flows: number): Section[] => [
  ...counterSections,
  ...flowSections(flows),
  ...lruSections,
]

/** Who takes the frames that belong to another shard. */
export interface HandOver {
  /** Copies the frame for the shard; false when there is no room for it. The slot stays the caller's. */
  push(shard: number, slot: number, length: number, device: number): boolean
}

/** Learns the fate of every frame while someone watches for one. */
export interface Observer {
  /** A frame is about to be decided; called before anything of it is changed. */
  arriving(slot: number, length: number, device: number): void
  sent(slot: number, length: number, device: number): void
  dropped(slot: number, reason: Drop): void
  held(slot: number): void
  handedOver(slot: number): void
}

export interface CoreOptions {
  readonly shard: number
  readonly shards: number
  /** Records of the flow table. */
  readonly flows: number
  /** Has the sections of `regionSections`. */
  readonly memory: FlowMemory
  readonly slab: Slab
  readonly handOver: HandOver
  /** Secret words of the steering hash, the same on every shard (`tables/steer.ts`). */
  readonly steeringKeys: Int32Array
}

export class Core {
  readonly shard: number
  readonly shards: number
  readonly slab: Slab
  readonly flows: FlowTable
  readonly lru: Lru
  readonly leases: Leases
  readonly conntrack: Conntrack
  readonly counters: Counters
  readonly fragments: FragmentTable
  readonly handOver: HandOver
  readonly steeringKeys: Int32Array
  /** Frames to send; there is room for every slot of the slab. */
  readonly output: Burst
  plan: Plan
  generation: number
  sources: AddressMap
  addresses: AddressMap
  /** Tick of the burst. */
  now = 0
  /** True while the frame at hand came from another shard: it is decided here, wherever its hash points. */
  takenOver = false
  observer: Observer | null = null
  /** Of the last frame forwarded: whether it went from end A to end B. */
  outward = false
  /** Of the last frame dropped: why; of the last handed over: to which shard. */
  lastDrop: Drop = Drop.None
  handedTo = 0
  /** MTU by device, of the plan in force. */
  mtu: Int32Array

  constructor(options: CoreOptions, plan: Plan) {
    this.shard = options.shard
    this.shards = options.shards
    this.slab = options.slab
    this.flows = new FlowTable(options.memory, options.flows)
    this.lru = new Lru(options.memory, this.flows)
    this.leases = new Leases(this.flows, options.shard)
    this.counters = new Counters(options.memory)
    this.conntrack = new Conntrack(this.flows, this.lru, this.leases, this.counters)
    this.fragments = new FragmentTable()
    this.handOver = options.handOver
    this.steeringKeys = options.steeringKeys
    this.output = new Burst(options.slab.slots)
    this.plan = plan
    this.generation = plan.generation
    this.mtu = plan.devices.mtu
    this.sources = new AddressMap(plan.sources.slots)
    this.addresses = new AddressMap(plan.addresses.slots)
    this.#configure(plan)
  }

  /** Takes a plan, between two bursts. Flows decided under an older one are decided again at their next packet. */
  swap(plan: Plan): void {
    this.plan = plan
    this.generation = plan.generation
    this.mtu = plan.devices.mtu
    this.sources = new AddressMap(plan.sources.slots)
    this.addresses = new AddressMap(plan.addresses.slots)
    this.#configure(plan)
  }

  /**
   * Puts the flows of a region that was mapped again back on their lists and ports. The ports of the plan's ENIs must be set before, with
   * what this shard had there forgotten.
   */
  recover(): void {
    this.lru.clear()
    const { hot, cold } = this.flows
    this.flows.rebuild(id => {
      const eni = cold[id * COLD_WORDS + ENI] & 0xffff
      if (this.plan.enis.kind[eni] === undefined || this.plan.enis.kind[eni] === EniKind.None) return false
      const leased = (hot[id * HOT_WORDS + STATE] & FLAG_LEASED) !== 0
      if (leased && !this.leases.restore(eni, id)) return false
      if (!leased && (hot[id * HOT_WORDS + TAG] & TAG_HOSTS) === 0) return false
      this.lru.append(eni, (hot[id * HOT_WORDS + STATE] >>> 8) & 0xff, id)
      return true
    })
    this.#countLost()
  }

  /**
   * Frames that the earlier life had taken in and neither sent nor dropped, fragments that waited above all, went with its slots. Killed within a
   * burst, it may have dropped frames that it had not counted in yet: they are counted in now.
   */
  #countLost(): void {
    const { values, drops } = this.counters
    const takenIn = values[Counter.FramesIn] + values[Counter.Originated] + values[Counter.TakenOver]
    const gone = drops.reduce(
      (sum, count) => sum + count,
      values[Counter.FramesOut] + values[Counter.HandedOver],
    )
    values[Counter.Held] = 0
    if (takenIn >= gone) drops[Drop.Restart] += takenIn - gone
    else values[Counter.FramesIn] += gone - takenIn
  }

  /** Sends a frame to a device: its slot is the output's from now on. */
  emit(slot: number, length: number, device: number): void {
    if (this.observer !== null) this.observer.sent(slot, length, device)
    this.output.add(slot, length, device)
  }

  /** Drops a frame: counts its reason and gives its slot back. The answer is the verdict DROPPED. */
  drop(slot: number, reason: Drop): number {
    if (this.observer !== null) this.observer.dropped(slot, reason)
    this.counters.drops[reason]++
    this.lastDrop = reason
    this.slab.give(slot)
    return DROPPED
  }

  /** Counts a drop of something that has no slot. */
  dropHeld(reason: Drop, frames: number): void {
    this.counters.drops[reason] += frames
  }

  /** Counts what a burst has put into the output, from the frame at `first` on. */
  settle(first: number): void {
    const { values } = this.counters
    const { count, length } = this.output
    let bytes = 0
    for (let i = first; i < count; i++) bytes += length[i]
    values[Counter.FramesOut] += count - first
    values[Counter.BytesOut] += bytes
    values[Counter.Held] = this.fragments.held
  }

  #configure(plan: Plan): void {
    this.conntrack.configure(plan.settings.timeouts, plan.enis.kind.length)
    this.counters.values[Counter.Generation] = plan.generation
  }
}
