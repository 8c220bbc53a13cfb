/**
 * Admission: what is decided once a flow, at its first packet.
 *
 *     source check ▶ ENI of (function, subnet, groups) ▶ route ▶ destination ▶ security groups ▶ room ▶ port lease ▶ record
 *
 * Everything that later packets need goes into the record: addresses, ports, checksum deltas, devices, the generation of the plan. A flow found
 * with another generation is decided `again` before it is used. A function's flow keeps the ENI it began on.
 *
 * The answers are a record number, DROPPED or HANDED_OVER; a dropped frame is gone and counted when this returns.
 */

import { begin, opens, picksUp } from '../nat/tcp.ts'
import { TimeoutClass } from '../nat/timeouts.ts'
import { ABSENT } from '../tables/addresses.ts'
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
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  SEEN,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { NO_PORT } from '../tables/ports.ts'
import { frameAt } from '../tables/slab.ts'
import { ownerBetween, ownerInside } from '../tables/steer.ts'
import { EniFlag, EniKind, NOTHING, RouteTarget } from '../vpc/plan.ts'
import { allows4, allows6, Direction } from '../vpc/policy.ts'
import { route4, route6 } from '../vpc/routing.ts'
import {
  isLimitedBroadcast4,
  isMartianDestination4,
  isMartianDestination6,
  isMulticast4,
  isMulticast6,
} from '../wire/address.ts'
import { swap16 } from '../wire/bytes.ts'
import { addSums, delta16, delta32 } from '../wire/checksum.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import type { Core } from './core.ts'
import { swapPorts } from './flow4.ts'
import type { Originator } from './originate.ts'
import { type Passage, scopeOf } from './passage.ts'

/** Words from the beginning of an IPv6 header to its addresses. */
const SOURCE6 = 2
const DESTINATION6 = 6

export class Admission {
  readonly #core: Core
  readonly #originator: Originator
  readonly #passage: Passage
  /** The ENI that `#destination` found. */
  #peer = NOTHING

  constructor(core: Core, originator: Originator, passage: Passage) {
    this.#core = core
    this.#originator = originator
    this.#passage = passage
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
    const owner = this.#ownerInside(slot, length)
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
    const bad = this.#badDestination4(source, destination)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const protocol = tag & 0xff
    if (protocol === Protocol.Icmp && (plan.environments.flags[environment] & EniFlag.Echo) === 0)
      return this.#drop(slot, Drop.EchoDisabled)
    const refusal = this.#destination4(plan.enis.vpc[eni], plan.enis.subnet[eni], destination)
    if (refusal !== Drop.None) return this.#refuse4(slot, length, device, refusal)
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#policy4(eni, this.#peer, protocol, port, plan.enis.address4[eni], destination)
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)

