import fc from 'fast-check'
import t from 'tap'
import * as c from '../../src/vpc/cidr.ts'
import { address, cidr } from './build.ts'

t.test('words are as a little-endian machine loads them from a packet', async t => {
  const packet = Uint8Array.of(10, 0, 1, 20, 0xfd, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x14)
  const loaded = new Int32Array(packet.buffer)
  t.same(address('10.0.1.20').words, [loaded[0]])
  t.same(address('fd00:0:0:1::14').words, [...loaded.subarray(1)])
  t.same(c.maskOf(4, 24), [0x00ffffff])
  t.same(c.maskOf(6, 56), [-1, 0x00ffffff, 0, 0])
  t.same(c.maskOf(4, 0), [0])
  t.same(c.maskOf(6, 128), [-1, -1, -1, -1])
})

t.test('a prefix contains what begins with it', async t => {
  for (const [outer, inner, yes] of [
    ['10.0.0.0/16', '10.0.255.0/24', true],
    ['10.0.0.0/16', '10.1.0.0/24', false],
    ['10.0.0.0/24', '10.0.0.0/16', false],
    ['10.0.0.0/16', '10.0.0.0/16', true],
    ['0.0.0.0/0', '10.0.0.0/8', true],
    ['fd00::/56', 'fd00:0:0:ff::/64', true],
    ['fd00::/56', 'fd00:0:0:100::/64', false],
    ['0.0.0.0/0', 'fd00::/64', false],
  ] as const)
    t.equal(c.contains(cidr(outer), cidr(inner)), yes, `${inner} in ${outer}`)
  t.equal(c.contains(cidr('10.0.1.0/24'), address('10.0.1.255')), true)
  t.equal(c.contains(cidr('10.0.1.0/24'), address('10.0.2.0')), false)
})

t.test('prefixes overlap where one contains the other', async t => {
  t.equal(c.overlaps(cidr('10.0.0.0/16'), cidr('10.0.4.0/24')), true)
  t.equal(c.overlaps(cidr('10.0.4.0/24'), cidr('10.0.0.0/16')), true)
  t.equal(c.overlaps(cidr('10.0.4.0/24'), cidr('10.0.5.0/24')), false)
})

t.test('addresses are counted from the start of their prefix', async t => {
  t.equal(c.addressText(c.addressAt(cidr('10.0.1.0/24'), 20)), '10.0.1.20')
  t.equal(c.addressText(c.addressAt(cidr('fd00:0:0:1::/64'), 20)), 'fd00:0:0:1::14')
  t.equal(c.offsetIn(cidr('10.0.0.0/16'), address('10.0.1.2')), 258n)
  t.equal(c.addressText(c.addressAfter(address('10.0.0.255'), 1)), '10.0.1.0')
  t.equal(c.sizeOf(cidr('10.0.1.0/24')), 256)
  t.equal(c.cidrText(c.canonical({ ...address('10.0.1.77'), prefix: 26 })), '10.0.1.64/26')
  t.equal(c.cidrText(c.single(address('fd64::2'))), 'fd64::2/128')
})

t.test('value and text say the same address', async t => {
  const same = () =>
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 128n) - 1n), value => {
        const six = c.fromValue(6, value)
        const four = c.fromValue(4, value & 0xffffffffn)
        return (
          c.plainValue(six) === value &&
          c.plainValue(four) === (value & 0xffffffffn) &&
          c.sameAddress(address(c.addressText(six)), six) &&
          c.sameAddress(address(c.addressText(four)), four)
        )
      }),
    )
  t.doesNotThrow(same)
})
