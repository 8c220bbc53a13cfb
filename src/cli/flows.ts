/** `v2n flows`: the conversations that are tracked. */
import { once } from 'node:events'
import { type Command, InvalidArgumentError } from 'commander'
import { type FlowEnd, type FlowView, readFlows } from '../observe/flows.ts'
import { endText } from '../observe/name-book.ts'
import { Clock } from '../shard/clock.ts'
import { count, say, table } from './output.ts'
import { withRegions } from './reader.ts'
import { type TargetOptions, withTarget } from './target.ts'

interface FlowsOptions extends TargetOptions {
  readonly json?: boolean
  readonly limit?: number
  readonly match?: string
}

/** Rows that a table has, unless told otherwise: it is held in memory to align it. */
const TABLE_ROWS = 1000

const DETAILS = `
FROM began the flow; VIA is the address and port of the function's ENI that TO sees. Read from the daemon's memory: it does not
notice, and need not run.

Examples:
  v2n flows
  v2n flows --match 10.0.1.20 --json`

const limit = (text: string): number => {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('Expected a whole number, at least 1.')
  return Number(text)
}

/** Adds the verb. */
export function addFlows(program: Command): void {
  withTarget(program.command('flows').description('list the flows that are tracked'))
    .option('--match <text>', 'only flows with an end whose address or name is this')
    .option('--limit <n>', `at most so many (default: ${TABLE_ROWS} in a table, all in JSON)`, limit)
    .option('--json', 'print JSON')
    .addHelpText('after', DETAILS)
    .action((options: FlowsOptions) =>
      withRegions(options, async (reader, names) => {
        const flows = matching(readFlows(reader, names, new Clock().tick()), options.match)
        if (options.json) await printJson(flows, options.limit ?? Number.POSITIVE_INFINITY)
        else printTable(flows, options.limit ?? TABLE_ROWS)
      }),
    )
}

function* matching(flows: Iterable<FlowView>, text: string | undefined): Generator<FlowView> {
  for (const flow of flows) {
    const ends = [flow.from, flow.to, ...(flow.via === null ? [] : [flow.via])]
    if (text === undefined || ends.some(({ address, name }) => address === text || name === text)) yield flow
  }
}

/** One document, written as it is read: a million flows are not held at once. */
async function printJson(flows: Iterable<FlowView>, most: number): Promise<void> {
  let written = 0
  process.stdout.write('{"flows":[')
  for (const flow of flows) {
    if (written === most) break
    const more = process.stdout.write(`${written === 0 ? '' : ','}\n${JSON.stringify(flow)}`)
    written++
    if (!more) await once(process.stdout, 'drain')
  }
  say(']}')
}

function printTable(flows: Iterable<FlowView>, most: number): void {
  const rows: string[][] = []
  let more = 0
  for (const flow of flows) {
    if (rows.length < most) rows.push(row(flow))
    else more++
  }
  const titles = ['PROTOCOL', 'FROM', 'VIA', 'TO', 'STATE', 'IDLE', 'PACKETS', 'BYTES']
  say(
    table(
      titles.map(title => ({ title, right: title === 'IDLE' })),
      rows,
    ),
  )
  if (more > 0) say(`and ${count(more)} more: --limit N, or --json for all`)
}

const row = (flow: FlowView): string[] => [
  flow.protocol,
  namedText(flow.from),
  flow.via === null ? '' : endText(flow.via),
  namedText(flow.to),
  flow.state ?? flow.class,
  `${flow.idleSeconds.toFixed(0)} s`,
  `${count(flow.packetsOut)} / ${count(flow.packetsIn)}`,
  `${count(flow.bytesOut)} / ${count(flow.bytesIn)}`,
]

const namedText = (end: FlowEnd): string => (end.name === null ? endText(end) : `${end.name} ${endText(end)}`)
