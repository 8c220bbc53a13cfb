/**
 * A daemon: one configuration in force, the devices of its attachments, the shards that carry their packets.
 *
 * It is started and changed in the same order: read and check everything, write down what will be, make devices, give the shards the plan,
 * then the devices. A step that fails undoes those before it, so nothing is ever half-applied. Changes go one after the other.
 *
 * Ending it closes the queues and leaves devices and regions: the next start on the same run directory opens the queues again,
 * maps the regions, and established connections go on. A `kill -9` differs from a clean end only in what was on its way at that moment.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { lockFile } from '../io/mapping.ts'
import { closeDescriptor, SystemCallError } from '../io/native.ts'
import { eventfd, signalEvent } from '../io/thread.ts'
import { regionSections } from '../pipeline/core.ts'
import type { Seen, WatchMatch } from '../shard/messages.ts'
import { ENI_BYTES } from '../tables/ports.ts'
import { regionBytes } from '../tables/region.ts'
import { RING_MEMORY } from '../tables/ring.ts'
import { EniKind, type Plan } from '../vpc/plan.ts'
import {
  type Attachment,
  checkAttachment,
  configureDevice,
  intentOf,
  type OwnedDevice,
  openQueues,
  ownedAt,
  placeOf,
  removeDevice,
} from './devices.ts'
import type { RunDirectory } from './directory.ts'
import { Failure, wordsOf } from './failure.ts'
import type { Log } from './log.ts'
import { parallel } from './parallel.ts'
import { identify, type ProcessIdentity } from './process.ts'
import { loadSetup, type Setup } from './setup.ts'
import { Shards } from './shards.ts'
import { type DaemonState, keysOf, keysText, newKeys, readState, writeState } from './state.ts'
import { DeviceSteering } from './steering.ts'

/** The bundled task where there is one: the same code, faster (scripts/bundle.mjs). */
const SHARD_TASK = ['../shard/task.bundle.js', '../shard/task.js']
  .map(file => fileURLToPath(new URL(file, import.meta.url)))
  .find(file => existsSync(file)) as string

export interface DaemonOptions {
  /** Absolute path of the configuration. */
  readonly config: string
  readonly directory: RunDirectory
  /** Where the state file is; by default in the run directory. */
  readonly statePath?: string
  /** Put before the names of namespaces, in place of the file's own prefix. */
  readonly prefix?: string
  readonly log: Log
}

/** What a change of configuration did. */
export interface ReloadReport {
  readonly generation: number
  readonly attached: readonly string[]
  readonly detached: readonly string[]
}

/** What `v2n lab status` shows. */
export interface DaemonStatus extends ProcessIdentity {
  readonly config: string
  readonly prefix: string
  readonly startedAt: string
  readonly generation: number
  readonly io: string
  readonly shards: readonly { readonly shard: number; readonly ready: boolean }[]
  /** Shards that died and were started again, since the start. */
  readonly shardDeaths: number
  readonly attachments: readonly Attachment[]
}

/** A device in use. */
interface Live {
  readonly attachment: Attachment
  readonly descriptors: readonly number[]
  readonly owned: OwnedDevice
}

/** Bytes of the regions when every page of them is in use. Pages come as they are touched: one that cannot is a fault in the loop. */
function roomFor(shards: number, flows: number, { enis }: Plan): number {
  const translating = enis.kind.reduce((sum, kind) => sum + Number(kind === EniKind.Hyperplane), 0)
  return shards * (regionBytes(regionSections(flows)) + (shards - 1) * RING_MEMORY) + translating * ENI_BYTES
}

export class Daemon {
  readonly #options: DaemonOptions
  readonly #statePath: string
  readonly #lock: number
  readonly #keys: Int32Array
  readonly #startedAt = new Date()
  readonly #live = new Map<number, Live>()
  readonly #events: number[] = []
  readonly #steering: DeviceSteering
  #setup: Setup
  #shards: Shards | null = null
  #changes: Promise<unknown> = Promise.resolve()
  #stopped = false

