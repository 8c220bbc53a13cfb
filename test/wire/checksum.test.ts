/**
 * The checksum against arithmetic modulo 65535 (`verify.ts`), against the examples of the RFCs, and against
 * itself: whatever is updated incrementally must be what a full computation gives, for every value of the
 * field.
 */
import fc from 'fast-check'
import t from 'tap'
import { load16, load32, read16, store16, swap16, swap32 } from '../../src/wire/bytes.ts'
import * as checksum from '../../src/wire/checksum.ts'
import { tcp4, tcp6, udp4, udp6, verifyFrame, word4 } from './build.ts'
import { pseudoHeader, slowChecksum, slowSum } from './verify.ts'

const TCP = 6
const half = () =>
  fc.oneof(fc.constantFrom(0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff), fc.integer({ min: 0, max: 0xffff }))
const word = () => fc.oneof(fc.constantFrom(0, -1, 0xffff, -65536), fc.integer())

/** Two bytes of payload with which the checksum of a `udp4` with the defaults computes to 0. */
const nought = udp4({ payload: Uint8Array.of(0, 0) }).subarray(26, 28)

t.test('RFC 1071 section 3: the sum of the example', async t => {
  const example = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)
  t.equal(swap16(checksum.sumBytes(example, 0, 8)), 0xddf2)
  t.equal(slowSum(example), 0xddf2)
})

t.test('RFC 1624 section 4: the update that the older equation gets wrong', async t => {
  t.equal(checksum.update16(0xdd2f, 0x5555, 0x3285), 0x0000)
  t.equal(checksum.update16(swap16(0xdd2f), swap16(0x5555), swap16(0x3285)), 0x0000)
})

t.test('the sum of any bytes at any place is the slow one', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 99 }), fc.nat(7), fc.nat(7), (bytes, before, after) => {
      const memory = new Uint8Array(before + bytes.length + after).fill(0xa5)
      memory.set(bytes, before)
      return swap16(checksum.sumBytes(memory, before, bytes.length)) === slowSum(bytes)
    }),
  )
})

t.test('the sum by words is the sum by bytes', async t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 64, maxLength: 64 }),
      fc.nat(5),
      fc.nat(40),
      (bytes, start, length) => {
        const words = new Int32Array(bytes.buffer, bytes.byteOffset, 16)
        return checksum.sumWords(words, start * 4, length) === checksum.sumBytes(bytes, start * 4, length)
      },
    ),
  )
  const largest = new Uint8Array(65536).fill(0xff)
  t.equal(checksum.sumBytes(largest, 0, 65535), swap16(slowSum(largest.subarray(0, 65535))), 'all ones')
  t.equal(checksum.sumWords(new Int32Array(largest.buffer), 0, 65535), checksum.sumBytes(largest, 0, 65535))
})

t.test('carries fold from any 32 bits', async () => {
  fc.assert(
    fc.property(word(), value => {
      const unsigned = value >>> 0
      return checksum.fold(value) === (unsigned === 0 ? 0 : ((unsigned - 1) % 65535) + 1)
    }),
  )
})

t.test('an updated checksum is the computed one, for every checksum there is', async t => {
  let wrong = 0
  for (const [from, to] of [
    [0, 0],
    [0, 0xffff],
    [0xffff, 0],
    [0x5555, 0x3285],
    [0x1234, 0x1234],
    [1, 0xfffe],
  ])
    for (let sum = 1; sum <= 0xffff; sum++) {
      // What makes up `sum` with `from`; never 0, since no pseudo-header and no IP header is.
      const other = ((sum - from + 0xffff + 0xfffe) % 0xffff) + 1
      const before = slowChecksum([from >> 8, from & 0xff, other >> 8, other & 0xff])
      const after = slowChecksum([to >> 8, to & 0xff, other >> 8, other & 0xff])
      if (checksum.update16(before, from, to) !== after) wrong++
    }
  t.equal(wrong, 0)
})

t.test('a field of 0xffff, the other way to write 0, still holds after an update', async t => {
  fc.assert(
    fc.property(half(), half(), half(), (from, other, to) => {
      // RFC 1141 routers leave this. The bytes add up to a multiple of 65535, so both 0 and 0xffff are right.
      const closing = slowChecksum([from >> 8, from & 0xff, other >> 8, other & 0xff])
      fc.pre(other !== 0 || closing !== 0)
      const updated = checksum.update16(0xffff, from, to)
      const all = [to, other, closing, updated].flatMap(value => [value >> 8, value & 0xff])
      return slowSum(all) === 65535
    }),
  )
  t.equal(checksum.update16(0xffff, 7, 7), 0)
})

/**
 * A message of eight halves after a change of some of them, and the delta of the change as words and halves.
 */
const change = fc.record({
  before: fc.array(half(), { minLength: 8, maxLength: 8 }),
  words: fc.uniqueArray(fc.record({ at: fc.nat(2), to: word() }), { selector: item => item.at }),
  port: half(),
})

