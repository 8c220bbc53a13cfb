/**
 * TCP and UDP as people use them, over IPv4 and IPv6: a page, large transfers, many connections, one that is half closed, datagrams of every size.
 *
 *     orders-1 ─┐                             ┌─ web  10.0.1.20, fd00:0:0:1::14
 *     orders-2 ─┼─ ENI  10.0.1.4, fd00:…::4 ──┤
 *     red-1    ─┤  192.168.7.7 both           └─ db   10.0.2.30, fd00:0:0:2::1e
 *     blue-1   ─┘
 */
import { spawn } from 'node:child_process'
import t from 'tap'
import { ended, PROGRAM, type TestLab } from './lab.ts'
import { pythonPeer, type TcpOptions, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atShards, type LabTest } from './scenario.ts'

const addresses = ['10.0.1.20', 'fd00:0:0:1::14']
const PORT = 7000
const LARGE = 100_000_000

const text = (shards: number, io = 'uring'): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
    data: { cidr: 10.0.2.0/24, ipv6Cidr: "fd00:0:0:2::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    web: { ingress: [{ protocol: all, from: [sg:fn, sg:web] }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web], run: "python3 -m http.server --bind :: 80" }
  db: { subnet: data, address: 10.0.2.30, securityGroups: [web] }
functions:
  red: { subnets: [app], securityGroups: [fn], address: 192.168.7.7 }
  blue: { subnets: [app], securityGroups: [fn], address: 192.168.7.7 }
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true }
daemon: { shards: ${shards}, io: ${io} }
`

interface Both {
  readonly client: readonly Transferred[]
  readonly server: readonly Transferred[]
}

/** Connections to web, from orders-1 unless another is named, and what both ends say of them. */
async function between(
  lab: TestLab,
  address: string,
  ends: {
    readonly from?: string
    readonly connections?: number
    readonly client?: Partial<TcpOptions>
    readonly server?: Partial<TcpOptions>
  },
): Promise<Both> {
  const { connections = 1, from = 'orders-1' } = ends
  const server = await tcpServer(lab, 'web', { port: PORT, connections, ...ends.server })
  const client = await tcpClient(lab, from, { address, port: PORT, connections, ...ends.client })
  const [atClient, atServer] = await Promise.all([client.done(), server.done()])
  return { client: atClient as Transferred[], server: atServer as Transferred[] }
}

/** As a person would: `v2n lab exec MEMBER -- curl URL`. */
const curl = (lab: TestLab, member: string, url: string) =>
  ended(
    spawn(process.execPath, [
      ...[PROGRAM, 'lab', 'exec', '--run-dir', lab.directory.path, member],
      ...['--', 'curl', '-sSg', '--max-time', '20', url],
    ]),
  )

async function pages(test: LabTest, lab: TestLab): Promise<void> {
  await test('a page', async t => {
    for (const [member, host] of [
      ['orders-1', '10.0.1.20'],
      ['orders-2', '[fd00:0:0:1::14]'],
    ]) {
      const page = await curl(lab, member, `http://${host}/`)
      t.match(page, { status: 0, stdout: /<title>Directory listing/ }, `${member} ${host} ${page.stderr}`)
    }
  })
}

const ways = {
  up: { client: { send: LARGE } },
  down: { server: { send: LARGE } },
  'up and down at once': { client: { send: LARGE }, server: { send: LARGE } },
}

async function transfers(test: LabTest, lab: TestLab, only?: keyof typeof ways): Promise<void> {
  for (const [way, ends] of Object.entries(ways).filter(([way]) => only === undefined || way === only))
    await test(`100 MB ${way}`, async t => {
      for (const address of addresses) {
        const { client, server } = await between(lab, address, ends)
        t.equal(
          client[0].sent.bytes + server[0].sent.bytes,
          way === 'up and down at once' ? 2 * LARGE : LARGE,
        )
        t.same(
          server[0].received,
          client[0].sent,
          `${address}: what the server heard is what the client sent`,
        )
        t.same(
          client[0].received,
          server[0].sent,
          `${address}: what the client heard is what the server sent`,
        )
      }
    })
}

