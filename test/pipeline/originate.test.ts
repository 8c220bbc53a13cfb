/** Errors that we owe, and packets that are cut: to whom, from whom, quoting what, and how many. */
import t from 'tap'
import { ERRORS_BURST, ERRORS_PER_SECOND } from '../../src/nat/errors.ts'
import { fragments4, packet4, tcp4, udp4, udp6, verifyFrame, verifyQuoted } from '../wire/build.ts'
import { families, ipv4, ipv6, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { error, read, reply } from './packets.ts'
import { answer, from, last, scenario, sound, times } from './scenario.ts'

const bytesOf = (frame: Uint8Array): string => Buffer.from(frame).toString('hex')

for (const { name, at, tcp, udp, echo, isIpv6, header } of families) {
  const to = { source: at.orders1, destination: at.web }
  const exceeded = isIpv6 ? { type: 3, code: 0 } : { type: 11, code: 0 }
  const tooBig = isIpv6 ? { type: 2, code: 0 } : { type: 3, code: 4 }
  const hops = (count: number) => ({ ttl: count, hops: count })

  scenario(`${name}: the last hop: the function is told by the inside router, of its own packet`, {
    given: small,
    send: [0, 1].flatMap(count => [
      from('orders-1', udp({ ...to, ...hops(count), payload: 'trace' })),
      from('orders-1', tcp({ ...to, ...hops(count) })),
      from('orders-1', echo({ ...to, ...hops(count) })),
    ]),
    expect: {
      delivered: { 'orders-1': 6 },
      drops: { 'ttl-expired': 6 },
      counters: { ErrorsSent: 6, Originated: 6 },
    },
    look(t, arrivals) {
      for (const { frame } of arrivals) {
        t.match(read(frame), { source: at.insideRouter, destination: at.orders1, hops: 64, ...exceeded })
        t.match(read(read(frame).payload), { source: at.orders1, destination: at.web })
        t.same(verifyQuoted(frame), [])
      }
    },
  })

  scenario(`${name}: two hops are enough to arrive, with one left`, {
    given: small,
    send: [
      from('orders-1', udp({ ...to, ...hops(2) })),
      answer('web', hops(2)),
      from('web', udp({ source: at.web, destination: at.db, ...hops(2) })),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1, db: 1 } },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.equal(read(frame).hops, 1)
    },
  })

  scenario(`${name}: a host is told by the router of its subnet, of its packet as it sent it`, {
    given: small,
    send: [
      from('orders-1', udp(to)),
      answer('web', hops(1)),
      from('db', udp({ source: at.db, destination: at.web, ...hops(1) })),
    ],
    expect: { delivered: { web: 2, db: 1 }, drops: { 'ttl-expired': 2 } },
    look(t, [, toWeb, toDb]) {
      t.match(read(toWeb.frame), { source: at.router, destination: at.web, ...exceeded })
      t.match(read(read(toWeb.frame).payload), { source: at.web, destination: at.eni })
      t.match(read(toDb.frame), { source: at.router, destination: at.db, ...exceeded })
    },
  })

  scenario(`${name}: unasked packets with no hop left are unasked all the same, and nobody is told`, {
    given: small,
    send: [from('web', udp({ source: at.web, destination: at.eni, ...hops(1) }))],
    expect: { drops: { unsolicited: 1 } },
  })

  const mtu = 1400
  const fill = (length: number) => 'x'.repeat(length - header - 8)
  scenario(
    `${name}: too big for web: the function is told what fits, of its own packet; what just fits goes on`,
    {
      given: labOf({ webMtu: mtu }),
      send: [mtu, mtu + 1].map(length => from('orders-1', udp({ ...to, payload: fill(length) }))),
      expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'too-big': 1 } },
      look(t, [whole, told]) {
        t.equal(whole.frame.length, mtu)
        const message = read(told.frame)
        t.match(message, { source: at.insideRouter, destination: at.orders1, ...tooBig })
        const rest = new DataView(told.frame.buffer).getUint32(message.transport + 4)
        t.equal(rest, mtu, 'the MTU')
        t.equal(told.frame.length, isIpv6 ? 1280 : 576, 'as much is quoted as may be')
        t.equal(
          bytesOf(message.payload),
          bytesOf(udp({ ...to, payload: fill(mtu + 1) }).subarray(0, message.payload.length)),
        )
      },
    },
  )

  scenario(`${name}: a ping too big likewise, and a connection`, {
    given: labOf({ webMtu: mtu }),
    send: [
      from('orders-1', echo({ ...to, payload: fill(mtu + 1) })),
      from('orders-1', tcp(to)),
      from('orders-1', tcp({ ...to, flags: 'A', sequence: 1001, acknowledgment: 1, payload: fill(mtu) })),
    ],
    expect: { delivered: { web: 1, 'orders-1': 2 }, drops: { 'too-big': 2 } },
  })

  scenario(`${name}: too big for an environment: the host is told by its router`, {
    given: labOf({ orders: `environments: 1, ipv6: true, mtu: ${mtu}` }),
    send: [from('orders-1', udp(to)), answer('web', { payload: fill(mtu + 1) })],
    expect: { delivered: { web: 2 }, drops: { 'too-big': 1 } },
    look(t, [, { frame }]) {
      t.match(read(frame), { source: at.router, destination: at.web, ...tooBig })
      t.match(read(read(frame).payload), { source: at.web, destination: at.eni })
    },
  })

  scenario(`${name}: too big between hosts: the one that sent it is told`, {
    given: labOf({ webMtu: mtu }),
    send: [from('db', udp({ source: at.db, destination: at.web, payload: fill(mtu + 1) }))],
    expect: { delivered: { db: 1 }, drops: { 'too-big': 1 } },
    look(t, [{ frame }]) {
      t.match(read(frame), { source: at.router, destination: at.db, ...tooBig })
    },
  })

  scenario(`${name}: the same size has the same fate a hundred times (RFC 8899)`, {
    given: labOf({ webMtu: mtu }),
    send: [
      times(100, from('orders-1', udp({ ...to, payload: fill(mtu + 1) }))),
      times(100, from('orders-1', udp({ ...to, payload: fill(mtu) }))),
    ],
    expect: {
      delivered: { web: 100, 'orders-1': ERRORS_BURST },
      drops: { 'too-big': 100 },
      counters: { ErrorsLimited: 100 - ERRORS_BURST },
    },
  })

  t.test(
    `${name}: errors are limited: a burst, then so many a second; sizes have a budget of their own`,
    async t => {
      const net = new Net(labOf({ webMtu: mtu }))
      const trace = () => net.send('orders-1', udp({ ...to, ...hops(1) })).length
      const big = () => net.send('orders-1', udp({ ...to, payload: fill(mtu + 1) })).length
      const sum = (count: number, what: () => number) =>
        Array.from({ length: count }, what).reduce((a, b) => a + b, 0)
      t.equal(sum(500, trace), ERRORS_BURST)
      t.equal(net.counter('ErrorsLimited'), 500 - ERRORS_BURST)
      t.equal(sum(500, big), ERRORS_BURST, 'a scan does not silence path MTU discovery')
      net.tick++
      t.equal(sum(500, trace), ERRORS_PER_SECOND / 100, 'a tick later there are some more')
      net.tick += 100
      t.equal(sum(500, trace), ERRORS_BURST, 'and a second later the burst again')
      sound(t, net)
    },
  )

  scenario(
    `${name}: no error about an error, nor about what is sent to many, nor for a source that is none`,
    {
      given: small,
      send: [
        from('orders-1', udp(to)),
        from('web', net => error(last(net, 'web'), { hops: 1 })),
        from(
          'orders-1',
          udp({ source: at.orders1, destination: isIpv6 ? 'ff0e::1' : '239.0.0.1', ...hops(1) }),
        ),
        from(
          'orders-1',
          udp({ source: isIpv6 ? '::' : '0.0.0.0', destination: isIpv6 ? '2001:db8::1' : '192.0.2.1' }),
        ),
        from(
          'orders-1',
          udp({
            source: isIpv6 ? 'ff02::1' : '224.0.0.1',
            destination: isIpv6 ? '2001:db8::1' : '192.0.2.1',
          }),
        ),
      ],
      expect: {
        delivered: { web: 1 },
        drops: { 'ttl-expired': 1, multicast: 1, 'source-check': 2 },
        counters: { ErrorsSent: 0 },
      },
    },
  )

  const exhausted = [
    ['admin', isIpv6 ? [1, 1] : [3, 13]],
    ['host', isIpv6 ? [1, 3] : [3, 1]],
    ['off', null],
  ] as const
  for (const [exhaustion, told] of exhausted)
    scenario(`${name}: no room for a flow: what the function is told when it is to be ${exhaustion}`, {
      given: labOf({ daemon: `exhaustion: ${exhaustion}` }),
      flows: 2,
      send: [1, 2, 3].map(i => from('orders-1', udp({ ...to, sourcePort: i }))),
      expect: {
        delivered: { web: 2, ...(told && { 'orders-1': 1 }) },
        drops: { 'flow-table-full': 1 },
        flows: 2,
      },
      look(t, arrivals) {
        const answers = arrivals.filter(arrival => arrival.to === 'orders-1').map(({ frame }) => read(frame))
        t.match(answers, told === null ? [] : [{ source: at.insideRouter, type: told[0], code: told[1] }])
      },
    })
}

