/** ICMP errors of others: to functions, from functions, between hosts; and what strangers try with them. */
import t from 'tap'
import { fragments4, icmp4, icmp6, packet4, packet6, tcp4, udp4, verifyQuoted } from '../wire/build.ts'
import { type Family, families, ipv4, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { error, read, reply } from './packets.ts'
import { answer, from, last, scenario, sound } from './scenario.ts'

const spoilt = (frame: Uint8Array, at: number): Uint8Array => frame.with(at, frame[at] ^ 0x10)
const router = ({ isIpv6 }: Family) => (isIpv6 ? '2001:db8::77' : '192.0.2.77')

for (const family of families) {
  const { name, at, tcp, udp, echo, isIpv6, header } = family
  const to = { source: at.orders1, destination: at.web }
  const packets = {
    UDP: udp({ ...to, payload: 'a datagram' }),
    TCP: tcp({ ...to, payload: '' }),
    echo: echo({ ...to, payload: 'ping' }),
  }
  const kinds: [type: number, code: number, rest: number][] = isIpv6
    ? [
        [1, 4, 0],
        [1, 1, 0],
        [2, 0, 1300],
        [2, 0, 1279],
        [2, 0, 0],
        [3, 0, 0],
        [4, 1, 40],
      ]
    : [
        [3, 3, 0],
        [3, 1, 0],
        [3, 13, 0],
        [3, 4, 1300],
        [3, 4, 68],
        [11, 0, 0],
        [12, 0, 20 << 24],
      ]

  for (const [what, packet] of Object.entries(packets))
    for (const shards of [1, 2, 3])
      t.test(
        `${name}, ${shards} shards: errors about ${what} reach the function as if nothing were between (RFC 5508 REQ-4)`,
        async t => {
          const net = new Net(small, { shards })
          for (const by of [at.web, router(family)])
            for (const [type, code, rest] of kinds) {
              net.send('orders-1', packet)
              const [{ to, frame }] = net.send('web', error(last(net, 'web'), { by, type, code, rest }))
              t.equal(to, 'orders-1')
              const message = read(frame)
              t.match(message, { source: by, destination: at.orders1, type, code, hops: 63 })
              t.equal(
                new DataView(frame.buffer).getUint32(message.transport + 4),
                rest,
                'MTU or pointer as it was',
              )
              // Back as it was sent, but for the hop.
              t.equal(
                Buffer.from(message.payload.with(isIpv6 ? 7 : 8, 0)).toString('hex'),
                Buffer.from(withHops(packet, isIpv6, message.payload)).toString('hex'),
              )
              t.same(verifyQuoted(frame), [])
            }
          t.equal(net.flows, 1)
          t.equal(net.counter('ErrorsTranslated'), 2 * kinds.length)
          sound(t, net)
        },
      )

  for (const shards of [1, 2, 3])
    t.test(
      `${name}, ${shards} shards: errors of functions leave as the ENI's, quoting what the ENI got (REQ-5)`,
      async t => {
        const net = new Net(small, { shards })
        for (const packet of Object.values(packets)) {
          net.send('orders-1', packet)
          const answered = reply(last(net, 'web'), { payload: 'an answer' })
          net.send('web', answered)
          const [{ to, frame }] = net.send('orders-1', error(last(net, 'orders-1')))
          t.equal(to, 'web')
          t.match(read(frame), { source: at.eni, destination: at.web, hops: 63 })
          const quoted = read(read(frame).payload)
          const { sourcePort, destinationPort } = read(answered)
          t.match(quoted, { source: at.web, destination: at.eni, sourcePort, destinationPort })
          t.same(verifyQuoted(frame), [])
        }
        sound(t, net)
      },
    )

  for (const [client, server] of [
    ['web', 'db'],
    ['db', 'web'],
  ] as const)
    for (const shards of [1, 2, 3])
      t.test(
        `${name}, ${shards} shards: errors between hosts go both ways, ${client} having begun`,
        async t => {
          const net = new Net(small, { shards })
          const of = { source: at[client], destination: at[server] }
          for (const packet of [udp({ ...of, payload: 'x' }), tcp(of), echo(of)]) {
            net.send(client, packet)
            const [told] = net.send(server, error(last(net, server)))
            t.equal(told.to, client)
            t.match(read(read(told.frame).payload), { source: at[client], destination: at[server] })
            net.send(server, reply(last(net, server)))
            const [back] = net.send(client, error(last(net, client)))
            t.equal(back.to, server)
            t.match(read(back.frame), { source: at[client], destination: at[server] })
          }
          t.equal(net.flows, 3)
          t.same(net.drops(), {})
          sound(t, net)
        },
      )

  scenario(`${name}: no rule is needed: they belong to a flow that was let through`, {
    given: labOf({
      fn: `{ protocol: udp, ports: 80, to: [${isIpv6 ? '"::/0"' : '0.0.0.0/0'}] }`,
      web: `{ protocol: udp, ports: 80, from: [${isIpv6 ? '"::/0"' : '0.0.0.0/0'}] }`,
      webEgress: '',
    }),
    send: [
      from('orders-1', packets.UDP),
      from('web', net => error(last(net, 'web'))),
      answer('web'),
      from('orders-1', net => error(last(net, 'orders-1').slice())),
    ],
    expect: { delivered: { web: 2, 'orders-1': 2 } },
  })

  scenario(`${name}: functions may get errors though they have no echo`, {
    given: labOf({ orders: 'environments: 1, ipv6: true' }),
    send: [from('orders-1', packets.UDP), from('web', net => error(last(net, 'web')))],
    expect: { delivered: { web: 1, 'orders-1': 1 } },
  })

  // Strangers.

  scenario(
    `${name}: an error about a flow of nobody, of another remote port, of another host, of another protocol`,
    {
      given: small,
      send: [
        from('orders-1', packets.UDP),
        ...[{ sourcePort: 9 }, { destinationPort: 81 }, { destination: at.db }].map(change =>
          from('web', net => {
            const { source, destination, sourcePort, destinationPort } = read(last(net, 'web'))
            return error(udp({ source, destination, sourcePort, destinationPort, ...change }))
          }),
        ),
        from('web', net => {
          const { source, destination, sourcePort, destinationPort } = read(last(net, 'web'))
          return error(tcp({ source, destination, sourcePort, destinationPort }))
        }),
      ],
      expect: { delivered: { web: 1 }, drops: { 'icmp-no-match': 4 }, flows: 1 },
    },
  )

  scenario(`${name}: an error sent to somebody else than it quotes (CVE-2019-5598)`, {
    given: small,
    send: [
      from('orders-1', packets.UDP),
      from('web', net => readdressed(error(last(net, 'web')), at.db)),
      from('web', () => readdressed(error(packets.UDP), at.eni)),
    ],
    expect: { delivered: { web: 1 }, drops: { 'icmp-inner-mismatch': 2 } },
  })

  scenario(`${name}: a segment that was never under way (RFC 5927)`, {
    given: small,
    send: [
      from('orders-1', tcp({ ...to, sequence: 1000 })),
      answer('web'),
      from(
        'orders-1',
        tcp({ ...to, flags: 'A', sequence: 1001, acknowledgment: 5001, payload: 'x'.repeat(100) }),
      ),
      ...[1000 + 2_000_000, 1000 - 200_000, 2 ** 31 + 1000]
        .map(sequence => sequence >>> 0)
        .map(sequence =>
          from('web', net => {
            const { source, destination, sourcePort, destinationPort } = read(last(net, 'web'))
            return error(tcp({ source, destination, sourcePort, destinationPort, sequence, flags: 'A' }), {
              type: isIpv6 ? 2 : 3,
              code: isIpv6 ? 0 : 4,
              rest: 1300,
            })
          }),
        ),
      from('web', net => error(last(net, 'web'))),
    ],
    expect: { delivered: { web: 2, 'orders-1': 2 }, drops: { 'icmp-inner-mismatch': 3 }, flows: 1 },
  })

  scenario(`${name}: a function may tell nothing in another's name, or about another's flows`, {
    given: small,
    send: [
      from('orders-1', packets.UDP),
      answer('web'),
      from('orders-1', net => error(last(net, 'orders-1'), { by: at.orders2 })),
      from('orders-2', net => error(last(net, 'orders-1'))),
      from('orders-2', net => {
        const { source, sourcePort, destinationPort } = read(last(net, 'orders-1'))
        return error(udp({ source, destination: at.orders2, sourcePort, destinationPort }))
      }),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'source-check': 2, 'icmp-no-match': 1 } },
  })

  scenario(`${name}: a wrong ICMP checksum (REQ-3)`, {
    given: small,
    send: [
      from('orders-1', packets.UDP),
      from('web', net => spoilt(error(last(net, 'web')), header + 30)),
      from('web', net => error(last(net, 'web'))),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'bad-icmp-checksum': 1 } },
  })

  scenario(`${name}: a quoted packet with a wrong transport checksum passes (REQ-3 c), and is wrong still`, {
    given: small,
    send: [from('orders-1', spoilt(packets.UDP, header + 9)), from('web', net => error(last(net, 'web')))],
    expect: { delivered: { web: 1, 'orders-1': 1 } },
    look(t, [, { frame }]) {
      t.same(verifyQuoted(frame), ['udp checksum'])
    },
  })

  scenario(`${name}: an error about an error is none`, {
    given: small,
    send: [
      from('orders-1', packets.echo),
      from('web', net => {
        const { source, destination, sourcePort } = read(last(net, 'web'))
        return error(echo({ source, destination, identifier: sourcePort, type: isIpv6 ? 1 : 3, code: 1 }))
      }),
    ],
    expect: { delivered: { web: 1 }, drops: { 'error-for-error': 1 } },
  })

  t.test(
    `${name}: quotations cut off at every byte: as far as they tell the flow they pass, right; none is read beyond`,
    async t => {
      for (const packet of [
        udp({ ...to, payload: 'x'.repeat(30) }),
        tcp({ ...to, tcpOptions: [2, 4, 5, 100] }),
        echo({ ...to, payload: 'x'.repeat(9) }),
      ]) {
        const net = new Net(small)
        net.send('orders-1', packet)
        for (let quoted = 0; quoted <= packet.length; quoted++) {
          const whole = quoted >= header + 8
          const arrivals = net.send('web', error(last(net, 'web'), { quoted }))
          if (arrivals.length !== (whole ? 1 : 0))
            t.fail(`${quoted} bytes quoted: ${arrivals.length} arrivals`)
          for (const { frame } of arrivals)
            if (verifyQuoted(frame).length > 0 || read(frame).payload.length !== quoted)
              t.fail(`${quoted} bytes quoted: ${verifyQuoted(frame)}`)
        }
        t.same(Object.keys(net.drops()), ['icmp-inner-mismatch'])
        sound(t, net)
      }
    },
  )

  scenario(`${name}: what quotes anything else: tunnels, unknown protocols, no packet at all`, {
    given: small,
    send: [
      from('orders-1', packets.UDP),
      ...[47, 4, 41, 50, 51, 132, 253].map(protocol =>
        from(
          'web',
          error(
            isIpv6
              ? packet6(protocol, new Uint8Array(60), { source: at.eni, destination: at.web })
              : packet4(protocol, new Uint8Array(60), { source: at.eni, destination: at.web }),
          ),
        ),
      ),
    ],
    expect: { delivered: { web: 1 }, drops: { 'icmp-no-match': 7 }, flows: 1 },
  })

  scenario(`${name}: an error with its last hop, and one that is too big for the function`, {
    given: labOf({ orders: 'environments: 1, ipv6: true, mtu: 1280' }),
    send: [
      from('orders-1', packets.UDP),
      from('web', net => error(last(net, 'web'), { hops: 1 })),
      from('web', net =>
        error(Uint8Array.from([...last(net, 'web'), ...new Uint8Array(1300)]), { quoted: 1290 }),
      ),
    ],
    expect: { delivered: { web: 1 }, drops: { 'ttl-expired': 1, 'too-big': 1 }, counters: { ErrorsSent: 0 } },
  })
}

