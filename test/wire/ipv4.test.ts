import t from 'tap'
import { load32, swap16 } from '../../src/wire/bytes.ts'
import * as ipv4 from '../../src/wire/ipv4.ts'
import { hex, packet4, piece4, slowChecksum, tcp4, udp4, verifyFrame, word4 } from './build.ts'

const { Fault, OptionFault } = ipv4

/**
 * 10.0.0.5 to 192.0.2.33, TCP, service 0xb9, identification 0xbeef, offset 1480, more, TTL 61, four bytes of
 * options.
 */
const header = hex('46b9 0040 beef 20b9 3d06 ce2f 0a00 0005 c000 0221 0101 0100')

t.test('fields are read', async t => {
  t.equal(ipv4.version(header, 0), 4)
  t.equal(ipv4.headerLength(header, 0), 24)
  t.equal(ipv4.service(header, 0), 0xb9)
  t.equal(ipv4.totalLength(header, 0), 64)
  t.equal(ipv4.identification(header, 0), 0xbeef)
  t.equal(ipv4.fragmentOffset(header, 0), 1480)
  t.equal(ipv4.moreFragments(header, 0), true)
  t.equal(ipv4.dontFragment(header, 0), false)
  t.equal(ipv4.isFragment(header, 0), true)
  t.equal(ipv4.ttl(header, 0), 61)
  t.equal(ipv4.protocol(header, 0), 6)
  t.equal(ipv4.checksum(header, 0), swap16(0xce2f), 'as loaded')
  t.equal(ipv4.source(header, 0), word4('10.0.0.5'), 'as loaded')
  t.equal(ipv4.destination(header, 0), word4('192.0.2.33'), 'as loaded')
  t.equal(ipv4.payloadAt(header, 0), 24)
  t.equal(ipv4.endAt(header, 0), 64)
  t.equal(ipv4.checksumHolds(header, 0), true)
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(header.length + 2).fill(0xa5)
  ipv4.setHeaderLength(to, 1, 24)
  ipv4.setService(to, 1, 0xb9)
  ipv4.setTotalLength(to, 1, 64)
  ipv4.setIdentification(to, 1, 0xbeef)
  ipv4.setFragment(to, 1, 1480, ipv4.MORE_FRAGMENTS)
  ipv4.setTtl(to, 1, 61)
  ipv4.setProtocol(to, 1, 6)
  ipv4.setSource(to, 1, word4('10.0.0.5'))
  ipv4.setDestination(to, 1, word4('192.0.2.33'))
  t.strictSame(to.subarray(21), new Uint8Array(5).fill(0xa5), 'the options are not touched')
  to.set(header.subarray(20), 21)
  ipv4.fillChecksum(to, 1)
  t.strictSame(to, Uint8Array.of(0xa5, ...header, 0xa5))
  ipv4.setChecksum(to, 1, swap16(0x1234))
  t.strictSame(to.subarray(11, 13), Uint8Array.of(0x12, 0x34))
})

t.test('a packet cut anywhere does not fit, and names a reason', async t => {
  const frame = tcp4({ options: [7, 3, 4, 0], payload: 'data' })
  t.equal(ipv4.fault(frame, 0, frame.length), Fault.None)
  for (let end = 0; end < frame.length; end++) {
    const expected = end < 20 ? Fault.Truncated : end < 24 ? Fault.HeaderLength : Fault.TotalLength
    t.equal(ipv4.fault(frame, 0, end), expected, `cut at ${end}`)
    t.notOk(ipv4.fits(frame, 0, end))
    t.equal(ipv4.headerFault(frame, 0, end) === Fault.None, end >= 24, `header cut at ${end}`)
  }
})

t.test('a trailer behind the total length is no fault', async t => {
  const frame = Uint8Array.of(...udp4(), 0, 0, 0)
  t.ok(ipv4.fits(frame, 0, frame.length))
  t.equal(ipv4.endAt(frame, 0), frame.length - 3)
})

t.test('the five faults of RFC 1812 section 5.2.2', async t => {
  const broken = (change: (frame: Uint8Array) => void) => {
    const frame = tcp4({ payload: 'data' })
    change(frame)
    return ipv4.fault(frame, 0, frame.length)
  }
  t.equal(
    broken(frame => frame.fill(0x65, 0, 1)),
    Fault.Version,
  )
  for (const words of [0, 1, 2, 3, 4])
    t.equal(
      broken(frame => frame.fill(0x40 | words, 0, 1)),
      Fault.HeaderLength,
      `header of ${words} words`,
    )
  t.equal(
    broken(frame => frame.fill(0x4f, 0, 1)),
    Fault.HeaderLength,
    'a header past the end',
  )
  for (const total of [0, 19, 45, 65535])
    t.equal(
      broken(frame => ipv4.setTotalLength(frame, 0, total)),
      Fault.TotalLength,
      `total length ${total}`,
    )
  const flipped = tcp4()
  flipped[1] ^= 1
  t.notOk(ipv4.checksumHolds(flipped, 0))
})

