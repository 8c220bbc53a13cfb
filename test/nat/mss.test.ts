/** Clamping of the maximum segment size, P-13. Checksums are verified by the slow oracle. */
import fc from 'fast-check'
import t from 'tap'
import { clampSegmentSize, largestSegment } from '../../src/nat/mss.ts'
import { tcp4, tcp6, verifyFrame } from '../wire/build.ts'

const mss = (size: number): number[] => [2, 4, size >>> 8, size & 0xff]
const clamp = (frame: Uint8Array, mtu: number, partial = false): boolean => {
  const is6 = frame[0] >>> 4 === 6
  return clampSegmentSize(frame, is6 ? 40 : 20, mtu, is6, partial)
}

t.test('an MTU of 1500 leaves 1460 bytes to a segment, 1440 in IPv6', async test => {
  test.equal(largestSegment(1500, false), 1460)
  test.equal(largestSegment(1500, true), 1440)
})

t.test('SYN and SYN-ACK are lowered, never raised', async test => {
  for (const flags of ['S', 'SA', 'SEC'])
    for (const [offered, expected] of [
      [1460, 1240],
      [1241, 1240],
      [1240, 1240],
      [1239, 1239],
      [536, 536],
      [0xffff, 1240],
    ]) {
      const frame = tcp4({ flags, tcpOptions: mss(offered) })
      test.equal(clamp(frame, 1280), offered !== expected)
      test.same(
        frame,
        tcp4({ flags, tcpOptions: mss(expected) }),
        `${flags} ${offered}: the frame that offers ${expected}`,
      )
      const six = tcp6({ flags, tcpOptions: mss(offered) })
      clamp(six, 1300)
      test.same(six, tcp6({ flags, tcpOptions: mss(expected) }), `${flags} ${offered} in IPv6`)
    }
})

t.test('segments without SYN, and without the option, stay as they are', async test => {
  for (const of of [
    { flags: 'A', tcpOptions: mss(9000) },
    { flags: 'S' },
    { flags: 'S', tcpOptions: [1, 1, 3, 3, 7] },
  ]) {
    const frame = tcp4(of)
    test.notOk(clamp(frame, 1280))
    test.same(frame, tcp4(of))
  }
})

t.test('wherever the option stands, the checksum stays right, or wrong', async test => {
  fc.assert(
    fc.property(
      fc.nat(3),
      fc.integer({ min: 100, max: 65_535 }),
      fc.integer({ min: 100, max: 9000 }),
      fc.boolean(),
      (pads, offered, mtu, is6) => {
        const of = {
          tcpOptions: [
            ...new Array<number>(pads).fill(1),
            ...mss(offered),
            4,
            2,
            8,
            10,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
          ],
        }
        const frame = is6 ? tcp6(of) : tcp4(of)
        const wrong = Uint8Array.from(frame)
        wrong[wrong.length - 1] ^= 1
        clamp(frame, mtu)
        clamp(wrong, mtu)
        const faults = verifyFrame(frame)
        if (faults.length > 0) throw new Error(faults.join())
        if (verifyFrame(wrong).length === 0) throw new Error('a wrong checksum was repaired')
      },
    ),
  )
  test.pass('held')
})

t.test('with a partial checksum the option alone is changed', async test => {
  const frame = tcp4({ tcpOptions: mss(1460), partial: true })
  test.ok(clamp(frame, 1280, true))
  test.same(frame, tcp4({ tcpOptions: mss(1240), partial: true }))
  test.same(verifyFrame(frame, { partial: true }), [])
})