/** The packet as the error must quote it: with the hop count left out of the comparison, and the header checksum that depends on it. */
function withHops(packet: Uint8Array, isIpv6: boolean, quoted: Uint8Array): Uint8Array {
  const copy = packet.with(isIpv6 ? 7 : 8, 0)
  if (!isIpv6) copy.set(quoted.subarray(10, 12), 10)
  return copy
}

/** The same error, sent to somebody else. */
function readdressed(frame: Uint8Array, destination: string): Uint8Array {
  const { family, source, type, code, payload } = read(frame)
  const of = { source, destination, type, code, identifier: 0, sequence: 0, payload }
  return family === 4 ? icmp4(of) : icmp6(of)
}

/** The same error, about something else. */
function quoting(frame: Uint8Array, payload: Uint8Array): Uint8Array {
  const { source, destination, type, code } = read(frame)
  return icmp4({ source, destination, type, code, identifier: 0, sequence: 0, payload })
}

const to4 = { source: ipv4.at.orders1, destination: ipv4.at.web }

scenario('a quoted header of IPv4 with a wrong checksum (REQ-3 a)', {
  given: small,
  send: [
    from('orders-1', udp4(to4)),
    from('web', net => quoting(error(last(net, 'web')), spoilt(last(net, 'web'), 5))),
  ],
  expect: { delivered: { web: 1 }, drops: { 'bad-header-checksum': 1 } },
})

