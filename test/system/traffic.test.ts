/**
 * TCP and UDP as people use them, over IPv4 and IPv6: a page, large transfers, many connections, one that is half closed, datagrams of every size.
 *
 *     orders-1 ─┐                             ┌─ web  10.0.1.20
 *     orders-2 ─┴─ ENI  10.0.1.4, fd00:…::4 ──┴─      fd00:0:0:1::14
 */
import { spawn } from 'node:child_process'
import t from 'tap'
import { ended, PROGRAM, type TestLab } from './lab.ts'
import { pythonPeer, type TcpOptions, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atShards, type LabTest } from './scenario.ts'

const addresses = ['10.0.1.20', 'fd00:0:0:1::14']
const PORT = 7000
const LARGE = 100_000_000

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    web: { ingress: [{ protocol: all, from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web], run: "python3 -m http.server --bind :: 80" }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true }
daemon: { shards: ${shards} }
`

interface Both {
  readonly client: readonly Transferred[]
  readonly server: readonly Transferred[]
}

/** Connections from orders-1 to web, and what both ends say of them. */
async function between(
  lab: TestLab,
  address: string,
  ends: {
    readonly connections?: number
    readonly client?: Partial<TcpOptions>
    readonly server?: Partial<TcpOptions>
  },
): Promise<Both> {
  const { connections = 1 } = ends
  const server = await tcpServer(lab, 'web', { port: PORT, connections, ...ends.server })
  const client = await tcpClient(lab, 'orders-1', { address, port: PORT, connections, ...ends.client })
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
    for (const member of ['orders-1', 'orders-2'])
      for (const host of ['10.0.1.20', '[fd00:0:0:1::14]']) {
        const page = await curl(lab, member, `http://${host}/`)
        t.match(page, { status: 0, stdout: /<title>Directory listing/ }, `${member} ${host} ${page.stderr}`)
      }
  })
}

async function transfers(test: LabTest, lab: TestLab): Promise<void> {
  const ways = {
    up: { client: { send: LARGE } },
    down: { server: { send: LARGE } },
    'up and down at once': { client: { send: LARGE }, server: { send: LARGE } },
  }
  for (const [way, ends] of Object.entries(ways))
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

atShards(t, [1, 2], text, async (test, lab) => {
  await pages(test, lab)
  await transfers(test, lab)
  await shapes(test, lab)
  await datagrams(test, lab)
  await test('nothing was dropped in all this', async t => {
    t.same(lab.stats().drops, {})
  })
})
