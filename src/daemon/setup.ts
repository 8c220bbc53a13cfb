/**
 * From a configuration file to what a daemon works with: a plan, the numbers and names in it, the attachments, the settings.
 */
import type { IoKind } from '../shard/messages.ts'
import type { PlanNames } from '../vpc/names.ts'
import type { NumbersJson } from '../vpc/numbers.ts'
import type { Plan } from '../vpc/plan.ts'
import { Failure } from './failure.ts'

/** What cannot change while a daemon runs. */
export interface Settings {
  readonly shards: number
  readonly flows: number
  readonly io: IoKind
  readonly hugePages: boolean
  /** The processor of each shard, or -1 for any. */
  readonly cpus: readonly number[]
}

export interface Setup {
  readonly plan: Plan
  readonly numbers: NumbersJson
  readonly names: PlanNames
  readonly settings: Settings
  /** Commands of hosts, by the host's name. */
  readonly commands: ReadonlyMap<string, string>
}

/**
 * Reads a configuration, compiles it under the next generation.
 * @param prefix put before the names of namespaces
 * @param numbers what earlier generations chose; not changed
 * @throws ConfigError naming file, line and key
 */
export function loadSetup(file: string, prefix: string, numbers: NumbersJson | null): Setup {
  throw new Failure(`${file}${prefix}${numbers}`)
}
