/**
 * The short way of the common datagram: UDP of a function over IPv4 that wants nothing but to be translated.
 *
 * In this runtime a call with seven arguments costs as much as a translation, and a loop with a call in it reads again after each what it had
 * read before; see bench/README.md, "calls". So this is one loop without calls, and it ends at the first frame that is anything
 * else: of another kind, of no flow yet, decided under another plan, due for renewal, at its last hop, too big. What is done here, and nothing
 * else, `Flow4.forward` would do; test/pipeline/fast.test.ts compares the two.
 */
import { SEEN_TICKS } from '../nat/conntrack.ts'
import type { Burst } from '../tables/burst.ts'
import {
  A,
  B,
  BYTES_IN,
  BYTES_OUT,
  FLAG_ANSWERED,
  FLAG_LIVE,
  GENERATION,
  LEASE,
  OUT,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  SEEN,
  STATE,
  TAG,
  TRANSLATED,
} from '../tables/flows.ts'
import { FRAME_AT, STRIDE } from '../tables/slab.ts'
import { addDeltaPartial, addDeltaUdp } from '../wire/checksum.ts'
import { type Classifier, Kind } from './classify.ts'
import type { Core } from './core.ts'
import { DONT_FRAGMENT, TTL_DELTA } from './flow4.ts'
import { scopeOf } from './passage.ts'

/** A record's first word is its number shifted by this. */
const HOT_SHIFT = 4
/** virtio-net, in the word of the flags: the checksum field holds the pseudo-header's sum; the checksum was found right. */
const NEEDS_CSUM = 1
const DATA_VALID = 2

export class Express {
  readonly #core: Core
  readonly #frames: Classifier

  constructor(core: Core, frames: Classifier) {
    this.#core = core
    this.#frames = frames
  }

  /**
   * Forwards the frames of a burst from one on, up to the first that must go the long way.
   * @returns the place of that frame, the burst's count where there is none
   */
  forward(input: Burst, from: number): number {
    const core = this.#core
    const { slot: slots, device: devices, count } = input
    const { output, mtu, generation, now } = core
    const { words } = core.slab
    const { hot, bytes } = core.flows
    const { kind: kinds, length: lengths, tag: tags, ports: allPorts, record: numbers } = this.#frames
    const { slot: outSlots, length: outLengths, device: outDevices } = output
    let sent = output.count
    let i = from
    for (; i < count; i++) {
      const kind = kinds[i]
      const record = numbers[i] << HOT_SHIFT
      if (kind > Kind.DatagramIn || record < 0) break
      const slot = slots[i]
      const w = (Math.imul(slot, STRIDE) + FRAME_AT) >> 2
      const ports = allPorts[i]
      const length = lengths[i]
      const hop = words[w + 2]
      if ((hop & 0xff) <= 1 || hot[record + GENERATION] !== generation) break
      let address = hot[record + LEASE] >>> 16
      let both = hot[record + OUT] & 0xffff
      let to = hot[record + OUT] >>> 16
      if (kind === Kind.DatagramOut) {
        if (
          hot[record + A] !== words[w + 3] ||
          hot[record + B] !== words[w + 4] ||
          hot[record + PORTS] !== ports ||
          hot[record + TAG] !== tags[i] ||
          (hot[record + STATE] & FLAG_LIVE) === 0 ||
          ((now - hot[record + SEEN]) | 0) >= SEEN_TICKS ||
          (words[w + 1] & DONT_FRAGMENT) === 0 ||
          length > mtu[to]
        )
          break
        words[w + 3] = hot[record + TRANSLATED]
        words[w + 5] = (ports & 0xffff0000) | (hot[record + LEASE] & 0xffff)
        hot[record + PACKETS_OUT]++
        bytes[(record >> 1) + BYTES_OUT] += length
      } else {
        if (
          hot[record + B] !== words[w + 3] ||
          hot[record + PORTS] >>> 16 !== (ports & 0xffff) ||
          (hot[record + STATE] & FLAG_ANSWERED) === 0 ||
          to !== devices[i]
        )
          break
        to = scopeOf(hot[record + TAG])
        if (length > mtu[to]) break
        // The way back undoes the deltas: their one's complements.
        address ^= 0xffff
        both ^= 0xffff
        words[w + 4] = hot[record + A]
        words[w + 5] = (ports & 0xffff) | (hot[record + PORTS] << 16)
        hot[record + PACKETS_IN]++
        bytes[(record >> 1) + BYTES_IN] += length
      }
      const flags = words[w - 3]
      const datagram = words[w + 6]
      const checksum =
        (flags & NEEDS_CSUM) !== 0
          ? addDeltaPartial(datagram >>> 16, address)
          : addDeltaUdp(datagram >>> 16, both)
      words[w + 6] = (datagram & 0xffff) | (checksum << 16)
      const sum = (~(hop >>> 16) & 0xffff) + address + TTL_DELTA
      const once = (sum & 0xffff) + (sum >>> 16)
      words[w + 2] = ((hop & 0xffff) - 1) | (~((once & 0xffff) + (once >>> 16)) << 16)
      if ((flags & DATA_VALID) !== 0) words[w - 3] = flags & ~DATA_VALID
      outSlots[sent] = slot
      outLengths[sent] = length
      outDevices[sent] = to
      sent++
    }
    output.count = sent
    return i
  }
}
