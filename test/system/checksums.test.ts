/**
 * Every packet that leaves is right: captured as the kernels of both ends receive them, computed anew by the oracle of `test/wire/verify.ts`.
 *
 *     orders-1 ◀── captured ── V2N ── captured ──▶ web, narrow
 *
 * First as kernels do it, checksums left to the device and TCP in super-frames; then with checksums by the sender, every packet whole.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { describeFrame, hex, quotedFrame, verifyFrame, verifyQuoted } from '../wire/verify.ts'
import type { TestLab } from './lab.ts'
import { pythonPeer, type Transferred, tcpClient, tcpServer } from './peers.ts'
import { atRest, atShards } from './scenario.ts'

const text = (shards: number): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
  securityGroups:
    fn: { egress: [{ protocol: all, to: [0.0.0.0/0, "::/0"] }] }
    open: { ingress: [{ protocol: all, from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [open] }
  narrow: { subnet: app, address: 10.0.1.30, securityGroups: [open], mtu: 1280 }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true, echo: true }
daemon: { shards: ${shards} }
`

const members = ['orders-1', 'orders-2', 'web', 'narrow']
const web = ['10.0.1.20', 'fd00:0:0:1::14']
const narrow = ['10.0.1.30', 'fd00:0:0:1::1e']

/** Packets of every kind: TCP both ways, datagrams in one piece and in many, echo, errors from V2N and from a host. */
async function everything(t: Test, lab: TestLab, from: string): Promise<void> {
  const echo = await pythonPeer(lab, 'web', 'echo', { ports: [7] })
  for (const [i, address] of web.entries()) {
    const server = await tcpServer(lab, 'web', { port: 7000, send: 200_001 })
    const client = await tcpClient(lab, from, { address, port: 7000, send: 200_001 })
    t.equal((await client.done<Transferred[]>())[0].received.bytes, 200_001)
    await server.done()
    const sizes = [0, 1, 2, 3, 999, 1472, 1473, 9001]
    t.match(await (await pythonPeer(lab, from, 'ask', { address, port: 7, sizes })).done(), { same: sizes })
    await lab.exec(from, 'ping', '-n', '-c', '1', '-W', '5', '-s', '777', address)
    await lab.exec(from, 'traceroute', '-n', '-q', '1', '-w', '5', '-m', '2', address)
    // Cut or refused on the way, in both families.
    for (const discover of i === 0 ? ['dont', 'do'] : ['do']) {
      const size = { address: narrow[i], port: 7, size: 1301, discover }
      await (await pythonPeer(lab, from, 'size', size)).done()
    }
  }
  echo.finish()
  await echo.done()
}

interface Captured {
  readonly partial: boolean
  readonly frame: Uint8Array
}

/** What every member receives while something is done. */
async function captured(lab: TestLab, during: () => Promise<void>): Promise<Captured[]> {
  const captures = await Promise.all(
    members.map(async member => {
      const file = join(lab.directory.path, `${member}.frames`)
      return { file, peer: await pythonPeer(lab, member, 'capture', { device: 'v2n0', file }) }
    }),
  )
  await during()
  await atRest(lab)
  const frames: Captured[] = []
  for (const { peer, file } of captures) {
    peer.finish()
    await peer.done()
    for (const line of readFileSync(file, 'latin1').trim().split('\n')) {
      const [kind, digits] = line.split(' ')
      if (digits !== undefined) frames.push({ partial: kind === 'partial', frame: hex(digits) })
    }
  }
  return frames
}

/**
 * Faults of all packets, with the packets that have them.
 * @param asSent what an error quotes may be a packet whose checksum its sender left to the device
 */
function faultsOf(frames: readonly Captured[], { asSent }: { asSent: boolean }): string[] {
  return frames.flatMap(({ frame, partial }) => {
    const quoted = quotedFrame(frame) === undefined ? [] : verifyQuoted(frame)
    if (asSent && quoted.length === 1 && /^(tcp|udp) checksum$/.test(quoted[0])) quoted.pop()
    return [...verifyFrame(frame, { partial }), ...quoted.map(fault => `quoted: ${fault}`)].map(
      fault => `${fault}: ${describeFrame(frame)}`,
    )
  })
}

atShards(t, [1, 2], text, async (test, lab) => {
  await test('with what devices do for kernels', async t => {
    const before = lab.stats()
    const frames = await captured(lab, () => everything(t, lab, 'orders-1'))
    t.equal(
      frames.length,
      lab.stats().out.packets - before.out.packets,
      'every packet that left was captured',
    )
    t.ok(frames.filter(({ partial }) => partial).length > 20, 'some checksums are left to the device')
    t.ok(
      frames.some(({ frame }) => frame.length > 9000),
      'there are super-frames',
    )
    t.ok(frames.filter(({ frame }) => quotedFrame(frame) !== undefined).length >= 4, 'and errors')
    t.same(faultsOf(frames, { asSent: true }), [], 'all of them are right')
  })

  await test('with checksums by the sender', async t => {
    for (const member of members) await pythonPeer(lab, member, 'software', { device: 'v2n0' })
    const before = lab.stats()
    const frames = await captured(lab, () => everything(t, lab, 'orders-2'))
    t.equal(frames.length, lab.stats().out.packets - before.out.packets)
    t.same(frames.filter(({ partial }) => partial).length, 0, 'none is left to the device')
    t.ok(frames.length > 500)
    t.same(faultsOf(frames, { asSent: false }), [])
  })
})
