/**
 * IPv4 frames whose headers were checked: find the flow or admit it, translate, send.
 *
 * The frame's words are compared, hashed and stored as they lie in memory, in network order; the transport header's offset is an argument, so that
 * frames with options and first fragments take the same way as the common ones. A verdict is the flow's record number, DROPPED or HANDED_OVER.
 */

import { SEEN_TICKS } from '../nat/conntrack.ts'
import { Drop } from '../tables/drops.ts'
import {
  A,
  B,
  BYTES_IN,
  BYTES_OUT,
  COLD_WORDS,
  FLAG_ANSWERED,
  type FlowId,
  GENERATION,
  HOT_WORDS,
  LEASE,
  NEXT_ON_PORT,
  NO_FLOW,
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  SEEN,
  STATE,
  TAG,
  TAG_HOSTS,
  TRANSLATED,
} from '../tables/flows.ts'
import { frameAt } from '../tables/slab.ts'
import { swap16 } from '../wire/bytes.ts'
import { delta16 } from '../wire/checksum.ts'
import { Protocol } from '../wire/protocol.ts'
import type { Admission } from './admit.ts'
import type { Again } from './again.ts'
import type { Core } from './core.ts'
import type { Originator } from './originate.ts'
import { type Passage, scopeOf } from './passage.ts'

/** What taking one hop off the TTL adds to the header's sum: its half falls by one. */
export const TTL_DELTA = 0xfffe
/** The DF bit in the second word of a header. */
export const DONT_FRAGMENT = 0x40 << 16
/** DF, and all that says that a packet is a fragment, in the same word. Only where DF alone is set a datagram is atomic (RFC 6864 section 4). */
const ATOMIC = 0xff7f0000 | 0
/* What `#obstacle` answers where there is none, or one that cutting the packet removes. */
const PASS = 0
const CUT = 1

/** Whether the ends of a flow between hosts come in the other order than source and destination. */
export const isSwapped4 = (source: number, destination: number, ports: number): boolean =>
  source > destination || (source === destination && (ports & 0xffff) > ports >>> 16)

/** The two ports of a word in the other order. */
export const swapPorts = (ports: number): number => (ports << 16) | (ports >>> 16)

export class Flow4 {
  readonly #core: Core
  readonly #admission: Admission
  readonly #again: Again
  readonly #originator: Originator
  readonly #passage: Passage
  readonly #hot: Int32Array
  readonly #bytes: Float64Array
  readonly #words: Int32Array
  /** Identification of the last translated datagram that may be fragmented; shards draw from different residues. */
  #identification: number

  constructor(core: Core, admission: Admission, again: Again, originator: Originator, passage: Passage) {
    this.#core = core
    this.#admission = admission
    this.#again = again
    this.#originator = originator
    this.#passage = passage
    this.#hot = core.flows.hot
    this.#bytes = core.flows.bytes
    this.#words = core.slab.words
    this.#identification = core.shard
  }

  /** A frame from an environment. `hash` is that of its tuple under `tag`. */
  outward(
    hash: number,
    tag: number,
    ports: number,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    const words = core.slab.words
    const at = frameAt(slot) >> 2
    let id = core.flows.find4(hash, words[at + 3], words[at + 4], ports, tag)
    if (id !== NO_FLOW && this.#passage.reopens(id, true, tag & 0xff, transport)) {
      core.conntrack.end(id)
      id = NO_FLOW
    }
    if (id === NO_FLOW) {
      id = this.#admission.inside4(hash, tag, ports, slot, length, transport, device)
      if (id < 0) return id
    }
    return this.forward(id, true, slot, length, transport, device)
  }

  /**
   * A frame from a host to a translating ENI: a reply to what a function began, or unsolicited.
   * @param space of the ENI's ports, `tables/ports.ts`
   * @param port that the frame is for, swapped as loaded
   * @param remote port that it comes from, as loaded
   */
  inward(
    eni: number,
    space: number,
    port: number,
    remote: number,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    const id = this.find(eni, space, port, core.slab.words[(frameAt(slot) >> 2) + 3], remote)
    if (id < 0) {
      if (id === NO_FLOW || core.takenOver) return core.drop(slot, Drop.Unsolicited)
      return this.#passage.handOver(-2 - id, slot, length, device)
    }
    const reason = this.#comesFrom(id as FlowId, false, device)
    if (reason !== Drop.None) return core.drop(slot, reason)
    return this.forward(id as FlowId, false, slot, length, transport, device)
  }

