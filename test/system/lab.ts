/**
 * Labs for tests: real namespaces, a real daemon, real sockets, taken away again whatever happens.
 *
 * Every lab has a prefix of its own before the names of its namespaces, and a run directory of its own, so that tests neither meet each other
 * nor a lab of the person at the machine.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { request } from '../../src/daemon/control.ts'
import type { DaemonStatus } from '../../src/daemon/daemon.ts'
import { RunDirectory } from '../../src/daemon/directory.ts'
import { gone, type ProcessIdentity } from '../../src/daemon/process.ts'
import { readState } from '../../src/daemon/state.ts'
import { labDown, labUp } from '../../src/lab/lab.ts'
import { namespaceOf } from '../../src/lab/members.ts'
import { spawnIn } from '../../src/lab/namespaces.ts'
import { type ProbeOptions, type ProbeResult, probe } from '../../src/lab/probe.ts'
import { readLabState } from '../../src/lab/state.ts'
import { type FlowView, readFlows } from '../../src/observe/flows.ts'
import { NameBook } from '../../src/observe/name-book.ts'
import { RegionReader } from '../../src/observe/regions.ts'
import { readStats, type Stats } from '../../src/observe/stats.ts'
import { Clock } from '../../src/shard/clock.ts'
import type { PlanNames } from '../../src/vpc/names.ts'

/** The program, compiled. */
export const PROGRAM = fileURLToPath(new URL('../../src/cli/v2n.js', import.meta.url))

/** How a program ended, and what it printed. */
export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

let labs = 0

// A signal ends a process without its `exit`, which is where labs go that are still up then.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(1))

/** A lab of a test. */
export class TestLab {
  /** Before the name of every namespace. */
  readonly prefix: string
  readonly file: string
  readonly directory: RunDirectory
  /** What `up` said. */
  readonly said: string[] = []
  readonly #folder: string
  readonly #children = new Set<ChildProcess>()

  /** @param text the lab file */
  constructor(text: string) {
    this.prefix = `t${process.pid}-${labs++}-`
    this.#folder = mkdtempSync(join(tmpdir(), 'v2n-test-'))
    this.file = join(this.#folder, 'lab.yaml')
    this.directory = new RunDirectory(join(this.#folder, 'run'))
    this.write(text)
  }

  /** Replaces the lab file; `up` or a SIGHUP applies it. */
  write(text: string): void {
    writeFileSync(this.file, text)
  }

  /** Brings the lab up, or to what its file says now, or up again after its daemon was killed. */
  async up(): Promise<void> {
    await labUp({
      file: this.file,
      directory: this.directory,
      prefix: this.prefix,
      say: line => this.said.push(line),
    })
  }

  /** Takes the lab down with everything that was started in it. Doing it again does nothing. */
  async down(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    if (readLabState(this.directory.lab) !== null) await labDown({ directory: this.directory, say: () => {} })
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** As `down`, at the end of a process that cannot wait. */
  downNow(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    if (readLabState(this.directory.lab) !== null)
      spawnSync(process.execPath, [PROGRAM, 'lab', 'down', '--run-dir', this.directory.path])
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get names(): PlanNames {
    const state = readState(this.directory.state)
    if (state === null) throw new Error('the lab has no state: it is not up')
    return state.names
  }

  /** The namespace of a host or an environment. */
  namespace(name: string): string {
    return namespaceOf(this.names, name)
  }

  /** Starts a program in a host or an environment; it is killed with the lab. */
  start(name: string, command: readonly string[]): ChildProcess {
    const child = spawnIn(this.namespace(name), command, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#children.add(child)
    child.on('close', () => this.#children.delete(child))
    return child
  }

  /** Runs a program in a host or an environment to its end. */
  exec(name: string, ...command: string[]): Promise<Ended> {
    return ended(this.start(name, command))
  }

  /** Runs a script of Node in a host or an environment to its end. */
  node(name: string, script: string, ...args: string[]): Promise<Ended> {
    return this.exec(name, process.execPath, '-e', script, '--', ...args)
  }

  /** Runs `v2n` on this lab. */
  v2n(...args: string[]): Promise<Ended> {
    return ended(spawn(process.execPath, [PROGRAM, ...args, '--run-dir', this.directory.path]))
  }

  probe(options: ProbeOptions): Promise<ProbeResult> {
    return probe(this.directory, this.names, options)
  }

  async status(): Promise<DaemonStatus> {
    return (await request(this.directory.socket, 'status')) as DaemonStatus
  }

  #read<T>(read: (reader: RegionReader, names: NameBook) => T): T {
    const state = readState(this.directory.state)
    if (state === null) throw new Error('the lab has no state: it is not up')
    const reader = new RegionReader({ directory: this.directory.regions, ...state })
    try {
      return read(reader, new NameBook(state.names))
    } finally {
      reader.close()
    }
  }

  stats(): Stats {
    return this.#read(readStats)
  }

  /** The statistics once they stand still: shards publish theirs a burst later, frames may be on their way. */
  async settled(): Promise<Stats> {
    let before = this.stats()
    for (let still = 0; still < 3; ) {
      await sleep(30)
      const now = this.stats()
      still = now.in.packets === before.in.packets && now.out.packets === before.out.packets ? still + 1 : 0
      before = now
    }
    return before
  }

  flows(): FlowView[] {
    return this.#read((reader, names) => [...readFlows(reader, names, new Clock().tick())])
  }

  get daemon(): ProcessIdentity {
    const holder = this.directory.holder()
    if (holder === null) throw new Error('no daemon runs')
    return holder
  }

  /** Signals the daemon. */
  signal(name: NodeJS.Signals): void {
    process.kill(this.daemon.pid, name)
  }

  /** Kills the daemon without a chance to say goodbye. */
  async kill(): Promise<void> {
    const { daemon } = this
    process.kill(daemon.pid, 'SIGKILL')
    await gone(daemon, 5000)
  }

  /** Lines of the daemon's log with this event. */
  events(event: string): Record<string, unknown>[] {
    return readFileSync(this.directory.log, 'utf8')
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line) as Record<string, unknown>)
      .filter(line => line.event === event)
  }
}

/** Waits for a child's end. */
export function ended(child: ChildProcess): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', text => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, name) => resolve({ status: code ?? (name === null ? 1 : 128), stdout, stderr }))
  })
}

/**
 * Brings a lab up for a test; it is taken down with the test, also where that fails or is ended.
 * @param text the lab file
 */
export async function labFor(t: Test, text: string): Promise<TestLab> {
  const lab = new TestLab(text)
  const now = () => lab.downNow()
  process.once('exit', now)
  t.teardown(async () => {
    await lab.down()
    process.off('exit', now)
  })
  await lab.up()
  return lab
}

/** Waits until something holds. @throws after so many milliseconds, with the words */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  milliseconds = 10_000,
): Promise<void> {
  const end = Date.now() + milliseconds
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited ${milliseconds} ms in vain until ${what}`)
    await sleep(20)
  }
}

/** Every packet is accounted for: in = out + drops + held. Asked after each test. */
export async function balances(t: Test, lab: TestLab): Promise<Stats> {
  const stats = await lab.settled()
  t.equal(stats.unaccounted, 0, 'packets in = packets out + drops + held')
  return stats
}
