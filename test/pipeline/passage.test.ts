/** What the kernel leaves undone goes on undone and right: partial checksums, super-frames; and segment sizes are clamped. */
import t from 'tap'
import { verifyFrame } from '../wire/verify.ts'
import { families, labOf, small } from './labs.ts'
import { Net } from './net.ts'
import { read, reply } from './packets.ts'
import { answer, from, last, scenario, sound } from './scenario.ts'

/** The MSS that a SYN offers, 0 where it offers none. */
function mssOf(frame: Uint8Array): number {
  const { transport } = read(frame)
  const end = transport + (frame[transport + 12] >>> 4) * 4
  for (let at = transport + 20; at < end && frame[at] !== 0; at += frame[at] === 1 ? 1 : frame[at + 1])
    if (frame[at] === 2) return frame[at + 2] * 256 + frame[at + 3]
  return 0
}

const mss = (size: number): number[] => [1, 1, 2, 4, size >>> 8, size & 0xff, 1, 0]

for (const { name, at, tcp, udp, header, isIpv6 } of families) {
  const to = { source: at.orders1, destination: at.web }
  const gso = isIpv6 ? 'tcp6' : 'tcp4'

  scenario(
    `${name}: a checksum that is left to the device is left to the next one, its pseudo-header translated`,
    {
      given: small,
      send: [
        from('orders-1', tcp({ ...to, partial: true }), { partial: true }),
        from('web', net => reply(last(net, 'web'), { partial: true } as object), { partial: true }),
        from('orders-1', udp({ ...to, payload: 'datagram', partial: true }), { partial: true }),
        from('web', net => reply(last(net, 'web'), { partial: true } as object), { partial: true }),
        // Between hosts nothing is translated, and the field stays.
        from('web', udp({ source: at.web, destination: at.db, payload: 'x', partial: true }), {
          partial: true,
        }),
      ],
      expect: { delivered: { web: 2, 'orders-1': 2, db: 1 } },
      look(t, arrivals) {
        for (const { frame, header: vnet } of arrivals) {
          t.equal(vnet[0], 1, 'still to be done')
          t.same(verifyFrame(frame, { partial: true }), [])
          t.not(verifyFrame(frame).length, 0)
        }
      },
    },
  )

  scenario(`${name}: a super-frame of 60,000 bytes goes through whole, where its segments fit`, {
    given: small,
    send: [
      from('orders-1', tcp({ ...to, flags: 'S', sequence: 99 })),
      answer('web', { window: 65535, tcpOptions: [3, 3, 14, 0] }),
      from(
        'orders-1',
        tcp({
          ...to,
          flags: 'PA',
          sequence: 100,
          acknowledgment: 5001,
          payload: 'x'.repeat(60_000),
          partial: true,
        }),
        { partial: true, gso, gsoSize: 1440 - (isIpv6 ? 20 : 0) },
      ),
    ],
    expect: { delivered: { web: 2, 'orders-1': 1 } },
    look(t, [, , { frame, header: vnet }]) {
      t.equal(frame.length, header + 20 + 60_000)
      t.same([...vnet.subarray(0, 2)], [1, isIpv6 ? 4 : 1])
      t.equal(vnet[4] + 256 * vnet[5], 1440 - (isIpv6 ? 20 : 0))
      t.ok(read(frame).payload.every(byte => byte === 120))
    },
  })

  scenario(`${name}: a super-frame whose segments do not fit is too big, and is not cut either`, {
    given: labOf({ webMtu: 1400 }),
    send: [
      from('orders-1', tcp({ ...to, flags: 'S', sequence: 99 })),
      from(
        'orders-1',
        tcp({
          ...to,
          flags: 'A',
          sequence: 100,
          acknowledgment: 1,
          payload: 'x'.repeat(5000),
          partial: true,
          dontFragment: false,
        }),
        {
          partial: true,
          gso,
          gsoSize: 1460,
        },
      ),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'too-big': 1 } },
    look(t, [, { frame }]) {
      t.match(read(frame), { source: at.insideRouter, type: isIpv6 ? 2 : 3, code: isIpv6 ? 0 : 4 })
    },
  })

  for (const fill of ['\x00', '\xff', '\x50'])
    scenario(`${name}: so does a train of datagrams, whatever is in them (${fill.charCodeAt(0)})`, {
      given: small,
      send: [
        from('orders-1', udp({ ...to, payload: fill.repeat(20_000), partial: true }), {
          partial: true,
          gso: 'udp',
          gsoSize: 1500 - header - 8,
        }),
        from('orders-1', udp({ ...to, payload: fill.repeat(20_000), partial: true }), {
          partial: true,
          gso: 'udp',
          gsoSize: 1500 - header - 7,
        }),
      ],
      expect: { delivered: { web: 1, 'orders-1': 1 }, drops: { 'too-big': 1 } },
    })

  scenario(`${name}: what the sender's kernel has checked is not said to be checked for the receiver's`, {
    given: small,
    send: [from('orders-1', udp(to), { checked: true })],
    expect: { delivered: { web: 1 } },
    look(t, [{ header: vnet }]) {
      t.equal(vnet[0], 0)
    },
  })

  const offered = 9000
  const fits = (mtu: number) => mtu - header - 20
  scenario(`${name}: the segment size is clamped to what both devices carry, in SYN and SYN-ACK`, {
    given: labOf({ webMtu: 1400 }),
    send: [
      from('orders-1', tcp({ ...to, tcpOptions: mss(offered), sequence: 99 })),
      answer('web', { tcpOptions: mss(offered) }),
    ],
    expect: { delivered: { web: 1, 'orders-1': 1 }, counters: { MssClamped: 2 } },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.equal(mssOf(frame), fits(1400))
    },
  })

  scenario(`${name}: an MSS that fits stays, at the limit and below; none is put where there is none`, {
    given: labOf({ webMtu: 1400 }),
    send: [fits(1400), fits(1400) - 1, 536, 0].map((size, i) =>
      from('orders-1', tcp({ ...to, sourcePort: 5000 + i, tcpOptions: size === 0 ? [] : mss(size) })),
    ),
    expect: { delivered: { web: 4 }, counters: { MssClamped: 0 } },
    look(t, arrivals) {
      t.same(
        arrivals.map(({ frame }) => mssOf(frame)),
        [fits(1400), fits(1400) - 1, 536, 0],
      )
    },
  })

  scenario(`${name}: clamping may be switched off`, {
    given: labOf({ webMtu: 1400, daemon: 'clampMss: false' }),
    send: [from('orders-1', tcp({ ...to, tcpOptions: mss(offered) }))],
    expect: { delivered: { web: 1 }, counters: { MssClamped: 0 } },
    look(t, [{ frame }]) {
      t.equal(mssOf(frame), offered)
    },
  })

  scenario(`${name}: between hosts too, and with a checksum that is left to the device`, {
    given: labOf({ webMtu: 1400 }),
    send: [
      from('db', tcp({ source: at.db, destination: at.web, tcpOptions: mss(offered), partial: true }), {
        partial: true,
      }),
      answer('web', { tcpOptions: mss(offered) }),
    ],
    expect: { delivered: { web: 1, db: 1 }, counters: { MssClamped: 2 } },
    look(t, arrivals) {
      for (const { frame } of arrivals) t.equal(mssOf(frame), fits(1400))
    },
  })

  scenario(`${name}: every option of TCP that is none of ours goes through byte for byte`, {
    given: small,
    send: [
      from(
        'orders-1',
        tcp({
          ...to,
          // SACK permitted, timestamps, window scale, fast open, multipath, an unknown kind.
          tcpOptions: [
            4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 3, 3, 9, 34, 6, 0xaa, 0xbb, 0xcc, 0xdd, 30, 4, 0, 1, 253, 4,
            1, 2, 1, 1,
          ],
        }),
      ),
    ],
    expect: { delivered: { web: 1 } },
    look(t, [{ frame }]) {
      const { transport } = read(frame)
      const sent = [
        4, 2, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 3, 3, 9, 34, 6, 0xaa, 0xbb, 0xcc, 0xdd, 30, 4, 0, 1, 253, 4, 1,
        2, 1, 1, 0,
      ]
      t.same([...frame.subarray(transport + 20, transport + 20 + sent.length)], sent)
    },
  })
}

t.test('payloads of all lengths, at odd ones too, go through whole and right', async t => {
  for (const { at, udp, tcp } of families) {
    const net = new Net(small)
    const to = { source: at.orders1, destination: at.web }
    net.send('orders-1', tcp({ ...to, sequence: 99 }))
    let wrong = 0
    for (let length = 0; length <= 260; length++) {
      const payload = Uint8Array.from({ length }, (_, i) => i * 7 + length)
      for (const frame of [udp({ ...to, payload }), tcp({ ...to, flags: 'A', sequence: 100, payload })]) {
        const [arrival] = net.send('orders-1', frame)
        if (!Buffer.from(read(arrival.frame).payload).equals(Buffer.from(payload))) wrong++
      }
    }
    t.equal(wrong, 0)
    sound(t, net)
  }
})
