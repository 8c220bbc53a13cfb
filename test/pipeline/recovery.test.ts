/** A killed daemon that starts again on the same regions: flows go on, ports stay leased, what was in the making is forgotten. */
import t from 'tap'
import { Counter } from '../../src/tables/counters.ts'
import { COLD_WORDS, HOT_WORDS, NEXT_ON_PORT } from '../../src/tables/flows.ts'
import { PORTS_PER_SPACE } from '../../src/tables/ports.ts'
import { randomOf } from '../tables/random.ts'
import { audit } from './audit.ts'
import { families, ipv4, ipv6, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { fragmentsOf, read, reply } from './packets.ts'
import { last, sound } from './scenario.ts'

for (const shards of [1, 2, 3])
  for (const { name, at, tcp, udp, echo } of families)
    t.test(`${name}, ${shards} shards: connections, datagrams and pings go on where they were`, async t => {
      const net = new Net(small, { shards })
      const to = { source: at.orders1, destination: at.web }
      const sent: Uint8Array[] = []
      for (let port = 2000; port < 2040; port++) {
        sent.push(
          tcp({ ...to, sourcePort: port, sequence: 99 }),
          udp({ ...to, sourcePort: port }),
          echo({ ...to, identifier: port }),
        )
        sent.push(udp({ source: at.db, destination: at.web, sourcePort: port }))
      }
      const out = sent.map((frame, i) => net.send(i % 4 === 3 ? 'db' : 'orders-1', frame)[0])
      const ports = new Map(out.map(({ frame }, i) => [i, read(frame).sourcePort]))
      net.restart()
      t.equal(net.flows, sent.length)
      t.same(audit(net), [])
      for (const [i, { frame }] of out.entries()) {
        const [back] = net.send('web', reply(frame))
        if (back?.to !== (i % 4 === 3 ? 'db' : 'orders-1')) t.fail(`flow ${i} has no answer`)
        const [again] = net.send(i % 4 === 3 ? 'db' : 'orders-1', sent[i])
        if (read(again.frame).sourcePort !== ports.get(i)) t.fail(`flow ${i} has another port`)
      }
      t.equal(net.counter('FlowsAdmitted'), sent.length, 'none of them is a new one')
      t.same(net.drops(), {})
      sound(t, net)
    })

t.test('time goes on: what was idle before the kill expires when it would have', async t => {
  const net = new Net(small)
  net.send('orders-1', ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web }))
  net.wait(200)
  net.send('orders-2', ipv4.udp({ source: ipv4.at.orders2, destination: ipv4.at.web }))
  net.restart()
  net.wait(102)
  t.equal(net.flows, 1)
  net.wait(200)
  t.equal(net.flows, 0)
  sound(t, net)
})

t.test('a killed daemon that starts with another plan keeps what is right under it', async t => {
  const net = new Net(
    labOf({
      groups: '    other: { egress: [{ protocol: all, to: [0.0.0.0/0] }] }',
      functions: '  pay: { subnets: [app], securityGroups: [other] }',
    }),
  )
  net.send('orders-1', ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web }))
  net.send('pay-1', ipv4.udp({ source: '100.64.0.4', destination: ipv4.at.web }))
  net.send('db', ipv4.udp({ source: ipv4.at.db, destination: ipv4.at.web }))
  net.restart(small)
  t.equal(net.flows, 2, 'the flow of an ENI that is gone is not taken up')
  net.send('orders-1', ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web }))
  t.equal(net.counter('FlowsAdmitted'), 3)
  sound(t, net)
})

t.test('what was held when the daemon was killed is counted as lost, and the books balance', async t => {
  const net = new Net(small, { shards: 2 })
  const whole = ipv4.udp({
    source: ipv4.at.orders1,
    destination: ipv4.at.web,
    dontFragment: false,
    payload: 'x'.repeat(100),
  })
  const [first, ...rest] = fragmentsOf(whole, 40)
  net.send('orders-1', first)
  net.restart()
  t.same(net.drops(), { restart: 1 })
  for (const piece of rest) net.send('orders-1', piece)
  net.wait(31)
  t.same(net.drops(), { restart: 1, 'fragment-no-first': 2 })
  sound(t, net)
})

