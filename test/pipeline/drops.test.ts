/**
 * Every reason for a drop, reached one by one: the packet that has it is counted under it, once, and under nothing else.
 *
 * A reason that is missing here does not compile, and one that no packet can have says why.
 */
import t from 'tap'
import { Drop, dropName } from '../../src/tables/drops.ts'
import {
  fragments4,
  fragments6,
  icmp4,
  icmp6,
  packet4,
  packet6,
  piece4,
  tcp4,
  udp4,
  udp6,
} from '../wire/build.ts'
import { at, at6, labOf, small } from './labs.ts'
import { Net, type NetOptions } from './net.ts'
import { error } from './packets.ts'
import { from, last, type Step, sound } from './scenario.ts'

interface Case extends NetOptions {
  readonly given?: string
  readonly send: readonly Step[]
  /** Drops of the reason, one unless said otherwise. */
  readonly count?: number
}

const to = { source: at.orders1, destination: at.web }
const to6 = { source: at6.orders1, destination: at6.web }
const udp = udp4(to)
const whole = udp4({ ...to, dontFragment: false, payload: 'x'.repeat(100) })
const orders = (frame: Uint8Array): Step => from('orders-1', frame)
const one = (frame: Uint8Array): Case => ({ send: [orders(frame)] })
/** An option header of IPv6 before a datagram. */
const option = (header: number, ...body: number[]) => one(udp6({ ...to6, extensions: [{ header, body }] }))
const toNobody = (destination: string) => one(udp4({ ...to, destination }))

