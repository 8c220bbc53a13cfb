/**
 * The gates that a flow's first packet must pass: where it goes, whether that may be, what the security groups of both ends say.
 *
 * Nothing is remembered here but the ENI that was found last; a verdict is Drop.None or the reason.
 */
import { opens, picksUp } from '../nat/tcp.ts'
import { ABSENT } from '../tables/addresses.ts'
import { Drop } from '../tables/drops.ts'
import { EniKind, NOTHING, RouteTarget } from '../vpc/plan.ts'
import { allows4, allows6, Direction, icmpPort } from '../vpc/policy.ts'
import { route4, route6 } from '../vpc/routing.ts'
import {
  isLimitedBroadcast4,
  isLinkLocal4,
  isLinkLocal6,
  isMartianDestination4,
  isMartianDestination6,
  isMulticast4,
  isMulticast6,
} from '../wire/address.ts'
import { swap16, swap32 } from '../wire/bytes.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import type { Core } from './core.ts'

/** Words from the beginning of an IPv6 header to its addresses. */
export const SOURCE6 = 2
export const DESTINATION6 = 6

export class Gates {
  readonly #core: Core
  /** The ENI that `destination4` or `destination6` found. */
  peer: number = NOTHING

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Addresses that nothing is sent to (RFC 1812 section 5.3.7), and a packet to its own source. An inside address may be a host's too (RFC
   * 4787 REQ-7), so for a function the ports must be the same as well.
   * @param ports as loaded; 0 where they do not matter
   */
  badDestination4(source: number, destination: number, ports: number): Drop {
    if (source === destination && samePorts(ports)) return Drop.Land
    if (isLimitedBroadcast4(destination)) return Drop.Broadcast
    if (isMulticast4(destination)) return Drop.Multicast
    if (isLinkLocal4(destination)) return Drop.LinkLocal
    return isMartianDestination4(destination) ? Drop.Martian : Drop.None
  }

  /** The same for the IPv6 header at word `w`. */
  badDestination6(words: Int32Array, w: number, ports: number): Drop {
    const d = w + DESTINATION6
    if (isMulticast6(words[d])) return Drop.Multicast
    if (isLinkLocal6(words[d])) return Drop.LinkLocal
    if (isMartianDestination6(words[d], words[d + 1], words[d + 2], words[d + 3])) return Drop.Martian
    const s = w + SOURCE6
    const same =
      words[s] === words[d] &&
      words[s + 1] === words[d + 1] &&
      words[s + 2] === words[d + 2] &&
      words[s + 3] === words[d + 3]
    return same && samePorts(ports) ? Drop.Land : Drop.None
  }

  /** Where a packet of this subnet goes; the ENI is left in `peer`. */
  destination4(vpc: number, subnet: number, destination: number): Drop {
    const target = route4(this.#core.plan, subnet, destination)
    if (target !== RouteTarget.Local) return target === NOTHING ? Drop.NoRoute : Drop.Blackhole
    const peer = this.#core.addresses.find4(vpc, destination)
    return peer === ABSENT && this.#isBroadcast4(vpc, destination) ? Drop.Broadcast : this.#reached(peer)
  }

  /** As `destination4`, the address at `words[at]`. */
  destination6(vpc: number, subnet: number, words: Int32Array, at: number): Drop {
    const target = route6(this.#core.plan, subnet, words, at)
    if (target !== RouteTarget.Local) return target === NOTHING ? Drop.NoRoute : Drop.Blackhole
    return this.#reached(this.#core.addresses.find6(vpc, words, at))
  }

  /** Whether an address that nobody has is the last one of a subnet. */
  #isBroadcast4(vpc: number, destination: number): boolean {
    const { network4, prefix4, vpc: vpcs } = this.#core.plan.subnets
    for (let subnet = 0; subnet < prefix4.length; subnet++)
      if (
        vpcs[subnet] === vpc &&
        prefix4[subnet] !== 0 &&
        destination === (network4[subnet] | swap32(0xffffffff >>> prefix4[subnet]))
      )
        return true
    return false
  }

  #reached(peer: number): Drop {
    if (peer === ABSENT) return Drop.NoHost
    // A hyperplane ENI takes nothing unasked, from a function as little as from a host.
    if (this.#core.plan.enis.kind[peer] === EniKind.Hyperplane) return Drop.Unsolicited
    this.peer = peer
    return Drop.None
  }

  /** The two gates: what the sender's groups let out, what the receiver's let in. */
  policy4(
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

  /** As `policy4`, the addresses at `sources[source]` and `destinations[destination]`. */
  policy6(
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
  mayStart(protocol: number, transport: number): Drop {
    const { bytes } = this.#core.slab
    if (protocol === Protocol.Udp) return Drop.None
    if (protocol === Protocol.Icmp) return bytes[transport] === icmp.Type.Echo ? Drop.None : Drop.NoFlow
    if (protocol === Protocol.Icmp6)
      return bytes[transport] === icmp6.Type.EchoRequest ? Drop.None : Drop.NoFlow
    const flags = tcp.flags(bytes, transport)
    if (opens(flags) || (this.#core.plan.settings.tcpPickup && picksUp(flags))) return Drop.None
    return Drop.TcpNotSyn
  }
}

const samePorts = (ports: number): boolean => (ports & 0xffff) === ports >>> 16

/** What a rule's port range is compared with: the destination port, or type and code of ICMP. */
export function policyPort(protocol: number, ports: number, bytes: Uint8Array, transport: number): number {
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmp6)
    return icmpPort(bytes[transport], bytes[transport + 1])
  return swap16(ports >>> 16)
}

/** The same of a flow in its course: an echo began as a request. */
export function policyPortOf(protocol: number, ports: number): number {
  if (protocol === Protocol.Icmp) return icmpPort(icmp.Type.Echo, 0)
  if (protocol === Protocol.Icmp6) return icmpPort(icmp6.Type.EchoRequest, 0)
  return swap16(ports >>> 16)
}
