/**
 * The slow path: frames that want a second look. Options, extension headers, fragments, ICMP, whatever is malformed.
 *
 * A frame is checked here in full and by the byte; what is a plain packet after all goes to the flows through `dispatch.ts`. Every way out is a
 * frame sent, handed over, held, or dropped with one reason.
 */

import { Drop } from '../tables/drops.ts'
import { frameAt, VNET_LEN } from '../tables/slab.ts'
import { load32 } from '../wire/bytes.ts'
import { ChainFault, WALK_LEN, Walk, walk } from '../wire/extensions.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import * as udp from '../wire/udp.ts'
import * as vnet from '../wire/vnet.ts'
import type { Core } from './core.ts'
import type { Datagrams } from './datagrams.ts'
import type { Dispatch } from './dispatch.ts'
import type { Errors } from './errors.ts'
import type { Originator } from './originate.ts'

const FAULT4 = [
  Drop.None,
  Drop.Truncated,
  Drop.BadVersion,
  Drop.BadHeaderLength,
  Drop.BadTotalLength,
] as const
const FAULT6 = [Drop.None, Drop.Truncated, Drop.BadVersion, Drop.BadTotalLength] as const

/** What a fault in a chain of extension headers is called here, by ChainFault. */
const CHAIN: Record<ChainFault, Drop> = {
  [ChainFault.None]: Drop.None,
  [ChainFault.Truncated]: Drop.Truncated,
  [ChainFault.TooLong]: Drop.ExtensionHeader,
  [ChainFault.HopByHopNotFirst]: Drop.ExtensionHeader,
  [ChainFault.RoutingType0]: Drop.SourceRoute,
  [ChainFault.SecondFragment]: Drop.ExtensionHeader,
  [ChainFault.OptionMalformed]: Drop.BadOption,
  [ChainFault.OptionRefused]: Drop.BadOption,
  [ChainFault.Jumbogram]: Drop.Jumbogram,
  [ChainFault.NoNextHeader]: Drop.ProtocolUnsupported,
  [ChainFault.Authentication]: Drop.ProtocolUnsupported,
  [ChainFault.Encryption]: Drop.ProtocolUnsupported,
  [ChainFault.Unknown]: Drop.ProtocolUnsupported,
}

export class SlowPath {
  readonly #core: Core
  readonly #dispatch: Dispatch
  readonly #originator: Originator
  readonly #errors: Errors
  readonly #datagrams: Datagrams
  readonly #walk = new Int32Array(WALK_LEN)

  constructor(core: Core, dispatch: Dispatch, originator: Originator, errors: Errors, datagrams: Datagrams) {
    this.#core = core
    this.#dispatch = dispatch
    this.#originator = originator
    this.#errors = errors
    this.#datagrams = datagrams
  }

  /** Any frame as it was received. */
  handle(slot: number, length: number, device: number): number {
    if (length < 1) return this.#core.drop(slot, Drop.Truncated)
    const version = this.#core.slab.bytes[frameAt(slot)] >>> 4
    if (version === 4) return this.#handle4(slot, length, device)
    if (version === 6) return this.#handle6(slot, length, device)
    return this.#core.drop(slot, Drop.BadVersion)
  }

