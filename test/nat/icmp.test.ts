/**
 * ICMP errors through the NAT. A translated error is compared byte by byte with the same error built anew
 * around translated addresses, all checksums computed by the slow oracle of test/wire. Names give the rows of
 * RFC 5508 and RFC 4787 that a test is about.
 */
import fc from 'fast-check'
import t from 'tap'
import { Quote } from '../../src/nat/icmp.ts'
import { Drop, dropName } from '../../src/tables/drops.ts'
import {
  type Extension,
  icmp4,
  icmp6,
  packet4,
  packet6,
  piece4,
  piece6,
  slowChecksum,
  udp4,
  udp6,
  verifyFrame,
  verifyQuoted,
} from '../wire/build.ts'
import { pseudoHeader } from '../wire/verify.ts'
import {
  AT,
  bytes,
  eni,
  errors4,
  errors6,
  inner4,
  inner6,
  inside,
  inward4,
  inward6,
  loaded,
  outward4,
  outward6,
  quote,
  ROUTER,
  ROUTER6,
  read,
  remote,
  type Shape,
  type Side,
  shapes,
  translate,
} from './icmp-errors.ts'

t.test(
  'REQ-4, REQ-5, REQ-10 a: every error about every protocol, both ways, is as if it were built anew',
  async test => {
    for (const shape of shapes) {
      for (const error of errors4)
        for (const [name, { before, after, how }] of [
          ['inward', inward4({ shape }, error)],
          ['outward', outward4({ shape }, error)],
        ] as const) {
          const translated = translate(before, how)
          test.same(translated, after, `IPv4 ${name} ${shape} ${error.type}/${error.code}`)
          test.same([...verifyFrame(translated), ...verifyQuoted(translated)], [])
        }
      for (const error of errors6)
        for (const [name, { before, after, how }] of [
          ['inward', inward6({ shape }, error)],
          ['outward', outward6({ shape }, error)],
        ] as const) {
          const translated = translate(before, how)
          test.same(translated, after, `IPv6 ${name} ${shape} ${error.type}/${error.code}`)
          test.same([...verifyFrame(translated), ...verifyQuoted(translated)], [])
        }
    }
  },
)

t.test('what a quotation says is found', async test => {
  const { before } = inward4({ shape: 'tcp', options: [7, 7, 4, 0, 0, 0, 0, 1] }, errors4[1])
  test.equal(read(before), Drop.None)
  test.equal(quote[Quote.At], AT + 28)
  test.equal(quote[Quote.Protocol], 6)
  test.equal(quote[Quote.TransportAt], AT + 28 + 28)
  test.equal(quote[Quote.Ports], loaded(eni.port) | (loaded(remote.port) << 16) | 0)
  test.equal(quote[Quote.Sequence], 0xdeadbeef | 0)
  test.equal(read(inward6({ shape: 'echo' }, errors6[0]).before), Drop.None)
  test.equal(quote[Quote.Protocol], 58)
  test.equal(quote[Quote.Ports], loaded(eni.port))
  test.equal(quote[Quote.Sequence], 0)
})

t.test('REQ-3 b, R4-12: options of the quoted packet, header lengths 20 to 60', async test => {
  for (let words = 0; words <= 10; words++) {
    const options = new Array<number>(words * 4).fill(1)
    for (const shape of shapes) {
      const { before, after, how } = inward4({ shape, options }, errors4[0])
      test.same(translate(before, how), after, `${words * 4} bytes of options, ${shape}`)
    }
  }
})

t.test('S12: extension headers of the quoted packet', async test => {
  const chains: Extension[][] = [
    [{ header: 0, body: [0, 0, 1, 4, 0, 0, 0, 0] }],
    [
      { header: 60, body: [0, 0, 1, 12] },
      { header: 43, body: [0, 0, 4, 0] },
    ],
    [{ header: 44, body: [0, 1, 0, 0, 0, 9] }],
  ]
  for (const extensions of chains)
    for (const shape of ['tcp', 'udp', 'echo'] as const) {
      const { before, after, how } = inward6({ shape, extensions }, errors6[1])
      test.same(translate(before, how), after)
    }
})

/** Where the checksum is in a transport header. */
const checksumOf: Record<Shape, number> = { tcp: 16, udp: 6, 'udp-without': 6, echo: 2 }

/**
 * Whether a translated error is the one built anew. Where the quotation ends in the middle of the transport
 * checksum, the half that is there cannot be translated and is what it was.
 * @param quoted bytes of the transport header and payload that are quoted
 */