const cases: Record<Exclude<Drop, typeof Drop.None>, Case | string> = {
  [Drop.Truncated]: one(udp.slice(0, 19)),
  [Drop.BadVersion]: one(udp.with(0, 0x55)),
  [Drop.BadHeaderLength]: one(udp.with(0, 0x44)),
  [Drop.BadTotalLength]: one(udp.with(3, 200)),
  [Drop.BadHeaderChecksum]: one(udp.with(10, udp[10] ^ 1)),
  [Drop.BadTransportHeader]: one(packet4(6, new Uint8Array(19), to)),
  [Drop.BadTcpFlags]: one(tcp4({ ...to, flags: 'SF' })),
  [Drop.BadUdpLength]: one(udp4({ ...to, udpLength: 7 })),
  [Drop.UdpZeroChecksum]: one(udp6({ ...to6, checksum: false })),
  [Drop.BadIcmpChecksum]: {
    send: [
      orders(udp),
      from('web', net => ((frame: Uint8Array) => frame.with(30, frame[30] ^ 1))(error(last(net, 'web')))),
    ],
  },
  [Drop.SourceRoute]: one(udp4({ ...to, options: [131, 7, 4, 10, 0, 1, 30, 0] })),
  [Drop.BadOption]: one(udp4({ ...to, options: [7, 0, 4, 0] })),
  [Drop.ExtensionHeader]: one(
    udp6({
      ...to6,
      extensions: [
        { header: 60, body: [1, 4, 0, 0, 0, 0] },
        { header: 0, body: [1, 4, 0, 0, 0, 0] },
      ],
    }),
  ),
  [Drop.Jumbogram]: option(0, 0xc2, 4, 0, 1, 0, 0),
  [Drop.Martian]: toNobody('127.0.0.1'),
  [Drop.SourceCheck]: one(udp4({ ...to, source: at.orders2 })),
  [Drop.Land]: one(udp4({ source: at.orders1, destination: at.orders1, sourcePort: 7, destinationPort: 7 })),
  [Drop.LinkLocal]: toNobody('169.254.169.254'),
  [Drop.Multicast]: toNobody('224.0.0.251'),
  [Drop.Broadcast]: toNobody('255.255.255.255'),
  [Drop.TtlExpired]: one(udp4({ ...to, ttl: 1 })),
  [Drop.TooBig]: {
    given: labOf({ webMtu: 1280 }),
    send: [orders(udp4({ ...to, payload: 'x'.repeat(1253) }))],
  },
  [Drop.ProtocolUnsupported]: one(packet4(132, new Uint8Array(20), to)),
  [Drop.EchoDisabled]: { given: labOf({ orders: 'environments: 2, ipv6: true' }), send: [orders(icmp4(to))] },
  [Drop.IcmpType]: one(icmp4({ ...to, type: 13 })),
  [Drop.IcmpNoMatch]: { send: [from('web', error(udp4({ source: at.eni, destination: at.web })))] },
  [Drop.IcmpInnerMismatch]: {
    send: [
      from(
        'web',
        icmp4({
          source: at.web,
          destination: at.eni,
          type: 3,
          code: 1,
          payload: udp4({ source: at.db, destination: at.web }),
        }),
      ),
    ],
  },
  [Drop.NeighborDiscovery]: one(icmp6({ ...to6, destination: 'ff02::1', type: 133, hops: 255 })),
  [Drop.NoRoute]: toNobody('192.0.2.1'),
  [Drop.Blackhole]: {
    given: labOf({
      vpc: '  routeTables: { app: { subnets: [app], routes: [{ to: 192.0.2.0/24, target: blackhole }] } }',
    }),
    send: [orders(udp4({ ...to, destination: '192.0.2.1' }))],
  },
  [Drop.NoHost]: toNobody('10.0.1.77'),
  [Drop.SecurityGroupEgress]: {
    given: labOf({ fn: '{ protocol: tcp, ports: 443, to: [0.0.0.0/0] }' }),
    send: [orders(udp)],
  },
  [Drop.SecurityGroupIngress]: {
    given: labOf({ web: '{ protocol: tcp, ports: 443, from: [0.0.0.0/0] }' }),
    send: [orders(udp)],
  },
  [Drop.FunctionInactive]: {
    send: [
      net => net.swap({ ...net.plan, environments: { ...net.plan.environments, active: new Uint8Array(2) } }),
      orders(udp),
    ],
  },
  [Drop.NoIpv6]: { given: labOf({ orders: 'environments: 2' }), send: [orders(udp6(to6))] },
  [Drop.PlanChanged]: {
    send: [
      from('orders-2', udp4({ ...to, source: at.orders2 })),
      net => net.apply(small.replace('environments: 2', 'environments: 1')),
      from('web', net => error(last(net, 'web'))),
    ],
  },
  [Drop.Unsolicited]: { send: [from('web', udp4({ source: at.web, destination: at.eni }))] },
  [Drop.NoFlow]: one(icmp4({ ...to, type: 0 })),
  [Drop.FlowTableFull]: { flows: 1, send: [1, 2].map(sourcePort => orders(udp4({ ...to, sourcePort }))) },
  [Drop.EniConnections]: {
    send: [
      net => {
        // The other 65,000 need no packets: what is counted is what claims.
        const { ports } = net.eni('orders')
        while (ports.claim(0));
      },
      orders(udp),
      net => {
        const { ports } = net.eni('orders')
        while (ports.flows(0) > 0) ports.unclaim(0)
      },
    ],
  },
  [Drop.PortsExhausted]: {
    send: [
      net => {
        const { ports } = net.eni('orders')
        for (let port = ports.take(1); port >= 0; port = ports.take(1));
      },
      orders(udp),
      net => {
        const { ports } = net.eni('orders')
        for (let port = 1024; port <= 65535; port++) ports.give(1, port)
      },
    ],
  },
  [Drop.TcpNotSyn]: one(tcp4({ ...to, flags: 'A' })),
  [Drop.FragmentTiny]: one(piece4(tcp4({ ...to, payload: 'x'.repeat(20) }), 0, 16)),
  [Drop.FragmentOverlap]: { send: [orders(piece4(whole, 0, 48)), orders(piece4(whole, 40, 96))], count: 2 },
  [Drop.FragmentTooBig]: one(packet4(17, new Uint8Array(64), to, 65528 / 8)),
  [Drop.FragmentNoFirst]: { send: [orders(piece4(whole, 48, 108)), net => net.wait(31)] },
  [Drop.FragmentTableFull]: {
    send: [
      net => {
        for (let i = 0; i < 129; i++)
          net.send('orders-1', piece4(udp4({ ...to, identification: i, payload: 'x'.repeat(50) }), 24, 58))
      },
    ],
  },
  [Drop.FragmentBadLength]: one(piece4(whole, 0, 45, true)),
  [Drop.DeviceGone]:
    'counted by the shard, for frames that a device did not take: the Io knows, the pipeline does not',
  [Drop.DeviceFull]: 'as device-gone',
  [Drop.WriteFailed]: 'as device-gone',
  [Drop.HandOverFull]: {
    shards: 2,
    room: 0,
    // The other shard's queue is where no frame of this flow should be, and nothing can be handed back.
    send: [net => void net.send('orders-1', udp, { shard: 1 - net.steer(net.device('orders-1'), udp) })],
  },
  [Drop.SlotsExhausted]: {
    given: labOf({ webMtu: 1280 }),
    slots: 2,
    send: [orders(udp4({ ...to, dontFragment: false, payload: 'x'.repeat(3000) }))],
  },
  [Drop.Restart]: { send: [orders(piece4(whole, 0, 48)), net => net.restart()] },
  [Drop.ErrorForError]: {
    send: [from('web', error(icmp4({ source: at.eni, destination: at.web, type: 3, code: 1 })))],
  },
}