  /**
   * The flow that holds a port of an ENI towards a remote end point; NO_FLOW; or -2 - shard where another shard holds the port.
   * @param remoteAddress and remotePort as loaded
   */
  find(eni: number, space: number, port: number, remoteAddress: number, remotePort: number): number {
    const core = this.#core
    const ports = core.leases.portsOf(eni)
    if (ports === undefined) return NO_FLOW
    const entry = ports.entry(space, swap16(port))
    if (entry === 0) return NO_FLOW
    const owner = (entry >>> 24) - 1
    if (owner !== core.shard) return -2 - owner
    const { hot, cold } = core.flows
    let id = (entry & 0xffffff) - 1
    while (
      id !== NO_FLOW &&
      (hot[id * HOT_WORDS + B] !== remoteAddress || hot[id * HOT_WORDS + 2] >>> 16 !== remotePort)
    )
      id = cold[id * COLD_WORDS + NEXT_ON_PORT] - 1
    return id
  }

  /** A frame from a host to what is not a translating ENI. `hash` is that of the ordered tuple under `tag`. */
  between(
    hash: number,
    tag: number,
    ports: number,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    const words = core.slab.words
    const at = frameAt(slot) >> 2
    const source = words[at + 3]
    const destination = words[at + 4]
    const swapped = isSwapped4(source, destination, ports)
    let id = swapped
      ? core.flows.find4(hash, destination, source, swapPorts(ports), tag)
      : core.flows.find4(hash, source, destination, ports, tag)
    if (id !== NO_FLOW && this.#passage.reopens(id, !swapped, tag & 0xff, transport)) {
      core.conntrack.end(id)
      id = NO_FLOW
    }
    if (id === NO_FLOW) {
      id = this.#admission.hosts4(hash, tag, ports, swapped, slot, length, transport, device)
      if (id < 0) return id
    }
    const reason = this.#comesFrom(id, !swapped, device)
    if (reason !== Drop.None) return core.drop(slot, reason)
    return this.forward(id, !swapped, slot, length, transport, device)
  }

