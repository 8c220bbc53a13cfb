/** Fragments on their way: all orders, both directions, one shard or several, and what attackers make of them. */
import t from 'tap'
import {
  fragments4,
  fragments6,
  icmp4,
  icmp6,
  packet4,
  piece4,
  piece6,
  tcp4,
  udp4,
  udp6,
  verifyFrame,
} from '../wire/build.ts'
import { families, ipv4, ipv6, labOf, small } from './labs.ts'
import { type Arrival, Net } from './net.ts'
import { error, fragmentsOf, joined, read, reply } from './packets.ts'
import { answer, from, last, scenario, sound } from './scenario.ts'

/** All orders of some things. */
function orders<T>(all: readonly T[]): T[][] {
  if (all.length < 2) return [[...all]]
  return all.flatMap((one, i) => orders(all.toSpliced(i, 1)).map(rest => [one, ...rest]))
}

const framesOf = (arrivals: readonly Arrival[]): Uint8Array[] => arrivals.map(({ frame }) => frame)

for (const { name, at, udp, tcp, echo, isIpv6 } of families) {
  const to = { source: at.orders1, destination: at.web }
  const dontFragment = false
  for (const shards of [1, 2, 3])
    t.test(
      `${name}, ${shards} shards: fragments in every order, out and back, of every protocol`,
      async t => {
        const payload = Uint8Array.from({ length: 100 }, (_, i) => i)
        const net = new Net(small, { shards })
        let flows = 0
        for (const build of [udp, tcp, echo])
          for (let order = 0; order < 6; order++) {
            const of = { ...to, dontFragment, sourcePort: 7000 + flows, identifier: flows, payload }
            const whole = build(of)
            // Two pieces have two orders, so the third protocol's are tried three times.
            const all = orders(fragmentsOf(whole, 40, flows))
            const out = all[order % all.length].flatMap(piece => framesOf(net.send('orders-1', piece)))
            flows++
            t.same(
              out.map(frame => read(frame).offset),
              all[0].map(frame => read(frame).offset),
              'all of them leave, in order',
            )
            t.same(verifyFrame(joined(out)), [])
            t.match(read(joined(out)), { source: at.eni, destination: at.web, hops: 63 })
            t.ok(Buffer.from(read(joined(out)).payload).equals(read(whole).payload))
            const answers = fragmentsOf(reply(joined(out), { dontFragment, payload } as object), 40, flows)
            const back = joined(answers.flatMap(piece => framesOf(net.send('web', piece))))
            t.same(verifyFrame(back), [])
            t.match(read(back), { source: at.web, destination: at.orders1 })
            t.ok(Buffer.from(read(back).payload).equals(payload))
          }
        t.equal(net.flows, flows)
        sound(t, net)
      },
    )

  for (const shards of [1, 2, 3])
    t.test(`${name}, ${shards} shards: fragmented or not, it is one flow`, async t => {
      const net = new Net(small, { shards })
      const big = 'x'.repeat(200)
      for (let port = 6000; port < 6016; port++) {
        const of = { ...to, sourcePort: port, dontFragment }
        const all = [fragmentsOf(udp({ ...of, payload: big }), 80, port), [udp({ ...of, payload: 'small' })]]
        for (const frames of port % 2 === 0 ? all : all.reverse())
          for (const frame of frames) net.send('orders-1', frame)
      }
      t.equal(net.flows, 16)
      const hosts = new Net(small, { shards })
      for (let port = 6000; port < 6016; port++) {
        const of = { source: at.db, destination: at.web, sourcePort: port, dontFragment }
        for (const frame of fragmentsOf(udp({ ...of, payload: big }), 80, port)) hosts.send('db', frame)
        hosts.send('db', udp({ ...of, payload: 'small' }))
        hosts.send('web', reply(last(hosts, 'web')))
        for (const frame of fragmentsOf(
          reply(last(hosts, 'web'), { dontFragment, payload: big } as object),
          80,
          port,
        ))
          hosts.send('web', frame)
      }
      t.equal(hosts.flows, 16)
      t.same([net.drops(), hosts.drops()], [{}, {}])
      sound(t, net)
      sound(t, hosts)
    })

  const whole = udp({ ...to, dontFragment, payload: 'x'.repeat(100) })
  const piece = (begin: number, end: number, more?: boolean, of = whole) =>
    isIpv6 ? piece6(of, begin, end, 9, more) : piece4(of, begin, end, more)

  t.test(`${name}: the longest datagram there is goes through`, async t => {
    const net = new Net(small, { slots: 200 })
    const longest = udp({ ...to, dontFragment, payload: new Uint8Array(65535 - (isIpv6 ? 8 : 28)) })
    const pieces = fragmentsOf(longest, 1432)
    for (const frame of pieces) net.send('orders-1', frame)
    t.equal(net.arrivals.length, pieces.length)
    t.same(verifyFrame(joined(framesOf(net.arrivals))), [])
    sound(t, net)
  })

  scenario(`${name}: a piece whose last hop this is, or that is too big for its way`, {
    given: labOf({ webMtu: 1280 }),
    send: [
      from('orders-1', piece(0, 48)),
      from(
        'orders-1',
        piece(48, 108, false, udp({ ...to, dontFragment, ttl: 1, hops: 1, payload: 'x'.repeat(100) })),
      ),
      ...fragmentsOf(udp({ ...to, dontFragment, payload: 'x'.repeat(2000) }), 1400, 77).map(frame =>
        from('orders-1', frame),
      ),
    ],
    expect: isIpv6
      ? { delivered: { web: 1, 'orders-1': 1 }, drops: { 'ttl-expired': 1, 'too-big': 2 } }
      : { delivered: { web: 4 }, drops: { 'ttl-expired': 1 } },
  })

  scenario(`${name}: a large ping, and an error about a piece of what was sent`, {
    given: small,
    shards: 2,
    send: [
      ...fragmentsOf(echo({ ...to, dontFragment, payload: 'p'.repeat(4000) }), 1448).map(frame =>
        from('orders-1', frame),
      ),
      from('web', net => error(net.arrivals[0].frame)),
    ],
    expect: { delivered: { web: 3, 'orders-1': 1 }, flows: 1 },
    look(t, arrivals) {
      t.same(verifyFrame(joined(framesOf(arrivals.slice(0, 3)))), [])
    },
  })
}

