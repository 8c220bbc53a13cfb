/** `v2n stats`: what was counted since the daemon's regions were made. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import { explain } from '../observe/explain.ts'
import { readStats, type Stats } from '../observe/stats.ts'
import { Drop, dropName } from '../tables/drops.ts'
import { enisText } from './enis.ts'
import { count, say, sayJson, table } from './output.ts'
import { withRegions } from './reader.ts'
import { type TargetOptions, withTarget } from './target.ts'

interface StatsOptions extends TargetOptions {
  readonly json?: boolean
  readonly watch?: number
}

const DETAILS = `
Packets in + originated = packets out + drops + held, at every moment. Reasons for drops: docs/drops.md.

Examples:
  v2n stats
  v2n stats --watch 1          a line a second
  v2n stats --json`

const seconds = (text: string): number => {
  const value = Number(text)
  if (!(value >= 0.1 && value <= 3600)) throw new InvalidArgumentError('Expected seconds, from 0.1 to 3600.')
  return value
}

/** Adds the verb. */
export function addStats(program: Command): void {
  withTarget(program.command('stats').description('print packets, drops by reason, flows, ports in use'))
    .option('--watch <seconds>', 'go on, with what changed in each interval', seconds)
    .option('--json', 'print JSON')
    .addHelpText('after', DETAILS)
    .action((options: StatsOptions) =>
      withRegions(options, async (reader, names) => {
        const read = () => readStats(reader, names)
        if (options.watch !== undefined) await watch(read, options.watch, options.json ?? false)
        else if (options.json) sayJson(read())
        else say(statsText(read()))
      }),
    )
}

/** Statistics as a page of text. */
export function statsText(stats: Stats): string {
  const { flows } = stats
  const classes = Object.entries(flows.byClass).filter(([, live]) => live > 0)
  const traffic = table(
    [{ title: '' }, { title: 'PACKETS', right: true }, { title: 'BYTES', right: true }],
    [
      ['in', count(stats.in.packets), count(stats.in.bytes)],
      ['out', count(stats.out.packets), count(stats.out.bytes)],
      ['originated', count(stats.originated), ''],
      ['dropped', count(stats.dropped), ''],
      ['held', count(stats.held), ''],
    ],
  )
  const drops = Object.entries(stats.drops)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, packets]) => [reason, count(packets), sentenceOf(reason)])
  const parts = [
    traffic,
    drops.length === 0
      ? 'No drops.'
      : table([{ title: 'DROPS' }, { title: 'PACKETS', right: true }, { title: 'BECAUSE' }], drops),
    `flows: ${count(flows.live)} of ${count(flows.capacity)}, ${count(flows.admitted)} admitted, ${count(flows.ended)} ended` +
      (flows.reclaimed > 0 ? `, ${count(flows.reclaimed)} of them to make room` : '') +
      (classes.length > 0 ? `\n  ${classes.map(([name, live]) => `${name} ${count(live)}`).join('  ')}` : ''),
    ...(stats.enis.length > 0 ? [enisText(stats.enis)] : []),
  ]
  return parts.join('\n\n')
}

function sentenceOf(reason: string): string {
  const drop = Object.values(Drop).find(one => dropName[one] === reason)
  return drop === undefined ? '' : explain(drop)
}

/** A line for each interval, until interrupted. */
async function watch(read: () => Stats, interval: number, json: boolean): Promise<void> {
  let before = read()
  for (;;) {
    await sleep(interval * 1000)
    const now = read()
    const rate = (from: number, to: number) => (to - from) / interval
    const line = {
      time: new Date().toISOString(),
      packetsInPerSecond: rate(before.in.packets, now.in.packets),
      packetsOutPerSecond: rate(before.out.packets, now.out.packets),
      bitsInPerSecond: 8 * rate(before.in.bytes, now.in.bytes),
      dropsPerSecond: rate(before.dropped, now.dropped),
      flows: now.flows.live,
    }
    before = now
    if (json) say(JSON.stringify(line))
    else
      say(
        `${line.time}  in ${count(line.packetsInPerSecond)} packets/s, ${count(line.bitsInPerSecond / 1e6)} Mbit/s  ` +
          `out ${count(line.packetsOutPerSecond)} packets/s  drops ${count(line.dropsPerSecond)}/s  flows ${count(line.flows)}`,
      )
  }
}
