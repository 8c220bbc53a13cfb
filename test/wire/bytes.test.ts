import fc from 'fast-check'
import t from 'tap'
import * as bytes from '../../src/wire/bytes.ts'

const packet = Uint8Array.of(0xa5, 0xc0, 0xa8, 0x01, 0x02, 0xa5)
const blank = () => new Uint8Array(6).fill(0xa5)

t.test('numbers are read in network order', async t => {
  t.equal(bytes.read16(packet, 1), 0xc0a8)
  t.equal(bytes.read32(packet, 1), 0xc0a80102 | 0, '32 bits are signed')
})

t.test('words and halves are loaded as typed arrays load them, at any alignment', async t => {
  const aligned = packet.slice(1, 5)
  t.equal(bytes.load16(packet, 1), new Uint16Array(aligned.buffer)[0])
  t.equal(bytes.load32(packet, 1), new Int32Array(aligned.buffer)[0])
})

t.test('what is written lands where it should and nowhere else', async t => {
  const written = (write: (to: Uint8Array) => void) => {
    const to = blank()
    write(to)
    return [...to]
  }
  t.strictSame(
    written(to => bytes.write16(to, 1, 0xffff1234)),
    [0xa5, 0x12, 0x34, 0xa5, 0xa5, 0xa5],
  )
  t.strictSame(
    written(to => bytes.write32(to, 1, -1062731518)),
    [...packet],
  )
  t.strictSame(
    written(to => bytes.store16(to, 1, 0xffff1234)),
    [0xa5, 0x34, 0x12, 0xa5, 0xa5, 0xa5],
  )
  t.strictSame(
    written(to => bytes.store32(to, 1, 0x0201a8c0)),
    [...packet],
  )
})

t.test('swapping goes from one order to the other', async () => {
  fc.assert(
    fc.property(fc.integer(), value => {
      const to = blank()
      bytes.write32(to, 1, value)
      return (
        bytes.swap32(value) === bytes.load32(to, 1) &&
        bytes.swap32(bytes.swap32(value)) === value &&
        bytes.swap16(value) === bytes.load16(to, 3) &&
        bytes.swap16(bytes.swap16(value)) === (value & 0xffff)
      )
    }),
  )
})

t.test('a word is made of bytes in the order of memory', async t => {
  const word = bytes.wordOf(0xc0, 0xa8, 0x01, 0x02)
  t.equal(word, bytes.load32(packet, 1))
  t.strictSame(
    [0, 1, 2, 3].map(index => bytes.byteOf(word, index)),
    [0xc0, 0xa8, 0x01, 0x02],
  )
})

t.test('bytes are copied between arrays and within one, where they may overlap', async t => {
  const to = blank()
  bytes.copyBytes(to, 2, packet, 1, 3)
  t.strictSame([...to], [0xa5, 0xa5, 0xc0, 0xa8, 0x01, 0xa5])
  bytes.copyBytes(to, 3, to, 2, 3)
  t.strictSame([...to], [0xa5, 0xa5, 0xc0, 0xc0, 0xa8, 0x01])
})