  /**
   * Starts a daemon; packets flow when this returns.
   * @throws Failure, ConfigError, SystemCallError; everything that was made is undone then
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    options.directory.make()
    const lock = takeLock(options.directory)
    let daemon: Daemon
    try {
      daemon = new Daemon(options, lock)
    } catch (error) {
      closeDescriptor(lock)
      throw error
    }
    await daemon.#begin()
    return daemon
  }

  private constructor(options: DaemonOptions, lock: number) {
    this.#options = options
    this.#lock = lock
    this.#statePath = options.statePath ?? options.directory.state
    const before = readState(this.#statePath)
    this.#setup = loadSetup(options.config, { prefix: options.prefix, numbers: before?.numbers })
    this.#keys = before === null ? newKeys() : keysOf(before.keys)
    const { shards, flows } = this.#setup.settings
    if (before !== null && (before.shards !== shards || before.flows !== flows))
      throw new Failure(
        `The regions in ${options.directory.path} were made for ${before.shards} shards of ${before.flows} flows, the configuration wants ${shards} of ${flows}.`,
        `Remove the run directory to begin anew (rm -r ${options.directory.path}); the flows in it are lost.`,
      )
    this.#steering = new DeviceSteering({ keys: this.#keys, shards, log: options.log })
  }

  get generation(): number {
    return this.#setup.plan.generation
  }

  status(): DaemonStatus {
    const { config } = this.#options
    return {
      ...(identify(process.pid) ?? { pid: process.pid, start: 0 }),
      config,
      prefix: this.#setup.prefix,
      startedAt: this.#startedAt.toISOString(),
      generation: this.generation,
      io: this.#setup.settings.io,
      shards: (this.#shards?.ready ?? []).map((ready, shard) => ({ shard, ready })),
      shardDeaths: this.#shards?.deaths ?? 0,
      attachments: this.#setup.names.devices,
    }
  }

  /**
   * Reads the configuration again and applies what changed, without touching live flows. Nothing has changed where it throws.
   * @throws Failure, ConfigError
   */
  reload(): Promise<ReloadReport> {
    return this.#inTurn(() => this.#reload())
  }

  /** Watches for one packet; see `Shards.watch`. */
  watch(match: WatchMatch, seen: (seen: Seen) => void): () => void {
    if (this.#shards === null) throw new Failure('The daemon is ending.')
    return this.#shards.watch(match, seen)
  }

  /** Ends the shards and closes everything. Devices and regions stay. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#end())
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#changes.then(change)
    this.#changes = turn.catch(() => {})
    return turn
  }

  async #begin(): Promise<void> {
    const { log, directory } = this.#options
    const { names, settings, plan } = this.#setup
    const attachments = names.devices
    const before = readState(this.#statePath)
    const devices = before?.devices ?? []
    try {
      await parallel(attachments, attachment => checkAttachment(attachment, devices))
      await this.#open(attachments, devices)
      // Devices of attachments that left the configuration while no daemon ran.
      const departed = devices.filter(owned => !attachments.some(attachment => ownedAt([owned], attachment)))
      await parallel(departed, removeDevice)
      this.#save(this.#owned())
      this.#steering.follow(plan)
      directory.requireRoom(roomFor(settings.shards, settings.flows, plan))
      for (let shard = 0; shard < settings.shards; shard++) this.#events.push(eventfd())
      this.#shards = new Shards(
        {
          filename: SHARD_TASK,
          shards: settings.shards,
          directory: directory.regions,
          io: settings.io,
          flows: settings.flows,
          hugePages: settings.hugePages,
          keys: this.#keys,
          cpus: settings.cpus,
          eventDescriptors: this.#events,
          wake: signalEvent,
          log,
        },
        plan,
      )
      await this.#shards.start(
        new Map(Array.from(this.#live, ([device, { descriptors }]) => [device, descriptors])),
      )
    } catch (error) {
      const made = this.#owned().filter(owned => ownedAt(devices, owned) === undefined)
      this.#release()
      await parallel(made, removeDevice)
      if (before === null) rmSync(this.#statePath, { force: true })
      else writeState(this.#statePath, before)
      throw error
    }
  }

  async #reload(): Promise<ReloadReport> {
    if (this.#stopped || this.#shards === null) throw new Failure('The daemon is ending.')
    const { config, prefix, log } = this.#options
    const next = loadSetup(config, { prefix, numbers: this.#setup.numbers })
    if (!isDeepStrictEqual(next.settings, this.#setup.settings))
      throw new Failure(
        'The number of shards, the size of their tables and their way of I/O cannot change while the daemon runs.',
        'Put the old values back, or end the daemon, remove its run directory and start it again.',
      )
    const wanted = new Map(next.names.devices.map(attachment => [attachment.device, attachment]))
    const added = next.names.devices.filter(({ device }) => !this.#live.has(device))
    const removed = Array.from(this.#live.values()).filter(({ attachment }) => !wanted.has(attachment.device))
    const moved = removed.find(({ attachment }) =>
      added.some(other => placeOf(other) === placeOf(attachment)),
    )
    if (moved !== undefined)
      throw new Failure(
        `${placeOf(moved.attachment)} cannot become another attachment in one step.`,
        'Remove it first, reload, then add it.',
      )
    const owned = this.#owned()
    await parallel(added, attachment => checkAttachment(attachment, owned))
    const before = this.#setup
    this.#setup = next
    try {
      await this.#open(added, owned)
    } catch (error) {
      this.#setup = before
      this.#save(owned)
      throw error
    }
    this.#steering.follow(next.plan)
    await this.#shards.apply(next.plan)
    const shards = this.#shards
    await Promise.all(
      added.map(({ device }) => shards.attach(device, this.#live.get(device)?.descriptors ?? [])),
    )
    await Promise.all(removed.map(({ attachment }) => shards.detach(attachment.device)))
    await parallel(removed, live => this.#letGo(live))
    await this.#reconfigure(wanted)
    this.#save(this.#owned())
    const report: ReloadReport = {
      generation: this.generation,
      attached: added.map(({ name }) => name),
      detached: removed.map(({ attachment }) => attachment.name),
    }
    log('info', 'reloaded', { ...report })
    return report
  }

  /** Opens and sets up devices that are not in use yet. What it made is removed again where one fails. */
  async #open(attachments: readonly Attachment[], owned: readonly OwnedDevice[]): Promise<void> {
    const intended = attachments
      .filter(attachment => ownedAt(owned, attachment) === undefined)
      .map(attachment => intentOf(attachment))
    this.#save([...owned, ...intended])
    const opened: Live[] = []
    let ready: Live[]
    try {
      ready = await parallel(attachments, async attachment => {
        const known = ownedAt(owned, attachment)
        const descriptors = openQueues(attachment, this.#setup.settings.shards)
        opened.push({ attachment, descriptors, owned: known ?? intentOf(attachment) })
        this.#steering.attach(descriptors[0], attachment.side)
        return { attachment, descriptors, owned: await configureDevice(attachment, known?.addresses) }
      })
    } catch (error) {
      for (const { descriptors } of opened) for (const descriptor of descriptors) closeDescriptor(descriptor)
      const made = opened.filter(({ attachment }) => ownedAt(owned, attachment) === undefined)
      await parallel(made, live => removeDevice(live.owned))
      throw error
    }
    for (const live of ready) this.#live.set(live.attachment.device, live)
    const others = owned.filter(one => !attachments.some(attachment => ownedAt([one], attachment)))
    this.#save([...others, ...ready.map(live => live.owned)])
  }

  /** Closes and removes a device that no shard touches any more. */
  async #letGo({ attachment, descriptors, owned }: Live): Promise<void> {
    this.#live.delete(attachment.device)
    for (const descriptor of descriptors) closeDescriptor(descriptor)
    await removeDevice(owned)
  }