async function shapes(test: LabTest, lab: TestLab): Promise<void> {
  await test('the client has finished, the server goes on', async t => {
    for (const address of addresses) {
      const { client, server } = await between(lab, address, {
        client: { send: 1000 },
        server: { send: 1_000_000, afterFin: true },
      })
      t.same(server[0].received, client[0].sent)
      t.equal(client[0].received.bytes, 1_000_000)
      t.same(client[0].received, server[0].sent)
    }
  })

  await test('500 connections at once', async t => {
    for (const address of addresses) {
      const { client, server } = await between(lab, address, {
        connections: 500,
        client: { send: 20_000 },
        server: { echo: true },
      })
      t.equal(client.length, 500)
      t.same(
        client.map(({ received }) => received),
        client.map(({ sent }) => sent),
        'each heard what it said',
      )
      t.same(server.map(({ sent }) => sent.hash).sort(), client.map(({ sent }) => sent.hash).sort())
    }
  })
}

/** Round the sizes where something changes: nothing, odd and even, one packet and two, the most. */
const sizes = [
  0, 1, 2, 3, 100, 511, 1024, 1451, 1452, 1453, 1471, 1472, 1473, 2000, 2959, 2960, 2961, 8191, 16384, 30001,
  59999, 60000,
]

async function datagrams(test: LabTest, lab: TestLab): Promise<void> {
  await test('datagrams from nothing to 60 kB come back', async t => {
    const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7] })
    for (const address of addresses) {
      const ask = await pythonPeer(lab, 'orders-2', 'ask', { address, port: 7, sizes })
      t.same(await ask.done(), { same: sizes, other: [], lost: [] }, address)
    }
    echo.finish()
    t.same(await echo.done(), { echoed: addresses.length * sizes.length })
  })
}

async function neighbours(test: LabTest, lab: TestLab): Promise<void> {
  await test('between two hosts', async t => {
    const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7] })
    for (const address of addresses) {
      const megabytes = { send: 10_000_000 }
      const { client, server } = await between(lab, address, {
        from: 'db',
        client: megabytes,
        server: megabytes,
      })
      t.same(server[0].received, client[0].sent, address)
      t.same(client[0].received, server[0].sent, address)
      const ask = await pythonPeer(lab, 'db', 'ask', { address, port: 7, sizes })
      t.same(await ask.done(), { same: sizes, other: [], lost: [] }, address)
    }
    echo.finish()
    await echo.done()
  })

  await test('two functions with the same address, from the same port', async t => {
    const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7] })
    const ask = { address: '10.0.1.20', port: 7, from: 4000, sizes }
    const asks = await Promise.all(['red-1', 'blue-1'].map(name => pythonPeer(lab, name, 'ask', ask)))
    for (const one of asks) t.same(await one.done(), { same: sizes, other: [], lost: [] })
    const flows = lab.flows().filter(({ from }) => from.address === '192.168.7.7')
    t.same(flows.map(({ from }) => `${from.name} ${from.port}`).sort(), ['blue-1 4000', 'red-1 4000'])
    echo.finish()
    await echo.done()
  })
}

atShards(
  t,
  [1, 2],
  shards => text(shards),
  async (test, lab) => {
    await pages(test, lab)
    await transfers(test, lab)
    await shapes(test, lab)
    await datagrams(test, lab)
    await neighbours(test, lab)
    await test('nothing was dropped in all this', async t => {
      t.same(lab.stats().drops, {})
    })
  },
)

t.test('without io_uring', async t =>
  atShards(
    t,
    [2],
    shards => text(shards, 'readv'),
    async (test, lab) => {
      await transfers(test, lab, 'up and down at once')
      await datagrams(test, lab)
      await test('nothing was dropped in all this', async t => {
        t.equal((await lab.status()).io, 'readv')
        t.same(lab.stats().drops, {})
      })
    },
  ),
)
