import fc from 'fast-check'
import t from 'tap'
import { read16, swap16 } from '../../src/wire/bytes.ts'
import { pseudoSum4 } from '../../src/wire/checksum.ts'
import * as tcp from '../../src/wire/tcp.ts'
import { hex, tcp4, tcp6, verifyFrame, word4 } from './build.ts'

const { Flag, Option, NO_OPTION } = tcp

/** Port 40000 to 443, SYN and ACK and ECE, MSS 1460, no operation, window scale 7. */
const header = hex('9c40 01bb fedc ba98 8000 0001 7052 fff0 abcd 0017 0204 05b4 0103 0307')

t.test('fields are read', async t => {
  t.equal(tcp.sourcePort(header, 0), 40000)
  t.equal(tcp.destinationPort(header, 0), 443)
  t.equal(tcp.sequence(header, 0), 0xfedcba98 | 0)
  t.equal(tcp.acknowledgment(header, 0), -2147483647)
  t.equal(tcp.headerLength(header, 0), 28)
  t.equal(tcp.flags(header, 0), Flag.Syn | Flag.Ack | Flag.Ece)
  t.equal(tcp.window(header, 0), 0xfff0)
  t.equal(tcp.checksum(header, 0), swap16(0xabcd), 'as loaded')
  t.equal(tcp.urgent(header, 0), 0x17)
  t.equal(tcp.maximumSegmentSize(header, 0), 1460)
  t.equal(tcp.windowScale(header, 0), 7)
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(22).fill(0xa5)
  tcp.setSourcePort(to, 1, 40000)
  tcp.setDestinationPort(to, 1, 443)
  tcp.setSequence(to, 1, 0xfedcba98)
  tcp.setAcknowledgment(to, 1, -2147483647)
  tcp.setHeaderLength(to, 1, 28)
  tcp.setFlags(to, 1, Flag.Syn | Flag.Ack | Flag.Ece)
  tcp.setWindow(to, 1, 0xfff0)
  tcp.setChecksum(to, 1, swap16(0xabcd))
  tcp.setUrgent(to, 1, 0x17)
  t.strictSame(to, Uint8Array.of(0xa5, ...header.subarray(0, 20), 0xa5))
})

t.test('a segment fits from its last header byte on', async t => {
  for (let end = 0; end < header.length; end++) t.notOk(tcp.fits(header, 0, end), `cut at ${end}`)
  t.ok(tcp.fits(header, 0, header.length))
  for (let words = 0; words < 16; words++) {
    const segment = header.slice()
    segment[12] = words << 4
    t.equal(tcp.fits(segment, 0, 28), words >= 5 && words <= 7, `data offset ${words}`)
  }
})

t.test('the 64 sets of flags', async t => {
  const legal = new Set(
    ['S', 'SA', 'R', 'RA', 'A', 'FA'].flatMap(set => [set, `${set}P`, `${set}U`, `${set}PU`]),
  )
  const letters = (set: number) => [...'FSRPAU'].filter((_, bit) => (set & (1 << bit)) !== 0).join('')
  const sorted = (text: string) => [...text].sort().join('')
  const legalSorted = new Set([...legal].map(sorted))
  let count = 0
  for (let set = 0; set < 64; set++) {
    const expected = legalSorted.has(sorted(letters(set)))
    if (expected) count++
    for (const ecn of [0, Flag.Ece, Flag.Cwr, Flag.Ece | Flag.Cwr])
      t.equal(tcp.flagsAreLegal(set | ecn), expected, `[${letters(set)}] with ${ecn}`)
  }
  t.equal(count, 24)
  for (const [name, set] of [
    ['null', 0],
    ['FIN alone', Flag.Fin],
    ['SYN and FIN', Flag.Syn | Flag.Fin],
    ['SYN and RST', Flag.Syn | Flag.Rst],
    ['FIN and RST', Flag.Fin | Flag.Rst | Flag.Ack],
    ['xmas', Flag.Fin | Flag.Psh | Flag.Urg],
    ['all', 0x3f],
    ['URG alone', Flag.Urg],
  ] as const)
    t.notOk(tcp.flagsAreLegal(set), name)
})

t.test('SYN and FIN take a number of the sequence, as each byte does', async t => {
  const length = (flags: string, payload: string) => {
    const frame = tcp4({ flags, payload, tcpOptions: [1, 1, 1, 1] })
    return tcp.segmentLength(frame, 20, frame.length)
  }
  t.equal(length('S', ''), 1)
  t.equal(length('A', ''), 0)
  t.equal(length('A', 'data'), 4)
  t.equal(length('FA', 'data'), 5)
  t.equal(length('SF', ''), 2)
  t.equal(length('R', ''), 0)
})

