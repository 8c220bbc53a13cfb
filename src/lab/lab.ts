/**
 * A lab: a daemon, the namespaces that its configuration names, and the commands of its hosts.
 *
 * `up` compares what the file wants with what is there and makes the difference: namespaces, then the daemon (started, or told to read the
 * file again), then commands; what the file does not name any more goes last. A lab that could not be made is taken down
 * again; a change that could not be made leaves the lab as it was. `down` needs no daemon that answers and no file that is valid:
 * it goes by what was written down.
 */
import { resolve } from 'node:path'
import { request } from '../daemon/control.ts'
import type { ReloadReport } from '../daemon/daemon.ts'
import { removeDevice } from '../daemon/devices.ts'
import { directoryNamed, type RunDirectory } from '../daemon/directory.ts'
import { Failure, wordsOf } from '../daemon/failure.ts'
import { namespaceInode } from '../daemon/ip.ts'
import { parallel } from '../daemon/parallel.ts'
import { end, isAlive } from '../daemon/process.ts'
import { loadSetup, type Setup } from '../daemon/setup.ts'
import { readState } from '../daemon/state.ts'
import { endCommand, endLeftovers, oneLine, startCommand } from './commands.ts'
import { startDaemon } from './launch.ts'
import { checkName, isOurs, makeNamespace, removeNamespace } from './namespaces.ts'
import { emptyState, type LabState, type OwnedCommand, readLabState, writeLabState } from './state.ts'

export interface UpOptions {
  readonly file: string
  /** By default that of the lab's name. */
  readonly directory?: RunDirectory | undefined
  /** Put before the names of namespaces, in place of the file's own prefix. */
  readonly prefix?: string | undefined
  /** Gets a line for each thing done. */
  readonly say: (line: string) => void
  /** Aborted to give up; what was made is taken away again. */
  readonly signal?: AbortSignal
}

/**
 * Brings a lab up, or brings one that is up to what the file says now. Packets flow when this returns.
 * @throws Failure, ConfigError
 */
export async function labUp({
  file: name,
  prefix: wantedPrefix,
  say,
  signal,
  directory: wanted,
}: UpOptions): Promise<void> {
  const file = resolve(name)
  const setup = loadSetup(file, { prefix: wantedPrefix })
  const directory = wanted ?? directoryNamed(setup.name)
  const { prefix } = setup
  const before = readLabState(directory.lab)
  if (before !== null && (before.file !== file || before.prefix !== prefix))
    throw new Failure(
      `The run directory ${directory.path} belongs to the lab ${before.file}${before.prefix && ` with prefix ${before.prefix}`}.`,
      `Take that one down (v2n lab down --run-dir ${directory.path}) or name another directory: --run-dir DIR`,
    )
  if (before === null && directory.holder() !== null)
    throw new Failure(
      `A daemon that is no lab's runs on ${directory.path}.`,
      'Name another directory: --run-dir DIR',
    )
  const work = new Work({ directory, say, signal }, before ?? emptyState(file, prefix), setup)
  try {
    await work.converge()
  } catch (error) {
    await work.undo(before)
    throw error
  }
}

interface WorkOptions {
  readonly directory: RunDirectory
  readonly say: (line: string) => void
  readonly signal: AbortSignal | undefined
}

/** One run of `up`. */
class Work {
  readonly #options: WorkOptions
  readonly #setup: Setup
  #state: LabState
  /** Whether there was no lab before. */
  readonly #isNew: boolean
  /** Namespaces that this run made, until the daemon is attached to them. */
  #fresh: string[] = []

  constructor(options: WorkOptions, state: LabState, setup: Setup) {
    this.#options = options
    this.#state = state
    this.#setup = setup
    this.#isNew = state.namespaces.length === 0
  }

  async converge(): Promise<void> {
    const { directory, say } = this.#options
    const wanted = namespacesOf(this.#setup)
    await this.#makeNamespaces(wanted)
    const report = await this.#startOrReload()
    // From here on the daemon is attached to the new namespaces: they stay.
    const made = this.#fresh.length
    this.#fresh = []
    const changed = await this.#startCommands()
    await this.#removeNamespaces(wanted)
    const { names } = this.#setup
    const count = `${names.environments.length} environments, ${names.enis.filter(({ kind }) => kind === 'host').length} hosts`
    if (report === 'started') say(`${directory.name} is up: ${count}`)
    else if (made + changed + report.attached.length + report.detached.length === 0)
      say(`${directory.name} is up already (${count}); its file was read again`)
    else say(`${directory.name} was changed: ${count}`)
  }

  /** Takes back what this run made: all of it where there was no lab before. */
  async undo(before: LabState | null): Promise<void> {
    const { directory } = this.#options
    if (before === null) {
      // Without a state nothing was made yet.
      if (readLabState(directory.lab) !== null) await labDown({ directory, say: () => {} })
      return
    }
    for (const namespace of this.#state.namespaces)
      if (this.#fresh.includes(namespace.name)) await this.#remove(namespace.name)
  }

  #check(): void {
    if (this.#options.signal?.aborted === true) throw new Failure('Interrupted.')
  }

  #save(change: Partial<LabState>): void {
    this.#state = { ...this.#state, ...change }
    writeLabState(this.#options.directory.lab, this.#state)
  }

  async #makeNamespaces(wanted: readonly WantedNamespace[]): Promise<void> {
    const { directory, say } = this.#options
    const ours = this.#state.namespaces.filter(isOurs)
    const missing = wanted.filter(
      ({ name, given }) => !ours.some(one => one.name === name) && !(given && namespaceInode(name) !== null),
    )
    for (const { name } of missing) checkName(name)
    directory.make()
    this.#fresh = missing.map(({ name }) => name)
    this.#save({ namespaces: [...ours, ...this.#fresh.map(name => ({ name, inode: null }))] })
    const made = await parallel(this.#fresh, name => {
      this.#check()
      return makeNamespace(name)
    })
    this.#save({ namespaces: [...ours, ...made] })
    if (missing.length > 0) say(`namespaces: ${missing.map(({ name }) => name).join(' ')}`)
  }

  async #startOrReload(): Promise<ReloadReport | 'started'> {
    const { directory, say, signal } = this.#options
    this.#check()
    const { daemon, file, prefix } = this.#state
    if (daemon !== null && isAlive(daemon)) return (await request(directory.socket, 'reload')) as ReloadReport
    // The daemon that the lab started may have died, and another been started by hand (`v2n run`).
    const other = directory.holder()
    if (other !== null) {
      if (readState(directory.state)?.config !== file)
        throw new Failure(`The daemon on ${directory.path} (pid ${other.pid}) runs with another file.`)
      this.#save({ daemon: other })
      return (await request(directory.socket, 'reload')) as ReloadReport
    }
    await startDaemon({
      directory,
      file,
      prefix,
      signal,
      started: identity => this.#save({ daemon: identity }),
    })
    const { shards, io } = this.#setup.settings
    say(`daemon: pid ${this.#state.daemon?.pid}, ${shards} ${shards === 1 ? 'shard' : 'shards'}, ${io}`)
    return 'started'
  }