function isAsBuilt(
  translated: Uint8Array,
  built: Uint8Array,
  before: Uint8Array,
  shape: Shape,
  quoted: number,
): boolean {
  if (quoted !== checksumOf[shape] + 1) return Buffer.compare(translated, built) === 0
  const expected = Uint8Array.from(built)
  expected[built.length - 1] = before[before.length - 1]
  const message = built[0] >>> 4 === 4 ? 20 : 40
  expected.fill(0, message + 2, message + 4)
  const pseudo = message === 20 ? [] : pseudoHeader(expected.subarray(8, 40), 58, expected.length - 40)
  const checksum = slowChecksum([...pseudo, ...expected.subarray(message)])
  expected.set([checksum >>> 8, checksum & 0xff], message + 2)
  return Buffer.compare(translated, expected) === 0
}

t.test(
  'every length of quotation: nothing is read or written behind it, what is there is translated',
  async test => {
    for (const shape of shapes)
      for (const [make, error] of [
        [inward4, errors4[1]],
        [outward4, errors4[0]],
        [inward6, errors6[1]],
        [outward6, errors6[0]],
      ] as const) {
        const header = make === inward4 || make === outward4 ? 20 : 40
        const options = header === 20 ? [1, 1, 1, 1] : []
        const least = header + (header === 20 ? 4 : 0) + 8
        const whole = make({ shape, options }, error).before.length - (header + 8)
        for (let cut = 0; cut <= whole; cut++) {
          const { before, after, how } = make({ shape, options }, error, cut)
          if (cut < least) {
            if (read(before) !== Drop.IcmpInnerMismatch)
              test.fail(`${cut} bytes of ${shape}: ${dropName[read(before)]}`)
            if (read(before, { noise: 0x45 }) !== read(before, { noise: 0 }))
              test.fail('what lies behind decides')
          } else if (!isAsBuilt(translate(before, how), after, before, shape, cut - least + 8))
            test.fail(`${cut} bytes of ${shape} differ`)
        }
        test.pass(`${shape}, ${whole} lengths`)
      }
  },
)

t.test(
  'REQ-3 c, S10: a quoted transport checksum that is wrong stays wrong, and is no reason to drop',
  async test => {
    const original = inner4(eni, remote, { shape: 'tcp' })
    original[20 + 16] ^= 0x40
    const translated = translate(
      icmp4({ ...errors4[0], source: ROUTER, destination: eni.address, payload: original }),
      {
        inward: true,
        address: inside.address,
        port: inside.port,
      },
    )
    test.same(verifyFrame(translated), [])
    test.same(verifyQuoted(translated), ['tcp checksum'])
  },
)

t.test('REQ-3 d, RFC 4884: extension objects behind the quotation are left alone', async test => {
  // 128 bytes of quotation, padded, in words of 4 bytes; then a header of version 2 and an MPLS label stack
  // object.
  const objects = [0x20, 0, 0xaa, 0xbb, 0, 8, 1, 1, 0x12, 0x34, 0x51, 0xff]
  const about = (from: Side) => {
    const quoted = new Uint8Array(128)
    quoted.set(inner4(from, remote, { shape: 'udp', length: 40 }))
    return icmp4({
      type: 11,
      identifier: 32,
      sequence: 0,
      source: ROUTER,
      destination: from.address,
      payload: Uint8Array.from([...quoted, ...objects]),
    })
  }
  const translated = translate(about(eni), { inward: true, address: inside.address, port: inside.port })
  test.same(translated, about(inside))
  test.same([...translated.subarray(-objects.length)], objects)

  const lies = icmp4({
    type: 11,
    identifier: 255,
    sequence: 0,
    source: ROUTER,
    destination: eni.address,
    payload: inner4(eni, remote, { shape: 'udp' }),
  })
  test.equal(read(lies), Drop.None, 'a length that passes the end is ignored')
  const short = icmp4({
    type: 11,
    identifier: 5,
    sequence: 0,
    source: ROUTER,
    destination: eni.address,
    payload: inner4(eni, remote, { shape: 'udp' }),
  })
  test.equal(read(short), Drop.IcmpInnerMismatch, 'one that leaves no room for ports is believed')
})

