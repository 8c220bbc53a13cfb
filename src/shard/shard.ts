/**
 * The loop of a shard: receive, decide, send, and between bursts whatever control has said.
 *
 * It never waits for anyone but its devices, and for those only when there is nothing to do. An error in here is a defect: it ends the task, and the
 * control thread starts the shard again on the same regions.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Io } from '../io/io.ts'
import { type Mapping, mapMemory } from '../io/mapping.ts'
import { ReadvIo } from '../io/readv.ts'
import { pinThread } from '../io/thread.ts'
import { UringIo } from '../io/uring.ts'
import { BURST, Pipeline } from '../pipeline/pipeline.ts'
import { Burst } from '../tables/burst.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import { FlowTable } from '../tables/flows.ts'
import { HASH_KEYS } from '../tables/hash.ts'
import { Slab, STRIDE } from '../tables/slab.ts'
import { STEER_KEYS } from '../tables/steer.ts'
import { EniKind, type Plan } from '../vpc/plan.ts'
import { Clock } from './clock.ts'
import { Rings } from './handover.ts'
import { type FromShard, POSTED, type ShardStart, type ToShard } from './messages.ts'
import { RegionFiles } from './regions.ts'
import { Watches } from './watch.ts'

/* Ours to tune */
/** Frames a shard can hold at once: a burst read, a burst being written, and what it makes itself. */
const SLOTS = 256
/** A sleeping shard wakes this often, to end flows that expired. */
const SLEEP_MILLISECONDS = 500

export class Shard {
  readonly #start: ShardStart
  readonly #port: MessagePort
  readonly #mailbox: Int32Array
  readonly #clock = new Clock()
  readonly #slabMemory: Mapping
  readonly #files: RegionFiles
  readonly #rings: Rings
  readonly #io: Io
  readonly #pipeline: Pipeline
  readonly #watches: Watches
  readonly #burst = new Burst(BURST)
  /** ENI slots whose ports are mapped. */
  readonly #enis = new Set<number>()
  readonly #values: Float64Array
  readonly #drops: Float64Array
  #heard = 0
  #stopping = false
  #expiredAt = 0

  /** Maps everything and puts the flows of an earlier life back in their places. */
  constructor(start: ShardStart) {
    this.#start = start
    this.#port = start.port
    this.#mailbox = new Int32Array(start.mailbox)
    if (start.cpu >= 0) pinThread(start.cpu)
    this.#slabMemory = mapMemory(SLOTS * STRIDE, { hugePages: true })
    const slab = new Slab(this.#slabMemory.memory, SLOTS)
    this.#files = new RegionFiles(start)
    const { region } = this.#files
    FlowTable.begin(region, start.keys.subarray(STEER_KEYS, STEER_KEYS + HASH_KEYS))
    const wake = start.eventDescriptors[start.shard]
    this.#rings = new Rings(this.#files, slab, start.shard, start.shards, start.eventDescriptors)
    this.#pipeline = new Pipeline(
      {
        shard: start.shard,
        shards: start.shards,
        flows: start.flows,
        memory: region,
        slab,
        handOver: this.#rings,
        steeringKeys: start.keys.subarray(0, STEER_KEYS),
      },
      start.plan,
    )
    this.#values = this.#pipeline.core.counters.values
    this.#drops = this.#pipeline.core.counters.drops
    this.#watches = new Watches(slab, seen => this.#say(seen))
    this.#openEnis(start.plan)
    this.#pipeline.core.recover()
    this.#io = openIo(start, slab, wake)
    for (const { device, descriptor } of start.devices) this.#io.attach(device, descriptor)
  }

  /** Runs until control says stop. */
  run(): void {
    const { core } = this.#pipeline
    this.#say({ type: 'ready', generation: core.generation, flows: core.flows.live })
    const mailbox = this.#mailbox
    const burst = this.#burst
    for (;;) {
      if (Atomics.load(mailbox, POSTED) !== this.#heard) {
        this.#listen()
        if (this.#stopping) break
      }
      this.#io.receive(burst)
      const now = this.#clock.tick()
      const received = burst.count
      if (received > 0) {
        this.#pipeline.run(burst, now)
        this.#io.send(core.output)
      }
      const taken = this.#start.shards > 1 ? this.#takeOver(now) : 0
      if (now !== this.#expiredAt) {
        this.#expiredAt = now
        this.#pipeline.expire(now)
        if (core.output.count > 0) this.#io.send(core.output)
        this.#publish(now)
      }
      this.#values[Counter.Turns]++
      if (received + taken === 0) this.#rest()
    }
    this.#close()
  }

  #takeOver(now: number): number {
    const { core } = this.#pipeline
    const burst = this.#burst
    this.#rings.take(burst, this.#values)
    const taken = burst.count
    if (taken > 0) {
      core.takenOver = true
      this.#pipeline.run(burst, now)
      core.takenOver = false
      this.#io.send(core.output)
    }
    return taken
  }

