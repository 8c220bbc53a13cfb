import fc from 'fast-check'
import t from 'tap'
import * as extensions from '../../src/wire/extensions.ts'
import { Protocol } from '../../src/wire/protocol.ts'
import { type Extension, hex, packet6, piece6, udp6 } from './build.ts'

const { ChainFault, Walk } = extensions

/** What a walk over a packet finds, by name. */
function walk(frame: Uint8Array, end = frame.length) {
  const found = new Int32Array(extensions.WALK_LEN).fill(0x5a5a)
  const fault = extensions.walk(frame, 0, end, found)
  return {
    fault,
    protocol: found[Walk.Protocol],
    transport: found[Walk.TransportAt],
    fragment: found[Walk.FragmentAt],
    routing: found[Walk.RoutingAt],
    pointer: found[Walk.Pointer],
    agrees: found[Walk.Fault] === fault,
  }
}

const hopByHop = (...body: number[]): Extension => ({ header: Protocol.HopByHop, body })
const destination = (...body: number[]): Extension => ({ header: Protocol.DestinationOptions, body })
const routing = (type: number, segmentsLeft: number): Extension => ({
  header: Protocol.Routing,
  body: [type, segmentsLeft, 0, 0, 0, 0],
})
const fragment = (offset: number, more: boolean): Extension => ({
  header: Protocol.Fragment,
  body: [offset >> 8, (offset & 0xf8) | (more ? 1 : 0), 0xde, 0xad, 0xbe, 0xef],
})
const chain = (...headers: Extension[]) => udp6({ extensions: headers, payload: 'data' })

t.test('a fragment header is read', async t => {
  const header = hex('11 00 05a9 dead beef')
  t.equal(extensions.fragmentOffset(header, 0), 1448)
  t.equal(extensions.moreFragments(header, 0), true)
  t.equal(extensions.identification(header, 0), 0xdeadbeef | 0)
  t.equal(extensions.isAtomic(header, 0), false)
  t.equal(extensions.isAtomic(hex('11 00 0006 dead beef'), 0), true, 'reserved bits do not count')
  t.equal(extensions.isAtomic(hex('11 00 0001 dead beef'), 0), false)
  t.equal(extensions.isAtomic(hex('11 00 0008 dead beef'), 0), false)
})

t.test('a fragment header is written, and nothing beside it', async t => {
  const to = new Uint8Array(10).fill(0xa5)
  extensions.setFragment(to, 1, 17, 1448, true, 0xdeadbeef)
  t.strictSame(to, hex('a5 11 00 05a9 dead beef a5'))
  extensions.setFragment(to, 1, 6, 65528, false, 1)
  t.strictSame(to, hex('a5 06 00 fff8 0000 0001 a5'))
  extensions.setIdentification(to, 1, -2)
  t.strictSame(to, hex('a5 06 00 fff8 ffff fffe a5'))
})

t.test('a packet without extensions ends at once', async t => {
  t.match(walk(chain()), { fault: 0, protocol: 17, transport: 40, fragment: -1, routing: -1, agrees: true })
})

t.test('chains are walked to the transport', async t => {
  t.match(walk(chain(hopByHop(1, 4, 0, 0, 0, 0))), { fault: 0, protocol: 17, transport: 48 })
  t.match(walk(chain(destination(), destination())), { fault: 0, protocol: 17, transport: 56 })
  t.match(walk(chain(hopByHop(), destination(), routing(4, 1), fragment(0, true), destination())), {
    fault: ChainFault.None,
    protocol: 17,
    transport: 80,
    routing: 56,
    fragment: 64,
  })
  t.match(walk(chain(destination(1, 20, ...new Array(20).fill(7)))), { protocol: 17, transport: 64 })
})

t.test('a protocol that is no extension header is a transport', async t => {
  for (const protocol of [6, 17, 58, 132, 47, 4, 41, 2, 252])
    t.match(walk(packet6(protocol, new Uint8Array(8))), { fault: 0, protocol, transport: 40 })
})

t.test('a later fragment is not looked into', async t => {
  const frame = chain(fragment(8, false))
  t.match(walk(frame), { fault: ChainFault.None, protocol: 17, transport: 48, fragment: 40 })
  const middle = piece6(udp6({ extensions: [destination()], payload: new Uint8Array(64) }), 16, 48)
  t.match(
    walk(middle),
    { fault: 0, protocol: Protocol.DestinationOptions, transport: 48, fragment: 40 },
    'though its first header is one that would be walked',
  )
})