/** Reasons that no packet can have here. */
const unreachable: string[] = []
for (const [drop, one] of Object.entries(cases)) {
  const word = dropName[Number(drop) as Drop]
  if (typeof one === 'string') {
    unreachable.push(word)
    continue
  }
  const { given = small, send, count = 1, ...options } = one
  t.test(word, async t => {
    const net = new Net(given, options)
    for (const step of send) step(net, t)
    t.same(net.drops(), { [word]: count })
    sound(t, net)
  })
}

t.test('only what happens behind the pipeline is not reached here', async t => {
  t.same(unreachable, ['device-gone', 'device-full', 'write-failed'])
})

t.test('over IPv6 the same reasons mean the same', async t => {
  const net = new Net(small)
  for (const frame of [
    udp6(to6).slice(0, 39),
    udp6(to6).with(5, 200),
    packet6(6, new Uint8Array(19), to6),
    udp6({ ...to6, udpLength: 7 }),
    udp6({ ...to6, destination: '::1' }),
    udp6({ ...to6, destination: 'fe80::1' }),
    udp6({ ...to6, destination: 'ff0e::1' }),
    udp6({ ...to6, hops: 1 }),
    packet6(132, new Uint8Array(20), to6),
    icmp6({ ...to6, type: 139 }),
    icmp6({ ...to6, type: 129 }),
    udp6({ ...to6, destination: '2001:db8::1' }),
    udp6({ ...to6, destination: 'fd00:0:0:1::77' }),
    fragments6(udp6({ ...to6, payload: 'x'.repeat(100) }), 48)[0].slice(0, 85),
  ])
    net.send('orders-1', frame)
  t.same(net.drops(), {
    truncated: 1,
    'bad-total-length': 2,
    'bad-transport-header': 1,
    'bad-udp-length': 1,
    martian: 1,
    'link-local': 1,
    multicast: 1,
    'ttl-expired': 1,
    'protocol-unsupported': 1,
    'icmp-type': 1,
    'no-flow': 1,
    'no-route': 1,
    'no-host': 1,
  })
  sound(t, net)
})

t.test('a fragment cannot be both whole and lost: nothing is counted twice', async t => {
  const net = new Net(small)
  for (const piece of fragments4(whole, 48)) net.send('orders-1', piece)
  t.same(net.drops(), {})
  t.equal(net.arrivals.length, 3)
})