scenario('quoted options are skipped to find the ports (REQ-3 b)', {
  given: small,
  send: Array.from({ length: 10 }, (_, words) => words + 1).flatMap(words => [
    from('orders-1', udp4({ ...to4, options: new Array(words * 4).fill(1), payload: 'x' })),
    from('web', net => error(last(net, 'web'))),
  ]),
  expect: { delivered: { web: 10, 'orders-1': 10 }, flows: 1 },
})

scenario('a quoted later fragment is of no flow, a first one is', {
  given: small,
  send: [
    ...fragments4(udp4({ ...to4, dontFragment: false, payload: 'x'.repeat(100) }), 64).map(piece =>
      from('orders-1', piece),
    ),
    ...[0, 1].map(index => from('web', net => error(net.arrivals[index].frame))),
  ],
  expect: { delivered: { web: 2, 'orders-1': 1 }, drops: { 'icmp-no-match': 1 } },
})

for (const mtu of [0, 1, 19, 20, 67])
  scenario(`an MTU of ${mtu} is not believed over IPv4`, {
    given: small,
    send: [
      from('orders-1', udp4(to4)),
      from('web', net => error(last(net, 'web'), { type: 3, code: 4, rest: mtu })),
    ],
    expect: { delivered: { web: 1 }, drops: { 'icmp-inner-mismatch': 1 } },
  })