const segment = (...tcpOptions: number[]) => tcp4({ tcpOptions }).subarray(20)

t.test('options of every kind and length are found or not, none beyond the header', async t => {
  let wrong = 0
  for (let kind = 2; kind < 256; kind++)
    for (let length = 0; length < 256; length++) {
      const body = new Array<number>(Math.max(0, Math.min(length, 38) - 2)).fill(1)
      const bytes = segment(1, 1, kind, length, ...body)
      if (tcp.optionAt(bytes, 0, kind) !== (length >= 2 && length <= 38 ? 22 : NO_OPTION)) wrong++
      if (tcp.optionAt(bytes, 0, kind === 255 ? 254 : 255) !== NO_OPTION && kind !== 255) wrong++
    }
  t.equal(wrong, 0)
})

t.test('options are looked for up to the end of the list or of the header', async t => {
  const mss = [2, 4, 5, 0xb4]
  t.equal(tcp.maximumSegmentSize(segment(), 0), NO_OPTION)
  t.equal(tcp.maximumSegmentSize(segment(...mss), 0), 1460)
  t.equal(
    tcp.maximumSegmentSize(segment(4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, ...mss), 0),
    1460,
    'behind others',
  )
  t.equal(tcp.maximumSegmentSize(segment(0, 0, 0, 0, ...mss), 0), NO_OPTION, 'behind the end of the list')
  t.equal(tcp.maximumSegmentSize(segment(2, 3, 5, 0), 0), NO_OPTION, 'of a wrong length')
  t.equal(tcp.maximumSegmentSize(segment(2, 5, 5, 0xb4, 0, 0, 0, 0), 0), NO_OPTION, 'of a wrong length')
  t.equal(tcp.optionAt(segment(1, 1, 1, 2), 0, 2), NO_OPTION, 'a kind without a length')
  t.equal(
    tcp.optionAt(segment(8, 1, ...mss), 0, Option.MaximumSegmentSize),
    NO_OPTION,
    'behind a length of 1',
  )
})

t.test('the window scale is capped', async t => {
  t.equal(tcp.windowScale(segment(), 0), NO_OPTION)
  for (const [stated, counts] of [
    [0, 0],
    [7, 7],
    [14, 14],
    [15, 14],
    [255, 14],
  ])
    t.equal(tcp.windowScale(segment(3, 3, stated, 0), 0), counts)
  t.equal(tcp.windowScale(segment(3, 4, 7, 0), 0), NO_OPTION, 'of a wrong length')
})

t.test('the maximum segment size is lowered, never raised, and the checksum follows', async () => {
  const before = fc.nat(5)
  const size = fc.oneof(fc.constantFrom(0, 0xff, 0x100, 0xffff), fc.nat(0xffff))
  fc.assert(
    fc.property(before, size, size, fc.boolean(), (filler, offered, limit, six) => {
      const tcpOptions = [...new Array(filler).fill(1), 2, 4, offered >> 8, offered & 0xff]
      const frame = six ? tcp6({ tcpOptions, payload: 'x' }) : tcp4({ tcpOptions, payload: 'x' })
      const at = six ? 40 : 20
      const changed = tcp.lowerMaximumSegmentSize(frame, at, limit, false)
      return (
        changed === offered > limit &&
        tcp.maximumSegmentSize(frame, at) === Math.min(offered, limit) &&
        verifyFrame(frame).length === 0
      )
    }),
  )
})

t.test('a checksum left to the device does not cover the option', async t => {
  const frame = tcp4({ tcpOptions: [2, 4, 5, 0xb4], partial: true })
  t.ok(tcp.lowerMaximumSegmentSize(frame, 20, 1000, true))
  t.equal(read16(frame, 42), 1000)
  t.strictSame(verifyFrame(frame, { partial: true }), [])
})

t.test('a segment without the option stays as it is', async t => {
  const frame = tcp4({ tcpOptions: [1, 1, 4, 2] })
  const before = frame.slice()
  t.notOk(tcp.lowerMaximumSegmentSize(frame, 20, 500, false))
  t.strictSame(frame, before)
})

t.test('the checksum is filled in', async t => {
  const frame = tcp4({ payload: 'some data' })
  const whole = frame.slice()
  tcp.setChecksum(frame, 20, 0xa5a5)
  const pseudo = pseudoSum4(word4('10.0.0.5'), word4('10.0.1.20'), 6, frame.length - 20)
  tcp.fillChecksum(frame, 20, frame.length - 20, pseudo)
  t.strictSame(frame, whole)
})

t.test('a header in one line', async t => {
  t.equal(tcp.describe(header, 0), 'tcp 40000 > 443 [SAE] seq 4275878552 ack 2147483649 window 65520')
})
