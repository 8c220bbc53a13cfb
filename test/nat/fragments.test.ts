/**
 * Fragments: what is held, what comes out, what is lost. Names give the rows of RFC 815, 1858, 3128, 5722,
 * 6946, 8200 that a test is about.
 */
import fc from 'fast-check'
import t from 'tap'
import { CHUNK_BYTES, CHUNKS } from '../../src/nat/fragment-pool.ts'
import {
  COMPLETE,
  FRAGMENT_SECONDS,
  FragmentTable,
  HELD,
  MAX_DATAGRAMS,
  MAX_PIECES,
  SOURCE_CHUNKS,
  SOURCE_DATAGRAMS,
} from '../../src/nat/fragments.ts'
import { Drop } from '../../src/tables/drops.ts'
import { HASH_KEYS } from '../../src/tables/hash.ts'
import { WALK_LEN, Walk, walk } from '../../src/wire/extensions.ts'
import {
  fragments4,
  fragments6,
  packet4,
  packet6,
  piece4,
  piece6,
  tcp4,
  tcp6,
  udp4,
  udp6,
} from '../wire/build.ts'

/** Frames are given in the middle of something, as in a slab. */
const AT = 64
const around = new Uint8Array(AT + 70_000)
const found = new Int32Array(WALK_LEN)

/** With these keys the sources of a test have a bucket each, which by chance they nearly always have. */
const secret = Int32Array.from({ length: HASH_KEYS }, (_, index) => Math.imul(index + 1, 0x9e3779b1))

interface Where {
  device?: number
  now?: number
}

function insert(table: FragmentTable, frame: Uint8Array, { device = 3, now = 0 }: Where = {}): number {
  around.fill(0xa5, 0, AT + frame.length + 64)
  around.set(frame, AT)
  if (frame[0] >>> 4 === 4) return table.insert4(around, AT, frame.length, device, now)
  walk(around, AT, AT + frame.length, found)
  const [fragment, protocol, transport] = [
    found[Walk.FragmentAt],
    found[Walk.Protocol],
    found[Walk.TransportAt],
  ]
  return table.insert6(around, AT, frame.length, fragment, protocol, transport, device, now)
}

/** The pieces of the datagram that is complete, which is then released. */
function takeOut(table: FragmentTable): Uint8Array[] {
  const pieces = Array.from({ length: table.count }, (_, index) => {
    around.fill(0xa5)
    const length = table.copyPiece(index, around, AT)
    return around.slice(AT, AT + length)
  })
  table.release(table.datagram)
  return pieces
}

const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff)
const big4 = (length: number, identification = 1, source = '10.0.0.5') =>
  udp4({ payload: bytes(length, identification), identification, source, dontFragment: false })
const big6 = (length: number, source = 'fd00::5') => udp6({ payload: bytes(length), source })

const permutations = <T>(of: readonly T[]): T[][] =>
  of.length < 2
    ? [[...of]]
    : of.flatMap((one, index) => permutations(of.toSpliced(index, 1)).map(rest => [one, ...rest]))

for (const [family, pieces] of [
  ['IPv4', fragments4(big4(4000), 1480)],
  ['IPv6', fragments6(big6(3800), 1280)],
] as const)
  t.test(
    `F-1, F-2: every order of three ${family} fragments comes out in order, as it came in`,
    async test => {
      test.equal(pieces.length, 3)
      for (const order of permutations(pieces)) {
        const table = new FragmentTable()
        test.same(
          order.map(piece => insert(table, piece)),
          [HELD, HELD, COMPLETE],
        )
        test.equal(table.held, 3, 'a complete datagram is held until it is released')
        test.same(takeOut(table), pieces)
        test.equal(table.held, 0)
      }
    },
  )