    const id = this.#record(eni, 0)
    if (id < 0) return this.#exhausted4(slot, length, device, -id as Drop)
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    hot[h + A] = source
    hot[h + B] = destination
    hot[h + PORTS] = ports
    hot[h + TAG] = tag
    hot[h + TRANSLATED] = plan.enis.address4[eni]
    const port4 = core.leases.lease(eni, id)
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
      this.#peer,
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
    const owner = this.#ownerInside(slot, length)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const environment = core.sources.find6(device, words, w + SOURCE6)
    if (environment === ABSENT) return this.#drop(slot, Drop.SourceCheck)
    const eni = plan.environments.eni[environment]
    if (eni === NOTHING || plan.environments.active[environment] === 0)
      return this.#drop(slot, Drop.FunctionInactive)
    if ((plan.environments.flags[environment] & EniFlag.Ipv6) === 0) return this.#drop(slot, Drop.NoIpv6)
    const bad = this.#badDestination6(words, w)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const protocol = tag & 0xff
    if (protocol === Protocol.Icmp6 && (plan.environments.flags[environment] & EniFlag.Echo) === 0)
      return this.#drop(slot, Drop.EchoDisabled)
    const refusal = this.#destination6(plan.enis.vpc[eni], plan.enis.subnet[eni], words, w + DESTINATION6)
    if (refusal !== Drop.None) return this.#refuse6(slot, length, device, refusal)
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#policy6(
      eni,
      this.#peer,
      protocol,
      port,
      plan.enis.address6,
      eni * 4,
      words,
      w + DESTINATION6,
    )
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)

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
    const leased = core.leases.lease(eni, id)
    if (leased === NO_PORT) {
      this.#undo(id, eni, 1)
      return this.#exhausted6(slot, length, device, Drop.PortsExhausted)
    }
    this.#finish(id, addresses, addSums(addresses, delta16(ports & 0xffff, swap16(leased))), this.#peer)
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
    const owner = this.#ownerBetween(slot, length)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const source = words[w + 3]
    const destination = words[w + 4]
    const eni = core.addresses.find4(plan.devices.vpc[device], source)
    if (eni === ABSENT || plan.enis.device[eni] !== device) return this.#drop(slot, Drop.SourceCheck)
    const bad = this.#badDestination4(source, destination)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const refusal = this.#destination4(plan.enis.vpc[eni], plan.enis.subnet[eni], destination)
    if (refusal !== Drop.None) return this.#refuse4(slot, length, device, refusal)
    const protocol = tag & 0xff
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#policy4(eni, this.#peer, protocol, port, source, destination)
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)
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
    const owner = this.#ownerBetween(slot, length)
    if (owner !== core.shard) return this.#passage.handOver(owner, slot, length, device) as FlowId
    const words = core.slab.words
    const w = frameAt(slot) >> 2
    const eni = core.addresses.find6(plan.devices.vpc[device], words, w + SOURCE6)
    if (eni === ABSENT || plan.enis.device[eni] !== device) return this.#drop(slot, Drop.SourceCheck)
    const bad = this.#badDestination6(words, w)
    if (bad !== Drop.None) return this.#drop(slot, bad)
    const refusal = this.#destination6(plan.enis.vpc[eni], plan.enis.subnet[eni], words, w + DESTINATION6)
    if (refusal !== Drop.None) return this.#refuse6(slot, length, device, refusal)
    const protocol = tag & 0xff
    const port = policyPort(protocol, ports, core.slab.bytes, transport)
    const denied = this.#policy6(eni, this.#peer, protocol, port, words, w + SOURCE6, words, w + DESTINATION6)
    if (denied !== Drop.None) return this.#drop(slot, denied)
    const starts = this.#mayStart(protocol, transport)
    if (starts !== Drop.None) return this.#drop(slot, starts)
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

  /**
   * Decides a flow again under the plan in force: do both its ends still exist, and where; do the rules still allow it, where that is asked.
   * @returns the reason why its packets drop now; the flow then is over
   */
  again(id: FlowId): Drop {
    const reason = this.#decideAgain(id)
    if (reason !== Drop.None) this.#core.conntrack.end(id)
    else this.#core.flows.hot[id * HOT_WORDS + GENERATION] = this.#core.generation
    return reason
  }

  #decideAgain(id: FlowId): Drop {
    const core = this.#core
    const { plan } = core
    const { hot, cold, address6 } = core.flows
    const h = id * HOT_WORDS
    const tag = hot[h + TAG]
    const wide = (tag & TAG_IPV6) !== 0
    const hosts = (tag & TAG_HOSTS) !== 0
    const eni = cold[id * COLD_WORDS + ENI] & 0xffff
    const kind = plan.enis.kind[eni]
    if (kind !== (hosts ? EniKind.Host : EniKind.Hyperplane)) return Drop.PlanChanged
    const vpc = plan.enis.vpc[eni]
    const six = id * ADDRESS6_WORDS
    if (!hosts) {
      const device = scopeOf(tag)
      const environment = wide
        ? core.sources.find6(device, address6, six)
        : core.sources.find4(device, hot[h + A])
      if (environment === ABSENT) return Drop.PlanChanged
      if (plan.environments.active[environment] === 0) return Drop.FunctionInactive
      if (!wide && plan.enis.address4[eni] !== hot[h + TRANSLATED]) return Drop.PlanChanged
    }
    const peer = wide ? core.addresses.find6(vpc, address6, six + 4) : core.addresses.find4(vpc, hot[h + B])
    if (peer === ABSENT || plan.enis.device[peer] === NOTHING) return Drop.NoHost
    hot[h + OUT] = (hot[h + OUT] & 0xffff) | (plan.enis.device[peer] << 16)
    let first = eni
    if (hosts) {
      first = wide ? core.addresses.find6(vpc, address6, six) : core.addresses.find4(vpc, hot[h + A])
      if (first === ABSENT || plan.enis.device[first] === NOTHING) return Drop.NoHost
      hot[h + TRANSLATED] = plan.enis.device[first]
    }
    if (plan.settings.ruleChange === 'keep') return Drop.None
    const byB = (hot[h + STATE] & FLAG_BEGUN_BY_B) !== 0
    const ports = byB ? swapPorts(hot[h + PORTS]) : hot[h + PORTS]
    const from = byB ? peer : first
    const to = byB ? first : peer
    const port = swap16(ports >>> 16)
    return wide
      ? this.#policy6(from, to, tag & 0xff, port, plan.enis.address6, from * 4, plan.enis.address6, to * 4)
      : this.#policy4(from, to, tag & 0xff, port, plan.enis.address4[from], plan.enis.address4[to])
  }

  #drop(slot: number, reason: Drop): FlowId {
    return this.#core.drop(slot, reason) as FlowId
  }

  #ownerInside(slot: number, length: number): number {
    const core = this.#core
    if (core.shards === 1 || core.takenOver) return core.shard
    return ownerInside(core.slab.bytes, frameAt(slot), length, core.steeringKeys, core.shards)
  }

  #ownerBetween(slot: number, length: number): number {
    const core = this.#core
    if (core.shards === 1 || core.takenOver) return core.shard
    return ownerBetween(core.slab.bytes, frameAt(slot), length, core.steeringKeys, core.shards)
  }

  #badDestination4(source: number, destination: number): Drop {
    if (source === destination) return Drop.Land
    if (isLimitedBroadcast4(destination)) return Drop.Broadcast
    if (isMulticast4(destination)) return Drop.Multicast
    return isMartianDestination4(destination) ? Drop.Martian : Drop.None
  }

  #badDestination6(words: Int32Array, w: number): Drop {
    const d = w + DESTINATION6
    if (isMulticast6(words[d])) return Drop.Multicast
    if (isMartianDestination6(words[d], words[d + 1], words[d + 2], words[d + 3])) return Drop.Martian
    const s = w + SOURCE6
    const same =
      words[s] === words[d] &&
      words[s + 1] === words[d + 1] &&
      words[s + 2] === words[d + 2] &&
      words[s + 3] === words[d + 3]
    return same ? Drop.Land : Drop.None
  }

  /** Where a packet of this subnet goes; the ENI is left in `#peer`. */
  #destination4(vpc: number, subnet: number, destination: number): Drop {
    const target = route4(this.#core.plan, subnet, destination)
    if (target !== RouteTarget.Local) return target === NOTHING ? Drop.NoRoute : Drop.Blackhole
    return this.#reached(this.#core.addresses.find4(vpc, destination))
  }

  #destination6(vpc: number, subnet: number, words: Int32Array, at: number): Drop {
    const target = route6(this.#core.plan, subnet, words, at)
    if (target !== RouteTarget.Local) return target === NOTHING ? Drop.NoRoute : Drop.Blackhole
    return this.#reached(this.#core.addresses.find6(vpc, words, at))
  }

  #reached(peer: number): Drop {
    if (peer === ABSENT) return Drop.NoHost
    // A hyperplane ENI takes nothing unasked, from a function as little as from a host.
    if (this.#core.plan.enis.kind[peer] === EniKind.Hyperplane) return Drop.Unsolicited
    this.#peer = peer
    return Drop.None
  }

  /** The two gates: what the sender's groups let out, what the receiver's let in. */
  #policy4(
    from: number,
    to: number,
    protocol: number,
    port: number,
    source: number,
    destination: number,
  ): Drop {
    const { plan } = this.#core
    const sets = plan.enis.ruleSet
    if (!allows4(plan, sets[from], Direction.Egress, protocol, port, destination, sets[to]))
      return Drop.SecurityGroupEgress
    return allows4(plan, sets[to], Direction.Ingress, protocol, port, source, sets[from])
      ? Drop.None
      : Drop.SecurityGroupIngress
  }

  #policy6(
    from: number,
    to: number,
    protocol: number,
    port: number,
    sources: Int32Array,
    source: number,
    destinations: Int32Array,
    destination: number,
  ): Drop {
    const { plan } = this.#core
    const sets = plan.enis.ruleSet
    if (!allows6(plan, sets[from], Direction.Egress, protocol, port, destinations, destination, sets[to]))
      return Drop.SecurityGroupEgress
    return allows6(plan, sets[to], Direction.Ingress, protocol, port, sources, source, sets[from])
      ? Drop.None
      : Drop.SecurityGroupIngress
  }

  /** Whether a packet may be the first of a flow: a SYN, or any ACK where flows are picked up in mid-stream; a request. */
  #mayStart(protocol: number, transport: number): Drop {
    const { bytes } = this.#core.slab
    if (protocol === Protocol.Udp) return Drop.None
    if (protocol === Protocol.Icmp) return bytes[transport] === icmp.Type.Echo ? Drop.None : Drop.NoFlow
    if (protocol === Protocol.Icmp6)
      return bytes[transport] === icmp6.Type.EchoRequest ? Drop.None : Drop.NoFlow
    const flags = tcp.flags(bytes, transport)
    if (opens(flags) || (this.#core.plan.settings.tcpPickup && picksUp(flags))) return Drop.None
    return Drop.TcpNotSyn
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
    const other = core.plan.enis.device[this.#peer]
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

/** What a rule's port range is compared with: the destination port, or type and code of ICMP. */
export function policyPort(protocol: number, ports: number, bytes: Uint8Array, transport: number): number {
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmp6)
    return (bytes[transport] << 8) | bytes[transport + 1]
  return swap16(ports >>> 16)
}
