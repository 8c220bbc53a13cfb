/** Frames of flows on their common way, both families: out through the ENI, back, and nothing else. */
import t from 'tap'
import { BYTES_IN, BYTES_OUT, PACKETS_IN, PACKETS_OUT } from '../../src/tables/flows.ts'
import { tcp4, udp4 } from '../wire/build.ts'
import { verifyFrame } from '../wire/verify.ts'
import { families, ipv4, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { answer, from, last, scenario, sound } from './scenario.ts'

/** The frame with a bit of its last byte turned over. */
const spoilt = (frame: Uint8Array): Uint8Array => frame.with(-1, frame[frame.length - 1] ^ 1)

for (const { name, at, tcp, udp, echo } of families) {
  const toWeb = { source: at.orders1, destination: at.web }
  for (const shards of [1, 2, 3]) {
    const where = `${name}, ${shards} shards`
    scenario(`${where}: a datagram leaves through the ENI, and its answer comes back`, {
      given: small,
      shards,
      send: [from('orders-1', udp({ ...toWeb, payload: 'question' })), answer('web', { payload: 'answer' })],
      expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
      look(t, [out, back]) {
        const question = read(out.frame)
        t.match(question, { source: at.eni, destination: at.web, destinationPort: 80, hops: 63 })
        t.ok(question.sourcePort >= 1024)
        t.equal(Buffer.from(question.payload).toString(), 'question')
        t.match(read(back.frame), {
          source: at.web,
          destination: at.orders1,
          sourcePort: 80,
          destinationPort: 40000,
          hops: 63,
        })
        t.equal(Buffer.from(read(back.frame).payload).toString(), 'answer')
      },
    })

    scenario(`${where}: a handshake, data both ways, and the end`, {
      given: small,
      shards,
      send: [
        from('orders-1', tcp({ ...toWeb, flags: 'S', sequence: 99 })),
        answer('web'),
        from('orders-1', tcp({ ...toWeb, flags: 'A', sequence: 100, acknowledgment: 5001 })),
        from(
          'orders-1',
          tcp({ ...toWeb, flags: 'PA', sequence: 100, acknowledgment: 5001, payload: 'GET /' }),
        ),
        answer('web', { payload: '200', flags: 'PA' }),
        from('orders-1', tcp({ ...toWeb, flags: 'FA', sequence: 105, acknowledgment: 5004 })),
        answer('web', { flags: 'FA' }),
        from('orders-1', tcp({ ...toWeb, flags: 'A', sequence: 106, acknowledgment: 5005 })),
      ],
      expect: {
        delivered: { web: 5, 'orders-1': 3 },
        flows: 1,
        counters: { OutOfWindow: 0, FlowsAdmitted: 1 },
      },
      look(t, arrivals) {
        const ports = new Set(
          arrivals.filter(({ to }) => to === 'web').map(({ frame }) => read(frame).sourcePort),
        )
        t.equal(ports.size, 1, 'one port for all of it')
      },
    })

    scenario(`${where}: a ping and its answer`, {
      given: small,
      shards,
      send: [
        from('orders-1', echo({ ...toWeb, identifier: 77, sequence: 5, payload: 'abc' })),
        answer('web'),
      ],
      expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
      look(t, [, back]) {
        t.match(read(back.frame), { source: at.web, destination: at.orders1, sourcePort: 77 })
      },
    })
  }
}

for (const { name, at, tcp, udp, isIpv6 } of families) {
  const toWeb = { source: at.orders1, destination: at.web }
  scenario(`${name}: two environments with equal ports share an ENI, and each gets its own answers`, {
    given: small,
    send: [
      from('orders-1', udp({ ...toWeb, payload: 'one' })),
      answer('web', { payload: 'for one' }),
      from('orders-2', udp({ source: at.orders2, destination: at.web, payload: 'two' })),
      answer('web', { payload: 'for two' }),
    ],
    expect: { delivered: { web: 2, 'orders-1': 1, 'orders-2': 1 }, flows: 2 },
    look(t, arrivals) {
      const [one, , two] = arrivals.map(({ frame }) => read(frame))
      t.equal(one.source, two.source)
      t.not(one.sourcePort, two.sourcePort)
      const payloads = arrivals.map(({ frame }) => Buffer.from(read(frame).payload).toString())
      t.same(payloads, ['one', 'for one', 'two', 'for two'])
    },
  })

  scenario(`${name}: TCP and UDP from one port are two flows`, {
    given: small,
    send: [
      from('orders-1', udp(toWeb)),
      from('orders-1', tcp(toWeb)),
      answer('web'),
      from('orders-1', udp(toWeb)),
    ],
    expect: { delivered: { web: 3, 'orders-1': 1 }, flows: 2 },
  })

  scenario(`${name}: DSCP, ECN and flow label are kept both ways`, {
    given: small,
    send: [
      from('orders-1', udp({ ...toWeb, service: 0xb9, trafficClass: 0xb9, flowLabel: 0xabcde })),
      answer('web', { service: 0x2a, trafficClass: 0x2a, flowLabel: 0x12345 } as object),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 } },
    look(t, [out, back]) {
      t.match(read(out.frame), { service: 0xb9, flowLabel: isIpv6 ? 0xabcde : 0 })
      t.match(read(back.frame), { service: 0x2a, flowLabel: isIpv6 ? 0x12345 : 0 })
    },
  })

  scenario(
    `${name}: payloads that name addresses are left alone: there are no application gateways (RFC 4787 REQ-10)`,
    {
      given: small,
      send: [
        from(
          'orders-1',
          udp({ ...toWeb, destinationPort: 5060, payload: 'Via: SIP/2.0/UDP 100.64.0.2:40000' }),
        ),
        answer('web', { payload: 'Contact: <sip:10.0.1.4>' }),
      ],
      expect: { delivered: { web: 1, 'orders-1': 1 } },
      look(t, [out, back]) {
        t.equal(Buffer.from(read(out.frame).payload).toString(), 'Via: SIP/2.0/UDP 100.64.0.2:40000')
        t.equal(Buffer.from(read(back.frame).payload).toString(), 'Contact: <sip:10.0.1.4>')
      },
    },
  )

  scenario(`${name}: a wrong transport checksum is passed on, as wrong as it was`, {
    given: small,
    send: [
      from('orders-1', spoilt(udp({ ...toWeb, payload: 'abcd' }))),
      from('orders-1', spoilt(tcp({ ...toWeb, payload: 'abcd' }))),
    ],
    expect: { delivered: { web: 2 } },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.match(verifyFrame(frame), [/^(udp|tcp) checksum$/])
    },
  })

  scenario(`${name}: a function that does not know IPv6 yet is not in the way of the other family`, {
    given: labOf({ orders: 'environments: 1, echo: true' }),
    send: [from('orders-1', udp(toWeb))],
    expect: isIpv6 ? { drops: { 'no-ipv6': 1 } } : { delivered: { web: 1 } },
  })
}

