/**
 * Leases: which port of an ENI a flow leaves through.
 *
 * A free port is taken as long as there is one, the one that rested longest first. When there is none left, a port that this shard's flows hold is
 * leased once more, provided that no flow on it has the same remote end point (RFC 7857 section 3; AWS counts connections per unique
 * destination): the flows of a port are chained through their records, and the remote end point tells a reply's flow. Every port of this
 * shard is tried before a lease is refused; a refusal is remembered for the remote end point until another of the ENI's ports is taken or
 * given back, so that a function that hammers a full ENI costs no scan a packet.
 */

import {
  ADDRESS6_WORDS,
  B,
  COLD_WORDS,
  type FlowId,
  type FlowTable,
  HOT_WORDS,
  LEASE,
  NEXT_ON_PORT,
  NO_FLOW,
  PORTS,
  TAG,
  TAG_IPV6,
} from '../tables/flows.ts'
import { ENI_SLOTS } from '../tables/lru.ts'
import {
  type EniPorts,
  FIRST_PORT,
  LAST_PORT,
  NO_PORT,
  PORTS_PER_SPACE,
  SPACE_ICMP,
  SPACE_TCP,
  SPACE_UDP,
} from '../tables/ports.ts'
import { swap16 } from '../wire/bytes.ts'
import { Protocol } from '../wire/protocol.ts'

/** Refusals that are remembered; a newer one takes an older one's place. */
const REFUSALS = 256
/** Words a refusal: ENI and space, remote port, remote address, the ENI's count of changes. */
const REFUSAL_WORDS = 7

/** The space of an ENI's ports that a protocol uses, for IPv4; the same + 3 for IPv6. */
export const spaceOf = (tag: number): number => {
  const protocol = tag & 0xff
  const space = protocol === Protocol.Tcp ? SPACE_TCP : protocol === Protocol.Udp ? SPACE_UDP : SPACE_ICMP
  return (tag & TAG_IPV6) === 0 ? space : space + 3
}

export class Leases {
  readonly #flows: FlowTable
  readonly #shard: number
  /** By ENI slot; undefined where the ENI has no ports here. */
  readonly #ports: (EniPorts | undefined)[] = []
  /** By ENI slot: how often a flow has come to a free port or left its port, since the start. */
  readonly #changes = new Int32Array(ENI_SLOTS)
  readonly #refusals = new Int32Array(REFUSALS * REFUSAL_WORDS)
  /** Where the next search for a port to share begins. */
  #cursor = FIRST_PORT

  constructor(flows: FlowTable, shard: number) {
    this.#flows = flows
    this.#shard = shard
  }

  /** Gives an ENI slot its ports, or takes them from it. */
  setPorts(eni: number, ports: EniPorts | undefined): void {
    this.#ports[eni] = ports
  }

  /** The ports of an ENI, undefined where it has none here. */
  portsOf(eni: number): EniPorts | undefined {
    return this.#ports[eni]
  }

  /** Counts a connection more on the ENI, if it may carry one. */
  claim(eni: number, family: number): boolean {
    const ports = this.#ports[eni]
    return ports?.claim(family) ?? false
  }

  unclaim(eni: number, family: number): void {
    this.#ports[eni]?.unclaim(family)
  }

  /**
   * Leases a port to a flow whose record has its tuple already, and writes it to the record.
   * @returns the port, or NO_PORT where every port serves the flow's remote end point already
   */
  lease(eni: number, id: FlowId): number {
    const ports = this.#ports[eni]
    if (ports === undefined) return NO_PORT
    const flows = this.#flows
    const space = spaceOf(flows.hot[id * HOT_WORDS + TAG])
    const port = ports.take(space)
    if (port !== NO_PORT) {
      ports.set(space, port, id)
      flows.cold[id * COLD_WORDS + NEXT_ON_PORT] = 0
      this.#write(id, port)
      this.#renew(eni, space, id)
      return port
    }
    return this.#share(eni, ports, space, id)
  }

  /** Takes a flow off its port; the port is free when it was the last. */
  give(eni: number, id: FlowId): void {
    const ports = this.#ports[eni]
    if (ports === undefined) return
    const { hot, cold } = this.#flows
    const space = spaceOf(hot[id * HOT_WORDS + TAG])
    const port = swap16(hot[id * HOT_WORDS + LEASE] & 0xffff)
    const next = cold[id * COLD_WORDS + NEXT_ON_PORT]
    let before = (ports.entry(space, port) & 0xffffff) - 1
    if (before === id && next === 0) {
      ports.give(space, port)
      this.#changes[eni]++
      return
    }
    // Others stay on the port, which then is no free one: by two, which no refusal outlives.
    this.#changes[eni] += 2
    if (before === id) {
      ports.set(space, port, next - 1)
      return
    }
    while (before !== NO_FLOW && cold[before * COLD_WORDS + NEXT_ON_PORT] !== id + 1)
      before = cold[before * COLD_WORDS + NEXT_ON_PORT] - 1
    if (before !== NO_FLOW) cold[before * COLD_WORDS + NEXT_ON_PORT] = next
  }

  /**
   * Puts a flow back on its port while the flow table is rebuilt.
   * @returns false where its ENI has no ports here any more, or the port is another's by now
   */
  restore(eni: number, id: FlowId): boolean {
    const ports = this.#ports[eni]
    if (ports === undefined) return false
    const { hot, cold } = this.#flows
    const tag = hot[id * HOT_WORDS + TAG]
    const port = swap16(hot[id * HOT_WORDS + LEASE] & 0xffff)
    const before = ports.restore(spaceOf(tag), port, id, (tag & TAG_IPV6) !== 0 ? 1 : 0)
    if (before === NO_PORT) return false
    cold[id * COLD_WORDS + NEXT_ON_PORT] = before
    return true
  }

