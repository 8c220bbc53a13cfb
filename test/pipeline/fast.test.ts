/**
 * `express.ts` forwards the common datagram by itself. Here every such datagram is sent twice, once so and once the long way,
 * which is taken while somebody watches: what comes out must be the same, byte for byte, and so must be what it leaves in the flow's record.
 */
import fc from 'fast-check'
import t from 'tap'
import type { Observer } from '../../src/pipeline/core.ts'
import { Flow4 } from '../../src/pipeline/flow4.ts'
import { BYTES_IN, BYTES_OUT, HOT_WORDS, PACKETS_IN, PACKETS_OUT } from '../../src/tables/flows.ts'
import { udp4 } from '../wire/build.ts'
import { at, small } from './labs.ts'
import { Net } from './net.ts'
import { read } from './packets.ts'
import { sound } from './scenario.ts'

const watcher: Observer = {
  arriving() {},
  sent() {},
  dropped() {},
  held() {},
  handedOver() {},
}

/** Counts calls of the long way's last step. */
let forwarded = 0
const { forward } = Flow4.prototype
Flow4.prototype.forward = function (...args) {
  forwarded++
  return forward.apply(this, args)
}
t.teardown(() => {
  Flow4.prototype.forward = forward
})

const payloads = fc.uint8Array({ maxLength: 400 })

t.test('a datagram comes out of the short way as it does of the long way', async t => {
  const net = new Net(small)
  const { core } = net.shards[0].pipeline
  const request = { source: at.orders1, destination: at.web, sourcePort: 4000, destinationPort: 53 }
  const [first] = net.send('orders-1', udp4({ ...request, payload: 'begins' }))
  const { sourcePort } = read(first.frame)
  const answers = { source: at.web, destination: at.eni, sourcePort: 53, destinationPort: sourcePort }
  net.send('web', udp4({ ...answers, payload: 'answers' }))

  fc.assert(
    fc.property(
      payloads,
      fc.boolean(),
      fc.integer({ min: 2, max: 255 }),
      fc.constantFrom('right', 'none', 'partial', 'checked'),
      (payload, outward, ttl, kind) => {
        const partial = kind === 'partial'
        const frame = udp4({
          ...(outward ? request : answers),
          payload,
          ttl,
          dontFragment: true,
          ...(partial ? { partial } : {}),
          ...(kind === 'none' ? { checksum: false } : {}),
        })
        const from = outward ? 'orders-1' : 'web'
        const options = { partial, checked: kind === 'checked' }
        const before = record(net)
        forwarded = 0
        const [short] = net.send(from, frame, options)
        const calls = forwarded
        const between = record(net)
        core.observer = watcher
        const [long] = net.send(from, frame, options)
        core.observer = null
        const after = record(net)
        t.equal(calls, 0, 'the short way was taken')
        t.equal(forwarded, 1, 'then the long way')
        t.same(short, long)
        t.same(difference(before, between), difference(between, after))
      },
    ),
    { numRuns: 300 },
  )
  sound(t, net)
})

/** The words and byte counts of the net's only flow. */
function record(net: Net): { words: number[]; bytes: number[] } {
  const { hot, bytes } = net.shards[0].pipeline.core.flows
  return { words: [...hot.subarray(0, 12)], bytes: [bytes[BYTES_OUT], bytes[BYTES_IN]] }
}

/** What changed: the counters by how much, all else not at all. */
function difference(x: ReturnType<typeof record>, y: ReturnType<typeof record>): unknown {
  const counters = [PACKETS_OUT, PACKETS_IN].map(word => y.words[word] - x.words[word])
  const changed = x.words.flatMap((word, i) =>
    i < PACKETS_OUT && word !== y.words[i] ? [[i % HOT_WORDS, word, y.words[i]]] : [],
  )
  return { counters, changed, bytes: y.bytes.map((count, i) => count - x.bytes[i]) }
}

t.test('what the short way cannot do goes the long way', async t => {
  const net = new Net(small)
  const request = { source: at.orders1, destination: at.web, sourcePort: 4000, destinationPort: 53 }
  const cases: [string, Parameters<typeof udp4>[0], () => void][] = [
    ['the first of a flow', { ...request, dontFragment: true }, () => {}],
    ['one that may be fragmented', { ...request, dontFragment: false }, () => {}],
    ['one after a second, which renews the flow', { ...request, dontFragment: true }, () => net.wait(2)],
    ['the first after another plan', { ...request, dontFragment: true }, () => net.apply(small)],
  ]
  for (const [name, packet, prepare] of cases) {
    prepare()
    forwarded = 0
    t.equal(net.send('orders-1', udp4({ ...packet, payload: 'x' })).length, 1, name)
    t.equal(forwarded, 1, name)
    forwarded = 0
    net.send('orders-1', udp4({ ...request, dontFragment: true, payload: 'x' }))
    t.equal(forwarded, 0, `${name}: the next takes the short way`)
  }
  sound(t, net)
})