t.test('random errors are as if they were built anew', async test => {
  const address4 = fc
    .tuple(fc.integer({ min: 1, max: 223 }), fc.nat(255), fc.nat(255), fc.nat(255))
    .map(parts => parts.join('.'))
  const address6 = fc
    .array(fc.integer({ min: 1, max: 65_535 }), { minLength: 8, maxLength: 8 })
    .map(groups => groups.map(group => group.toString(16)).join(':'))
  const side = fc.record({
    address: address4,
    address6,
    port: fc.oneof(fc.nat(65_535), fc.constantFrom(0, 0xffff, 0xff00)),
  })
  fc.assert(
    fc.property(
      side,
      side,
      side,
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(...shapes),
      fc.nat(200),
      fc.nat(300),
      fc.nat(3),
      (a, b, c, is6, inward, shape, length, cut, which) => {
        const make = (ours: Side) => {
          const inner = is6 ? inner6 : inner4
          // Which end an echo is of is told by identity.
          const [from, to] = inward ? [ours, remote] : [remote, ours]
          const far = is6 ? c.address6 : c.address
          const quoted = inner(from, to, { shape, length }).subarray(0, cut + (is6 ? 48 : 28))
          const near = is6 ? ours.address6 : ours.address
          const ip = inward
            ? { source: far, destination: near }
            : { source: near, destination: is6 ? remote.address6 : remote.address }
          return is6
            ? icmp6({ ...errors6[which], ...ip, payload: quoted })
            : icmp4({ ...errors4[which], ...ip, payload: quoted })
        }
        const translated = translate(make(a), { inward, address: is6 ? b.address6 : b.address, port: b.port })
        if (!isAsBuilt(translated, make(b), make(a), shape, cut + 8))
          throw new Error('differs from the error built anew')
        const faults = verifyFrame(translated)
        if (faults.length > 0) throw new Error(faults.join())
      },
    ),
    { numRuns: 3000 },
  )
  test.pass('none differs')
})

t.test('REQ-3: an error with a wrong checksum is dropped', async test => {
  for (const frame of [
    inward4({ shape: 'tcp' }, errors4[0]).before,
    inward6({ shape: 'tcp' }, errors6[0]).before,
  ]) {
    for (const at of [frame.length - 1, (frame[0] >>> 4 === 4 ? 20 : 40) + 7]) {
      const wrong = Uint8Array.from(frame)
      wrong[at] ^= 1
      test.equal(read(wrong), Drop.BadIcmpChecksum)
      test.equal(read(wrong, { whole: false }), Drop.None, 'in a first fragment it cannot be seen')
    }
  }
})

t.test('REQ-3 a: an error whose quoted header has a wrong checksum is dropped', async test => {
  const quoted = inner4(eni, remote, { shape: 'udp' })
  quoted[8] = 63
  test.equal(
    read(icmp4({ ...errors4[0], source: ROUTER, destination: eni.address, payload: quoted })),
    Drop.BadHeaderChecksum,
  )
})

t.test('S11: an error that is not sent to whom it quotes is dropped', async test => {
  const quoted = inner4(eni, remote, { shape: 'udp' })
  test.equal(
    read(icmp4({ ...errors4[0], source: ROUTER, destination: '10.0.1.201', payload: quoted })),
    Drop.IcmpInnerMismatch,
  )
  const quoted6 = inner6(eni, remote, { shape: 'udp' })
  for (const destination of ['fd00:0:0:1::201', 'fd01:0:0:1::200', 'fd00:0:1:1::200'])
    test.equal(
      read(icmp6({ ...errors6[0], source: ROUTER6, destination, payload: quoted6 })),
      Drop.IcmpInnerMismatch,
    )
})

t.test('S12: quotations of what can be no flow', async test => {
  const about = (quoted: Uint8Array) =>
    read(icmp4({ ...errors4[0], source: ROUTER, destination: eni.address, payload: quoted }))
  const about6 = (quoted: Uint8Array) =>
    read(icmp6({ ...errors6[0], source: ROUTER6, destination: eni.address6, payload: quoted }))
  const ip = { source: eni.address, destination: remote.address }
  const ip6 = { source: eni.address6, destination: remote.address6 }
  for (const protocol of [2, 4, 41, 47, 50, 51, 58, 132, 253, 255])
    test.equal(about(packet4(protocol, bytes(40), ip)), Drop.IcmpNoMatch, `protocol ${protocol}`)
  for (const protocol of [1, 4, 41, 47, 50, 51, 59, 132, 135, 253])
    test.equal(about6(packet6(protocol, bytes(40), ip6)), Drop.IcmpNoMatch, `protocol ${protocol} over IPv6`)
  for (const type of [3, 4, 5, 11, 12])
    test.equal(about(icmp4({ ...ip, type })), Drop.ErrorForError, `an error, type ${type}`)
  for (const type of [1, 2, 3, 4, 100])
    test.equal(about6(icmp6({ ...ip6, type })), Drop.ErrorForError, `an error, type ${type}`)
  for (const type of [9, 10, 13, 17])
    test.equal(about(icmp4({ ...ip, type })), Drop.IcmpNoMatch, `type ${type}`)
  for (const type of [130, 133, 137, 200])
    test.equal(about6(icmp6({ ...ip6, type })), Drop.IcmpNoMatch, `type ${type}`)
  test.equal(
    about(piece4(udp4({ ...ip, payload: bytes(100), dontFragment: false }), 40, 80)),
    Drop.IcmpNoMatch,
    'a later fragment',
  )
  test.equal(
    about6(piece6(udp6({ ...ip6, payload: bytes(100) }), 40, 80)),
    Drop.IcmpNoMatch,
    'a later fragment',
  )
  test.equal(
    about(piece4(udp4({ ...ip, payload: bytes(100), dontFragment: false }), 0, 40)),
    Drop.None,
    'a first fragment',
  )
  test.equal(about6(piece6(udp6({ ...ip6, payload: bytes(100) }), 0, 40)), Drop.None, 'a first fragment')
  test.equal(about(inner6(eni, remote, { shape: 'udp' })), Drop.IcmpInnerMismatch, 'IPv6 in ICMP')
  test.equal(about6(inner4(eni, remote, { shape: 'udp' })), Drop.IcmpInnerMismatch, 'IPv4 in ICMPv6')
})