t.test('each fault has its reason and its place', async t => {
  const faults: [string, Uint8Array, keyof typeof ChainFault, number, number][] = [
    ['hop-by-hop second', chain(destination(), hopByHop()), 'HopByHopNotFirst', 40, 48],
    ['hop-by-hop twice', chain(hopByHop(), hopByHop()), 'HopByHopNotFirst', 40, 48],
    ['routing type 0 with segments', chain(routing(0, 1)), 'RoutingType0', 42, 40],
    ['fragment in fragment', chain(fragment(0, true), fragment(0, true)), 'SecondFragment', 40, 48],
    ['option past its header', chain(hopByHop(1, 5, 0, 0, 0, 0)), 'OptionMalformed', 42, 40],
    ['option without a length', chain(hopByHop(1, 3, 0, 0, 0, 1)), 'OptionMalformed', 47, 40],
    ['unknown option, discard', chain(hopByHop(0, 0x7e, 1, 0)), 'OptionRefused', 43, 40],
    ['unknown option, discard and tell', chain(hopByHop(0xbe, 0)), 'OptionRefused', 42, 40],
    ['jumbo payload', chain(hopByHop(0xc2, 4, 0, 1, 0, 0)), 'Jumbogram', 42, 40],
    ['no next header', packet6(59, new Uint8Array(8)), 'NoNextHeader', 6, 40],
    ['authentication', packet6(51, new Uint8Array(24)), 'Authentication', 6, 40],
    ['encryption', packet6(50, new Uint8Array(24)), 'Encryption', 6, 40],
    ['mobility', packet6(135, new Uint8Array(8)), 'Unknown', 6, 40],
    ['hip', packet6(139, new Uint8Array(8)), 'Unknown', 6, 40],
    ['shim6', packet6(140, new Uint8Array(8)), 'Unknown', 6, 40],
    ['experiment', packet6(253, new Uint8Array(8)), 'Unknown', 6, 40],
    [
      'experiment behind another',
      packet6(254, new Uint8Array(8), { extensions: [destination()] }),
      'Unknown',
      40,
      48,
    ],
  ]
  for (const [name, frame, reason, pointer, transport] of faults)
    t.match(walk(frame), { fault: ChainFault[reason], pointer, transport, agrees: true }, name)
})

t.test('what is allowed passes', async t => {
  for (const [name, frame] of [
    ['routing type 0 that has arrived', chain(routing(0, 0))],
    ['routing type 2 with segments', chain(routing(2, 1))],
    ['unknown option to be skipped', chain(hopByHop(0x3e, 2, 0xff, 0xff))],
    ['router alert', chain(hopByHop(5, 2, 0, 0))],
    ['unknown destination options', chain(destination(0xbe, 0))],
    ['options of an odd shape for the destination only', chain(destination(1, 99))],
  ] as const)
    t.match(walk(frame), { fault: ChainFault.None, protocol: 17, transport: 48 }, name)
})

t.test('a routing header is found and read', async t => {
  const frame = chain(routing(4, 2))
  const { routing: at } = walk(frame)
  t.equal(extensions.routingType(frame, at), 4)
  t.equal(extensions.segmentsLeft(frame, at), 2)
})

t.test('a hop-by-hop header without a payload length is a jumbogram', async t => {
  const frame = chain(hopByHop(0xc2, 4, 0, 1, 0, 0))
  frame.fill(0, 4, 6)
  t.match(walk(frame, 40), { fault: ChainFault.Jumbogram, pointer: 4 })
})

t.test('a chain cut anywhere is truncated until its last byte, and says how far it went', async t => {
  const frame = chain(hopByHop(), fragment(0, true), destination(...new Array(14).fill(0)))
  for (let end = 40; end < 72; end++) {
    const { fault, transport, fragment, protocol } = walk(frame, end)
    t.equal(fault, ChainFault.Truncated, `cut at ${end}`)
    const [reached, at] = end < 48 ? [Protocol.HopByHop, 40] : end < 56 ? [Protocol.Fragment, 48] : [60, 56]
    t.strictSame([protocol, transport, fragment], [reached, at, end < 56 ? -1 : 48])
  }
  t.match(walk(frame, 72), { fault: ChainFault.None, protocol: 17, transport: 72, fragment: 48 })
})

t.test('the walk is capped in headers and in bytes', async t => {
  const many = (count: number) => walk(chain(...new Array<Extension>(count).fill(destination())))
  t.match(many(8), { fault: ChainFault.None, transport: 104 })
  for (const count of [9, 10, 200]) t.match(many(count), { fault: ChainFault.TooLong, transport: 104 })
  const long = (bytes: number) => walk(chain(destination(...new Array(bytes - 2).fill(0))))
  t.match(long(512), { fault: ChainFault.None, transport: 552 })
  for (const bytes of [520, 2048]) t.match(long(bytes), { fault: ChainFault.TooLong, transport: 40 })
})

t.test('whatever the bytes, the walk stays within the packet and its caps', async () => {
  const numbers = fc.constantFrom(0, 43, 44, 60, 51, 50, 59, 6, 17, 58, 135, 253)
  const noise = fc.array(fc.oneof(numbers, fc.nat(3), fc.nat(255)), { maxLength: 700 })
  fc.assert(
    fc.property(numbers, noise, fc.boolean(), (next, body, dense) => {
      const frame = packet6(
        next,
        Uint8Array.from(dense ? body.map((byte, at) => (at % 8 === 1 ? byte & 1 : byte)) : body),
      )
      const { fault, transport, fragment, routing, pointer, agrees } = walk(frame)
      const reached = transport >= 40 && transport <= frame.length && transport <= 40 + 512
      const within = (at: number) => at === -1 || (at >= 40 && at + 8 <= transport)
      return (
        agrees && reached && within(fragment) && within(routing) && pointer <= frame.length && fault <= 12
      )
    }),
    { numRuns: 2000 },
  )
})

t.test('a chain in one line', async t => {
  const text = (frame: Uint8Array) => extensions.describe(frame, 0, frame.length)
  t.equal(text(chain()), 'udp')
  t.equal(text(chain(fragment(1448, true))), 'udp id 3735928559 offset 1448 mf')
  t.equal(text(chain(routing(0, 1))), 'no chain: routing-type-0')
  t.equal(
    text(chain(fragment(0, true), fragment(0, true))),
    'no chain: second-fragment id 3735928559 offset 0 mf',
  )
})
