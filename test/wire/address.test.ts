import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import * as address from '../../src/wire/address.ts'
import { word4, words6 } from './build.ts'

type Predicate4 = 'thisNetwork' | 'loopback' | 'linkLocal' | 'multicast' | 'classE' | 'broadcast'
const predicates4: Record<Predicate4, (word: number) => boolean> = {
  thisNetwork: address.isThisNetwork4,
  loopback: address.isLoopback4,
  linkLocal: address.isLinkLocal4,
  multicast: address.isMulticast4,
  classE: address.isClassE4,
  broadcast: address.isLimitedBroadcast4,
}

/**
 * Both ends of every range and their neighbours: what they are, and whether they may be a source, a
 * destination.
 */
const table4: [string, Predicate4[], 'source' | '', 'destination' | ''][] = [
  ['0.0.0.0', ['thisNetwork'], '', ''],
  ['0.255.255.255', ['thisNetwork'], '', ''],
  ['1.0.0.0', [], 'source', 'destination'],
  ['10.0.0.1', [], 'source', 'destination'],
  ['126.255.255.255', [], 'source', 'destination'],
  ['127.0.0.0', ['loopback'], '', ''],
  ['127.255.255.255', ['loopback'], '', ''],
  ['128.0.0.0', [], 'source', 'destination'],
  ['169.253.255.255', [], 'source', 'destination'],
  ['169.254.0.0', ['linkLocal'], 'source', 'destination'],
  ['169.254.255.255', ['linkLocal'], 'source', 'destination'],
  ['169.255.0.0', [], 'source', 'destination'],
  ['192.168.0.1', [], 'source', 'destination'],
  ['198.51.100.1', [], 'source', 'destination'],
  ['223.255.255.255', [], 'source', 'destination'],
  ['224.0.0.0', ['multicast'], '', 'destination'],
  ['239.255.255.255', ['multicast'], '', 'destination'],
  ['240.0.0.0', ['classE'], '', ''],
  ['255.255.255.254', ['classE'], '', ''],
  ['255.255.255.255', ['classE', 'broadcast'], '', ''],
]

t.test('IPv4 ranges', async t => {
  for (const [text, kinds, source, destination] of table4) {
    const word = word4(text)
    const is = Object.entries(predicates4).filter(([, holds]) => holds(word))
    t.strictSame(
      is.map(([name]) => name),
      kinds,
      text,
    )
    t.equal(address.isMartianSource4(word), source === '', `${text} as a source`)
    t.equal(address.isMartianDestination4(word), destination === '', `${text} as a destination`)
  }
})

type Predicate6 = 'unspecified' | 'loopback' | 'linkLocal' | 'multicast' | 'mapped'
const predicates6: Record<Predicate6, (a: number, b: number, c: number, d: number) => boolean> = {
  unspecified: address.isUnspecified6,
  loopback: address.isLoopback6,
  linkLocal: address.isLinkLocal6,
  multicast: address.isMulticast6,
  mapped: address.isMapped6,
}

const table6: [string, Predicate6[], 'source' | '', 'destination' | ''][] = [
  ['::', ['unspecified'], '', ''],
  ['::1', ['loopback'], '', ''],
  ['::2', [], 'source', 'destination'],
  ['::1.2.3.4', [], 'source', 'destination'],
  ['0:0:0:1::1', [], 'source', 'destination'],
  ['::1:0:0:1', [], 'source', 'destination'],
  ['::ffff:0.0.0.0', ['mapped'], '', ''],
  ['::ffff:10.0.0.1', ['mapped'], '', ''],
  ['::ffff:0:0:0', [], 'source', 'destination'],
  ['64:ff9b::a00:1', [], 'source', 'destination'],
  ['2001:db8::1', [], 'source', 'destination'],
  ['fd00::5', [], 'source', 'destination'],
  ['fe7f:ffff::1', [], 'source', 'destination'],
  ['fe80::1', ['linkLocal'], 'source', 'destination'],
  ['febf:ffff::1', ['linkLocal'], 'source', 'destination'],
  ['fec0::1', [], 'source', 'destination'],
  ['feff::1', [], 'source', 'destination'],
  ['ff00::', ['multicast'], '', 'destination'],
  ['ff02::1', ['multicast'], '', 'destination'],
]

t.test('IPv6 ranges', async t => {
  for (const [text, kinds, source, destination] of table6) {
    const [a, b, c, d] = words6(text)
    const is = Object.entries(predicates6).filter(([, holds]) => holds(a, b, c, d))
    t.strictSame(
      is.map(([name]) => name),
      kinds,
      text,
    )
    t.equal(address.isMartianSource6(a, b, c, d), source === '', `${text} as a source`)
    t.equal(address.isMartianDestination6(a, b, c, d), destination === '', `${text} as a destination`)
  }
})

t.test('IPv4 text', async t => {
  t.equal(address.text4(address.addressWord(10, 0, 0, 1)), '10.0.0.1')
  for (const [text] of table4) t.equal(address.text4(word4(text)), text)
})

t.test('IPv6 text in the form of RFC 5952', async t => {
  for (const [from, to] of [
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:0db8:000a:1:1:1:1:1', '2001:db8:a:1:1:1:1:1'],
    ['0:0:0:0:0:ffff:c0a8:0102', '::ffff:192.168.1.2'],
    ['1:2:3:4:5:6:0:0', '1:2:3:4:5:6::'],
  ]) {
    const [a, b, c, d] = words6(from)
    t.equal(address.text6(a, b, c, d), to, from)
  }
})

t.test('IPv6 text is what the URL standard writes, and comes back', async () => {
  const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }))
  fc.assert(
    fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), groups => {
      const full = groups.map(value => value.toString(16)).join(':')
      const [a, b, c, d] = words6(full)
      fc.pre(!address.isMapped6(a, b, c))
      const text = address.text6(a, b, c, d)
      return isIPv6(text) && `[${text}]` === new URL(`http://[${full}]/`).hostname
    }),
  )
})
