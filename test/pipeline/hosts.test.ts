/** Flows between hosts: nothing is translated, one record serves both directions, the rules are those of both ends. */
import t from 'tap'
import { families, ipv4, labOf, small, twoVpcs } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { answer, from, last, scenario, sound, wait } from './scenario.ts'

for (const { name, at, tcp, udp, echo, isIpv6 } of families) {
  const all = isIpv6 ? '"::/0"' : '0.0.0.0/0'
  // Ends of a record are ordered by address, so both orders of beginner and other are tried.
  for (const [client, server] of [
    ['web', 'db'],
    ['db', 'web'],
  ] as const) {
    const there = { source: at[client], destination: at[server] }
    for (const shards of [1, 2, 3])
      scenario(`${name}, ${shards} shards: ${client} connects to ${server}`, {
        given: small,
        shards,
        send: [
          from(client, tcp({ ...there, flags: 'S', sequence: 99 })),
          answer(server),
          from(client, tcp({ ...there, flags: 'A', sequence: 100, acknowledgment: 5001 })),
          answer(server, { payload: 'welcome', flags: 'PA' }),
        ],
        expect: { delivered: { [client]: 2, [server]: 2 }, flows: 1, counters: { OutOfWindow: 0 } },
        look(t, [syn, synAck]) {
          t.match(read(syn.frame), {
            source: at[client],
            destination: at[server],
            sourcePort: 40000,
            destinationPort: 80,
            hops: 63,
          })
          t.match(read(synAck.frame), {
            source: at[server],
            destination: at[client],
            sourcePort: 80,
            destinationPort: 40000,
            hops: 63,
          })
        },
      })

    scenario(`${name}: ${client} asks ${server}, by datagram and by ping`, {
      given: small,
      shards: 2,
      send: [
        from(client, udp({ ...there, payload: '?' })),
        answer(server, { payload: '!' }),
        from(client, echo({ ...there, identifier: 3 })),
        answer(server),
      ],
      expect: { delivered: { [client]: 2, [server]: 2 }, flows: 2 },
    })

    scenario(`${name}: a flow that ${client} began to ${server} lets answers in and no questions`, {
      given: labOf({
        web: `{ protocol: udp, ports: 80, from: [${all}] }`,
        db: `{ protocol: udp, ports: 80, from: [${all}] }`,
      }),
      send: [
        from(client, udp(there)),
        answer(server),
        // The same pair of ports, the other way round in who begins: nobody let that in.
        from(
          server,
          udp({ source: at[server], destination: at[client], sourcePort: 80, destinationPort: 40001 }),
        ),
        from(server, echo({ source: at[server], destination: at[client] })),
      ],
      expect: { delivered: { [client]: 1, [server]: 1 }, drops: { 'security-group-ingress': 2 }, flows: 1 },
    })

    scenario(`${name}: a ping of ${client} does not let pings of ${server} in`, {
      given: labOf({ [client]: `{ protocol: tcp, ports: 80, from: [${all}] }` }),
      send: [
        from(client, echo({ ...there, identifier: 3 })),
        answer(server),
        from(server, echo({ source: at[server], destination: at[client], identifier: 3 })),
        from(server, echo({ source: at[server], destination: at[client], identifier: 4 })),
      ],
      expect: { delivered: { [client]: 1, [server]: 1 }, drops: { 'security-group-ingress': 2 } },
    })
  }

  scenario(`${name}: both ends may keep a flow of theirs alive`, {
    given: small,
    send: [
      from('web', udp({ source: at.web, destination: at.db })),
      answer('db'),
      ...[1, 2, 3, 4].flatMap(() => [
        wait(200),
        from('db', udp({ source: at.db, destination: at.web, sourcePort: 80, destinationPort: 40000 })),
      ]),
    ],
    expect: { delivered: { web: 5, db: 1 }, flows: 1 },
  })

  scenario(`${name}: one port to itself at two hosts: the order of ends is still told`, {
    given: small,
    send: [
      from('web', udp({ source: at.web, destination: at.db, sourcePort: 123, destinationPort: 123 })),
      answer('db'),
      from('web', udp({ source: at.web, destination: at.db, sourcePort: 123, destinationPort: 123 })),
    ],
    expect: { delivered: { web: 1, db: 2 }, flows: 1 },
  })

  scenario(`${name}: a host in another subnet is reached by the local route`, {
    given: labOf({
      subnets: '    far: { cidr: 10.0.3.0/24, ipv6Cidr: "fd00:0:0:3::/64" }',
      hosts: '  far: { subnet: far, address: 10.0.3.9, securityGroups: [web] }',
    }),
    send: [
      from('web', udp({ source: at.web, destination: isIpv6 ? 'fd00:0:0:3::9' : '10.0.3.9' })),
      answer('far'),
    ],
    expect: { delivered: { far: 1, web: 1 }, flows: 1 },
  })

  scenario(`${name}: a host in another VPC is not reached`, {
    given: twoVpcs,
    send: [
      from('web', udp({ source: at.web, destination: isIpv6 ? 'fd00:0:0:9::28' : '10.0.1.40' })),
      from('orders-1', udp({ source: at.orders1, destination: isIpv6 ? 'fd00:0:0:9::28' : '10.0.1.40' })),
    ],
    expect: { drops: { 'no-host': 2 }, flows: 0 },
  })
}

t.test('a record of hosts has what each end sent on its side, whoever began', async t => {
  for (const { at, udp } of families)
    for (const client of ['web', 'db'] as const) {
      const server = client === 'web' ? 'db' : 'web'
      const net = new Net(small)
      net.send(client, udp({ source: at[client], destination: at[server], payload: 'x'.repeat(100) }))
      net.send(server, reply(last(net, server)))
      net.send(server, reply(last(net, server)))
      const { hot } = net.shards[0].pipeline.core.flows
      const packets = [hot[10], hot[11]]
      t.same([...packets].sort(), [1, 2])
      sound(t, net)
    }
})

scenario('VPCs with the same addresses do not hear of each other', {
  given: twoVpcs,
  send: [
    from('orders-1', ipv4.udp({ source: '100.64.0.2', destination: '10.0.1.20', payload: 'main' })),
    answer('web'),
    from('others-1', ipv4.udp({ source: '100.64.0.3', destination: '10.0.1.20', payload: 'other' })),
    answer('stranger'),
    from('stranger', ipv4.udp({ source: '10.0.1.20', destination: '10.0.1.40' })),
    answer('far'),
  ],
  expect: { delivered: { web: 1, 'orders-1': 1, stranger: 2, 'others-1': 1, far: 1 }, flows: 3 },
})
