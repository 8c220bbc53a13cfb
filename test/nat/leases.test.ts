/** Leases: a free port first, then one that serves other remote end points; nothing where every port serves this one, until that changes. */
import t from 'tap'
import { Leases, spaceOf } from '../../src/nat/leases.ts'
import {
  COLD_WORDS,
  type FlowId,
  type FlowTable,
  HOT_WORDS,
  LEASE,
  NEXT_ON_PORT,
  NO_FLOW,
  TAG_IPV6,
} from '../../src/tables/flows.ts'
import { ENI_BYTES, EniPorts, NO_PORT, PORTS_PER_SPACE, SPACE_TCP } from '../../src/tables/ports.ts'
import { liveFlows, type Tuple, tableOf, tupleOf, write } from '../tables/flow-table.ts'
import { randomOf } from '../tables/random.ts'

const ENI = 5
const TCP = 6
const swapped = (port: number): number => ((port & 0xff) << 8) | (port >>> 8)
const portOf = ({ hot }: FlowTable, id: FlowId): number => swapped(hot[id * HOT_WORDS + LEASE] & 0xffff)

/** A shard's leases on one ENI. */
function world(capacity = 70_000, { shard = 0, shards = 1, memory = new ArrayBuffer(ENI_BYTES) } = {}) {
  const { flows } = tableOf(capacity)
  const leases = new Leases(flows, shard)
  const ports = new EniPorts(memory, shard, shards)
  leases.setPorts(ENI, ports)
  /** Leases a port to a new record, or answers NO_FLOW. */
  const lease = (tuple: Tuple): FlowId => {
    const id = flows.allocate()
    write(flows, id, tuple, 0)
    if (leases.lease(ENI, id) === NO_PORT) {
      flows.abandon(id)
      return NO_FLOW
    }
    // The state says that the record is live; the index is not what this is about.
    flows.hot[id * HOT_WORDS + 8] = 1 << 16
    return id
  }
  const give = (id: FlowId): void => {
    leases.give(ENI, id)
    flows.hot[id * HOT_WORDS + 8] = 0
    flows.abandon(id)
  }
  return { flows, leases, ports, lease, give, memory }
}

/** A connection of a client port to a server, of either family. */
const to = (server: number, client = 0, tag = TCP): Tuple =>
  (tag & TAG_IPV6) === 0
    ? { a: [77], b: [server], ports: (0x5000 << 16) | client, tag }
    : { a: [1, 2, 3, 77], b: [1, 2, 4, server], ports: (0x5000 << 16) | client, tag }

for (const tag of [TCP, TCP | TAG_IPV6]) {
  const name = tag === TCP ? 'IPv4' : 'IPv6'

  t.test(`${name}: free ports as long as there are any, each once`, async t => {
    const { lease, flows, ports } = world()
    const ids = Array.from({ length: PORTS_PER_SPACE }, (_, i) => lease(to(i & 1, i, tag)))
    t.equal(new Set(ids.map(id => portOf(flows, id))).size, PORTS_PER_SPACE)
    t.equal(ports.leased(spaceOf(tag)), PORTS_PER_SPACE)
    const [id] = ids
    t.equal(ports.entry(spaceOf(tag), portOf(flows, id)), (1 << 24) | (id + 1))
  })

  t.test(
    `${name}: when all are leased, a port serves another remote end point, and none the same one twice`,
    async t => {
      const { lease, flows } = world()
      for (let i = 0; i < PORTS_PER_SPACE; i++) lease(to(1, i, tag))
      t.equal(lease(to(1, 1, tag)), NO_FLOW, 'all of them serve this one')
      const shared = Array.from({ length: 400 }, (_, i) => lease(to(2, i, tag)))
      t.notOk(shared.includes(NO_FLOW))
      t.equal(new Set(shared.map(id => portOf(flows, id))).size, 400, 'each on a port of its own')
      const third = { ...to(1, 5, tag), ports: (0x5100 << 16) | 5 }
      t.not(lease(third), NO_FLOW, 'another port of the same host is another end point')
    },
  )

  t.test(
    `${name}: what was refused is leased as soon as a port can be had, however it came to be`,
    async t => {
      const { lease, give, flows, leases } = world()
      const ids = Array.from({ length: PORTS_PER_SPACE }, (_, i) => lease(to(1, i, tag)))
      const refused = () => lease(to(1, 9, tag)) === NO_FLOW
      t.ok(refused())
      t.ok(refused(), 'remembered')

      give(ids[100])
      const again = lease(to(1, 9, tag))
      t.not(again, NO_FLOW, 'a port came free')
      t.ok(refused(), 'and was the only one')

      // Two flows on a port: the first to come is the last of the chain, so both ends of it are tried.
      for (const [first, second] of [
        [1, 2],
        [2, 1],
      ]) {
        const kept = lease(to(2, 50, tag))
        t.not(kept, NO_FLOW)
        const port = portOf(flows, kept)
        const both = liveFlows(flows).filter(id => portOf(flows, id) === port)
        t.equal(both.length, 2)
        const rival = both.find(id => id !== kept)!
        if (first === 1) {
          give(rival)
          const on = lease(to(1, 9, tag))
          t.equal(portOf(flows, on), port, 'the other remote end point left its place')
          give(kept)
        } else {
          give(kept)
          t.ok(refused(), `${second}: the place that came free is no use`)
        }
      }
      t.ok(leases.portsOf(ENI)!.leased(spaceOf(tag)) > 0)
    },
  )
}

