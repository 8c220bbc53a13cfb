/**
 * Packets the shard makes itself: the ICMP errors a router owes (RFC 1812 section 4.3.2, RFC 4443 section 2.4), and the fragments of an
 * IPv4 packet that is too big for its way and may be cut (RFC 791).
 *
 * An error is made before anything of the packet is changed, so it goes to the source before translation and quotes the packet as that source
 * sent it. It comes from the router: of the inside for environments, of its subnet for a host. Errors are rate-limited, packet-too-big from a budget of
 * its own, so that a scan cannot silence path MTU discovery.
 */

import { ErrorBudget } from '../nat/errors.ts'
import { fragmentCount, writePiece } from '../nat/split.ts'
import { ABSENT } from '../tables/addresses.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import { frameAt, NO_SLOT, VNET_LEN } from '../tables/slab.ts'
import { DeviceKind } from '../vpc/plan.ts'
import { completePartial } from '../wire/checksum.ts'
import * as icmp from '../wire/icmp.ts'
import * as icmp6 from '../wire/icmp6.ts'
import * as ipv4 from '../wire/ipv4.ts'
import { mayAnswer4, mayAnswer6, writeError4, writeError6 } from '../wire/quote.ts'
import * as vnet from '../wire/vnet.ts'
import type { Core } from './core.ts'

export class Originator {
  readonly #core: Core
  readonly #budget = new ErrorBudget()
  readonly #router = new Int32Array(4)

  constructor(core: Core) {
    this.#core = core
  }

  /** The TTL is used up: tells the source and drops the packet. */
  ttlExpired4(slot: number, length: number, device: number): number {
    this.#error4(slot, length, device, icmp.Type.TimeExceeded, icmp.Exceeded.InTransit, 0)
    return this.#core.drop(slot, Drop.TtlExpired)
  }

  ttlExpired6(slot: number, length: number, device: number): number {
    this.#error6(slot, length, device, icmp6.Type.TimeExceeded, icmp6.Exceeded.InTransit, 0)
    return this.#core.drop(slot, Drop.TtlExpired)
  }

