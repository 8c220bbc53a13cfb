/**
 * ICMP errors of others on their way: to the function or the host whose packet they quote.
 *
 * The quoted packet names the flow; an error that quotes none of ours is dropped. It needs no rule to pass (it is related to a flow that was
 * admitted), may come from any router on the way, and neither renews the flow nor ends it. `nat/icmp.ts` reads and rewrites; this finds the flow.
 */
import { QUOTE_LEN, Quote, readQuote4, readQuote6, translateError4, translateError6 } from '../nat/icmp.ts'
import { mayBeQuoted } from '../nat/tcp.ts'
import { ABSENT } from '../tables/addresses.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import {
  A,
  ADDRESS6_WORDS,
  type FlowId,
  GENERATION,
  HOT_WORDS,
  LEASE,
  NO_FLOW,
  PORTS,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { frameAt } from '../tables/slab.ts'
import { flowOwnerBetween, ownerInside } from '../tables/steer.ts'
import { EniKind } from '../vpc/plan.ts'
import { copyBytes, load32, store32 } from '../wire/bytes.ts'
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import { Protocol } from '../wire/protocol.ts'
import type { Again } from './again.ts'
import type { Core } from './core.ts'
import { echoPorts, isInside, spaceOfProtocol } from './dispatch.ts'
import { type Flow4, isSwapped4, swapPorts } from './flow4.ts'
import { type Flow6, isSwapped6 } from './flow6.ts'
import { hostsTag, insideTag, type Passage } from './passage.ts'

/** What `#find…` answers where another shard has the flow: the same minus the shard. */
const ELSEWHERE = -2

export class Errors {
  readonly #core: Core
  readonly #again: Again
  readonly #flow4: Flow4
  readonly #flow6: Flow6
  readonly #passage: Passage
  readonly #quote = new Int32Array(QUOTE_LEN)
  /** Header and ports of the packet that the quoted one answers: the way the flow's owner is computed from. */
  readonly #reversed = new Uint8Array(ipv6.HEADER_LEN + 8)
  /** A quoted IPv6 header, aligned. */
  readonly #words = new Int32Array(ipv6.HEADER_LEN / 4)

  constructor(core: Core, again: Again, flow4: Flow4, flow6: Flow6, passage: Passage) {
    this.#core = core
    this.#again = again
    this.#flow4 = flow4
    this.#flow6 = flow6
    this.#passage = passage
  }