// Packets that may be cut.

/** The payload that fragments carry, put together by their offsets. */
function joined(frames: readonly Uint8Array[]): Buffer {
  const pieces = frames.map(frame => ({
    at: read(frame).offset,
    bytes: frame.subarray((frame[0] & 0x0f) * 4),
  }))
  const whole = Buffer.alloc(Math.max(...pieces.map(({ at, bytes }) => at + bytes.length)))
  for (const { at, bytes } of pieces) whole.set(bytes, at)
  return whole
}

for (const mtu of [576, 1280, 1400])
  for (const options of [[], [148, 4, 0, 0]])
    scenario(
      `without DF a packet is cut to ${mtu} bytes, in order, with ${options.length} bytes of options (RFC 4787 REQ-13 a)`,
      {
        given: labOf({ webMtu: mtu })
          .replace(/, ipv6Cidr: "[^"]*"/, '')
          .replace('ipv6: true, ', ''),
        send: [
          from(
            'orders-1',
            udp4({
              source: ipv4.at.orders1,
              destination: ipv4.at.web,
              dontFragment: false,
              options,
              payload: Uint8Array.from({ length: 3000 }, (_, i) => i),
            }),
          ),
        ],
        expect: { delivered: { web: Math.ceil(3008 / ((mtu - 20 - options.length) & ~7)) } },
        look(t, arrivals, net) {
          const pieces = arrivals.map(({ frame }) => read(frame))
          t.same(
            pieces.map(({ offset }) => offset),
            [...pieces.map(({ offset }) => offset)].sort((a, b) => a - b),
          )
          t.ok(arrivals.every(({ frame }) => frame.length <= mtu))
          t.equal(new Set(pieces.map(({ identification }) => identification)).size, 1)
          t.same(
            pieces.map(({ moreFragments }) => moreFragments),
            pieces.map((_, i) => i < pieces.length - 1),
          )
          const payload = joined(arrivals.map(({ frame }) => frame))
          t.ok(payload.subarray(8).equals(Buffer.from(Uint8Array.from({ length: 3000 }, (_, i) => i))))
          const whole = packet4(17, payload, { source: pieces[0].source, destination: pieces[0].destination })
          t.same(verifyFrame(whole), [], 'the checksum of the whole is right')
          t.equal(net.counter('Originated'), pieces.length - 1)
        },
      },
    )

