/**
 * What comes to an ENI unasked goes nowhere, without a word; and what `v2n lab probe` says becomes of a packet.
 *
 *     orders-1 ─┐                             ┌─ web  10.0.1.20   orders-1 has asked it, from one port
 *     secret-1 ─┴─ ENI  10.0.1.4, fd00:…::4 ──┴─ db   10.0.1.30   nobody has
 */
import t from 'tap'
import type { ProbeOptions } from '../../src/lab/probe.ts'
import type { TestLab } from './lab.ts'
import { pythonPeer } from './peers.ts'
import { atShards } from './scenario.ts'

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    limited: { egress: [{ protocol: tcp, ports: 443, to: 0.0.0.0/0 }] }
    open: { ingress: [{ protocol: all, from: [0.0.0.0/0, "::/0"] }] }
    closed: { ingress: [{ protocol: tcp, ports: 443, from: sg:fn }] }
  routeTables:
    main: { routes: [{ to: 192.0.2.0/24, target: blackhole }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [open] }
  db: { subnet: app, address: 10.0.1.30, securityGroups: [closed] }
functions:
  orders: { subnets: [app], securityGroups: [fn], ipv6: true }
  secret: { subnets: [app], securityGroups: [limited] }
daemon: { shards: ${shards} }
`

const web = { 4: '10.0.1.20', 6: 'fd00:0:0:1::14' } as const
const PORT = 7

const unsolicited = (lab: TestLab): number => lab.stats().drops.unsolicited ?? 0

/** Packets and ICMP messages that a kernel received, all of them. */
async function received(lab: TestLab, member: string): Promise<string> {
  const { stdout } = await lab.exec(member, 'cat', '/proc/net/dev')
  return /v2n0:\s*\d+\s+(\d+)/.exec(stdout)?.[1] ?? 'no device'
}

atShards(t, [1, 2], text, async (test, lab) => {
  const [eni] = lab.stats().enis.filter(({ functions }) => functions.includes('orders'))
  const addresses = { 4: eni.address, 6: eni.ipv6Address ?? '' }

  for (const family of [4, 6] as const) {
    await test(`knocking at the ENI, IPv${family}`, async t => {
      const before = { dropped: unsolicited(lab), web: await received(lab, 'web') }
      const inside = await received(lab, 'orders-1')
      const ports = [22, 80, 5000, 65535]
      const ping = lab.exec('web', 'ping', '-n', '-c', '1', '-W', '1', addresses[family])
      const knocks = ['tcp', 'udp'].map(protocol =>
        pythonPeer(lab, 'web', 'knock', { address: addresses[family], ports, protocol }),
      )
      for (const knock of await Promise.all(knocks))
        t.same(
          Object.values(await knock.done<Record<string, string>>()),
          ports.map(() => 'silence'),
        )
      const echo = await ping
      t.ok(unsolicited(lab) - before.dropped >= 9, 'each is counted')
      t.match(echo, { status: 1, stdout: /\b0 received/ })
      t.notMatch(echo.stdout, /unreachable|prohibited|filtered/i)
      t.equal(await received(lab, 'web'), before.web, 'not a packet came back')
      t.equal(await received(lab, 'orders-1'), inside, 'and none came in')
      t.same(Object.keys(lab.stats().drops), ['unsolicited'])
    })

    await test(`a port that is in use lets in only whom it was opened to, IPv${family}`, async t => {
      const echo = await pythonPeer(lab, 'web', 'echo', { ports: [PORT] })
      const ask = await pythonPeer(lab, 'orders-1', 'ask', { address: web[family], port: PORT, sizes: [9] })
      t.match(await ask.done(), { same: [9] })
      const flow = lab.flows().find(one => one.protocol === 'udp' && one.family === family)
      const port = flow?.via?.port ?? 0
      t.ok(port >= 1024, `the ENI's port ${port}`)
      const before = { dropped: unsolicited(lab), inside: await received(lab, 'orders-1') }
      const target = { address: addresses[family], ports: [port], protocol: 'udp' }
      const others = {
        'another host': await pythonPeer(lab, 'db', 'knock', { ...target, from: PORT }),
        'another port': await pythonPeer(lab, 'web', 'knock', { ...target, from: PORT + 1 }),
        'another protocol': await pythonPeer(lab, 'web', 'knock', { ...target, protocol: 'tcp', from: PORT }),
      }
      for (const [who, knock] of Object.entries(others))
        t.same(await knock.done(), { [port]: 'silence' }, who)
      t.ok(unsolicited(lab) - before.dropped >= 3)
      t.equal(await received(lab, 'orders-1'), before.inside, 'nothing came in')
      echo.finish()
      await echo.done()
    })
  }

  const ipv6 = true
  const udp = { protocol: 'udp' } as const
  const icmp = { protocol: 'icmp' } as const
  const probes: readonly (readonly [expected: string, ...ProbeOptions[]])[] = [
    [
      'delivered',
      { from: 'orders-1', to: 'web', port: 80 },
      { from: 'orders-1', to: 'web', port: 80, ipv6 },
      { from: 'orders-1', to: 'web', port: 53, size: 1200, ...udp },
      { from: 'orders-1', to: 'web', port: 80, ttl: 2 },
      { from: 'orders-1', to: 'db', port: 443 },
      { from: 'secret-1', to: 'web', port: 443 },
      { from: 'db', to: 'web', port: 443 },
    ],
    [
      'security-group-ingress',
      { from: 'orders-1', to: 'db', port: 80 },
      { from: 'web', to: 'db', port: 443 },
    ],
    [
      'security-group-egress',
      { from: 'secret-1', to: 'web', port: 80 },
      { from: 'secret-1', to: 'web', port: 443, ...udp },
    ],
    ['no-host', { from: 'orders-1', to: '10.0.1.99' }, { from: 'orders-1', to: 'fd00:0:0:1::99' }],
    ['no-route', { from: 'orders-1', to: '198.51.100.1' }, { from: 'orders-1', to: '2001:db8:1::1' }],
    ['blackhole', { from: 'orders-1', to: '192.0.2.1' }],
    ['ttl-expired', { from: 'orders-1', to: 'web', ttl: 1 }, { from: 'orders-1', to: 'web', ttl: 1, ipv6 }],
    ['echo-disabled', { from: 'orders-1', to: 'web', ...icmp }],
    ['martian', { from: 'orders-1', to: '240.0.0.1' }],
    ['bad-tcp-flags', { from: 'orders-1', to: 'web', flags: ['syn', 'fin'] }],
    ['tcp-not-syn', { from: 'orders-1', to: 'web', flags: ['ack'] }],
    [
      'unsolicited',
      { from: 'web', to: 'orders-1', unsolicited: true },
      { from: 'web', to: 'orders-1', unsolicited: true, ...udp },
      { from: 'web', to: 'orders-1', unsolicited: true, ...icmp },
      { from: 'db', to: 'orders-1', unsolicited: true, ipv6, flags: ['syn', 'ack'] },
    ],
  ]
  // What is decided does not depend on who decides: once is enough, and better where packets have to find their shard.
  if (lab.stats().shards.length === 1) return
  await test('what a probe says, and what is counted, is what becomes of a packet', async t => {
    for (const [expected, ...packets] of probes)
      for (const options of packets) {
        const before = lab.stats()
        const result = await lab.probe(options)
        const after = lab.stats()
        const arrived = after.in.packets - before.in.packets
        t.equal(result.drop ?? result.verdict, expected, JSON.stringify(options), { result, arrived })
        const counted = Object.entries(after.drops).filter(([reason, n]) => n !== (before.drops[reason] ?? 0))
        t.same(
          counted.map(([reason]) => reason),
          expected === 'delivered' ? [] : [expected],
          'and that is what was counted',
        )
      }
  })
})
