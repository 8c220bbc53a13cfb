/** Admission: who may begin what towards whom, and what is said to whom it is refused. */
import t from 'tap'
import { icmp4, icmp6, packet4, packet6, tcp4, udp4, udp6, verifyQuoted } from '../wire/build.ts'
import { at as at4, at6, families, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { answer, from, last, scenario, sound } from './scenario.ts'

for (const { name, at, udp, tcp, echo, isIpv6 } of families) {
  const toWeb = { source: at.orders1, destination: at.web }
  const foreign = isIpv6 ? 'fd64::77' : '100.64.0.77'

  for (const [what, source] of Object.entries({
    'an address of nobody': foreign,
    'the address of another environment': at.orders2,
    'the address of its own ENI': at.eni,
    'the address of a host': at.db,
    'the loopback address': isIpv6 ? '::1' : '127.0.0.1',
    'a multicast address': isIpv6 ? 'ff02::1' : '224.0.0.1',
    'the unspecified address': isIpv6 ? '::' : '0.0.0.0',
    'a link-local address': isIpv6 ? 'fe80::1' : '169.254.1.1',
    'the broadcast address, or an IPv4 address in IPv6': isIpv6 ? '::ffff:100.64.0.2' : '255.255.255.255',
  })) {
    scenario(`${name}: an environment that sends from ${what}: source-check`, {
      given: small,
      send: [from('orders-1', udp({ ...toWeb, source })), from('orders-1', tcp({ ...toWeb, source }))],
      expect: { drops: { 'source-check': 2 }, flows: 0 },
    })
    if (source !== at.db)
      scenario(`${name}: a host that sends from ${what}: source-check`, {
        given: small,
        send: [
          from('db', udp({ source, destination: at.web })),
          from('db', echo({ source, destination: at.web })),
        ],
        expect: { drops: { 'source-check': 2 }, flows: 0 },
      })
  }

  scenario(`${name}: a host cannot answer for another one`, {
    given: small,
    send: [from('orders-1', udp(toWeb)), from('db', net => reply(last(net, 'web')))],
    expect: { delivered: { web: 1 }, drops: { 'source-check': 1 } },
  })

  scenario(`${name}: from an address to itself: land`, {
    given: small,
    send: [
      from(
        'orders-1',
        udp({ source: at.orders1, destination: at.orders1, sourcePort: 80, destinationPort: 80 }),
      ),
      from(
        'orders-1',
        tcp({ source: at.orders1, destination: at.orders1, sourcePort: 80, destinationPort: 80 }),
      ),
      from('web', tcp({ source: at.web, destination: at.web, sourcePort: 80, destinationPort: 80 })),
    ],
    expect: { drops: { land: 3 }, flows: 0 },
  })

  scenario(`${name}: from the ENI to the ENI, by whoever claims to be it`, {
    given: small,
    send: [
      from('web', udp({ source: at.eni, destination: at.eni })),
      from('orders-1', udp({ source: at.eni, destination: at.eni })),
    ],
    expect: { drops: { unsolicited: 1, 'source-check': 1 }, flows: 0 },
  })

  scenario(`${name}: a function to the ENI of functions: nothing is hairpinned`, {
    given: small,
    send: [
      from('orders-1', udp(toWeb)),
      from('orders-2', net =>
        udp({ source: at.orders2, destination: at.eni, destinationPort: read(last(net, 'web')).sourcePort }),
      ),
    ],
    expect: { delivered: { web: 1 }, drops: { unsolicited: 1 }, flows: 1 },
  })

  const destinations: [what: string, destination: string, reason: string][] = isIpv6
    ? [
        ['multicast', 'ff02::fb', 'multicast'],
        ['all nodes', 'ff02::1', 'multicast'],
        ['link-local', 'fe80::5', 'link-local'],
        ['the unspecified address', '::', 'martian'],
        ['loopback', '::1', 'martian'],
        ['an IPv4 address in IPv6', '::ffff:10.0.1.20', 'martian'],
        ['a free address of the subnet', 'fd00:0:0:1::77', 'no-host'],
      ]
    : [
        ['multicast', '239.1.2.3', 'multicast'],
        ['the limited broadcast', '255.255.255.255', 'broadcast'],
        ['the broadcast of the subnet', '10.0.1.255', 'broadcast'],
        ['link-local', '169.254.169.254', 'link-local'],
        ['this network', '0.0.0.1', 'martian'],
        ['loopback', '127.0.0.1', 'martian'],
        ['class E', '240.0.0.1', 'martian'],
        ['a free address of the subnet', '10.0.1.77', 'no-host'],
        ['a reserved address of the subnet', '10.0.1.2', 'no-host'],
      ]
  for (const [what, destination, reason] of destinations)
    scenario(`${name}: ${what} is no destination, of a function or a host`, {
      given: small,
      send: [
        from('orders-1', udp({ source: at.orders1, destination })),
        from('orders-1', tcp({ source: at.orders1, destination })),
        from('db', udp({ source: at.db, destination })),
      ],
      expect: { drops: { [reason]: 3 }, flows: 0 },
    })

  scenario(`${name}: no route: the sender is told, by its router`, {
    given: small,
    send: [
      from(
        'orders-1',
        udp({ source: at.orders1, destination: isIpv6 ? '2001:db8::1' : '192.0.2.1', payload: 'anyone?' }),
      ),
      from('db', udp({ source: at.db, destination: isIpv6 ? '2001:db8::1' : '192.0.2.1' })),
    ],
    expect: {
      delivered: { 'orders-1': 1, db: 1 },
      drops: { 'no-route': 2 },
      flows: 0,
      counters: { ErrorsSent: 2 },
    },
    look(t, [toFunction, toHost]) {
      const [type, code] = isIpv6 ? [1, 0] : [3, 0]
      t.match(read(toFunction.frame), { source: at.insideRouter, destination: at.orders1, type, code })
      t.match(read(toHost.frame), { source: at.router, destination: at.db, type, code })
      t.match(read(read(toFunction.frame).payload), { source: at.orders1, hops: 64, sourcePort: 40000 })
      for (const { frame } of [toFunction, toHost]) t.same(verifyQuoted(frame), [])
    },
  })

  scenario(`${name}: a blackhole is silent`, {
    given: labOf({
      vpc: `  routeTables:\n    app: { subnets: [app], routes: [{ to: "${isIpv6 ? '2001:db8::/32' : '192.0.2.0/24'}", target: blackhole }] }`,
    }),
    send: [from('orders-1', udp({ source: at.orders1, destination: isIpv6 ? '2001:db8::1' : '192.0.2.1' }))],
    expect: { drops: { blackhole: 1 }, flows: 0 },
  })

  scenario(`${name}: echo is off unless the function allows it`, {
    given: labOf({ orders: 'environments: 1, ipv6: true' }),
    send: [from('orders-1', echo(toWeb)), from('orders-1', udp(toWeb))],
    expect: { delivered: { web: 1 }, drops: { 'echo-disabled': 1 }, flows: 1 },
  })

  scenario(`${name}: functions that share an ENI may differ in what they are allowed`, {
    given: labOf({ functions: '  quiet: { subnets: [app], securityGroups: [fn] }' }),
    send: [
      from('orders-1', echo(toWeb)),
      from('quiet-1', echo({ source: isIpv6 ? 'fd64::4' : '100.64.0.4', destination: at.web })),
    ],
    expect: { delivered: { web: 1 }, drops: { [isIpv6 ? 'no-ipv6' : 'echo-disabled']: 1 }, flows: 1 },
  })

  scenario(`${name}: only a SYN begins a connection`, {
    given: small,
    send: ['A', 'SA', 'R', 'RA', 'FA', 'PA', 'PAU'].map(flags => from('orders-1', tcp({ ...toWeb, flags }))),
    expect: { drops: { 'tcp-not-syn': 7 }, flows: 0 },
  })

  scenario(`${name}: with ECN flags a SYN is one too`, {
    given: small,
    send: [from('orders-1', tcp({ ...toWeb, flags: 'SEC' }))],
    expect: { delivered: { web: 1 }, flows: 1 },
  })

  scenario(
    `${name}: where connections are picked up an ACK begins one, and an RST, a SYN-ACK or a bare RST does not`,
    {
      given: labOf({ daemon: 'tcpPickup: true' }),
      send: [
        ...['R', 'RA', 'SA'].map(flags => from('orders-1', tcp({ ...toWeb, flags }))),
        from(
          'orders-1',
          tcp({ ...toWeb, flags: 'PA', sequence: 7000, acknowledgment: 900, payload: 'still here' }),
        ),
        answer('web', { sequence: 900 }),
      ],
      expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'tcp-not-syn': 3 }, flows: 1 },
      look(t, _, net) {
        net.wait(1000)
        t.equal(net.flows, 1, 'it is established, and does not go with the openings')
      },
    },
  )

  scenario(`${name}: an answer to a ping that was never sent goes nowhere`, {
    given: small,
    send: [
      from('orders-1', echo({ ...toWeb, type: isIpv6 ? 129 : 0 })),
      from('db', echo({ source: at.db, destination: at.web, type: isIpv6 ? 129 : 0 })),
    ],
    expect: { drops: { 'no-flow': 2 }, flows: 0 },
  })
}

