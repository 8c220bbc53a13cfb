import t from 'tap'
import { swap16 } from '../../src/wire/bytes.ts'
import { pseudoSum4 } from '../../src/wire/checksum.ts'
import * as udp from '../../src/wire/udp.ts'
import { hex, udp4, word4 } from './build.ts'

const header = hex('9c40 0035 000c abcd 0102 0304')

t.test('fields are read', async t => {
  t.equal(udp.sourcePort(header, 0), 40000)
  t.equal(udp.destinationPort(header, 0), 53)
  t.equal(udp.length(header, 0), 12)
  t.equal(udp.checksum(header, 0), swap16(0xabcd), 'as loaded')
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(10).fill(0xa5)
  udp.setSourcePort(to, 1, 40000)
  udp.setDestinationPort(to, 1, 53)
  udp.setLength(to, 1, 12)
  udp.setChecksum(to, 1, swap16(0xabcd))
  t.strictSame(to, Uint8Array.of(0xa5, ...header.subarray(0, 8), 0xa5))
})

t.test('a datagram cut anywhere does not fit', async t => {
  for (let end = 0; end < header.length; end++) t.notOk(udp.fits(header, 0, end), `cut at ${end}`)
  t.ok(udp.fits(header, 0, header.length))
  t.ok(
    udp.fits(Uint8Array.of(...header, 0, 0), 0, header.length + 2),
    'what lies behind its length is no fault',
  )
  t.notOk(udp.headerFits(0, 7))
  t.ok(udp.headerFits(0, 8))
})

t.test('a length below the header or past the end does not fit', async t => {
  for (const [length, fits] of [
    [0, false],
    [7, false],
    [8, true],
    [12, true],
    [13, false],
    [65535, false],
  ] as const) {
    const datagram = header.slice()
    udp.setLength(datagram, 0, length)
    t.equal(udp.fits(datagram, 0, datagram.length), fits, `length ${length}`)
  }
})

t.test('the checksum is filled in over the stated length', async t => {
  const frame = udp4({ payload: 'some data' })
  const whole = Uint8Array.of(...frame, 0xff, 0xff)
  const behind = whole.slice()
  udp.setChecksum(behind, 20, 0xa5a5)
  udp.fillChecksum(behind, 20, pseudoSum4(word4('10.0.0.5'), word4('10.0.1.20'), 17, 17))
  t.strictSame(behind, whole)
})

t.test('a header in one line', async t => {
  t.equal(udp.describe(header, 0), 'udp 40000 > 53 length 12')
})
