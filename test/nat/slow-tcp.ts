/**
 * TCP tracking once more, slow and obvious: numbers that do not wrap, everything believed kept in lists, the
 * state told from facts about what was believed and not from a table. What `src/nat/tcp.ts` is compared with.
 */
export interface SlowSegment {
  byBeginner: boolean
  /** One of S, SA, A, FA, R, RA. */
  flags: string
  /** Of the sender, not wrapped. */
  sequence: number
  /** Of the receiver, not wrapped. */
  acknowledgment: number
  window: number
  /** Payload bytes. */
  bytes: number
  /** The window scale that a SYN or SYN-ACK offers. */
  scale?: number | undefined
}

/** What was believed of one end. */
class End {
  readonly ends: number[] = []
  readonly edges: number[] = []
  readonly acknowledged: number[] = []
  finished = false
  offered: number | undefined

  get end(): number {
    return Math.max(...this.ends)
  }
  get edge(): number {
    return Math.max(...this.edges)
  }
  get acked(): number {
    return Math.max(...this.acknowledged)
  }
}

const SLACK = 66_000
const LARGEST = 65_535

export class SlowTcp {
  beginner = new End()
  other = new End()
  pickedUp = false
  /** The other end's words are known. */
  heard = false
  crossed = false
  crossedAnswered = false
  done = false
  pickedUpAtFin = false
  wasLast = false
  reset = false
  #offeredWindow = 0
  #scaled = true
  #unknownScale = false

  get state(): string {
    if (this.reset) return 'closed'
    if (this.wasLast) return 'time-wait'
    if (this.pickedUpAtFin || (this.beginner.finished && this.other.finished)) return 'closing'
    if (this.beginner.finished) return 'fin-wait'
    if (this.other.finished) return 'close-wait'
    if (this.done) return 'established'
    if (this.pickedUp) return 'picked-up'
    if (this.heard) return 'syn-received'
    if (this.crossedAnswered) return 'syn-answered'
    return this.crossed ? 'simultaneous-open' : 'syn-sent'
  }

  /** @returns whether the segment is stray */
  hear(segment: SlowSegment): boolean {
    if (this.reset) return false
    if (segment.flags.includes('R')) return !this.#hearReset(segment)
    if (segment.flags === 'S') return this.#hearSyn(segment)
    if (!this.heard && !this.pickedUp) return !this.#hearAnswer(segment)
    return !this.#hearOrdinary(segment)
  }

  begin(segment: SlowSegment): void {
    this.beginner = new End()
    this.other = new End()
    this.pickedUp = segment.flags !== 'S'
    this.heard = this.crossed = this.crossedAnswered = this.done = this.pickedUpAtFin = false
    if (this.pickedUp) {
      this.#learnMiddle(segment, this.beginner, this.other)
      if (segment.flags === 'FA') this.pickedUpAtFin = this.beginner.finished = true
      return
    }
    this.beginner.ends.push(segment.sequence + 1 + segment.bytes)
    this.beginner.edges.push(segment.sequence + 1 + segment.bytes)
    this.beginner.acknowledged.push(segment.sequence)
    this.beginner.offered = segment.scale
    this.#offeredWindow = segment.window
    this.#unknownScale = false
  }

