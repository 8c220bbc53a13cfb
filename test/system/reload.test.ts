/**
 * A changed file, read on SIGHUP, while traffic flows: members come and go, of both kinds, and nobody else loses a packet.
 *
 *     orders-1 ── numbered datagrams ──▶ ENI ─┬▶ web     the load, from before the first change until after the last
 *     orders-2 ── a TCP stream ────────▶ ENI ─┘
 *     orders-3 ── asks ────────────────▶ ENI ──▶ db      come and go, each with a namespace of its own
 *     100.96.0.0/24 behind fleet0 ─────▶ ENI ──▶ web     a routed prefix of environments comes and goes
 *     10.0.1.64/28 behind racks0 ◀────── ENI ◀── orders-3   and one of hosts
 */
import { execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { spawnIn } from '../../src/lab/namespaces.ts'
import { type TestLab, until } from './lab.ts'
import { Peer, pythonCommand, pythonPeer, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atShards } from './scenario.ts'

/** Datagrams a second. */
const RATE = 2000

interface Changes {
  readonly members?: boolean
  readonly prefixes?: boolean
}

const text = (shards: number, { members = false, prefixes = false }: Changes = {}): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    web: { ingress: [{ protocol: all, from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web] }
${members ? '  db: { subnet: app, address: 10.0.1.30, securityGroups: [web] }' : ''}
${prefixes ? '  racks: { subnet: app, securityGroups: [web], attachment: { kind: routed, namespace: racks, device: racks0, cidr: 10.0.1.64/28 } }' : ''}
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: ${members ? 3 : 2}, ipv6: true }
${prefixes ? '  fleet: { subnets: [app], securityGroups: [fn], attachment: { kind: routed, namespace: fleet, device: fleet0, cidr: 100.96.0.0/24 } }' : ''}
daemon: { shards: ${shards} }
`

/** The namespaces of what comes and goes: a daemon attaches to what exists. */
const comers = ['db', 'orders-3', 'fleet', 'racks']

/** Replaces the file and signals the daemon. @returns the line of its log that says what came of it */
async function hangUp(
  lab: TestLab,
  file: string,
  event: 'reloaded' | 'reload-refused',
): Promise<Record<string, unknown>> {
  const before = lab.events(event).length
  lab.write(file)
  lab.signal('SIGHUP')
  await until(`the daemon has logged '${event}'`, () => lab.events(event).length > before)
  return lab.events(event)[before]
}

const ip = (...args: string[]): string => execFileSync('ip', args, { stdio: 'pipe' }).toString()

/** A verb of the Python peer in a namespace that is no member's own. */
async function peerIn(t: Test, namespace: string, verb: string, options: object): Promise<Peer> {
  const child = spawnIn(namespace, pythonCommand(verb, options), { stdio: ['pipe', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const peer = new Peer(child, `${verb} in ${namespace}`)
  await peer.next('ready')
  return peer
}

const asks = { port: 7, sizes: [10, 1000] }
const answered = { same: asks.sizes, other: [], lost: [] }

/** One who came with a namespace is there, in both directions. */
async function membersTalk(t: Test, lab: TestLab): Promise<void> {
  const echo = await pythonPeer(lab, 'db', 'echo', { ports: [7] })
  for (const address of ['10.0.1.30', 'fd00:0:0:1::1e'])
    t.same(
      await (await pythonPeer(lab, 'orders-3', 'ask', { address, ...asks })).done(),
      answered,
      `a new environment reaches a new host, ${address}`,
    )
  echo.finish()
  await echo.done()
}

/** Those behind a prefix are there; addresses and routes behind a routed device are the operator's. */
async function prefixesTalk(t: Test, lab: TestLab): Promise<void> {
  const [fleet, racks] = [`${lab.prefix}fleet`, `${lab.prefix}racks`]
  ip('-n', fleet, 'addr', 'add', '100.96.0.7/32', 'dev', 'fleet0')
  ip('-n', fleet, 'route', 'add', 'default', 'dev', 'fleet0')
  ip('-n', racks, 'addr', 'add', '10.0.1.70/32', 'dev', 'racks0')
  ip('-n', racks, 'route', 'add', 'default', 'dev', 'racks0')
  const echo = await peerIn(t, racks, 'echo', { ports: [7] })
  const ask = await peerIn(t, fleet, 'ask', { address: '10.0.1.70', ...asks })
  t.same(await ask.done(), answered, 'an environment behind a prefix reaches a host behind one')
  const other = await pythonPeer(lab, 'orders-3', 'ask', { address: '10.0.1.70', ...asks })
  t.same(await other.done(), answered)
  echo.finish()
  await echo.done()
}

const gone = (namespace: string, device: string): boolean => {
  try {
    ip('-n', namespace, 'link', 'show', 'dev', device)
    return false
  } catch {
    return true
  }
}

atShards(
  t,
  [1, 2],
  shards => text(shards),
  async (test, lab) => {
    const { length: shards } = (await lab.status()).shards
    const file = (changes?: Changes) => text(shards, changes)

    await test('members of both kinds come and go under load', async t => {
      for (const name of comers) ip('netns', 'add', lab.prefix + name)
      t.teardown(() => {
        for (const name of comers) ip('netns', 'delete', lab.prefix + name)
      })
      const sink = await pythonPeer(lab, 'web', 'sink', { port: 9 })
      const server = await tcpServer(lab, 'web', { port: 7000 })
      const stream = await pythonPeer(lab, 'orders-1', 'stream', {
        address: '10.0.1.20',
        port: 9,
        rate: RATE,
      })
      const client = await tcpClient(lab, 'orders-2', {
        address: 'fd00:0:0:1::14',
        port: 7000,
        send: 'until',
        rate: 10_000_000,
      })

      for (let round = 0; round < 2; round++) {
        t.match(await hangUp(lab, file({ members: true }), 'reloaded'), {
          attached: ['db', 'orders-3'],
          detached: [],
        })
        await membersTalk(t, lab)
        t.match(await hangUp(lab, file({ members: true, prefixes: true }), 'reloaded'), {
          attached: { length: 2 },
          detached: [],
        })
        await prefixesTalk(t, lab)
        t.match(await hangUp(lab, file(), 'reloaded'), { attached: [], detached: { length: 4 } })
        for (const [name, device] of [
          ['db', 'v2n0'],
          ['orders-3', 'v2n0'],
          ['fleet', 'fleet0'],
          ['racks', 'racks0'],
        ])
          t.ok(gone(lab.prefix + name, device), `${device} of ${name} is gone`)
      }

      stream.finish()
      const { sent } = await stream.done<{ sent: number }>()
      sink.tell(String(sent))
      t.ok(sent > RATE, `${sent} datagrams were sent`)
      t.same(await sink.done(), { received: sent, twice: 0 }, 'each arrived once')
      client.finish()
      const [[atClient], [atServer]] = await Promise.all([
        client.done<Transferred[]>(),
        server.done<Transferred[]>(),
      ])
      t.ok(atClient.sent.bytes > 1_000_000)
      t.same(atServer.received, atClient.sent, 'the TCP stream arrived as it was sent')
      t.same(lab.stats().drops, {}, 'nothing was dropped')
    })

    await test('a file that is wrong changes nothing and is said to be wrong', async t => {
      const { generation } = await lab.status()
      const sink = await pythonPeer(lab, 'web', 'sink', { port: 9 })
      const stream = await pythonPeer(lab, 'orders-1', 'stream', {
        address: '10.0.1.20',
        port: 9,
        rate: RATE,
      })
      const wrong = file().replace('address: 10.0.1.20', 'address: 10.7.7.7')
      t.match(await hangUp(lab, wrong, 'reload-refused'), {
        level: 'error',
        message: /lab\.yaml:10: hosts\.web\.address: .*10\.7\.7\.7/,
        kept: generation,
      })
      // Right in itself, but there is no namespace to attach to.
      t.match(await hangUp(lab, file({ members: true }), 'reload-refused'), {
        message: new RegExp(`no namespace ${lab.prefix}(orders-3|db)`),
        kept: generation,
      })
      const other = file().replace(/shards: \d/, 'shards: 3')
      t.match(await hangUp(lab, other, 'reload-refused'), { message: /number of shards/ })
      t.equal((await lab.status()).generation, generation)
      t.same(
        (await lab.status()).attachments.map(({ name }) => name),
        ['orders-1', 'orders-2', 'web'],
      )
      stream.finish()
      const { sent } = await stream.done<{ sent: number }>()
      sink.tell(String(sent))
      t.same(await sink.done(), { received: sent, twice: 0 }, 'and traffic goes on')
      lab.write(file())
    })
  },
)
