/**
 * Admission: what is decided once a flow, at its first packet.
 *
 *     source check ▶ ENI of (function, subnet, groups) ▶ route ▶ destination ▶ security groups ▶ room ▶ port lease ▶ record
 *
 * Everything that later packets need goes into the record: addresses, ports, checksum deltas, devices, the generation of the plan. A flow found
 * with another generation is decided again (`again.ts`) before it is used.
 *
 * The answers are a record number, DROPPED or HANDED_OVER; a dropped frame is gone and counted when this returns.
 */

import { begin } from '../nat/tcp.ts'
import { TimeoutClass } from '../nat/timeouts.ts'
import { ABSENT } from '../tables/addresses.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import {
  A,
  ADDRESS6_WORDS,
  B,
  BYTES_IN,
  BYTES_OUT,
  COLD_WORDS,
  ENI,
  FLAG_BEGUN_BY_B,
  FLAG_LEASED,
  FLAG_LIVE,
  type FlowId,
  GENERATION,
  HOT_WORDS,
  LEASE,
  NEXT_ON_PORT,
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  SEEN,
  TAG,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { NO_PORT } from '../tables/ports.ts'
import { frameAt } from '../tables/slab.ts'
import { flowOwnerBetween, flowOwnerInside } from '../tables/steer.ts'
import { EniFlag, NOTHING } from '../vpc/plan.ts'
import { swap16 } from '../wire/bytes.ts'
import { addSums, delta16, delta32 } from '../wire/checksum.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import type { Core } from './core.ts'
import { swapPorts } from './flow4.ts'
import { type Gates, policyPort } from './gates.ts'
import type { Originator } from './originate.ts'
import type { Passage } from './passage.ts'

/** Words from the beginning of an IPv6 header to its addresses. */
const SOURCE6 = 2
const DESTINATION6 = 6

export class Admission {
  readonly #core: Core
  readonly #originator: Originator
  readonly #passage: Passage
  readonly #gates: Gates

  constructor(core: Core, originator: Originator, passage: Passage, gates: Gates) {
    this.#core = core
    this.#originator = originator
    this.#passage = passage
    this.#gates = gates
  }

  /** A function's first IPv4 packet. */
  inside4(
    hash: number,
    tag: number,
    ports: number,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): FlowId {
    const core = this.#core
    const { plan } = core
    const owner = this.#ownerInside(slot, tag & 0xff, transport)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const source = words[w + 3]
    const destination = words[w + 4]
    const environment = core.sources.find4(device, source)
    if (environment === ABSENT) return this.#drop(slot, Drop.SourceCheck)
    const eni = plan.environments.eni[environment]
    if (eni === NOTHING || plan.environments.active[environment] === 0)
      return this.#drop(slot, Drop.FunctionInactive)
    const bad = this.#gates.badDestination4(source, destination, ports)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const protocol = tag & 0xff
    if (protocol === Protocol.Icmp && (plan.environments.flags[environment] & EniFlag.Echo) === 0)
      return this.#drop(slot, Drop.EchoDisabled)
    const refusal = this.#gates.destination4(plan.enis.vpc[eni], plan.enis.subnet[eni], destination)
    if (refusal !== Drop.None) return this.#refuse4(slot, length, device, refusal)
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#gates.policy4(
      eni,
      this.#gates.peer,
      protocol,
      port,
      plan.enis.address4[eni],
      destination,
    )
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#gates.mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)