t.test('extensions behind a quotation are left alone (REQ-3 d, RFC 4884)', async t => {
  const net = new Net(small)
  net.send('orders-1', tcp4(to4))
  const padded = new Uint8Array(128 + 12)
  padded.set(last(net, 'web'))
  // An MPLS label stack object; the length field says that the quotation has 32 words.
  padded.set([0x20, 0, 0, 0, 0, 8, 1, 1, 0xab, 0xcd, 0xe1, 0x40], 128)
  const frame = icmp4({
    source: ipv4.at.web,
    destination: ipv4.at.eni,
    type: 11,
    code: 0,
    identifier: 32,
    sequence: 0,
    payload: padded,
  })
  const [arrival] = net.send('web', frame)
  t.equal(Buffer.from(read(arrival.frame).payload.subarray(128)).toString('hex'), '2000000000080101abcde140')
  sound(t, net)
})

t.test('an error about a connection whose shard is another one is handed over', async t => {
  for (const { at, tcp } of families) {
    const net = new Net(small, { shards: 3 })
    for (let port = 3000; port < 3030; port++) {
      net.send('orders-1', tcp({ source: at.orders1, destination: at.web, sourcePort: port }))
      net.send('web', error(last(net, 'web')))
      net.send('web', reply(last(net, 'web')))
      net.send('orders-1', error(last(net, 'orders-1')))
    }
    t.equal(net.arrivals.length, 120)
    t.ok(net.counter('HandedOver') > 20)
    sound(t, net)
  }
})
