/** Who watches learns the fate of every frame that arrives: one verdict a frame, whatever becomes of it. */
import t from 'tap'
import type { Observer } from '../../src/pipeline/core.ts'
import { type Drop, dropName } from '../../src/tables/drops.ts'
import { fragments4, udp4, udp6 } from '../wire/build.ts'
import { at, at6, labOf, small } from './labs.ts'
import { Net, type NetOptions } from './net.ts'

/** Writes down what it hears, by the frame that arrived in the slot last. */
class Notebook implements Observer {
  readonly verdicts: string[] = []
  readonly #open = new Set<number>()

  arriving(slot: number): void {
    this.#open.add(slot)
  }
  sent(slot: number): void {
    this.#decide(slot, 'sent')
  }
  dropped(slot: number, reason: Drop): void {
    this.#decide(slot, dropName[reason])
  }
  held(slot: number): void {
    this.#decide(slot, 'held')
  }
  handedOver(slot: number): void {
    this.#decide(slot, 'handed over')
  }
  /** Frames that arrived and were not decided about. */
  get open(): number {
    return this.#open.size
  }
  #decide(slot: number, verdict: string): void {
    if (this.#open.delete(slot)) this.verdicts.push(verdict)
  }
}

function watched(
  given: string,
  frames: readonly Uint8Array[],
  options: NetOptions & { shard?: number } = {},
): Notebook {
  const net = new Net(given, options)
  const notebook = new Notebook()
  for (const { pipeline } of net.shards) pipeline.core.observer = notebook
  for (const frame of frames)
    net.send('orders-1', frame, options.shard === undefined ? {} : { shard: options.shard })
  net.balance()
  return notebook
}

const to = { source: at.orders1, destination: at.web }
const big = { ...to, dontFragment: false, payload: 'x'.repeat(2000) }

t.test('a frame that is sent, one that is dropped, one that an error is sent about', async t => {
  const { verdicts, open } = watched(small, [
    udp4(to),
    udp4({ ...to, ttl: 1 }),
    udp6({ source: at6.orders1, destination: at6.web }),
    udp4({ ...to, source: at.db }),
  ])
  t.same(verdicts, ['sent', 'ttl-expired', 'sent', 'source-check'])
  t.equal(open, 0)
})

t.test('a frame that is cut is sent', async t => {
  const { verdicts, open } = watched(labOf({ webMtu: 1280 }), [udp4(big)])
  t.same(verdicts, ['sent'])
  t.equal(open, 0)
})

t.test('fragments are held, and the one that completes its datagram has the fate of all', async t => {
  const pieces = fragments4(udp4(big), 800)
  const { verdicts, open } = watched(small, pieces)
  t.same(verdicts, ['held', 'held', 'sent'])
  t.equal(open, 0)
  const refused = watched(labOf({ web: '{ protocol: tcp, ports: 9, from: [0.0.0.0/0] }' }), pieces)
  t.same(refused.verdicts, ['held', 'held', 'security-group-ingress'])
  const crowded = watched(small, pieces, { slots: 2 })
  t.same(crowded.verdicts, ['held', 'held', 'slots-exhausted'])
  t.equal(crowded.open, 0)
})

t.test('fragments that are dropped', async t => {
  const [first] = fragments4(udp4(big), 800)
  const { verdicts, open } = watched(small, [first, first])
  t.same(verdicts, ['held', 'fragment-overlap'])
  t.equal(open, 0)
})

t.test('a frame that goes to another shard is decided there', async t => {
  const verdicts = [0, 1].map(shard => watched(small, [udp4(to)], { shards: 2, shard }).verdicts)
  t.same(verdicts.sort(), [['handed over', 'sent'], ['sent']])
})