scenario('protocols that have no ports are not carried: SCTP, DCCP, GRE, ESP, AH, IGMP, IP in IP', {
  given: small,
  send: [132, 33, 47, 50, 51, 2, 4, 253].flatMap(protocol => [
    from('orders-1', packet4(protocol, new Uint8Array(40), { source: at4.orders1, destination: at4.web })),
    from('web', packet4(protocol, new Uint8Array(40), { source: at4.web, destination: at4.eni })),
    from('web', packet4(protocol, new Uint8Array(40), { source: at4.web, destination: at4.db })),
  ]),
  expect: { drops: { 'protocol-unsupported': 24 }, flows: 0 },
})

scenario('nor over IPv6, nor no next header at all', {
  given: small,
  send: [132, 33, 47, 50, 4, 41, 59, 253].flatMap(protocol => [
    from('orders-1', packet6(protocol, new Uint8Array(40), { source: at6.orders1, destination: at6.web })),
    from('web', packet6(protocol, new Uint8Array(40), { source: at6.web, destination: at6.eni })),
  ]),
  expect: { drops: { 'protocol-unsupported': 16 }, flows: 0 },
})

scenario('kinds of ICMP that nobody carries', {
  given: small,
  send: [
    ...[9, 10, 13, 14, 15, 17, 18, 30, 40].map(type =>
      from('orders-1', icmp4({ source: at4.orders1, destination: at4.web, type })),
    ),
    ...[5, 4].map(type =>
      from(
        'web',
        icmp4({
          source: at4.web,
          destination: at4.eni,
          type,
          payload: udp4({ source: at4.eni, destination: at4.web }),
        }),
      ),
    ),
    ...[138, 139, 140, 144, 200].map(type =>
      from('orders-1', icmp6({ source: at6.orders1, destination: at6.web, type })),
    ),
  ],
  expect: { drops: { 'icmp-type': 16 }, flows: 0 },
})