  /** Whether a flow's end would leave its port to another: they are of one protocol and have the same remote end point. */
  rivals(x: FlowId, y: FlowId): boolean {
    const { hot } = this.#flows
    return spaceOf(hot[x * HOT_WORDS + TAG]) === spaceOf(hot[y * HOT_WORDS + TAG]) && this.#sameRemote(x, y)
  }

  /** Whether two flows of one space have the same remote end point. */
  #sameRemote(x: number, y: number): boolean {
    const { hot, address6 } = this.#flows
    const p = x * HOT_WORDS
    const q = y * HOT_WORDS
    if (hot[p + B] !== hot[q + B] || hot[p + PORTS] >>> 16 !== hot[q + PORTS] >>> 16) return false
    if ((hot[p + TAG] & TAG_IPV6) === 0) return true
    const m = x * ADDRESS6_WORDS + 4
    const n = y * ADDRESS6_WORDS + 4
    return (
      address6[m] === address6[n] &&
      address6[m + 1] === address6[n + 1] &&
      address6[m + 2] === address6[n + 2] &&
      address6[m + 3] === address6[n + 3]
    )
  }

  #share(eni: number, ports: EniPorts, space: number, id: FlowId): number {
    const refusal = this.#refusalOf(eni, space, id)
    if (refusal === -1) return NO_PORT
    const { cold } = this.#flows
    for (let tried = 0; tried < PORTS_PER_SPACE; tried++) {
      const port = this.#cursor
      this.#cursor = port === LAST_PORT ? FIRST_PORT : port + 1
      const entry = ports.entry(space, port)
      const first = (entry & 0xffffff) - 1
      if (entry >>> 24 !== this.#shard + 1 || first === NO_FLOW) continue
      let other = first
      while (other !== NO_FLOW && !this.#sameRemote(other, id))
        other = cold[other * COLD_WORDS + NEXT_ON_PORT] - 1
      if (other !== NO_FLOW) continue
      cold[id * COLD_WORDS + NEXT_ON_PORT] = first + 1
      ports.set(space, port, id)
      this.#write(id, port)
      return port
    }
    this.#refuse(refusal, eni, space, id)
    return NO_PORT
  }

  #write(id: FlowId, port: number): void {
    const at = id * HOT_WORDS + LEASE
    this.#flows.hot[at] = (this.#flows.hot[at] & 0xffff0000) | swap16(port)
  }

  /**
   * A flow took a free port. Where its remote end point was refused right before a port was given back, this was that port, and all of them
   * serve the remote end point once more: the refusal holds.
   */
  #renew(eni: number, space: number, id: FlowId): void {
    const at = this.#refusalAt(eni, space, id)
    const renews = this.#isRefusal(at, eni, space, id) && this.#refusals[at + 6] + 1 === this.#changes[eni]
    this.#changes[eni]++
    if (renews) this.#refusals[at + 6] = this.#changes[eni]
  }

  /** Where a refusal of this remote end point is remembered; -1 when it is, and still holds. */
  #refusalOf(eni: number, space: number, id: FlowId): number {
    const at = this.#refusalAt(eni, space, id)
    return this.#isRefusal(at, eni, space, id) && this.#refusals[at + 6] === this.#changes[eni] ? -1 : at
  }

  /** Whether the refusal that is remembered there is one of this remote end point. */
  #isRefusal(at: number, eni: number, space: number, id: FlowId): boolean {
    const { hot, address6 } = this.#flows
    const refusals = this.#refusals
    if (refusals[at] !== ((eni << 3) | space) + 1) return false
    if (refusals[at + 1] !== hot[id * HOT_WORDS + PORTS] >>> 16) return false
    if (space < 3) return refusals[at + 2] === hot[id * HOT_WORDS + B]
    const six = id * ADDRESS6_WORDS + 4
    for (let i = 0; i < 4; i++) if (refusals[at + 2 + i] !== address6[six + i]) return false
    return true
  }

  #refusalAt(eni: number, space: number, id: FlowId): number {
    const { hot, address6 } = this.#flows
    let mixed =
      Math.imul((eni << 3) | space, 0x9e3779b1) ^ Math.imul(hot[id * HOT_WORDS + PORTS] >>> 16, 0x85ebca6b)
    mixed ^= hot[id * HOT_WORDS + B]
    if (space >= 3) mixed ^= address6[id * ADDRESS6_WORDS + 6] ^ address6[id * ADDRESS6_WORDS + 7]
    return (Math.imul(mixed, 0xc2b2ae35) >>> 24) * REFUSAL_WORDS
  }

  #refuse(at: number, eni: number, space: number, id: FlowId): void {
    const { hot, address6 } = this.#flows
    const refusals = this.#refusals
    refusals[at] = ((eni << 3) | space) + 1
    refusals[at + 1] = hot[id * HOT_WORDS + PORTS] >>> 16
    refusals[at + 2] = hot[id * HOT_WORDS + B]
    if (space >= 3) for (let i = 0; i < 4; i++) refusals[at + 2 + i] = address6[id * ADDRESS6_WORDS + 4 + i]
    refusals[at + 6] = this.#changes[eni]
  }
}
