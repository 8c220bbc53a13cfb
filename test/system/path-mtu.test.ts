/**
 * Ways that are narrower than the ends know: whoever sends too much is told so, and learns.
 *
 *     orders-1…3  1500 ─┐
 *                       ├─ ENI ─┬─ 1280  narrow  10.0.1.20, fd00:0:0:1::14
 *     slim-1      1280 ─┘       └─ 1500  web     10.0.1.30, fd00:0:0:1::1e
 *
 * Segment sizes are not clamped here, so that TCP needs the errors; in the last test they are.
 */
import t, { type Test } from 'tap'
import type { TestLab } from './lab.ts'
import { pythonPeer, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atRest, atShards } from './scenario.ts'

const text = (shards: number, clampMss = false): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    open: { ingress: [{ protocol: all, from: sg:fn }] }
hosts:
  narrow: { subnet: app, address: 10.0.1.20, securityGroups: [open], mtu: 1280 }
  web: { subnet: app, address: 10.0.1.30, securityGroups: [open] }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 3, ipv6: true }
  slim: { subnets: [app], securityGroups: [fn], ipv6: true, mtu: 1280 }
daemon: { shards: ${shards}, clampMss: ${clampMss} }
`

const narrow = { 4: '10.0.1.20', 6: 'fd00:0:0:1::14' } as const
const web = { 4: '10.0.1.30', 6: 'fd00:0:0:1::1e' } as const
const families = [4, 6] as const

/** What a kernel knows of the way to an address. */
const route = async (lab: TestLab, member: string, address: string): Promise<string> =>
  (await lab.exec(member, 'ip', 'route', 'get', address)).stdout

/** Lets `narrow` say in its SYN that it takes segments of 1500-byte packets, as a host does whose way is narrow elsewhere. */
async function promiseMore(t: Test, lab: TestLab, family: 4 | 6): Promise<void> {
  const route =
    family === 4 ? '10.0.1.0/24 dev v2n0 advmss 1460' : 'fd00:0:0:1::/64 dev v2n0 metric 256 advmss 1440'
  t.match(await lab.exec('narrow', 'ip', 'route', 'replace', ...route.split(' ')), { status: 0, stderr: '' })
}

/** An upload from an environment: what arrives is what was sent. */
async function upload(t: Test, lab: TestLab, from: string, to: string, address: string): Promise<void> {
  const server = await tcpServer(lab, to, { port: 7000 })
  const client = await tcpClient(lab, from, { address, port: 7000, send: 20_000_000 })
  const [[sender], [receiver]] = await Promise.all([
    client.done<Transferred[]>(),
    server.done<Transferred[]>(),
  ])
  t.equal(receiver.received.bytes, 20_000_000)
  t.same(receiver.received, sender.sent)
}

atShards(
  t,
  [1, 2],
  shards => text(shards),
  async (test, lab) => {
    const echoes = [
      await pythonPeer(lab, 'narrow', 'echo', { ports: [7] }),
      await pythonPeer(lab, 'web', 'echo', { ports: [7] }),
    ]

    for (const family of families)
      await test(`a datagram that must not be cut, IPv${family}`, async t => {
        const before = lab.stats()
        const size = { address: narrow[family], port: 7, size: 1400, discover: 'do' }
        t.same(
          await (await pythonPeer(lab, 'orders-1', 'size', size)).done(),
          { same: false, errors: ['EMSGSIZE', 'EMSGSIZE'], mtu: 1280 },
          'the program is told, and the second is not even sent',
        )
        const after = lab.stats()
        t.equal((after.drops['too-big'] ?? 0) - (before.drops['too-big'] ?? 0), 1)
        t.equal(after.originated - before.originated, 1)
        t.match(await route(lab, 'orders-1', narrow[family]), /\bmtu 1280\b/, 'the kernel has learned it')
        t.notMatch(await route(lab, 'orders-2', narrow[family]), /\bmtu\b/, 'and no other environment has')
      })

    await test('a datagram that may be cut is cut, IPv4', async t => {
      const before = lab.stats()
      const size = { address: narrow[4], port: 7, size: 1400, discover: 'dont' }
      t.match(await (await pythonPeer(lab, 'orders-2', 'size', size)).done(), { same: true, errors: [] })
      const after = await atRest(lab)
      t.equal(after.originated - before.originated, 2, 'two of them, in two pieces each')
      t.notMatch(await route(lab, 'orders-2', narrow[4]), /\bmtu\b/)
    })

    for (const family of families) {
      await test(`a large upload arrives, IPv${family}`, async t => {
        t.notMatch(await route(lab, 'orders-3', narrow[family]), /\bmtu\b/)
        await promiseMore(t, lab, family)
        await upload(t, lab, 'orders-3', 'narrow', narrow[family])
        t.match(await route(lab, 'orders-3', narrow[family]), /\bmtu 1280\b/)
      })
    }

    await test('a host learns how narrow the way to an environment is', async t => {
      const sizes = [1400, 1400]
      const asks = families.map(family =>
        pythonPeer(lab, 'slim-1', 'ask', { address: web[family], port: 7, sizes, patience: 2 }),
      )
      for (const ask of await Promise.all(asks))
        t.same(
          await ask.done(),
          { same: [1400], other: [], lost: [1400] },
          'the first answer was too big, the second came in pieces',
        )
      const [eni] = lab.stats().enis
      for (const address of [eni.address, eni.ipv6Address ?? ''])
        t.match(await route(lab, 'web', address), /\bmtu 1280\b/, 'the way to the address of the ENI')
      for (const family of families) await upload(t, lab, 'slim-1', 'web', web[family])
    })

    await test('nothing else was dropped', async t => {
      t.same(Object.keys(lab.stats().drops), ['too-big'])
      for (const echo of echoes) echo.finish()
    })

    await test('with clamped segments nobody needs to be told', async t => {
      const { length: shards } = lab.stats().shards
      lab.write(text(shards, true))
      await lab.up()
      const before = lab.stats().drops
      for (const family of families) {
        await upload(t, lab, 'orders-2', 'narrow', narrow[family])
        t.notMatch(await route(lab, 'orders-2', narrow[family]), /\bmtu\b/)
      }
      t.same(lab.stats().drops, before)
    })
  },
)
