/**
 * Scenarios: what is sent to a network, and what must come of it.
 *
 *     scenario('a reply reaches the environment that asked', {
 *       given: small,
 *       send: [from('orders-1', udp4({ …web })), answer('web')],
 *       expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
 *     })
 *
 * Whatever a scenario is about, the books balance after every burst, every frame that comes out is judged (`judge.ts`), and the tables are
 * sound at the end (`audit.ts`). Drops that are not expected fail the scenario as missing ones do.
 */
import t, { type Test } from 'tap'
import type { Counter } from '../../src/tables/counters.ts'
import { audit } from './audit.ts'
import { type Arrival, Net, type NetOptions, type SendOptions } from './net.ts'
import { type Reply, reply } from './packets.ts'

export type Step = (net: Net, t: Test) => void

/** A frame sent by a host or an environment. */
export const from =
  (place: string, frame: Uint8Array | ((net: Net) => Uint8Array), options: SendOptions = {}): Step =>
  net => {
    net.send(place, typeof frame === 'function' ? frame(net) : frame, options)
  }

/** The same frame, many times. */
export const times = (count: number, step: Step): Step => {
  return (net, t) => {
    for (let i = 0; i < count; i++) step(net, t)
  }
}

/** The last frame that arrived somewhere. */
export function last(net: Net, place: string): Uint8Array {
  const found = net.arrivals.findLast(({ to }) => to === place)
  if (found === undefined) throw new Error(`nothing has arrived at ${place}`)
  return found.frame
}

/** An answer to the last frame that arrived at a place. */
export const answer = (place: string, of: Reply = {}, options: SendOptions = {}): Step =>
  from(place, net => reply(last(net, place), of), options)

/** Time that passes. */
export const wait =
  (seconds: number): Step =>
  net =>
    net.wait(seconds)

/** Another file is applied. */
export const apply =
  (config: string): Step =>
  net =>
    net.apply(config)

export interface Expected {
  /** Frames by where they arrive; all that do. */
  readonly delivered?: Readonly<Record<string, number>>
  /** Drops by reason; all that there are. */
  readonly drops?: Readonly<Record<string, number>>
  /** Live flows at the end. */
  readonly flows?: number
  readonly counters?: Readonly<Partial<Record<keyof typeof Counter, number>>>
}

export interface Scenario extends NetOptions {
  /** Text of a lab file. */
  readonly given: string
  readonly send: readonly Step[]
  readonly expect: Expected
  /** More to look at: what arrived, and the network. */
  readonly look?: (t: Test, arrivals: readonly Arrival[], net: Net) => void
}

const counted = (arrivals: readonly Arrival[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { to } of arrivals) counts[to] = (counts[to] ?? 0) + 1
  return counts
}

/** Fails where the books do not balance or a table is unsound. */
export function sound(t: Test, net: Net): void {
  net.balance()
  t.same(audit(net), [], 'the tables are sound')
}

/** Runs a scenario as a test of its own. */
export function scenario(name: string, { given, send, expect, look, ...options }: Scenario): void {
  t.test(name, async t => {
    const net = new Net(given, options)
    for (const step of send) step(net, t)
    t.same(counted(net.arrivals), expect.delivered ?? {}, 'delivered')
    t.same(net.drops(), expect.drops ?? {}, 'drops')
    if (expect.flows !== undefined) t.equal(net.flows, expect.flows, 'flows')
    for (const [counter, value] of Object.entries(expect.counters ?? {}))
      t.equal(net.counter(counter as keyof typeof Counter), value, counter)
    look?.(t, net.arrivals, net)
    sound(t, net)
  })
}