  /** Whether a flow's frames in a direction come from this device. Asked under the plan in force: a host may have moved. */
  #comesFrom(id: FlowId, outward: boolean, device: number): Drop {
    const core = this.#core
    if (core.flows.hot[id * HOT_WORDS + GENERATION] !== core.generation) {
      const reason = this.#again.decide(id)
      if (reason !== Drop.None) return reason
    }
    return this.#passage.deviceOf(id, !outward) === device ? Drop.None : Drop.SourceCheck
  }

  /**
   * Sends a frame of a flow on its way, from end A (`outward`) or to it: hop, size, tracking, translation, counters.
   *
   * One function on purpose: a call costs as much here as what it would do, see bench/README.md, "calls".
   */
  forward(
    id: FlowId,
    outward: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    const hot = this.#hot
    const words = this.#words
    const h = id * HOT_WORDS
    const w = frameAt(slot) >> 2
    const tag = hot[h + TAG]
    const hosts = (tag & TAG_HOSTS) !== 0
    let toDevice = outward ? hot[h + OUT] >>> 16 : hosts ? hot[h + TRANSLATED] : scopeOf(tag)
    let cut = false
    if (
      hot[h + GENERATION] !== core.generation ||
      (words[w + 2] & 0xff) <= 1 ||
      length > core.mtu[toDevice]
    ) {
      const verdict = this.#obstacle(id, outward, slot, length, transport, device)
      if (verdict < 0) return verdict
      cut = verdict === CUT
      toDevice = this.#passage.deviceOf(id, outward)
    }
    // The common cases of UDP need no more than this; the rest is the passage's.
    if ((tag & 0xff) !== Protocol.Udp || hosts || (!outward && (hot[h + STATE] & FLAG_ANSWERED) === 0))
      this.#passage.track(id, outward, tag & 0xff, w, transport, length - (transport - (w << 2)))
    else if (outward && ((core.now - hot[h + SEEN]) | 0) >= SEEN_TICKS) core.conntrack.touch(id, core.now)

    // Sum of what changes in the header: the hop, the address, the identification.
    let delta = TTL_DELTA
    if (!hosts) {
      this.#passage.translate(id, outward, w, transport >> 2)
      if (outward) {
        delta += hot[h + LEASE] >>> 16
        words[w + 3] = hot[h + TRANSLATED]
        if ((words[w + 1] & ATOMIC) !== DONT_FRAGMENT) delta += this.#renumber(w, true)
      } else {
        delta += (hot[h + LEASE] >>> 16) ^ 0xffff
        words[w + 4] = hot[h + A]
      }
    }
    const third = words[w + 2]
    const sum = (~(third >>> 16) & 0xffff) + delta
    const once = (sum & 0xffff) + (sum >>> 16)
    words[w + 2] = ((third & 0xffff) - 1) | (~((once & 0xffff) + (once >>> 16)) << 16)
    core.outward = outward
    if (outward) {
      hot[h + PACKETS_OUT]++
      this.#bytes[id * 8 + BYTES_OUT] += length
    } else {
      hot[h + PACKETS_IN]++
      this.#bytes[id * 8 + BYTES_IN] += length
    }
    if (cut) this.#originator.split4(slot, length, toDevice, core.mtu[toDevice])
    else this.#passage.send(slot, w, length, toDevice)
    return id
  }

  /**
   * What may stand in a frame's way: another plan, the last hop, a device that carries less.
   * @returns PASS, CUT where the packet must leave in fragments, or the verdict
   */
  #obstacle(
    id: FlowId,
    outward: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    if (this.#hot[id * HOT_WORDS + GENERATION] !== core.generation) {
      const reason = this.#again.decide(id)
      if (reason !== Drop.None) return core.drop(slot, reason)
    }
    const words = this.#words
    const w = frameAt(slot) >> 2
    if ((words[w + 2] & 0xff) <= 1) return this.#originator.ttlExpired4(slot, length, device)
    const mtu = core.mtu[this.#passage.deviceOf(id, outward)]
    if (length <= mtu) return PASS
    if (this.#passage.segmentsFit(w, transport, mtu)) return PASS
    if ((words[w + 1] & DONT_FRAGMENT) !== 0 || this.#passage.isSuperFrame(w))
      return this.#originator.tooBig4(slot, length, device, mtu)
    return CUT
  }

  /** Sends a later fragment of a datagram whose first fragment was of this flow: addresses and hop, no ports. */
  forwardPiece(id: FlowId, outward: boolean, slot: number, length: number): number {
    const core = this.#core
    const w = frameAt(slot) >> 2
    if ((core.slab.words[w + 2] & 0xff) <= 1) return core.drop(slot, Drop.TtlExpired)
    const toDevice = this.#passage.deviceOf(id, outward)
    const mtu = core.plan.devices.mtu[toDevice]
    if (length > mtu && (core.slab.words[w + 1] & DONT_FRAGMENT) !== 0) return core.drop(slot, Drop.TooBig)
    if ((core.flows.hot[id * HOT_WORDS + TAG] & TAG_HOSTS) === 0) this.#readdress(id, outward, w)
    else this.#hop(w, 0)
    this.#passage.count(id, outward, length)
    if (length > mtu) this.#originator.split4(slot, length, toDevice, mtu)
    else this.#passage.send(slot, w, length, toDevice)
    return id
  }

  /** As in `forward`, for a frame that has no transport header. */
  #readdress(id: FlowId, outward: boolean, w: number): void {
    const hot = this.#hot
    const h = id * HOT_WORDS
    const address = hot[h + LEASE] >>> 16
    if (outward) {
      this.#words[w + 3] = hot[h + TRANSLATED]
      this.#hop(w, address + this.#renumber(w, false))
    } else {
      this.#words[w + 4] = hot[h + A]
      this.#hop(w, address ^ 0xffff)
    }
  }

  /**
   * Gives a datagram that is or may be fragmented an identification of the ENI's own: hosts behind one address may choose the same (RFC 6864
   * section 5.3).
   * @param next false for a later fragment of the same datagram
   * @returns the delta of the header's sum
   */
  #renumber(w: number, next: boolean): number {
    if (next) this.#identification = (this.#identification + this.#core.shards) & 0xffff
    const word = this.#words[w + 1]
    this.#words[w + 1] = (word & 0xffff0000) | this.#identification
    return delta16(word & 0xffff, this.#identification)
  }

  /** Takes one hop off the TTL and brings the header's checksum in line with that and with `delta`. */
  #hop(w: number, delta: number): void {
    const words = this.#core.slab.words
    const hop = words[w + 2]
    const sum = (~(hop >>> 16) & 0xffff) + delta + TTL_DELTA
    const once = (sum & 0xffff) + (sum >>> 16)
    words[w + 2] = ((hop & 0xffff) - 1) | (~((once & 0xffff) + (once >>> 16)) << 16)
  }
}
