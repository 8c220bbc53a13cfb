/**
 * Which way a checked packet takes: out of an environment, to a translating ENI, or from host to host.
 *
 * This is the slow path's door to the flows, one frame at a time; `pipeline.ts` does the same over a burst for the frames that need no
 * second look.
 */
import { ABSENT } from '../tables/addresses.ts'
import { Drop } from '../tables/drops.ts'
import { TAG_IPV6 } from '../tables/flows.ts'
import { SPACE_ICMP, SPACE_TCP, SPACE_UDP } from '../tables/ports.ts'
import { frameAt } from '../tables/slab.ts'
import { DeviceKind, EniKind } from '../vpc/plan.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import { Protocol } from '../wire/protocol.ts'
import type { Core } from './core.ts'
import { type Flow4, isSwapped4, swapPorts } from './flow4.ts'
import { type Flow6, isSwapped6 } from './flow6.ts'
import { hostsTag, insideTag } from './passage.ts'

/** The space of an ENI's ports for a protocol, in IPv4. */
export const spaceOfProtocol = (protocol: number): number =>
  protocol === Protocol.Tcp ? SPACE_TCP : protocol === Protocol.Udp ? SPACE_UDP : SPACE_ICMP

const isEcho = (protocol: number): boolean => protocol === Protocol.Icmp || protocol === Protocol.Icmp6

/** Whether an echo message asks, in either family. */
const asks = (type: number): boolean => type === icmp.Type.Echo || type === icmp6.Type.EchoRequest

/**
 * What an echo between hosts has for ports: its identifier at the end that asks, 0 at the one that answers. So a question the other way
 * is another flow, which has to pass the rules by itself.
 * @param type of the message @param identifier as loaded
 */
export const echoPorts = (type: number, identifier: number): number =>
  asks(type) ? identifier : identifier << 16

/** Whether a device has environments behind it. */
export const isInside = (core: Core, device: number): boolean =>
  core.plan.devices.kind[device] === DeviceKind.Environments

export class Dispatch {
  readonly #core: Core
  readonly flow4: Flow4
  readonly flow6: Flow6

  constructor(core: Core, flow4: Flow4, flow6: Flow6) {
    this.#core = core
    this.flow4 = flow4
    this.flow6 = flow6
  }

  /**
   * An IPv4 packet of TCP, UDP or echo.
   * @param ports source and destination port as loaded; for echo the identifier in the lower half
   */
  packet4(
    slot: number,
    length: number,
    transport: number,
    protocol: number,
    ports: number,
    device: number,
  ): number {
    const core = this.#core
    const { words } = core.slab
    const w = frameAt(slot) >> 2
    const source = words[w + 3]
    const destination = words[w + 4]
    const { hasher } = core.flows
    if (isInside(core, device)) {
      // No question reaches a function, so it has nothing to answer.
      if (isEcho(protocol) && !asks(core.slab.bytes[transport])) return core.drop(slot, Drop.NoFlow)
      const tag = insideTag(protocol, device)
      return this.flow4.outward(
        hasher.hash4(source, destination, ports, tag),
        tag,
        ports,
        slot,
        length,
        transport,
        device,
      )
    }
    const vpc = core.plan.devices.vpc[device]
    const eni = core.addresses.find4(vpc, destination)
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane) {
      const echo = protocol === Protocol.Icmp
      // What a function asked lets answers in, and no questions.
      if (echo && asks(core.slab.bytes[transport])) return core.drop(slot, Drop.Unsolicited)
      const port = echo ? ports & 0xffff : ports >>> 16
      const remote = echo ? 0 : ports & 0xffff
      return this.flow4.inward(eni, spaceOfProtocol(protocol), port, remote, slot, length, transport, device)
    }
    const tag = hostsTag(protocol, vpc)
    const pair = protocol === Protocol.Icmp ? echoPorts(core.slab.bytes[transport], ports) : ports
    const hash = isSwapped4(source, destination, pair)
      ? hasher.hash4(destination, source, swapPorts(pair), tag)
      : hasher.hash4(source, destination, pair, tag)
    return this.flow4.between(hash, tag, pair, slot, length, transport, device)
  }

  /** An IPv6 packet of TCP, UDP or echo; as `packet4`. */
  packet6(
    slot: number,
    length: number,
    transport: number,
    protocol: number,
    ports: number,
    device: number,
  ): number {
    const core = this.#core
    const { words } = core.slab
    const w = frameAt(slot) >> 2
    const { hasher } = core.flows
    if (isInside(core, device)) {
      // No question reaches a function, so it has nothing to answer.
      if (isEcho(protocol) && !asks(core.slab.bytes[transport])) return core.drop(slot, Drop.NoFlow)
      const tag = insideTag(protocol, device) | TAG_IPV6
      return this.flow6.outward(
        hasher.hash6(words, w + 2, w + 6, ports, tag),
        tag,
        ports,
        slot,
        length,
        transport,
        device,
      )
    }
    const vpc = core.plan.devices.vpc[device]
    const eni = core.addresses.find6(vpc, words, w + 6)
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane) {
      const echo = protocol === Protocol.Icmp6
      // What a function asked lets answers in, and no questions.
      if (echo && asks(core.slab.bytes[transport])) return core.drop(slot, Drop.Unsolicited)
      const port = echo ? ports & 0xffff : ports >>> 16
      const remote = echo ? 0 : ports & 0xffff
      return this.flow6.inward(
        eni,
        spaceOfProtocol(protocol) + 3,
        port,
        remote,
        slot,
        length,
        transport,
        device,
      )
    }
    const tag = hostsTag(protocol, vpc) | TAG_IPV6
    const pair = protocol === Protocol.Icmp6 ? echoPorts(core.slab.bytes[transport], ports) : ports
    const hash = isSwapped6(words, w, pair)
      ? hasher.hash6(words, w + 6, w + 2, swapPorts(pair), tag)
      : hasher.hash6(words, w + 2, w + 6, pair, tag)
    return this.flow6.between(hash, tag, pair, slot, length, transport, device)
  }
}
