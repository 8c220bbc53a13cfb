/**
 * The frame of every whole-system test: labs at one shard and at two, and what must hold after each test whatever it was about.
 *
 * After each test, with traffic at rest: packets in + originated = packets out + drops + held, exactly; nothing is between two shards; no
 * kernel in any of the namespaces counted a wrong checksum. After the last one the lab is taken down, and nothing is left of it.
 */
import { existsSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import { namespaceInode } from '../../src/daemon/ip.ts'
import { isAlive } from '../../src/daemon/process.ts'
import { spawnIn } from '../../src/lab/namespaces.ts'
import { readLabState } from '../../src/lab/state.ts'
import type { Stats } from '../../src/observe/stats.ts'
import { ended, labFor, type TestLab } from './lab.ts'

/** A test on a lab: its body, and then what must hold after it. */
export type LabTest = (name: string, body: (t: Test) => Promise<void>) => Promise<void>

/**
 * Runs tests on a lab of their own at each number of shards.
 * @param text the lab file for a number of shards
 */
export function atShards(
  t: Test,
  counts: readonly number[],
  text: (shards: number) => string,
  tests: (test: LabTest, lab: TestLab) => Promise<void>,
): void {
  for (const shards of counts)
    t.test(shards === 1 ? 'one shard' : `${shards} shards`, async t => {
      const lab = await labFor(t, text(shards))
      const test: LabTest = async (name, body) => {
        await t.test(name, async t => {
          await body(t)
          await sound(t, lab)
        })
      }
      await tests(test, lab)
      await t.test('the lab goes, and nothing of it stays', t => leavesNothing(t, lab))
    })
}

/** What holds at rest, whatever was sent before. */
export async function sound(t: Test, lab: TestLab): Promise<Stats> {
  const stats = await atRest(lab)
  t.equal(
    stats.in.packets + stats.originated,
    stats.out.packets + stats.dropped + stats.held,
    'in + originated = out + drops + held',
  )
  t.equal(stats.between, 0, 'nothing is between two shards')
  const { shardDeaths, shards } = await lab.status()
  t.same([shardDeaths, shards.filter(shard => !shard.ready)], [0, []], 'every shard runs, none died')
  t.same(await checksumErrors(lab), {}, 'no kernel saw a wrong checksum')
  return stats
}

/* Ours to tune */
const LOOK_MILLISECONDS = 30
const STILL_LOOKS = 3
/** A shard that is not scheduled in the middle of a burst looks as if it stood still. */
const UNBALANCED_LOOKS = 100

/** The statistics once nothing moves. */
export async function atRest(lab: TestLab): Promise<Stats> {
  let before = lab.stats()
  for (let still = 0; ; ) {
    await sleep(LOOK_MILLISECONDS)
    const now = lab.stats()
    still = isDeepStrictEqual(trafficOf(now), trafficOf(before)) ? still + 1 : 0
    const balanced = now.unaccounted === 0 && now.between === 0
    if (still >= (balanced ? STILL_LOOKS : UNBALANCED_LOOKS)) return now
    before = now
  }
}

const trafficOf = ({ in: arrived, out, dropped, held, between }: Stats) => [
  arrived,
  out,
  dropped,
  held,
  between,
]

/** Counters of wrong checksums and wrong headers in a namespace, by name, those that are not 0. */
async function checksumErrors(lab: TestLab): Promise<Record<string, number>> {
  const errors: Record<string, number> = {}
  const namespaces = lab.names.devices.flatMap(({ namespace }) => namespace ?? [])
  const look = async (namespace: string) => {
    const cat = spawnIn(namespace, ['cat', ...COUNTER_FILES], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const [name, count] of countersIn((await ended(cat)).stdout))
      if (/CsumErrors|InHdrErrors/.test(name) && count > 0) errors[`${namespace} ${name}`] = count
  }
  await Promise.all(namespaces.map(look))
  return errors
}

const COUNTER_FILES = ['/proc/net/snmp', '/proc/net/snmp6', '/proc/net/netstat']

/** Counters in the formats of /proc/net/snmp (a line of names above a line of numbers) and of snmp6 (a name and a number a line). */
export function countersIn(text: string): Map<string, number> {
  const counters = new Map<string, number>()
  let titles: string[] = []
  for (const line of text.split('\n')) {
    const words = line.split(/\s+/).filter(Boolean)
    if (/^\w+6\w+\s+\d+$/.test(line.trim())) counters.set(words[0], Number(words[1]))
    else if (words[0] !== undefined && words[0] === titles[0]) {
      for (let i = 1; i < words.length; i++) counters.set(`${words[0]}${titles[i]}`, Number(words[i]))
      titles = []
    } else titles = words
  }
  return counters
}

/** Takes the lab down, and looks for what it may have left. */
async function leavesNothing(t: Test, lab: TestLab): Promise<void> {
  const state = readLabState(lab.directory.lab)
  const regions = shared(lab.directory.regions)
  t.ok(existsSync(regions), 'the regions are there while the lab is up')
  const processes = [...(state?.commands ?? []), lab.daemon]
  const { status, stderr } = await lab.v2n('lab', 'down')
  t.equal(status, 0, `v2n lab down ends well ${stderr}`)
  t.same(
    state?.namespaces.filter(({ name }) => namespaceInode(name) !== null),
    [],
    'no namespace is left',
  )
  t.same(processes.filter(isAlive), [], 'no process is left')
  t.notOk(existsSync(regions), 'no region is left')
  t.notOk(existsSync(lab.directory.path), 'no run directory is left')
}

/** Where regions are when the run directory is on a disk: a link leads there. */
function shared(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return path
  }
}
