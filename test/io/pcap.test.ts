/** Devices that are pcap files: both byte orders, both units, the same output for the same input. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { formatPcap, PcapIo, parsePcap } from '../../src/io/pcap.ts'
import { Burst } from '../../src/tables/burst.ts'
import { Slab, STRIDE } from '../../src/tables/slab.ts'
import { hex, tcp6, udp4 } from '../wire/build.ts'

const folder = mkdtempSync(join(tmpdir(), 'v2n-pcap-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const file = (name: string) => join(folder, name)

t.test('a file is read in any byte order and unit', async t => {
  const little = hex(`d4c3b2a1 0200 0400 00000000 00000000 ffff0000 65000000
    0a000000 0b000000 02000000 02000000 4501
    0c000000 00000000 01000000 05000000 60`)
  const big = hex(`a1b23c4d 0002 0004 00000000 00000000 0000ffff 00000065
    0000000a 00002af8 00000002 00000002 4501
    0000000c 00000000 00000001 00000005 60`)
  const packets = [
    { nanoseconds: 10_000_011_000n, packet: Uint8Array.of(0x45, 1) },
    { nanoseconds: 12_000_000_000n, packet: Uint8Array.of(0x60) },
  ]
  t.same(parsePcap(little), packets)
  t.same(parsePcap(big), packets)
  t.same(parsePcap(little.subarray(0, little.length - 1)), packets.slice(0, 1), 'a record that is cut short')
  t.same(
    formatPcap(packets.slice(0, 1)),
    little.subarray(0, 24 + 18),
    'and written as little-endian microseconds',
  )
})

t.test('what is no such file is refused', async t => {
  t.throws(() => parsePcap(new Uint8Array(3)), { name: 'RangeError', message: /shorter/ })
  t.throws(() => parsePcap(new Uint8Array(40)), { message: /not a classic pcap/ })
  const ethernet = formatPcap([])
  ethernet[20] = 1
  t.throws(() => parsePcap(ethernet), { message: /link type 101 .* not 1/ })
  const absurd = formatPcap([{ nanoseconds: 0n, packet: Uint8Array.of(1) }])
  absurd[24 + 11] = 0x7f
  t.throws(() => parsePcap(absurd), { message: /bytes at byte 24/ })
})

t.test('devices take turns by time stamp, and what is sent bears the time of what was received', async t => {
  const packets = [1, 2, 3].map(port => udp4({ sourcePort: port }))
  writeFileSync(
    file('a'),
    formatPcap([
      { nanoseconds: 1_000_000_000n, packet: packets[0] },
      { nanoseconds: 3_000_000_000n, packet: packets[2] },
    ]),
  )
  writeFileSync(
    file('b'),
    formatPcap([
      { nanoseconds: 2_000_005_000n, packet: packets[1] },
      { nanoseconds: 3_000_000_000n, packet: tcp6() },
    ]),
  )
  const run = (output: string) => {
    const slab = new Slab(new ArrayBuffer(8 * STRIDE), 8)
    const io = new PcapIo(slab, [
      { device: 0, input: file('a'), output },
      { device: 1, input: file('b') },
    ])
    io.attach(0)
    io.attach(1)
    t.throws(() => io.attach(2), { name: 'RangeError', message: 'pcap: device 2 has no files' })
    const burst = new Burst(8)
    const seen: [number, number[]][] = []
    while (!io.isDone) {
      io.receive(burst)
      seen.push([io.time, [...burst.device.subarray(0, burst.count)]])
      for (let at = 0; at < burst.count; at++) burst.device[at] = 0
      io.send(burst)
    }
    io.close()
    t.equal(slab.free, 8)
    return seen
  }
  t.same(run(file('out1')), [
    [1000, [0]],
    [2000.005, [1]],
    [3000, [0, 1]],
  ])
  run(file('out2'))
  t.same(readFileSync(file('out1')), readFileSync(file('out2')), 'the same bytes each time')
  t.same(
    parsePcap(readFileSync(file('out1'))).map(({ nanoseconds, packet }) => [
      nanoseconds,
      Buffer.from(packet),
    ]),
    [
      [1_000_000_000n, Buffer.from(packets[0])],
      [2_000_005_000n, Buffer.from(packets[1])],
      [3_000_000_000n, Buffer.from(packets[2])],
      [3_000_000_000n, Buffer.from(tcp6())],
    ],
  )
})

t.test('a device that was let go of brings nothing, and keeps what was written', async t => {
  writeFileSync(file('in'), formatPcap([1n, 2n, 3n].map(n => ({ nanoseconds: n * 1000n, packet: udp4() }))))
  const slab = new Slab(new ArrayBuffer(8 * STRIDE), 8)
  const io = new PcapIo(slab, [{ device: 4, input: file('in'), output: file('kept') }])
  io.attach(4)
  const burst = new Burst(8)
  io.receive(burst)
  io.send(burst)
  io.detach(4)
  io.receive(burst)
  t.equal(burst.count, 0)
  burst.add(slab.take(), 20, 4)
  io.send(burst)
  t.equal(io.counters.deviceGone, 1)
  io.close()
  t.equal(parsePcap(readFileSync(file('kept'))).length, 1)
})
