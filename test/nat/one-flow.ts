/**
 * A flow table with one TCP flow, and segments for it: what the tests of TCP tracking stand on.
 */

import { begin, CLASS_MASK, mayReopen, RENEWS, STRAY, track } from '../../src/nat/tcp.ts'
import { tcpStateName, tcpStateOf } from '../../src/nat/tcp-states.ts'
import { type TimeoutClass, timeoutName } from '../../src/nat/timeouts.ts'
import {
  FLAG_ANSWERED,
  FLAG_BEGUN_BY_B,
  FLAG_FIN_A,
  FLAG_FIN_B,
  FLAG_LIVE,
  type FlowId,
  FlowTable,
  flowSections,
  HOT_WORDS,
  STATE,
} from '../../src/tables/flows.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { type Tcp, tcp4 } from '../wire/build.ts'

/** Where the TCP header is in the frames made here. */
export const TCP_AT = 20

/** A fresh table for a few flows. */
export function flowTable(capacity = 16): FlowTable {
  const sections = flowSections(capacity)
  return new FlowTable(new Region(new ArrayBuffer(regionBytes(sections)), sections), capacity)
}

export interface Heard {
  readonly state: string
  readonly timeout: string
  readonly renews: boolean
  readonly stray: boolean
}

export interface Segment extends Tcp {
  /** Payload bytes; the frame carries none of them, trackers only count them. */
  bytes?: number
}

/** One flow and its two ends, A and B. */
export class OneFlow {
  readonly flows = flowTable()
  readonly id: FlowId
  #begun = false

  /** @param begunByB end B sends the first segment, as hosts may */
  constructor({ begunByB = false } = {}) {
    this.id = this.flows.allocate()
    // What an earlier flow left in the record must not matter.
    this.flows.cold.fill(0x5a5a5a5a)
    this.flows.hot[this.id * HOT_WORDS + STATE] = FLAG_LIVE | (begunByB ? FLAG_BEGUN_BY_B : 0)
  }

  get state(): string {
    return tcpStateName[tcpStateOf(this.#word)]
  }
  get fins(): string {
    return `${this.#word & FLAG_FIN_A ? 'A' : ''}${this.#word & FLAG_FIN_B ? 'B' : ''}`
  }
  get answered(): boolean {
    return (this.#word & FLAG_ANSWERED) !== 0
  }
  get #word(): number {
    return this.flows.hot[this.id * HOT_WORDS + STATE]
  }

  /**
   * The first segment begins the flow, the others are tracked; every one keeps the timeout class in STATE as
   * callers do.
   */
  hear(from: 'A' | 'B', segment: Segment): Heard {
    const frame = tcp4(segment)
    const fromA = from === 'A'
    const bytes = segment.bytes ?? 0
    const hot = this.flows.hot
    const at = this.id * HOT_WORDS + STATE
    if (!this.#begun) {
      this.#begun = true
      hot[at] |= begin(this.flows, this.id, frame, TCP_AT, bytes, fromA)
      return { state: this.state, timeout: this.#timeout(hot[at] >>> 8), renews: true, stray: false }
    }
    const verdict = track(this.flows, this.id, fromA, frame, TCP_AT, bytes)
    hot[at] = (hot[at] & ~0xff00) | ((verdict & CLASS_MASK) << 8)
    return {
      state: this.state,
      timeout: this.#timeout(verdict & CLASS_MASK),
      renews: (verdict & RENEWS) !== 0,
      stray: (verdict & STRAY) !== 0,
    }
  }

  mayReopen(from: 'A' | 'B', segment: Segment): boolean {
    return mayReopen(this.flows, this.id, from === 'A', tcp4(segment), TCP_AT)
  }

  #timeout(timeoutClass: number): string {
    return timeoutName[(timeoutClass & 0xff) as TimeoutClass]
  }
}

/** The options of a SYN that offers this window scale. */
export const scale = (shift: number): number[] => [3, 3, shift, 1]
