/**
 * The pipeline over a burst, in three passes.
 *
 * The first checks headers and computes hashes, the second touches the index slots and records that the third will want: their cache misses
 * overlap, which is all that counts with a million flows. The third finds the flow, tracks, translates and sends. Frames with options,
 * extension headers, fragments, ICMP and all that is malformed go to the slow path, in their turn, so that nothing is reordered.
 */
import { SEEN_TICKS } from '../nat/conntrack.ts'
import type { Burst } from '../tables/burst.ts'
import { Counter } from '../tables/counters.ts'
import {
  A,
  B,
  BYTES_IN,
  BYTES_OUT,
  COLD_WORDS,
  FLAG_ANSWERED,
  GENERATION,
  LEASE,
  NEXT_ON_PORT,
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  SEEN,
  STATE,
  TAG,
  TRANSLATED,
} from '../tables/flows.ts'
import { FRAME_AT, frameAt, STRIDE } from '../tables/slab.ts'
import type { Plan } from '../vpc/plan.ts'
import { addDeltaPartial, addDeltaUdp } from '../wire/checksum.ts'
import { Admission } from './admit.ts'
import { Again } from './again.ts'
import { BURST, Classifier, Kind } from './classify.ts'
import { Core, type CoreOptions } from './core.ts'
import { Datagrams } from './datagrams.ts'
import { Dispatch, spaceOfProtocol } from './dispatch.ts'
import { Errors } from './errors.ts'
import { DONT_FRAGMENT, Flow4, TTL_DELTA } from './flow4.ts'
import { Flow6 } from './flow6.ts'
import { Gates } from './gates.ts'
import { Originator } from './originate.ts'
import { Passage, scopeOf } from './passage.ts'
import { SlowPath } from './slow.ts'

export { BURST }

/** Flows whose index and records stay in the cache anyway: touching them ahead would only cost. */
const CACHED_FLOWS = 4096
/** A record's first word is its number shifted by this. */
const HOT_SHIFT = 4
/** virtio-net, in the word of the flags: the checksum field holds the pseudo-header's sum; the checksum was found right. */
const NEEDS_CSUM = 1
const DATA_VALID = 2