scenario('a partial checksum is completed before the packet is cut', {
  given: labOf({ webMtu: 1400 }),
  send: [
    from(
      'orders-1',
      udp4({
        source: ipv4.at.orders1,
        destination: ipv4.at.web,
        dontFragment: false,
        payload: 'z'.repeat(2001),
        partial: true,
      }),
      { partial: true },
    ),
  ],
  expect: { delivered: { web: 2 } },
  look(t, arrivals) {
    const [first] = arrivals.map(({ frame }) => read(frame))
    const whole = packet4(17, joined(arrivals.map(({ frame }) => frame)), {
      source: first.source,
      destination: first.destination,
    })
    t.same(verifyFrame(whole), [])
    for (const { header } of arrivals) t.ok(header.every(byte => byte === 0))
  },
})

scenario('a packet of TCP may be cut too, and one for an environment, and one between hosts', {
  given: labOf({ webMtu: 1400, orders: 'environments: 1, ipv6: true, mtu: 1300' }),
  send: [
    from('orders-1', tcp4({ source: ipv4.at.orders1, destination: ipv4.at.web, sequence: 99 })),
    answer('web', { dontFragment: false, payload: 'y'.repeat(1340) } as object),
    from(
      'orders-1',
      tcp4({
        source: ipv4.at.orders1,
        destination: ipv4.at.web,
        flags: 'A',
        sequence: 100,
        dontFragment: false,
        payload: 'x'.repeat(1400),
      }),
    ),
    from(
      'db',
      udp4({ source: ipv4.at.db, destination: ipv4.at.web, dontFragment: false, payload: 'x'.repeat(1400) }),
    ),
  ],
  expect: { delivered: { web: 5, 'orders-1': 2 } },
})

