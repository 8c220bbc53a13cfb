import t from 'tap'
import * as vnet from '../../src/wire/vnet.ts'
import { hex } from './build.ts'

const { Flag, Gso } = vnet

/**
 * A TCP super-frame with 66 bytes of headers, 1448 of payload a segment, its checksum left to the device,
 * ECN.
 */
const superFrame = hex('0181 4200 a805 1400 1000 0100')

t.test('fields are read, little-endian', async t => {
  t.equal(vnet.flags(superFrame, 0), Flag.NeedsChecksum)
  t.equal(vnet.needsChecksum(superFrame, 0), true)
  t.equal(vnet.gsoType(superFrame, 0), Gso.Tcp4)
  t.equal(vnet.hasGsoEcn(superFrame, 0), true)
  t.equal(vnet.headerLength(superFrame, 0), 66)
  t.equal(vnet.gsoSize(superFrame, 0), 1448)
  t.equal(vnet.checksumStart(superFrame, 0), 20)
  t.equal(vnet.checksumOffset(superFrame, 0), 16)
  t.equal(vnet.buffers(superFrame, 0), 1)
})

t.test('fields are written, and nothing beside them', async t => {
  const to = new Uint8Array(14).fill(0xa5)
  vnet.setNeedsChecksum(to, 1, 20, 16)
  vnet.setGso(to, 1, Gso.Tcp4, 1448, true)
  vnet.setHeaderLength(to, 1, 66)
  vnet.setBuffers(to, 1, 1)
  t.strictSame(to, Uint8Array.of(0xa5, ...superFrame, 0xa5))
  vnet.setFlags(to, 1, Flag.DataValid)
  vnet.setGso(to, 1, Gso.UdpSegments, 1200, false)
  t.strictSame(to.subarray(1, 7), hex('0205 4200 b004'))
  vnet.clear(to, 1)
  t.strictSame(to, hex('a5 0000 0000 0000 0000 0000 0000 a5'))
})

t.test('a header fits a frame that it agrees with', async t => {
  const withFrame = (header: string, length: number) => vnet.fits(hex(header), 0, 12 + length)
  const plain = '0000 0000 0000 0000 0000 0000'
  for (let end = 0; end < 12; end++) t.notOk(vnet.fits(hex(plain), 0, end), `cut at ${end}`)
  t.ok(withFrame(plain, 0))

  const checksum = '0100 0000 0000 1400 1000 0000'
  t.notOk(withFrame(checksum, 37), 'the checksum is past the frame')
  t.ok(withFrame(checksum, 38))
  t.notOk(withFrame('0100 0000 0000 ffff ffff 0000', 65535), 'far past it')

  t.ok(withFrame('0001 2800 0100 0000 0000 0000', 100))
  t.notOk(withFrame('0001 2800 0000 0000 0000 0000', 100), 'segments of no bytes')
  t.notOk(withFrame('0001 6500 0100 0000 0000 0000', 100), 'headers longer than the frame')
  for (const [type, fits] of [
    ['01', true],
    ['81', true],
    ['02', false],
    ['03', false],
    ['04', true],
    ['84', true],
    ['05', true],
    ['06', false],
    ['7f', false],
  ] as const)
    t.equal(withFrame(`00${type} 2800 0100 0000 0000 0000`, 100), fits, `gso type ${type}`)
})

t.test('a header in words', async t => {
  t.equal(vnet.describe(new Uint8Array(12), 0), 'plain')
  t.equal(vnet.describe(superFrame, 0), 'checksum 20+16 gso tcp4 1448')
  t.equal(vnet.describe(hex('0005 0000 b004 0000 0000 0000'), 0), 'gso udp-segments 1200')
  t.equal(vnet.describe(hex('0009 0000 b004 0000 0000 0000'), 0), 'gso 9 1200')
})
