/**
 * The keyed hash of tuples: what it depends on, how evenly it spreads, and that nobody who lacks the keys can aim.
 *
 * The probes are those of the flow table's index, at half load as the table keeps it.
 */
import fc from 'fast-check'
import t from 'tap'
import { indexSlots, MAX_PROBES } from '../../src/tables/flows.ts'
import { HASH_KEYS, Hasher } from '../../src/tables/hash.ts'
import { word4 } from '../wire/build.ts'
import { Random, randomOf } from './random.ts'

const FLOWS = 32768
/** Secrets a pattern is tried under: a linear hash fails with one in twenty. */
const SECRETS = 16

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const keys = fc.array(word, { minLength: HASH_KEYS, maxLength: HASH_KEYS }).map(all => Int32Array.from(all))
const tuple = fc.tuple(word, word, word, word)

/** The sum as the paper writes it, constant + Σ key × half, then the mixer. */
function slowHash(secret: Int32Array, halves: readonly number[]): number {
  const terms = halves.map((half, i) => BigInt(secret[1 + i]) * BigInt(half))
  const sum = BigInt.asUintN(
    32,
    terms.reduce((total, term) => total + term, BigInt(secret[0])),
  )
  const product = BigInt.asUintN(32, (sum ^ (sum >> 15n)) * 0x2c1b3c6dn)
  return Number(BigInt.asIntN(32, product ^ (product >> 16n)))
}

const halvesOf = (...words: number[]): number[] => words.flatMap(each => [each & 0xffff, each >>> 16])

t.test('the hash of an IPv4 tuple is the sum it says it is', async t => {
  fc.assert(
    fc.property(keys, tuple, (secret, [a, b, ports, tag]) => {
      t.equal(new Hasher(secret).hash4(a, b, ports, tag), slowHash(secret, halvesOf(a, b, ports, tag)))
    }),
    { numRuns: 200 },
  )
})

t.test('so is that of an IPv6 tuple, wherever its addresses lie', async t => {
  fc.assert(
    fc.property(
      keys,
      fc.array(word, { minLength: 12, maxLength: 12 }),
      word,
      word,
      (secret, words, ports, tag) => {
        const memory = Int32Array.from(words)
        const pairs = [0, 1, 2, 3].flatMap(i => halvesOf(words[1 + i], words[7 + i]))
        const expected = slowHash(secret, [...halvesOf(ports, tag), ...pairs])
        t.equal(new Hasher(secret).hash6(memory, 1, 7, ports, tag), expected)
      },
    ),
    { numRuns: 200 },
  )
})

t.test('other keys, other hash', async t => {
  const random = randomOf(t)
  const [one, other] = [random, random].map(source => new Hasher(source.words(HASH_KEYS)))
  const same = Array.from({ length: 1000 }, (_, i) => [i, i * 3, i << 16, 17]).filter(
    ([a, b, ports, tag]) => one.hash4(a, b, ports, tag) === other.hash4(a, b, ports, tag),
  )
  t.ok(same.length <= 1, `${same.length} of 1000 tuples hash alike under two secrets`)
})

t.test('too few words of secret are refused', async t => {
  t.throws(() => new Hasher(new Int32Array(HASH_KEYS - 1)), /21 words of secret wanted, got 20/)
})

/** The distance of every entry from its home after all were put in, one by one, as the flow table does. */
function probes(hashes: ArrayLike<number> & Iterable<number>): { mean: number; longest: number } {
  const slots = indexSlots(hashes.length)
  const used = new Uint8Array(slots)
  let sum = 0
  let longest = 0
  for (const hash of hashes) {
    let slot = hash & (slots - 1)
    let length = 1
    for (; used[slot] !== 0; slot = (slot + 1) & (slots - 1)) length++
    used[slot] = 1
    sum += length
    if (length > longest) longest = length
  }
  return { mean: sum / hashes.length, longest }
}

const client = word4('100.64.0.2')
const server = word4('10.0.1.20')