scenario('an atomic fragment is a packet of its own, whatever else has its identification (RFC 6946)', {
  given: small,
  send: [
    from(
      'orders-1',
      piece6(udp6({ source: ipv6.at.orders1, destination: ipv6.at.web, payload: 'x'.repeat(100) }), 0, 48, 7),
    ),
    from(
      'orders-1',
      piece6(udp6({ source: ipv6.at.orders1, destination: ipv6.at.web, payload: 'atomic' }), 0, 14, 7, false),
    ),
    from(
      'orders-1',
      piece6(
        udp6({ source: ipv6.at.orders1, destination: ipv6.at.web, payload: 'x'.repeat(100) }),
        48,
        108,
        7,
      ),
    ),
  ],
  expect: { delivered: { web: 3 }, flows: 1 },
})

scenario('the headers of a first fragment must be in it whole (RFC 7112)', {
  given: small,
  send: [
    from(
      'orders-1',
      piece6(
        udp6({
          source: ipv6.at.orders1,
          destination: ipv6.at.web,
          extensions: [{ header: 60, body: new Uint8Array(30) }],
          payload: 'x'.repeat(99),
        }),
        0,
        24,
        7,
      ),
    ),
  ],
  expect: { delivered: { 'orders-1': 1 }, drops: { truncated: 1 } },
  look(t, [{ frame }]) {
    t.match(read(frame), { source: ipv6.at.insideRouter, type: 4, code: 3 })
  },
})

