import t from 'tap'
import * as icmp from '../../src/wire/icmp.ts'
import * as icmp6 from '../../src/wire/icmp6.ts'
import * as quote from '../../src/wire/quote.ts'
import {
  icmp6 as buildIcmp6,
  hex,
  icmp4,
  packet6,
  piece4,
  piece6,
  quotedFrame,
  tcp4,
  tcp6,
  udp4,
  udp6,
  verifyFrame,
  verifyQuoted,
  word4,
  words6,
} from './build.ts'

const ROUTER4 = word4('169.254.1.1')
const ROUTER6 = words6('fd00::1')

function error4(about: Uint8Array, type = 3, code = 1, rest = 0) {
  const out = new Uint8Array(700).fill(0xa5)
  const source = word4(about.subarray(12, 16).join('.'))
  const length = quote.writeError4(out, 1, ROUTER4, source, type, code, rest, about, 0, about.length)
  t.equal(out[0], 0xa5)
  t.ok(
    out.subarray(1 + length).every(byte => byte === 0xa5),
    'nothing behind the error is written',
  )
  return out.slice(1, 1 + length)
}

function error6(about: Uint8Array, type = 1, code = 0, rest = 0) {
  const out = new Uint8Array(1400).fill(0xa5)
  const words = new Int32Array([7, 7, ...ROUTER6, ...words6('fd00::5')])
  const length = quote.writeError6(out, 1, words, 2, words, 6, type, code, rest, about, 0, about.length)
  t.equal(out[0], 0xa5)
  t.ok(
    out.subarray(1 + length).every(byte => byte === 0xa5),
    'nothing behind the error is written',
  )
  return out.slice(1, 1 + length)
}

t.test('an IPv4 error, byte by byte', async t => {
  const error = error4(udp4({ payload: 'hi' }), icmp.Type.DestinationUnreachable, 4, 1280)
  t.strictSame(
    error,
    hex(`
      45c0 003a 0000 4000 4001 84ff a9fe 0101 0a00 0005
      0304 0d30 0000 0500
      4500 001e 1234 4000 4011 1383 0a00 0005 0a00 0114
      9c40 0050 000a e5c7 6869
    `),
  )
  t.strictSame([...verifyFrame(error), ...verifyQuoted(error)], [])
})

t.test('an IPv4 error quotes as much as makes 576 bytes', async t => {
  for (const [payload, total] of [
    [0, 68],
    [1, 69],
    [507, 575],
    [508, 576],
    [509, 576],
    [1460, 576],
    [65495, 576],
  ]) {
    const about = tcp4({ payload: new Uint8Array(payload).fill(0x5a) })
    const error = error4(about, 11, 0)
    t.equal(error.length, total, `about ${about.length} bytes`)
    t.strictSame([...verifyFrame(error), ...verifyQuoted(error)], [])
    t.strictSame(quotedFrame(error), about.subarray(0, total - 28))
  }
})

t.test('an IPv6 error, byte by byte', async t => {
  const error = error6(udp6({ payload: 'hi' }), icmp6.Type.PacketTooBig, 0, 1280)
  t.strictSame(
    error,
    hex(`
      6000 0000 003a 3a40
      fd00 0000 0000 0000 0000 0000 0000 0001
      fd00 0000 0000 0000 0000 0000 0000 0005
      0200 8d54 0000 0500
      6000 0000 000a 1140
      fd00 0000 0000 0000 0000 0000 0000 0005
      fd00 0000 0000 0001 0000 0000 0000 0020
      9c40 0050 000a 00b9 6869
    `),
  )
  t.strictSame([...verifyFrame(error), ...verifyQuoted(error)], [])
})

t.test('an IPv6 error quotes as much as makes 1280 bytes', async t => {
  for (const [payload, total] of [
    [0, 108],
    [1, 109],
    [1172, 1280],
    [1173, 1280],
    [1440, 1280],
    [65515, 1280],
  ]) {
    const about = tcp6({ payload: new Uint8Array(payload).fill(0x5a) })
    const error = error6(about, 3, 0)
    t.equal(error.length, total, `about ${about.length} bytes`)
    t.strictSame([...verifyFrame(error), ...verifyQuoted(error)], [])
    t.strictSame(quotedFrame(error), about.subarray(0, total - 48))
  }
})

