/**
 * Traceroute through an ENI, and echo where a function may.
 *
 *     orders-1 ── 100.64.0.1 ── ENI ── web      echo is off, which is the default
 *     probes-1 ── fd64::1 ───── ENI ── web      `echo: true`
 *     web ─────── 10.0.1.1 ─────────── db       two hosts
 */
import t from 'tap'
import type { TestLab } from './lab.ts'
import { atShards } from './scenario.ts'

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
    data: { cidr: 10.0.2.0/24, ipv6Cidr: "fd00:0:0:2::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    open: { ingress: [{ protocol: all, from: [sg:fn, sg:open] }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [open] }
  db: { subnet: data, address: 10.0.2.20, securityGroups: [open] }
functions:
  orders: { subnets: [app], securityGroups: [fn], ipv6: true }
  probes: { subnets: [app], securityGroups: [fn], ipv6: true, echo: true }
daemon: { shards: ${shards} }
`

const ways = [
  { from: 'orders-1', to: '10.0.1.20', hops: ['100.64.0.1', '10.0.1.20'] },
  { from: 'orders-1', to: 'fd00:0:0:1::14', hops: ['fd64::1', 'fd00:0:0:1::14'] },
  { from: 'web', to: '10.0.2.20', hops: ['10.0.1.1', '10.0.2.20'] },
  { from: 'web', to: 'fd00:0:0:2::14', hops: ['fd00:0:0:1::1', 'fd00:0:0:2::14'] },
]

/** The addresses that `traceroute` found, one a hop; `*` where nobody answered. */
async function hopsOf(lab: TestLab, from: string, to: string): Promise<string[]> {
  const { stdout } = await lab.exec(from, 'traceroute', '-n', '-q', '1', '-w', '5', '-m', '4', to)
  return stdout
    .split('\n')
    .map(line => /^\s*\d+\s+(\S+)/.exec(line)?.[1])
    .filter(hop => hop !== undefined)
}

const ping = (lab: TestLab, from: string, to: string, size: number, patience = '10') =>
  lab.exec(from, 'ping', '-n', '-c', '2', '-i', '0.1', '-W', patience, '-s', String(size), to)

atShards(t, [1, 2], text, async (test, lab) => {
  for (const { from, to, hops } of ways)
    await test(`traceroute from ${from} to ${to}`, async t => {
      t.same(await hopsOf(lab, from, to), hops)
    })

  await test('echo', async t => {
    const targets = ['10.0.1.20', 'fd00:0:0:1::14']
    const refused = Promise.all(targets.map(to => ping(lab, 'orders-1', to, 56, '1')))
    for (const to of targets)
      for (const size of [0, 56, 1473, 20_000])
        t.match(await ping(lab, 'probes-1', to, size), { status: 0, stdout: /\b2 received/ }, `${to} ${size}`)
    for (const off of await refused) t.match(off, { status: 1, stdout: /\b0 received/ }, 'is off by default')
    t.equal(lab.stats().drops['echo-disabled'], 4)
  })

  await test('nothing else was dropped than what traceroute wants to be', async t => {
    t.same(Object.keys(lab.stats().drops).sort(), ['echo-disabled', 'ttl-expired'])
  })
})