  async #startCommands(): Promise<number> {
    const { say } = this.#options
    const { commands: wanted, names } = this.#setup
    let changed = 0
    for (const command of this.#state.commands) {
      if (wanted.get(command.host) === command.command && isAlive(command)) continue
      await endCommand(command)
      changed++
      this.#save({ commands: this.#state.commands.filter(one => one !== command) })
    }
    for (const [host, command] of wanted) {
      this.#check()
      if (this.#state.commands.some(one => one.host === host)) continue
      const namespace = names.devices.find(({ name }) => name === host)?.namespace ?? null
      if (namespace === null)
        throw new Failure(`${host}: a command needs a host with a namespace of its own.`)
      const started = await this.#start(host, namespace, command)
      if (started === null) continue
      changed++
      this.#save({ commands: [...this.#state.commands, started] })
      say(`${host}: ${oneLine(command)}`)
    }
    return changed
  }

  /** In a lab that was up before, a command that fails is told of and no reason to give up the rest. */
  async #start(host: string, namespace: string, command: string): Promise<OwnedCommand | null> {
    const { directory, say } = this.#options
    try {
      return await startCommand(directory, this.#state.file, host, namespace, command)
    } catch (error) {
      if (this.#isNew) throw error
      say(wordsOf(error))
      return null
    }
  }

  async #removeNamespaces(wanted: readonly WantedNamespace[]): Promise<void> {
    const { say } = this.#options
    const unwanted = this.#state.namespaces.filter(({ name }) => !wanted.some(one => one.name === name))
    await parallel(unwanted, ({ name }) => this.#remove(name))
    if (unwanted.length > 0) say(`removed: ${unwanted.map(({ name }) => name).join(' ')}`)
  }

  async #remove(name: string): Promise<void> {
    const owned = this.#state.namespaces.find(one => one.name === name)
    if (owned !== undefined) await removeNamespace(owned, [])
    this.#save({ namespaces: this.#state.namespaces.filter(one => one.name !== name) })
  }
}

interface WantedNamespace {
  readonly name: string
  /** Named by a routed attachment: used as it is where it exists. */
  readonly given: boolean
}

function namespacesOf({ names }: Setup): WantedNamespace[] {
  const wanted = new Map<string, WantedNamespace>()
  for (const { namespace, kind } of names.devices)
    if (namespace !== null && !wanted.get(namespace)?.given)
      wanted.set(namespace, { name: namespace, given: kind === 'routed' })
  return Array.from(wanted.values())
}

/**
 * Takes a lab down: its daemon, commands, namespaces, devices, regions and run directory. What is not ours is left alone and named.
 * @throws Failure where there is no lab
 */
export async function labDown({
  directory,
  say,
}: {
  readonly directory: RunDirectory
  readonly say: (line: string) => void
}): Promise<void> {
  const state = readLabState(directory.lab)
  if (state === null)
    throw new Failure(`There is no lab in ${directory.path}.`, 'v2n lab status shows what runs.')
  for (const daemon of [state.daemon, directory.holder()])
    if (daemon !== null) await end(daemon, { graceMilliseconds: 8000 })
  await parallel(state.commands, endCommand)
  const others = await endLeftovers(directory, state)
  if (others.length > 0)
    say(`left alone: processes ${others.join(', ')} are not the lab's; they keep a network without a name`)
  const devices = readState(directory.state)?.devices ?? []
  await parallel(state.namespaces, namespace =>
    removeNamespace(
      namespace,
      devices.filter(device => device.namespace === namespace.name).map(({ deviceName }) => deviceName),
    ),
  )
  // Devices in namespaces that the lab did not make, and in the machine's own.
  await parallel(devices, removeDevice)
  directory.remove()
  say(`${directory.name} is down`)
}