t.test('an error may be written beside the packet in one array', async t => {
  const about = udp4({ payload: 'hi' })
  const slab = new Uint8Array(2048)
  slab.set(about, 64)
  const length = quote.writeError4(slab, 1024, ROUTER4, word4('10.0.0.5'), 3, 1, 0, slab, 64, about.length)
  t.strictSame(slab.slice(1024, 1024 + length), error4(about))
  t.strictSame(slab.slice(64, 64 + about.length), about)
})

const may4 = (frame: Uint8Array) => quote.mayAnswer4(frame, 0, frame.length)

t.test('when an IPv4 error may be sent', async t => {
  t.ok(may4(tcp4()))
  t.ok(may4(udp4({ options: [1, 1, 1, 1] })))
  t.ok(may4(icmp4()), 'about an echo')
  t.ok(may4(icmp4({ type: 0, options: [7, 3, 4] })), 'about an echo reply behind options')
  t.ok(may4(piece4(udp4({ payload: new Uint8Array(64) }), 0, 32)), 'about a first fragment')
  t.ok(may4(tcp4({ source: '169.254.7.7' })), 'to a link-local source, which is one host')
})

t.test('when no IPv4 error may be sent', async t => {
  for (const type of [3, 4, 5, 11, 12]) t.notOk(may4(icmp4({ type })), `about an error of type ${type}`)
  for (const type of [1, 2, 7, 9, 10, 19, 40, 255]) t.notOk(may4(icmp4({ type })), `about type ${type}`)
  t.notOk(may4(icmp4({ type: 3, options: [7, 3, 4] })), 'about an error behind options')
  t.notOk(may4(icmp4().subarray(0, 20)), 'about ICMP that does not say what it is')
  t.notOk(may4(piece4(udp4({ payload: new Uint8Array(64) }), 32, 64)), 'about a later fragment')
  for (const destination of ['224.0.0.1', '239.255.255.255', '255.255.255.255', '240.0.0.1'])
    t.notOk(may4(udp4({ destination })), `about a packet to ${destination}`)
  for (const source of ['0.0.0.0', '0.1.2.3', '127.0.0.1', '224.0.0.1', '240.0.0.1', '255.255.255.255'])
    t.notOk(may4(udp4({ source })), `to ${source}`)
})

const { Type, Problem } = icmp6
const may6 = (frame: Uint8Array, type: number = Type.DestinationUnreachable, code = 0) =>
  quote.mayAnswer6(frame, 0, frame.length, type, code)
const padding = { header: 60, body: [1, 4, 0, 0, 0, 0] }

t.test('when an IPv6 error may be sent', async t => {
  t.ok(may6(tcp6()))
  t.ok(may6(udp6({ extensions: [padding] })))
  t.ok(may6(buildIcmp6()), 'about an echo request')
  t.ok(may6(buildIcmp6({ type: 129, extensions: [padding] })), 'about an echo reply behind a header')
  t.ok(may6(piece6(udp6({ payload: new Uint8Array(64) }), 32, 64)), 'about a later fragment')
  t.ok(may6(packet6(253, new Uint8Array(8))), 'about a header that is not understood')
  t.ok(may6(udp6({ destination: 'ff02::1' }), Type.PacketTooBig), 'too big, though sent to many')
  t.ok(may6(udp6({ destination: 'ff02::1' }), Type.ParameterProblem, Problem.Option), 'unknown option')
})

t.test('when no IPv6 error may be sent', async t => {
  for (const type of [0, 1, 2, 3, 4, 5, 100, 127])
    t.notOk(may6(buildIcmp6({ type })), `about an error of type ${type}`)
  t.notOk(may6(buildIcmp6({ type: 137 })), 'about a redirect')
  t.notOk(may6(buildIcmp6({ type: 1, extensions: [padding] })), 'about an error behind a header')
  t.notOk(may6(buildIcmp6().subarray(0, 40)), 'about ICMPv6 that does not say what it is')
  t.notOk(may6(piece6(buildIcmp6({ payload: new Uint8Array(64) }), 32, 64)), 'about a later piece of ICMPv6')
  t.notOk(may6(udp6({ destination: 'ff02::1' })), 'about a packet to many')
  t.notOk(may6(udp6({ destination: 'ff02::1' }), Type.ParameterProblem, Problem.Field))
  for (const source of ['::', '::1', 'ff02::1', '::ffff:10.0.0.1']) {
    t.notOk(may6(udp6({ source })), `to ${source}`)
    t.notOk(may6(udp6({ source }), Type.PacketTooBig), `to ${source}, whatever the error`)
  }
})
