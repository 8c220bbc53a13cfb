import t from 'tap'
import { swap16 } from '../../src/wire/bytes.ts'
import * as icmp from '../../src/wire/icmp.ts'
import { hex, icmp4, tcp4 } from './build.ts'

const echo = hex('0800 abcd 1234 0007')
const tooBig = hex('0304 abcd 0000 0500')

t.test('fields are read', async t => {
  t.equal(icmp.type(echo, 0), icmp.Type.Echo)
  t.equal(icmp.code(tooBig, 0), icmp.Unreachable.FragmentationNeeded)
  t.equal(icmp.checksum(echo, 0), swap16(0xabcd), 'as loaded')
  t.equal(icmp.identifier(echo, 0), 0x1234)
  t.equal(icmp.sequence(echo, 0), 7)
  t.equal(icmp.nextHopMtu(tooBig, 0), 1280)
  t.equal(icmp.quotedAt(20), 28)
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(10).fill(0xa5)
  icmp.setType(to, 1, icmp.Type.Echo)
  icmp.setCode(to, 1, 0)
  icmp.setChecksum(to, 1, swap16(0xabcd))
  icmp.setIdentifier(to, 1, 0x1234)
  icmp.setSequence(to, 1, 7)
  t.strictSame(to, Uint8Array.of(0xa5, ...echo, 0xa5))
  icmp.setType(to, 1, icmp.Type.DestinationUnreachable)
  icmp.setCode(to, 1, icmp.Unreachable.FragmentationNeeded)
  icmp.setRest(to, 1, 0)
  icmp.setNextHopMtu(to, 1, 1280)
  t.strictSame(to, Uint8Array.of(0xa5, ...tooBig, 0xa5))
  icmp.setRest(to, 1, 0x14000000)
  t.strictSame(to.subarray(5), Uint8Array.of(0x14, 0, 0, 0, 0xa5))
})

t.test('a message fits from 8 bytes on', async t => {
  for (let end = 0; end < 8; end++) t.notOk(icmp.fits(echo, 0, end))
  t.ok(icmp.fits(echo, 0, 8))
})

t.test('types are errors, queries or neither', async t => {
  const types = Array.from({ length: 256 }, (_, type) => type)
  t.strictSame(types.filter(icmp.isError), [3, 4, 5, 11, 12])
  t.strictSame(types.filter(icmp.isQuery), [0, 8, 13, 14, 15, 16, 17, 18])
})

t.test('a quotation ends where the message does, or where RFC 4884 says', async t => {
  const end = (type: number, words: number, bytes = 300) => {
    const message = new Uint8Array(8 + bytes)
    message[0] = type
    message[5] = words
    return icmp.quotedEnd(message, 0, message.length)
  }
  t.equal(end(3, 0), 308, 'no length')
  for (const type of [3, 11, 12]) t.equal(end(type, 32), 136, 'extension objects behind 128 bytes')
  t.equal(end(5, 32), 308, 'a redirect has no such field')
  t.equal(end(3, 75), 308)
  for (const words of [76, 255]) t.equal(end(3, words), 308, 'a length past the end is not believed')
})

t.test('the checksum is filled in and holds', async t => {
  const frame = icmp4({ type: 3, code: 3, payload: tcp4() })
  const whole = frame.slice()
  t.ok(icmp.checksumHolds(frame, 20, frame.length - 20))
  icmp.setChecksum(frame, 20, 0xa5a5)
  t.notOk(icmp.checksumHolds(frame, 20, frame.length - 20))
  icmp.fillChecksum(frame, 20, frame.length - 20)
  t.strictSame(frame, whole)
  const zeros = new Uint8Array(8)
  icmp.fillChecksum(zeros, 0, 8)
  t.strictSame(zeros, hex('0000 ffff 0000 0000'), 'of nothing but zeros')
})

t.test('a message in one line', async t => {
  t.equal(icmp.describe(echo, 0), 'icmp echo id 4660 seq 7')
  t.equal(icmp.describe(hex('0000 0000 0001 0002'), 0), 'icmp echo-reply id 1 seq 2')
  t.equal(icmp.describe(tooBig, 0), 'icmp unreachable code 4 mtu 1280')
  t.equal(icmp.describe(hex('0301 0000 0000 0000'), 0), 'icmp unreachable code 1')
  t.equal(icmp.describe(hex('0b00 0000 0000 0000'), 0), 'icmp time-exceeded code 0')
  t.equal(icmp.describe(hex('0501 0000 0000 0000'), 0), 'icmp type 5 code 1')
})
