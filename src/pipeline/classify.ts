/**
 * The first two passes over a burst: what each frame is, and loads of what its look-up will want.
 *
 * A frame of TCP or UDP whose headers need no second look gets the hash of its tuple, or for a packet to a translating ENI the entry of
 * the ENI's port table; whatever else it is, malformed or not, is SLOW. What is found out stands in arrays, by place in the burst.
 */
import { ABSENT, type AddressMap } from '../tables/addresses.ts'
import type { Burst } from '../tables/burst.ts'
import { HOT_WORDS, PORTS, TAG_IPV6 } from '../tables/flows.ts'
import type { EniPorts } from '../tables/ports.ts'
import { FRAME_AT, frameAt, STRIDE } from '../tables/slab.ts'
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

/** Flows whose index and records stay in the cache anyway: loading them ahead would only cost. */
const CACHED_FLOWS = 4096

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
  /** Number of the record that the frame may be of, -1 where there is none; `resolve` finds it. */
  readonly record = new Int32Array(BURST)
  /** What `resolve` loaded, so that the loads are not optimised away. */
  touched = 0
  /* The ENI that the last frame from a host was for: replies come in trains. */
  #lastVpc = -1
  #lastDestination = 0
  #lastEni: number = ABSENT
  /** Undefined where the last frame was for a host. */
  #lastPorts: EniPorts | undefined
  #lastAddresses: AddressMap

  constructor(core: Core) {
    this.#core = core
    this.#lastAddresses = core.addresses
  }

  /** Classifies every frame of a burst. */
  classify(input: Burst): void {
    const { count } = input
    for (let i = this.#functions4(input, 0); i < count; i = this.#functions4(input, i + 1))
      this.#classify(input, i)
  }

  /**
   * Finds the record that each frame may be of: the first whose index slot has the hash's bits, or that of the port table. Nothing of a
   * record is compared here, but it is loaded: with many flows, misses that overlap. Short loops, since the processor has as
   * many loads under way as fit into its window.
   */
  resolve(count: number): void {
    const { index, indexMask, hot } = this.#core.flows
    const { hash: hashes, kind: kinds, record: records } = this
    const own = this.#core.shard + 1
    let touched = 0
    const cached = this.#core.flows.live <= CACHED_FLOWS
    if (!cached) for (let i = 0; i < count; i++) touched ^= index[hashes[i] & indexMask]
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]
      const hash = hashes[i]
      let entry = 0
      if (kind === Kind.DatagramIn || kind === Kind.Inward4 || kind === Kind.Inward6) {
        if (hash >>> 24 === own) entry = hash
      } else if (kind !== Kind.Slow) {
        let slot = hash & indexMask
        entry = index[slot]
        while (entry !== 0 && ((entry ^ hash) & 0xff000000) !== 0) {
          slot = (slot + 1) & indexMask
          entry = index[slot]
        }
      }
      records[i] = (entry & 0xffffff) - 1
    }
    if (!cached) for (let i = 0; i < count; i++) touched ^= hot[Math.max(records[i], 0) * HOT_WORDS + PORTS]
    this.touched = touched
  }

  /**
   * Classifies IPv4 frames of functions, and replies to the ENI that the last reply was for, up to the first frame that is neither. A loop
   * without calls, so that what it reads again and again is read once.
   * @returns the place of that frame, the burst's count where there is none
   */
  #functions4(input: Burst, from: number): number {
    const core = this.#core
    const { words } = core.slab
    const { slot, length, device, count } = input
    const devices = core.plan.devices
    const { hasher } = core.flows
    const { kind: kinds, hash: hashes, tag: tags, ports: allPorts, length: lengths, eni: enis } = this
    const lastVpc = core.addresses === this.#lastAddresses ? this.#lastVpc : -1
    const lastDestination = this.#lastDestination
    const lastEni = this.#lastEni
    const lastPorts = this.#lastPorts
    let i = from
    for (; i < count; i++) {
      const w = (Math.imul(slot[i], STRIDE) + FRAME_AT) >> 2
      const first = words[w]
      const total = ((first >>> 8) & 0xff00) | (first >>> 24)
      const second = words[w + 1]
      if ((first & 0xff) !== PLAIN4 || total > length[i] || total < 28 || (second & FRAGMENT) !== 0) break
      const third = words[w + 2]
      const source = words[w + 3]
      const destination = words[w + 4]
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
      if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) break
      const protocol = (third >>> 8) & 0xff
      if (!transportIsPlain(words, w + 5, protocol, total - 20)) break
      const ports = words[w + 5]
      const from = device[i]
      const datagram = protocol === Protocol.Udp
      if (devices.kind[from] === DeviceKind.Environments) {
        const tag = insideTag(protocol, from)
        tags[i] = tag
        hashes[i] = hasher.hash4(source, destination, ports, tag)
        kinds[i] = datagram ? Kind.DatagramOut : Kind.Outward4
      } else {
        if (destination !== lastDestination || devices.vpc[from] !== lastVpc || lastPorts === undefined) break
        enis[i] = lastEni
        tags[i] = protocol
        hashes[i] = lastPorts.entry(spaceOfProtocol(protocol), swap16(ports >>> 16))
        kinds[i] = datagram ? Kind.DatagramIn : Kind.Inward4
      }
      lengths[i] = total
      allPorts[i] = ports
    }
    return i
  }

  /** Classifies any frame. */
  #classify(input: Burst, i: number): void {
    const { words } = this.#core.slab
    const w = frameAt(input.slot[i]) >> 2
    const first = words[w]
    const length = input.length[i]
    const device = input.device[i]
    this.kind[i] = Kind.Slow
    if ((first & 0xff) === PLAIN4) {
      const protocol = this.#check4(i, words, w, first, length)
      // A plain frame of an environment has been classified already.
      if (protocol !== 0) this.kind[i] = this.#fromHost4(i, words, w, protocol, device)
    } else if ((first & 0xf0) === 0x60) this.kind[i] = this.#classify6(i, words, w, length, device)
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
    this.#lastPorts = undefined
    const ports = words[w + 5]
    if (eni !== ABSENT && core.plan.enis.kind[eni] === EniKind.Hyperplane) {
      this.#lastPorts = core.leases.portsOf(eni)
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
