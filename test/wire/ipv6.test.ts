import t from 'tap'
import * as ipv6 from '../../src/wire/ipv6.ts'
import { hex, tcp6, udp6, words6 } from './build.ts'

const { Fault } = ipv6

/** fd00::5 to 2001:db8::21, UDP, class 0xb9, label 0xabcde, payload 300, 61 hops. */
const header = hex(`
  6b9a bcde 012c 113d
  fd00 0000 0000 0000 0000 0000 0000 0005
  2001 0db8 0000 0000 0000 0000 0000 0021
`)

t.test('fields are read', async t => {
  t.equal(ipv6.version(header, 0), 6)
  t.equal(ipv6.trafficClass(header, 0), 0xb9)
  t.equal(ipv6.flowLabel(header, 0), 0xabcde)
  t.equal(ipv6.payloadLength(header, 0), 300)
  t.equal(ipv6.nextHeader(header, 0), 17)
  t.equal(ipv6.hopLimit(header, 0), 61)
  t.equal(ipv6.endAt(header, 0), 340)
  t.equal(ipv6.addressesAt(0), 8)
  const words = (word: (bytes: Uint8Array, at: number, index: number) => number) =>
    [0, 1, 2, 3].map(index => word(header, 0, index))
  t.strictSame(words(ipv6.sourceWord), [...words6('fd00::5')], 'as loaded')
  t.strictSame(words(ipv6.destinationWord), [...words6('2001:db8::21')], 'as loaded')
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(header.length + 2).fill(0xa5)
  ipv6.setVersion(to, 1, 0xb9, 0xabcde)
  ipv6.setPayloadLength(to, 1, 300)
  ipv6.setNextHeader(to, 1, 17)
  ipv6.setHopLimit(to, 1, 61)
  words6('fd00::5').forEach((word, index) => {
    ipv6.setSourceWord(to, 1, index, word)
  })
  words6('2001:db8::21').forEach((word, index) => {
    ipv6.setDestinationWord(to, 1, index, word)
  })
  t.strictSame(to, Uint8Array.of(0xa5, ...header, 0xa5))
})

t.test('a packet cut anywhere does not fit, and names a reason', async t => {
  const frame = tcp6({ payload: 'data' })
  t.equal(ipv6.fault(frame, 0, frame.length), Fault.None)
  for (let end = 0; end < frame.length; end++) {
    t.equal(ipv6.fault(frame, 0, end), end < 40 ? Fault.Truncated : Fault.PayloadLength, `cut at ${end}`)
    t.notOk(ipv6.fits(frame, 0, end))
    t.equal(ipv6.headerFault(frame, 0, end) === Fault.None, end >= 40, `header cut at ${end}`)
  }
})

t.test('a trailer behind the payload is no fault, another version is', async t => {
  const frame = Uint8Array.of(...udp6(), 0, 0, 0)
  t.ok(ipv6.fits(frame, 0, frame.length))
  t.equal(ipv6.endAt(frame, 0), frame.length - 3)
  frame[0] = 0x45
  t.equal(ipv6.fault(frame, 0, frame.length), Fault.Version)
})

t.test('a header in one line', async t => {
  t.equal(ipv6.describe(header, 0), 'fd00::5 > 2001:db8::21 udp hops 61 length 300')
})
