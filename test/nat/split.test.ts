/**
 * Cutting IPv4 packets, RFC 791 section 3.2; RFC 4787 REQ-13 a. The pieces are compared with those of the
 * builder in test/wire.
 */
import fc from 'fast-check'
import t from 'tap'
import { COMPLETE, FragmentTable } from '../../src/nat/fragments.ts'
import { fragmentCount, writePiece } from '../../src/nat/split.ts'
import { fragments4, piece4, udp4, verifyFrame } from '../wire/build.ts'

function split(frame: Uint8Array, mtu: number): Uint8Array[] {
  const source = new Uint8Array(frame.length + 100)
  source.set(frame, 50)
  const out = new Uint8Array(70_000)
  return Array.from({ length: fragmentCount(frame.length, (frame[0] & 0x0f) * 4, mtu) }, (_, index) => {
    out.fill(0xa5)
    const length = writePiece(out, 8, source, 50, frame.length, mtu, index)
    return out.slice(8, 8 + length)
  })
}

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => (index * 13) & 0xff)

t.test('a datagram of 4000 bytes on a link of 1500', async test => {
  const whole = udp4({ payload: bytes(3972), dontFragment: false })
  const pieces = split(whole, 1500)
  test.same(pieces, fragments4(whole, 1480))
  test.same(
    pieces.map(piece => piece.length),
    [1500, 1500, 1040],
  )
})

t.test('an MTU that is no multiple of 8 more than the header', async test => {
  const whole = udp4({ payload: bytes(3972), dontFragment: false })
  test.same(
    split(whole, 1499).map(piece => piece.length),
    [1492, 1492, 1056],
  )
})

t.test('options: all in the first piece, those with the copied flag in every one', async test => {
  // Record route is not copied, router alert and an unknown option of class 2 are.
  const options = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 1, 0xc1, 3, 9, 0]
  const whole = udp4({ payload: bytes(500), dontFragment: false, options })
  const pieces = split(whole, 200)
  test.same([...pieces[0].subarray(20, 36)], options)
  for (const piece of pieces.slice(1)) {
    test.equal(piece[0], 0x47, 'eight bytes of options')
    test.same([...piece.subarray(20, 28)], [148, 4, 0, 0, 0xc1, 3, 9, 0])
    test.same(verifyFrame(piece), [])
  }
})

t.test('a fragment is cut again: offsets count on, more follow where more followed', async test => {
  const whole = udp4({ payload: bytes(6000), dontFragment: false })
  const middle = piece4(whole, 1480, 4440)
  test.same(split(middle, 820), [
    piece4(whole, 1480, 2280),
    piece4(whole, 2280, 3080),
    piece4(whole, 3080, 3880),
    piece4(whole, 3880, 4440),
  ])
  const last = piece4(whole, 4440, 6008)
  test.same(split(last, 820), [piece4(whole, 4440, 5240), piece4(whole, 5240, 6008)])
})

t.test('whatever is cut is complete again, in order and within the MTU', async test => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 10_000 }),
      fc.integer({ min: 200, max: 9000 }),
      fc.nat(10),
      (length, mtu, words) => {
        const whole = udp4({
          payload: bytes(length),
          dontFragment: false,
          options: new Array<number>(words * 4).fill(1),
        })
        if (whole.length <= mtu) return
        const pieces = split(whole, mtu)
        const table = new FragmentTable()
        let payload: number[] = []
        for (const [index, piece] of pieces.entries()) {
          if (piece.length > mtu || verifyFrame(piece).length > 0) throw new Error('a piece is wrong')
          const result = table.insert4(piece, 0, piece.length, 0, 0)
          if ((result === COMPLETE) !== (index === pieces.length - 1))
            throw new Error('the last piece completes')
          payload = [...payload, ...piece.subarray((piece[0] & 0x0f) * 4)]
        }
        if (Buffer.compare(Uint8Array.from(payload), whole.subarray(20 + words * 4)) !== 0)
          throw new Error('the payload differs')
      },
    ),
    { numRuns: 60 },
  )
  test.pass('held')
})
