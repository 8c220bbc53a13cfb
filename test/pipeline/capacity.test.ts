/**
 * How many flows an ENI carries: 65,000 a family whatever the number of shards, each found again both ways; and what the one after the last is told.
 *
 * Frames are made from one template by writing ports into it, and have no UDP checksum, so that there can be many.
 */
import t, { type Test } from 'tap'
import { ENI_CONNECTIONS, PORTS_PER_SPACE } from '../../src/tables/ports.ts'
import { audit } from './audit.ts'
import { families, ipv4, ipv6, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'

const WEB_PORT = 1000

/** A flow by its ends, as the function sees it. */
interface Wanted {
  readonly from: 'orders-1' | 'orders-2'
  readonly port: number
  readonly remotePort: number
}

/** Copies of a datagram with other ports. */
const withPorts = (template: Uint8Array, source: number, destination: number): Uint8Array => {
  const copy = Uint8Array.from(template)
  copy.set([source >>> 8, source & 0xff, destination >>> 8, destination & 0xff], 20)
  return copy
}

const template = (source: string, destination: string) =>
  ipv4.udp({ source, destination, checksum: false, payload: 'x' })
const outward = {
  'orders-1': template(ipv4.at.orders1, ipv4.at.web),
  'orders-2': template(ipv4.at.orders2, ipv4.at.web),
}
const at16 = (frame: Uint8Array, at: number) => frame[at] * 256 + frame[at + 1]

/** The flow of a number: all ports of one environment towards one remote port, then of the other, then towards the next remote port. */
const flowOf = (i: number, remotes = 2): Wanted => {
  const from = Math.floor(i / remotes) % 2 === 0 ? 'orders-1' : 'orders-2'
  return { from, port: 1 + Math.floor(i / (2 * remotes)), remotePort: WEB_PORT + (i % remotes) }
}

/**
 * Opens flows, and answers each.
 * @returns the ENI's port of every flow, 0 where it was refused
 */
function open(t: Test, net: Net, wanted: readonly Wanted[]): number[] {
  const inward = template(ipv4.at.web, net.eni('orders').address)
  const leased: number[] = []
  let wrong = 0
  for (let first = 0; first < wanted.length; first += 64) {
    const these = wanted.slice(first, first + 64)
    const out = net.burst(
      these.map(({ from, port, remotePort }) => [from, withPorts(outward[from], port, remotePort)] as const),
      { unjudged: true },
    )
    const toWeb = out.filter(({ to }) => to === 'web')
    if (toWeb.length < these.length && net.shards.length > 1) {
      // With several shards the order of arrivals tells nothing of who was refused; the flows are opened one by one then.
      for (const one of these) {
        const [arrival] = net.burst([[one.from, withPorts(outward[one.from], one.port, one.remotePort)]], {
          unjudged: true,
        })
        leased.push(arrival?.to === 'web' ? at16(arrival.frame, 20) : 0)
      }
      continue
    }
    // Shards send by turns: who is who tells the answer.
    const answers = net.burst(
      toWeb.map(({ frame }) => ['web', withPorts(inward, at16(frame, 22), at16(frame, 20))] as const),
      { unjudged: true },
    )
    if (answers.length !== toWeb.length) wrong++
    const places = new Map(these.map((one, i) => [`${one.from} ${one.port} ${one.remotePort}`, i]))
    const ports = new Array<number>(these.length).fill(0)
    for (const { to, frame } of answers) {
      const place = places.get(`${to} ${at16(frame, 22)} ${at16(frame, 20)}`)
      if (place === undefined) wrong++
      else ports[place] = 1
    }
    leased.push(...ports)
  }
  t.equal(wrong, 0, 'every answer reaches who asked')
  return leased
}

for (const shards of [1, 2]) {
  t.test(`${shards} shards: 65,000 flows on one ENI, both ways, and not one more`, async t => {
    const net = new Net(small, { shards, flows: shards === 1 ? 70_000 : 50_000 })
    const wanted = Array.from({ length: ENI_CONNECTIONS }, (_, i) => flowOf(i))
    const opened = open(t, net, wanted)
    t.equal(opened.filter(port => port !== 0).length, 65_000)
    t.equal(net.flows, 65_000)
    t.equal(net.eni('orders').ports.flows(0), 65_000)
    t.equal(net.eni('orders').ports.leased(1), PORTS_PER_SPACE, 'every port is in use')
    t.same(net.drops(), {})

    // Again, each by itself: they are found, and nothing new is made.
    t.equal(
      open(
        t,
        net,
        wanted.filter((_, i) => i % 7 === 0),
      ).every(port => port !== 0),
      true,
    )
    t.equal(net.counter('FlowsAdmitted'), 65_000)

    const [told] = net.send(
      'orders-1',
      ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web, sourcePort: 60_000, destinationPort: 7 }),
    )
    t.same(net.drops(), { 'eni-connections': 1 })
    t.match(read(told.frame), {
      source: ipv4.at.insideRouter,
      destination: ipv4.at.orders1,
      type: 3,
      code: 13,
    })
    t.equal(net.flows, 65_000)
    net.send('orders-2', ipv4.tcp({ source: ipv4.at.orders2, destination: ipv4.at.web }))
    t.same(net.drops(), { 'eni-connections': 2 }, 'of any protocol')

    const [six] = net.send('orders-1', ipv6.udp({ source: ipv6.at.orders1, destination: ipv6.at.web }))
    t.equal(six.to, 'web', 'the other family has room of its own')
    t.equal(
      net.send('db', ipv4.udp({ source: ipv4.at.db, destination: ipv4.at.web }))[0].to,
      'web',
      'and hosts are no connections of it',
    )
    net.balance()
    t.same(audit(net), [])
  })
}