t.test('REQ-10 b, c, R4-17, R6-13: errors that are not forwarded', async test => {
  for (const type of [4, 5])
    test.equal(read({ ...inward4({ shape: 'udp' }, { ...errors4[0], type }) }.before), Drop.IcmpType)
  for (const type of [0, 5, 100, 127])
    test.equal(read(inward6({ shape: 'udp' }, { ...errors6[0], type }).before), Drop.IcmpType)
})

t.test('P-7, S13: MTUs that no link has', async test => {
  const asks4 = (mtu: number) => read(inward4({ shape: 'udp' }, { ...errors4[1], sequence: mtu }).before)
  for (const mtu of [0, 1, 19, 20, 67]) test.equal(asks4(mtu), Drop.IcmpInnerMismatch, `IPv4, ${mtu}`)
  for (const mtu of [68, 1279, 1500, 65_535]) test.equal(asks4(mtu), Drop.None, `IPv4, ${mtu}`)
  const asks6 = (identifier: number, sequence: number) =>
    inward6({ shape: 'udp' }, { ...errors6[1], identifier, sequence })
  for (const mtu of [0, 68, 1279, 1280, 65_535])
    test.equal(read(asks6(0, mtu).before), Drop.None, `IPv6, ${mtu}`)
  const { before, after, how } = asks6(0xffff, 0xffff)
  test.same(translate(before, how), after, 'P-3: the MTU passes as it is')
  test.equal(asks4(1280), Drop.None)
  test.equal(
    read(inward4({ shape: 'udp' }, { ...errors4[0], sequence: 0 }).before),
    Drop.None,
    'the field is only looked at where it is one',
  )
})

t.test(
  '768: a quoted UDP checksum that comes out as 0 is written as 0xffff, and none stays none',
  async test => {
    // The port is chosen so that the checksum of the translated packet is zero.
    const make = (sourcePort: number) =>
      inner4({ ...inside, port: sourcePort }, remote, { shape: 'udp', length: 0 })
    const pseudo = [10, 0, 0, 5, 10, 0, 1, 20, 0, 17, 0, 8]
    const port = slowChecksum([...pseudo, 0, 0, 0, 80, 0, 8, 0, 0])
    const quoted = make(port)
    test.same([...quoted.subarray(26, 28)], [0xff, 0xff], 'the oracle writes 0xffff')
    const { before } = inward4({ shape: 'udp', length: 0 }, errors4[0])
    const translated = translate(before, { inward: true, address: inside.address, port })
    test.same(translated.subarray(28), quoted)
  },
)

t.test('S12: random bytes as quotations are judged and nothing is thrown', async test => {
  const reasons = new Set<Drop>()
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 120 }),
      fc.boolean(),
      fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x65),
      (random, is6, first) => {
        if (random.length > 0) random[0] = first
        const frame = is6
          ? icmp6({ ...errors6[0], source: ROUTER6, destination: eni.address6, payload: random })
          : icmp4({ ...errors4[0], source: ROUTER, destination: eni.address, payload: random })
        const reason = read(frame)
        reasons.add(reason)
        if (reason !== read(frame, { noise: 0 }) || reason === undefined)
          throw new Error('what lies behind decides')
      },
    ),
    { numRuns: 3000 },
  )
  test.ok(reasons.has(Drop.IcmpInnerMismatch))
})
