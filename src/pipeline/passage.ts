/**
 * What a frame of a known flow goes through whatever its address family: tracking, ports and transport checksum, counters.
 *
 * `flow4.ts` and `flow6.ts` find the flow and rewrite addresses; both call this.
 */
import { classOf } from '../nat/conntrack.ts'
import { clampSegmentSize } from '../nat/mss.ts'
import { CLASS_MASK, mayReopen, RENEWS, STRAY, track } from '../nat/tcp.ts'
import { TimeoutClass } from '../nat/timeouts.ts'
import { Counter } from '../tables/counters.ts'
import { Drop } from '../tables/drops.ts'
import {
  BYTES_IN,
  BYTES_OUT,
  FLAG_ANSWERED,
  FLAG_BEGUN_BY_B,
  type FlowId,
  HOT_WORDS,
  LEASE,
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { addDelta, addDeltaPartial, addDeltaUdp } from '../wire/checksum.ts'
import { Protocol } from '../wire/protocol.ts'
import * as udp from '../wire/udp.ts'
import * as vnet from '../wire/vnet.ts'
import { type Core, HANDED_OVER } from './core.ts'

/* The virtio-net header as words before the IP header: flags, GSO type and header length; GSO size and checksum start. */
const VNET_FLAGS = -3
const VNET_GSO_SIZE = -2
const NEEDS_CSUM = 1
/** The flag in a TCP header. */
const SYN = 2
const DATA_VALID = 2

/** The tag of a flow between hosts. */
export const hostsTag = (protocol: number, vpc: number): number => protocol | (vpc << 8) | TAG_HOSTS
/** The tag of a function's flow. */
export const insideTag = (protocol: number, device: number): number => protocol | (device << 8)
/** The scope in a tag: an inside device, or the VPC of a flow between hosts. */
export const scopeOf = (tag: number): number => (tag >>> 8) & 0xffff

export class Passage {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** Whether a segment from the end that began begins the flow anew: a SYN on a closed tuple. */
  reopens(id: FlowId, fromA: boolean, protocol: number, transport: number): boolean {
    if (protocol !== Protocol.Tcp) return false
    return mayReopen(this.#core.flows, id, fromA, this.#core.slab.bytes, transport)
  }

  /** The device that a frame of the flow leaves through. */
  deviceOf(id: FlowId, outward: boolean): number {
    const hot = this.#core.flows.hot
    const at = id * HOT_WORDS
    if (outward) return hot[at + OUT] >>> 16
    const tag = hot[at + TAG]
    return (tag & TAG_HOSTS) !== 0 ? hot[at + TRANSLATED] : scopeOf(tag)
  }

  /** Gives a frame to the shard that owns its flow. */
  handOver(shard: number, slot: number, length: number, device: number): number {
    const core = this.#core
    if (!core.handOver.push(shard, slot, length, device)) return core.drop(slot, Drop.HandOverFull)
    if (core.observer !== null) core.observer.handedOver(slot)
    core.slab.give(slot)
    core.handedTo = shard
    core.counters.values[Counter.HandedOver]++
    return HANDED_OVER
  }

  /**
   * Whether a frame longer than the MTU leaves as segments that are not: a super-frame that the receiving kernel cuts.
   * @param w word index of the IP header
   * @param transport byte offset of the transport header in the slab
   */
  segmentsFit(w: number, transport: number, mtu: number): boolean {
    const { words, bytes } = this.#core.slab
    const gsoType = (words[w + VNET_FLAGS] >>> 8) & 0x7f
    if (gsoType === 0) return false
    const header = gsoType === vnet.Gso.UdpSegments ? udp.HEADER_LEN : (bytes[transport + 12] >>> 4) << 2
    return transport - (w << 2) + header + (words[w + VNET_GSO_SIZE] & 0xffff) <= mtu
  }

  /** Whether the receiving kernel will cut the frame into segments. */
  isSuperFrame(w: number): boolean {
    return ((this.#core.slab.words[w + VNET_FLAGS] >>> 8) & 0x7f) !== 0
  }

  /**
   * Tracks a frame: the state of TCP, the first answer of UDP, the flow's place in its LRU list.
   * @param w word index of the IP header
   * @param transport byte offset of the transport header in the slab
   * @param bytes of the transport header and the payload
   */
  track(id: FlowId, outward: boolean, protocol: number, w: number, transport: number, bytes: number): void {
    const core = this.#core
    const hot = core.flows.hot
    const at = id * HOT_WORDS
    const state = hot[at + STATE]
    if (protocol === Protocol.Tcp) {
      const frame = core.slab.bytes
      const payload = bytes - ((frame[transport + 12] >>> 4) << 2)
      if ((frame[transport + 13] & SYN) !== 0) this.#clamp(id, outward, w, transport)
      const verdict = track(core.flows, id, outward, frame, transport, payload)
      const timeoutClass = verdict & CLASS_MASK
      if (timeoutClass !== classOf(hot[at + STATE])) core.conntrack.setClass(id, timeoutClass, core.now)
      else if ((verdict & RENEWS) !== 0) core.conntrack.touch(id, core.now)
      if ((verdict & STRAY) !== 0) core.counters.values[Counter.OutOfWindow]++
      return
    }
    const answers = outward === ((state & FLAG_BEGUN_BY_B) !== 0)
    if (answers) {
      if ((state & FLAG_ANSWERED) === 0) {
        hot[at + STATE] = state | FLAG_ANSWERED
        if (protocol === Protocol.Udp) core.conntrack.setClass(id, TimeoutClass.UdpStream, core.now)
      }
      // RFC 4787 REQ-6: what comes from outside does not keep a function's flow alive. Between hosts both ends may.
      if ((hot[at + TAG] & TAG_HOSTS) === 0) return
    }
    core.conntrack.touch(id, core.now)
  }

  /**
   * Translates ports and the transport checksum of a function's flow, or the identifier of its echo.
   * @param w word index of the IP header
   * @param payload word index of the transport header
   */
  translate(id: FlowId, outward: boolean, w: number, payload: number): void {
    const core = this.#core
    const words = core.slab.words
    const hot = core.flows.hot
    const at = id * HOT_WORDS
    const lease = hot[at + LEASE]
    const protocol = hot[at + TAG] & 0xff
    let address = lease >>> 16
    let both = hot[at + OUT] & 0xffff
    if (!outward) {
      // The way back undoes the delta: its one's complement.
      address ^= 0xffff
      both ^= 0xffff
    }
    const partial = (words[w + VNET_FLAGS] & NEEDS_CSUM) !== 0
    if (protocol === Protocol.Tcp) {
      words[payload] = outward
        ? (words[payload] & 0xffff0000) | (lease & 0xffff)
        : (words[payload] & 0xffff) | (hot[at + PORTS] << 16)
      const word = words[payload + 4]
      const checksum = partial ? addDeltaPartial(word & 0xffff, address) : addDelta(word & 0xffff, both)
      words[payload + 4] = (word & 0xffff0000) | checksum
    } else if (protocol === Protocol.Udp) {
      words[payload] = outward
        ? (words[payload] & 0xffff0000) | (lease & 0xffff)
        : (words[payload] & 0xffff) | (hot[at + PORTS] << 16)
      const word = words[payload + 1]
      const checksum = partial ? addDeltaPartial(word >>> 16, address) : addDeltaUdp(word >>> 16, both)
      words[payload + 1] = (word & 0xffff) | (checksum << 16)
    } else {
      const identifier = outward ? lease & 0xffff : hot[at + PORTS] & 0xffff
      words[payload + 1] = (words[payload + 1] & 0xffff0000) | identifier
      // An answer may be nothing but zeros, whose checksum is ffff; elsewhere 0 and ffff say the same.
      const checksum = addDelta(words[payload] >>> 16, both) || 0xffff
      words[payload] = (words[payload] & 0xffff) | (checksum << 16)
    }
  }

  /** Lowers the segment size that a SYN offers to what both devices of the flow carry. */
  #clamp(id: FlowId, outward: boolean, w: number, transport: number): void {
    const core = this.#core
    const { devices, settings } = core.plan
    if (!settings.clampMss) return
    const mtu = Math.min(devices.mtu[this.deviceOf(id, outward)], devices.mtu[this.deviceOf(id, !outward)])
    const wide = (core.flows.hot[id * HOT_WORDS + TAG] & TAG_IPV6) !== 0
    const partial = (core.slab.words[w + VNET_FLAGS] & NEEDS_CSUM) !== 0
    if (clampSegmentSize(core.slab.bytes, transport, mtu, wide, partial))
      core.counters.values[Counter.MssClamped]++
  }

  /** Counts a frame that leaves for its flow. */
  count(id: FlowId, outward: boolean, length: number): void {
    const core = this.#core
    const { hot, bytes } = core.flows
    core.outward = outward
    if (outward) {
      hot[id * HOT_WORDS + PACKETS_OUT]++
      bytes[id * 8 + BYTES_OUT] += length
    } else {
      hot[id * HOT_WORDS + PACKETS_IN]++
      bytes[id * 8 + BYTES_IN] += length
    }
  }

  /** Sends a frame as it came: what the sender's kernel knew to be right is for the receiver's to find out. */
  send(slot: number, w: number, length: number, device: number): void {
    const core = this.#core
    const words = core.slab.words
    if ((words[w + VNET_FLAGS] & DATA_VALID) !== 0) words[w + VNET_FLAGS] &= ~DATA_VALID
    core.emit(slot, length, device)
  }
}