t.test(
  '64,512 flows to one remote end point are all there can be; to another there is room still',
  async t => {
    const net = new Net(small, { flows: 66_000 })
    const toOne = (i: number): Wanted => ({
      from: i % 2 === 0 ? 'orders-1' : 'orders-2',
      port: 1 + (i >> 1),
      remotePort: WEB_PORT,
    })
    const opened = open(
      t,
      net,
      Array.from({ length: PORTS_PER_SPACE }, (_, i) => toOne(i)),
    )
    t.equal(
      opened.filter(port => port !== 0).length,
      PORTS_PER_SPACE,
      'RFC 6888 REQ-13: all ports are used before the first refusal',
    )

    const more = { source: ipv4.at.orders1, destination: ipv4.at.web, sourcePort: 60_001 }
    const [told] = net.send('orders-1', ipv4.udp({ ...more, destinationPort: WEB_PORT }))
    t.same(net.drops(), { 'ports-exhausted': 1 })
    t.match(read(told.frame), { type: 3, code: 13 })
    t.equal(net.eni('orders').ports.flows(0), PORTS_PER_SPACE, 'a refused flow is no connection')

    const [shared] = net.send('orders-1', ipv4.udp({ ...more, destinationPort: WEB_PORT + 1 }))
    t.equal(shared.to, 'web', 'its port is one that another flow holds towards another end point')
    t.equal(net.counter('PortsShared'), 1)
    t.equal(
      net.send('orders-1', ipv4.tcp({ ...more, destinationPort: WEB_PORT }))[0].to,
      'web',
      'TCP has ports of its own',
    )
    net.balance()
    t.same(audit(net), [])
  },
)

t.test('so it is at two shards: each takes the ports that the other has left', async t => {
  const net = new Net(small, { shards: 2, flows: 66_000 })
  let delivered = 0
  for (let i = 0; i < PORTS_PER_SPACE; i += 64) {
    const burst = Array.from({ length: 64 }, (_, j) => i + j).map(
      number => ['orders-1', withPorts(outward['orders-1'], 1 + number, WEB_PORT)] as const,
    )
    delivered += net.burst(burst, { unjudged: true }).filter(({ to }) => to === 'web').length
  }
  t.equal(delivered, PORTS_PER_SPACE)
  t.ok(net.shards.every(({ pipeline }) => pipeline.core.flows.live > PORTS_PER_SPACE / 3))
  const of = { source: ipv4.at.orders2, destination: ipv4.at.web }
  net.send('orders-2', ipv4.udp({ ...of, destinationPort: WEB_PORT }))
  t.same(net.drops(), { 'ports-exhausted': 1 })
  const [shared] = net.send('orders-2', ipv4.udp({ ...of, destinationPort: 7 }))
  t.equal(net.send('web', reply(shared.frame))[0].to, 'orders-2')
  t.same(audit(net), [])
})

