/**
 * The first two passes over a burst: what each frame is, and loads of what its look-up will want.
 *
 * A frame of TCP or UDP whose headers need no second look gets the hash of its tuple, or for a packet to a translating ENI the entry of
 * the ENI's port table; whatever else it is, malformed or not, is SLOW. What is found out stands in arrays, by place in the burst.
 */
import { ABSENT, type AddressMap } from '../tables/addresses.ts'
import type { Burst } from '../tables/burst.ts'
import { HOT_WORDS, PORTS, TAG_IPV6 } from '../tables/flows.ts'
import { FRAME_AT, STRIDE } from '../tables/slab.ts'
import { DeviceKind, EniKind } from '../vpc/plan.ts'
import { swap16 } from '../wire/bytes.ts'
import { Protocol } from '../wire/protocol.ts'
import { flagsAreLegal } from '../wire/tcp.ts'
import type { Core } from './core.ts'
import { spaceOfProtocol } from './dispatch.ts'
import { isSwapped4, swapPorts } from './flow4.ts'
import { isSwapped6 } from './flow6.ts'
import { hostsTag, insideTag } from './passage.ts'

/** Frames of the largest burst. See bench/README.md, "burst size". */
export const BURST = 64

/** What a frame is. The first two are the common case that `pipeline.ts` forwards by itself: UDP of a function over IPv4. */
export const Kind = {
  DatagramOut: 0,
  DatagramIn: 1,
  Slow: 2,
  Outward4: 3,
  Inward4: 4,
  Between4: 5,
  Outward6: 6,
  Inward6: 7,
  Between6: 8,
} as const

/** The first byte of an IPv4 header without options. */
const PLAIN4 = 0x45
/** Fragment offset and flags but DF, in the second word of an IPv4 header as loaded. */
const FRAGMENT = 0xffbf0000 | 0

export class Classifier {
  readonly #core: Core
  readonly kind = new Uint8Array(BURST)
  /** Bytes of the packet, without what may trail it. */
  readonly length = new Int32Array(BURST)
  /** Hash of the tuple, or the entry of the ENI's port table. */
  readonly hash = new Int32Array(BURST)
  /** Tag of the flow, or the protocol of a packet to a translating ENI. */
  readonly tag = new Int32Array(BURST)
  readonly ports = new Int32Array(BURST)
  readonly eni = new Int32Array(BURST)
  readonly #records = new Int32Array(BURST)
  /** What `touch` loaded, so that the loads are not optimised away. */
  touched = 0
  /* The ENI that the last frame from a host was for: replies come in trains. */
  #lastVpc = -1
  #lastDestination = 0
  #lastEni: number = ABSENT
  #lastAddresses: AddressMap

  constructor(core: Core) {
    this.#core = core
    this.#lastAddresses = core.addresses
  }

  /** Classifies every frame of a burst. */
  classify(input: Burst): void {
    const core = this.#core
    const { words } = core.slab
    const { slot, length, device, count } = input
    const kinds = core.plan.devices.kind
    for (let i = 0; i < count; i++) {
      const w = Math.imul(slot[i], STRIDE >> 2) + (FRAME_AT >> 2)
      const first = words[w]
      if ((first & 0xff) === PLAIN4) {
        const protocol = this.#check4(i, words, w, first, length[i])
        if (protocol === 0) this.kind[i] = Kind.Slow
        else if (kinds[device[i]] === DeviceKind.Environments) {
          const tag = insideTag(protocol, device[i])
          this.tag[i] = tag
          this.hash[i] = core.flows.hasher.hash4(words[w + 3], words[w + 4], words[w + 5], tag)
          this.kind[i] = protocol === Protocol.Udp ? Kind.DatagramOut : Kind.Outward4
        } else this.kind[i] = this.#fromHost4(i, words, w, protocol, device[i])
      } else if ((first & 0xf0) === 0x60) this.kind[i] = this.#classify6(i, words, w, length[i], device[i])
      else this.kind[i] = Kind.Slow
    }
  }

