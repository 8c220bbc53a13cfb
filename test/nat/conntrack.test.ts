/** The life of flows: classes and lists, who expires, who gives way and in which order, and that no live flow ever does (RFC 6888 REQ-11 D). */
import t from 'tap'
import { Conntrack, classOf, SEEN_TICKS } from '../../src/nat/conntrack.ts'
import { Leases } from '../../src/nat/leases.ts'
import { TimeoutClass, ticks, timeoutName, timeoutTicks } from '../../src/nat/timeouts.ts'
import { Counter, Counters, counterSections } from '../../src/tables/counters.ts'
import {
  COLD_WORDS,
  ENI,
  FLAG_ANSWERED,
  FLAG_LEASED,
  FLAG_LIVE,
  type FlowId,
  FlowTable,
  flowSections,
  HOT_WORDS,
  NO_FLOW,
  SEEN,
  TAG_HOSTS,
} from '../../src/tables/flows.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import { Lru, lruSections } from '../../src/tables/lru.ts'
import {
  ENI_BYTES,
  ENI_CONNECTIONS,
  EniPorts,
  PORTS_PER_SPACE,
  SPACE_TCP,
  SPACE_UDP,
} from '../../src/tables/ports.ts'
import { Region, regionBytes } from '../../src/tables/region.ts'
import { auditFlows, find, liveFlows, stateOf, write } from '../tables/flow-table.ts'
import { Random, randomOf } from '../tables/random.ts'

const TCP = 6
const UDP = 17
const protocolOf: Record<TimeoutClass, number> = {
  [TimeoutClass.UdpOneway]: UDP,
  [TimeoutClass.UdpStream]: UDP,
  [TimeoutClass.TcpOpening]: TCP,
  [TimeoutClass.TcpEstablished]: TCP,
  [TimeoutClass.TcpClosing]: TCP,
  [TimeoutClass.TcpClosed]: TCP,
  [TimeoutClass.Icmp]: 1,
}

/** A shard's flows, with ports on the first `enis` ENIs. */
function world({ capacity = 1000, enis = 3 } = {}) {
  const sections = [...counterSections, ...flowSections(capacity), ...lruSections]
  const memory = new Region(new ArrayBuffer(regionBytes(sections)), sections)
  FlowTable.begin(memory, new Random(3).words(HASH_KEYS))
  const flows = new FlowTable(memory, capacity)
  const lru = new Lru(memory, flows)
  const leases = new Leases(flows, 0)
  const counters = new Counters(memory)
  const conntrack = new Conntrack(flows, lru, leases, counters)
  conntrack.configure(timeoutTicks('rfc'), enis)
  for (let eni = 0; eni < enis; eni++) leases.setPorts(eni, new EniPorts(new ArrayBuffer(ENI_BYTES), 0, 1))
  let port = 0

  /** Begins a flow as admission does. */
  const begin = (
    timeoutClass: TimeoutClass,
    { eni = 0, now = 0, answered = false, hosts = false, remote = 9, family = 0 } = {},
  ): FlowId => {
    const tag = protocolOf[timeoutClass] | (hosts ? TAG_HOSTS : 0)
    const tuple = {
      a: [1000 + eni],
      b: [remote],
      ports: (80 << 16) | (port++ & 0xffff),
      tag: tag | ((port >>> 16) << 8),
    }
    const { hash } = find(flows, tuple)
    const id = flows.allocate()
    write(flows, id, tuple, hash)
    flows.cold[id * COLD_WORDS + ENI] = eni
    flows.hot[id * HOT_WORDS + SEEN] = now
    if (!hosts) {
      leases.claim(eni, family)
      leases.lease(eni, id)
    }
    const flags = (answered ? FLAG_ANSWERED : 0) | (hosts ? 0 : FLAG_LEASED)
    flows.commit(id, hash, FLAG_LIVE | flags | (timeoutClass << 8))
    conntrack.begin(id)
    return id
  }
  return { flows, lru, leases, counters, conntrack, begin }
}

const isLive = (flows: FlowTable, id: FlowId): boolean => flows.isLive(id)

t.test('a flow is on the list of its class, and a change of class moves it', async t => {
  const { begin, conntrack, lru, flows } = world()
  const id = begin(TimeoutClass.TcpOpening)
  t.equal(lru.oldest(0, TimeoutClass.TcpOpening), id)
  conntrack.setClass(id, TimeoutClass.TcpEstablished, 50)
  t.equal(lru.oldest(0, TimeoutClass.TcpOpening), NO_FLOW)
  t.equal(lru.oldest(0, TimeoutClass.TcpEstablished), id)
  t.equal(classOf(stateOf(flows, id)), TimeoutClass.TcpEstablished)
  t.equal(flows.hot[id * HOT_WORDS + SEEN], 50)
})