export class Pipeline {
  readonly core: Core
  readonly #flow4: Flow4
  readonly #flow6: Flow6
  readonly #slow: SlowPath
  readonly #datagrams: Datagrams
  readonly #frames: Classifier

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
    this.#frames = new Classifier(this.core)
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
    const before = core.output.count
    let bytesIn = 0
    if (core.observer !== null)
      for (let i = 0; i < count; i++) core.observer.arriving(slot[i], length[i], device[i])
    for (let i = 0; i < count; i++) bytesIn = (bytesIn + length[i]) | 0
    this.#frames.classify(input)
    if (core.flows.live > CACHED_FLOWS) this.#frames.touch(count)
    this.#forward(input, count)
    const { values } = core.counters
    values[core.takenOver ? Counter.TakenOver : Counter.FramesIn] += count
    if (!core.takenOver) values[Counter.BytesIn] += bytesIn
    core.settle(before)
    input.clear()
  }

  /**
   * The third pass. Datagrams of IPv4 flows that want nothing but to be translated are forwarded right here, the rest by those who know
   * more: in this runtime a call with seven arguments costs as much as a translation, see bench/README.md, "calls". What is done here, and
   * nothing else, `Flow4.forward` would do; test/pipeline/fast.test.ts compares the two.
   */
  #forward(input: Burst, count: number): void {
    const core = this.core
    const { slot, device } = input
    const { output, slab, mtu, generation, now } = core
    const { words } = slab
    const { hot, bytes, index, indexMask } = core.flows
    const { kind: kinds, length: lengths, hash: hashes, tag: tags } = this.#frames
    const watched = core.observer !== null
    for (let i = 0; i < count; i++) {
      const kind = kinds[i]
      const w = Math.imul(slot[i], STRIDE >> 2) + (FRAME_AT >> 2)
      if (kind > Kind.DatagramIn || watched) {
        this.#dispatch(input, i)
        continue
      }
      const length = lengths[i]
      const ports = words[w + 5]
      const source = words[w + 3]
      let record = 0
      if (kind === Kind.DatagramOut) {
        const hash = hashes[i]
        const destination = words[w + 4]
        const tag = tags[i]
        let at = hash & indexMask
        let entry = index[at]
        for (; entry !== 0; entry = index[at]) {
          if (((entry ^ hash) & 0xff000000) === 0) {
            record = ((entry & 0xffffff) - 1) << HOT_SHIFT
            if (
              hot[record + A] === source &&
              hot[record + B] === destination &&
              hot[record + PORTS] === ports &&
              hot[record + TAG] === tag
            )
              break
          }
          at = (at + 1) & indexMask
        }
        const out = hot[record + OUT]
        const hop = words[w + 2]
        if (
          entry === 0 ||
          hot[record + GENERATION] !== generation ||
          ((now - hot[record + SEEN]) | 0) >= SEEN_TICKS ||
          (hop & 0xff) <= 1 ||
          (words[w + 1] & DONT_FRAGMENT) === 0 ||
          length > mtu[out >>> 16]
        ) {
          this.#dispatch(input, i)
          continue
        }
        const lease = hot[record + LEASE]
        words[w + 3] = hot[record + TRANSLATED]
        words[w + 5] = (ports & 0xffff0000) | (lease & 0xffff)
        translateUdp(words, w, hop, lease >>> 16, out & 0xffff)
        hot[record + PACKETS_OUT]++
        bytes[(record >> 1) + BYTES_OUT] += length
        output.add(slot[i], length, out >>> 16)
      } else {
        record = this.#replyRecord(hashes[i], source, ports & 0xffff)
        const hop = words[w + 2]
        const to = scopeOf(hot[record + TAG])
        if (
          record < 0 ||
          hot[record + GENERATION] !== generation ||
          (hot[record + STATE] & FLAG_ANSWERED) === 0 ||
          hot[record + OUT] >>> 16 !== device[i] ||
          (hop & 0xff) <= 1 ||
          length > mtu[to]
        ) {
          this.#dispatch(input, i)
          continue
        }
        words[w + 4] = hot[record + A]
        words[w + 5] = (ports & 0xffff) | (hot[record + PORTS] << 16)
        translateUdp(
          words,
          w,
          hop,
          (hot[record + LEASE] >>> 16) ^ 0xffff,
          (hot[record + OUT] & 0xffff) ^ 0xffff,
        )
        hot[record + PACKETS_IN]++
        bytes[(record >> 1) + BYTES_IN] += length
        output.add(slot[i], length, to)
      }
    }
  }

  /** Where the record begins of the flow that holds a port towards a remote end point; negative where it is not this shard's. */
  #replyRecord(entry: number, source: number, remotePort: number): number {
    if (entry === 0 || (entry >>> 24) - 1 !== this.core.shard) return -1
    const { hot, cold } = this.core.flows
    let id = (entry & 0xffffff) - 1
    while (id >= 0) {
      const record = id << HOT_SHIFT
      if (hot[record + B] === source && hot[record + PORTS] >>> 16 === remotePort) return record
      id = cold[id * COLD_WORDS + NEXT_ON_PORT] - 1
    }
    return -1
  }

  /** Gives a frame to those who decide about it at length. */
  #dispatch(input: Burst, i: number): void {
    const slot = input.slot[i]
    const device = input.device[i]
    const frames = this.#frames
    const length = frames.length[i]
    const tag = frames.tag[i]
    const ports = frames.ports[i]
    const transport4 = frameAt(slot) + 20
    switch (frames.kind[i]) {
      case Kind.DatagramOut:
      case Kind.Outward4:
        this.#flow4.outward(frames.hash[i], tag, ports, slot, length, transport4, device)
        break
      case Kind.DatagramIn:
      case Kind.Inward4: {
        const space = spaceOfProtocol(tag)
        this.#flow4.inward(
          frames.eni[i],
          space,
          ports >>> 16,
          ports & 0xffff,
          slot,
          length,
          transport4,
          device,
        )
        break
      }
      case Kind.Between4:
        this.#flow4.between(frames.hash[i], tag, ports, slot, length, transport4, device)
        break
      case Kind.Outward6:
        this.#flow6.outward(frames.hash[i], tag, ports, slot, length, transport4 + 20, device)
        break
      case Kind.Inward6: {
        const space = spaceOfProtocol(tag) + 3
        this.#flow6.inward(
          frames.eni[i],
          space,
          ports >>> 16,
          ports & 0xffff,
          slot,
          length,
          transport4 + 20,
          device,
        )
        break
      }
      case Kind.Between6:
        this.#flow6.between(frames.hash[i], tag, ports, slot, length, transport4 + 20, device)
        break
      default:
        this.#slow.handle(slot, input.length[i], device)
    }
  }

  /** What is due by time: flows and fragments that expire. Call it once a turn. */
  expire(now: number): void {
    this.core.now = now
    this.core.conntrack.expire(now)
    this.#datagrams.expire(now)
  }
}

/**
 * Takes one hop off a UDP packet whose address and port were translated, and brings both checksums in line.
 * @param w word index of the IPv4 header, which has no options
 * @param hop the header's third word, as it came
 * @param address delta of the address, `both` that of address and port
 */
function translateUdp(words: Int32Array, w: number, hop: number, address: number, both: number): void {
  const flags = words[w - 3]
  const word = words[w + 6]
  const partial = (flags & NEEDS_CSUM) !== 0
  const checksum = partial ? addDeltaPartial(word >>> 16, address) : addDeltaUdp(word >>> 16, both)
  words[w + 6] = (word & 0xffff) | (checksum << 16)
  const sum = (~(hop >>> 16) & 0xffff) + address + TTL_DELTA
  const once = (sum & 0xffff) + (sum >>> 16)
  words[w + 2] = ((hop & 0xffff) - 1) | (~((once & 0xffff) + (once >>> 16)) << 16)
  if ((flags & DATA_VALID) !== 0) words[w - 3] = flags & ~DATA_VALID
}