    // A packet that ends here begins nothing.
    if ((words[w + 2] & 0xff) <= 1) return this.#originator.ttlExpired4(slot, length, device) as FlowId
    const id = this.#record(eni, 0)
    if (id < 0) return this.#exhausted4(slot, length, device, -id as Drop)
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    hot[h + A] = source
    hot[h + B] = destination
    hot[h + PORTS] = ports
    hot[h + TAG] = tag
    hot[h + TRANSLATED] = plan.enis.address4[eni]
    const port4 = this.#lease(eni, id)
    if (port4 === NO_PORT) {
      this.#undo(id, eni, 0)
      return this.#exhausted4(slot, length, device, Drop.PortsExhausted)
    }
    const addresses = delta32(source, plan.enis.address4[eni])
    const portDelta = delta16(ports & 0xffff, swap16(port4))
    this.#finish(
      id,
      addresses,
      protocol === Protocol.Icmp ? portDelta : addSums(addresses, portDelta),
      this.#gates.peer,
    )
    return this.#commit(id, hash, slot, transport, length, protocol, FLAG_LEASED, true)
  }

  /** A function's first IPv6 packet. */
  inside6(
    hash: number,
    tag: number,
    ports: number,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): FlowId {
    const core = this.#core
    const { plan } = core
    const owner = this.#ownerInside(slot, tag & 0xff, transport)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const environment = core.sources.find6(device, words, w + SOURCE6)
    if (environment === ABSENT) return this.#drop(slot, Drop.SourceCheck)
    const eni = plan.environments.eni[environment]
    if (eni === NOTHING || plan.environments.active[environment] === 0)
      return this.#drop(slot, Drop.FunctionInactive)
    if ((plan.environments.flags[environment] & EniFlag.Ipv6) === 0) return this.#drop(slot, Drop.NoIpv6)
    const bad = this.#gates.badDestination6(words, w, ports)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const protocol = tag & 0xff
    if (protocol === Protocol.Icmp6 && (plan.environments.flags[environment] & EniFlag.Echo) === 0)
      return this.#drop(slot, Drop.EchoDisabled)
    const refusal = this.#gates.destination6(
      plan.enis.vpc[eni],
      plan.enis.subnet[eni],
      words,
      w + DESTINATION6,
    )
    if (refusal !== Drop.None) return this.#refuse6(slot, length, device, refusal)
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#gates.policy6(
      eni,
      this.#gates.peer,
      protocol,
      port,
      plan.enis.address6,
      eni * 4,
      words,
      w + DESTINATION6,
    )
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#gates.mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)

    if (words[w + 1] >>> 24 <= 1) return this.#originator.ttlExpired6(slot, length, device) as FlowId
    const id = this.#record(eni, 1)
    if (id < 0) return this.#exhausted6(slot, length, device, -id as Drop)
    const { hot, address6 } = core.flows
    const h = id * HOT_WORDS
    hot[h + A] = hash
    hot[h + B] = 0
    hot[h + PORTS] = ports
    hot[h + TAG] = tag
    hot[h + TRANSLATED] = eni
    let addresses = 0
    for (let i = 0; i < 4; i++) {
      const source = words[w + SOURCE6 + i]
      address6[id * ADDRESS6_WORDS + i] = source
      address6[id * ADDRESS6_WORDS + 4 + i] = words[w + DESTINATION6 + i]
      addresses = addSums(addresses, delta32(source, plan.enis.address6[eni * 4 + i]))
    }
    const leased = this.#lease(eni, id)
    if (leased === NO_PORT) {
      this.#undo(id, eni, 1)
      return this.#exhausted6(slot, length, device, Drop.PortsExhausted)
    }
    this.#finish(id, addresses, addSums(addresses, delta16(ports & 0xffff, swap16(leased))), this.#gates.peer)
    return this.#commit(id, hash, slot, transport, length, protocol, FLAG_LEASED, true)
  }

  /** The first IPv4 packet from a host to what is not a translating ENI. */
  hosts4(
    hash: number,
    tag: number,
    ports: number,
    swapped: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): FlowId {
    const core = this.#core
    const { plan } = core
    const owner = this.#ownerBetween(slot, tag & 0xff, transport)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const source = words[w + 3]
    const destination = words[w + 4]
    const eni = core.addresses.find4(plan.devices.vpc[device], source)
    if (eni === ABSENT || plan.enis.device[eni] !== device) return this.#drop(slot, Drop.SourceCheck)
    const bad = this.#gates.badDestination4(source, destination, 0)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const refusal = this.#gates.destination4(plan.enis.vpc[eni], plan.enis.subnet[eni], destination)
    if (refusal !== Drop.None) return this.#refuse4(slot, length, device, refusal)
    const protocol = tag & 0xff
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#gates.policy4(eni, this.#gates.peer, protocol, port, source, destination)
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#gates.mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)
    // A packet that ends here begins nothing.
    if ((words[w + 2] & 0xff) <= 1) return this.#originator.ttlExpired4(slot, length, device) as FlowId
    const id = this.#record(eni, NOTHING)
    if (id < 0) return this.#drop(slot, -id as Drop)
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    hot[h + A] = swapped ? destination : source
    hot[h + B] = swapped ? source : destination
    return this.#betweenHosts(id, hash, tag, ports, swapped, slot, length, transport, device)
  }

  /** The first IPv6 packet from a host to what is not a translating ENI. */
  hosts6(
    hash: number,
    tag: number,
    ports: number,
    swapped: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): FlowId {
    const core = this.#core
    const { plan } = core
    const owner = this.#ownerBetween(slot, tag & 0xff, transport)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const eni = core.addresses.find6(plan.devices.vpc[device], words, w + SOURCE6)
    if (eni === ABSENT || plan.enis.device[eni] !== device) return this.#drop(slot, Drop.SourceCheck)
    const bad = this.#gates.badDestination6(words, w, 0)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const refusal = this.#gates.destination6(
      plan.enis.vpc[eni],
      plan.enis.subnet[eni],
      words,
      w + DESTINATION6,
    )
    if (refusal !== Drop.None) return this.#refuse6(slot, length, device, refusal)
    const protocol = tag & 0xff
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#gates.policy6(
      eni,
      this.#gates.peer,
      protocol,
      port,
      words,
      w + SOURCE6,
      words,
      w + DESTINATION6,
    )
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#gates.mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)
    if (words[w + 1] >>> 24 <= 1) return this.#originator.ttlExpired6(slot, length, device) as FlowId
    const id = this.#record(eni, NOTHING)
    if (id < 0) return this.#drop(slot, -id as Drop)
    const { hot, address6 } = core.flows
    const h = id * HOT_WORDS
    hot[h + A] = hash
    hot[h + B] = 0
    const first = w + (swapped ? DESTINATION6 : SOURCE6)
    const second = w + (swapped ? SOURCE6 : DESTINATION6)
    for (let i = 0; i < 4; i++) {
      address6[id * ADDRESS6_WORDS + i] = words[first + i]
      address6[id * ADDRESS6_WORDS + 4 + i] = words[second + i]
    }
    return this.#betweenHosts(id, hash, tag, ports, swapped, slot, length, transport, device)
  }

  #drop(slot: number, reason: Drop): FlowId {
    return this.#core.drop(slot, reason) as FlowId
  }

  #ownerInside(slot: number, protocol: number, transport: number): number {
    const { shard, shards, slab, steeringKeys, takenOver } = this.#core
    if (shards === 1 || takenOver) return shard
    return flowOwnerInside(slab.bytes, frameAt(slot), protocol, transport, steeringKeys, shards)
  }

  #ownerBetween(slot: number, protocol: number, transport: number): number {
    const { shard, shards, slab, steeringKeys, takenOver } = this.#core
    if (shards === 1 || takenOver) return shard
    return flowOwnerBetween(slab.bytes, frameAt(slot), protocol, transport, steeringKeys, shards)
  }

  /**
   * A free record and, for a function's flow, a place on the ENI.
   * @param family 0 or 1 where the flow counts as a connection of the ENI, NOTHING where not
   * @returns the record, or the negative reason why there is none
   */
  #record(eni: number, family: number): FlowId {
    const core = this.#core
    if (core.flows.full && !core.conntrack.reclaimAny(core.now)) return -Drop.FlowTableFull as FlowId
    if (family !== NOTHING && !core.leases.claim(eni, family)) {
      if (!core.conntrack.reclaim(eni, core.now) || !core.leases.claim(eni, family))
        return -Drop.EniConnections as FlowId
    }
    const id = core.flows.allocate()
    core.flows.cold[id * COLD_WORDS + ENI] = eni
    return id
  }

  /** A port for the flow; where every port serves its remote end point, one that a flow gives up that is over. */
  #lease(eni: number, id: FlowId): number {
    const { leases, conntrack, counters, flows, now } = this.#core
    let port = leases.lease(eni, id)
    if (port === NO_PORT && conntrack.reclaim(eni, now, id)) port = leases.lease(eni, id)
    if (port !== NO_PORT && flows.cold[id * COLD_WORDS + NEXT_ON_PORT] !== 0)
      counters.values[Counter.PortsShared]++
    return port
  }

  #undo(id: FlowId, eni: number, family: number): void {
    this.#core.flows.abandon(id)
    this.#core.leases.unclaim(eni, family)
  }

  /** The parts of a translated record that follow from its lease. */
  #finish(id: FlowId, addresses: number, both: number, peer: number): void {
    const hot = this.#core.flows.hot
    const h = id * HOT_WORDS
    hot[h + LEASE] = (hot[h + LEASE] & 0xffff) | (addresses << 16)
    hot[h + OUT] = both | (this.#core.plan.enis.device[peer] << 16)
  }

  #betweenHosts(
    id: FlowId,
    hash: number,
    tag: number,
    ports: number,
    swapped: boolean,
    slot: number,
    length: number,
    transport: number,
    device: number,
  ): FlowId {
    const core = this.#core
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    const other = core.plan.enis.device[this.#gates.peer]
    hot[h + PORTS] = swapped ? swapPorts(ports) : ports
    hot[h + TAG] = tag
    hot[h + TRANSLATED] = swapped ? other : device
    hot[h + LEASE] = 0
    hot[h + OUT] = (swapped ? device : other) << 16
    return this.#commit(
      id,
      hash,
      slot,
      transport,
      length,
      tag & 0xff,
      swapped ? FLAG_BEGUN_BY_B : 0,
      !swapped,
    )
  }

  /** Makes the record a flow and puts it on its list. */
  #commit(
    id: FlowId,
    hash: number,
    slot: number,
    transport: number,
    length: number,
    protocol: number,
    flags: number,
    fromA: boolean,
  ): FlowId {
    const core = this.#core
    const { flows } = core
    const h = id * HOT_WORDS
    flows.hot[h + GENERATION] = core.generation
    flows.hot[h + SEEN] = core.now
    flows.hot[h + PACKETS_OUT] = 0
    flows.hot[h + PACKETS_IN] = 0
    flows.bytes[id * 8 + BYTES_OUT] = 0
    flows.bytes[id * 8 + BYTES_IN] = 0
    flows.created[id] = core.now
    let state = FLAG_LIVE | flags
    if (protocol === Protocol.Tcp) {
      const payload = length - (transport - frameAt(slot)) - tcp.headerLength(core.slab.bytes, transport)
      state |= begin(flows, id, core.slab.bytes, transport, payload, fromA)
    } else if (protocol === Protocol.Udp) state |= TimeoutClass.UdpOneway << 8
    else state |= TimeoutClass.Icmp << 8
    if (!flows.commit(id, hash, state)) {
      const eni = flows.cold[id * COLD_WORDS + ENI] & 0xffff
      if ((flags & FLAG_LEASED) !== 0) {
        core.leases.give(eni, id)
        core.leases.unclaim(eni, (flows.hot[h + TAG] & TAG_IPV6) !== 0 ? 1 : 0)
      }
      flows.abandon(id)
      return this.#drop(slot, Drop.FlowTableFull)
    }
    core.conntrack.begin(id)
    return id
  }

  /** No route or no host: the router says so to the sender; a blackhole and an ENI are silent. */
  #refuse4(slot: number, length: number, device: number, reason: Drop): FlowId {
    if (reason === Drop.NoRoute) this.#originator.unreachable4(slot, length, device, 0)
    return this.#drop(slot, reason)
  }

  #refuse6(slot: number, length: number, device: number, reason: Drop): FlowId {
    if (reason === Drop.NoRoute) this.#originator.unreachable6(slot, length, device, 0)
    return this.#drop(slot, reason)
  }

  /** Nothing left to lease (RFC 5508 REQ-8, RFC 6888 REQ-11): the function is told, as the plan says. */
  #exhausted4(slot: number, length: number, device: number, reason: Drop): FlowId {
    const { exhaustion } = this.#core.plan.settings
    if (exhaustion !== 'off')
      this.#originator.unreachable4(slot, length, device, exhaustion === 'admin' ? 13 : 1)
    return this.#drop(slot, reason)
  }

  #exhausted6(slot: number, length: number, device: number, reason: Drop): FlowId {
    const { exhaustion } = this.#core.plan.settings
    if (exhaustion !== 'off')
      this.#originator.unreachable6(slot, length, device, exhaustion === 'admin' ? 1 : 3)
    return this.#drop(slot, reason)
  }
}
