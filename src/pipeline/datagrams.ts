/**
 * Fragments on their way: they are held until their datagram is complete (`nat/fragments.ts`), then its first fragment, which alone has
 * the ports, finds or begins the flow, and the others follow it. What happens to the first happens to all.
 *
 * Fragments are placed on shards by their addresses, since that is all that each of them has. Where the first then turns out to belong to
 * another shard's flow, the whole datagram is handed over, and collected there once more.
 */
import { COMPLETE, type FragmentTable, HELD as KEPT } from '../nat/fragments.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import type { FlowId } from '../tables/flows.ts'
import { frameAt, VNET_LEN } from '../tables/slab.ts'
import * as extensions from '../wire/extensions.ts'
import { WALK_LEN, Walk, walk } from '../wire/extensions.ts'
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import * as vnet from '../wire/vnet.ts'
import { type Core, DROPPED, HANDED_OVER, HELD } from './core.ts'
import type { Flow4 } from './flow4.ts'
import type { Flow6 } from './flow6.ts'
import type { SlowPath } from './slow.ts'

export class Datagrams {
  readonly #core: Core
  readonly #fragments: FragmentTable
  readonly #flow4: Flow4
  readonly #flow6: Flow6
  #slow: SlowPath | null = null
  /** The slots of a complete datagram's pieces, and their lengths. */
  readonly #slots: Int32Array
  readonly #lengths: Int32Array
  readonly #walk = new Int32Array(WALK_LEN)

  constructor(core: Core, flow4: Flow4, flow6: Flow6) {
    this.#core = core
    this.#fragments = core.fragments
    this.#flow4 = flow4
    this.#flow6 = flow6
    this.#slots = new Int32Array(core.slab.slots)
    this.#lengths = new Int32Array(core.slab.slots)
  }

  /** Names the slow path, which the first fragments go on to; it is made after this. */
  connect(slow: SlowPath): void {
    this.#slow = slow
  }

  /** An IPv4 fragment whose header is right. */
  arrive4(slot: number, length: number, device: number): number {
    const core = this.#core
    const verdict = this.#fragments.insert4(core.slab.bytes, frameAt(slot), length, device, core.now)
    if (verdict !== COMPLETE) return this.#kept(slot, verdict)
    const count = this.#collect(slot)
    return count === 0 ? DROPPED : this.#forward4(count, device)
  }

