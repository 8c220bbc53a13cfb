/** Packets that want a second look: malformed ones get their own reason each, well formed ones with options and extension headers go on. */
import t from 'tap'
import { type Extension, hex, icmp4, icmp6, slowChecksum, tcp4, tcp6, udp4, udp6 } from '../wire/build.ts'
import { at as at4, at6, families, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { from, last, scenario, sound } from './scenario.ts'

const to4 = { source: at4.orders1, destination: at4.web }
const to6 = { source: at6.orders1, destination: at6.web }

/** A copy with bytes written over it and, over IPv4, the header's checksum made right again. */
function spoilt(frame: Uint8Array, changes: Record<number, number>): Uint8Array {
  const copy = Uint8Array.from(frame)
  for (const [at, value] of Object.entries(changes)) copy[Number(at)] = value
  if (copy[0] >>> 4 !== 4) return copy
  const header = Math.min(Math.max(copy[0] & 0x0f, 5) * 4, copy.length)
  copy.set([0, 0], 10)
  const checksum = slowChecksum(copy.subarray(0, header))
  copy.set([checksum >>> 8, checksum & 0xff], 10)
  return copy
}

const wrong: [what: string, frame: Uint8Array, reason: string][] = [
  ['version 0', spoilt(udp4(to4), { 0: 0x05 }), 'bad-version'],
  ['version 5', spoilt(udp4(to4), { 0: 0x55 }), 'bad-version'],
  ['version 15', hex('f0'.repeat(60)), 'bad-version'],
  ...[0, 1, 2, 3, 4].map((words): [string, Uint8Array, string] => [
    `a header of ${words} words`,
    spoilt(udp4(to4), { 0: 0x40 | words }),
    'bad-header-length',
  ]),
  ['a header longer than the packet', spoilt(udp4(to4), { 0: 0x4f }), 'bad-header-length'],
  ['a total length of 0', spoilt(udp4(to4), { 2: 0, 3: 0 }), 'bad-total-length'],
  ['a total length less than the header', spoilt(udp4(to4), { 3: 19 }), 'bad-total-length'],
  ['a total length beyond the frame', spoilt(udp4(to4), { 3: 29 }), 'bad-total-length'],
  ['a payload length beyond the frame', spoilt(udp6(to6), { 5: 9 }), 'bad-total-length'],
  ['a wrong header checksum', udp4(to4).with(10, udp4(to4)[10] ^ 1), 'bad-header-checksum'],
  [
    'a wrong header checksum, with options',
    udp4({ ...to4, options: [1, 1, 1, 0] }).with(10, 0),
    'bad-header-checksum',
  ],
  ['half a TCP header', spoilt(tcp4(to4).slice(0, 30), { 3: 30 }), 'bad-transport-header'],
  ['a TCP data offset of 4', tcp4(to4).with(32, 0x40), 'bad-transport-header'],
  ['a TCP data offset behind the end', tcp4(to4).with(32, 0x60), 'bad-transport-header'],
  ['half a TCP header over IPv6', spoilt(tcp6(to6).slice(0, 50), { 5: 10 }), 'bad-transport-header'],
  ['half a UDP header', spoilt(udp4(to4).slice(0, 24), { 3: 24 }), 'bad-transport-header'],
  ['half an ICMP header', spoilt(icmp4(to4).slice(0, 25), { 3: 25 }), 'bad-transport-header'],
  ['half an ICMPv6 header', spoilt(icmp6(to6).slice(0, 45), { 5: 5 }), 'bad-transport-header'],
  ['a UDP length of 7', udp4({ ...to4, udpLength: 7 }), 'bad-udp-length'],
  ['a UDP length of 0', udp4({ ...to4, udpLength: 0 }), 'bad-udp-length'],
  ['a UDP length beyond the packet', udp4({ ...to4, udpLength: 9 }), 'bad-udp-length'],
  ['a UDP length beyond the packet, IPv6', udp6({ ...to6, udpLength: 9 }), 'bad-udp-length'],
  ['UDP without a checksum over IPv6', udp6({ ...to6, checksum: false }), 'udp-zero-checksum'],
  ['a loose source route', udp4({ ...to4, options: [131, 7, 4, 10, 0, 1, 30, 0] }), 'source-route'],
  ['a strict source route', udp4({ ...to4, options: [1, 137, 7, 4, 10, 0, 1, 30] }), 'source-route'],
  ['an option of length 0', udp4({ ...to4, options: [7, 0, 4, 0] }), 'bad-option'],
  ['an option of length 1', udp4({ ...to4, options: [7, 1, 4, 0] }), 'bad-option'],
  ['an option beyond the header', udp4({ ...to4, options: [7, 40, 4, 0] }), 'bad-option'],
  [
    'an option whose length would be behind the header',
    udp4({ ...to4, options: [1, 1, 1, 7] }),
    'bad-option',
  ],
]

for (const [what, frame, reason] of wrong)
  scenario(`${what}: ${reason}, from a function and from a host`, {
    given: small,
    send: [from('orders-1', frame), from('web', frame)],
    expect: { drops: { [reason]: 2 }, flows: 0 },
  })

t.test('packets cut off at every byte: dropped, each once, and nothing read from behind them', async t => {
  for (const { name, at, tcp, udp, echo, header, isIpv6 } of families) {
    const to = { source: at.orders1, destination: at.web }
    for (const whole of [
      tcp({ ...to, payload: 'ab' }),
      udp({ ...to, payload: 'ab' }),
      echo({ ...to, payload: 'ab' }),
    ]) {
      const net = new Net(small)
      const least = header + (whole[isIpv6 ? 6 : 9] === 6 ? 20 : 8)
      for (let length = 1; length < whole.length; length++) {
        // As it is, and with the length that it claims brought in line.
        net.send('orders-1', whole.slice(0, length))
        if (length < header) continue
        const claim: Record<number, number> = isIpv6 ? { 5: length - 40 } : { 3: length }
        const cut = spoilt(whole.slice(0, length), claim)
        net.send('orders-1', cut)
      }
      const drops = net.drops()
      const known = [
        'truncated',
        'bad-header-length',
        'bad-total-length',
        'bad-transport-header',
        'bad-udp-length',
        'bad-icmp-checksum',
      ]
      t.same(
        Object.keys(drops).filter(reason => !known.includes(reason)),
        [],
        `${name}: ${JSON.stringify(drops)}`,
      )
      t.equal(drops.truncated, header - 1)
      t.ok(net.arrivals.every(({ frame }) => frame.length >= least))
      sound(t, net)
    }
  }
})

for (const { name, at, udp, echo, isIpv6 } of families) {
  const to = { source: at.orders1, destination: at.web }
  scenario(`${name}: a trailer behind the packet is cut off`, {
    given: small,
    send: [
      from('orders-1', Uint8Array.from([...udp({ ...to, payload: 'abc' }), 0xde, 0xad, 0xbe])),
      from('orders-1', Uint8Array.from([...echo({ ...to, payload: 'abc' }), 0xde, 0xad])),
    ],
    expect: { delivered: { web: 2 } },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.equal(Buffer.from(read(frame).payload).toString(), 'abc')
    },
  })

  scenario(`${name}: bytes behind UDP's length stay: they are UDP options (RFC 9868)`, {
    given: small,
    send: [from('orders-1', udp({ ...to, payload: 'abcdef', udpLength: 11 }))],
    expect: { delivered: { web: 1 } },
    look(t, [{ frame }]) {
      t.equal(frame.length, (isIpv6 ? 40 : 20) + 14)
      t.equal(Buffer.from(frame.slice(-6)).toString(), 'abcdef')
    },
  })
}