  /** Gives devices that stay their new size and addresses, where these changed. */
  async #reconfigure(wanted: ReadonlyMap<number, Attachment>): Promise<void> {
    for (const [device, live] of this.#live) {
      const attachment = wanted.get(device)
      if (attachment === undefined) continue
      const { mtu, addresses } = live.owned
      if (attachment.mtu === mtu && isDeepStrictEqual(attachment.addresses, addresses)) continue
      try {
        this.#live.set(device, { ...live, attachment, owned: await configureDevice(attachment, addresses) })
      } catch (error) {
        this.#options.log('error', 'device-not-changed', {
          device: placeOf(attachment),
          message: wordsOf(error),
        })
      }
    }
  }

  async #end(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.#shards?.stop()
    this.#shards = null
    this.#release()
  }

  #release(): void {
    for (const { descriptors } of this.#live.values())
      for (const descriptor of descriptors) closeDescriptor(descriptor)
    this.#live.clear()
    for (const descriptor of this.#events) closeDescriptor(descriptor)
    this.#events.length = 0
    this.#steering.close()
    closeDescriptor(this.#lock)
  }

  #owned(): OwnedDevice[] {
    return Array.from(this.#live.values(), ({ owned }) => owned)
  }

  #save(devices: readonly OwnedDevice[]): void {
    const { config } = this.#options
    const { settings, numbers, names, prefix } = this.#setup
    const state: DaemonState = {
      version: 1,
      config,
      prefix,
      shards: settings.shards,
      flows: settings.flows,
      keys: keysText(this.#keys),
      numbers,
      names,
      devices,
    }
    writeState(this.#statePath, state)
  }
}

/**
 * Takes the lock of a run directory and writes down who has it.
 * @throws Failure naming the daemon that has it
 */
function takeLock(directory: RunDirectory): number {
  let lock: number
  try {
    lock = lockFile(directory.lock)
  } catch (error) {
    if (!(error instanceof SystemCallError) || error.code !== 'EAGAIN') throw error
    const holder = directory.holder()
    const who = holder === null ? 'Another daemon' : `Another daemon (pid ${holder.pid})`
    throw new Failure(
      `${who} runs on ${directory.path}.`,
      'End it first, or name another directory: --run-dir DIR',
    )
  }
  writeFileSync(directory.lock, `${JSON.stringify(identify(process.pid))}\n`)
  return lock
}
