/**
 * The lab or configuration file, as a model and settings.
 *
 * The file is read as a whole and its problems are reported all at once (a mapping with a wrong value is not looked at
 * further: what else it says may mean something else when that is mended). A file that has any gives nothing at all, so a daemon that is told to read a wrong file again goes on with what it has. What a file leaves out gets AWS's
 * defaults: main route table, default security group, egress open.
 */
import { readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { timeoutTicks } from '../nat/timeouts.ts'
import { bits, type Cidr } from '../vpc/cidr.ts'
import { type CompileSettings, defaultSettings } from '../vpc/compile.ts'
import { Model } from '../vpc/model.ts'
import { Numbers, type NumbersJson } from '../vpc/numbers.ts'
import { checkUnicast } from './config-attachments.ts'
import { buildFunctions } from './config-functions.ts'
import { buildHosts } from './config-hosts.ts'
import { ConfigError, type Path } from './config-problems.ts'
import { ConfigReader } from './config-reader.ts'
import { daemonSchema, fileSchema, labSchema, limitsSchema, timeoutsSchema } from './config-schema.ts'
import { buildVpc, type VpcNames } from './config-vpc.ts'
import { readYaml } from './config-yaml.ts'

export { ConfigError, type Problem } from './config-problems.ts'

export interface ReadOptions {
  /** Put before the names of namespaces, in place of the file's `lab.prefix`. */
  readonly prefix?: string
  /** What earlier generations chose. Not changed. */
  readonly numbers?: NumbersJson | null
}

/** What concerns the process and not the plan. */
export interface DaemonConfig {
  readonly shards: number | 'auto'
  /** Undefined where the daemon is to take the best that works. */
  readonly io: 'uring' | 'readv' | undefined
  readonly hugePages: boolean
  /** Whether shards are bound to processors, or to which. */
  readonly pin: boolean | readonly number[]
  /** Records of a shard's flow table; undefined where the daemon is to choose. */
  readonly flowsPerShard: number | undefined
}

export interface Config {
  readonly file: string
  readonly lab: { readonly name: string; readonly prefix: string }
  /** Holds its own copy of the numbers: `compile` changes those, and `model.numbers.toJSON()` is what to keep. */
  readonly model: Model
  readonly settings: CompileSettings
  readonly daemon: DaemonConfig
  /** Commands of hosts, by the host's name. */
  readonly commands: ReadonlyMap<string, string>
}

/**
 * Reads a file.
 * @throws ConfigError with everything that is wrong, also where the file cannot be read
 */
export function readConfig(file: string, options: ReadOptions = {}): Config {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const message = `cannot be read: ${(error as Error).message}`
    throw new ConfigError(file, [{ code: 'CFG_FILE', line: 1, key: '', message }])
  }
  return parseConfig(text, file, options)
}

/**
 * Reads a file's text.
 * @param file its name, for messages
 * @throws ConfigError with everything that is wrong
 */
export function parseConfig(text: string, file: string, options: ReadOptions = {}): Config {
  const yaml = readYaml(text)
  const reader = new ConfigReader(yaml)
  const parts = yaml.value === undefined ? undefined : reader.parse(fileSchema, yaml.value, [])
  if (parts === undefined) throw new ConfigError(file, reader.problems)

  const { daemon, settings, modelOptions } = readDaemon(reader, parts.daemon)
  const lab = parts.lab === undefined ? {} : reader.parse(labSchema, parts.lab, ['lab'])
  const prefix = options.prefix ?? lab?.prefix ?? ''
  const model = new Model({ ...modelOptions, numbers: new Numbers(options.numbers ?? undefined) })

  const vpcs = buildVpcs(reader, model, parts)
  const around = { reader, model, vpcs, prefix }
  const commands = buildHosts(around, parts.hosts)
  buildFunctions(around, parts.functions)
  if (reader.problems.length === 0) reader.attempt([], () => model.settle())
  if (reader.problems.length > 0) throw new ConfigError(file, reader.problems)
  const name = lab?.name ?? basename(file, extname(file))
  return { file, lab: { name, prefix }, model, settings, daemon, commands }
}

/** The name of the VPC of a file that has one, and says `vpc`. */
const ONLY_VPC = 'main'

function buildVpcs(
  reader: ConfigReader,
  model: Model,
  { vpc, vpcs }: { readonly vpc?: unknown; readonly vpcs?: unknown },
): Map<string, VpcNames> {
  if (vpc !== undefined && vpcs !== undefined)
    reader.report('CFG_KEY', ['vpcs'], 'expected either vpc or vpcs, and vpc is there too')
  if (vpc === undefined && vpcs === undefined)
    reader.report('CFG_MISSING', [], 'vpc is missing; expected a mapping with cidr and subnets')
  const named: [string, unknown, Path][] = reader
    .entries(vpcs, ['vpcs'], 'VPCs')
    .map(([name, input]) => [name, input, ['vpcs', name]])
  if (vpc !== undefined) named.push([ONLY_VPC, vpc, ['vpc']])
  return new Map(named.map(([name, input, path]) => [name, buildVpc(reader, model, name, input, path)]))
}

function readDaemon(reader: ConfigReader, input: unknown) {
  const parts = (typeof input === 'object' && input !== null ? input : {}) as Record<string, unknown>
  const shape = input === undefined ? {} : (reader.parse(daemonSchema, input, ['daemon']) ?? {})
  const timeouts =
    parts.timeouts === undefined ? {} : reader.parse(timeoutsSchema, parts.timeouts, ['daemon', 'timeouts'])
  const limits =
    parts.limits === undefined ? {} : reader.parse(limitsSchema, parts.limits, ['daemon', 'limits'])
  checkInside(reader, shape.insideCidr, 'insideCidr')
  checkInside(reader, shape.insideIpv6Cidr, 'insideIpv6Cidr')

  const daemon: DaemonConfig = {
    shards: shape.shards ?? 'auto',
    io: shape.io,
    hugePages: shape.hugePages ?? false,
    pin: shape.pin ?? false,
    flowsPerShard: shape.flowsPerShard,
  }
  const settings: CompileSettings = {
    timeouts: timeoutTicks(shape.profile ?? 'rfc', defined(timeouts ?? {})),
    exhaustion: shape.exhaustion ?? defaultSettings.exhaustion,
    clampMss: shape.clampMss ?? defaultSettings.clampMss,
    ruleChange: shape.ruleChange ?? defaultSettings.ruleChange,
    tcpPickup: shape.tcpPickup ?? defaultSettings.tcpPickup,
  }
  const { insideCidr, insideIpv6Cidr } = shape
  return {
    daemon,
    settings,
    modelOptions: { limits: defined(limits ?? {}), ...defined({ insideCidr, insideIpv6Cidr }) },
  }
}

/** Without the keys that are undefined. */
function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}

function checkInside(reader: ConfigReader, cidr: Cidr | undefined, key: string): void {
  if (cidr === undefined) return
  checkUnicast(reader, cidr, ['daemon', key])
  if (bits(cidr.family) - cidr.prefix < 2)
    reader.report('CFG_VALUE', ['daemon', key], 'has no room for a router and an environment')
}