const toWeb4 = { source: ipv4.at.orders1, destination: ipv4.at.web }

scenario('UDP over IPv4 without a checksum stays without one, both ways', {
  given: small,
  send: [
    from('orders-1', udp4({ ...toWeb4, checksum: false, payload: 'x' })),
    answer('web', { checksum: false }),
  ],
  expect: { delivered: { web: 1, 'orders-1': 1 } },
  look(t, arrivals) {
    for (const { frame } of arrivals) t.equal(read(frame).checksum, 0)
  },
})

t.test('a UDP checksum that comes out as 0 is sent as ffff (RFC 768)', async t => {
  for (const { udp, at, name } of families) {
    const net = new Net(small)
    const toWeb = { source: at.orders1, destination: at.web }
    net.send('orders-1', udp({ ...toWeb, payload: Uint8Array.of(0, 0) }))
    // Two bytes that are added to the sum make the checksum of the next one whatever we want it to be.
    const { checksum } = read(net.arrivals[0].frame)
    const missing = Uint8Array.of(checksum >>> 8, checksum & 0xff)
    net.send('orders-1', udp({ ...toWeb, payload: missing }))
    t.equal(read(net.arrivals[1].frame).checksum, 0xffff, name)
  }
})

t.test('an answer to a ping that is all zeros has the checksum of zeros', async t => {
  for (const { at, echo } of families) {
    const net = new Net(small)
    net.send(
      'orders-1',
      echo({
        source: at.orders1,
        destination: at.web,
        identifier: 0,
        sequence: 0,
        payload: new Uint8Array(8),
      }),
    )
    const [back] = net.send('web', reply(last(net, 'web')))
    t.equal(read(back.frame).sourcePort, 0)
    t.same(verifyFrame(back.frame), [])
  }
})