t.test('any cuts in any order, with repetitions, come out once and whole', async test => {
  const how = fc.record({
    is6: fc.boolean(),
    length: fc.integer({ min: 40, max: 12_000 }),
    cuts: fc.uniqueArray(fc.integer({ min: 1, max: 1500 }), { maxLength: 20 }),
    order: fc.infiniteStream(fc.nat()),
    repetitions: fc.array(fc.nat(), { maxLength: 5 }),
  })
  fc.assert(
    fc.property(how, ({ is6, length, cuts, order, repetitions }) => {
      const whole = is6 ? big6(length) : big4(length)
      const payload = whole.length - (is6 ? 40 : 20)
      const ends = [...new Set(cuts.map(cut => cut * 8))]
        .filter(cut => cut < payload && cut >= 8)
        .sort((a, b) => a - b)
      if (ends.length === 0) return
      const bounds = [0, ...ends, payload]
      const pieces = bounds
        .slice(1)
        .map((to, index) => (is6 ? piece6(whole, bounds[index], to) : piece4(whole, bounds[index], to)))
      const [last, ...others] = shuffled(pieces, order)
      const table = new FragmentTable()
      for (const piece of others)
        if (insert(table, piece) !== HELD) throw new Error('an incomplete datagram is held')
      for (const index of repetitions) {
        const again = others[index % others.length]
        if (insert(table, again) !== Drop.FragmentOverlap || table.lost !== 0)
          throw new Error('a repetition is dropped alone')
      }
      if (insert(table, last) !== COMPLETE) throw new Error('the last piece completes')
      const out = takeOut(table)
      if (!out.every((piece, index) => Buffer.compare(piece, pieces[index]) === 0))
        throw new Error('pieces differ')
      if (out.length !== pieces.length || table.held !== 0) throw new Error('too few or too many')
    }),
    { numRuns: 300 },
  )
  test.pass('held')
})

function shuffled<T>(of: readonly T[], order: Iterator<number>): T[] {
  const left = [...of]
  return of.map(() => left.splice(order.next().value % left.length, 1)[0])
}

t.test(
  'F-4, F-5, S6: whatever overlaps ends its datagram, what is there and what is still to come',
  async test => {
    const shapes: [name: string, first: [number, number], second: [number, number]][] = [
      ['head', [800, 1600], [0, 808]],
      ['tail', [0, 808], [800, 1600]],
      ['inside', [0, 1600], [400, 800]],
      ['over the whole', [400, 800], [0, 1600]],
      ['same begin, longer', [0, 800], [0, 1600]],
      ['same begin, shorter', [0, 1600], [0, 800]],
      ['same end', [0, 1600], [800, 1600]],
    ]
    for (const [family, piece] of [
      ['IPv4', (from: number, to: number) => piece4(big4(4000), from, to)],
      ['IPv6', (from: number, to: number) => piece6(big6(4000), from, to)],
    ] as const)
      for (const [name, first, second] of shapes) {
        const table = new FragmentTable()
        test.equal(insert(table, piece(2400, 3200)), HELD)
        test.equal(insert(table, piece(...first)), HELD)
        test.equal(insert(table, piece(...second)), Drop.FragmentOverlap, `${family}: ${name}`)
        test.equal(table.lost, 2, 'with what was held')
        test.equal(table.held, 0)
        for (const rest of [piece(0, 1600), piece(1600, 2400), piece(2400, 3200), piece(3200, 4008)]) {
          test.equal(insert(table, rest), Drop.FragmentOverlap, 'and what comes later')
          test.equal(table.lost, 0)
        }
      }
  },
)

t.test('F-7, RFC 3128: the same place with other data ends the datagram', async test => {
  const table = new FragmentTable()
  const whole = tcp4({ flags: 'A', payload: bytes(4000), dontFragment: false })
  const other = tcp4({ flags: 'S', payload: bytes(4000), dontFragment: false })
  test.equal(insert(table, piece4(whole, 0, 1480)), HELD)
  test.equal(insert(table, piece4(other, 0, 1480)), Drop.FragmentOverlap)
  test.equal(table.lost, 1)
})

t.test('a repetition that differs in its last byte, in a later chunk, is none', async test => {
  const table = new FragmentTable()
  const piece = piece4(big4(20_000), 0, 8000)
  const forged = Uint8Array.from(piece)
  forged[forged.length - 1] ^= 1
  test.equal(insert(table, piece), HELD)
  test.equal(insert(table, piece), Drop.FragmentOverlap)
  test.equal(table.lost, 0)
  test.equal(table.held, 1)
  test.equal(insert(table, forged), Drop.FragmentOverlap)
  test.equal(table.lost, 1)
})

t.test('a datagram has one end', async test => {
  const whole = big4(4000)
  const endings: [string, Uint8Array, Uint8Array][] = [
    ['two ends', piece4(whole, 3200, 3608, false), piece4(whole, 3608, 4008)],
    ['the later end first', piece4(whole, 3608, 4008), piece4(whole, 2400, 3200, false)],
    ['something behind the end', piece4(whole, 2400, 3200, false), piece4(whole, 3200, 3600)],
    ['an end before what is there', piece4(whole, 3200, 3600), piece4(whole, 800, 1600, false)],
    ['more behind what ends there', piece4(whole, 3200, 4008), piece4(whole, 3600, 4008, true)],
  ]
  for (const [name, first, second] of endings) {
    const table = new FragmentTable()
    test.equal(insert(table, first), HELD)
    test.equal(insert(table, second), Drop.FragmentOverlap, name)
    test.equal(table.held, 0)
  }
})