t.test(
  'flows that were answered are never given up for new ones; those that were not are, a second later',
  async t => {
    const net = new Net(small, { flows: 1000 })
    const wanted = Array.from({ length: 1000 }, (_, i) => flowOf(i))
    open(t, net, wanted.slice(0, 600))
    for (const { from, port, remotePort } of wanted.slice(600))
      net.burst([[from, withPorts(outward[from], port, remotePort)]], { unjudged: true })
    t.equal(net.flows, 1000)
    const another = (i: number) =>
      net.send(
        'orders-1',
        ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web, sourcePort: 50_000 + i }),
      )[0].to
    t.equal(another(0), 'orders-1', 'they may only wait for their answers')
    net.tick += 150
    for (let i = 1; i <= 400; i++) if (another(i) !== 'web') t.fail(`flow ${i} is refused`)
    t.equal(another(401), 'orders-1')
    t.same(net.drops(), { 'flow-table-full': 2 })
    t.equal(net.counter('FlowsReclaimed'), 400)
    for (const { port, remotePort, from } of wanted.slice(0, 600)) {
      const [arrival] = net.burst([[from, withPorts(outward[from], port, remotePort)]], { unjudged: true })
      if (arrival.to !== 'web') t.fail(`${from} ${port} was given up`)
    }
    t.equal(net.counter('FlowsAdmitted'), 1400)
    net.balance()
    t.same(audit(net), [])
  },
)

t.test(
  'a SYN flood of one function is first to go; established connections of others stay (S19)',
  async t => {
    const net = new Net(small, { flows: 2000 })
    const { at, tcp } = ipv4
    for (let i = 0; i < 50; i++) {
      const of = { source: at.orders2, destination: at.web, sourcePort: 3000 + i }
      const [syn] = net.send('orders-2', tcp({ ...of, sequence: 99 }))
      const { sourcePort } = read(syn.frame)
      net.send(
        'web',
        tcp({
          source: at.web,
          destination: at.eni,
          sourcePort: 80,
          destinationPort: sourcePort,
          flags: 'SA',
          sequence: 500,
          acknowledgment: 100,
        }),
      )
      net.send('orders-2', tcp({ ...of, flags: 'A', sequence: 100, acknowledgment: 501 }))
    }
    const syn = tcp({ source: at.orders1, destination: at.db })
    for (let i = 0; i < 20_000; i++) {
      if (i % 500 === 0) net.tick += 100
      const copy = withPorts(syn, 1024 + i, 80)
      net.burst([['orders-1', copy]], { unjudged: true })
    }
    t.ok(net.counter('FlowsReclaimed') > 15_000)
    for (let i = 0; i < 50; i++) {
      const of = { source: at.orders2, destination: at.web, sourcePort: 3000 + i }
      const [arrival] = net.send(
        'orders-2',
        tcp({ ...of, flags: 'PA', sequence: 100, acknowledgment: 501, payload: 'x' }),
      )
      if (arrival?.to !== 'web') t.fail(`connection ${i} is gone`)
    }
    t.equal(net.counter('OutOfWindow'), 0)
    net.balance()
    t.same(audit(net), [])
  },
)

t.test('functions on another ENI do not feel that one is full', async t => {
  const net = new Net(
    labOf({
      groups: '    other: { egress: [{ protocol: all, to: [0.0.0.0/0] }] }',
      functions: '  pay: { subnets: [app], securityGroups: [other] }',
    }),
    { flows: 66_000 },
  )
  open(
    t,
    net,
    Array.from({ length: ENI_CONNECTIONS }, (_, i) => flowOf(i)),
  )
  t.equal(
    net.send(
      'orders-1',
      ipv4.udp({ source: ipv4.at.orders1, destination: ipv4.at.web, destinationPort: 9 }),
    )[0].to,
    'orders-1',
  )
  for (let i = 0; i < 900; i++) {
    const [arrival] = net.send(
      'pay-1',
      ipv4.udp({ source: '100.64.0.4', destination: ipv4.at.web, sourcePort: 2000 + i }),
    )
    if (arrival?.to !== 'web') t.fail(`flow ${i} of the other ENI is refused`)
  }
  t.same(net.drops(), { 'eni-connections': 1 })
})

t.test('hosts behind a large prefix have flows that end, whatever the numbers of their ENIs', async t => {
  const net = new Net(
    labOf({
      subnets: '    wide: { cidr: 10.0.64.0/18 }',
      hosts:
        '  fleet: { subnet: wide, securityGroups: [web], attachment: { kind: routed, device: fleet0, cidr: 10.0.64.0/19 } }',
    }),
  )
  t.ok(net.plan.enis.kind.length > 4096)
  const { udp, at } = families[0]
  const device = net.names.devices.find(({ deviceName }) => deviceName === 'fleet0')!.name
  for (const last of ['64.9', '95.200', '95.255'])
    net.send(device, udp({ source: `10.0.${last}`, destination: at.web }))
  t.equal(net.flows, 3)
  net.balance()
  t.same(audit(net), [])
  net.wait(302)
  net.expire(100)
  t.equal(net.flows, 0)
})
