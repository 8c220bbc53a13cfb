/** What nobody asked for: it goes nowhere, makes nothing, answers nothing, and is counted as what it is. */
import t from 'tap'
import { packet4, packet6, tcp4 } from '../wire/build.ts'
import { families, ipv4, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { error, read, reply } from './packets.ts'
import { answer, from, last, scenario, sound, times } from './scenario.ts'

const LETTERS = 'FSRPAU'
/** All 64 sets of the six flags, as letters. */
const flagSets = Array.from({ length: 64 }, (_, set) =>
  [...LETTERS].filter((_, bit) => (set >>> bit) & 1).join(''),
)

/** The 64 sets that a segment may have: one of SYN, RST and ACK at least, and no two of SYN, RST and FIN. */
const isLegal = (set: string): boolean =>
  /[SRA]/.test(set) &&
  [...set].filter(letter => 'SRF'.includes(letter)).length <= 1 &&
  (!set.includes('F') || set.includes('A'))

for (const { name, at, tcp, udp, echo, isIpv6 } of families) {
  for (const shards of [1, 2]) {
    t.test(
      `${name}, ${shards} shards: segments of every set of flags, to dead and to living ports`,
      async t => {
        const net = new Net(small, { shards })
        net.send('orders-1', tcp({ source: at.orders1, destination: at.web }))
        const live = read(last(net, 'web')).sourcePort
        const dead = live === 30_000 ? 30_001 : 30_000
        let illegal = 0
        let unasked = 0
        for (const flags of flagSets) {
          const legal = isLegal(flags)
          // To a port that nobody holds; to the living one, by another port of its peer, and by another host.
          for (const [host, of] of [
            ['web', { source: at.web, sourcePort: 80, destinationPort: dead }],
            ['web', { source: at.web, sourcePort: 81, destinationPort: live }],
            ['db', { source: at.db, sourcePort: 80, destinationPort: live }],
          ] as const) {
            net.send(host, tcp({ destination: at.eni, flags, ...of }))
            if (legal) unasked++
            else illegal++
          }
        }
        t.same(net.drops(), { unsolicited: unasked, 'bad-tcp-flags': illegal })
        t.equal(net.arrivals.length, 1, 'silence')
        t.equal(net.flows, 1)
        t.equal(net.counter('FlowsAdmitted'), 1)
        t.equal(net.counter('ErrorsSent'), 0)
        sound(t, net)
      },
    )
  }

  scenario(`${name}: datagrams to a dead port, by a wrong port, by a wrong host, of another protocol`, {
    given: small,
    send: [
      from('orders-1', udp({ source: at.orders1, destination: at.web, destinationPort: 53 })),
      from('web', udp({ source: at.web, destination: at.eni, sourcePort: 53, destinationPort: 999 })),
      from('web', net =>
        udp({
          source: at.web,
          destination: at.eni,
          sourcePort: 54,
          destinationPort: read(last(net, 'web')).sourcePort,
        }),
      ),
      from('db', net =>
        udp({
          source: at.db,
          destination: at.eni,
          sourcePort: 53,
          destinationPort: read(last(net, 'web')).sourcePort,
        }),
      ),
      from('web', net =>
        tcp({
          source: at.web,
          destination: at.eni,
          sourcePort: 53,
          destinationPort: read(last(net, 'web')).sourcePort,
        }),
      ),
      answer('web'),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { unsolicited: 4 }, flows: 1 },
  })

  scenario(`${name}: pings, to any identifier and to that of a ping of a function`, {
    given: small,
    send: [
      from('web', echo({ source: at.web, destination: at.eni, identifier: 1 })),
      from('orders-1', echo({ source: at.orders1, destination: at.web, identifier: 5 })),
      // The function asked; that lets in answers, and no questions.
      from('web', net =>
        echo({ source: at.web, destination: at.eni, identifier: read(last(net, 'web')).sourcePort }),
      ),
      from('db', net =>
        echo({
          source: at.db,
          destination: at.eni,
          type: isIpv6 ? 129 : 0,
          identifier: read(last(net, 'web')).sourcePort,
        }),
      ),
      answer('web'),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { unsolicited: 3 }, flows: 1 },
  })

  scenario(`${name}: an error about a packet that nobody sent`, {
    given: small,
    send: [
      from('web', error(udp({ source: at.eni, destination: at.web, sourcePort: 5555 }))),
      from('web', error(tcp({ source: at.eni, destination: at.web, sourcePort: 5555 }))),
    ],
    expect: { drops: { 'icmp-no-match': 2 }, flows: 0 },
  })

  scenario(`${name}: a SYN flood from the VPC takes no memory`, {
    given: small,
    send: [
      times(3000, net => {
        const port = 1024 + (net.counter('FramesIn') % 60_000)
        net.send('web', tcp({ source: at.web, destination: at.eni, sourcePort: port, destinationPort: port }))
      }),
    ],
    expect: { drops: { unsolicited: 3000 }, flows: 0, counters: { FlowsAdmitted: 0 } },
  })

  scenario(`${name}: a host that talks to a function's inside address finds no such place`, {
    given: small,
    send: [from('web', udp({ source: at.web, destination: at.orders1 }))],
    expect: { delivered: { web: 1 }, drops: { 'no-route': 1 } },
  })

  scenario(`${name}: after a flow has ended, its port is dead`, {
    given: small,
    send: [
      from('orders-1', udp({ source: at.orders1, destination: at.web })),
      net => net.wait(302),
      answer('web'),
    ],
    expect: { delivered: { web: 1 }, drops: { unsolicited: 1 }, flows: 0 },
  })

  t.test(`${name}: a reply to another ENI than the flow's is nobody's`, async t => {
    const net = new Net(
      labOf({
        groups: '    other: {}',
        functions: '  pay: { subnets: [app], securityGroups: [other], ipv6: true }',
      }),
    )
    const [mine, other] = ['orders', 'pay'].map(of => net.eni(of)[isIpv6 ? 'ipv6Address' : 'address'])
    t.not(mine, other)
    net.send('orders-1', udp({ source: at.orders1, destination: at.web }))
    const { source, sourcePort } = read(last(net, 'web'))
    t.equal(source, mine)
    net.send('web', udp({ source: at.web, destination: other, sourcePort: 80, destinationPort: sourcePort }))
    t.same(net.drops(), { unsolicited: 1 })
    sound(t, net)
  })
}

scenario('protocols without ports to the ENI', {
  given: small,
  send: [132, 47, 2].flatMap(protocol => [
    from('web', packet4(protocol, new Uint8Array(20), { source: '10.0.1.20', destination: '10.0.1.4' })),
    from(
      'web',
      packet6(protocol, new Uint8Array(20), { source: 'fd00:0:0:1::14', destination: 'fd00:0:0:1::4' }),
    ),
  ]),
  expect: { drops: { 'protocol-unsupported': 6 }, flows: 0 },
})

t.test(
  'an unasked SYN is dropped silently also where the function calls the same host a moment later (RFC 5382 REQ-4)',
  async t => {
    const { at } = ipv4
    const net = new Net(small)
    net.send('web', tcp4({ source: at.web, destination: at.eni, sourcePort: 80, destinationPort: 2222 }))
    net.wait(3)
    net.send('orders-1', tcp4({ source: at.orders1, destination: at.web }))
    net.send('web', reply(last(net, 'web')))
    net.wait(30)
    t.same(net.drops(), { unsolicited: 1 })
    t.same(
      net.arrivals.map(({ to }) => to),
      ['web', 'orders-1'],
    )
    sound(t, net)
  },
)
