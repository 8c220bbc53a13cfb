/**
 * The daemon dies in the middle of transfers, or is ended, and is started again on the same run directory: connections go on, and what arrives
 * is what was sent.
 *
 *     orders-1 ──100 MB over IPv4──▶ ENI ──▶ web
 *     orders-2 ◀─100 MB over IPv6─── ENI ◀── web
 */
import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { gone } from '../../src/daemon/process.ts'
import type { FlowView } from '../../src/observe/flows.ts'
import { PROGRAM, type TestLab, until } from './lab.ts'
import { type Peer, pythonPeer, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atShards } from './scenario.ts'

const LARGE = 100_000_000
/** Bytes a second: slow enough for what happens in between. */
const RATE = 40_000_000

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    web: { ingress: [{ protocol: tcp, ports: 7000-7001, from: sg:fn }, { protocol: udp, ports: 7, from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web] }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true }
daemon: { shards: ${shards} }
`

/** Two transfers, on their way for a while when this returns. */
async function underWay(lab: TestLab): Promise<{ client: Peer; server: Peer }[]> {
  const pace = { send: LARGE, rate: RATE }
  const up = await tcpServer(lab, 'web', { port: 7000, progress: LARGE / 10 })
  const down = await tcpServer(lab, 'web', { port: 7001, ...pace })
  const uploads = await tcpClient(lab, 'orders-1', { address: '10.0.1.20', port: 7000, ...pace })
  const downloads = await tcpClient(lab, 'orders-2', {
    address: 'fd00:0:0:1::14',
    port: 7001,
    progress: LARGE / 10,
  })
  await Promise.all([up.next('progress'), downloads.next('progress')])
  return [
    { client: uploads, server: up },
    { client: downloads, server: down },
  ]
}

async function arrives(t: Test, transfers: { client: Peer; server: Peer }[]): Promise<void> {
  for (const { client, server } of transfers) {
    const [[atClient], [atServer]] = await Promise.all([
      client.done<Transferred[]>(),
      server.done<Transferred[]>(),
    ])
    t.equal(atClient.sent.bytes + atServer.sent.bytes, LARGE)
    t.same(atServer.received, atClient.sent)
    t.same(atClient.received, atServer.sent)
  }
}

/** Flows as `v2n flows` lists them. */
async function listed(lab: TestLab): Promise<FlowView[]> {
  const { stdout } = await lab.v2n('flows', '--json')
  return (JSON.parse(stdout) as { flows: FlowView[] }).flows
}

/** What stays the same of the established ones over a restart. */
const constant = (flows: readonly FlowView[]): unknown[] =>
  flows
    .filter(({ state }) => state === 'established')
    .map(({ family, from, via, to }) => ({ family, from, via, to }))
    .sort((a, b) => a.family - b.family)

/** `v2n run` on the run directory of the lab, as somebody would who finds the daemon gone. */
async function runAgain(lab: TestLab): Promise<void> {
  const daemon = spawn(
    process.execPath,
    [
      ...[PROGRAM, 'run', '--config', lab.file, '--run-dir', lab.directory.path],
      ...['--prefix', lab.prefix, '--log', lab.directory.log],
    ],
    { stdio: 'ignore', detached: true },
  )
  daemon.unref()
  await until('the daemon answers', async () => (await lab.status().catch(() => null))?.pid === daemon.pid)
}

atShards(t, [1, 2], text, async (test, lab) => {
  await test('kill -9 in the middle of two transfers', async t => {
    const transfers = await underWay(lab)
    const before = constant(lab.flows())
    t.equal(before.length, 2, 'two connections are established')
    // Fragments cross from one shard to another and wait for each other: a kill finds some of them anywhere.
    const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7] })
    const load = { port: 7, rate: 500, size: 9000 }
    const streams = [
      await pythonPeer(lab, 'orders-1', 'stream', { address: '10.0.1.20', ...load }),
      await pythonPeer(lab, 'orders-2', 'stream', { address: 'fd00:0:0:1::14', ...load }),
    ]
    await pythonPeer(lab, 'orders-1', 'fragment', { address: '10.0.1.20' })
    await until('a fragment waits for the others', () => lab.stats().held >= 1)
    await lab.kill()
    t.same(constant(await listed(lab)), before, 'their flows are listed though no daemon runs')
    await lab.up()
    t.same(constant(lab.flows()), before, 'and are the same when one runs again')
    t.ok((lab.stats().drops.restart ?? 0) >= 1, 'the fragment that was held is counted')
    await arrives(t, transfers)
    for (const peer of [...streams, echo]) peer.finish()
    for (const stream of streams) await stream.done()
  })

  await test('SIGTERM in the middle of two transfers', async t => {
    const transfers = await underWay(lab)
    const before = constant(lab.flows())
    t.equal(before.length, 2)
    const { daemon } = lab
    lab.signal('SIGTERM')
    t.ok(await gone(daemon, 20_000), 'the daemon ends')
    t.equal(lab.events('shards-late').length, 0, 'its shards did, by themselves')
    await runAgain(lab)
    t.same(constant(lab.flows()), before)
    await arrives(t, transfers)
    const started = lab.daemon
    await lab.up()
    t.same(lab.daemon, started, 'the lab takes the daemon for its own')
  })
})