t.test("a flow is renewed at most once a second, and then is its list's youngest", async t => {
  const { begin, conntrack, lru, flows } = world()
  const [one, two] = [0, 0].map(now => begin(TimeoutClass.UdpStream, { now }))
  conntrack.touch(one, SEEN_TICKS - 1)
  t.equal(flows.hot[one * HOT_WORDS + SEEN], 0)
  t.equal(lru.oldest(0, TimeoutClass.UdpStream), one)
  conntrack.touch(one, SEEN_TICKS)
  t.equal(flows.hot[one * HOT_WORDS + SEEN], SEEN_TICKS)
  t.equal(lru.oldest(0, TimeoutClass.UdpStream), two)
})

t.test('flows expire after the time of their class and a second, never before', async t => {
  for (const [name, timeoutClass] of Object.entries(TimeoutClass)) {
    const { begin, conntrack } = world()
    const id = begin(timeoutClass, { now: 7 })
    const time = timeoutTicks('rfc')[timeoutClass] + SEEN_TICKS
    t.notOk(conntrack.expired(id, 7 + time), name)
    t.ok(conntrack.expired(id, 7 + time + 1), name)
  }
})

t.test('time may wrap', async t => {
  const { begin, conntrack } = world()
  const id = begin(TimeoutClass.Icmp, { now: 2 ** 31 - 10 })
  t.notOk(conntrack.expired(id, (2 ** 31 - 10 + ticks(60)) | 0))
  t.ok(conntrack.expired(id, (2 ** 31 - 10 + ticks(62)) | 0))
})

t.test(
  'a flow ends as one: off its list, off its port, out of the index, its connection given back',
  async t => {
    const { begin, conntrack, lru, leases, flows, counters } = world()
    const id = begin(TimeoutClass.TcpEstablished)
    const ports = leases.portsOf(0)!
    t.equal(ports.leased(SPACE_TCP), 1)
    t.equal(ports.flows(0), 1)
    conntrack.end(id)
    t.equal(ports.leased(SPACE_TCP), 0)
    t.equal(ports.flows(0), 0)
    t.equal(lru.counts[TimeoutClass.TcpEstablished], 0)
    t.notOk(isLive(flows, id))
    t.equal(counters.values[Counter.FlowsEnded], 1)
    t.same(auditFlows(flows), [])
  },
)

t.test('a flow between hosts has no port to give back and is no connection of the ENI', async t => {
  const { begin, conntrack, leases, flows } = world()
  begin(TimeoutClass.UdpOneway)
  conntrack.end(begin(TimeoutClass.TcpEstablished, { hosts: true }))
  t.equal(leases.portsOf(0)!.flows(0), 1)
  t.equal(flows.live, 1)
})

t.test('expiry ends what is due, ENI after ENI, a bounded number a turn', async t => {
  const { begin, conntrack, flows } = world({ capacity: 4000, enis: 40 })
  for (let i = 0; i < 2000; i++) begin(TimeoutClass.UdpOneway, { eni: i % 40, now: 0 })
  const young = begin(TimeoutClass.UdpOneway, { eni: 5, now: ticks(300) })
  let before = flows.live
  let turns = 0
  for (; flows.live > 1 && turns < 100; turns++) {
    conntrack.expire(ticks(302))
    if (before - flows.live > 256) t.fail(`${before - flows.live} in one turn`)
    before = flows.live
  }
  t.ok(turns < 20, `${turns} turns`)
  t.ok(isLive(flows, young))
  t.same(auditFlows(flows), [])
})

t.test("an ENI that is gone takes its flows with it, and nobody else's", async t => {
  const { begin, conntrack, flows } = world()
  for (const timeoutClass of Object.values(TimeoutClass))
    for (const eni of [0, 1]) begin(timeoutClass, { eni })
  conntrack.endAll(1)
  t.equal(flows.live, Object.keys(TimeoutClass).length)
  t.ok(liveFlows(flows).every(id => (flows.cold[id * COLD_WORDS + ENI] & 0xffff) === 0))
})

// Giving way.