t.test('every TTL goes down by one and the checksum with it', async t => {
  for (let ttl = 1; ttl < 256; ttl++) {
    const frame = udp4({ ttl })
    ipv4.decrementTtl(frame, 0)
    t.strictSame(frame, udp4({ ttl: ttl - 1 }))
  }
  const wrong = udp4()
  wrong[10] ^= 0x40
  ipv4.decrementTtl(wrong, 0)
  t.strictSame(verifyFrame(wrong), ['ipv4 header checksum'], 'a wrong checksum stays wrong')
})

t.test('every checksum there is survives a hop', async t => {
  let wrong = 0
  const frame = udp4()
  for (let identification = 0; identification <= 0xffff; identification++) {
    ipv4.setIdentification(frame, 0, identification)
    ipv4.setTtl(frame, 0, 64)
    ipv4.fillChecksum(frame, 0)
    ipv4.decrementTtl(frame, 0)
    const decremented = ipv4.checksum(frame, 0)
    ipv4.setChecksum(frame, 0, 0)
    if (decremented !== swap16(slowChecksum(frame.subarray(0, 20)))) wrong++
  }
  t.equal(wrong, 0)
})

t.test('the masks of the second word tell fragments', async t => {
  const whole = udp4({ payload: new Uint8Array(100) })
  const atomic = udp4({ dontFragment: true, identification: 0xffff })
  const [first, middle, last] = [piece4(whole, 0, 48), piece4(whole, 48, 96), piece4(whole, 96, 108)]
  const masks = (frame: Uint8Array) => {
    const word = load32(frame, 4)
    return [(word & ipv4.FRAGMENT_WORD_MASK) !== 0, (word & ipv4.OFFSET_WORD_MASK) !== 0]
  }
  t.strictSame(masks(atomic), [false, false])
  t.strictSame(masks(first), [true, false])
  t.strictSame(masks(middle), [true, true])
  t.strictSame(masks(last), [true, true])
  t.equal(ipv4.isFragment(atomic, 0), false)
  t.strictSame(
    [first, middle, last].map(frame => ipv4.fragmentOffset(frame, 0)),
    [0, 48, 96],
  )
  t.strictSame(
    [first, middle, last].map(frame => ipv4.moreFragments(frame, 0)),
    [true, true, false],
  )
})

const optionFault = (...options: number[]) => ipv4.optionFault(packet4(17, new Uint8Array(8), { options }), 0)

t.test('every option kind with every length is judged, none beyond the header', async t => {
  const wellFormed: Record<number, (length: number) => boolean> = {
    7: length => length >= 3,
    68: length => length >= 4,
    148: length => length === 4,
  }
  for (let kind = 2; kind < 256; kind++)
    for (let length = 0; length <= 255; length++) {
      // The option fills what the header can hold of it; its pointer says that it is full.
      const body = new Array<number>(Math.max(0, Math.min(length, 40) - 2)).fill(0)
      if (body.length > 0) body[0] = 255
      const fault = optionFault(kind, length, ...body)
      const bounded = length >= 2 && length <= 40
      const expected = !bounded
        ? OptionFault.Malformed
        : kind === 131 || kind === 137
          ? OptionFault.SourceRoute
          : (wellFormed[kind]?.(length) ?? true)
            ? OptionFault.None
            : OptionFault.Malformed
      if (fault !== expected) t.equal(fault, expected, `kind ${kind} length ${length}`)
    }
  t.pass('254 kinds, 256 lengths')
})

t.test('pointers that would be written outside of their option are malformed', async t => {
  for (let pointer = 0; pointer < 256; pointer++) {
    const route = pointer === 4 || pointer === 5 || pointer > 8 ? OptionFault.None : OptionFault.Malformed
    t.equal(optionFault(7, 8, pointer, 0, 0, 0, 0, 0), route, `record route of 8, pointer ${pointer}`)
    const stamp = pointer === 5 || pointer > 8 ? OptionFault.None : OptionFault.Malformed
    t.equal(optionFault(68, 8, pointer, 0, 0, 0, 0, 0), stamp, `timestamp of 8, pointer ${pointer}`)
  }
  t.equal(optionFault(68, 8, 5, 1, 0, 0, 0, 0), OptionFault.Malformed, 'no room for address and timestamp')
  t.equal(optionFault(68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0), OptionFault.None)
})

t.test('options end where they say or where the header does', async t => {
  t.equal(optionFault(), OptionFault.None)
  t.equal(optionFault(1, 1, 1, 1), OptionFault.None)
  t.equal(optionFault(0, 131, 3, 4), OptionFault.None, 'nothing counts behind the end')
  t.equal(optionFault(1, 1, 1, 131), OptionFault.Malformed, 'a kind without a length')
  t.equal(optionFault(1, 131, 3, 4), OptionFault.SourceRoute)
  t.equal(optionFault(148, 4, 0, 0, 137, 3, 4), OptionFault.SourceRoute, 'behind another')
})

t.test('a header in one line', async t => {
  t.equal(ipv4.describe(tcp4(), 0), '10.0.0.5 > 10.0.1.20 tcp ttl 64 length 40 id 4660 df')
  t.equal(ipv4.describe(header, 0), '10.0.0.5 > 192.0.2.33 tcp ttl 61 length 64 id 48879 offset 1480 mf')
})