  /**
   * An IPv6 packet with a fragment header, its chain of headers right.
   * @param found as filled by `walk`
   */
  arrive6(slot: number, length: number, device: number, found: Int32Array): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const fragment = found[Walk.FragmentAt]
    const protocol = found[Walk.Protocol]
    const transport = found[Walk.TransportAt]
    // RFC 6946: a fragment that is the whole packet is decided alone, whatever else has its identification.
    if (extensions.isAtomic(bytes, fragment))
      return this.#first6(slot, length, device, protocol, transport, at + length)
    const { now } = core
    const verdict = this.#fragments.insert6(bytes, at, length, fragment, protocol, transport, device, now)
    if (verdict !== COMPLETE) return this.#kept(slot, verdict)
    const count = this.#collect(slot)
    return count === 0 ? DROPPED : this.#forward6(count, device)
  }

  /** Gives up datagrams whose rest did not come in time. */
  expire(now: number): void {
    if (this.#fragments.held === 0) return
    this.#core.dropHeld(Drop.FragmentNoFirst, this.#fragments.expire(now))
    this.#core.settle(this.#core.output.count)
  }

  /** A fragment that did not make its datagram complete: it waits, or is dropped and takes others with it. */
  #kept(slot: number, verdict: number): number {
    const core = this.#core
    core.dropHeld(Drop.FragmentTableFull, this.#fragments.evicted)
    if (verdict === KEPT) {
      if (core.observer !== null) core.observer.held(slot)
      core.slab.give(slot)
      return HELD
    }
    core.dropHeld(verdict as Drop, this.#fragments.lost)
    return core.drop(slot, verdict as Drop)
  }

  /**
   * Puts the pieces of the complete datagram into slots, the first of them into that of the fragment which made it complete: whoever watches
   * that one learns the fate of all.
   * @returns how many, 0 where there are too few slots
   */
  #collect(slot: number): number {
    const core = this.#core
    core.slab.give(slot)
    const fragments = this.#fragments
    const { count, datagram } = fragments
    core.dropHeld(Drop.FragmentTableFull, fragments.evicted)
    if (core.slab.free <= count) {
      core.dropHeld(Drop.SlotsExhausted, count)
      if (core.observer !== null) core.observer.dropped(slot, Drop.SlotsExhausted)
      fragments.release(datagram)
      return 0
    }
    for (let index = 0; index < count; index++) {
      const slot = core.slab.take()
      vnet.clear(core.slab.bytes, frameAt(slot) - VNET_LEN)
      this.#slots[index] = slot
      this.#lengths[index] = fragments.copyPiece(index, core.slab.bytes, frameAt(slot))
    }
    fragments.release(datagram)
    return count
  }

  #forward4(count: number, device: number): number {
    const { bytes } = this.#core.slab
    const first = frameAt(this.#slots[0])
    const last = frameAt(this.#slots[count - 1])
    const payload =
      ipv4.fragmentOffset(bytes, last) + ipv4.totalLength(bytes, last) - ipv4.headerLength(bytes, last)
    const end = ipv4.payloadAt(bytes, first) + payload
    const verdict = this.#slow?.transport4(this.#slots[0], this.#lengths[0], device, end) ?? DROPPED
    for (let index = 1; index < count; index++) {
      if (verdict >= 0)
        this.#flow4.forwardPiece(
          verdict as FlowId,
          this.#core.outward,
          this.#slots[index],
          this.#lengths[index],
        )
      else this.#follow(verdict, this.#slots[index], this.#lengths[index], device)
    }
    return verdict
  }

  #forward6(count: number, device: number): number {
    const { bytes } = this.#core.slab
    const found = this.#walk
    const last = frameAt(this.#slots[count - 1])
    walk(bytes, last, last + this.#lengths[count - 1], found)
    const fragment = found[Walk.FragmentAt]
    const behind = fragment + extensions.FRAGMENT_HEADER_LEN
    const payload = extensions.fragmentOffset(bytes, fragment) + ipv6.endAt(bytes, last) - behind
    const first = frameAt(this.#slots[0])
    walk(bytes, first, first + this.#lengths[0], found)
    const transport = found[Walk.TransportAt]
    const end = found[Walk.FragmentAt] + extensions.FRAGMENT_HEADER_LEN + payload
    const verdict = this.#first6(
      this.#slots[0],
      this.#lengths[0],
      device,
      found[Walk.Protocol],
      transport,
      end,
    )
    for (let index = 1; index < count; index++) {
      const slot = this.#slots[index]
      if (verdict >= 0)
        this.#flow6.forwardPiece(verdict as FlowId, this.#core.outward, slot, this.#lengths[index], device)
      else this.#follow(verdict, slot, this.#lengths[index], device)
    }
    return verdict
  }

  #first6(
    slot: number,
    length: number,
    device: number,
    protocol: number,
    transport: number,
    end: number,
  ): number {
    return this.#slow?.transport6(slot, length, device, protocol, transport, end) ?? DROPPED
  }

  /** A later fragment of a datagram whose first was not forwarded here. */
  #follow(verdict: number, slot: number, length: number, device: number): void {
    const core = this.#core
    if (verdict !== HANDED_OVER) {
      core.drop(slot, core.lastDrop)
      return
    }
    if (!core.handOver.push(core.handedTo, slot, length, device)) {
      core.drop(slot, Drop.HandOverFull)
      return
    }
    core.counters.values[Counter.HandedOver]++
    core.slab.give(slot)
  }
}
