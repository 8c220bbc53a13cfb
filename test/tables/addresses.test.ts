/** The map of addresses: built by control, read by shards, scoped so that tenants may overlap. */
import t from 'tap'
import { ABSENT, AddressMap, buildAddresses } from '../../src/tables/addresses.ts'
import { word4, words6 } from '../wire/build.ts'
import { randomOf } from './random.ts'

t.test('an address is found in its scope and in no other', async t => {
  const map = new AddressMap(
    buildAddresses([
      { scope: 1, address: [word4('10.0.0.5')], value: 0 },
      { scope: 2, address: [word4('10.0.0.5')], value: 41 },
      { scope: 1, address: words6('fd00::5'), value: 7 },
    ]),
  )
  t.equal(map.find4(1, word4('10.0.0.5')), 0)
  t.equal(map.find4(2, word4('10.0.0.5')), 41)
  t.equal(map.find4(3, word4('10.0.0.5')), ABSENT)
  t.equal(map.find4(1, word4('10.0.0.6')), ABSENT)
  const words = Int32Array.of(99, ...words6('fd00::5'))
  t.equal(map.find6(1, words, 1), 7)
  t.equal(map.find6(2, words, 1), ABSENT)
  t.equal(map.find6(1, words, 0), ABSENT)
})

t.test('an IPv4 address is not the IPv6 address with the same first word', async t => {
  const map = new AddressMap(buildAddresses([{ scope: 0, address: [0x1234], value: 3 }]))
  t.equal(map.find4(0, 0x1234), 3)
  t.equal(map.find6(0, Int32Array.of(0x1234, 0, 0, 0), 0), ABSENT)
})

t.test('an empty map has nothing', async t => {
  const map = new AddressMap(buildAddresses([]))
  t.equal(map.find4(0, 0), ABSENT)
  t.equal(map.find6(0, new Int32Array(4), 0), ABSENT)
})

t.test('the same address twice in a scope is refused', async t => {
  const address = [word4('10.0.0.5')]
  const twice = [1, 2].map(value => ({ scope: 9, address, value }))
  t.throws(() => buildAddresses(twice), /the same address twice in scope 9/)
})

t.test('thousands of addresses, dense and random, are all found and no others', async t => {
  const random = randomOf(t)
  const entries = Array.from({ length: 20_000 }, (_, i) => {
    const wide = i % 3 === 0
    const address = wide ? Int32Array.of(0x00fd, i, 0, random.word()) : [word4('10.0.0.0') + (i << 8)]
    return { scope: i % 7, address, value: i }
  })
  const map = new AddressMap(buildAddresses(entries))
  const wrong = entries.filter(({ scope, address, value }) => {
    const found = (at: number) =>
      address.length === 1 ? map.find4(at, address[0]) : map.find6(at, Int32Array.from(address), 0)
    return found(scope) !== value || found(scope + 7) !== ABSENT
  })
  t.same(wrong, [])
})
