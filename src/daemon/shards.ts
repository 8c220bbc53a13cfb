/**
 * The shards of a daemon, seen from the control thread: a Piscina pool with one never-returning task a shard.
 *
 * A shard that dies is started again on the same regions, so its flows go on; the pause between two starts grows when it dies at once again
 * and again. What shards are told (plan, devices, watches) is held here as the present state, so a shard that starts anew gets it
 * with its `ShardStart` and nothing is replayed.
 *
 * `atomics: 'disabled'`: a Piscina worker otherwise blocks in Atomics.wait between tasks, and a shard uses its own mailbox anyway.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import {
  type FromShard,
  type IoKind,
  MAILBOX_LENGTH,
  POSTED,
  type Seen,
  type ShardStart,
  type ToShard,
  type WatchMatch,
} from '../shard/messages.ts'
import type { Plan } from '../vpc/plan.ts'
import { Failure } from './failure.ts'
import type { Log } from './log.ts'

/* Ours to tune */
const FIRST_PAUSE_MILLISECONDS = 50
const LONGEST_PAUSE_MILLISECONDS = 5000
/** A shard that ran so long and then died is started again without a pause. */
const STEADY_MILLISECONDS = 30_000

/** What the pool of shards is made with. */
export interface ShardsOptions {
  /** The file with the task, its export is `runShard`. */
  readonly filename: string
  readonly shards: number
  readonly directory: string
  readonly io: IoKind
  /** Records of a shard's flow table. */
  readonly flows: number
  readonly hugePages: boolean
  readonly keys: Int32Array
  /** The processor of each shard, or -1 for any. */
  readonly cpus: readonly number[]
  /** One eventfd a shard. They stay the caller's to close, after `stop`. */
  readonly eventDescriptors: readonly number[]
  /** Wakes the shard that sleeps on an eventfd. */
  readonly wake: (descriptor: number) => void
  readonly log: Log
}

/** A shard as it is now. */
interface Running {
  readonly port: MessagePort
  readonly mailbox: Int32Array
  readonly startedAt: number
  ready: boolean
  /** Generation of the plan that it decides under. */
  generation: number
}

/** Waits for an answer of every shard that runs. */
interface Waiting {
  readonly shards: Set<number>
  readonly answered: (message: FromShard) => boolean
  readonly resolve: () => void
}

export class Shards {
  readonly #options: ShardsOptions
  readonly #pool: Piscina
  readonly #running: (Running | null)[]
  readonly #pauses: number[]
  readonly #waiting = new Set<Waiting>()
  readonly #watches = new Map<number, { match: WatchMatch; seen: (seen: Seen) => void }>()
  /** Descriptors by device number, one a shard. */
  readonly #devices = new Map<number, readonly number[]>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #plan: Plan
  #stopping = false
  #nextWatch = 1
  #deaths = 0
  #firstWords: ((error: Error) => void) | null = null

