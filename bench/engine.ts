/**
 * `bench engine`: packets a second of the pipeline in memory, on one core, by number of flows.
 *
 * Everything a packet costs but I/O: check, keyed hash, look-up, tracking, translation with checksums, counters, LRU. Flows take
 * their turns in random order unless told otherwise: in order of their records a million of them cost half as much. The clock is read once in
 * a while only, and the numbers of flows take turns, so that noise falls on all of them alike.
 */
import { existsSync } from 'node:fs'
import { Counter } from '../src/tables/counters.ts'
import { dropName } from '../src/tables/drops.ts'
import type { EnginePipeline } from './engine-pipeline.ts'
import { type Machine, machine } from './machine.ts'
import { BenchError } from './programs.ts'
import { Progress } from './progress.ts'
import { median, spread, takeTurns } from './statistics.ts'

/** In which order flows take their turns. */
export type Order = 'random' | 'sequential'

export interface EngineOptions {
  /** Numbers of flows to measure with. */
  readonly flows: readonly number[]
  readonly order: Order
  readonly rounds: number
  /** Of one measurement. */
  readonly seconds: number
  readonly progress: boolean
  readonly signal: AbortSignal
}

export interface EngineResult {
  readonly engine: readonly {
    readonly flows: number
    /** Million packets a second. */
    readonly mpps: number
    readonly nsPerPacket: number
  }[]
  readonly machine: Machine
}

/** The bundled pipeline where there is one: what the daemon's shards run too (scripts/bundle.mjs). */
async function pipeline(): Promise<typeof import('./engine-pipeline.ts')> {
  const bundle = new URL('./engine-pipeline.bundle.js', import.meta.url)
  return import(existsSync(bundle) ? bundle.href : './engine-pipeline.js')
}

/** Packets between two looks at the clock; a multiple of the burst size. */
const PACKETS = 16_384
/** Time to run before the first measurement, in which the compiler finds out what is hot. */
const WARM_UP_SECONDS = 1

/**
 * Measures.
 * @returns the result, and how far apart the rounds lie by number of flows
 * @throws BenchError where not every packet was forwarded: the figure would be that of another path
 */
export async function engine({
  flows,
  order,
  rounds,
  seconds,
  progress,
  signal,
}: EngineOptions): Promise<{ result: EngineResult; spreads: Map<number, number> }> {
  const where = machine()
  const { EnginePipeline } = await pipeline()
  const shown = new Progress(flows.length * (WARM_UP_SECONDS + rounds * seconds), { shown: progress })
  const engines = new Map<number, EnginePipeline>()
  for (const count of flows) {
    shown.next(`${count} flows, warming up`, WARM_UP_SECONDS)
    await pause(signal)
    const opened = new EnginePipeline(count, order)
    opened.fill()
    nanosecondsPerPacket(opened, WARM_UP_SECONDS)
    engines.set(count, opened)
  }
  const contenders = Object.fromEntries(
    [...engines].map(([count, opened]) => [
      String(count),
      async () => {
        shown.next(`${count} flows`, seconds)
        await pause(signal)
        return nanosecondsPerPacket(opened, seconds)
      },
    ]),
  )
  const values = await takeTurns(rounds, contenders)
  shown.end()
  for (const [count, opened] of engines) verify(opened, count)
  const spreads = new Map(flows.map(count => [count, spread(values[String(count)])]))
  const results = flows.map(count => {
    const nanoseconds = median(values[String(count)])
    return { flows: count, mpps: rounded(1000 / nanoseconds), nsPerPacket: rounded(nanoseconds) }
  })
  return { result: { engine: results, machine: where }, spreads }
}

/** Lets signals in between two measurements. */
async function pause(signal: AbortSignal): Promise<void> {
  await new Promise(resolve => setImmediate(resolve))
  signal.throwIfAborted()
}

function nanosecondsPerPacket(opened: EnginePipeline, seconds: number): number {
  const began = performance.now()
  const end = began + seconds * 1000
  let packets = 0
  let now = began
  do {
    opened.run(PACKETS)
    packets += PACKETS
    now = performance.now()
  } while (now < end)
  return ((now - began) * 1e6) / packets
}

/** Every frame must have left, by a flow of its own. */
function verify({ pipeline: { core } }: EnginePipeline, flows: number): void {
  const { values, drops } = core.counters
  const dropped = [...drops.entries()].filter(([, count]) => count > 0)
  if (dropped.length > 0) {
    const reasons = dropped.map(([reason, count]) => `${count} ${dropName[reason as keyof typeof dropName]}`)
    throw new BenchError(`The engine dropped packets: ${reasons.join(', ')}.`)
  }
  if (values[Counter.FramesOut] !== values[Counter.FramesIn])
    throw new BenchError(`${values[Counter.FramesIn]} packets in, ${values[Counter.FramesOut]} out.`)
  if (core.flows.live !== flows) throw new BenchError(`${core.flows.live} flows in the table, not ${flows}.`)
}

const rounded = (value: number): number => Number(value.toPrecision(4))