// Options of IPv4.

for (const [what, options] of Object.entries({
  'router alert': [148, 4, 0, 0],
  'record route': [7, 7, 4, 0, 0, 0, 0, 0],
  timestamp: [68, 8, 5, 0, 0, 0, 0, 0],
  'an unknown one': [0x9e, 4, 1, 2],
  'nothing but padding': [1, 1, 1, 1],
  'forty bytes': new Array<number>(40).fill(1),
  'an end and bytes behind it': [0, 99, 99, 99],
}))
  scenario(`IPv4 options pass: ${what}`, {
    given: small,
    send: [
      ...[tcp4({ ...to4, options }), udp4({ ...to4, options, payload: 'x' }), icmp4({ ...to4, options })].map(
        frame => from('orders-1', frame),
      ),
      from('web', net => {
        const plain = reply(net.arrivals[1].frame)
        const { source, destination, sourcePort, destinationPort } = read(plain)
        return udp4({ source, destination, sourcePort, destinationPort, options })
      }),
    ],
    expect: { delivered: { web: 3, 'orders-1': 1 }, flows: 3 },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.same([...frame.subarray(20, 20 + options.length)], options)
    },
  })

t.test('headers of every length from 5 to 15 words, with every protocol', async t => {
  const net = new Net(small)
  for (let words = 0; words <= 10; words++) {
    const options = new Array<number>(words * 4).fill(1)
    for (const build of [tcp4, udp4, icmp4])
      net.send('orders-1', build({ ...to4, options, payload: 'payload' }))
  }
  t.equal(net.arrivals.length, 33)
  t.equal(net.flows, 3)
  sound(t, net)
})

