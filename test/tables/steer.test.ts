/** The steering hashes: what they depend on, what they don't, and how evenly they deal. Against the kernel: test/io/steering.test.ts. */
import fc from 'fast-check'
import t from 'tap'
import {
  flowOwnerBetween,
  flowOwnerInside,
  ownerBetween,
  ownerInside,
  STEER_KEYS,
  steerBucket,
} from '../../src/tables/steer.ts'
import { fragments4, icmp4, packet6, tcp4, tcp6, udp4, udp6, word4, words6 } from '../wire/build.ts'

const keys = Int32Array.from({ length: STEER_KEYS }, (_, i) => Math.imul(i + 1, 0x9e3779b1))

const inside = (packet: Uint8Array, shards: number, secret = keys) =>
  ownerInside(packet, 0, packet.length, secret, shards)
const between = (packet: Uint8Array, shards: number, secret = keys) =>
  ownerBetween(packet, 0, packet.length, secret, shards)

const octet = fc.integer({ min: 1, max: 254 })
const address = fc.tuple(octet, octet, octet).map(rest => `10.${rest.join('.')}`)
const group = fc.integer({ min: 0, max: 0xffff }).map(value => value.toString(16))
const address6 = fc.tuple(group, group, group, group).map(rest => `fd00:1:2:3:${rest.join(':')}`)
const port = fc.integer({ min: 0, max: 65535 })
const secret = fc
  .array(fc.integer(), { minLength: STEER_KEYS, maxLength: STEER_KEYS })
  .map(all => Int32Array.from(all))
const shards = fc.integer({ min: 1, max: 64 })

t.test('the inside hash is the sum it says it is', async t => {
  const packet = udp4({
    source: '10.1.2.3',
    destination: '172.16.5.6',
    sourcePort: 1111,
    destinationPort: 53,
  })
  const halves = [0x0a01, 0x0203, 0xac10, 0x0506, 1111, 53]
  const places = [2, 3, 10, 11, 18, 19]
  let sum = BigInt(keys[0]) + BigInt(keys[1]) * 17n
  halves.forEach((half, i) => {
    sum += BigInt(keys[places[i]]) * BigInt(half)
  })
  const top = Number((BigInt.asUintN(32, sum) >> 16n) & 0xffffn)
  for (const count of [1, 2, 3, 64]) t.equal(inside(packet, count), Math.floor((top * count) / 65536))
})

t.test('every owner is a shard, and one shard owns everything', async t => {
  fc.assert(
    fc.property(
      address,
      address,
      port,
      port,
      shards,
      secret,
      (source, destination, sourcePort, destinationPort, count, secret) => {
        const packet = tcp4({ source, destination, sourcePort, destinationPort })
        for (const owner of [inside(packet, count, secret), between(packet, count, secret)])
          if (owner < 0 || owner >= count) return false
        return inside(packet, 1, secret) === 0 && between(packet, 1, secret) === 0
      },
    ),
  )
  t.pass()
})

t.test('both directions between hosts have one owner', async t => {
  fc.assert(
    fc.property(address, address, port, port, shards, secret, (a, b, p, q, count, secret) => {
      const there = udp4({ source: a, destination: b, sourcePort: p, destinationPort: q })
      const back = udp4({ source: b, destination: a, sourcePort: q, destinationPort: p })
      return between(there, count, secret) === between(back, count, secret)
    }),
  )
  fc.assert(
    fc.property(address6, address6, port, port, shards, secret, (a, b, p, q, count, secret) => {
      const there = tcp6({ source: a, destination: b, sourcePort: p, destinationPort: q })
      const back = tcp6({ source: b, destination: a, sourcePort: q, destinationPort: p })
      return between(there, count, secret) === between(back, count, secret)
    }),
  )
  t.pass()
})

t.test('what the flow does not have does not count: payload, TTL, flags, IPv4 options', async t => {
  const plain = tcp4({ sourcePort: 4242, destinationPort: 443 })
  const rich = tcp4({
    sourcePort: 4242,
    destinationPort: 443,
    ttl: 3,
    flags: 'PA',
    options: [0x94, 4, 0, 0],
    payload: 'x'.repeat(99),
  })
  for (const count of [2, 3, 7, 64]) {
    t.equal(inside(rich, count), inside(plain, count))
    t.equal(between(rich, count), between(plain, count))
  }
})