t.test(
  'environments with the same identifications towards one host are not mixed up behind their ENI (RFC 4963)',
  async t => {
    const net = new Net(small)
    const payloads = new Set<string>()
    for (let id = 0; id < 400; id++)
      for (const [place, source] of [
        ['orders-1', ipv4.at.orders1],
        ['orders-2', ipv4.at.orders2],
      ] as const)
        for (const dontFragment of [false, true]) {
          const payload = `${place} ${id} ${dontFragment}`.padEnd(64, '.')
          payloads.add(payload)
          const pieces = fragments4(
            udp4({ source, destination: ipv4.at.web, identification: id, payload }),
            40,
          )
          // Some stacks set DF on fragments, too: that makes no identification of theirs unique.
          for (const piece of pieces) net.send(place, dontFragment ? withDontFragment(piece) : piece)
        }
    const byIdentification = new Map<number, Uint8Array[]>()
    for (const frame of framesOf(net.arrivals)) {
      const { identification } = read(frame)
      byIdentification.set(identification, [...(byIdentification.get(identification) ?? []), frame])
    }
    t.equal(byIdentification.size, payloads.size)
    const texts = [...byIdentification.values()].map(frames =>
      Buffer.from(read(joined(frames)).payload).toString(),
    )
    t.same(
      texts.filter(text => !payloads.has(text)),
      [],
      'nothing is mixed up',
    )
    sound(t, net)
  },
)

/** A fragment with DF set, its header's checksum right. */
function withDontFragment(piece: Uint8Array): Uint8Array {
  const { source, destination, protocol, identification, hops } = read(piece)
  const fragment = 0x4000 | (piece[6] << 8) | piece[7]
  return packet4(protocol, piece.subarray(20), { source, destination, identification, ttl: hops }, fragment)
}

t.test('the pieces of a datagram that is handed over are handed over or lost together', async t => {
  for (const room of [0, 1, 2, 3]) {
    const net = new Net(small, { shards: 2, room })
    let handed = 0
    for (let port = 7000; port < 7020; port++) {
      const before = net.counter('HandedOver')
      const whole = udp4({
        source: ipv4.at.orders1,
        destination: ipv4.at.web,
        dontFragment: false,
        sourcePort: port,
        identification: port,
        payload: 'x'.repeat(100),
      })
      for (const piece of fragments4(whole, 48)) net.send('orders-1', piece)
      if (net.counter('HandedOver') > before) handed++
    }
    const { 'hand-over-full': full = 0, ...rest } = net.drops()
    t.same(rest, {}, `room for ${room}`)
    if (room === 3) t.ok(handed > 0 && full === 0, `${handed} datagrams were handed over`)
    else t.ok(full > 0, `${full} pieces found no room`)
    net.wait(31)
    sound(t, net)
  }
})

scenario('an error in fragments is put right like any other', {
  given: small,
  send: [
    from('orders-1', udp4({ source: ipv4.at.orders1, destination: ipv4.at.web, payload: 'x'.repeat(400) })),
    net => {
      const { source, destination } = read(last(net, 'web'))
      const whole = icmp4({
        source: destination,
        destination: source,
        type: 3,
        code: 3,
        identifier: 0,
        sequence: 0,
        payload: last(net, 'web'),
        dontFragment: false,
      })
      for (const piece of fragments4(whole, 200)) net.send('web', piece)
    },
    from('orders-1', tcp4({ source: ipv4.at.orders1, destination: ipv4.at.web })),
    net => {
      const whole = icmp6({
        source: ipv6.at.web,
        destination: ipv6.at.eni,
        type: 1,
        code: 4,
        payload: 'no such packet at all, or anything like it',
      })
      for (const piece of fragments6(whole, 24)) net.send('web', piece)
    },
  ],
  expect: { delivered: { web: 2, 'orders-1': 3 }, drops: { 'icmp-inner-mismatch': 3 } },
  look(t, arrivals) {
    const back = joined(framesOf(arrivals.filter(({ to }) => to === 'orders-1')))
    t.same(verifyFrame(back), [])
  },
})

scenario('an answer to a fragment that was the first of its flow', {
  given: small,
  send: [
    ...fragments4(
      udp4({
        source: ipv4.at.orders1,
        destination: ipv4.at.web,
        dontFragment: false,
        payload: 'x'.repeat(100),
      }),
      48,
    )
      .reverse()
      .map(frame => from('orders-1', frame)),
    net => void net.send('web', reply(net.arrivals[0].frame)),
    answer('orders-1'),
  ],
  expect: { delivered: { web: 4, 'orders-1': 1 }, flows: 1 },
})
