/** How long flows live: every class of both profiles, what renews them and what does not. */
import t from 'tap'
import { type ProfileName, profileNames, type TimeoutKey, timeoutKeys } from '../../src/nat/timeouts.ts'
import { type Family, families, ipv4, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { error, read, reply } from './packets.ts'
import { answer, apply, from, last, type Step, scenario, sound, wait } from './scenario.ts'

/**
 * The documented seconds, written here once more. RFC 4787 REQ-5 c, RFC 5382 REQ-5, RFC 7857 section 2.2, RFC 5508 REQ-2; EC2's
 * UdpTimeout and UdpStreamTimeout, NAT gateway's idle timeout.
 */
const documented: Record<ProfileName, Record<TimeoutKey, number>> = {
  rfc: {
    udpOneway: 300,
    udpStream: 300,
    tcpOpening: 240,
    tcpEstablished: 7440,
    tcpClosing: 240,
    tcpClosed: 240,
    icmp: 60,
  },
  aws: {
    udpOneway: 30,
    udpStream: 180,
    tcpOpening: 60,
    tcpEstablished: 350,
    tcpClosing: 60,
    tcpClosed: 60,
    icmp: 60,
  },
}

/** What brings a flow of `orders-1` to `web` into each class. */
function into(timeout: TimeoutKey, { at, tcp, udp, echo }: Family): Step[] {
  const to = { source: at.orders1, destination: at.web }
  const handshake = [
    from('orders-1', tcp({ ...to, flags: 'S', sequence: 99 })),
    answer('web'),
    from('orders-1', tcp({ ...to, flags: 'A', sequence: 100, acknowledgment: 5001 })),
  ]
  const fin = from('orders-1', tcp({ ...to, flags: 'FA', sequence: 100, acknowledgment: 5001 }))
  switch (timeout) {
    case 'udpOneway':
      return [from('orders-1', udp(to))]
    case 'udpStream':
      return [from('orders-1', udp(to)), answer('web')]
    case 'tcpOpening':
      return [from('orders-1', tcp(to)), answer('web')]
    case 'tcpEstablished':
      return handshake
    case 'tcpClosing':
      return [...handshake, fin, answer('web', { flags: 'FA', acknowledgment: 100 })]
    case 'tcpClosed':
      return [
        ...handshake,
        from('orders-1', tcp({ ...to, flags: 'RA', sequence: 100, acknowledgment: 5001 })),
      ]
    case 'icmp':
      return [from('orders-1', echo(to)), answer('web')]
  }
}

for (const family of families)
  for (const profile of profileNames)
    for (const timeout of Object.keys(timeoutKeys) as TimeoutKey[])
      t.test(
        `${family.name}, profile ${profile}: ${timeout} lives for its time, and a second or two longer at most`,
        async t => {
          const seconds = documented[profile][timeout]
          const net = new Net(labOf({ daemon: `profile: ${profile}` }))
          for (const step of into(timeout, family)) step(net, t)
          const { lru } = net.shards[0].pipeline.core
          t.equal(lru.counts.filter(count => count > 0).length, 1)
          t.equal(lru.counts.findIndex(count => count > 0) % 8, timeoutKeys[timeout], 'it is in its class')
          net.wait(seconds)
          t.equal(net.flows, 1, `it lives after ${seconds} s`)
          net.wait(2)
          t.equal(net.flows, 0)
          t.equal(net.eni('orders').ports.leased(0) + net.eni('orders').ports.leased(1), 0)
          sound(t, net)
        },
      )

scenario('a file may set the time of a class', {
  given: labOf({ daemon: 'timeouts: { udpOneway: 7 }' }),
  send: [...into('udpOneway', ipv4), wait(7), (net, t) => void t.equal(net.flows, 1), wait(2)],
  expect: { delivered: { web: 1 }, flows: 0 },
})

scenario('a file that is applied changes the time of flows there are', {
  given: small,
  send: [
    ...into('udpOneway', ipv4),
    wait(100),
    apply(labOf({ daemon: 'timeouts: { udpOneway: 60 }' })),
    wait(1),
  ],
  expect: { delivered: { web: 1 }, flows: 0 },
})

for (const family of families) {
  const { name, at, tcp, udp, echo } = family
  const to = { source: at.orders1, destination: at.web }
  const tail = from('orders-1', udp(to))

  scenario(`${name}: what a function sends keeps its flow (RFC 4787 REQ-6)`, {
    given: small,
    send: [tail, ...[1, 2, 3, 4, 5].flatMap(() => [wait(250), tail]), answer('web')],
    expect: { delivered: { web: 6, 'orders-1': 1 }, flows: 1, counters: { FlowsAdmitted: 1 } },
  })

  scenario(`${name}: what only its peer sends does not (REQ-6, the choice against an attacker)`, {
    given: small,
    send: [
      tail,
      answer('web'),
      ...[1, 2, 3].flatMap(() => [wait(90), answer('web')]),
      wait(33),
      answer('web'),
    ],
    expect: { delivered: { web: 1, 'orders-1': 4 }, drops: { unsolicited: 1 }, flows: 0 },
  })

  scenario(`${name}: answers alone do not keep a ping`, {
    given: small,
    send: [
      from('orders-1', echo(to)),
      ...[1, 2].flatMap(() => [wait(29), answer('web')]),
      wait(5),
      answer('web'),
    ],
    expect: { delivered: { web: 1, 'orders-1': 2 }, drops: { unsolicited: 1 }, flows: 0 },
  })

  scenario(`${name}: the peer of a connection does keep it: it is as much theirs`, {
    given: labOf({ daemon: 'profile: aws' }),
    send: [
      ...into('tcpEstablished', family),
      ...[0, 1, 2].flatMap(i => [
        wait(300),
        answer('web', { flags: 'PA', payload: 'x', sequence: 5001 + i, acknowledgment: 100 }),
      ]),
    ],
    expect: { delivered: { web: 2, 'orders-1': 4 }, flows: 1, counters: { OutOfWindow: 0 } },
  })

  scenario(`${name}: a SYN and a SYN-ACK that are repeated do not keep an opening for ever`, {
    given: small,
    send: [
      from('orders-1', tcp({ ...to, sequence: 99 })),
      answer('web'),
      ...[1, 2, 3, 4].flatMap(() => [
        wait(55),
        from('orders-1', tcp({ ...to, sequence: 99 })),
        answer('web'),
      ]),
      wait(23),
    ],
    expect: { delivered: { web: 5, 'orders-1': 5 }, flows: 0 },
  })

  scenario(`${name}: a stranger's segments out of window do not keep a connection`, {
    given: labOf({ daemon: 'profile: aws' }),
    send: [
      ...into('tcpEstablished', family),
      ...[1, 2, 3].flatMap(() => [
        wait(110),
        answer('web', { flags: 'A', sequence: 2_000_000_000, acknowledgment: 100 }),
      ]),
      wait(23),
    ],
    expect: { delivered: { web: 2, 'orders-1': 4 }, flows: 0, counters: { OutOfWindow: 3 } },
  })

  scenario(`${name}: errors neither keep a flow nor end it (RFC 5508 REQ-6, RFC 4787 REQ-12)`, {
    given: small,
    send: [
      tail,
      ...[1, 2, 3].flatMap(() => [wait(95), from('web', (net: Net) => error(last(net, 'web')))]),
      (net, t) => void t.equal(net.flows, 1),
      wait(17),
      from('web', net => error(last(net, 'web'))),
    ],
    expect: { delivered: { web: 1, 'orders-1': 3 }, drops: { 'icmp-no-match': 1 }, flows: 0 },
  })

  scenario(`${name}: no kind of error ends a connection (RFC 5382 REQ-10)`, {
    given: small,
    send: [
      ...into('tcpEstablished', family),
      ...Array.from({ length: 16 }, (_, code) =>
        from('web', (net: Net) => error(last(net, 'web'), { code, rest: 1400 })),
      ),
      answer('web', { flags: 'PA', payload: 'still here', sequence: 5001, acknowledgment: 100 }),
    ],
    expect: { delivered: { web: 2, 'orders-1': 18 }, flows: 1 },
    look(t, _, net) {
      net.wait(7000)
      t.equal(net.flows, 1)
    },
  })

  scenario(`${name}: a half-closed connection lives as an open one: the other side may be long about it`, {
    given: small,
    send: [
      ...into('tcpEstablished', family),
      from('orders-1', tcp({ ...to, flags: 'FA', sequence: 100, acknowledgment: 5001 })),
      wait(3600),
      answer('web', { flags: 'PA', payload: 'the last line', sequence: 5001, acknowledgment: 101 }),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, flows: 1 },
  })

  scenario(`${name}: after a reset a late segment still passes, for four minutes (RFC 7857 section 2.2)`, {
    given: small,
    send: [
      ...into('tcpClosed', family),
      wait(180),
      answer('web', { flags: 'A', sequence: 5001, acknowledgment: 100 }),
      wait(62),
      answer('web', { flags: 'A', sequence: 5001, acknowledgment: 100 }),
    ],
    expect: { delivered: { web: 3, 'orders-1': 2 }, drops: { unsolicited: 1 }, flows: 0 },
  })
}

t.test('thousands of flows that end together end over a few turns', async t => {
  const { at, udp } = ipv4
  const net = new Net(small, { flows: 4096 })
  for (let i = 0; i < 3000; i++)
    net.send('orders-1', udp({ source: at.orders1, destination: at.web, sourcePort: 2000 + i }))
  net.tick += 40_000
  net.expire(1)
  t.ok(net.flows > 2000, `one turn ends ${3000 - net.flows}`)
  net.expire(20)
  t.equal(net.flows, 0)
  t.equal(net.counter('FlowsEnded'), 3000)
  sound(t, net)
})

t.test('a flow that expired and was not ended yet does not come back to life as another', async t => {
  const { at, udp } = ipv4
  const net = new Net(small)
  net.send('orders-1', udp({ source: at.orders1, destination: at.web }))
  const { sourcePort } = read(last(net, 'web'))
  net.tick += 100_000
  net.send('orders-1', udp({ source: at.orders1, destination: at.web }))
  t.equal(read(last(net, 'web')).sourcePort, sourcePort, 'the same flow, renewed')
  net.expire(5)
  t.equal(net.flows, 1)
  net.send('web', reply(last(net, 'web')))
  t.equal(net.arrivals.length, 3)
  sound(t, net)
})
