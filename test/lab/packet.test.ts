import t from 'tap'
import { buildPacket, maxPayload, type ProbePacket, type ProbeProtocol } from '../../src/lab/packet.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const word = (a: number, b: number, c: number, d: number) => a | (b << 8) | (c << 16) | (d << 24)

const four: ProbePacket = {
  protocol: 'tcp',
  source: [word(10, 0, 1, 4)],
  destination: [word(10, 0, 1, 20)],
  sourcePort: 40000,
  destinationPort: 80,
  flags: ['syn', 'ack'],
  ttl: 3,
  size: 3,
  identification: 0x1234,
}
const six: ProbePacket = {
  ...four,
  source: [word(0xfd, 0, 0, 0), 0, 0, word(0, 0, 0, 4)],
  destination: [word(0xfd, 0, 0, 0), 0, 0, word(0, 0, 0, 20)],
}

/** RFC 1071 as it is written, over halves in network order: not the code that made the packet. */
function sum(bytes: Uint8Array, from: number, to: number, start = 0): number {
  let total = start
  for (let i = from; i < to; i += 2) total += (bytes[i] << 8) | (i + 1 < to ? bytes[i + 1] : 0)
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return total
}

const pseudo = (bytes: Uint8Array, v6: boolean, protocol: number, length: number) =>
  v6 ? sum(bytes, 8, 40, protocol + length) : sum(bytes, 12, 20, protocol + length)

t.test('a TCP packet over IPv4, byte for byte', async t => {
  const bytes = buildPacket(four)
  t.equal(hex(bytes.subarray(0, 10)), '4500002b123440000306')
  t.equal(hex(bytes.subarray(12, 20)), '0a0001040a000114')
  t.equal(hex(bytes.subarray(20, 24)), '9c400050')
  t.equal(bytes[33], 0x12, 'SYN and ACK')
  t.equal(hex(bytes.subarray(40)), '000102', 'the payload counts')
  t.equal(sum(bytes, 0, 20), 0xffff, "the header's checksum holds")
})

t.test('the head of a packet over IPv6', async t => {
  const bytes = buildPacket({ ...six, protocol: 'udp' })
  t.equal(hex(bytes.subarray(0, 8)), '60000000000b1103')
  t.equal(hex(bytes.subarray(40, 46)), '9c400050000b')
})

for (const packet of [four, six])
  for (const [protocol, number] of [
    ['tcp', 6],
    ['udp', 17],
    ['icmp', packet === six ? 58 : 1],
  ] as [ProbeProtocol, number][])
    t.test(
      `checksums of ${protocol} over IPv${packet === six ? 6 : 4} hold, at odd and even sizes`,
      async t => {
        const at = packet === six ? 40 : 20
        for (const size of [0, 1, 2, 999, 1000, 1471]) {
          const bytes = buildPacket({ ...packet, protocol, size })
          const start = number === 1 ? 0 : pseudo(bytes, packet === six, number, bytes.length - at)
          t.equal(sum(bytes, at, bytes.length, start), 0xffff, `${size} bytes`)
        }
      },
    )

t.test('the largest payload fills the packet', async t => {
  t.equal(buildPacket({ ...four, protocol: 'udp', size: maxPayload('udp', false) }).length, 65535)
  t.equal(buildPacket({ ...six, protocol: 'tcp', size: maxPayload('tcp', true) }).length, 65535 + 40)
})