// Extension headers of IPv6.

const hopByHop = (...body: number[]): Extension => ({ header: 0, body })
const destination = (...body: number[]): Extension => ({ header: 60, body })
const routing = (type: number, left: number): Extension => ({
  header: 43,
  body: [type, left, 0, 0, 0, 0, ...new Array(16).fill(0xfd)],
})

for (const [what, extensions] of Object.entries<Extension[]>({
  'hop-by-hop': [hopByHop(1, 4, 0, 0, 0, 0)],
  'destination options': [destination(1, 4, 0, 0, 0, 0)],
  'hop-by-hop, then destination options': [hopByHop(1, 4, 0, 0, 0, 0), destination(1, 4, 0, 0, 0, 0)],
  'an unknown option that may be skipped': [destination(0x1e, 4, 9, 9, 9, 9)],
}))
  scenario(`IPv6 extension headers pass: ${what}`, {
    given: small,
    send: [
      tcp6({ ...to6, extensions }),
      udp6({ ...to6, extensions, payload: 'x' }),
      icmp6({ ...to6, extensions }),
    ].map(frame => from('orders-1', frame)),
    expect: { delivered: { web: 3 }, flows: 3 },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.equal(frame[6], extensions[0].header)
    },
  })

const many = (count: number) => Array.from({ length: count }, () => destination(1, 4, 0, 0, 0, 0))
const refused: [
  what: string,
  extensions: Extension[],
  reason: string,
  told: [type: number, code: number] | null,
][] = [
  ['a routing header of type 0 with segments left', [routing(0, 1)], 'source-route', [4, 0]],
  [
    'hop-by-hop options in second place',
    [destination(1, 4, 0, 0, 0, 0), hopByHop(1, 4, 0, 0, 0, 0)],
    'extension-header',
    null,
  ],
  ['more headers than anybody needs', many(64), 'extension-header', null],
  ['a jumbo payload', [hopByHop(0xc2, 4, 0, 1, 0, 0)], 'jumbogram', null],
  ['an option that runs out of its header', [hopByHop(1, 99, 0, 0, 0, 0)], 'bad-option', null],
  ['authentication', [{ header: 51, body: [4, 0, 0, 0, 0, 0, 0, 0, 0, 0] }], 'protocol-unsupported', null],
]
for (const [what, extensions, reason, told] of refused)
  scenario(`IPv6: ${what}: ${reason}`, {
    given: small,
    send: [from('orders-1', udp6({ ...to6, extensions }))],
    expect: { ...(told && { delivered: { 'orders-1': 1 } }), drops: { [reason]: 1 }, flows: 0 },
    look(t, [answer]) {
      if (told !== null)
        t.match(read(answer.frame), { source: at6.insideRouter, type: told[0], code: told[1] })
    },
  })

scenario('a parameter problem goes to nobody who is not there', {
  given: small,
  send: [
    from('orders-1', udp6({ source: 'fd64::99', destination: at6.web, extensions: [routing(0, 1)] })),
    from('web', udp6({ source: 'fd00:0:0:1::99', destination: at6.db, extensions: [routing(0, 1)] })),
    from('web', udp6({ source: at6.db, destination: at6.eni, extensions: [routing(0, 1)] })),
  ],
  expect: { drops: { 'source-route': 3 }, flows: 0, counters: { ErrorsSent: 0 } },
})

scenario('a routing header with no segments left is as good as none', {
  given: small,
  send: [from('orders-1', udp6({ ...to6, extensions: [routing(0, 0)] }))],
  expect: { delivered: { web: 1 }, flows: 1 },
})

t.test('extension headers do not make another flow of a flow', async t => {
  for (const shards of [1, 2, 3]) {
    const net = new Net(small, { shards })
    for (let port = 50_000; port < 50_020; port++) {
      const of = { ...to6, sourcePort: port }
      net.send('orders-1', udp6({ ...of, extensions: [destination(1, 4, 0, 0, 0, 0)] }))
      net.send('orders-1', udp6(of))
      net.send('orders-1', udp6({ ...of, extensions: [hopByHop(1, 4, 0, 0, 0, 0)] }))
      net.send('web', reply(last(net, 'web')))
    }
    t.equal(net.flows, 20, `${shards} shards`)
    t.equal(net.arrivals.filter(({ to }) => to === 'orders-1').length, 20)
    sound(t, net)
  }
})