scenario('neighbour discovery, routers and multicast listeners stay on their link', {
  given: small,
  send: [130, 131, 132, 133, 134, 135, 136, 137, 143].flatMap(type => [
    from('orders-1', icmp6({ source: at6.orders1, destination: 'ff02::1', type, hops: 255 })),
    from('web', icmp6({ source: 'fe80::1', destination: at6.eni, type, hops: 255 })),
  ]),
  expect: { drops: { 'neighbor-discovery': 18 }, flows: 0 },
})

t.test('a function without a VPC, or whose ENI is not there yet, gets nowhere', async t => {
  for (const spoil of ['eni', 'active'] as const) {
    const net = new Net(small)
    const { environments } = net.plan
    const changed =
      spoil === 'eni' ? { eni: environments.eni.map(() => -1) } : { active: environments.active.map(() => 0) }
    net.swap({ ...net.plan, environments: { ...environments, ...changed } })
    net.send('orders-1', udp4({ source: at4.orders1, destination: at4.web }))
    net.send('orders-1', udp6({ source: at6.orders1, destination: at6.web }))
    t.same(net.drops(), { 'function-inactive': 2 }, spoil)
    sound(t, net)
  }
})

// Security groups.

const rules = (web: string, fn?: string) => labOf(fn === undefined ? { web } : { web, fn })

