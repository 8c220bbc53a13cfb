import t from 'tap'
import {
  profiles,
  TIMEOUT_CLASSES,
  TimeoutClass,
  ticks,
  timeoutKeys,
  timeoutName,
  timeoutTicks,
} from '../../src/nat/timeouts.ts'

t.test('every class has a key, a name and a time in every profile', async t => {
  const classes = Object.values(TimeoutClass).sort((a, b) => a - b)
  t.same(
    classes,
    Array.from({ length: TIMEOUT_CLASSES }, (_, i) => i),
  )
  t.same(Object.values(timeoutKeys).sort(), classes)
  t.equal(new Set(Object.values(timeoutName)).size, TIMEOUT_CLASSES)
  for (const seconds of Object.values(profiles)) t.equal(Object.keys(seconds).length, TIMEOUT_CLASSES)
})

t.test('the rfc profile keeps the floors of the RFCs', async t => {
  const { rfc } = profiles
  t.ok(rfc[TimeoutClass.UdpOneway] >= 120 && rfc[TimeoutClass.UdpStream] >= 120, 'RFC 4787 REQ-5')
  t.ok(rfc[TimeoutClass.TcpEstablished] >= 2 * 3600 + 4 * 60, 'RFC 5382 REQ-5')
  for (const transitory of [
    TimeoutClass.TcpOpening,
    TimeoutClass.TcpClosing,
    TimeoutClass.TcpClosed,
  ] as const)
    t.ok(rfc[transitory] >= 240, 'RFC 5382 REQ-5, RFC 7857 section 2')
  t.ok(rfc[TimeoutClass.Icmp] >= 60, 'RFC 5508 REQ-2')
})

t.test('a plan gets ticks of 10 ms, with single classes overridden', async t => {
  t.equal(ticks(350), 35_000)
  t.same([...timeoutTicks('rfc')], [30_000, 30_000, 24_000, 744_000, 24_000, 24_000, 6_000])
  t.same([...timeoutTicks('aws', { udpStream: 7 })], [3_000, 700, 6_000, 35_000, 6_000, 6_000, 6_000])
})