const NOW = ticks(100)
/** What gives way, in its order: expired ones of any class, closed, closing, never answered. */
const victims: [what: string, timeoutClass: TimeoutClass, of: { now?: number; answered?: boolean }][] = [
  ['expired', TimeoutClass.Icmp, { now: NOW - ticks(62), answered: true }],
  ['closed', TimeoutClass.TcpClosed, { now: NOW, answered: true }],
  ['closing', TimeoutClass.TcpClosing, { now: NOW, answered: true }],
  ['an unanswered opening', TimeoutClass.TcpOpening, { now: NOW - SEEN_TICKS }],
  ['an unanswered datagram', TimeoutClass.UdpOneway, { now: NOW - SEEN_TICKS }],
  ['an unanswered ping', TimeoutClass.Icmp, { now: NOW - SEEN_TICKS }],
]
/** What never does. */
const live: [what: string, timeoutClass: TimeoutClass, of: { now?: number; answered?: boolean }][] = [
  ['established', TimeoutClass.TcpEstablished, { now: NOW - ticks(7400), answered: true }],
  ['an answered opening', TimeoutClass.TcpOpening, { now: NOW - ticks(200), answered: true }],
  ['a young opening', TimeoutClass.TcpOpening, { now: NOW - SEEN_TICKS + 1 }],
  ['answered datagrams', TimeoutClass.UdpStream, { now: NOW - ticks(200), answered: true }],
  ['a young datagram', TimeoutClass.UdpOneway, { now: NOW - SEEN_TICKS + 1 }],
  ['an answered ping', TimeoutClass.Icmp, { now: NOW - SEEN_TICKS, answered: true }],
]

t.test('the expired go first, then the closed, then the closing, then whom nobody answered', async t => {
  const { begin, conntrack, flows, counters } = world()
  // Lists are in order of SEEN, so what is older begins first.
  const all = [...victims, ...live].toSorted(([, , a], [, , b]) => (a.now ?? 0) - (b.now ?? 0))
  const begun = new Map(all.map(([what, timeoutClass, of]) => [what, begin(timeoutClass, of)]))
  const ids = victims.map(([what]) => begun.get(what)!)
  const kept = live.map(([what]) => begun.get(what)!)
  for (const [i, [what]] of victims.entries()) {
    t.ok(conntrack.reclaim(0, NOW), what)
    t.notOk(isLive(flows, ids[i]), `${what} gave way`)
    t.ok(
      ids.slice(i + 1).every(id => isLive(flows, id)),
      'and nobody before their turn',
    )
  }
  t.notOk(conntrack.reclaim(0, NOW), 'the live never do')
  t.ok(kept.every(id => isLive(flows, id)))
  t.equal(counters.values[Counter.FlowsReclaimed], victims.length)
})

for (const [what, timeoutClass, of] of live)
  t.test(`${what}: does not give way, on its ENI or any other`, async t => {
    const { begin, conntrack, flows } = world()
    const id = begin(timeoutClass, of)
    t.notOk(conntrack.reclaim(0, NOW))
    t.notOk(conntrack.reclaimAny(NOW))
    t.ok(isLive(flows, id))
  })

t.test('the oldest of a kind goes first', async t => {
  const { begin, conntrack, flows } = world()
  const ids = [0, 10, 20].map(now => begin(TimeoutClass.TcpClosed, { now, answered: true }))
  for (const [i, id] of ids.entries()) {
    conntrack.reclaim(0, 100)
    t.notOk(isLive(flows, id), `${i}`)
  }
})

t.test('an ENI under pressure ends flows of its own only; a full table those of any', async t => {
  const { begin, conntrack, flows } = world()
  const other = begin(TimeoutClass.TcpClosed, { eni: 2 })
  begin(TimeoutClass.TcpEstablished, { eni: 0 })
  t.notOk(conntrack.reclaim(0, NOW))
  t.ok(isLive(flows, other))
  t.ok(conntrack.reclaimAny(NOW))
  t.notOk(isLive(flows, other))
  t.notOk(conntrack.reclaimAny(NOW))
})

t.test('an unanswered flow behind a few answered ones is found', async t => {
  const { begin, conntrack, flows } = world()
  for (let i = 0; i < 10; i++) begin(TimeoutClass.TcpOpening, { answered: true })
  const id = begin(TimeoutClass.TcpOpening)
  t.ok(conntrack.reclaim(0, NOW))
  t.notOk(isLive(flows, id))
})

t.test('99 expired flows give way to 99 new ones while an established one stays', async t => {
  const { begin, conntrack, flows } = world({ capacity: 100 })
  const connection = begin(TimeoutClass.TcpEstablished, { now: ticks(290), answered: true })
  for (let i = 0; i < 99; i++) begin(TimeoutClass.UdpStream, { now: 0, answered: true })
  const now = ticks(302)
  for (let i = 0; i < 99; i++) {
    t.ok(flows.full)
    t.ok(conntrack.reclaimAny(now), `flow ${i}`)
    begin(TimeoutClass.UdpStream, { now, answered: true })
  }
  t.ok(flows.full)
  t.notOk(conntrack.reclaimAny(now), 'the hundredth is refused')
  t.ok(isLive(flows, connection))
})