  #rest(): void {
    this.#values[Counter.EmptyTurns]++
    if (this.#start.shards > 1 && !this.#rings.sleep(true)) {
      this.#rings.sleep(false)
      return
    }
    if (Atomics.load(this.#mailbox, POSTED) === this.#heard) this.#io.wait(SLEEP_MILLISECONDS)
    if (this.#start.shards > 1) this.#rings.sleep(false)
  }

  /** Moves what the Io could not write from the frames sent to the drops, and says what time it is. */
  #publish(now: number): void {
    const { counters } = this.#io
    const failed = counters.deviceGone + counters.deviceFull + counters.writeFailed
    if (failed > 0) {
      this.#drops[Drop.DeviceGone] += counters.deviceGone
      this.#drops[Drop.DeviceFull] += counters.deviceFull
      this.#drops[Drop.WriteFailed] += counters.writeFailed
      this.#values[Counter.FramesOut] -= failed
      counters.deviceGone = 0
      counters.deviceFull = 0
      counters.writeFailed = 0
    }
    this.#values[Counter.Sleeps] = counters.sleeps
    this.#values[Counter.Tick] = now
  }

  #listen(): void {
    this.#heard = Atomics.load(this.#mailbox, POSTED)
    for (;;) {
      const received = receiveMessageOnPort(this.#port)
      if (received === undefined) return
      this.#obey(received.message as ToShard)
    }
  }

  #obey(message: ToShard): void {
    const { core } = this.#pipeline
    switch (message.type) {
      case 'plan':
        this.#openEnis(message.plan)
        core.swap(message.plan)
        this.#closeEnis(message.plan)
        this.#say({ type: 'applied', generation: message.plan.generation })
        break
      case 'attach':
        this.#io.attach(message.device, message.descriptor)
        this.#say({ type: 'attached', device: message.device })
        break
      case 'detach':
        this.#io.detach(message.device)
        this.#say({ type: 'detached', device: message.device })
        break
      case 'watch':
        this.#watches.add(message.id, message.match)
        core.observer = this.#watches
        break
      case 'unwatch':
        this.#watches.remove(message.id)
        core.observer = this.#watches.any ? this.#watches : null
        break
      case 'stop':
        this.#stopping = true
        break
    }
  }

  /** Maps the ports of the plan's hyperplane ENIs that are not mapped yet. What an earlier life or an earlier ENI left there is forgotten. */
  #openEnis(plan: Plan): void {
    for (const [eni, kind] of plan.enis.kind.entries()) {
      if (kind !== EniKind.Hyperplane || this.#enis.has(eni)) continue
      const ports = this.#files.openEni(eni)
      ports.forget()
      this.#pipeline.core.leases.setPorts(eni, ports)
      this.#enis.add(eni)
    }
  }

  /** Ends the flows of ENIs that the plan does not have any more, and lets go of their ports. */
  #closeEnis(plan: Plan): void {
    for (const eni of this.#enis) {
      if (plan.enis.kind[eni] === EniKind.Hyperplane) continue
      this.#pipeline.core.conntrack.endAll(eni)
      this.#pipeline.core.leases.setPorts(eni, undefined)
      this.#files.closeEni(eni)
      this.#enis.delete(eni)
    }
  }

  #say(message: FromShard): void {
    this.#port.postMessage(message)
  }

  #close(): void {
    this.#io.close()
    this.#publish(this.#clock.tick())
    this.#files.close()
    this.#slabMemory.release()
    this.#say({ type: 'stopped' })
  }
}

/** The device interface that was asked for; readv where io_uring is refused. */
function openIo(start: ShardStart, slab: Slab, wake: number): Io {
  if (start.io === 'uring') {
    try {
      return new UringIo(slab, { wake })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      start.port.postMessage({
        type: 'log',
        level: 'warn',
        event: 'io-uring-refused',
        detail: { message, instead: 'readv' },
      })
    }
  }
  return new ReadvIo(slab, { wake })
}