t.test('F-6, S7, RFC 1858: a first fragment has the whole transport header', async test => {
  const tcp = tcp4({ payload: bytes(100), tcpOptions: [2, 4, 5, 180, 1, 1, 1, 1], dontFragment: false })
  const tcpOf6 = tcp6({ payload: bytes(100), tcpOptions: [2, 4, 5, 180, 1, 1, 1, 1] })
  const table = new FragmentTable()
  for (const to of [8, 16, 24]) {
    test.equal(insert(table, piece4(tcp, 0, to)), Drop.FragmentTiny, `IPv4, ${to} bytes of 28`)
    test.equal(insert(table, piece6(tcpOf6, 0, to)), Drop.FragmentTiny, `IPv6, ${to} bytes of 28`)
  }
  test.equal(insert(table, piece4(tcp, 8, 64)), Drop.FragmentTiny, 'offset 8 reaches into the header')
  test.equal(insert(table, piece4(tcp, 16, 64)), Drop.FragmentTiny, 'offset 16 too')
  test.equal(insert(table, piece6(tcpOf6, 8, 64)), Drop.FragmentTiny)
  test.equal(table.held, 0, 'nothing of it is held')
  test.equal(insert(table, piece4(tcp, 0, 32)), HELD)
  test.equal(insert(table, piece4(big4(100), 0, 8)), HELD, 'UDP has 8 bytes')
  test.equal(
    insert(table, piece4(packet4(47, bytes(64), { identification: 9 }), 0, 8)),
    HELD,
    'GRE has no ports',
  )
})

t.test('F-11: a fragment that others follow is a multiple of 8 long, and none is empty', async test => {
  const table = new FragmentTable()
  test.equal(insert(table, piece4(big4(4000), 0, 1001, true)), Drop.FragmentBadLength)
  test.equal(insert(table, piece6(big6(4000), 0, 1001, 1, true)), Drop.FragmentBadLength)
  test.equal(insert(table, piece4(big4(4000), 800, 800, true)), Drop.FragmentBadLength)
  test.equal(insert(table, piece6(big6(4000), 800, 800, 1, false)), Drop.FragmentBadLength)
  test.equal(table.held, 0)
})

t.test('F-10, S9: the largest legal datagram passes, one byte more is dropped', async test => {
  const table = new FragmentTable()
  const largest4 = fragments4(big4(65_535 - 28), 1480)
  test.equal(largest4.length, 45)
  test.same(
    largest4.map(piece => insert(table, piece)),
    [...new Array<number>(44).fill(HELD), COMPLETE],
  )
  test.same(takeOut(table), largest4)
  const largest6 = fragments6(big6(65_535 - 8), 1448)
  test.same(largest6.map(piece => insert(table, piece)).at(-1), COMPLETE)
  test.same(takeOut(table), largest6)

  const tail4 = packet4(17, bytes(3), {}, 65_512 / 8)
  test.equal(insert(table, tail4), HELD, '20 + 65,512 + 3 is 65,535')
  test.equal(table.expire(1_000_000), 1)
  test.equal(insert(table, packet4(17, bytes(4), {}, 65_512 / 8)), Drop.FragmentTooBig)
  test.equal(
    insert(table, packet4(17, bytes(1400), {}, 65_528 / 8)),
    Drop.FragmentTooBig,
    'the ping of death',
  )
  const tail6 = (length: number) =>
    packet6(17, bytes(length), {
      extensions: [{ header: 44, body: [0, 0, 0xff, 0xf8, 0, 0, 0, 9].slice(2) }],
    })
  test.equal(insert(table, tail6(7)), HELD)
  test.equal(insert(table, tail6(8)), Drop.FragmentTooBig)
})

