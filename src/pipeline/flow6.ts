/**
 * IPv6 frames whose headers were checked: find the flow or admit it, translate, send. The twin of `flow4.ts`.
 *
 * A record of an IPv6 flow has the hash of its tuple where an IPv4 flow has its addresses; the addresses themselves stand in `address6`, and the
 * ENI's in the plan.
 */
import { Drop } from '../tables/drops.ts'
import {
  ADDRESS6_WORDS,
  COLD_WORDS,
  type FlowId,
  GENERATION,
  HOT_WORDS,
  NEXT_ON_PORT,
  NO_FLOW,
  PORTS,
  TAG,
  TAG_HOSTS,
  TRANSLATED,
} from '../tables/flows.ts'
import { frameAt } from '../tables/slab.ts'
import { swap16 } from '../wire/bytes.ts'
import type { Admission } from './admit.ts'
import type { Again } from './again.ts'
import type { Core } from './core.ts'
import { swapPorts } from './flow4.ts'
import type { Originator } from './originate.ts'
import type { Passage } from './passage.ts'

/** Words from the beginning of a header to its source and destination address. */
const SOURCE = 2
const DESTINATION = 6
/** One hop, in the second word of a header: its last byte. */
const HOP = 1 << 24

/** Whether the ends of a flow between hosts come in the other order than source and destination. */
export function isSwapped6(words: Int32Array, w: number, ports: number): boolean {
  for (let i = 0; i < 4; i++) {
    const source = words[w + SOURCE + i]
    const destination = words[w + DESTINATION + i]
    if (source !== destination) return source > destination
  }
  return (ports & 0xffff) > ports >>> 16
}

export class Flow6 {
  readonly #core: Core
  readonly #admission: Admission
  readonly #again: Again
  readonly #originator: Originator
  readonly #passage: Passage

  constructor(core: Core, admission: Admission, again: Again, originator: Originator, passage: Passage) {
    this.#core = core
    this.#admission = admission
    this.#again = again
    this.#originator = originator
    this.#passage = passage
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
    const w = frameAt(slot) >> 2
    let id = core.flows.find6(hash, core.slab.words, w + SOURCE, w + DESTINATION, ports, tag)
    if (id !== NO_FLOW && this.#passage.reopens(id, true, tag & 0xff, transport)) {
      core.conntrack.end(id)
      id = NO_FLOW
    }
    if (id === NO_FLOW) {
      id = this.#admission.inside6(hash, tag, ports, slot, length, transport, device)
      if (id < 0) return id
    }
    return this.forward(id, true, slot, length, transport, device)
  }

  /** A frame from a host to a translating ENI; the parameters are those of `Flow4.inward`. */
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
    const id = this.find(eni, space, port, core.slab.words, (frameAt(slot) >> 2) + SOURCE, remote)
    if (id < 0) {
      if (id === NO_FLOW || core.takenOver) return core.drop(slot, Drop.Unsolicited)
      return this.#passage.handOver(-2 - id, slot, length, device)
    }
    const reason = this.#comesFrom(id as FlowId, false, device)
    if (reason !== Drop.None) return core.drop(slot, reason)
    return this.forward(id as FlowId, false, slot, length, transport, device)
  }

  /** As `Flow4.find`, the remote address at `words[remote]`. */
  find(
    eni: number,
    space: number,
    port: number,
    words: Int32Array,
    remote: number,
    remotePort: number,
  ): number {
    const core = this.#core
    const ports = core.leases.portsOf(eni)
    if (ports === undefined) return NO_FLOW
    const entry = ports.entry(space, swap16(port))
    if (entry === 0) return NO_FLOW
    const owner = (entry >>> 24) - 1
    if (owner !== core.shard) return -2 - owner
    const { hot, cold, address6 } = core.flows
    let id = (entry & 0xffffff) - 1
    for (; id !== NO_FLOW; id = cold[id * COLD_WORDS + NEXT_ON_PORT] - 1) {
      const six = id * ADDRESS6_WORDS + 4
      if (
        hot[id * HOT_WORDS + PORTS] >>> 16 === remotePort &&
        address6[six] === words[remote] &&
        address6[six + 1] === words[remote + 1] &&
        address6[six + 2] === words[remote + 2] &&
        address6[six + 3] === words[remote + 3]
      )
        break
    }
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
    const w = frameAt(slot) >> 2
    const swapped = isSwapped6(words, w, ports)
    let id = swapped
      ? core.flows.find6(hash, words, w + DESTINATION, w + SOURCE, swapPorts(ports), tag)
      : core.flows.find6(hash, words, w + SOURCE, w + DESTINATION, ports, tag)
    if (id !== NO_FLOW && this.#passage.reopens(id, !swapped, tag & 0xff, transport)) {
      core.conntrack.end(id)
      id = NO_FLOW
    }
    if (id === NO_FLOW) {
      id = this.#admission.hosts6(hash, tag, ports, swapped, slot, length, transport, device)
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

  /** Sends a frame of a flow on its way, from end A (`outward`) or to it: hop, size, tracking, counters, addresses, checksums. */
  forward(
    id: FlowId,
    outward: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): number {
    const core = this.#core
    const passage = this.#passage
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    if (hot[h + GENERATION] !== core.generation) {
      const reason = this.#again.decide(id)
      if (reason !== Drop.None) return core.drop(slot, reason)
    }
    const words = core.slab.words
    const frame = frameAt(slot)
    const w = frame >> 2
    const toDevice = passage.deviceOf(id, outward)
    if (words[w + 1] >>> 24 <= 1) return this.#originator.ttlExpired6(slot, length, device)
    const mtu = core.mtu[toDevice]
    if (length > mtu && !passage.segmentsFit(w, transport, mtu))
      return this.#originator.tooBig6(slot, length, device, mtu)
    const tag = hot[h + TAG]
    passage.track(id, outward, tag & 0xff, w, transport, length - (transport - frame))
    if ((tag & TAG_HOSTS) === 0) {
      passage.translate(id, outward, w, transport >> 2)
      this.#readdress(id, outward, w)
    }
    words[w + 1] -= HOP
    passage.count(id, outward, length)
    passage.send(slot, w, length, toDevice)
    return id
  }

  /** Sends a later fragment of a datagram whose first fragment was of this flow: addresses and hop, no ports. */
  forwardPiece(id: FlowId, outward: boolean, slot: number, length: number, device: number): number {
    const core = this.#core
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    if (words[w + 1] >>> 24 <= 1) return core.drop(slot, Drop.TtlExpired)
    const toDevice = this.#passage.deviceOf(id, outward)
    const mtu = core.mtu[toDevice]
    if (length > mtu) return this.#originator.tooBig6(slot, length, device, mtu)
    if ((core.flows.hot[id * HOT_WORDS + TAG] & TAG_HOSTS) === 0) this.#readdress(id, outward, w)
    words[w + 1] -= HOP
    this.#passage.count(id, outward, length)
    this.#passage.send(slot, w, length, toDevice)
    return id
  }

  #readdress(id: FlowId, outward: boolean, w: number): void {
    const core = this.#core
    const words = core.slab.words
    if (outward) {
      const addresses = core.plan.enis.address6
      const eni = core.flows.hot[id * HOT_WORDS + TRANSLATED] * 4
      for (let i = 0; i < 4; i++) words[w + SOURCE + i] = addresses[eni + i]
    } else {
      const six = id * ADDRESS6_WORDS
      for (let i = 0; i < 4; i++) words[w + DESTINATION + i] = core.flows.address6[six + i]
    }
  }
}
