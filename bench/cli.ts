/**
 * `npm run bench -- engine | wire | micro`: measures, prints for people or, with `--json`, one JSON object.
 *
 * Results go to stdout, progress to stderr. Exit status 0 done, 1 failed with a reason, 2 wrong usage.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { describe } from './machine.ts'
import { BenchError } from './programs.ts'
import { median, spread } from './statistics.ts'
import { type RoadName, type WireOptions, type WireResult, type WireValues, wire } from './wire.ts'

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

benchmark(
  'wire',
  'packets and bits a second through a lab and through nft masquerade, in namespaces; needs root',
)
  .option('--rounds <n>', 'measurements of each', number(1, 100), 5)
  .option('--seconds <s>', 'length of one measurement', number(0.5, 60, { whole: false }), 2)
  .option('--flows <n>', 'UDP flows', number(1, 60_000), 1)
  .addOption(new Option('--only <road>', 'measure one road alone').choices(['v2n', 'kernel']))
  .action(async options => {
    if (process.getuid?.() !== 0)
      throw new BenchError('bench wire makes network namespaces, which needs root.')
    const chosen: WireOptions = {
      ...options,
      progress: options.progress || process.stderr.isTTY,
      signal: interruption(),
    }
    const { result, values } = await wire(chosen)
    if (options.json) console.log(JSON.stringify(result))
    else printWire(result, values)
  })

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${error instanceof BenchError ? error.message : ((error as Error).stack ?? error)}\n`)
  process.exitCode = 1
}
