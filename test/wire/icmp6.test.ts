import t from 'tap'
import { swap16 } from '../../src/wire/bytes.ts'
import { pseudoSum6 } from '../../src/wire/checksum.ts'
import * as icmp6 from '../../src/wire/icmp6.ts'
import { icmp6 as buildIcmp6, hex, udp6 } from './build.ts'

const echo = hex('8000 abcd 1234 0007')
const tooBig = hex('0200 abcd 0000 0500')

t.test('fields are read', async t => {
  t.equal(icmp6.type(echo, 0), icmp6.Type.EchoRequest)
  t.equal(icmp6.code(hex('0104 0000 0000 0000'), 0), icmp6.Unreachable.Port)
  t.equal(icmp6.checksum(echo, 0), swap16(0xabcd), 'as loaded')
  t.equal(icmp6.identifier(echo, 0), 0x1234)
  t.equal(icmp6.sequence(echo, 0), 7)
  t.equal(icmp6.mtu(tooBig, 0), 1280)
  t.equal(icmp6.mtu(hex('0200 0000 ffff ffff'), 0), 4294967295, 'unsigned')
  t.equal(icmp6.pointer(hex('0401 0000 8000 0006'), 0), 2147483654, 'unsigned')
  t.equal(icmp6.quotedAt(40), 48)
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(10).fill(0xa5)
  icmp6.setType(to, 1, icmp6.Type.EchoRequest)
  icmp6.setCode(to, 1, 0)
  icmp6.setChecksum(to, 1, swap16(0xabcd))
  icmp6.setIdentifier(to, 1, 0x1234)
  icmp6.setSequence(to, 1, 7)
  t.strictSame(to, Uint8Array.of(0xa5, ...echo, 0xa5))
  icmp6.setType(to, 1, icmp6.Type.PacketTooBig)
  icmp6.setRest(to, 1, 1280)
  t.strictSame(to, Uint8Array.of(0xa5, ...tooBig, 0xa5))
})

t.test('a message fits from 8 bytes on', async t => {
  for (let end = 0; end < 8; end++) t.notOk(icmp6.fits(echo, 0, end))
  t.ok(icmp6.fits(echo, 0, 8))
})

t.test('types are errors, echoes, messages of one link or neither', async t => {
  const types = Array.from({ length: 256 }, (_, type) => type)
  t.strictSame(types.filter(icmp6.isError), types.slice(0, 128))
  t.strictSame(types.filter(icmp6.isEcho), [128, 129])
  t.strictSame(
    types.filter(icmp6.isLinkScoped),
    [130, 131, 132, 133, 134, 135, 136, 137, 141, 142, 143, 148, 149, 151, 152, 153],
  )
})

t.test('a quotation ends where the message does, or where RFC 4884 says', async t => {
  const end = (type: number, length: number) => {
    const message = new Uint8Array(308)
    message[0] = type
    message[4] = length
    return icmp6.quotedEnd(message, 0, message.length)
  }
  t.equal(end(1, 0), 308, 'no length')
  for (const type of [1, 3]) t.equal(end(type, 16), 136, 'extension objects behind 128 bytes')
  for (const type of [2, 4]) t.equal(end(type, 16), 308, 'an MTU or a pointer stands there')
  for (const length of [38, 255]) t.equal(end(1, length), 308, 'a length past the end is not believed')
})

t.test('the checksum is filled in and holds', async t => {
  const frame = buildIcmp6({ type: 1, code: 4, payload: udp6() })
  const whole = frame.slice()
  const length = frame.length - 40
  const pseudo = pseudoSum6(frame, 8, 58, length)
  t.ok(icmp6.checksumHolds(frame, 40, length, pseudo))
  icmp6.setChecksum(frame, 40, 0xa5a5)
  t.notOk(icmp6.checksumHolds(frame, 40, length, pseudo))
  icmp6.fillChecksum(frame, 40, length, pseudo)
  t.strictSame(frame, whole)
})

t.test('a message in one line', async t => {
  t.equal(icmp6.describe(echo, 0), 'icmp6 echo id 4660 seq 7')
  t.equal(icmp6.describe(hex('8100 0000 0001 0002'), 0), 'icmp6 echo-reply id 1 seq 2')
  t.equal(icmp6.describe(tooBig, 0), 'icmp6 too-big mtu 1280')
  t.equal(icmp6.describe(hex('0104 0000 0000 0000'), 0), 'icmp6 unreachable code 4')
  t.equal(icmp6.describe(hex('0300 0000 0000 0000'), 0), 'icmp6 time-exceeded code 0')
  t.equal(icmp6.describe(hex('0401 0000 0000 0006'), 0), 'icmp6 type 4 code 1')
})