  /** The packet is too big for its way and must not be cut: tells the source what would fit, and drops it. */
  tooBig4(slot: number, length: number, device: number, mtu: number): number {
    this.#error4(
      slot,
      length,
      device,
      icmp.Type.DestinationUnreachable,
      icmp.Unreachable.FragmentationNeeded,
      mtu,
    )
    return this.#core.drop(slot, Drop.TooBig)
  }

  tooBig6(slot: number, length: number, device: number, mtu: number): number {
    this.#error6(slot, length, device, icmp6.Type.PacketTooBig, 0, mtu)
    return this.#core.drop(slot, Drop.TooBig)
  }

  /** Tells the source that its packet cannot be delivered. The slot stays the caller's. */
  unreachable4(slot: number, length: number, device: number, code: number): void {
    this.#error4(slot, length, device, icmp.Type.DestinationUnreachable, code, 0)
  }

  unreachable6(slot: number, length: number, device: number, code: number): void {
    this.#error6(slot, length, device, icmp6.Type.DestinationUnreachable, code, 0)
  }

  /** RFC 8200 section 4: what is wrong with a packet's extension headers, and where. The slot stays the caller's. */
  parameterProblem6(slot: number, length: number, device: number, code: number, pointer: number): void {
    this.#error6(slot, length, device, icmp6.Type.ParameterProblem, code, pointer)
  }

  /**
   * Sends an IPv4 packet in fragments that fit. The packet is translated already and its slot is given back.
   * @returns false where there are too few slots; the packet then is dropped and counted
   */
  split4(slot: number, length: number, toDevice: number, mtu: number): boolean {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    vnetComplete(bytes, at, length)
    const count = fragmentCount(length, ipv4.headerLength(bytes, at), mtu)
    if (core.slab.free < count) {
      core.drop(slot, Drop.SlotsExhausted)
      return false
    }
    if (core.observer !== null) core.observer.sent(slot, length, toDevice)
    for (let index = 0; index < count; index++) {
      const piece = core.slab.take()
      const pieceLength = writePiece(bytes, frameAt(piece), bytes, at, length, mtu, index)
      vnet.clear(bytes, frameAt(piece) - VNET_LEN)
      core.emit(piece, pieceLength, toDevice)
    }
    core.counters.values[Counter.Originated] += count - 1
    core.slab.give(slot)
    return true
  }

  #error4(slot: number, length: number, device: number, type: number, code: number, rest: number): void {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const source = ipv4.source(bytes, at)
    const router = this.#router4(device, source)
    if (router === 0 || !mayAnswer4(bytes, at, at + length)) return
    const fresh = this.#take(
      code === icmp.Unreachable.FragmentationNeeded && type === icmp.Type.DestinationUnreachable,
    )
    if (fresh === NO_SLOT) return
    const total = writeError4(bytes, frameAt(fresh), router, source, type, code, rest, bytes, at, length)
    this.#send(fresh, total, device)
  }

  #error6(slot: number, length: number, device: number, type: number, code: number, rest: number): void {
    const core = this.#core
    const { bytes, words } = core.slab
    const at = frameAt(slot)
    const source = (at >> 2) + 2
    if (!this.#router6(device, source) || !mayAnswer6(bytes, at, at + length, type, code)) return
    const fresh = this.#take(type === icmp6.Type.PacketTooBig)
    if (fresh === NO_SLOT) return
    const total = writeError6(
      bytes,
      frameAt(fresh),
      this.#router,
      0,
      words,
      source,
      type,
      code,
      rest,
      bytes,
      at,
      length,
    )
    this.#send(fresh, total, device)
  }

  #take(tooBig: boolean): number {
    const core = this.#core
    const allowed = tooBig ? this.#budget.mayTellSize(core.now) : this.#budget.mayTell(core.now)
    const slot = allowed ? core.slab.take() : NO_SLOT
    if (slot === NO_SLOT) core.counters.values[Counter.ErrorsLimited]++
    return slot
  }

  #send(slot: number, length: number, device: number): void {
    const core = this.#core
    vnet.clear(core.slab.bytes, frameAt(slot) - VNET_LEN)
    core.counters.values[Counter.Originated]++
    core.counters.values[Counter.ErrorsSent]++
    core.emit(slot, length, device)
  }

  /** The router that answers a source, 0 where the source is not behind the device: nobody else is told of what somebody makes up. */
  #router4(device: number, source: number): number {
    const { plan, addresses, sources } = this.#core
    if (plan.devices.kind[device] === DeviceKind.Environments)
      return sources.find4(device, source) === ABSENT ? 0 : plan.settings.insideRouter4
    const eni = addresses.find4(plan.devices.vpc[device], source)
    return eni === ABSENT || plan.enis.device[eni] !== device
      ? 0
      : plan.subnets.router4[plan.enis.subnet[eni]]
  }

  /** As `#router4`, the address at `words[source]`. The router's is left in `#router`. @returns false where there is none */
  #router6(device: number, source: number): boolean {
    const { plan, addresses, sources, slab } = this.#core
    if (plan.devices.kind[device] === DeviceKind.Environments) {
      this.#router.set(plan.settings.insideRouter6)
      return sources.find6(device, slab.words, source) !== ABSENT
    }
    const eni = addresses.find6(plan.devices.vpc[device], slab.words, source)
    if (eni === ABSENT || plan.enis.device[eni] !== device) return false
    for (let i = 0; i < 4; i++) this.#router[i] = plan.subnets.router6[plan.enis.subnet[eni] * 4 + i]
    return true
  }
}

/** Completes a checksum that the sender's kernel left to the device, where the packet will not leave as it is. */
export function vnetComplete(bytes: Uint8Array, at: number, length: number): void {
  if (!vnet.needsChecksum(bytes, at - VNET_LEN)) return
  const start = vnet.checksumStart(bytes, at - VNET_LEN)
  completePartial(bytes, at + start, length - start, at + start + vnet.checksumOffset(bytes, at - VNET_LEN))
  vnet.setFlags(bytes, at - VNET_LEN, 0)
}
