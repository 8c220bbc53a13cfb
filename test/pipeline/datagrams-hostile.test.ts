/** Fragments as attackers send them: alone, overlapping, tiny, endless. Nothing of them gets out, and nobody else is hurt. */
import t from 'tap'
import { MAX_DATAGRAMS } from '../../src/nat/fragments.ts'
import { packet4, piece4, piece6, udp4, udp6 } from '../wire/build.ts'
import { families, ipv4, ipv6, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { fragmentsOf } from './packets.ts'
import { from, scenario, sound, wait } from './scenario.ts'

for (const { name, at, udp, tcp, isIpv6 } of families) {
  const to = { source: at.orders1, destination: at.web }
  const dontFragment = false
  const whole = udp({ ...to, dontFragment, payload: 'x'.repeat(100) })
  const piece = (begin: number, end: number, more?: boolean, of = whole) =>
    isIpv6 ? piece6(of, begin, end, 9, more) : piece4(of, begin, end, more)

  scenario(`${name}: a later fragment alone makes no flow, and is given up after half a minute`, {
    given: small,
    send: [
      from('orders-1', piece(64, 108)),
      (net, t) => void t.equal(net.counter('Held'), 1),
      wait(29),
      (net, t) => void t.equal(net.counter('Held'), 1),
      wait(2),
    ],
    expect: { drops: { 'fragment-no-first': 1 }, flows: 0, counters: { Held: 0, FlowsAdmitted: 0 } },
  })

  scenario(`${name}: fragments of what nobody asked for`, {
    given: small,
    send: fragmentsOf(
      udp({ source: at.web, destination: at.eni, dontFragment, payload: 'x'.repeat(99) }),
      48,
    ).map(frame => from('web', frame)),
    expect: { drops: { unsolicited: 3 }, flows: 0 },
  })

  scenario(`${name}: rules are not dodged: what the first fragment may not, the others may not`, {
    given: labOf({ web: `{ protocol: udp, ports: 53, from: [${isIpv6 ? '"::/0"' : '0.0.0.0/0'}] }` }),
    send: fragmentsOf(whole, 48).map(frame => from('orders-1', frame)),
    expect: { drops: { 'security-group-ingress': 3 }, flows: 0 },
  })

  const overlaps: [what: string, pieces: Uint8Array[], drops: Record<string, number>][] = [
    ['over the head', [piece(0, 48), piece(40, 108)], { 'fragment-overlap': 2 }],
    ['over the tail', [piece(40, 108), piece(0, 48)], { 'fragment-overlap': 2 }],
    ['inside another', [piece(0, 104), piece(16, 24)], { 'fragment-overlap': 2 }],
    ['around another', [piece(16, 24), piece(8, 104)], { 'fragment-overlap': 2 }],
    [
      'of other bytes in the same place',
      [piece(0, 48), piece(0, 48, true, udp({ ...to, dontFragment, payload: 'y'.repeat(100) }))],
      { 'fragment-overlap': 2 },
    ],
    [
      'of a last one that ends earlier',
      [piece(0, 48), piece(64, 108), piece(48, 56, false)],
      { 'fragment-overlap': 3 },
    ],
    ['of what lies behind the end', [piece(48, 56, false), piece(64, 72, true)], { 'fragment-overlap': 2 }],
    [
      'and the rest of it comes too late',
      [piece(0, 48), piece(40, 56), piece(48, 108)],
      { 'fragment-overlap': 3 },
    ],
  ]
  for (const [what, pieces, drops] of overlaps)
    scenario(`${name}: an overlap ${what} loses the whole datagram (RFC 5722)`, {
      given: small,
      send: pieces.map(frame => from('orders-1', frame)),
      expect: { drops, flows: 0, counters: { Held: 0 } },
    })

  scenario(`${name}: after an overlap the identification may be used again, in time`, {
    given: small,
    send: [
      from('orders-1', piece(0, 48)),
      from('orders-1', piece(40, 108)),
      wait(31),
      ...[piece(0, 48), piece(48, 108)].map(frame => from('orders-1', frame)),
    ],
    expect: { delivered: { web: 2 }, drops: { 'fragment-overlap': 2 } },
  })

  scenario(`${name}: the same fragment once more is dropped alone`, {
    given: small,
    send: [piece(0, 48), piece(0, 48), piece(48, 108)].map(frame => from('orders-1', frame)),
    expect: { delivered: { web: 2 }, drops: { 'fragment-overlap': 1 } },
  })

  scenario(`${name}: fragments of other senders and identifications do not mix`, {
    given: small,
    send: [
      from('orders-1', piece(0, 48)),
      from(
        'orders-2',
        piece(
          48,
          108,
          false,
          udp({ source: at.orders2, destination: at.web, dontFragment, payload: 'y'.repeat(100) }),
        ),
      ),
      from('orders-2', piece(48, 108)),
    ],
    expect: { counters: { Held: 3 } },
  })

  scenario(`${name}: lengths that cannot be`, {
    given: small,
    send: [piece(0, 45, true), piece(40, 40, true)].map(frame => from('orders-1', frame)),
    expect: { drops: { 'fragment-bad-length': 2 } },
  })

  const connection = tcp({ ...to, dontFragment, payload: 'x'.repeat(100) })
  scenario(`${name}: fragments too small for what decides about them (RFC 1858, RFC 3128)`, {
    given: small,
    send: [
      piece(0, 8, true, connection),
      piece(0, 16, true, connection),
      piece(8, 48, true, connection),
      piece(16, 48, true, connection),
    ].map(frame => from('orders-1', frame)),
    expect: { drops: { 'fragment-tiny': 4 }, flows: 0 },
  })

  scenario(`${name}: more than a packet can hold (ping of death)`, {
    given: small,
    send: [from('orders-1', hugeTail(isIpv6, 65528, 64))],
    expect: { drops: { 'fragment-too-big': 1 } },
  })

  t.test(
    `${name}: a flood of orphans does not hurt whole packets, nor other senders' fragments (RFC 4787 REQ-14 a)`,
    async t => {
      const net = new Net(small, { slots: 96 })
      let delivered = 0
      for (let i = 0; i < 3000; i++) {
        net.send(
          'orders-1',
          isIpv6
            ? piece6(whole, 64, 108, i)
            : piece4(
                udp4({
                  source: at.orders1,
                  destination: at.web,
                  identification: i & 0xffff,
                  payload: 'x'.repeat(100),
                }),
                64,
                108,
              ),
        )
        if (i % 100 !== 0) continue
        delivered += net.send('orders-2', udp({ source: at.orders2, destination: at.web })).length
        const other = udp({ source: at.orders2, destination: at.web, dontFragment, payload: 'y'.repeat(100) })
        for (const frame of fragmentsOf(other, 64, i)) delivered += net.send('orders-2', frame).length
      }
      t.equal(delivered, 30 * 3)
      const held = net.counter('Held')
      t.ok(held <= MAX_DATAGRAMS / 8, `${held} are held of one sender`)
      t.same(net.drops(), { 'fragment-table-full': 3000 - held })
      net.wait(31)
      t.equal(net.counter('Held'), 0)
      sound(t, net)
    },
  )

  t.test(`${name}: there are slots for the pieces of a datagram, or it is lost as one`, async t => {
    const net = new Net(small, { slots: 4 })
    const pieces = fragmentsOf(udp({ ...to, dontFragment, payload: 'x'.repeat(200) }), 40)
    t.ok(pieces.length > 4)
    for (const frame of pieces) net.send('orders-1', frame)
    t.same(net.drops(), { 'slots-exhausted': pieces.length })
    t.equal(net.arrivals.length, 0)
    sound(t, net)
  })
}

/** A fragment that lies behind the end of everything. */
function hugeTail(isIpv6: boolean, offset: number, length: number): Uint8Array {
  if (!isIpv6)
    return packet4(
      17,
      new Uint8Array(length),
      { source: ipv4.at.orders1, destination: ipv4.at.web },
      offset / 8,
    )
  const frame = piece6(
    udp6({ source: ipv6.at.orders1, destination: ipv6.at.web, payload: new Uint8Array(length) }),
    0,
    length,
    5,
  )
  frame.set([offset >>> 8, offset & 0xff], 42)
  return frame
}
