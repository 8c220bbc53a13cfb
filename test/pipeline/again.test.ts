/** Flows after a change of plan: those that are still right go on, those that are not end at their next packet, in either direction. */
import t from 'tap'
import { type Family, families, ipv4, ipv6, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { error, read, reply } from './packets.ts'
import { answer, apply, from, last, scenario, sound, wait } from './scenario.ts'

const established = ({ at, tcp }: Family) => {
  const to = { source: at.orders1, destination: at.web }
  return [
    from('orders-1', tcp({ ...to, flags: 'S', sequence: 99 })),
    answer('web'),
    from('orders-1', tcp({ ...to, flags: 'A', sequence: 100, acknowledgment: 5001 })),
  ]
}
const data = ({ at, tcp }: Family) =>
  from(
    'orders-1',
    tcp({
      source: at.orders1,
      destination: at.web,
      flags: 'PA',
      sequence: 100,
      acknowledgment: 5001,
      payload: 'x',
    }),
  )

/** `small` with web behind another device. */
const moved = labOf().replace(
  'web: { subnet: app,',
  'web: { attachment: { kind: namespace, namespace: elsewhere }, subnet: app,',
)
const withoutWeb = small.replace(/^ {2}web: \{ subnet.*$/m, '')

for (const family of families) {
  const { name, at, udp, tcp, echo, isIpv6 } = family
  const toWeb = { source: at.orders1, destination: at.web }
  const all = isIpv6 ? '"::/0"' : '0.0.0.0/0'

  scenario(`${name}: a file that is applied and changes nothing is not noticed`, {
    given: small,
    shards: 2,
    send: [
      ...established(family),
      apply(small),
      data(family),
      apply(small),
      answer('web', { flags: 'A', sequence: 5001 }),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, flows: 1 },
    look(t, arrivals, net) {
      t.equal(
        new Set(arrivals.filter(({ to }) => to === 'web').map(({ frame }) => read(frame).sourcePort)).size,
        1,
      )
      t.equal(net.counter('Generation'), 2 * 3)
    },
  })

  scenario(`${name}: a host that is gone: the function's packets find nobody, and the flow is over`, {
    given: small,
    send: [...established(family), apply(withoutWeb), data(family), data(family)],
    expect: { delivered: { web: 2, 'orders-1': 1 }, drops: { 'no-host': 2 }, flows: 0 },
  })

  scenario(`${name}: a host that was gone and is back is talked to again`, {
    given: small,
    send: [
      ...established(family),
      apply(withoutWeb),
      wait(10),
      apply(small),
      data(family),
      answer('web', { flags: 'A', sequence: 5001 }),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, flows: 1 },
  })

  scenario(`${name}: a host that moved to another device is found there by the function`, {
    given: small,
    send: [...established(family), apply(moved), data(family), answer('web', { flags: 'A', sequence: 5001 })],
    expect: { delivered: { web: 3, 'orders-1': 2 }, flows: 1 },
    look(t, _, net) {
      t.equal(net.names.devices.find(({ name }) => name === 'web')?.namespace, 'elsewhere')
    },
  })

  scenario(`${name}: and its own packets come from there, also before the function has sent any`, {
    given: small,
    send: [
      ...established(family),
      apply(moved),
      answer('web', { flags: 'A', sequence: 5001, acknowledgment: 100 }),
    ],
    expect: { delivered: { web: 2, 'orders-1': 2 }, flows: 1 },
  })

  for (const mover of ['web', 'db'] as const)
    scenario(`${name}: between hosts it is the same, whichever end is spoken from first (${mover})`, {
      given: small,
      send: [
        from('web', udp({ source: at.web, destination: at.db })),
        answer('db'),
        apply(moved),
        mover === 'web' ? from('web', udp({ source: at.web, destination: at.db })) : answer('db'),
      ],
      expect: { delivered: mover === 'web' ? { web: 1, db: 2 } : { web: 2, db: 1 }, flows: 1 },
    })

  scenario(`${name}: the device that a host has left is no place to send from any more`, {
    given: small,
    send: [
      ...established(family),
      (net, t) => {
        const old = net.device('web')
        net.apply(moved)
        t.not(net.device('web'), old)
        const from = { ...net.names.devices[0], device: old, name: 'old' }
        net.names = { ...net.names, devices: [...net.names.devices, from] }
      },
      from('old', net => reply(last(net, 'web'), { flags: 'A', sequence: 5001 })),
      from('old', udp({ source: at.web, destination: at.db })),
      data(family),
    ],
    expect: { delivered: { web: 3, 'orders-1': 1 }, drops: { 'source-check': 2 }, flows: 1 },
  })

  scenario(`${name}: an ENI that nobody uses any more is gone with all of its flows`, {
    given: small,
    send: [
      ...established(family),
      apply(small.replace('securityGroups: [fn], environments', 'securityGroups: [db], environments')),
      (net, t) => void t.equal(net.flows, 0, 'its flows ended with it'),
      data(family),
      from('orders-1', udp(toWeb)),
      answer('web'),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, drops: { 'tcp-not-syn': 1 }, flows: 1 },
  })

  scenario(
    `${name}: a function that gets another ENI keeps its flows on the old one, as long as that is there`,
    {
      given: labOf({ functions: '  stay: { subnets: [app], securityGroups: [fn], ipv6: true }' }),
      send: [
        ...established(family),
        apply(
          labOf({ functions: '  stay: { subnets: [app], securityGroups: [fn], ipv6: true }' }).replace(
            'orders: { subnets: [app], securityGroups: [fn]',
            'orders: { subnets: [app], securityGroups: [db]',
          ),
        ),
        data(family),
        answer('web', { flags: 'A', sequence: 5001 }),
        from('orders-1', udp(toWeb)),
      ],
      expect: { delivered: { web: 4, 'orders-1': 2 }, flows: 2 },
      look(t, arrivals) {
        const sources = arrivals.filter(({ to }) => to === 'web').map(({ frame }) => read(frame).source)
        t.equal(sources[2], sources[0], 'the connection')
        t.not(sources[3], sources[0], 'what began later')
      },
    },
  )

  scenario(`${name}: an environment that is gone gets no answers any more`, {
    given: small,
    send: [
      from('orders-2', udp({ source: at.orders2, destination: at.web })),
      from('orders-1', udp({ ...toWeb, payload: 'stays' })),
      apply(small.replace('environments: 2', 'environments: 1')),
      answer('web'),
      net => net.send('web', reply(net.arrivals[0].frame)),
    ],
    expect: { delivered: { web: 2, 'orders-1': 1 }, drops: { 'plan-changed': 1 }, flows: 1 },
  })

  t.test(`${name}: a function that is not active any more: its flows end at their next packet`, async t => {
    for (const direction of ['out', 'in']) {
      const net = new Net(small)
      for (const step of established(family)) step(net, t)
      const { environments } = net.plan
      const generation = net.plan.generation + 1
      net.swap({
        ...net.plan,
        generation,
        environments: { ...environments, active: environments.active.map(() => 0) },
      })
      if (direction === 'out') data(family)(net, t)
      else net.send('web', reply(last(net, 'web')))
      t.same(net.drops(), { 'function-inactive': 1 }, direction)
      t.equal(net.flows, 0)
      sound(t, net)
    }
  })

  t.test(`${name}: an ENI that has another address now: what was leased on the old one is over`, async t => {
    const net = new Net(small)
    for (const step of established(family)) step(net, t)
    const { enis, generation } = net.plan
    const { slot } = net.eni('orders')
    const [address4, address6] = [enis.address4.slice(), enis.address6.slice()]
    address4[slot] ^= 1 << 24
    address6[slot * 4 + 3] ^= 1 << 24
    net.swap({ ...net.plan, generation: generation + 1, enis: { ...enis, address4, address6 } })
    data(family)(net, t)
    t.same(net.drops(), { 'plan-changed': 1 })
    t.equal(net.flows, 0)
    sound(t, net)
  })

  const closed = labOf({ web: `{ protocol: udp, ports: 9, from: [${all}] }` })
  scenario(`${name}: rules that no longer allow a flow leave it be (AWS), and stop the next one`, {
    given: small,
    send: [
      ...established(family),
      apply(closed),
      data(family),
      answer('web', { flags: 'A', sequence: 5001 }),
      from('orders-2', tcp({ ...toWeb, source: at.orders2 })),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, drops: { 'security-group-ingress': 1 }, flows: 1 },
  })

  const cut = { daemon: 'ruleChange: cut' }
  scenario(`${name}: unless they are to cut it`, {
    given: labOf(cut),
    send: [
      ...established(family),
      apply(labOf(cut)),
      data(family),
      apply(labOf({ ...cut, web: `{ protocol: udp, ports: 9, from: [${all}] }` })),
      answer('web', { flags: 'A', sequence: 5001 }),
      data(family),
    ],
    expect: { delivered: { web: 3, 'orders-1': 1 }, drops: { 'security-group-ingress': 2 }, flows: 0 },
  })

  scenario(`${name}: cut by the function's egress as well`, {
    given: labOf(cut),
    send: [
      from('orders-1', udp(toWeb)),
      apply(labOf({ ...cut, fn: `{ protocol: tcp, ports: 443, to: [${all}] }` })),
      answer('web'),
    ],
    expect: { delivered: { web: 1 }, drops: { 'security-group-egress': 1 }, flows: 0 },
  })

  for (const client of ['web', 'db'] as const)
    scenario(`${name}: between hosts the rules are asked in the direction in which ${client} began`, {
      given: labOf(cut),
      send: [
        from(client, udp({ source: at[client], destination: at[client === 'web' ? 'db' : 'web'] })),
        apply(labOf({ ...cut, [client]: `{ protocol: tcp, ports: 1, from: [${all}] }` })),
        answer(client === 'web' ? 'db' : 'web'),
        apply(
          labOf({ ...cut, [client === 'web' ? 'db' : 'web']: `{ protocol: tcp, ports: 1, from: [${all}] }` }),
        ),
        from(client, udp({ source: at[client], destination: at[client === 'web' ? 'db' : 'web'] })),
      ],
      expect: { delivered: { web: 1, db: 1 }, drops: { 'security-group-ingress': 1 }, flows: 0 },
    })

  const pings = `{ protocol: ${isIpv6 ? 'icmpv6' : 'icmp'}, type: ${isIpv6 ? 128 : 8}, code: 0, from: [${all}] }`
  scenario(`${name}: a ping is asked about as what it began as`, {
    given: labOf({ ...cut, web: pings }),
    send: [
      from('orders-1', echo(toWeb)),
      apply(labOf({ ...cut, web: `${pings}, { protocol: udp, ports: 9, from: [${all}] }` })),
      answer('web'),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
  })

  scenario(`${name}: an error about a flow that may no longer be is dropped as the flow is`, {
    given: small,
    send: [
      from('orders-2', udp({ source: at.orders2, destination: at.web })),
      apply(small.replace('environments: 2', 'environments: 1')),
      from('web', net => error(last(net, 'web'))),
    ],
    expect: { delivered: { web: 1 }, drops: { 'plan-changed': 1 }, flows: 0 },
  })
}

scenario('a function that may no longer use IPv6: its flows of IPv6 end, those of IPv4 do not', {
  given: labOf({ orders: 'environments: 1, ipv6: true' }),
  send: [
    ...established(ipv6),
    ...established(ipv4),
    apply(labOf({ orders: 'environments: 1' })),
    data(ipv6),
    data(ipv4),
    from('orders-1', ipv6.udp({ source: ipv6.at.orders1, destination: ipv6.at.web })),
  ],
  expect: { delivered: { web: 5, 'orders-1': 2 }, drops: { 'no-ipv6': 2 }, flows: 1 },
})

scenario("nor does it where another function keeps the ENI's address", {
  given: labOf({
    orders: 'environments: 1, ipv6: true',
    functions: '  stay: { subnets: [app], securityGroups: [fn], ipv6: true }',
  }),
  send: [
    ...established(ipv6),
    apply(
      labOf({
        orders: 'environments: 1',
        functions: '  stay: { subnets: [app], securityGroups: [fn], ipv6: true }',
      }),
    ),
    data(ipv6),
  ],
  expect: { delivered: { web: 2, 'orders-1': 1 }, drops: { 'no-ipv6': 1 }, flows: 0 },
})
