import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parseConfig } from '../../src/daemon/config.ts'
import { TcpState } from '../../src/nat/tcp-states.ts'
import { TimeoutClass } from '../../src/nat/timeouts.ts'
import { readFlows } from '../../src/observe/flows.ts'
import { NameBook } from '../../src/observe/name-book.ts'
import { RegionReader } from '../../src/observe/regions.ts'
import { readStats } from '../../src/observe/stats.ts'
import { RegionFiles, shardFile } from '../../src/shard/regions.ts'
import { Counter, Counters } from '../../src/tables/counters.ts'
import { Drop } from '../../src/tables/drops.ts'
import * as f from '../../src/tables/flows.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import { Lru } from '../../src/tables/lru.ts'
import { compile } from '../../src/vpc/compile.ts'
import { Protocol } from '../../src/wire/protocol.ts'

const FLOWS = 1024
const { model } = parseConfig(
  `
vpc: { cidr: 10.0.0.0/16, subnets: { app: { cidr: 10.0.1.0/24 } } }
hosts: { web: { subnet: app, address: 10.0.1.20 }, db: { subnet: app, address: 10.0.1.30 } }
functions: { orders: { subnets: [app] } }
`,
  'lab.yaml',
)
const { names } = compile(model)
const book = new NameBook(names)
const word = (a: number, b: number, c: number, d: number) => a | (b << 8) | (c << 16) | (d << 24)
const swapped = (port: number) => ((port & 0xff) << 8) | (port >>> 8)

/** The region of a shard, as the shard writes it. */
function shardFor(t: Test, directory: string, shard: number, shards: number) {
  const files = new RegionFiles({ directory, shard, shards, flows: FLOWS, hugePages: false })
  t.teardown(() => files.close())
  const { region } = files
  if (region.fresh) f.FlowTable.begin(region, new Int32Array(HASH_KEYS).fill(7))
  const flows = new f.FlowTable(region, FLOWS)
  return { files, flows, counters: new Counters(region), lru: new Lru(region, flows) }
}

interface Written {
  readonly a: number
  readonly b: number
  readonly ports: readonly [number, number]
  readonly tag: number
  readonly state: number
  readonly eni?: number
  readonly lease?: number
}

function write(flows: f.FlowTable, { a, b, ports, tag, state, eni = 0, lease = 0 }: Written): f.FlowId {
  const id = flows.allocate()
  const at = id * f.HOT_WORDS
  flows.hot.fill(0, at, at + f.HOT_WORDS)
  flows.hot[at + f.A] = a
  flows.hot[at + f.B] = b
  flows.hot[at + f.PORTS] = swapped(ports[0]) | (swapped(ports[1]) << 16)
  flows.hot[at + f.TAG] = tag
  flows.hot[at + f.LEASE] = swapped(lease)
  flows.hot[at + f.TRANSLATED] = word(10, 0, 1, 4)
  flows.hot[at + f.PACKETS_OUT] = 3
  flows.hot[at + f.PACKETS_IN] = -1
  flows.bytes[(at >> 1) + f.BYTES_OUT] = 300
  flows.hot[at + f.SEEN] = 1000
  flows.created[id] = 500
  flows.cold[id * f.COLD_WORDS + f.ENI] = eni
  flows.commit(id, flows.hashOf(id), state | f.FLAG_LIVE)
  return id
}

const slotOf = (kind: string) => names.enis.find(eni => eni.kind === kind)?.slot ?? -1

t.test('nothing is made where nothing is', async t => {
  const directory = t.testdir({})
  const reader = new RegionReader({ directory, shards: 2, flows: FLOWS })
  t.teardown(() => reader.close())
  t.same(reader.shards, [])
  t.equal(reader.ports(0), null)
  t.match(readStats(reader, book), { in: { packets: 0 }, flows: { live: 0 }, unaccounted: 0 })
  t.same(readdirSync(directory), [])
})

t.test('a region that a shard is about to make is left alone', async t => {
  const directory = t.testdir({})
  writeFileSync(shardFile(directory, 0), Buffer.alloc(8192))
  const reader = new RegionReader({ directory, shards: 1, flows: FLOWS })
  t.teardown(() => reader.close())
  t.same(reader.shards, [])
})