  constructor(options: ShardsOptions, plan: Plan) {
    this.#options = options
    this.#plan = plan
    this.#running = new Array<Running | null>(options.shards).fill(null)
    this.#pauses = new Array<number>(options.shards).fill(FIRST_PAUSE_MILLISECONDS)
    this.#pool = new Piscina({
      filename: options.filename,
      name: 'runShard',
      minThreads: options.shards,
      maxThreads: options.shards,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
      recordTiming: false,
    })
    this.#pool.on('error', (error: Error) => options.log('error', 'worker-error', { message: error.message }))
  }

  /** How often a shard died since the start. */
  get deaths(): number {
    return this.#deaths
  }

  /** True for each shard that is ready. */
  get ready(): boolean[] {
    return this.#running.map(running => running?.ready ?? false)
  }

  /**
   * Starts every shard with these devices and returns when all are ready.
   * @throws Failure where one dies before that; the others are stopped
   */
  async start(devices: ReadonlyMap<number, readonly number[]>): Promise<void> {
    for (const [device, descriptors] of devices) this.#devices.set(device, descriptors)
    const died = new Promise<never>((_, reject) => {
      this.#firstWords = reject
    })
    const ready = this.#everyShard(message => message.type === 'ready')
    for (let shard = 0; shard < this.#options.shards; shard++) this.#launch(shard)
    try {
      await Promise.race([ready, died])
    } catch (error) {
      await this.stop()
      throw new Failure(`A shard did not start: ${(error as Error).message}`, '', { cause: error })
    } finally {
      this.#firstWords = null
    }
  }

  /** Gives every shard a new plan and returns when each decides under it. */
  async apply(plan: Plan): Promise<void> {
    this.#plan = plan
    await this.#tell(
      { type: 'plan', plan },
      message =>
        (message.type === 'applied' || message.type === 'ready') && message.generation >= plan.generation,
    )
  }

  /** Gives every shard its queue of a device and returns when all have taken it. The plan knows the device already. */
  async attach(device: number, descriptors: readonly number[]): Promise<void> {
    this.#devices.set(device, descriptors)
    const taken = this.#everyShard(
      message => (message.type === 'attached' && message.device === device) || message.type === 'ready',
    )
    for (const [shard, descriptor] of descriptors.entries())
      this.#post(shard, { type: 'attach', device, descriptor })
    await taken
  }

  /** Takes a device from every shard; when this returns, its descriptors may be closed. The plan does not know the device any more. */
  async detach(device: number): Promise<void> {
    this.#devices.delete(device)
    await this.#tell(
      { type: 'detach', device },
      message => (message.type === 'detached' && message.device === device) || message.type === 'ready',
    )
  }

  /**
   * Watches for one packet.
   * @param seen is called once, by the first shard that sees the packet
   * @returns a function that ends the watch
   */
  watch(match: WatchMatch, seen: (seen: Seen) => void): () => void {
    const id = this.#nextWatch++
    const over = () => {
      if (this.#watches.delete(id)) this.#broadcast({ type: 'unwatch', id })
    }
    this.#watches.set(id, {
      match,
      seen: what => {
        over()
        seen(what)
      },
    })
    this.#broadcast({ type: 'watch', id, match })
    return over
  }

  /** Stops every shard: frames on their way are written, regions unmapped. Shards that do not answer in time are terminated. */
  async stop(milliseconds = 5000): Promise<void> {
    this.#stopping = true
    for (const timer of this.#timers) clearTimeout(timer)
    const stopped = this.#tell({ type: 'stop' }, message => message.type === 'stopped')
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>(resolve => {
      timer = setTimeout(() => {
        this.#options.log('warn', 'shards-late', { milliseconds })
        resolve()
      }, milliseconds)
    })
    await Promise.race([stopped, late])
    clearTimeout(timer)
    await this.#pool.destroy()
    for (const running of this.#running) running?.port.close()
    this.#running.fill(null)
  }

  #launch(shard: number): void {
    const { port1: port, port2 } = new MessageChannel()
    const mailbox = new SharedArrayBuffer(MAILBOX_LENGTH * 4)
    const { directory, io, flows, hugePages, keys, cpus, eventDescriptors, shards } = this.#options
    const running: Running = {
      port,
      mailbox: new Int32Array(mailbox),
      startedAt: Date.now(),
      ready: false,
      generation: 0,
    }
    this.#running[shard] = running
    port.on('message', (message: FromShard) => this.#hear(shard, running, message))
    const start: ShardStart = {
      shard,
      shards,
      directory,
      plan: this.#plan,
      port: port2,
      mailbox,
      eventDescriptors,
      cpu: cpus[shard] ?? -1,
      io,
      flows,
      hugePages,
      keys,
      devices: [...this.#devices].map(([device, descriptors]) => ({
        device,
        descriptor: descriptors[shard],
      })),
    }
    this.#pool.run(start, { transferList: [port2] }).then(
      () => this.#ended(shard, running, new Error('its task returned')),
      (error: Error) => this.#ended(shard, running, error),
    )
    for (const [id, { match }] of this.#watches) this.#post(shard, { type: 'watch', id, match })
  }

  #ended(shard: number, running: Running, error: Error): void {
    running.port.close()
    if (this.#running[shard] === running) this.#running[shard] = null
    if (this.#stopping) {
      this.#answer(shard, { type: 'stopped' })
      return
    }
    this.#deaths++
    const ran = Date.now() - running.startedAt
    if (this.#firstWords !== null) {
      this.#firstWords(error)
      return
    }
    const pause = ran > STEADY_MILLISECONDS ? FIRST_PAUSE_MILLISECONDS : this.#pauses[shard]
    this.#pauses[shard] = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)
    this.#options.log('error', 'shard-died', { shard, message: error.message, restartMilliseconds: pause })
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#stopping) this.#launch(shard)
    }, pause)
    this.#timers.add(timer)
  }

  #hear(shard: number, running: Running, message: FromShard): void {
    const { log } = this.#options
    switch (message.type) {
      case 'ready':
        running.ready = true
        running.generation = message.generation
        log('info', 'shard-ready', { shard, generation: message.generation, flows: message.flows })
        if (message.generation < this.#plan.generation) this.#post(shard, { type: 'plan', plan: this.#plan })
        break
      case 'applied':
        running.generation = message.generation
        break
      case 'log':
        log(message.level, message.event, { shard, ...message.detail })
        break
      case 'failed':
        log('error', 'shard-failed', { shard, message: message.message })
        break
      case 'seen':
        this.#watches.get(message.id)?.seen(message)
        break
      default:
        break
    }
    this.#answer(shard, message)
  }

  #answer(shard: number, message: FromShard): void {
    for (const waiting of this.#waiting) {
      if (!waiting.shards.has(shard) || !waiting.answered(message)) continue
      waiting.shards.delete(shard)
      if (waiting.shards.size > 0) continue
      this.#waiting.delete(waiting)
      waiting.resolve()
    }
  }

  #everyShard(answered: (message: FromShard) => boolean): Promise<void> {
    const shards = new Set(this.#running.keys())
    return new Promise(resolve => this.#waiting.add({ shards, answered, resolve }))
  }

  /** Tells every shard, and waits until each has answered. A shard that is being started again answers by its `ready`. */
  #tell(message: ToShard, answered: (message: FromShard) => boolean): Promise<void> {
    const done = this.#everyShard(answered)
    for (const [shard, running] of this.#running.entries()) {
      if (running !== null) this.#post(shard, message)
      else if (this.#stopping) this.#answer(shard, { type: 'stopped' })
    }
    return done
  }

  #broadcast(message: ToShard): void {
    for (const shard of this.#running.keys()) this.#post(shard, message)
  }

  #post(shard: number, message: ToShard): void {
    const running = this.#running[shard]
    if (running === null) return
    running.port.postMessage(message)
    Atomics.add(running.mailbox, POSTED, 1)
    Atomics.notify(running.mailbox, POSTED)
    this.#options.wake(this.#options.eventDescriptors[shard])
  }
}
