/**
 * A shard's counters: doubles in its region, written by the shard once a burst, read by anyone who maps the region.
 *
 * In = out + drops + held holds at every moment between two bursts, over all shards together:
 *
 *     FramesIn + Originated = FramesOut + sum of drops + Held + frames on their way between shards
 *
 * where frames on their way are HandedOver - TakenOver. FramesOut counts what was given to the devices; a frame whose write fails
 * moves from FramesOut to a drop.
 */
import { DROP_COUNT } from './drops.ts'

export const Counter = {
  /** Frames and bytes of IP packets read from devices. */
  FramesIn: 0,
  BytesIn: 1,
  /** Frames and bytes written to devices. */
  FramesOut: 2,
  BytesOut: 3,
  /** Frames the shard made itself: ICMP errors, fragments beyond the first of a packet too big for its way. */
  Originated: 4,
  /** Fragments that wait for the rest of their datagram, now. */
  Held: 5,
  /** Frames given to other shards, taken from other shards. */
  HandedOver: 6,
  TakenOver: 7,
  FlowsAdmitted: 8,
  FlowsEnded: 9,
  /** Flows that gave way to a new one while the table or the ENI was full. */
  FlowsReclaimed: 10,
  /** Flows admitted on a port that another flow to another remote end point holds. */
  PortsShared: 11,
  /** Turns of the loop, turns that found nothing, sleeps. */
  Turns: 12,
  EmptyTurns: 13,
  Sleeps: 14,
  /** ICMP errors sent, and those the rate limit kept back. */
  ErrorsSent: 15,
  ErrorsLimited: 16,
  /** TCP segments out of window: translated, and without effect on the state. */
  OutOfWindow: 17,
  /** SYNs whose MSS was lowered. */
  MssClamped: 18,
  /** Generation of the plan in force, and the tick of the last turn: for readers. */
  Generation: 19,
  Tick: 20,
  /** ICMP errors of others that were translated or passed on. */
  ErrorsTranslated: 21,
} as const
export type Counter = (typeof Counter)[keyof typeof Counter]

const DROPS_AT = 64

export const counterSections = [{ name: 'counters', bytes: 4096 }]

export class Counters {
  /** Indexed by Counter. */
  readonly values: Float64Array
  /** Indexed by Drop. */
  readonly drops: Float64Array

  constructor(memory: { doubles(section: string): Float64Array }) {
    const all = memory.doubles('counters')
    this.values = all.subarray(0, DROPS_AT)
    this.drops = all.subarray(DROPS_AT, DROPS_AT + DROP_COUNT)
  }
}
