/**
 * The oracle and the builders themselves, against packets whose checksums were worked out by hand, and
 * against damage: an oracle that misses a flipped bit is worth nothing.
 */
import t from 'tap'
import {
  describeFrame,
  fragments4,
  fragments6,
  hex,
  icmp4,
  icmp6,
  packet4,
  packet6,
  slowChecksum,
  tcp4,
  tcp6,
  toHex,
  udp4,
  udp6,
  verifyFrame,
  verifyQuoted,
} from './build.ts'

const frames: Record<string, Uint8Array> = {
  tcp4: tcp4({ payload: 'odd', tcpOptions: [2, 4, 5, 0xb4] }),
  udp4: udp4({ payload: 'even', options: [7, 3, 4] }),
  icmp4: icmp4({ payload: 'ping' }),
  tcp6: tcp6({ flags: 'SA', payload: 'odd' }),
  udp6: udp6({ payload: 'even', extensions: [{ header: 60, body: [1, 4, 0, 0, 0, 0] }] }),
  icmp6: icmp6({ payload: 'ping' }),
}

t.test('packets are built as they were worked out by hand', async t => {
  // 4500+001c+1234+4000+4011+0a00+0005+0a00+0114 = ec7a; 0a00+0005+0a00+0114+0011+0008+9c40+0050+0008 = b1ca.
  t.equal(toHex(udp4()), '4500 001c 1234 4000 4011 1385 0a00 0005 0a00 0114 9c40 0050 0008 4e35')
  t.equal(slowChecksum(hex('0001 f203 f4f5 f6f7')), 0xffff - 0xddf2, 'RFC 1071 section 3')
})

t.test('what is built is right, whole and partial', async t => {
  for (const [name, frame] of Object.entries(frames)) t.strictSame(verifyFrame(frame), [], name)
  for (const build of [tcp4, tcp6, udp4, udp6]) {
    const frame = build({ partial: true, payload: 'data' })
    t.strictSame(verifyFrame(frame, { partial: true }), [])
    t.not(verifyFrame(frame).length, 0, 'a partial checksum is not a whole one')
  }
})

t.test('every flipped bit is seen, but those that no checksum covers', async t => {
  // IPv6 has no header checksum: all but lengths and addresses is free there, and so are extension headers.
  const free = (frame: Uint8Array, at: number) =>
    frame[0] >>> 4 === 6 && (at < 4 || at === 6 || at === 7 || (frame[6] === 60 && at >= 40 && at < 48))
  for (const [name, frame] of Object.entries(frames)) {
    const missed: number[] = []
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const at = bit >> 3
      if (free(frame, at)) continue
      const damaged = frame.slice()
      damaged[at] ^= 0x80 >> (bit & 7)
      if (verifyFrame(damaged).length === 0) missed.push(at)
    }
    t.strictSame(missed, [], name)
  }
})

t.test('UDP without a checksum is right over IPv4 only', async t => {
  t.strictSame(verifyFrame(udp4({ checksum: false })), [])
  t.strictSame(verifyFrame(udp6({ checksum: false })), ['udp checksum is zero over ipv6'])
})

t.test('lengths that do not agree are seen', async t => {
  t.strictSame(verifyFrame(Uint8Array.of(...udp4(), 0)), ['length 29, the header says 28'])
  t.strictSame(verifyFrame(udp4({ udpLength: 9 })), ['udp length'])
  t.strictSame(verifyFrame(new Uint8Array(0)), ['no ip header'])
  t.strictSame(verifyFrame(packet4(6, new Uint8Array(4))), ['tcp truncated'])
})

t.test('fragments carry the whole packet, in order', async t => {
  const whole4 = tcp4({ payload: new Uint8Array(100).map((_, at) => at), options: [148, 4, 0, 0] })
  const pieces4 = fragments4(whole4, 50)
  t.equal(pieces4.length, 3)
  for (const piece of pieces4) t.strictSame(verifyFrame(piece), [])
  t.strictSame(Buffer.concat(pieces4.map(piece => piece.subarray(24))), Buffer.from(whole4.subarray(24)))

  const whole6 = udp6({ payload: new Uint8Array(100).map((_, at) => at) })
  const pieces6 = fragments6(whole6, 48)
  t.equal(pieces6.length, 3)
  for (const piece of pieces6) t.strictSame(verifyFrame(piece), [])
  t.strictSame(Buffer.concat(pieces6.map(piece => piece.subarray(48))), Buffer.from(whole6.subarray(40)))
})

t.test('the packet that an error quotes is judged as far as it goes', async t => {
  const quoted = udp4({ payload: 'data' })
  t.strictSame(verifyQuoted(icmp4({ type: 3, payload: quoted })), [])
  t.strictSame(verifyQuoted(icmp4({ type: 3, payload: quoted.subarray(0, 28) })), [])
  const damaged = quoted.slice()
  damaged[29] ^= 1
  t.strictSame(verifyQuoted(icmp4({ type: 3, payload: damaged })), ['udp checksum'])
  t.strictSame(verifyQuoted(icmp4({ type: 3, payload: damaged.subarray(0, 31) })), [], 'not whole, not seen')
  damaged[8]--
  t.strictSame(verifyQuoted(icmp4({ type: 3, payload: damaged.subarray(0, 28) })), ['ipv4 header checksum'])
  t.strictSame(verifyQuoted(icmp6({ type: 2, payload: tcp6() })), [])
  t.strictSame(verifyQuoted(icmp4()), ['no error'])
})

t.test('a packet in one line', async t => {
  t.equal(
    describeFrame(tcp4()),
    '10.0.0.5 > 10.0.1.20 tcp ttl 64 length 40 id 4660 df | tcp 40000 > 80 [S] seq 1000 ack 0 window 65535',
  )
  t.equal(
    describeFrame(icmp4()),
    '10.0.0.5 > 10.0.1.20 icmp ttl 64 length 28 id 4660 df | icmp echo id 7 seq 1',
  )
  t.equal(
    describeFrame(udp6()),
    'fd00::5 > fd00:0:0:1::20 udp hops 64 length 8 | udp | udp 40000 > 80 length 8',
  )
  t.equal(
    describeFrame(fragments4(udp4({ payload: new Uint8Array(20) }), 16)[1]),
    '10.0.0.5 > 10.0.1.20 udp ttl 64 length 32 id 4660 offset 16',
  )
  t.equal(
    describeFrame(packet6(59, new Uint8Array(0))),
    'fd00::5 > fd00:0:0:1::20 no-next-header hops 64 length 0 | no chain: no-next-header',
  )
  t.equal(describeFrame(hex('2500')), 'no ip packet: 2500')
})