t.test(
  'killed within a burst, after some of its frames were dropped and before any was counted in',
  async t => {
    const net = new Net(small)
    net.send('web', ipv4.udp({ source: ipv4.at.web, destination: ipv4.at.eni }))
    // What the region has then.
    net.shards[0].pipeline.core.counters.values[Counter.FramesIn]--
    net.restart()
    t.equal(net.counter('FramesIn'), 1)
    t.same(net.drops(), { unsolicited: 1 })
  },
)

t.test('shared ports are shared after a restart, too', async t => {
  const net = new Net(small, { flows: 66_000 })
  const template = ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web, checksum: false })
  const send = (port: number, remote: number) => {
    const frame = Uint8Array.from(template)
    frame.set([port >>> 8, port & 0xff, remote >>> 8, remote & 0xff], 20)
    return net.burst([['orders-1', frame]], { unjudged: true })[0]
  }
  for (let i = 0; i < PORTS_PER_SPACE; i++) send(i + 1, 80)
  const shared = Array.from({ length: 200 }, (_, i) => send(i + 1, 81))
  net.restart()
  t.equal(net.flows, PORTS_PER_SPACE + 200)
  const { flows } = net.shards[0].pipeline.core
  t.equal(
    Array.from({ length: flows.highWater }, (_, id) => flows.cold[id * COLD_WORDS + NEXT_ON_PORT]).filter(
      next => next !== 0,
    ).length,
    200,
  )
  for (const { frame } of shared)
    if (net.send('web', reply(frame, { checksum: false }))[0]?.to !== 'orders-1') t.fail('an answer is lost')
  t.same(audit(net), [])
})

t.test('whatever was being written when the daemon was killed, the tables are sound afterwards', async t => {
  const random = randomOf(t)
  const net = new Net(small, { shards: 2, flows: 256 })
  let restarts = 0
  for (let step = 0; step < 800; step++) {
    const { at, tcp, udp } = random.pick(families)
    const place = random.pick(['orders-1', 'orders-2'] as const)
    const of = {
      source: place === 'orders-1' ? at.orders1 : at.orders2,
      destination: random.pick([at.web, at.db]),
      sourcePort: 1000 + random.below(150),
    }
    net.send(place, random.chance(0.5) ? udp(of) : tcp({ ...of, flags: random.pick(['S', 'A', 'FA', 'RA']) }))
    if (random.chance(0.3) && net.arrivals.length > 0) {
      const { to, frame } = random.pick(net.arrivals.slice(-20))
      if (to === 'web' || to === 'db') net.send(to, reply(frame))
    }
    if (random.chance(0.02)) net.wait(random.below(200))
    if (random.chance(0.02)) {
      // What is derived may be anything; a record that was being filled has a state of 0.
      for (const { memory } of net.shards) {
        memory.words('index').fill(random.word())
        memory.words('next').fill(random.word())
        memory.words('previous').fill(random.word())
        memory.words('lists').fill(0, 0, 1024)
        memory.words('flows').set([random.word(), random.word()], 1)
        const { hot, highWater } = net.shards[0].pipeline.core.flows
        if (highWater > 0) hot[random.below(highWater) * HOT_WORDS + 8] &= ~(1 << 16)
      }
      net.restart()
      restarts++
      const faults = audit(net)
      if (faults.length > 0) t.same(faults, [], `after restart ${restarts}`)
    }
  }
  t.ok(restarts > 2, `${restarts} restarts`)
  t.ok(net.flows > 0)
  sound(t, net)
  t.equal(
    net.send('orders-1', ipv6.udp({ source: ipv6.at.orders1, destination: ipv6.at.web, sourcePort: 9 }))[0]
      .to,
    'web',
  )
  t.ok(last(net, 'web'))
})
