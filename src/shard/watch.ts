/**
 * Watches: what became of one packet. Off, they cost the pipeline a comparison with null; on, a look at every frame.
 *
 * A watch matches a frame as it arrives, before anything of it is changed, and remembers its slot until the pipeline has decided.
 */
import type { Observer } from '../pipeline/core.ts'
import { Drop } from '../tables/drops.ts'
import { frameAt, type Slab } from '../tables/slab.ts'
import { NOTHING } from '../vpc/plan.ts'
import { read16 } from '../wire/bytes.ts'
import { WALK_LEN, Walk, walk } from '../wire/extensions.ts'
import * as ipv4 from '../wire/ipv4.ts'
import { Protocol } from '../wire/protocol.ts'
import type { PacketTuple, Seen, WatchMatch } from './messages.ts'

interface Watched {
  readonly match: WatchMatch
  slot: number
  device: number
}

const ANY = -1

export class Watches implements Observer {
  readonly #slab: Slab
  readonly #answer: (seen: Seen) => void
  readonly #watches = new Map<number, Watched>()
  readonly #walk = new Int32Array(WALK_LEN)

  constructor(slab: Slab, answer: (seen: Seen) => void) {
    this.#slab = slab
    this.#answer = answer
  }

  get any(): boolean {
    return this.#watches.size > 0
  }

  add(id: number, match: WatchMatch): void {
    this.#watches.set(id, { match, slot: ANY, device: NOTHING })
  }

  remove(id: number): void {
    this.#watches.delete(id)
  }

  arriving(slot: number, length: number, device: number): void {
    for (const watched of this.#watches.values()) {
      if (watched.slot !== ANY || !this.#matches(watched.match, slot, length, device)) continue
      watched.slot = slot
      watched.device = device
    }
  }

  sent(slot: number, length: number, device: number): void {
    this.#decide(slot, {
      verdict: 'sent',
      drop: Drop.None,
      toDevice: device,
      translated: this.#tuple(slot, length).tuple,
    })
  }

  dropped(slot: number, reason: Drop): void {
    this.#decide(slot, { verdict: 'dropped', drop: reason, toDevice: NOTHING, translated: null })
  }

  held(slot: number): void {
    this.#decide(slot, { verdict: 'held', drop: Drop.None, toDevice: NOTHING, translated: null })
  }

  handedOver(slot: number): void {
    // The shard that takes the frame over answers; its slot there is another one.
    for (const watched of this.#watches.values()) if (watched.slot === slot) watched.slot = ANY
  }

  #decide(slot: number, fate: Pick<Seen, 'verdict' | 'drop' | 'toDevice' | 'translated'>): void {
    for (const [id, watched] of this.#watches) {
      if (watched.slot !== slot) continue
      this.#watches.delete(id)
      this.#answer({ type: 'seen', id, fromDevice: watched.device, ...fate })
    }
  }

  #matches(match: WatchMatch, slot: number, length: number, device: number): boolean {
    if (match.device !== ANY && match.device !== device) return false
    const { tuple, protocol, identification } = this.#tuple(slot, length)
    return (
      (match.protocol === ANY || match.protocol === protocol) &&
      (match.identification === ANY || match.identification === identification) &&
      sameAddress(match.source, tuple.source) &&
      sameAddress(match.destination, tuple.destination) &&
      (match.sourcePort === ANY || match.sourcePort === tuple.sourcePort) &&
      (match.destinationPort === ANY || match.destinationPort === tuple.destinationPort)
    )
  }

  /** What a frame says of itself; zeros for what is not there. */
  #tuple(slot: number, length: number): { tuple: PacketTuple; protocol: number; identification: number } {
    const { bytes, words } = this.#slab
    const at = frameAt(slot)
    const w = at >> 2
    const end = at + length
    if (bytes[at] >>> 4 === 6 && length >= 40) {
      walk(bytes, at, end, this.#walk)
      const protocol = this.#walk[Walk.Protocol]
      const [sourcePort, destinationPort] = this.#ports(protocol, this.#walk[Walk.TransportAt], end)
      const source = words.slice(w + 2, w + 6)
      const destination = words.slice(w + 6, w + 10)
      return { tuple: { source, destination, sourcePort, destinationPort }, protocol, identification: ANY }
    }
    const source = words.slice(w + 3, w + 4)
    const destination = words.slice(w + 4, w + 5)
    if (length < 20)
      return {
        tuple: { source, destination, sourcePort: 0, destinationPort: 0 },
        protocol: 0,
        identification: ANY,
      }
    const protocol = ipv4.protocol(bytes, at)
    const [sourcePort, destinationPort] = this.#ports(protocol, ipv4.payloadAt(bytes, at), end)
    return {
      tuple: { source, destination, sourcePort, destinationPort },
      protocol,
      identification: ipv4.identification(bytes, at),
    }
  }

  #ports(protocol: number, transport: number, end: number): [number, number] {
    const { bytes } = this.#slab
    if (transport + 8 > end) return [0, 0]
    if (protocol === Protocol.Tcp || protocol === Protocol.Udp)
      return [read16(bytes, transport), read16(bytes, transport + 2)]
    const type = bytes[transport]
    const echo = protocol === Protocol.Icmp ? type === 0 || type === 8 : type === 128 || type === 129
    const identifier = echo ? read16(bytes, transport + 4) : 0
    return [identifier, identifier]
  }
}

const sameAddress = (wanted: Int32Array, found: Int32Array): boolean =>
  wanted.length === 0 || (wanted.length === found.length && wanted.every((word, i) => word === found[i]))