t.test('a flow that needs a port gets one of its own protocol and remote end point', async t => {
  const { begin, conntrack, flows } = world({ capacity: 70_000 })
  const udp = begin(TimeoutClass.UdpOneway, { now: -ticks(1000) })
  const elsewhere = begin(TimeoutClass.TcpClosed, { remote: 10 })
  const rival = begin(TimeoutClass.TcpClosed, { remote: 9 })
  const wanting = begin(TimeoutClass.TcpOpening, { remote: 9, now: NOW })
  t.ok(conntrack.reclaim(0, NOW, wanting))
  t.notOk(isLive(flows, rival))
  t.ok(isLive(flows, udp) && isLive(flows, elsewhere), 'others would not help, though they are over')
  t.notOk(conntrack.reclaim(0, NOW, wanting))
})

t.test(
  'every port to one service is in use: the oldest closed connection gives its port up, a live one does not',
  async t => {
    const { begin, conntrack, leases, flows } = world({ capacity: 70_000 })
    const ids = Array.from({ length: PORTS_PER_SPACE }, (_, i) =>
      begin(i === 3 ? TimeoutClass.TcpClosed : TimeoutClass.TcpEstablished, { answered: true }),
    )
    t.equal(leases.portsOf(0)!.free(SPACE_TCP), 0)
    t.equal(leases.portsOf(0)!.free(SPACE_UDP), PORTS_PER_SPACE)
    const wanting = begin(TimeoutClass.TcpOpening, { remote: 10, now: NOW })
    flows.hot[wanting * HOT_WORDS + 1] = 9
    t.ok(conntrack.reclaim(0, NOW, wanting))
    t.notOk(isLive(flows, ids[3]))
    t.notOk(conntrack.reclaim(0, NOW, wanting))
    t.equal(flows.live, PORTS_PER_SPACE)
  },
)

t.test('65,000 established flows all survive a flood (RFC 6888 REQ-11 D)', async t => {
  const { begin, conntrack, leases, flows } = world({ capacity: 70_000, enis: 1 })
  for (let i = 0; i < ENI_CONNECTIONS; i++)
    begin(TimeoutClass.TcpEstablished, { answered: true, remote: i & 1 })
  for (let i = 0; i < 20_000; i++)
    if (leases.claim(0, 0) || conntrack.reclaim(0, NOW)) t.fail(`flow ${i} was let in`)
  t.equal(flows.live, ENI_CONNECTIONS)
})

t.test('thousands of random lives: lists stay in order and complete, counts right', async t => {
  const random = randomOf(t)
  const { begin, conntrack, flows, lru, leases } = world({ capacity: 400 })
  const classes = Object.values(TimeoutClass)
  let now = -5000
  for (let step = 0; step < 20_000; step++) {
    now += random.below(60)
    const all = step % 50 === 0 ? liveFlows(flows) : []
    const id = random.below(400) as FlowId
    if (!isLive(flows, id) && !flows.full)
      begin(random.pick(classes), { now, eni: random.below(3), answered: random.chance(0.5) })
    else if (isLive(flows, id)) {
      const action = random.below(5)
      if (action === 0) conntrack.end(id)
      else if (action === 1) conntrack.setClass(id, random.pick(classes), now)
      else conntrack.touch(id, now)
    }
    if (random.chance(0.01)) conntrack.expire(now)
    if (random.chance(0.02)) conntrack.reclaim(random.below(3), now)
    if (all.length > 0 && flows.live !== liveFlows(flows).length) t.fail(`step ${step}: miscounted`)
  }
  const listed = new Set<FlowId>()
  for (let eni = 0; eni < 3; eni++)
    for (const timeoutClass of classes) {
      let seen: number | undefined
      for (let id = lru.oldest(eni, timeoutClass); id !== NO_FLOW; id = (flows.next[id] - 1) as FlowId) {
        const at = flows.hot[id * HOT_WORDS + SEEN]
        if (seen !== undefined && at < seen)
          t.fail(`${timeoutName[timeoutClass]} of ENI ${eni} is out of order`)
        seen = at
        listed.add(id)
      }
    }
  t.equal(listed.size, flows.live)
  t.equal(
    [0, 1, 2].reduce((sum, eni) => sum + leases.portsOf(eni)!.flows(0), 0),
    flows.live,
  )
  t.same(auditFlows(flows), [])
})
