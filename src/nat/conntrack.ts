/**
 * The life of a flow after its admission: which timeout class it is in, when it ends, which one gives way when room is short.
 *
 * What gives way is, oldest first, what is expired, then closed, then never answered; a live flow never does (RFC 6888 REQ-11 D), so that a full
 * table or a full ENI refuses the new flow instead. A flow ends as one: off its list, off its port, out of the index, its connection given back.
 */
import { Counter, type Counters } from '../tables/counters.ts'
import {
  COLD_WORDS,
  ENI,
  FLAG_ANSWERED,
  FLAG_LEASED,
  type FlowId,
  type FlowTable,
  HOT_WORDS,
  NO_FLOW,
  SEEN,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
} from '../tables/flows.ts'
import { CLASSES, type Lru } from '../tables/lru.ts'
import type { Leases } from './leases.ts'
import { TIMEOUT_CLASSES, TimeoutClass } from './timeouts.ts'

/** Ticks between two renewals of a flow's SEEN. Flows expire this much later than their timeout, so never early. */
export const SEEN_TICKS = 100
/** ENIs that one call of `expire` looks at. */
const EXPIRE_ENIS = 32
/** Flows that one call of `expire` ends at most, so that a burst is never kept waiting for long. */
const EXPIRE_FLOWS = 256
/** Flows at the head of a list that are looked at. */
const RECLAIM_LOOK = 16

/** Classes whose flows are over, in the order in which they give way. */
const OVER = [TimeoutClass.TcpClosed, TimeoutClass.TcpClosing] as const
/** Classes whose flows give way where nobody has answered them. */
const OPENING = [TimeoutClass.TcpOpening, TimeoutClass.UdpOneway, TimeoutClass.Icmp] as const

const STATE_CLASS_SHIFT = 8

/** The timeout class in a STATE word. */
export const classOf = (state: number): number => (state >>> STATE_CLASS_SHIFT) & 0xff

export class Conntrack {
  readonly #flows: FlowTable
  readonly #lru: Lru
  readonly #leases: Leases
  readonly #values: Float64Array
  #timeouts: Int32Array = new Int32Array(TIMEOUT_CLASSES)
  /** One more than the largest ENI slot in use. */
  #enis = 0
  #cursor = 0

  constructor(flows: FlowTable, lru: Lru, leases: Leases, counters: Counters) {
    this.#flows = flows
    this.#lru = lru
    this.#leases = leases
    this.#values = counters.values
  }

  /**
   * Takes the timeouts of a new plan.
   * @param timeouts ticks by timeout class
   * @param enis one more than the largest ENI slot
   */
  configure(timeouts: Int32Array, enis: number): void {
    this.#timeouts = timeouts
    this.#enis = Math.max(this.#enis, enis)
  }

  /** Puts a flow that was just committed on its list. */
  begin(id: FlowId): void {
    const at = id * HOT_WORDS
    this.#lru.append(
      this.#flows.cold[id * COLD_WORDS + ENI] & 0xffff,
      classOf(this.#flows.hot[at + STATE]),
      id,
    )
    this.#values[Counter.FlowsAdmitted]++
  }

  /** A packet of the flow passed: renews its place in its list, at most once a second. */
  touch(id: FlowId, now: number): void {
    const at = id * HOT_WORDS
    const hot = this.#flows.hot
    if (((now - hot[at + SEEN]) | 0) < SEEN_TICKS) return
    hot[at + SEEN] = now
    this.#lru.touch(this.#flows.cold[id * COLD_WORDS + ENI] & 0xffff, classOf(hot[at + STATE]), id)
  }

  /** Moves a flow to another timeout class, as its youngest. */
  setClass(id: FlowId, timeoutClass: number, now: number): void {
    const at = id * HOT_WORDS
    const hot = this.#flows.hot
    const eni = this.#flows.cold[id * COLD_WORDS + ENI] & 0xffff
    this.#lru.remove(eni, classOf(hot[at + STATE]), id)
    hot[at + STATE] = (hot[at + STATE] & ~0xff00) | (timeoutClass << STATE_CLASS_SHIFT)
    hot[at + SEEN] = now
    this.#lru.append(eni, timeoutClass, id)
  }

  /** True where nobody spoke on the flow for longer than its class allows. */
  expired(id: FlowId, now: number): boolean {
    const at = id * HOT_WORDS
    const hot = this.#flows.hot
    return ((now - hot[at + SEEN]) | 0) > this.#timeouts[classOf(hot[at + STATE])] + SEEN_TICKS
  }