t.test('one delta of words and halves as loaded updates as a full computation does', async () => {
  fc.assert(
    fc.property(change, ({ before, words, port }) => {
      // Half 7 is no part of the change and is not 0, half 6 a port, halves 0 to 5 three words.
      const bytes = new Uint8Array(Uint16Array.from([...before.slice(0, 7), before[7] || 1]).buffer)
      const stored = swap16(slowChecksum(bytes))
      let delta = checksum.delta16(load16(bytes, 12), port)
      store16(bytes, 12, port)
      for (const { at, to } of words) {
        delta = checksum.addSums(delta, checksum.delta32(load32(bytes, at * 4), to))
        store16(bytes, at * 4, to)
        store16(bytes, at * 4 + 2, to >>> 16)
      }
      const updated = checksum.addDelta(stored, delta)
      return (
        updated === swap16(slowChecksum(bytes)) &&
        checksum.addDelta(updated, checksum.complement(delta)) === stored
      )
    }),
  )
})

t.test('deltas are the same in both byte orders', async () => {
  fc.assert(
    fc.property(word(), word(), (from, to) => {
      return (
        swap16(checksum.delta32(from, to)) === checksum.delta32(swap32(from), swap32(to)) &&
        swap16(checksum.delta16(from, to)) === checksum.delta16(swap16(from), swap16(to)) &&
        checksum.update32(0x1234, from, to) === checksum.addDelta(0x1234, checksum.delta32(from, to))
      )
    }),
  )
})

t.test('a wrong checksum stays wrong', async () => {
  fc.assert(
    fc.property(half(), half(), half(), fc.integer({ min: 1, max: 0xfffe }), (from, other, to, error) => {
      const right = slowChecksum([from >> 8, from & 0xff, other >> 8, other & 0xff])
      const updated = checksum.update16((right + error) % 65535, from, to)
      const all = [to, other, updated].flatMap(value => [value >> 8, value & 0xff])
      return slowSum(all) !== 65535
    }),
  )
})

t.test('UDP: no checksum stays none, and no update makes one vanish', async t => {
  t.equal(checksum.addDeltaUdp(0, 0x1234), 0)
  let vanished = 0
  for (let field = 1; field <= 0xffff; field++)
    for (const delta of [0, field, checksum.complement(field), 0xffff])
      if (checksum.addDeltaUdp(field, delta) === 0) vanished++
  t.equal(vanished, 0)
  t.equal(checksum.addDeltaUdp(0xdd2f, checksum.delta16(0x5555, 0x3285)), 0xffff, 'zero is sent as all ones')
})

t.test('pseudo-headers sum up to the slow ones', async () => {
  const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
  fc.assert(
    fc.property(octets(32), fc.nat(255), fc.nat(65535), (addresses, protocol, length) => {
      const slow4 = slowSum(pseudoHeader(addresses.subarray(0, 8), protocol, length))
      const slow6 = slowSum(pseudoHeader(addresses, protocol, length))
      const fast4 = checksum.pseudoSum4(load32(addresses, 0), load32(addresses, 4), protocol, length)
      return swap16(fast4) === slow4 && swap16(checksum.pseudoSum6(addresses, 0, protocol, length)) === slow6
    }),
  )
})

t.test('a partial checksum follows the addresses and is completed to the right one', async t => {
  const source = word4('203.0.113.7')
  const frame = tcp4({ partial: true, payload: 'odd' })
  const delta = checksum.delta32(load32(frame, 12), source)
  store16(frame, 12, source)
  store16(frame, 14, source >>> 16)
  store16(frame, 10, checksum.addDelta(load16(frame, 10), delta))
  store16(frame, 36, checksum.addDeltaPartial(load16(frame, 36), delta))
  t.strictSame(verifyFrame(frame, { partial: true }), [])
  checksum.completePartial(frame, 20, frame.length - 20, 36)
  t.strictSame(verifyFrame(frame), [])
})

t.test('completing gives what a sender computes, and UDP never none', async t => {
  for (const [name, partial, whole, start, field] of [
    ['tcp4', tcp4({ partial: true, payload: 'hello' }), tcp4({ payload: 'hello' }), 20, 36],
    ['tcp6', tcp6({ partial: true, payload: 'hello' }), tcp6({ payload: 'hello' }), 40, 56],
    ['udp4', udp4({ partial: true, payload: 'hello' }), udp4({ payload: 'hello' }), 20, 26],
    ['udp6', udp6({ partial: true, payload: 'hello' }), udp6({ payload: 'hello' }), 40, 46],
    ['udp4 of 0', udp4({ partial: true, payload: nought }), udp4({ payload: nought }), 20, 26],
  ] as const) {
    checksum.completePartial(partial, start, partial.length - start, field)
    t.strictSame(partial, whole, name)
  }
})

t.test('filling in and holding agree with the oracle', async t => {
  const frame = tcp4({ payload: 'abc' })
  const right = read16(frame, 36)
  const pseudo = checksum.pseudoSum4(load32(frame, 12), load32(frame, 16), TCP, 23)
  t.ok(checksum.holds(frame, 20, 23, pseudo))
  store16(frame, 36, 0xa5a5)
  t.notOk(checksum.holds(frame, 20, 23, pseudo))
  checksum.fill(frame, 20, 23, 36, pseudo)
  t.equal(read16(frame, 36), right)

  const zero = udp4({ payload: nought })
  checksum.fillUdp(zero, 20, 10, 26, checksum.pseudoSum4(load32(zero, 12), load32(zero, 16), 17, 10))
  t.equal(read16(zero, 26), 0xffff, 'a UDP checksum that computes to 0')
  t.strictSame(verifyFrame(zero), [])
})
