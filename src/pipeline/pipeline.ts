/**
 * The pipeline over a burst, in three passes.
 *
 * The first checks headers and computes hashes, the second touches the index slots and records that the third will want: their cache misses
 * overlap, which is all that counts with a million flows. The third finds the flow, tracks, translates and sends. Frames with options,
 * extension headers, fragments, ICMP and all that is malformed go to the slow path, in their turn, so that nothing is reordered.
 */
import { ABSENT, type AddressMap } from '../tables/addresses.ts'
import type { Burst } from '../tables/burst.ts'
import { Counter } from '../tables/counters.ts'
import { HOT_WORDS, PORTS, TAG_IPV6 } from '../tables/flows.ts'
import { frameAt } from '../tables/slab.ts'
import { DeviceKind, EniKind, type Plan } from '../vpc/plan.ts'
import { Protocol } from '../wire/protocol.ts'
import { flagsAreLegal } from '../wire/tcp.ts'
import { Admission } from './admit.ts'
import { Again } from './again.ts'
import { Core, type CoreOptions } from './core.ts'
import { Datagrams } from './datagrams.ts'
import { Dispatch, spaceOfProtocol } from './dispatch.ts'
import { Errors } from './errors.ts'
import { Flow4, isSwapped4, swapPorts } from './flow4.ts'
import { Flow6, isSwapped6 } from './flow6.ts'
import { Gates } from './gates.ts'
import { Originator } from './originate.ts'
import { hostsTag, insideTag, Passage } from './passage.ts'
import { SlowPath } from './slow.ts'

/** Frames of the largest burst. See bench/README.md, "burst size". */
export const BURST = 64

/** Flows whose index and records stay in the cache anyway: touching them ahead would only cost. */
const CACHED_FLOWS = 4096

/* What the first pass found out about a frame. */
const SLOW = 0
const OUTWARD4 = 1
const INWARD4 = 2
const BETWEEN4 = 3
const OUTWARD6 = 4
const INWARD6 = 5
const BETWEEN6 = 6

/** The first byte of an IPv4 header without options. */
const PLAIN4 = 0x45
/** Fragment offset and flags but DF, in the second word of an IPv4 header as loaded. */
const FRAGMENT = 0xffbf0000 | 0

export class Pipeline {
  readonly core: Core
  readonly #flow4: Flow4
  readonly #flow6: Flow6
  readonly #slow: SlowPath
  readonly #datagrams: Datagrams
  readonly #kind = new Uint8Array(BURST)
  readonly #length = new Int32Array(BURST)
  readonly #hash = new Int32Array(BURST)
  readonly #tag = new Int32Array(BURST)
  readonly #ports = new Int32Array(BURST)
  readonly #eni = new Int32Array(BURST)
  /** What the second pass loaded, so that the loads are not optimised away. */
  touched = 0
  /* The ENI that the last frame from a host was for: replies come in trains. */
  #lastVpc = -1
  #lastDestination = 0
  #lastEni: number = ABSENT
  #lastAddresses: AddressMap