t.test('fragments and other protocols go by address and protocol alone', async t => {
  const pieces = fragments4(udp4({ sourcePort: 5, destinationPort: 6, payload: 'y'.repeat(4000) }), 1480)
  const owners = new Set(pieces.map(piece => inside(piece, 64)))
  t.equal(owners.size, 1, 'all pieces of a packet have one owner, the first too')
  const other = fragments4(udp4({ sourcePort: 7, destinationPort: 8, payload: 'z'.repeat(4000) }), 1480)
  t.equal(inside(other[0], 64), inside(pieces[0], 64), 'whatever their ports')
  t.equal(inside(icmp4({ identifier: 1 }), 64), inside(icmp4({ identifier: 2 }), 64))
})

t.test('a header that says less than there must be belongs to shard 0', async t => {
  const cases: [Uint8Array, number][] = [
    [tcp4(), 24],
    [udp6(), 44],
    [packet6(50, new Uint8Array(8)), 40],
    [Uint8Array.of(0x12, ...new Uint8Array(50)), 51],
  ]
  for (const [packet, enough] of cases)
    for (const owner of [ownerInside, ownerBetween]) {
      const longer = Uint8Array.from([...packet, ...new Uint8Array(60).fill(0xff)])
      const owners = Array.from({ length: enough + 1 }, (_, length) => owner(longer, 0, length, keys, 64))
      t.ok(owners.slice(0, enough).every(one => one === 0))
      t.equal(owners[enough] !== 0, packet[0] !== 0x12, `${enough} bytes are enough`)
    }
  const noLength = tcp4()
  noLength[0] = 0x40
  t.equal(inside(noLength, 64), 0, 'a header length of 0')
})

t.test('flows are dealt evenly, also those made to look alike', async t => {
  const count = 4
  const deals: [string, (i: number) => Uint8Array][] = [
    ['ports that follow each other', i => tcp4({ sourcePort: 1024 + i, destinationPort: 443 })],
    ['hosts that follow each other', i => udp4({ source: `10.0.${i >> 8}.${i & 255}` })],
    ['ports whose sum is the same', i => udp4({ sourcePort: 1000 + i, destinationPort: 60000 - i })],
    ['IPv6 hosts that follow each other', i => udp6({ source: `fd00::${(i + 1).toString(16)}` })],
  ]
  // The keys are fixed, so this fails for ever or never; bounds are ten standard deviations and more.
  for (const [name, make] of deals)
    for (const [how, owner] of [
      ['inside', inside],
      ['between', between],
    ] as const) {
      const got = new Array(count).fill(0)
      for (let i = 0; i < 4000; i++) got[owner(make(i), count)]++
      t.ok(
        got.every(one => one > 700 && one < 1300),
        `${how}, ${name}: ${got.join(' ')}`,
      )
    }
})

t.test('a bucket is of its width and differs from address to address', async t => {
  const seen = new Set<number>()
  for (let i = 0; i < 200; i++) {
    const bucket = steerBucket([word4(`10.0.${i}.9`)], keys, 14)
    t.ok(bucket >= 0 && bucket < 1 << 14)
    seen.add(bucket)
  }
  t.ok(seen.size > 190)
  t.not(steerBucket(words6('fd00::1'), keys, 16), steerBucket(words6('fd00::2'), keys, 16))
})

t.test(
  'a fragment, or a packet with extension headers, is of the flow that its plain packets are of',
  async t => {
    const extensions = [{ header: 60, body: [1, 4, 0, 0, 0, 0] }]
    for (let i = 0; i < 50; i++) {
      const of = { sourcePort: 1000 + i, destinationPort: 53, payload: 'y'.repeat(64) }
      const six = { source: 'fd00::5', destination: 'fd00::9', ...of }
      const [first] = fragments4(udp4(of), 32)
      t.equal(flowOwnerInside(first, 0, 17, 20, keys, 64), inside(udp4(of), 64))
      t.equal(flowOwnerBetween(first, 0, 17, 20, keys, 64), between(udp4(of), 64))
      t.equal(flowOwnerInside(udp6({ ...six, extensions }), 0, 17, 48, keys, 64), inside(udp6(six), 64))
      t.equal(flowOwnerBetween(udp6({ ...six, extensions }), 0, 17, 48, keys, 64), between(udp6(six), 64))
      t.equal(flowOwnerInside(icmp4(of), 0, 1, 20, keys, 64), inside(icmp4(of), 64), 'an echo has no ports')
    }
  },
)