t.test('a port of another ENI, and an ENI that has none here, are no use', async t => {
  const { flows, leases } = world(4)
  const id = flows.allocate()
  write(flows, id, to(1), 0)
  t.equal(leases.lease(ENI + 1, id), NO_PORT)
  t.notOk(leases.claim(ENI + 1, 0))
  t.notOk(leases.restore(ENI + 1, id))
  leases.give(ENI + 1, id)
  leases.unclaim(ENI + 1, 0)
  leases.setPorts(ENI, undefined)
  t.equal(leases.lease(ENI, id), NO_PORT)
})

t.test('a shard shares only ports of its own flows', async t => {
  const one = world(40_000, { shards: 2 })
  const two = world(40_000, { shards: 2, shard: 1, memory: one.memory })
  let leased = 0
  for (let i = 0; leased < PORTS_PER_SPACE; i++, leased++) (i % 2 === 0 ? one : two).lease(to(1, i))
  t.equal(one.lease(to(1, 1)), NO_FLOW)
  const id = two.lease(to(2, 1))
  t.equal(two.ports.entry(SPACE_TCP, portOf(two.flows, id)) >>> 24, 2)
  t.not(two.flows.cold[id * COLD_WORDS + NEXT_ON_PORT], 0, 'behind it is a flow of the same shard')
})

t.test('a refusal of one shard does not outlive a port that another gives back', async t => {
  const one = world(70_000, { shards: 2 })
  const two = world(10, { shards: 2, shard: 1, memory: one.memory })
  const theirs = two.lease(to(1, 1))
  for (let i = 0; i < PORTS_PER_SPACE - 1; i++) one.lease(to(1, i))
  t.equal(one.lease(to(1, 7)), NO_FLOW)
  two.give(theirs)
  // Somebody else's flow comes to it, so this remote end point could share it from now on.
  t.not(one.lease(to(2, 7)), NO_FLOW)
  t.not(one.lease(to(1, 7)), NO_FLOW)
  t.equal(one.lease(to(1, 8)), NO_FLOW)
})

t.test('refusals cost no search, nor does a flow that comes in place of one that gave way', async t => {
  const { lease, give } = world()
  const ids = Array.from({ length: PORTS_PER_SPACE }, (_, i) => lease(to(1, i)))
  lease(to(1, 1))
  const began = process.cpuUsage().user
  for (let i = 0; i < 20_000; i++) lease(to(1, i))
  for (let i = 0; i < 20_000; i++) {
    give(ids[i])
    ids[i] = lease(to(1, i))
    lease(to(1, i))
  }
  const microseconds = process.cpuUsage().user - began
  // 60,000 searches of 64,512 ports each would take some seconds.
  t.ok(microseconds < 1_000_000, `${(microseconds / 1000).toFixed(0)} ms`)
})

t.test(
  'many random leases and returns: no port ever serves a remote end point twice, and none is lost',
  async t => {
    const random = randomOf(t)
    const { lease, give, flows, ports } = world(66_000)
    // Enough to run out of free ports now and then, towards few remote end points.
    const held: FlowId[] = []
    for (let i = 0; i < PORTS_PER_SPACE - 200; i++) held.push(lease(to(i % 3, i)))
    const serves = new Map<string, FlowId>()
    const keyOf = (id: FlowId) => `${portOf(flows, id)} ${tupleOf(flows, id).b}`
    for (const id of held) serves.set(keyOf(id), id)
    const wrong: string[] = []
    for (let step = 0; step < 4000; step++) {
      if (random.chance(0.55)) {
        const id = lease(to(random.below(3), random.below(65536)))
        if (id === NO_FLOW) continue
        if (serves.has(keyOf(id))) wrong.push(`step ${step}: ${keyOf(id)} twice`)
        serves.set(keyOf(id), id)
        held.push(id)
      } else {
        const [id] = held.splice(random.below(held.length), 1)
        serves.delete(keyOf(id))
        give(id)
      }
    }
    t.same(wrong, [])
    t.equal(ports.leased(SPACE_TCP), new Set(held.map(id => portOf(flows, id))).size)
    for (const id of held) give(id)
    t.equal(ports.free(SPACE_TCP), PORTS_PER_SPACE)
  },
)

t.test('flows are put back on their ports, chains and all', async t => {
  const { lease, flows, memory } = world()
  const ids: FlowId[] = []
  for (let i = 0; i < PORTS_PER_SPACE; i++) ids.push(lease(to(1, i)))
  for (let i = 0; i < 300; i++) ids.push(lease(to(2, i)))
  for (let i = 0; i < ids.length; i++) flows.cold[ids[i] * COLD_WORDS + NEXT_ON_PORT] = 0x7fff_ffff
  const after = new EniPorts(memory, 0, 1, 2)
  after.forget()
  const leases = new Leases(flows, 0)
  leases.setPorts(ENI, after)
  t.ok(ids.every(id => leases.restore(ENI, id)))
  t.equal(after.leased(SPACE_TCP), PORTS_PER_SPACE)
  t.equal(after.flows(0), ids.length)
  const chained = ids.filter(id => flows.cold[id * COLD_WORDS + NEXT_ON_PORT] !== 0)
  t.equal(chained.length, 300)
  for (const id of ids) leases.give(ENI, id)
  t.equal(after.free(SPACE_TCP), PORTS_PER_SPACE)
})