  /**
   * Loads index slots, then the records they and the port tables name: with many flows, misses that overlap. Three loops, each as
   * short as can be, since the processor has as many loads under way as fit into its window.
   */
  touch(count: number): void {
    const { index, indexMask, hot } = this.#core.flows
    const { hash: hashes, kind: kinds } = this
    const records = this.#records
    let touched = 0
    for (let i = 0; i < count; i++) touched ^= index[hashes[i] & indexMask]
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]
      let entry = hashes[i]
      if (kind === Kind.Slow) entry = 0
      else if (kind !== Kind.DatagramIn && kind !== Kind.Inward4 && kind !== Kind.Inward6) {
        // Where the first slots are other flows', the record wanted stands behind them.
        const hash = entry
        let slot = hash & indexMask
        entry = index[slot]
        while (entry !== 0 && ((entry ^ hash) & 0xff000000) !== 0) {
          slot = (slot + 1) & indexMask
          entry = index[slot]
        }
      }
      records[i] = entry & 0xffffff
    }
    // Number 0 is none; the record before the first, which it would be, is the first.
    for (let i = 0; i < count; i++) touched ^= hot[Math.max(records[i] - 1, 0) * HOT_WORDS + PORTS]
    this.touched = touched
  }

  /** The protocol of a plain IPv4 packet of TCP or UDP with right headers, else 0. */
  #check4(i: number, words: Int32Array, w: number, first: number, length: number): number {
    const total = ((first >>> 8) & 0xff00) | (first >>> 24)
    const second = words[w + 1]
    const third = words[w + 2]
    const source = words[w + 3]
    const destination = words[w + 4]
    if (total > length || total < 28 || (second & FRAGMENT) !== 0) return 0
    const sum =
      (first & 0xffff) +
      (first >>> 16) +
      (second & 0xffff) +
      (second >>> 16) +
      (third & 0xffff) +
      (third >>> 16) +
      (source & 0xffff) +
      (source >>> 16) +
      (destination & 0xffff) +
      (destination >>> 16)
    if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) return 0
    const protocol = (third >>> 8) & 0xff
    if (!transportIsPlain(words, w + 5, protocol, total - 20)) return 0
    this.length[i] = total
    this.ports[i] = words[w + 5]
    return protocol
  }

  #fromHost4(i: number, words: Int32Array, w: number, protocol: number, device: number): number {
    const core = this.#core
    const vpc = core.plan.devices.vpc[device]
    const destination = words[w + 4]
    if (
      vpc !== this.#lastVpc ||
      destination !== this.#lastDestination ||
      core.addresses !== this.#lastAddresses
    ) {
      this.#lastEni = core.addresses.find4(vpc, destination)
      this.#lastVpc = vpc
      this.#lastDestination = destination
      this.#lastAddresses = core.addresses
    }
    const eni = this.#lastEni
    const ports = words[w + 5]
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane) {
      this.#reply(i, eni, protocol, spaceOfProtocol(protocol), ports)
      return protocol === Protocol.Udp ? Kind.DatagramIn : Kind.Inward4
    }
    const source = words[w + 3]
    const tag = hostsTag(protocol, vpc)
    this.tag[i] = tag
    this.hash[i] = isSwapped4(source, destination, ports)
      ? core.flows.hasher.hash4(destination, source, swapPorts(ports), tag)
      : core.flows.hasher.hash4(source, destination, ports, tag)
    return Kind.Between4
  }

  #classify6(i: number, words: Int32Array, w: number, length: number, device: number): number {
    const second = words[w + 1]
    const payload = swap16(second & 0xffff)
    const protocol = (second >>> 16) & 0xff
    if (payload + 40 > length || payload < 8) return Kind.Slow
    if (!transportIsPlain(words, w + 10, protocol, payload)) return Kind.Slow
    // Over IPv6 a UDP checksum of zero is none, and refused.
    if (protocol === Protocol.Udp && words[w + 11] >>> 16 === 0) return Kind.Slow
    const core = this.#core
    const { plan } = core
    const ports = words[w + 10]
    this.length[i] = payload + 40
    this.ports[i] = ports
    if (plan.devices.kind[device] === DeviceKind.Environments) {
      const tag = insideTag(protocol, device) | TAG_IPV6
      this.tag[i] = tag
      this.hash[i] = core.flows.hasher.hash6(words, w + 2, w + 6, ports, tag)
      return Kind.Outward6
    }
    const vpc = plan.devices.vpc[device]
    const eni = core.addresses.find6(vpc, words, w + 6)
    if (eni !== ABSENT && plan.enis.kind[eni] === EniKind.Hyperplane) {
      this.#reply(i, eni, protocol, spaceOfProtocol(protocol) + 3, ports)
      return Kind.Inward6
    }
    const tag = hostsTag(protocol, vpc) | TAG_IPV6
    this.tag[i] = tag
    this.hash[i] = isSwapped6(words, w, ports)
      ? core.flows.hasher.hash6(words, w + 6, w + 2, swapPorts(ports), tag)
      : core.flows.hasher.hash6(words, w + 2, w + 6, ports, tag)
    return Kind.Between6
  }

  #reply(i: number, eni: number, protocol: number, space: number, ports: number): void {
    this.eni[i] = eni
    this.tag[i] = protocol
    const eniPorts = this.#core.leases.portsOf(eni)
    this.hash[i] = eniPorts === undefined ? 0 : eniPorts.entry(space, swap16(ports >>> 16))
  }
}

/** Whether a TCP or UDP header of a packet with this many bytes behind the IP header is right. */
function transportIsPlain(words: Int32Array, t: number, protocol: number, bytes: number): boolean {
  if (protocol === Protocol.Udp) {
    const length = swap16(words[t + 1] & 0xffff)
    return length >= 8 && length <= bytes
  }
  if (protocol !== Protocol.Tcp || bytes < 20) return false
  const word = words[t + 3]
  const header = (word >>> 2) & 0x3c
  return header >= 20 && header <= bytes && flagsAreLegal((word >>> 8) & 0xff)
}
