/**
 * As many flows as an ENI carries, all at once: each is found again in both directions, and one more is refused without harm to any.
 *
 *     orders-1  64,512 ports ─┐
 *                             ├─ one ENI: 65,000 flows over 64,512 ports ── web, echo on ports 7 and 8
 *     orders-2     488 ports ─┘
 */
import t from 'tap'
import { type Peer, pythonPeer } from './peers.ts'
import { atShards } from './scenario.ts'

const PORTS = 65536 - 1024
const LIMIT = 65_000
/** Sockets of one process: machines allow no more than some thousands. */
const SHARE = PORTS / 6

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: udp, to: [0.0.0.0/0, "::/0"] }] }
    web: { ingress: [{ protocol: udp, ports: [7, 8], from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web] }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true }
daemon: { shards: ${shards} }
`

interface Round {
  readonly answered: number
  readonly unanswered: readonly number[]
  /** By port. */
  readonly errors: Readonly<Record<string, string>>
}

const well = { unanswered: [], errors: {} }

/** A round of all of them together. */
async function answers(peers: readonly Peer[]): Promise<Round> {
  const rounds = await Promise.all(peers.map(peer => peer.done<Round>()))
  return {
    answered: rounds.reduce((sum, { answered }) => sum + answered, 0),
    unanswered: rounds.flatMap(({ unanswered }) => unanswered),
    errors: Object.assign({}, ...rounds.map(({ errors }) => errors)) as Record<string, string>,
  }
}

atShards(t, [2], text, async (test, lab) => {
  for (const [family, address] of [
    ['ipv4', '10.0.1.20'],
    ['ipv6', 'fd00:0:0:1::14'],
  ] as const)
    await test(`65,000 flows at once, ${family}`, async t => {
      const before = lab.stats()
      const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7, 8] })
      const flows = []
      for (let first = 1024; first < 65536; first += SHARE)
        flows.push(await pythonPeer(lab, 'orders-1', 'many', { address, port: 7, first, count: SHARE }))
      t.same(await answers(flows), { answered: PORTS, ...well }, 'a port of the ENI for each')
      // Every port is leased: the rest share ports with flows that lead elsewhere.
      const rest = { address, port: 8, first: 2000, count: LIMIT - PORTS }
      flows.push(await pythonPeer(lab, 'orders-2', 'many', rest))
      t.same(await answers(flows.slice(-1)), { answered: LIMIT - PORTS, ...well })
      const full = lab.stats()
      t.equal(full.enis[0].connections?.[family], LIMIT)
      t.equal(full.enis[0].ports?.[family].udp, PORTS)
      t.same(full.drops, before.drops, 'nothing was dropped so far')

      const oneMore = await pythonPeer(lab, 'orders-2', 'many', {
        address,
        port: 8,
        first: 1500,
        count: 1,
      })
      t.same(
        await oneMore.done<Round>(),
        { answered: 0, unanswered: [], errors: { 1500: family === 'ipv4' ? 'EHOSTUNREACH' : 'EACCES' } },
        'flow 65,001 is refused, and the function is told',
      )
      t.equal((lab.stats().drops['eni-connections'] ?? 0) - (before.drops['eni-connections'] ?? 0), 1)
      t.match(
        await lab.probe({ from: 'orders-2', to: address, port: 8, protocol: 'udp', sourcePort: 1501 }),
        { verdict: 'dropped', drop: 'eni-connections' },
      )

      for (const peer of flows) peer.tell('again')
      t.same(await answers(flows), { answered: LIMIT, ...well }, 'all the others go on')
      const after = lab.stats()
      t.equal(after.flows.admitted - before.flows.admitted, LIMIT, 'none of them was admitted a second time')
      t.equal(after.flows.ended, before.flows.ended)

      // Once, when the flows of both families are there.
      if (family === 'ipv6') {
        await lab.kill()
        await lab.up()
        for (const peer of flows) peer.tell('again')
        t.same(await answers(flows), { answered: LIMIT, ...well }, 'also after kill -9')
        t.equal(lab.stats().flows.admitted, after.flows.admitted)
        t.equal(lab.stats().flows.live, 2 * LIMIT)
      }
      for (const peer of [...flows, oneMore, echo]) peer.finish()
      t.equal((await echo.done<{ echoed: number }>()).echoed, (family === 'ipv6' ? 3 : 2) * LIMIT)
    })
})
