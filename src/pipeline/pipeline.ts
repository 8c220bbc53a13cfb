/**
 * The pipeline over a burst, in three passes.
 *
 * The first checks headers and computes hashes, the second loads the index slots and records that the third will want: their cache misses
 * overlap, which is all that counts with a million flows (`classify.ts`). The third compares, tracks, translates and sends. Frames with options,
 * extension headers, fragments, ICMP and all that is malformed go to the slow path, in their turn, so that nothing is reordered.
 */
import type { Burst } from '../tables/burst.ts'
import { Counter } from '../tables/counters.ts'
import { frameAt } from '../tables/slab.ts'
import type { Plan } from '../vpc/plan.ts'
import { Admission } from './admit.ts'
import { Again } from './again.ts'
import { BURST, Classifier, Kind } from './classify.ts'
import { Core, type CoreOptions } from './core.ts'
import { Datagrams } from './datagrams.ts'
import { Dispatch, spaceOfProtocol } from './dispatch.ts'
import { Errors } from './errors.ts'
import { Express } from './express.ts'
import { Flow4 } from './flow4.ts'
import { Flow6 } from './flow6.ts'
import { Gates } from './gates.ts'
import { Originator } from './originate.ts'
import { Passage } from './passage.ts'
import { SlowPath } from './slow.ts'

export { BURST }

export class Pipeline {
  readonly core: Core
  readonly #flow4: Flow4
  readonly #flow6: Flow6
  readonly #slow: SlowPath
  readonly #datagrams: Datagrams
  readonly #frames: Classifier
  readonly #express: Express

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
    this.#express = new Express(this.core, this.#frames)
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
    this.#frames.resolve(count)
    const { kind } = this.#frames
    for (let i = 0; i < count; i++) {
      if (kind[i] <= Kind.DatagramIn && core.observer === null) i = this.#express.forward(input, i)
      if (i < count) this.#dispatch(input, i)
    }
    const { values } = core.counters
    // What another shard handed over is counted as it leaves the ring.
    if (!core.takenOver) {
      values[Counter.FramesIn] += count
      values[Counter.BytesIn] += bytesIn
    }
    core.settle(before)
    input.clear()
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
