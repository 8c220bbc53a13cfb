import t from 'tap'
import { Protocol, protocolName } from '../../src/wire/protocol.ts'

t.test('protocols have IANA numbers and words', async t => {
  t.strictSame(
    [Protocol.Icmp, Protocol.Tcp, Protocol.Udp, Protocol.Fragment, Protocol.Icmp6].map(protocolName),
    ['icmp', 'tcp', 'udp', 'fragment', 'icmp6'],
  )
  t.strictSame([1, 6, 17, 44, 58].map(protocolName), ['icmp', 'tcp', 'udp', 'fragment', 'icmp6'])
  t.equal(protocolName(200), '200', 'a number where there is no word')
})