  #learnMiddle(segment: SlowSegment, own: End, peer: End): void {
    const end = segment.sequence + segment.bytes + (segment.flags === 'FA' ? 1 : 0)
    own.ends.push(end)
    own.edges.push(end + LARGEST * 2 ** 14)
    own.acknowledged.push(segment.sequence)
    for (const list of [peer.ends, peer.edges, peer.acknowledged]) list.length = 0
    peer.ends.push(segment.acknowledgment)
    peer.acknowledged.push(segment.acknowledgment)
    peer.edges.push(segment.acknowledgment + segment.window * 2 ** 14)
    this.#unknownScale = true
  }

  #scaleOf(end: End): number {
    if (this.#unknownScale) return 14
    return this.#scaled ? Math.min(end.offered ?? 0, 14) : 0
  }

  #hearReset(segment: SlowSegment): boolean {
    const own = segment.byBeginner ? this.beginner : this.other
    const unheard = !this.heard && !this.pickedUp
    if (unheard && !segment.byBeginner) {
      if (segment.flags === 'R' || !this.#acknowledgesSyn(segment)) return false
    } else if (['fin-wait', 'close-wait', 'closing', 'time-wait'].includes(this.state)) {
      if (segment.sequence > own.edge || segment.sequence < own.acked - SLACK) return false
    } else if (segment.sequence !== own.end && segment.sequence !== own.acked) return false
    this.reset = true
    return true
  }

  #hearSyn(segment: SlowSegment): boolean {
    const unheard = !this.heard && !this.pickedUp
    if (segment.byBeginner && (unheard || this.state === 'picked-up')) {
      if (!unheard || segment.sequence !== this.beginner.acked) this.begin(segment)
      return false
    }
    if (unheard) {
      this.crossed = true
      return false
    }
    return this.state !== 'syn-received'
  }

  #acknowledgesSyn(segment: SlowSegment): boolean {
    return segment.acknowledgment > this.beginner.acked && segment.acknowledgment <= this.beginner.end
  }

  #hearAnswer(segment: SlowSegment): boolean {
    if (segment.flags === 'FA') return false
    if (segment.byBeginner) {
      if (!this.crossed || this.crossedAnswered) return false
      this.crossedAnswered = true
      return true
    }
    if (segment.flags === 'A' && !this.crossed) return false
    if (!this.#acknowledgesSyn(segment)) return false
    this.done = this.crossedAnswered
    this.heard = true
    if (segment.flags === 'A') {
      this.#learnMiddle(segment, this.other, this.beginner)
      return true
    }
    this.other.ends.push(segment.sequence + 1 + segment.bytes)
    this.other.acknowledged.push(segment.sequence)
    this.other.edges.push(segment.sequence + 1 + this.#offeredWindow)
    this.other.offered = segment.scale
    this.#scaled = this.beginner.offered !== undefined && segment.scale !== undefined
    this.beginner.acknowledged.push(segment.acknowledgment)
    this.beginner.edges.push(segment.acknowledgment + segment.window)
    return true
  }

  #hearOrdinary(segment: SlowSegment): boolean {
    const { flags, sequence, acknowledgment, byBeginner } = segment
    const [own, peer] = byBeginner ? [this.beginner, this.other] : [this.other, this.beginner]
    const state = this.state
    const end = sequence + segment.bytes + (flags === 'A' ? 0 : 1)
    if (state === 'syn-received' && acknowledgment < peer.acked + (byBeginner ? 1 : 0)) return false
    if (flags === 'FA' && end < own.end) return false
    if (sequence > own.edge) return false
    if (end < own.end - LARGEST * 2 ** this.#scaleOf(peer)) return false
    if (acknowledgment > peer.end) return false
    if (acknowledgment < peer.end - Math.max(SLACK, LARGEST * 2 ** this.#scaleOf(own))) return false

    own.ends.push(end)
    peer.acknowledged.push(acknowledgment)
    const window = flags === 'SA' ? segment.window : segment.window * 2 ** this.#scaleOf(own)
    peer.edges.push(acknowledgment + window)
    if (flags === 'FA') {
      if (state === 'picked-up' && byBeginner) this.pickedUpAtFin = true
      own.finished = true
    } else if (state === 'syn-received' && byBeginner) this.done = true
    else if (state === 'picked-up' && !byBeginner && flags === 'A') this.done = true
    const both = this.beginner.finished && this.other.finished
    if (both && this.beginner.end === this.beginner.acked && this.other.end === this.other.acked)
      this.wasLast = true
    return true
  }
}