t.test('what tells datagrams apart', async test => {
  const whole = big4(2000)
  const [first, last] = fragments4(whole, 1480)
  const table = new FragmentTable()
  insert(table, first)
  const others: [string, Uint8Array, Where?][] = [
    ['source', fragments4(big4(2000, 1, '10.0.0.6'), 1480)[1]],
    [
      'destination',
      fragments4(
        udp4({ payload: bytes(2000), identification: 1, destination: '10.0.1.21', dontFragment: false }),
        1480,
      )[1],
    ],
    ['identification', fragments4(big4(2000, 2), 1480)[1]],
    ['protocol', fragments4(packet4(47, bytes(2008), { identification: 1, dontFragment: false }), 1480)[1]],
    ['device', last, { device: 4 }],
  ]
  for (const [name, piece, where] of others) test.equal(insert(table, piece, where), HELD, `another ${name}`)
  test.equal(insert(table, last), COMPLETE)
  test.equal(table.count, 2)

  const six = new FragmentTable()
  insert(six, fragments6(big6(2000), 1280, 7)[0])
  test.equal(insert(six, fragments6(big6(2000), 1280, 8)[1]), HELD)
  test.equal(insert(six, fragments6(big6(2000, 'fd00::6'), 1280, 7)[1]), HELD)
  test.equal(insert(six, fragments6(big6(2000), 1280, 7)[1]), COMPLETE)
})

t.test('F-3: what nobody completes is given up after its time, counted from its first piece', async test => {
  const table = new FragmentTable()
  const [first, middle] = fragments4(big4(4000), 1480)
  const time = FRAGMENT_SECONDS * 100
  const begin = 2 ** 31 - 100 // The tick wraps meanwhile.
  test.equal(insert(table, middle, { now: begin }), HELD)
  test.equal(insert(table, first, { now: (begin + time) | 0 }), HELD)
  insert(table, fragments4(big4(4000, 2), 1480)[1], { now: (begin + time) | 0 })
  test.equal(table.expire((begin + time) | 0), 0)
  test.equal(table.held, 3)
  test.equal(table.expire((begin + time + 1) | 0), 2)
  test.equal(table.held, 1)
})

t.test('a datagram that was lost is forgotten after its time', async test => {
  const table = new FragmentTable()
  const whole = big4(4000)
  insert(table, piece4(whole, 0, 1480))
  insert(table, piece4(whole, 8, 1480))
  test.equal(insert(table, piece4(whole, 1480, 2960)), Drop.FragmentOverlap)
  const time = FRAGMENT_SECONDS * 100
  test.equal(insert(table, piece4(whole, 1480, 2960), { now: time }), Drop.FragmentOverlap)
  test.equal(
    insert(table, piece4(whole, 1480, 2960), { now: time + 1 }),
    HELD,
    'whether or not anybody expired it',
  )
  test.equal(table.expire(time + 1), 0)
  test.equal(table.held, 1)
})

t.test('F-13, S8: a datagram in very many pieces is lost', async test => {
  const table = new FragmentTable()
  const whole = big4(20_000)
  for (let index = 0; index < MAX_PIECES; index++)
    test.equal(insert(table, piece4(whole, index * 16, index * 16 + 8)), HELD)
  test.equal(insert(table, piece4(whole, MAX_PIECES * 16, MAX_PIECES * 16 + 8)), Drop.FragmentTableFull)
  test.equal(table.lost, MAX_PIECES)
  test.equal(table.held, 0)
})

t.test('F-13: a source that wants more than its share pushes out its own oldest', async test => {
  const table = new FragmentTable(secret)
  const one = (identification: number, source: string) => fragments4(big4(2000, identification, source), 1480)
  insert(table, one(1, '10.0.0.99')[0])
  for (let id = 0; id < SOURCE_DATAGRAMS; id++) {
    test.equal(insert(table, one(id, '10.0.0.5')[0]), HELD)
    test.equal(table.evicted, 0)
  }
  insert(table, one(60_000, '10.0.0.5')[0])
  test.equal(table.evicted, 1)
  test.equal(insert(table, one(1, '10.0.0.5')[1]), COMPLETE, 'the second oldest is still there')
  takeOut(table)
  test.equal(insert(table, one(0, '10.0.0.5')[1]), HELD, 'the oldest is not')
  test.equal(insert(table, one(1, '10.0.0.99')[1]), COMPLETE, 'another source has not lost anything')
})

t.test('F-13: bytes of a source are bounded too', async test => {
  const table = new FragmentTable()
  const each = 40
  const piece = (identification: number) =>
    piece4(big4(64_000, identification), 0, each * CHUNK_BYTES - ((each * CHUNK_BYTES) % 8) - 24)
  let evicted = 0
  for (let id = 0; id < 40; id++) {
    test.equal(insert(table, piece(id)), HELD)
    evicted += table.evicted
  }
  const fit = Math.floor(SOURCE_CHUNKS / each)
  test.equal(table.held, fit)
  test.equal(evicted, 40 - fit)
})