/** Tuples as they come, and as an attacker would choose them who knows the function but not the keys. */
const patterns: [string, (i: number) => [a: number, b: number, ports: number, tag: number]][] = [
  ['source ports in a row', i => [client, server, 0x5000_0000 | i, 6]],
  ['destination ports in a row', i => [client, server, (i << 16) | 0x5000, 6]],
  ['clients in a row', i => [client + (i << 16), server, 0x5000_1234, 6]],
  ['clients in a row, low bytes', i => [client ^ i, server, 0x5000_1234, 17]],
  ['powers of two apart', i => [Math.imul(i, 0x10000), Math.imul(i, 0x8000), 0, 17]],
  ['what differs only in the lowest bits', i => [i & 15, (i >>> 4) & 15, (i >>> 8) & 255, 17]],
  ['one word the other way round than the other', i => [i, ~i, i ^ (i << 16), 17]],
  ['the same exclusive or', i => [i, i ^ 0x5a5a5a5a, 0x5000_1234, 6]],
  ['the same sum', i => [i, 0x5a5a5a5a - i, 0x5000_1234, 6]],
  ['products that a multiplicative hash sends home', i => [Math.imul(i, 0x144cbc89), server, 0, 6]],
]

t.test('probes stay short, for every pattern and every secret', async t => {
  const random = randomOf(t)
  for (const [name, make] of patterns) {
    const unique = new Map(Array.from({ length: FLOWS }, (_, i) => [make(i).join(), make(i)]))
    let worstMean = 0
    let worstProbe = 0
    for (let secret = 0; secret < SECRETS; secret++) {
      const hasher = new Hasher(random.words(HASH_KEYS))
      const hashes = Array.from(unique.values(), ([a, b, ports, tag]) => hasher.hash4(a, b, ports, tag))
      const { mean, longest } = probes(hashes)
      worstMean = Math.max(worstMean, mean)
      worstProbe = Math.max(worstProbe, longest)
    }
    // Linear probing at load ½ has a mean of 1.5 for random hashes.
    t.ok(worstMean < 1.8, `${name}: mean probe ${worstMean.toFixed(2)}`)
    t.ok(worstProbe < MAX_PROBES, `${name}: longest probe ${worstProbe}`)
  }
})

t.test('IPv6 addresses that differ in one word spread as well', async t => {
  const random = randomOf(t)
  for (let at = 0; at < 8; at++) {
    const hasher = new Hasher(random.words(HASH_KEYS))
    const words = random.words(8)
    const hashes = Int32Array.from({ length: FLOWS }, (_, i) => {
      words[at] = i
      return hasher.hash6(words, 0, 4, 0x5000_1234, 6)
    })
    const { mean, longest } = probes(hashes)
    t.ok(mean < 1.8 && longest < MAX_PROBES, `word ${at}: mean ${mean.toFixed(2)}, longest ${longest}`)
  }
})

t.test('every bit of the hash is as often set as not', async t => {
  const random = randomOf(t)
  // One secret may be unlucky with one pattern, so the sum is over many secrets.
  const set = new Array<number>(32).fill(0)
  const total = 64 * 256
  for (let secret = 0; secret < 64; secret++) {
    const hasher = new Hasher(random.words(HASH_KEYS))
    for (let i = 0; i < 256; i++) {
      const hash = hasher.hash4(client, server, i, 6)
      for (let bit = 0; bit < 32; bit++) set[bit] += (hash >>> bit) & 1
    }
  }
  for (const [bit, count] of set.entries())
    t.ok(Math.abs(count / total - 0.5) < 0.05, `bit ${bit} is set in ${((100 * count) / total).toFixed(0)} %`)
})

t.test('tuples that collide under one secret do not under another', async t => {
  const random = randomOf(t)
  const known = new Hasher(random.words(HASH_KEYS))
  // What an attacker finds who knows the keys of another machine: tuples that all fall into one slot there.
  const colliding: number[][] = []
  for (let drawn = 0; drawn < 1 << 18 && colliding.length < 256; drawn++) {
    const [a, ports] = [random.word(), random.word()]
    if ((known.hash4(a, server, ports, 6) & 0xff) === 0) colliding.push([a, ports])
  }
  t.equal(colliding.length, 256)
  const here = new Hasher(new Random(random.seed ^ 0x5eed).words(HASH_KEYS))
  const home = new Set(colliding.map(([a, ports]) => here.hash4(a, server, ports, 6) & 0xff))
  t.ok(home.size > 120, `256 tuples of one slot fall into ${home.size} of 256 slots`)
})