for (const { name, at, udp, tcp, echo, isIpv6 } of families) {
  const toWeb = { source: at.orders1, destination: at.web }
  const all = isIpv6 ? '"::/0"' : '0.0.0.0/0'
  const port = (destinationPort: number) => from('orders-1', tcp({ ...toWeb, destinationPort }))

  scenario(`${name}: ingress lets in what a rule of the receiver names, to both ends of its range`, {
    given: rules(`{ protocol: tcp, ports: 8000-8010, from: [${all}] }`),
    send: [
      port(7999),
      port(8000),
      port(8010),
      port(8011),
      from('orders-1', udp({ ...toWeb, destinationPort: 8005 })),
    ],
    expect: { delivered: { web: 2 }, drops: { 'security-group-ingress': 3 }, flows: 2 },
  })

  scenario(`${name}: egress lets out what a rule of the function names, before any ingress is asked`, {
    given: rules(
      `{ protocol: udp, ports: 53, from: [${all}] }`,
      `{ protocol: tcp, ports: 443, to: [${all}] }`,
    ),
    send: [port(80), port(443)],
    expect: { drops: { 'security-group-egress': 1, 'security-group-ingress': 1 }, flows: 0 },
  })

  scenario(`${name}: the host sees the ENI, so that is whom a rule with a prefix names`, {
    given: rules(`{ protocol: all, from: ["${at.eni}/${isIpv6 ? 128 : 32}"] }`),
    send: [port(80)],
    expect: { delivered: { web: 1 } },
  })

  scenario(`${name}: a rule with the prefix of inside addresses lets nobody in`, {
    given: rules(`{ protocol: all, from: ["${isIpv6 ? 'fd64::/64' : '100.64.0.0/16'}"] }`),
    send: [port(80)],
    expect: { drops: { 'security-group-ingress': 1 } },
  })

  scenario(`${name}: a rule that names a group lets in who has it`, {
    given: rules('{ protocol: tcp, ports: 80, from: sg:fn }'),
    send: [port(80), from('db', tcp({ source: at.db, destination: at.web, destinationPort: 80 }))],
    expect: { delivered: { web: 1 }, drops: { 'security-group-ingress': 1 }, flows: 1 },
  })

  scenario(`${name}: egress to a group reaches who has it`, {
    given: rules(`{ protocol: all, from: [${all}] }`, '{ protocol: tcp, ports: 0-65535, to: sg:web }'),
    send: [port(80), from('orders-1', tcp({ source: at.orders1, destination: at.db }))],
    expect: { delivered: { web: 1 }, drops: { 'security-group-egress': 1 }, flows: 1 },
  })

  scenario(`${name}: a rule for pings by type lets pings in and nothing else`, {
    given: rules(
      `{ protocol: ${isIpv6 ? 'icmpv6' : 'icmp'}, type: ${isIpv6 ? 128 : 8}, code: 0, from: [${all}] }`,
    ),
    send: [
      from('orders-1', echo(toWeb)),
      answer('web'),
      from('orders-1', echo({ ...toWeb, identifier: 9, code: 1 })),
      port(80),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'security-group-ingress': 2 }, flows: 1 },
  })

  scenario(`${name}: what was let in is answered without a rule, and nothing more`, {
    given: labOf({ web: `{ protocol: tcp, ports: 80, from: [${all}] }`, webEgress: '' }),
    send: [
      port(80),
      answer('web'),
      from('web', tcp({ source: at.web, destination: at.db })),
      from('db', tcp({ source: at.db, destination: at.web, destinationPort: 80 })),
      answer('web'),
    ],
    expect: { delivered: { web: 2, 'orders-1': 1, db: 1 }, drops: { 'security-group-egress': 1 } },
  })
}

scenario('rules of one family say nothing of the other', {
  given: rules('{ protocol: all, from: [0.0.0.0/0] }'),
  send: [
    from('orders-1', tcp4({ source: at4.orders1, destination: at4.web })),
    from('orders-1', udp6({ source: at6.orders1, destination: at6.web })),
  ],
  expect: { delivered: { web: 1 }, drops: { 'security-group-ingress': 1 } },
})

scenario('the sets of an interface add up: what one group does not allow another may', {
  given: labOf({
    web: '{ protocol: tcp, ports: 80, from: [0.0.0.0/0] }',
    groups: '    more: { ingress: [{ protocol: udp, ports: 53, from: [0.0.0.0/0] }], egress: [] }',
  }).replace('securityGroups: [web]', 'securityGroups: [web, more]'),
  send: [53, 54].map(destinationPort =>
    from('orders-1', udp4({ source: at4.orders1, destination: at4.web, destinationPort })),
  ),
  expect: { delivered: { web: 1 }, drops: { 'security-group-ingress': 1 } },
})