  #handle4(slot: number, length: number, device: number): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const fault = ipv4.fault(bytes, at, at + length)
    if (fault !== ipv4.Fault.None) return core.drop(slot, FAULT4[fault])
    if (!ipv4.checksumHolds(bytes, at)) return core.drop(slot, Drop.BadHeaderChecksum)
    const option = ipv4.optionFault(bytes, at)
    if (option !== ipv4.OptionFault.None)
      return core.drop(slot, option === ipv4.OptionFault.SourceRoute ? Drop.SourceRoute : Drop.BadOption)
    // A trailer behind the packet is not part of it (RFC 1812 section 5.2.2).
    const total = ipv4.totalLength(bytes, at)
    if (ipv4.isFragment(bytes, at)) return this.#datagrams.arrive4(slot, total, device)
    return this.transport4(slot, total, device, at + total)
  }

  /**
   * An IPv4 packet whose header is right, from its transport header on.
   * @param end where the datagram ends: behind the frame for a first fragment
   * @returns the verdict of the flow, where there is one
   */
  transport4(slot: number, length: number, device: number, end: number): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const transport = ipv4.payloadAt(bytes, at)
    const protocol = ipv4.protocol(bytes, at)
    const reason = this.#transportFault(protocol, transport, at + length, end)
    if (reason !== Drop.None) return core.drop(slot, reason)
    if (protocol === Protocol.Tcp || protocol === Protocol.Udp)
      return this.#dispatch.packet4(slot, length, transport, protocol, load32(bytes, transport), device)
    if (protocol !== Protocol.Icmp) return core.drop(slot, Drop.ProtocolUnsupported)
    const type = icmp.type(bytes, transport)
    if (icmp.isError(type))
      return this.#errors.translate4(slot, length, transport, device, end === at + length)
    if (type !== icmp.Type.Echo && type !== icmp.Type.EchoReply) return core.drop(slot, Drop.IcmpType)
    const identifier = load32(bytes, transport + 4) & 0xffff
    return this.#dispatch.packet4(slot, length, transport, protocol, identifier, device)
  }

  #handle6(slot: number, length: number, device: number): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const fault = ipv6.fault(bytes, at, at + length)
    if (fault !== ipv6.Fault.None) return core.drop(slot, FAULT6[fault])
    const total = ipv6.endAt(bytes, at) - at
    const found = this.#walk
    const chain = walk(bytes, at, at + total, found)
    if (chain !== ChainFault.None) return this.#chainFault(slot, total, device, chain)
    if (found[Walk.FragmentAt] >= 0) return this.#datagrams.arrive6(slot, total, device, found)
    return this.transport6(slot, total, device, found[Walk.Protocol], found[Walk.TransportAt], at + total)
  }

  /** An IPv6 packet whose chain of headers is right, from its transport header on; as `transport4`. */
  transport6(
    slot: number,
    length: number,
    device: number,
    protocol: number,
    transport: number,
    end: number,
  ): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const reason = this.#transportFault(protocol, transport, at + length, end)
    if (reason !== Drop.None) return core.drop(slot, reason)
    if (protocol === Protocol.Tcp)
      return this.#dispatch.packet6(slot, length, transport, protocol, load32(bytes, transport), device)
    if (protocol === Protocol.Udp) {
      // RFC 8200 section 8.1: over IPv6 the checksum is not optional.
      if (udp.checksum(bytes, transport) === 0 && !vnet.needsChecksum(bytes, at - VNET_LEN))
        return core.drop(slot, Drop.UdpZeroChecksum)
      return this.#dispatch.packet6(slot, length, transport, protocol, load32(bytes, transport), device)
    }
    if (protocol !== Protocol.Icmp6) return core.drop(slot, Drop.ProtocolUnsupported)
    const type = icmp6.type(bytes, transport)
    if (icmp6.isLinkScoped(type)) return core.drop(slot, Drop.NeighborDiscovery)
    if (icmp6.isError(type))
      return this.#errors.translate6(slot, length, transport, device, end === at + length)
    if (!icmp6.isEcho(type)) return core.drop(slot, Drop.IcmpType)
    const identifier = load32(bytes, transport + 4) & 0xffff
    return this.#dispatch.packet6(slot, length, transport, protocol, identifier, device)
  }

  /** What is wrong with a transport header. A first fragment has its header whole, and not all of its data. */
  #transportFault(protocol: number, transport: number, end: number, datagramEnd: number): Drop {
    const { bytes } = this.#core.slab
    if (protocol === Protocol.Tcp) {
      if (!tcp.fits(bytes, transport, end)) return Drop.BadTransportHeader
      return tcp.flagsAreLegal(tcp.flags(bytes, transport)) ? Drop.None : Drop.BadTcpFlags
    }
    if (protocol === Protocol.Udp) {
      if (!udp.headerFits(transport, end)) return Drop.BadTransportHeader
      return udp.fits(bytes, transport, datagramEnd) ? Drop.None : Drop.BadUdpLength
    }
    if (protocol === Protocol.Icmp || protocol === Protocol.Icmp6)
      return icmp.fits(bytes, transport, end) ? Drop.None : Drop.BadTransportHeader
    return Drop.None
  }

  #chainFault(slot: number, length: number, device: number, fault: ChainFault): number {
    const at = this.#walk[Walk.Pointer]
    if (fault === ChainFault.RoutingType0)
      this.#originator.parameterProblem6(slot, length, device, icmp6.Problem.Field, at)
    else if (fault === ChainFault.OptionRefused)
      this.#originator.parameterProblem6(slot, length, device, icmp6.Problem.Option, at)
    else if (fault === ChainFault.Truncated && this.#walk[Walk.FragmentAt] >= 0)
      this.#originator.parameterProblem6(slot, length, device, icmp6.Problem.IncompleteChain, 0)
    return this.#core.drop(slot, CHAIN[fault])
  }
}