/** Pieces of this many chunks each, for tests that fill the table. */
const WIDE = 6
const template = piece4(big4(30_000), 0, 8000)
/**
 * The template with another identification and another last byte of the source; the table leaves checksums to
 * its callers.
 */
function wide(identification: number, source: string): Uint8Array {
  const piece = Uint8Array.from(template)
  piece.set([identification >>> 8, identification & 0xff], 4)
  piece[15] = Number(source.split('.')[3])
  return piece
}
const sourceOf = (index: number) => `10.0.0.${1 + (index % 5)}`

t.test('F-13: a datagram never gives way to its own pieces, in a full share or a full pool', async test => {
  const fillings: [name: string, pieces: number, source: (index: number) => string][] = [
    ['share', Math.floor(SOURCE_CHUNKS / WIDE), () => sourceOf(0)],
    ['pool', Math.floor(CHUNKS / WIDE), sourceOf],
  ]
  for (const [name, pieces, source] of fillings) {
    const table = new FragmentTable(secret)
    const datagram = fragments4(big4(30_000, 0, source(0)), 8000)
    insert(table, datagram[0])
    for (let index = 1; index < pieces; index++) {
      insert(table, wide(index, source(index)))
      if (table.evicted > 0) test.fail(`${name}: evicted too early`)
    }
    test.equal(insert(table, datagram[1]), HELD, name)
    test.equal(table.evicted, 1)
    test.equal(insert(table, datagram[2]), HELD)
    test.equal(insert(table, datagram[3]), COMPLETE)
    test.same(takeOut(table), datagram)
  }
})

t.test('REQ-14 a: what is given up gives back all its room', async test => {
  const table = new FragmentTable(secret)
  let now = 0
  for (let round = 0; round < 12; round++) {
    for (let index = 0; index < Math.floor(CHUNKS / WIDE); index++) {
      insert(table, wide(index, sourceOf(index)), { now })
      if (table.evicted > 0) test.fail(`round ${round}: no room for piece ${index}`)
    }
    now += FRAGMENT_SECONDS * 100 + 1
    test.equal(table.expire(now), Math.floor(CHUNKS / WIDE))
  }
})

t.test('F-13: datagrams of all sources are bounded, the oldest gives way', async test => {
  const table = new FragmentTable()
  const source = (index: number) => `10.1.${index >> 8}.${index & 0xff}`
  const pieces = (index: number) => fragments4(big4(2000, 1, source(index)), 1480)
  let evicted = 0
  for (let index = 0; index < MAX_DATAGRAMS + 10; index++) {
    insert(table, pieces(index)[0])
    evicted += table.evicted
  }
  test.equal(evicted, 10)
  test.equal(table.held, MAX_DATAGRAMS)
  test.equal(insert(table, pieces(10)[1]), COMPLETE)
})

t.test('REQ-14 a, S8: a flood is bounded and every fragment is accounted for', async test => {
  const table = new FragmentTable()
  const wholes = Array.from({ length: 200 }, (_, index) => big4(9000, index % 7, `10.2.0.${index}`))
  let state = 12_345
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  let inserted = 0
  let gone = 0
  let out = 0
  for (let round = 0; round < 30_000; round++) {
    const whole = wholes[random(200)]
    const from = random(1100) * 8
    const frame = piece4(whole, from, Math.min(from + 8 * (1 + random(200)), 9008))
    frame[4] = random(16)
    const result = insert(table, frame, { now: round >> 2 })
    inserted++
    gone += table.evicted
    if (result > 0) gone += 1 + table.lost
    if (result === COMPLETE) {
      out += table.count
      table.release(table.datagram)
    }
    if (random(100) === 0) gone += table.expire(round >> 2)
    if (inserted !== gone + out + table.held)
      throw new Error(`round ${round}: ${inserted} in, ${gone} gone, ${out} out, ${table.held} held`)
    if (table.held > CHUNKS) throw new Error('more held than there is room for')
  }
  test.ok(gone > 20_000, 'most of it was lost')
  gone += table.expire(1_000_000)
  test.equal(table.held, 0)
  test.equal(inserted, gone + out)
  const pieces = fragments4(big4(65_000), 1480)
  test.equal(pieces.map(piece => insert(table, piece)).at(-1), COMPLETE, 'and the table is as good as new')
  test.same(takeOut(table), pieces)
})