t.test('a packet is cut only where there are slots for all of its pieces', async t => {
  const net = new Net(labOf({ webMtu: 1280 }), { slots: 8 })
  const packet = (length: number) =>
    udp4({
      source: ipv4.at.orders1,
      destination: ipv4.at.web,
      dontFragment: false,
      payload: 'x'.repeat(length),
    })
  t.equal(net.send('orders-1', packet(6 * 1256)).length, 7)
  t.equal(net.send('orders-1', packet(9 * 1256)).length, 0)
  t.same(net.drops(), { 'slots-exhausted': 1 })
  sound(t, net)
})

scenario('over IPv6 nothing is cut on its way', {
  given: labOf({ webMtu: 1280 }),
  send: [
    from('orders-1', udp6({ source: ipv6.at.orders1, destination: ipv6.at.web, payload: 'x'.repeat(1233) })),
  ],
  expect: { delivered: { 'orders-1': 1 }, drops: { 'too-big': 1 } },
})

t.test(
  "what is cut gets an identification of the ENI's own: two environments may have chosen the same (RFC 6864)",
  async t => {
    const net = new Net(labOf({ webMtu: 1280 }))
    const seen = new Map<number, Set<string>>()
    for (let i = 0; i < 200; i++) {
      const source = i % 2 === 0 ? ipv4.at.orders1 : ipv4.at.orders2
      const whole = udp4({
        source,
        destination: ipv4.at.web,
        dontFragment: false,
        identification: 77,
        payload: `${i}`.padEnd(1500),
      })
      const arrivals =
        i % 4 < 2
          ? net.send(`orders-${1 + (i % 2)}`, whole)
          : net.burst(fragments4(whole, 800).map(piece => [`orders-${1 + (i % 2)}`, piece] as const))
      for (const { frame } of arrivals) {
        const { identification } = read(frame)
        const of = seen.get(identification) ?? new Set()
        seen.set(identification, of.add(`${i}`))
      }
    }
    t.ok(
      [...seen.values()].every(datagrams => datagrams.size === 1),
      `${seen.size} identifications`,
    )
    t.equal(seen.size, 200)
    sound(t, net)
  },
)

scenario('what may not be cut keeps its identification, and so do answers', {
  given: small,
  send: [
    from('orders-1', udp4({ source: ipv4.at.orders1, destination: ipv4.at.web, identification: 0xbeef })),
    from('web', net => reply(last(net, 'web'), { identification: 0x1111 })),
  ],
  expect: { delivered: { web: 1, 'orders-1': 1 } },
  look(t, [out, back]) {
    t.equal(read(out.frame).identification, 0xbeef)
    t.equal(read(back.frame).identification, 0x1111)
    t.ok(read(out.frame).dontFragment, 'DF is not cleared')
  },
})