  /** Ends a flow: both directions, its port, its connection. */
  end(id: FlowId): void {
    const flows = this.#flows
    const at = id * HOT_WORDS
    const state = flows.hot[at + STATE]
    const eni = flows.cold[id * COLD_WORDS + ENI] & 0xffff
    this.#lru.remove(eni, classOf(state), id)
    const tag = flows.hot[at + TAG]
    if ((state & FLAG_LEASED) !== 0) this.#leases.give(eni, id)
    if ((tag & TAG_HOSTS) === 0) this.#leases.unclaim(eni, (tag & TAG_IPV6) !== 0 ? 1 : 0)
    flows.release(id)
    this.#values[Counter.FlowsEnded]++
  }

  /** Ends expired flows, a bounded number of ENIs and flows a call. Call it once a turn. */
  expire(now: number): void {
    const counts = this.#lru.counts
    let budget = EXPIRE_FLOWS
    const enis = this.#enis
    for (let looked = Math.min(EXPIRE_ENIS, enis); looked > 0; looked--) {
      if (this.#cursor >= enis) this.#cursor = 0
      const eni = this.#cursor++
      for (let timeoutClass = 0; timeoutClass < TIMEOUT_CLASSES; timeoutClass++) {
        if (counts[eni * CLASSES + timeoutClass] === 0) continue
        for (;;) {
          const id = this.#lru.oldest(eni, timeoutClass)
          if (id === NO_FLOW || !this.expired(id, now)) break
          this.end(id)
          if (--budget === 0) return
        }
      }
    }
  }

  /** Ends every flow of an ENI that is gone. */
  endAll(eni: number): void {
    for (let timeoutClass = 0; timeoutClass < CLASSES; timeoutClass++)
      for (
        let id = this.#lru.oldest(eni, timeoutClass);
        id !== NO_FLOW;
        id = this.#lru.oldest(eni, timeoutClass)
      )
        this.end(id)
  }

  /**
   * Ends one flow of this ENI that may give way, if there is one.
   * @param rival a flow that needs a port: what gives way then is one that holds the port it could have
   * @returns false where every flow is live: the new one must be refused
   */
  reclaim(eni: number, now: number, rival: FlowId = NO_FLOW): boolean {
    for (let timeoutClass = 0; timeoutClass < TIMEOUT_CLASSES; timeoutClass++) {
      const id = this.#oldest(eni, timeoutClass as TimeoutClass, rival)
      if (id !== NO_FLOW && this.expired(id, now)) return this.#giveWay(id)
    }
    for (const timeoutClass of OVER) {
      const id = this.#oldest(eni, timeoutClass, rival)
      if (id !== NO_FLOW) return this.#giveWay(id)
    }
    for (const timeoutClass of OPENING) {
      const id = this.#oldest(eni, timeoutClass, rival, now)
      if (id !== NO_FLOW) return this.#giveWay(id)
    }
    return false
  }

  /** As `reclaim`, from any ENI: for a full flow table. */
  reclaimAny(now: number): boolean {
    const counts = this.#lru.counts
    for (let looked = this.#enis; looked > 0; looked--) {
      if (this.#cursor >= this.#enis) this.#cursor = 0
      const eni = this.#cursor
      for (let timeoutClass = 0; timeoutClass < TIMEOUT_CLASSES; timeoutClass++)
        if (counts[eni * CLASSES + timeoutClass] !== 0 && this.reclaim(eni, now)) return true
      this.#cursor++
    }
    return false
  }

  /**
   * The oldest flow of a list, out of the first few, that is in a rival's way.
   * @param now given where only one will do that nobody has answered, for a second or more: it is a scan's, or a dead host's, and a younger
   * one may only wait for its answer
   */
  #oldest(eni: number, timeoutClass: TimeoutClass, rival: FlowId, now?: number): FlowId {
    const { hot, next } = this.#flows
    let id = this.#lru.oldest(eni, timeoutClass)
    for (let look = 0; look < RECLAIM_LOOK && id !== NO_FLOW; look++) {
      const at = id * HOT_WORDS
      const idle =
        now === undefined ||
        ((hot[at + STATE] & FLAG_ANSWERED) === 0 && ((now - hot[at + SEEN]) | 0) >= SEEN_TICKS)
      if (idle && (rival === NO_FLOW || this.#leases.rivals(id, rival))) return id
      id = (next[id] - 1) as FlowId
    }
    return NO_FLOW
  }

  #giveWay(id: FlowId): boolean {
    this.end(id)
    this.#values[Counter.FlowsReclaimed]++
    return true
  }
}
