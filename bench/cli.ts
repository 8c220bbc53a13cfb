/**
 * `npm run bench -- engine | wire | micro`: measures, prints for people or, with `--json`, one JSON object.
 *
 * Results go to stdout, progress to stderr. Exit status 0 done, 1 failed with a reason, 2 wrong usage.
 */
import os from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { EngineResult } from './engine.ts'
import { describe } from './machine.ts'
import type { MicroResult } from './micro.ts'
import { BenchError } from './programs.ts'
import { median, spread } from './statistics.ts'
import type { RoadName, WireResult, WireValues } from './wire.ts'

/** A number within bounds, for commander. */
const number =
  (low: number, high: number, { whole = true } = {}) =>
  (text: string): number => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= low && value <= high) || (whole && !Number.isInteger(value)))
      throw new InvalidArgumentError(
        `Expected ${whole ? 'a whole number' : 'a number'} from ${low} to ${high}.`,
      )
    return value
  }

/** Aborted by the first Ctrl-C or request to end: the benchmark then takes away what it made. */
function interruption(): AbortSignal {
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () =>
      abort.abort(new BenchError(`Ended by ${name}; what the benchmark had made is gone.`)),
    )
  return abort.signal
}

/** Several numbers, with commas between them, for commander. */
const numbers =
  (low: number, high: number) =>
  (text: string): number[] => [...new Set(text.split(',').map(number(low, high)))]

/** Numbers of cores, or none of them. */
const cores = (text: string): number[] => (text === 'none' ? [] : numbers(0, os.cpus().length - 1)(text))

const mega = (value: number): string => `${(value / 1e6).toFixed(3)} M`
const giga = (value: number): string => `${(value / 1e9).toFixed(2)} G`

function printWire({ udp64, tcp, machine }: WireResult, values: WireValues): void {
  console.log(describe(machine))
  const row = (name: RoadName, all: number[], unit: (value: number) => string, note = '') =>
    console.log(
      `  ${name.padEnd(7)} ${unit(median(all)).padStart(9)}  ±${(spread(all) * 50).toFixed(0)} %${note}`,
    )
  console.log('UDP, packets of 64 bytes, packets/s read by the receiver:')
  for (const [name, all] of Object.entries(values.udp64) as [RoadName, number[]][])
    row(name, all, mega, `  of ${mega(median(values.udp64Sent[name]))} sent`)
  console.log(`  ratio   ${udp64.ratio ?? '–'}`)
  console.log('TCP, one stream, bit/s received:')
  for (const [name, all] of Object.entries(values.tcp) as [RoadName, number[]][]) row(name, all, giga)
  console.log(`  ratio   ${tcp.ratio ?? '–'}`)
}

const program = new Command('bench')
  .description(
    'Measures V2N on this machine, beside its peers. Medians of rounds in which the contenders take turns.',
  )
  .showHelpAfterError()
  .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))

/** Options that every benchmark has. */
const benchmark = (name: string, text: string): Command =>
  program
    .command(name)
    .description(text)
    .option('--json', 'print one JSON object instead of text')
    .option('--progress', 'show what is being measured also where stderr is no terminal')

function printEngine({ engine, machine }: EngineResult, order: string, spreads: Map<number, number>): void {
  console.log(describe(machine))
  console.log(`Packets/s of the pipeline in memory, UDP over IPv4, flows in ${order} order:`)
  for (const { flows, mpps, nsPerPacket } of engine)
    console.log(
      `  ${String(flows).padStart(9)} flows  ${mpps.toFixed(2).padStart(6)} M  ` +
        `${nsPerPacket.toFixed(1).padStart(6)} ns  ±${((spreads.get(flows) ?? 0) * 50).toFixed(0)} %`,
    )
}

benchmark('engine', 'packets a second of the pipeline in memory, on one core, by number of flows')
  .option('--flows <n,…>', 'numbers of flows', numbers(1, 16_000_000), [1000, 65_000, 1_000_000])
  .addOption(
    new Option('--order <order>', 'in which flows take their turns')
      .choices(['random', 'sequential'])
      .default('random'),
  )
  .option('--rounds <n>', 'measurements of each', number(1, 100), 5)
  .option('--seconds <s>', 'length of one measurement', number(0.1, 60, { whole: false }), 1)
  .action(async options => {
    const { engine } = await import('./engine.ts')
    const { result, spreads } = await engine({
      ...options,
      progress: options.progress || process.stderr.isTTY,
      signal: interruption(),
    })
    if (options.json) console.log(JSON.stringify(result))
    else printEngine(result, options.order, spreads)
  })

benchmark(
  'wire',
  'packets and bits a second through a lab and through nft masquerade, in namespaces; needs root',
)
  .option('--rounds <n>', 'measurements of each', number(1, 100), 5)
  .option('--seconds <s>', 'length of one measurement', number(0.5, 60, { whole: false }), 2)
  .option('--flows <n>', 'UDP flows', number(1, 60_000), 1)
  .option('--shards <n>', "the lab's shards", number(1, 64), 1)
  .option('--cores <n,…>', 'cores of the shards in turn, or none (default: from the second on)', cores)
  .addOption(new Option('--only <road>', 'measure one road alone').choices(['v2n', 'kernel']))
  .action(async options => {
    if (process.getuid?.() !== 0)
      throw new BenchError('bench wire makes network namespaces, which needs root.')
    const { wire } = await import('./wire.ts')
    const { result, values } = await wire({
      ...options,
      cores: options.cores ?? Array.from(os.cpus(), (_, core) => (core + 1) % os.cpus().length),
      progress: options.progress || process.stderr.isTTY,
      signal: interruption(),
    })
    if (options.json) console.log(JSON.stringify(result))
    else printWire(result, values)
  })

function printMicro({ micro, machine }: MicroResult): void {
  console.log(describe(machine))
  for (const { name, nsPerOperation, marginOfError } of micro)
    console.log(
      `  ${name.padEnd(32)} ${nsPerOperation.toPrecision(3).padStart(8)} ns  ±${(marginOfError * 100).toFixed(1)} %`,
    )
}

benchmark('micro', 'nanoseconds of the operations that the loop is made of')
  .argument('[filter]', 'part of the names wanted')
  .option('--seconds <s>', 'longest time for one operation', number(0.1, 60, { whole: false }), 1)
  .action(async (filter, options) => {
    const { micro } = await import('./micro.ts')
    const result = await micro({
      ...(filter && { filter }),
      seconds: options.seconds,
      progress: options.progress || process.stderr.isTTY,
      signal: interruption(),
    })
    if (result.micro.length === 0) throw new BenchError(`No operation's name holds '${filter}'.`)
    if (options.json) console.log(JSON.stringify(result))
    else printMicro(result)
  })

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${error instanceof BenchError ? error.message : ((error as Error).stack ?? error)}\n`)
  process.exitCode = 1
}
