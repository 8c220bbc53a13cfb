/**
 * From a configuration file to what a daemon works with: a plan, the numbers and names in it, and the settings of the process.
 */
import { Ring } from '../io/rings.ts'
import { affinity } from '../io/thread.ts'
import type { IoKind } from '../shard/messages.ts'
import { MAX_SHARDS } from '../tables/ports.ts'
import { compile } from '../vpc/compile.ts'
import type { PlanNames } from '../vpc/names.ts'
import type { NumbersJson } from '../vpc/numbers.ts'
import type { Plan } from '../vpc/plan.ts'
import { type DaemonConfig, readConfig } from './config.ts'
import { Failure } from './failure.ts'

/* Ours to tune */
/** Records of a shard's flow table: four full ENIs. The file is sparse, what is not used costs no memory. */
const FLOWS_PER_SHARD = 262_144

/** What cannot change while a daemon runs. */
export interface Settings {
  readonly shards: number
  /** Records of a shard's flow table. */
  readonly flows: number
  readonly io: IoKind
  readonly hugePages: boolean
  /** The processor of each shard, or -1 for any. */
  readonly cpus: readonly number[]
}

export interface Setup {
  /** Of the lab; also the name of the run directory where none is given. */
  readonly name: string
  readonly prefix: string
  readonly plan: Plan
  readonly numbers: NumbersJson
  readonly names: PlanNames
  readonly settings: Settings
  /** Commands of hosts, by the host's name. */
  readonly commands: ReadonlyMap<string, string>
}

export interface SetupOptions {
  /** Put before the names of namespaces, in place of the file's own prefix. */
  readonly prefix?: string | undefined
  /** What earlier generations chose. Not changed. */
  readonly numbers?: NumbersJson | undefined
}

/**
 * Reads a configuration and compiles it, under the generation after that of the numbers.
 * @throws ConfigError naming file, line and key; Failure where this machine cannot do what the file asks for
 */
export function loadSetup(file: string, { prefix, numbers }: SetupOptions = {}): Setup {
  const config = readConfig(file, { ...(prefix !== undefined && { prefix }), ...(numbers && { numbers }) })
  const { plan, names } = compile(config.model, config.settings)
  return {
    name: config.lab.name,
    prefix: config.lab.prefix,
    plan,
    names,
    numbers: config.model.numbers.toJSON(),
    settings: settingsOf(config.daemon),
    commands: config.commands,
  }
}

function settingsOf({ shards: wanted, io, hugePages, pin, flowsPerShard }: DaemonConfig): Settings {
  const processors = affinity()
  // One processor is left to those who send and receive: a shard that spins beside them costs more than it carries.
  const shards = wanted === 'auto' ? Math.min(Math.max(processors.length - 1, 1), MAX_SHARDS) : wanted
  const list = pin === true ? processors : pin === false ? [] : pin
  const absent = list.find(cpu => !processors.includes(cpu))
  if (absent !== undefined)
    throw new Failure(
      `daemon.pin: this process may not run on processor ${absent}.`,
      `It may on: ${processors.join(', ')}.`,
    )
  if (io === 'uring' && !uringWorks())
    throw new Failure('daemon.io: the kernel refuses io_uring here.', 'Leave daemon.io out, or say readv.')
  return {
    shards,
    flows: flowsPerShard ?? FLOWS_PER_SHARD,
    io: io ?? (uringWorks() ? 'uring' : 'readv'),
    hugePages,
    cpus: Array.from({ length: shards }, (_, shard) => (list.length === 0 ? -1 : list[shard % list.length])),
  }
}

/** Whether the kernel gives this process a ring: old ones, seccomp filters and a sysctl refuse. */
function uringWorks(): boolean {
  try {
    new Ring(8, 16, 1).close()
    return true
  } catch {
    return false
  }
}