  /**
   * An ICMP error over IPv4.
   * @param message where the ICMP header begins
   * @param whole false for the first fragment of an error
   */
  translate4(slot: number, length: number, message: number, device: number, whole: boolean): number {
    const core = this.#core
    const { bytes } = core.slab
    const at = frameAt(slot)
    const quote = this.#quote
    const reason = readQuote4(bytes, at, message, at + length, whole, quote)
    if (reason !== Drop.None) return core.drop(slot, reason)
    const inside = isInside(core, device)
    if (inside && core.sources.find4(device, ipv4.source(bytes, at)) === ABSENT)
      return core.drop(slot, Drop.SourceCheck)
    const found = inside ? this.#findInside4(device) : this.#findOutside4(device)
    if (found < 0) return this.#notHere(found, slot, length, device)
    const id = found as FlowId
    const hot = core.flows.hot
    const h = id * HOT_WORDS
    const hosts = (hot[h + TAG] & TAG_HOSTS) !== 0
    const inner = quote[Quote.At]
    const byA = hosts
      ? !isSwapped4(ipv4.source(bytes, inner), ipv4.destination(bytes, inner), this.#pair())
      : !inside
    const refused = this.#refused(id, byA)
    if (refused !== Drop.None) return core.drop(slot, refused)
    if (ipv4.ttl(bytes, at) <= 1) return core.drop(slot, Drop.TtlExpired)
    const toDevice = this.#passage.deviceOf(id, !byA)
    if (length > core.mtu[toDevice]) return core.drop(slot, Drop.TooBig)
    if (!hosts) {
      const address = byA ? hot[h + A] : hot[h + TRANSLATED]
      translateError4(bytes, at, message, quote, byA, address, this.#port(id, byA))
    }
    ipv4.decrementTtl(bytes, at)
    return this.#send(id, !byA, slot, length, toDevice)
  }

  /** An ICMPv6 error; as `translate4`. */
  translate6(slot: number, length: number, message: number, device: number, whole: boolean): number {
    const core = this.#core
    const { bytes, words } = core.slab
    const at = frameAt(slot)
    const quote = this.#quote
    const reason = readQuote6(bytes, at, message, at + length, whole, quote)
    if (reason !== Drop.None) return core.drop(slot, reason)
    for (let i = 0; i < this.#words.length; i++) this.#words[i] = load32(bytes, quote[Quote.At] + i * 4)
    const inside = isInside(core, device)
    if (inside && core.sources.find6(device, words, (at >> 2) + 2) === ABSENT)
      return core.drop(slot, Drop.SourceCheck)
    const found = inside ? this.#findInside6(device) : this.#findOutside6(device)
    if (found < 0) return this.#notHere(found, slot, length, device)
    const id = found as FlowId
    const hot = core.flows.hot
    const hosts = (hot[id * HOT_WORDS + TAG] & TAG_HOSTS) !== 0
    const byA = hosts ? !isSwapped6(this.#words, 0, this.#pair()) : !inside
    const refused = this.#refused(id, byA)
    if (refused !== Drop.None) return core.drop(slot, refused)
    if (ipv6.hopLimit(bytes, at) <= 1) return core.drop(slot, Drop.TtlExpired)
    const toDevice = this.#passage.deviceOf(id, !byA)
    if (length > core.mtu[toDevice]) return core.drop(slot, Drop.TooBig)
    if (!hosts) {
      const from = byA ? core.flows.address6 : core.plan.enis.address6
      const address = byA ? id * ADDRESS6_WORDS : hot[id * HOT_WORDS + TRANSLATED] * 4
      translateError6(bytes, at, message, quote, byA, from, address, this.#port(id, byA))
    }
    ipv6.setHopLimit(bytes, at, ipv6.hopLimit(bytes, at) - 1)
    return this.#send(id, !byA, slot, length, toDevice)
  }

  /** From an environment: quotes what the flow's remote end sent, as the environment got it. */
  #findInside4(device: number): number {
    const core = this.#core
    const { bytes } = core.slab
    const inner = this.#quote[Quote.At]
    const remote = ipv4.source(bytes, inner)
    const inside = ipv4.destination(bytes, inner)
    const tag = insideTag(this.#protocol(), device)
    const ports = this.#echo() ? this.#quote[Quote.Ports] : swapPorts(this.#quote[Quote.Ports])
    const id = core.flows.find4(
      core.flows.hasher.hash4(inside, remote, ports, tag),
      inside,
      remote,
      ports,
      tag,
    )
    if (id !== NO_FLOW || core.shards === 1) return id
    const reversed = this.#reversed
    copyBytes(reversed, 0, bytes, inner, ipv4.HEADER_LEN)
    ipv4.setHeaderLength(reversed, 0, ipv4.HEADER_LEN)
    ipv4.setFragment(reversed, 0, 0, 0)
    ipv4.setSource(reversed, 0, inside)
    ipv4.setDestination(reversed, 0, remote)
    store32(reversed, ipv4.HEADER_LEN, ports)
    return this.#elsewhere(ownerInside(reversed, 0, ipv4.HEADER_LEN + 8, core.steeringKeys, core.shards))
  }

  #findInside6(device: number): number {
    const core = this.#core
    const words = this.#words
    const tag = insideTag(this.#protocol(), device) | TAG_IPV6
    const ports = this.#echo() ? this.#quote[Quote.Ports] : swapPorts(this.#quote[Quote.Ports])
    const id = core.flows.find6(core.flows.hasher.hash6(words, 6, 2, ports, tag), words, 6, 2, ports, tag)
    if (id !== NO_FLOW || core.shards === 1) return id
    const reversed = this.#reversed
    ipv6.setVersion(reversed, 0, 0, 0)
    ipv6.setNextHeader(reversed, 0, this.#protocol())
    for (let i = 0; i < 4; i++) {
      ipv6.setSourceWord(reversed, 0, i, words[6 + i])
      ipv6.setDestinationWord(reversed, 0, i, words[2 + i])
    }
    store32(reversed, ipv6.HEADER_LEN, ports)
    return this.#elsewhere(ownerInside(reversed, 0, reversed.length, core.steeringKeys, core.shards))
  }

  /** From the VPC: quotes what a function sent, as it left its ENI, or what a host sent. */
  #findOutside4(device: number): number {
    const core = this.#core
    const { bytes } = core.slab
    const inner = this.#quote[Quote.At]
    const ports = this.#quote[Quote.Ports]
    const source = ipv4.source(bytes, inner)
    const destination = ipv4.destination(bytes, inner)
    const vpc = core.plan.devices.vpc[device]
    const eni = core.addresses.find4(vpc, source)
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane)
      return this.#flow4.find(
        eni,
        spaceOfProtocol(this.#protocol()),
        ports & 0xffff,
        destination,
        this.#echo() ? 0 : ports >>> 16,
      )
    const tag = hostsTag(this.#protocol(), vpc)
    const pair = this.#pair()
    const swapped = isSwapped4(source, destination, pair)
    const a = swapped ? destination : source
    const b = swapped ? source : destination
    const ordered = swapped ? swapPorts(pair) : pair
    const id = core.flows.find4(core.flows.hasher.hash4(a, b, ordered, tag), a, b, ordered, tag)
    if (id !== NO_FLOW || core.shards === 1) return id
    return this.#elsewhere(this.#ownerBetween())
  }

  #findOutside6(device: number): number {
    const core = this.#core
    const words = this.#words
    const ports = this.#quote[Quote.Ports]
    const vpc = core.plan.devices.vpc[device]
    const eni = core.addresses.find6(vpc, words, 2)
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane) {
      const space = spaceOfProtocol(this.#protocol()) + 3
      return this.#flow6.find(eni, space, ports & 0xffff, words, 6, this.#echo() ? 0 : ports >>> 16)
    }
    const tag = hostsTag(this.#protocol(), vpc) | TAG_IPV6
    const pair = this.#pair()
    const swapped = isSwapped6(words, 0, pair)
    const a = swapped ? 6 : 2
    const b = swapped ? 2 : 6
    const ordered = swapped ? swapPorts(pair) : pair
    const id = core.flows.find6(core.flows.hasher.hash6(words, a, b, ordered, tag), words, a, b, ordered, tag)
    if (id !== NO_FLOW || core.shards === 1) return id
    return this.#elsewhere(this.#ownerBetween())
  }

  #ownerBetween(): number {
    const { slab, steeringKeys, shards } = this.#core
    const quote = this.#quote
    return flowOwnerBetween(
      slab.bytes,
      quote[Quote.At],
      this.#protocol(),
      quote[Quote.TransportAt],
      steeringKeys,
      shards,
    )
  }

  #elsewhere(owner: number): number {
    return owner === this.#core.shard ? NO_FLOW : ELSEWHERE - owner
  }

  #notHere(found: number, slot: number, length: number, device: number): number {
    if (found === NO_FLOW || this.#core.takenOver) return this.#core.drop(slot, Drop.IcmpNoMatch)
    return this.#passage.handOver(ELSEWHERE - found, slot, length, device)
  }

  /** Why the error is not believed or not passed. @param byA whether end A sent the quoted packet */
  #refused(id: FlowId, byA: boolean): Drop {
    const { flows, generation } = this.#core
    // RFC 5927 section 4.1: a quoted segment that was never under way was made up.
    if (this.#protocol() === Protocol.Tcp && !mayBeQuoted(flows, id, byA, this.#quote[Quote.Sequence]))
      return Drop.IcmpInnerMismatch
    return flows.hot[id * HOT_WORDS + GENERATION] === generation ? Drop.None : this.#again.decide(id)
  }

  #send(id: FlowId, outward: boolean, slot: number, length: number, device: number): number {
    this.#core.outward = outward
    this.#core.counters.values[Counter.ErrorsTranslated]++
    this.#core.emit(slot, length, device)
    return id
  }

  #protocol(): number {
    return this.#quote[Quote.Protocol]
  }

  #echo(): boolean {
    const protocol = this.#quote[Quote.Protocol]
    return protocol === Protocol.Icmp || protocol === Protocol.Icmp6
  }

  /** The quoted ports as the key of a flow between hosts has them. */
  #pair(): number {
    const ports = this.#quote[Quote.Ports]
    return this.#echo() ? echoPorts(this.#core.slab.bytes[this.#quote[Quote.TransportAt]], ports) : ports
  }

  /** The port or identifier that the quoted one becomes, as loaded: the inside's (`inward`) or the lease. */
  #port(id: FlowId, inward: boolean): number {
    const hot = this.#core.flows.hot
    return (inward ? hot[id * HOT_WORDS + PORTS] : hot[id * HOT_WORDS + LEASE]) & 0xffff
  }
}