  constructor(options: CoreOptions, plan: Plan) {
    this.core = new Core(options, plan)
    const passage = new Passage(this.core)
    const originator = new Originator(this.core)
    const gates = new Gates(this.core)
    const admission = new Admission(this.core, originator, passage, gates)
    const again = new Again(this.core, gates)
    this.#flow4 = new Flow4(this.core, admission, again, originator, passage)
    this.#flow6 = new Flow6(this.core, admission, again, originator, passage)
    const dispatch = new Dispatch(this.core, this.#flow4, this.#flow6)
    const errors = new Errors(this.core, again, this.#flow4, this.#flow6, passage)
    this.#datagrams = new Datagrams(this.core, this.#flow4, this.#flow6)
    this.#slow = new SlowPath(this.core, dispatch, originator, errors, this.#datagrams)
    this.#datagrams.connect(this.#slow)
    this.#lastAddresses = this.core.addresses
  }

  /**
   * Decides every frame of a burst of at most BURST frames and empties it. What is to be sent is in `core.output` afterwards.
   * @param now tick of the burst
   */
  run(input: Burst, now: number): void {
    const core = this.core
    core.now = now
    const count = input.count
    const { slot, device, length } = input
    const values = core.counters.values
    const before = core.output.count
    let bytesIn = 0
    if (core.observer !== null)
      for (let i = 0; i < count; i++) core.observer.arriving(slot[i], length[i], device[i])
    for (let i = 0; i < count; i++) {
      bytesIn += length[i]
      this.#kind[i] = this.#classify(i, slot[i], length[i], device[i])
    }
    if (core.flows.live > CACHED_FLOWS) this.#touch(count)
    for (let i = 0; i < count; i++) {
      const transport4 = frameAt(slot[i]) + 20
      switch (this.#kind[i]) {
        case OUTWARD4:
          this.#flow4.outward(
            this.#hash[i],
            this.#tag[i],
            this.#ports[i],
            slot[i],
            this.#length[i],
            transport4,
            device[i],
          )
          break
        case INWARD4:
          this.#flow4.inward(
            this.#eni[i],
            spaceOfProtocol(this.#tag[i]),
            this.#ports[i] >>> 16,
            this.#ports[i] & 0xffff,
            slot[i],
            this.#length[i],
            transport4,
            device[i],
          )
          break
        case BETWEEN4:
          this.#flow4.between(
            this.#hash[i],
            this.#tag[i],
            this.#ports[i],
            slot[i],
            this.#length[i],
            transport4,
            device[i],
          )
          break
        case OUTWARD6:
          this.#flow6.outward(
            this.#hash[i],
            this.#tag[i],
            this.#ports[i],
            slot[i],
            this.#length[i],
            transport4 + 20,
            device[i],
          )
          break
        case INWARD6:
          this.#flow6.inward(
            this.#eni[i],
            spaceOfProtocol(this.#tag[i]) + 3,
            this.#ports[i] >>> 16,
            this.#ports[i] & 0xffff,
            slot[i],
            this.#length[i],
            transport4 + 20,
            device[i],
          )
          break
        case BETWEEN6:
          this.#flow6.between(
            this.#hash[i],
            this.#tag[i],
            this.#ports[i],
            slot[i],
            this.#length[i],
            transport4 + 20,
            device[i],
          )
          break
        default:
          this.#slow.handle(slot[i], length[i], device[i])
      }
    }
    values[core.takenOver ? Counter.TakenOver : Counter.FramesIn] += count
    if (!core.takenOver) values[Counter.BytesIn] += bytesIn
    core.settle(before)
    input.clear()
  }

  /** What is due by time: flows and fragments that expire. Call it once a turn. */
  expire(now: number): void {
    this.core.now = now
    this.core.conntrack.expire(now)
    this.#datagrams.expire(now)
  }

  #classify(i: number, slot: number, length: number, device: number): number {
    const words = this.core.slab.words
    const w = frameAt(slot) >> 2
    const first = words[w]
    if ((first & 0xff) === PLAIN4) return this.#classify4(i, words, w, first, length, device)
    if ((first & 0xf0) === 0x60) return this.#classify6(i, words, w, length, device)
    return SLOW
  }

  #classify4(i: number, words: Int32Array, w: number, first: number, length: number, device: number): number {
    const total = ((first >>> 8) & 0xff00) | (first >>> 24)
    const second = words[w + 1]
    const third = words[w + 2]
    const source = words[w + 3]
    const destination = words[w + 4]
    if (total > length || total < 28 || (second & FRAGMENT) !== 0) return SLOW
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
    if ((sum & 0xffff) + (sum >>> 16) !== 0xffff) return SLOW
    const protocol = (third >>> 8) & 0xff
    if (!this.#transportIsPlain(words, w + 5, protocol, total - 20)) return SLOW
    const core = this.core
    const { plan } = core
    const ports = words[w + 5]
    this.#length[i] = total
    this.#ports[i] = ports
    if (plan.devices.kind[device] === DeviceKind.Environments) {
      const tag = insideTag(protocol, device)
      this.#tag[i] = tag
      this.#hash[i] = core.flows.hasher.hash4(source, destination, ports, tag)
      return OUTWARD4
    }
    const vpc = plan.devices.vpc[device]
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
    if (eni !== ABSENT && plan.enis.kind[eni] === EniKind.Hyperplane) {
      this.#eni[i] = eni
      this.#tag[i] = protocol
      return INWARD4
    }
    const tag = hostsTag(protocol, vpc)
    this.#tag[i] = tag
    this.#hash[i] = isSwapped4(source, destination, ports)
      ? core.flows.hasher.hash4(destination, source, swapPorts(ports), tag)
      : core.flows.hasher.hash4(source, destination, ports, tag)
    return BETWEEN4
  }

  #classify6(i: number, words: Int32Array, w: number, length: number, device: number): number {
    const second = words[w + 1]
    const payload = ((second & 0xff) << 8) | ((second >>> 8) & 0xff)
    const protocol = (second >>> 16) & 0xff
    if (payload + 40 > length || payload < 8) return SLOW
    if (!this.#transportIsPlain(words, w + 10, protocol, payload)) return SLOW
    // Over IPv6 a UDP checksum of zero is none, and refused.
    if (protocol === Protocol.Udp && words[w + 11] >>> 16 === 0) return SLOW
    const core = this.core
    const { plan } = core
    const ports = words[w + 10]
    this.#length[i] = payload + 40
    this.#ports[i] = ports
    if (plan.devices.kind[device] === DeviceKind.Environments) {
      const tag = insideTag(protocol, device) | TAG_IPV6
      this.#tag[i] = tag
      this.#hash[i] = core.flows.hasher.hash6(words, w + 2, w + 6, ports, tag)
      return OUTWARD6
    }
    const vpc = plan.devices.vpc[device]
    const eni = core.addresses.find6(vpc, words, w + 6)
    if (eni !== ABSENT && plan.enis.kind[eni] === EniKind.Hyperplane) {
      this.#eni[i] = eni
      this.#tag[i] = protocol
      return INWARD6
    }
    const tag = hostsTag(protocol, vpc) | TAG_IPV6
    this.#tag[i] = tag
    this.#hash[i] = isSwapped6(words, w, ports)
      ? core.flows.hasher.hash6(words, w + 6, w + 2, swapPorts(ports), tag)
      : core.flows.hasher.hash6(words, w + 2, w + 6, ports, tag)
    return BETWEEN6
  }

  /** Whether a TCP or UDP header of a packet with this many bytes behind the IP header is right. */
  #transportIsPlain(words: Int32Array, t: number, protocol: number, bytes: number): boolean {
    if (protocol === Protocol.Udp) {
      const half = words[t + 1]
      const length = ((half & 0xff) << 8) | ((half >>> 8) & 0xff)
      return length >= 8 && length <= bytes
    }
    if (protocol !== Protocol.Tcp || bytes < 20) return false
    const word = words[t + 3]
    const header = (word >>> 2) & 0x3c
    return header >= 20 && header <= bytes && flagsAreLegal((word >>> 8) & 0xff)
  }

  /** Loads index slots, then the records they name. */
  #touch(count: number): void {
    const core = this.core
    const { index, indexMask, hot } = core.flows
    let touched = 0
    for (let i = 0; i < count; i++) {
      const kind = this.#kind[i]
      if (kind === INWARD4 || kind === INWARD6) {
        const ports = core.leases.portsOf(this.#eni[i])
        const port = ((this.#ports[i] >>> 8) & 0xff00) | (this.#ports[i] >>> 24)
        if (ports !== undefined)
          this.#hash[i] = ports.entry(spaceOfProtocol(this.#tag[i]) + (kind === INWARD6 ? 3 : 0), port)
      } else if (kind !== SLOW) touched ^= index[this.#hash[i] & indexMask]
    }
    for (let i = 0; i < count; i++) {
      const kind = this.#kind[i]
      if (kind === SLOW) continue
      const entry = kind === INWARD4 || kind === INWARD6 ? this.#hash[i] : index[this.#hash[i] & indexMask]
      const record = entry & 0xffffff
      if (record !== 0) touched ^= hot[(record - 1) * HOT_WORDS + PORTS]
    }
    this.touched = touched
  }
}