/** Two functions behind devices of their own, whose environments have one address; and a host of the VPC has it too. */
const tenants = labOf({
  hosts: '  twin: { subnet: app, address: 10.0.1.99, securityGroups: [web] }',
  functions: `  one: { subnets: [app], securityGroups: [fn], address: 10.0.1.99 }
  two: { subnets: [app], securityGroups: [fn], address: 10.0.1.99 }`,
})

for (const shards of [1, 2]) {
  const to = { source: '10.0.1.99', destination: ipv4.at.web }
  scenario(
    `one inside address on two devices, and the same outside: every flow works (RFC 4787 REQ-7), ${shards} shards`,
    {
      given: tenants,
      shards,
      send: [
        from('one-1', udp4({ ...to, payload: 'one' })),
        answer('web', { payload: 'to one' }),
        from('two-1', udp4({ ...to, payload: 'two' })),
        answer('web', { payload: 'to two' }),
        from('one-1', tcp4(to)),
        from('two-1', tcp4(to)),
        answer('web'),
        from('one-1', udp4({ ...to, destination: '10.0.1.99', payload: 'to the twin' })),
      ],
      expect: { delivered: { web: 4, 'one-1': 1, 'two-1': 2, twin: 1 }, flows: 5 },
      look(t, arrivals) {
        const texts = arrivals.map(({ to, frame }) => `${to}: ${Buffer.from(read(frame).payload).toString()}`)
        t.same(texts.slice(0, 4), ['web: one', 'one-1: to one', 'web: two', 'two-1: to two'])
      },
    },
  )
}

scenario("an environment whose address is a remote end's too talks to others", {
  given: tenants,
  send: [
    from('orders-1', udp4({ source: ipv4.at.orders1, destination: '10.0.1.99', payload: 'hello' })),
    answer('twin', { payload: 'twin here' }),
  ],
  expect: { delivered: { twin: 1, 'orders-1': 1 } },
})

t.test('flow by flow, what went each way is counted', async t => {
  const net = new Net(small)
  net.send('orders-1', udp4({ ...toWeb4, payload: 'x'.repeat(72) }))
  net.send('orders-1', udp4({ ...toWeb4, payload: 'x'.repeat(72) }))
  net.send('web', reply(last(net, 'web'), { payload: 'y'.repeat(12) }))
  const { flows } = net.shards[0].pipeline.core
  t.same([flows.hot[PACKETS_OUT], flows.hot[PACKETS_IN]], [2, 1])
  t.same([flows.bytes[BYTES_OUT], flows.bytes[BYTES_IN]], [200, 40])
  t.equal(net.counter('BytesIn'), 240)
  t.equal(net.counter('BytesOut'), 240)
})

t.test('a burst is decided in its order, whatever kinds of frames are in it', async t => {
  const net = new Net(small)
  const frames = Array.from({ length: 64 }, (_, i) => {
    const of = { ...toWeb4, payload: `${i}`, identification: i }
    // Every third has options and takes the slow path; the fast ones around it must not overtake.
    return i % 3 === 0 ? udp4({ ...of, options: [1, 1, 1, 0] }) : udp4(of)
  })
  const arrivals = net.burst(frames.map(frame => ['orders-1', frame] as const))
  t.same(
    arrivals.map(({ frame }) => Buffer.from(read(frame).payload).toString()),
    frames.map((_, i) => `${i}`),
  )
  sound(t, net)
})

t.test('the clock may wrap: flows live and expire across 2^31 ticks', async t => {
  const net = new Net(small, { tick: 2 ** 31 - 500 })
  net.send('orders-1', udp4(toWeb4))
  net.wait(20)
  t.ok(net.tick < 0)
  net.send('web', reply(last(net, 'web')))
  t.equal(net.flows, 1)
  net.wait(299)
  t.equal(net.flows, 1)
  net.wait(3)
  t.equal(net.flows, 0)
  sound(t, net)
})
