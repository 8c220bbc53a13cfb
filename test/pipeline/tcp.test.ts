/** Connections through the pipeline: reopened, reset, opened from both sides, attacked; and always translated. */
import t from 'tap'
import { tcpStateName, tcpStateOf } from '../../src/nat/tcp-states.ts'
import { STATE } from '../../src/tables/flows.ts'
import { type Family, families, ipv4, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { answer, from, last, type Step, scenario, sound, wait } from './scenario.ts'

/** The segments of one connection of orders-1 to web. */
const segments = ({ at, tcp }: Family) => {
  const send = (of: Parameters<typeof tcp>[0]): Step =>
    from('orders-1', tcp({ source: at.orders1, destination: at.web, ...of }))
  return {
    send,
    syn: send({ flags: 'S', sequence: 99 }),
    open: [
      send({ flags: 'S', sequence: 99 }),
      answer('web'),
      send({ flags: 'A', sequence: 100, acknowledgment: 5001 }),
    ],
    close: [
      send({ flags: 'FA', sequence: 100, acknowledgment: 5001 }),
      answer('web', { flags: 'FA', sequence: 5001, acknowledgment: 101 }),
      send({ flags: 'A', sequence: 101, acknowledgment: 5002 }),
    ],
  }
}

const stateOf = (net: Net): string => tcpStateName[tcpStateOf(net.shards[0].pipeline.core.flows.hot[STATE])]
const isIn =
  (state: string): Step =>
  (net, t) =>
    void t.equal(stateOf(net), state)

for (const family of families) {
  const { name, at, tcp } = family
  const { send, syn, open, close } = segments(family)

  scenario(`${name}: the states of a connection, from its beginning to its end`, {
    given: small,
    send: [
      syn,
      isIn('syn-sent'),
      answer('web'),
      isIn('syn-received'),
      send({ flags: 'A', sequence: 100, acknowledgment: 5001 }),
      isIn('established'),
      close[0],
      isIn('fin-wait'),
      close[1],
      isIn('closing'),
      close[2],
      isIn('time-wait'),
    ],
    expect: { delivered: { web: 4, 'orders-1': 2 }, flows: 1 },
  })

  const portsOf = (net: Net) =>
    net.arrivals
      .filter(({ to, frame }) => to === 'web' && read(frame).flags === 'S')
      .map(({ frame }) => read(frame).sourcePort)

  scenario(`${name}: a new SYN on a tuple that is over begins anew, at once and on another port (T-10)`, {
    given: small,
    send: [...open, ...close, send({ flags: 'S', sequence: 70_000 }), isIn('syn-sent'), answer('web')],
    expect: { delivered: { web: 5, 'orders-1': 3 }, flows: 1, counters: { FlowsAdmitted: 2, FlowsEnded: 1 } },
    look(t, _, net) {
      const [first, second] = portsOf(net)
      t.not(first, second, 'the far end may be in TIME-WAIT on the old one')
    },
  })

  scenario(`${name}: after a reset too, from either side`, {
    given: small,
    send: [
      ...open,
      send({ flags: 'RA', sequence: 100, acknowledgment: 5001 }),
      isIn('closed'),
      send({ flags: 'S', sequence: 300 }),
      answer('web', { flags: 'RA', sequence: 0, acknowledgment: 301 }),
      isIn('closed'),
      send({ flags: 'S', sequence: 400 }),
      isIn('syn-sent'),
    ],
    expect: { delivered: { web: 5, 'orders-1': 2 }, flows: 1, counters: { FlowsAdmitted: 3 } },
  })

  scenario(
    `${name}: a SYN into a living connection is passed, changes nothing, and the challenge comes back (RFC 5961)`,
    {
      given: small,
      send: [
        ...open,
        send({ flags: 'S', sequence: 900_000 }),
        isIn('established'),
        answer('web', { flags: 'A', sequence: 5001, acknowledgment: 100 }),
        send({ flags: 'R', sequence: 100 }),
        isIn('closed'),
        send({ flags: 'S', sequence: 900_001 }),
        isIn('syn-sent'),
      ],
      expect: { delivered: { web: 5, 'orders-1': 2 }, flows: 1 },
      look(t, _, net) {
        t.equal(new Set(portsOf(net).slice(0, 2)).size, 1)
      },
    },
  )

  scenario(
    `${name}: of a blind attacker's segments none ends a connection, and none is dropped either (S24)`,
    {
      given: small,
      send: [
        ...open,
        ...[5000, 5002, 5001 + 70_000, 2 ** 31].map(sequence => answer('web', { flags: 'R', sequence })),
        answer('web', { flags: 'S', sequence: 1 }),
        answer('web', { flags: 'A', sequence: 3_000_000_000, acknowledgment: 1, payload: 'evil' }),
        isIn('established'),
        answer('web', { flags: 'R', sequence: 5001 }),
        isIn('closed'),
      ],
      expect: { delivered: { web: 2, 'orders-1': 8 }, flows: 1 },
    },
  )

  scenario(`${name}: both ends begin at once (RFC 5382 REQ-2 a)`, {
    given: small,
    send: [
      syn,
      answer('web', { flags: 'S', sequence: 5000, acknowledgment: 0 }),
      send({ flags: 'SA', sequence: 99, acknowledgment: 5001 }),
      answer('web', { flags: 'SA', sequence: 5000, acknowledgment: 100 }),
      isIn('established'),
    ],
    expect: { delivered: { web: 2, 'orders-1': 2 }, flows: 1 },
  })

  scenario(`${name}: both ends end at once, and the port is free once`, {
    given: small,
    send: [
      ...open,
      send({ flags: 'FA', sequence: 100, acknowledgment: 5001 }),
      answer('web', { flags: 'FA', sequence: 5001, acknowledgment: 100 }),
      send({ flags: 'A', sequence: 101, acknowledgment: 5002 }),
      answer('web', { flags: 'A', sequence: 5002, acknowledgment: 101 }),
      isIn('time-wait'),
      wait(242),
    ],
    expect: { delivered: { web: 4, 'orders-1': 3 }, flows: 0 },
    look(t, _, net) {
      t.equal(net.eni('orders').ports.leased(0) + net.eni('orders').ports.leased(3), 0)
    },
  })

  scenario(`${name}: retransmissions, keep-alives, zero windows and urgent data pass`, {
    given: small,
    send: [
      ...open,
      send({ flags: 'PA', sequence: 100, acknowledgment: 5001, payload: 'data' }),
      send({ flags: 'PA', sequence: 100, acknowledgment: 5001, payload: 'data' }),
      answer('web', { flags: 'A', sequence: 5001, acknowledgment: 104, window: 0 }),
      send({ flags: 'A', sequence: 103, acknowledgment: 5001, payload: 'x' }),
      send({ flags: 'A', sequence: 103, acknowledgment: 5001 }),
      answer('web', { flags: 'A', sequence: 5001, acknowledgment: 104, window: 9000 }),
      send({ flags: 'PAU', sequence: 104, acknowledgment: 5001, payload: '!' }),
    ],
    expect: { delivered: { web: 7, 'orders-1': 3 }, flows: 1, counters: { OutOfWindow: 0 } },
  })

  scenario(`${name}: sequence numbers may wrap`, {
    given: small,
    send: [
      send({ flags: 'S', sequence: 2 ** 32 - 10 }),
      answer('web', { sequence: 2 ** 32 - 3 }),
      send({ flags: 'A', sequence: 2 ** 32 - 9, acknowledgment: 2 ** 32 - 2 }),
      ...Array.from({ length: 20 }, (_, i) =>
        send({
          flags: 'PA',
          sequence: (2 ** 32 - 9 + i * 1000) % 2 ** 32,
          acknowledgment: 2 ** 32 - 2,
          payload: 'x'.repeat(1000),
        }),
      ),
      isIn('established'),
    ],
    expect: { delivered: { web: 22, 'orders-1': 1 }, counters: { OutOfWindow: 0 } },
  })

  scenario(`${name}: between hosts a connection is begun anew by who began it, or by the other`, {
    given: small,
    send: [
      from('web', tcp({ source: at.web, destination: at.db, sourcePort: 7000, flags: 'S', sequence: 99 })),
      answer('db', { flags: 'RA', sequence: 0, acknowledgment: 100 }),
      from('web', tcp({ source: at.web, destination: at.db, sourcePort: 7000, flags: 'S', sequence: 300 })),
      answer('db', { flags: 'RA', sequence: 0, acknowledgment: 301 }),
      from(
        'db',
        tcp({
          source: at.db,
          destination: at.web,
          sourcePort: 80,
          destinationPort: 7000,
          flags: 'S',
          sequence: 77,
        }),
      ),
      answer('web'),
    ],
    expect: { delivered: { web: 3, db: 3 }, flows: 1, counters: { FlowsAdmitted: 3 } },
  })
}

t.test('a connection that is opened and closed for ever uses one record and one port at a time', async t => {
  const net = new Net(small, { flows: 4 })
  const { send, open, close } = segments(ipv4)
  const ports = new Set<number>()
  for (let i = 0; i < 300; i++) {
    for (const step of [...open, ...close]) step(net, t)
    ports.add(read(last(net, 'web')).sourcePort)
    net.arrivals.length = 0
  }
  send({ flags: 'S', sequence: 1 })(net, t)
  t.equal(net.flows, 1)
  t.equal(ports.size, 300, 'each time another port: the one that rested longest')
  t.same(net.drops(), {})
  sound(t, net)
})

t.test('a picked-up connection that goes on is established; one that is only guessed at expires', async t => {
  const { at, tcp } = ipv4
  const net = new Net(labOf({ daemon: 'tcpPickup: true' }))
  const to = { source: at.orders1, destination: at.web }
  net.send('orders-1', tcp({ ...to, flags: 'A', sequence: 1000, acknowledgment: 2000 }))
  t.equal(stateOf(net), 'picked-up')
  net.send('orders-1', tcp({ ...to, sourcePort: 1, flags: 'FA', sequence: 1000, acknowledgment: 2000 }))
  net.send(
    'web',
    reply(net.arrivals[0].frame, { flags: 'PA', sequence: 2000, acknowledgment: 1000, payload: 'yes' }),
  )
  t.equal(stateOf(net), 'established')
  net.wait(242)
  t.equal(net.flows, 1)
  sound(t, net)
})