t.test("flows of functions: the inside, the ENI's port, the outside", async t => {
  const directory = t.testdir({})
  const { flows } = shardFor(t, directory, 0, 1)
  write(flows, {
    a: word(100, 64, 0, 2),
    b: word(10, 0, 1, 20),
    ports: [40000, 80],
    tag: Protocol.Tcp | (names.environments[0].device << 8),
    state: TcpState.Established | (TimeoutClass.TcpEstablished << 8) | f.FLAG_LEASED | f.FLAG_ANSWERED,
    eni: slotOf('hyperplane'),
    lease: 50000,
  })
  const reader = new RegionReader({ directory, shards: 1, flows: FLOWS })
  t.teardown(() => reader.close())
  const eni = book.eni(slotOf('hyperplane'))
  t.match(
    [...readFlows(reader, book, 1200)],
    [
      {
        kind: 'function',
        protocol: 'tcp',
        from: { address: '100.64.0.2', port: 40000, name: 'orders-1' },
        via: { address: '10.0.1.4', port: 50000, name: eni?.networkInterfaceId },
        to: { address: '10.0.1.20', port: 80, name: 'web' },
        state: 'established',
        class: 'tcp-established',
        answered: true,
        ageSeconds: 7,
        idleSeconds: 2,
        packetsOut: 3,
        packetsIn: 4294967295,
        bytesOut: 300,
        bytesIn: 0,
      },
    ],
  )
})

t.test('flows between hosts begin with who began', async t => {
  const directory = t.testdir({})
  const { flows } = shardFor(t, directory, 0, 1)
  const common = { a: word(10, 0, 1, 20), b: word(10, 0, 1, 30), tag: Protocol.Udp | f.TAG_HOSTS }
  const state = TimeoutClass.UdpStream << 8
  write(flows, { ...common, ports: [1, 2], state })
  write(flows, { ...common, ports: [3, 4], state: state | f.FLAG_BEGUN_BY_B })
  const reader = new RegionReader({ directory, shards: 1, flows: FLOWS })
  t.teardown(() => reader.close())
  t.match(
    [...readFlows(reader, book, 1000)],
    [
      {
        kind: 'hosts',
        from: { name: 'web', port: 1 },
        to: { name: 'db', port: 2 },
        via: null,
        state: null,
        bytesOut: 300,
      },
      { kind: 'hosts', from: { name: 'db', port: 4 }, to: { name: 'web', port: 3 }, bytesIn: 300 },
    ],
  )
})

t.test('flows that ended are not listed', async t => {
  const directory = t.testdir({})
  const { flows } = shardFor(t, directory, 0, 1)
  const common = { a: word(10, 0, 1, 20), b: word(10, 0, 1, 30), tag: Protocol.Udp | f.TAG_HOSTS, state: 0 }
  const ids = [1, 2, 3].map(port => write(flows, { ...common, ports: [port, 9] }))
  flows.release(ids[1])
  const reader = new RegionReader({ directory, shards: 1, flows: FLOWS })
  t.teardown(() => reader.close())
  t.same(
    [...readFlows(reader, book, 1000)].map(({ from }) => from.port),
    [1, 3],
  )
})

t.test('statistics add the shards up, and balance', async t => {
  const directory = t.testdir({})
  const first = shardFor(t, directory, 0, 2)
  const second = shardFor(t, directory, 1, 2)
  first.counters.values[Counter.FramesIn] = 10
  first.counters.values[Counter.HandedOver] = 3
  first.counters.values[Counter.FramesOut] = 5
  first.counters.drops[Drop.Unsolicited] = 2
  second.counters.values[Counter.FramesIn] = 4
  second.counters.values[Counter.TakenOver] = 2
  second.counters.values[Counter.Originated] = 1
  second.counters.values[Counter.Held] = 1
  second.counters.values[Counter.FramesOut] = 5
  second.counters.drops[Drop.Unsolicited] = 1
  const slot = slotOf('hyperplane')
  const ports = second.files.openEni(slot)
  const port = ports.take(0)
  ports.set(0, port, 0)
  ports.claim(0)
  const id = write(second.flows, {
    a: 1,
    b: 2,
    ports: [1, 2],
    tag: Protocol.Tcp,
    state: TcpState.SynSent | (TimeoutClass.TcpOpening << 8),
    eni: slot,
  })
  second.lru.append(slot, TimeoutClass.TcpOpening, id)
  const reader = new RegionReader({ directory, shards: 2, flows: FLOWS })
  t.teardown(() => reader.close())
  t.match(readStats(reader, book), {
    in: { packets: 14 },
    out: { packets: 10 },
    originated: 1,
    held: 1,
    between: 1,
    dropped: 3,
    drops: { unsolicited: 3 },
    unaccounted: 0,
    flows: { live: 1, capacity: 2 * FLOWS, byClass: { 'tcp-opening': 1, 'tcp-established': 0 } },
    enis: [
      {
        slot,
        ports: { ipv4: { tcp: 1, udp: 0, icmp: 0 }, ipv6: { tcp: 0, udp: 0, icmp: 0 } },
        connections: { ipv4: 1, ipv6: 0 },
        capacity: 64512,
      },
    ],
    shards: [
      { shard: 0, packetsIn: 10 },
      { shard: 1, packetsIn: 4 },
    ],
  })
  t.ok(existsSync(join(directory, `eni-${slot}`)))
})
