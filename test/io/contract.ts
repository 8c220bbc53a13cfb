/**
 * What every Io over TUN devices has to do, as tests: the same for io_uring and for read and write.
 *
 *     namespace: a socket on 10.9.d.1 ── TUN device d ──▶ the Io under test
 */
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Io } from '../../src/io/io.ts'
import { mapMemory } from '../../src/io/mapping.ts'
import { closeDescriptor } from '../../src/io/native.ts'
import { eventfd, signalEvent } from '../../src/io/thread.ts'
import { ALL_OFFLOADS, openTun } from '../../src/io/tun.ts'
import { Burst } from '../../src/tables/burst.ts'
import { frameAt, Slab, STRIDE } from '../../src/tables/slab.ts'
import { address4, tcp4, udp4 } from '../wire/build.ts'
import { Namespace, Peer } from './namespace.ts'

/** What an Io under test is made with. */
export interface IoOptions {
  readonly wake?: number
  readonly idleTurns?: number
}

/** Makes the Io under test. */
export type Make = (slab: Slab, options: IoOptions) => Io & { wake(): void }

const SLOTS = 256

/** A namespace with devices, an Io that reads them, and a slab whose slots all have to come back. */
export class Bench {
  readonly namespace: Namespace
  readonly slab: Slab
  readonly io: Io & { wake(): void }
  readonly wake: number
  readonly burst: Burst
  readonly descriptors: number[] = []
  readonly #t: Test

  constructor(t: Test, make: Make, { devices = 1, idleTurns = 3, burst = 64 } = {}) {
    this.#t = t
    this.namespace = new Namespace(t)
    const memory = mapMemory(SLOTS * STRIDE)
    this.slab = new Slab(memory.memory, SLOTS)
    this.wake = eventfd()
    this.io = make(this.slab, { wake: this.wake, idleTurns })
    this.burst = new Burst(burst)
    for (let device = 0; device < devices; device++) this.add(device)
  }

  /** Makes device d, address 10.9.d.1, and gives it to the Io. */
  add(device: number): void {
    const name = `tun${device}`
    const tun = openTun({ namespace: this.namespace.path, name, offloads: ALL_OFFLOADS })
    this.namespace.ip(`link set ${name} addrgenmode none`)
    this.namespace.ip(`addr add 10.9.${device}.1/24 dev ${name}`)
    this.namespace.ip(`link set ${name} up`)
    this.descriptors[device] = tun.queues[0]
    this.io.attach(device, tun.queues[0])
  }

  /** Turns the loop until there is an answer; frames received go through `each`, which gives their slots away. */
  async until(
    done: () => boolean,
    each: (slot: number, length: number, device: number) => void,
  ): Promise<void> {
    const end = Date.now() + 10_000
    while (!done()) {
      if (Date.now() > end) throw new Error('nothing came for ten seconds')
      this.io.receive(this.burst)
      const { count, slot, length, device } = this.burst
      const frames = Array.from({ length: count }, (_, at) => [slot[at], length[at], device[at]])
      this.burst.clear()
      for (const [slot, length, device] of frames) each(slot, length, device)
      this.io.wait(1)
      await setImmediate()
    }
  }

  /** The frames that come until there are `count`, as copies; their slots go back. */
  async take(count: number): Promise<{ readonly device: number; readonly packet: Uint8Array }[]> {
    const frames: { device: number; packet: Uint8Array }[] = []
    await this.until(
      () => frames.length >= count,
      (slot, length, device) => {
        const at = frameAt(slot)
        frames.push({ device, packet: this.slab.bytes.slice(at, at + length) })
        this.slab.give(slot)
      },
    )
    return frames
  }

  /** The same for their virtio-net headers. */
  async takeHeaders(count: number): Promise<Uint8Array[]> {
    const headers: Uint8Array[] = []
    await this.until(
      () => headers.length >= count,
      slot => {
        headers.push(this.slab.bytes.slice(frameAt(slot) - 12, frameAt(slot)))
        this.slab.give(slot)
      },
    )
    return headers
  }

  /** Puts a packet into a slot, after a virtio-net header that asks for nothing. */
  place(packet: Uint8Array): number {
    const slot = this.slab.take()
    this.slab.bytes.fill(0, frameAt(slot) - 12, frameAt(slot))
    this.slab.bytes.set(packet, frameAt(slot))
    return slot
  }

  /** Closes the Io and its devices, and sees that no slot is missing. */
  close(): void {
    this.io.close()
    this.#t.equal(this.slab.free, SLOTS, 'every slot is back')
    for (const descriptor of this.descriptors) closeDescriptor(descriptor)
    closeDescriptor(this.wake)
  }
}

const payload = (packet: Uint8Array) => Buffer.from(packet.subarray(28)).toString()

/** A UDP packet from the other side of device d to the socket on it. */
const toPeer = (device: number, text: string) =>
  udp4({
    source: `10.9.${device}.2`,
    destination: `10.9.${device}.1`,
    sourcePort: 99,
    destinationPort: 5000,
    payload: text,
  })

export function testContract(make: Make): void {
  t.test('what a socket sends is read, and what is sent the socket reads', async t => {
    const bench = new Bench(t, make)
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    peer.send('ping ', '10.9.0.2', 99, { count: 100 })
    const frames = await bench.take(100)
    t.same(
      frames.map(({ packet }) => payload(packet)),
      Array.from({ length: 100 }, (_, number) => `ping ${number}`),
      'every frame once and in order',
    )
    t.same([...frames[0].packet.subarray(12, 20)], [...address4('10.9.0.1'), ...address4('10.9.0.2')])
    for (let number = 0; number < 200; number++) {
      const packet = toPeer(0, `pong ${number}`)
      bench.burst.add(bench.place(packet), packet.length, 0)
      if (bench.burst.count === 50) bench.io.send(bench.burst)
    }
    t.equal(bench.burst.count, 0, 'send empties the burst')
    await bench.until(
      () => peer.received.length >= 200,
      slot => bench.slab.give(slot),
    )
    t.same(
      peer.received.map(({ text }) => text),
      Array.from({ length: 200 }, (_, number) => `pong ${number}`),
    )
    t.match(bench.io.counters, { deviceFull: 0, deviceGone: 0, writeFailed: 0 })
    bench.close()
  })

  t.test('what the kernel left undone stands in the header before the packet', async t => {
    const bench = new Bench(t, make)
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    peer.send('x'.repeat(1400), '10.9.0.2', 99)
    const header = (await bench.takeHeaders(1))[0]
    t.equal(header[0] & 1, 1, 'NEEDS_CSUM: the kernel left the checksum to the device')
    t.equal(header[6] | (header[7] << 8), 20, 'csum_start: behind the IP header')
    t.equal(header[8] | (header[9] << 8), 6, 'csum_offset: that of UDP')
    bench.close()
  })

  t.test('a super-frame is written and read as one frame', async t => {
    const bench = new Bench(t, make, { devices: 2 })
    bench.namespace.set('ipv4/ip_forward', 1)
    const text = 'abcdefgh'.repeat(7000)
    const packet = tcp4({
      source: '10.9.0.7',
      destination: '10.9.1.7',
      flags: 'A',
      payload: text,
      partial: true,
    })
    const slot = bench.place(packet)
    // struct virtio_net_hdr: NEEDS_CSUM, GSO_TCPV4, hdr_len 40, gso_size 1400, csum_start 20, csum_offset 16
    bench.slab.bytes.set([1, 1, 40, 0, 0x78, 0x05, 20, 0, 16, 0], frameAt(slot) - 12)
    bench.burst.add(slot, packet.length, 0)
    bench.io.send(bench.burst)
    const [frame] = await bench.take(1)
    t.equal(frame.device, 1, 'the namespace routed it')
    t.equal(frame.packet.length, 40 + text.length)
    t.equal(Buffer.from(frame.packet.subarray(40)).toString() === text, true, 'every byte is there')
    bench.close()
  })

  t.test('a burst takes no more than it has room for, the rest comes next', async t => {
    const bench = new Bench(t, make, { burst: 8, devices: 2 })
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    peer.send('a', '10.9.0.2', 99, { count: 60 })
    peer.send('b', '10.9.1.2', 99, { count: 60 })
    const counts = [0, 0]
    let largest = 0
    const end = Date.now() + 10_000
    while (counts[0] + counts[1] < 120 && Date.now() < end) {
      bench.io.receive(bench.burst)
      largest = Math.max(largest, bench.burst.count)
      for (let at = 0; at < bench.burst.count; at++) {
        counts[bench.burst.device[at]]++
        bench.slab.give(bench.burst.slot[at])
      }
      bench.burst.clear()
      bench.io.wait(1)
      await setImmediate()
    }
    t.same(counts, [60, 60])
    t.ok(largest <= 8, `the largest burst had ${largest}`)
    bench.close()
  })

  t.test('a full slab loses nothing: frames wait in their device', async t => {
    const bench = new Bench(t, make)
    const held = Array.from({ length: SLOTS - 2 }, () => bench.slab.take())
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    peer.send('n', '10.9.0.2', 99, { count: 20 })
    t.same(
      (await bench.take(20)).map(({ packet }) => payload(packet)),
      Array.from({ length: 20 }, (_, number) => `n${number}`),
    )
    for (const slot of held) bench.slab.give(slot)
    bench.close()
  })

  t.test('wait sleeps until a frame comes, it is woken, or the time is over', async t => {
    const bench = new Bench(t, make, { idleTurns: 0 })
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    bench.io.receive(bench.burst)
    bench.io.wait(0)

    const asleep = (milliseconds: number) => {
      const began = performance.now()
      bench.io.wait(milliseconds)
      return performance.now() - began
    }
    const sleeps = bench.io.counters.sleeps
    const whole = asleep(60)
    t.ok(whole >= 59 && whole < 1000, `60 ms took ${whole} ms`)
    t.equal(bench.io.counters.sleeps, sleeps + 1, 'the sleep is counted')

    bench.io.wake()
    t.ok(asleep(5000) < 1000, 'a wake-up that came before is not lost')
    t.ok(asleep(60) >= 59, 'and wakes once')
    signalEvent(bench.wake)
    t.ok(asleep(5000) < 1000, 'so does the event itself')

    peer.send('hello', '10.9.0.2', 99)
    await new Promise(resolve => setTimeout(resolve, 50))
    t.ok(asleep(5000) < 1000, 'what waits already ends a wait at once')
    t.equal((await bench.take(1)).length, 1)
    bench.close()
  })

  t.test('wait returns at once while the loop shall spin', async t => {
    const bench = new Bench(t, make, { idleTurns: 50 })
    const began = performance.now()
    for (let turn = 0; turn < 50; turn++) bench.io.wait(1000)
    t.ok(performance.now() - began < 1000)
    t.equal(bench.io.counters.sleeps, 0)
    bench.close()
  })

  t.test('a device that was idle for long is read again', async t => {
    const bench = new Bench(t, make, { devices: 3 })
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    for (let turn = 0; turn < 50; turn++) {
      bench.io.receive(bench.burst)
      bench.io.wait(0)
    }
    for (const device of [2, 0, 2]) {
      peer.send('x', `10.9.${device}.2`, 99)
      t.equal((await bench.take(1))[0].device, device)
    }
    // One device stays busy while the others are idle: those must be noticed without any sleep.
    peer.send('busy', '10.9.0.2', 99, { count: 2000 })
    peer.send('late', '10.9.1.2', 99)
    const frames = await bench.take(2001)
    t.equal(frames.filter(({ device }) => device === 1).length, 1)
    bench.close()
  })

  t.test('a device is let go of: queued frames are written first, then nothing is touched', async t => {
    const bench = new Bench(t, make, { devices: 2 })
    const peer = await Peer.open(t, bench.namespace, '10.9.0.1', 5000)
    const packet = toPeer(0, 'last words')
    bench.burst.add(bench.place(packet), packet.length, 0)
    bench.io.send(bench.burst)
    bench.io.detach(0)
    closeDescriptor(bench.descriptors[0])
    t.notMatch(bench.namespace.ip('link show'), /tun0/, 'nobody holds the queue: the device is gone')
    bench.io.detach(0)

    bench.burst.add(bench.place(packet), packet.length, 0)
    bench.io.send(bench.burst)
    t.equal(bench.io.counters.deviceGone, 1, 'a frame for it is counted')
    bench.add(0)
    peer.send('again', '10.9.0.2', 99)
    const [frame] = await bench.take(1)
    t.equal(frame.device, 0, 'the number can be used again')
    await bench.until(
      () => peer.received.length > 0,
      slot => bench.slab.give(slot),
    )
    t.same(
      peer.received.map(({ text }) => text),
      ['last words'],
    )
    t.throws(() => bench.io.attach(0, bench.descriptors[0]), { name: 'RangeError' }, 'but not twice at once')
    bench.close()
  })

  t.test('a device that is down or deleted takes frames with it, counted, and harms nobody', async t => {
    const bench = new Bench(t, make, { devices: 3 })
    const peer = await Peer.open(t, bench.namespace, '10.9.2.1', 5000)
    bench.namespace.ip('link set tun0 down')
    bench.namespace.ip('link delete tun1')
    for (const device of [0, 1, 1]) {
      const packet = toPeer(device, 'nobody hears')
      bench.burst.add(bench.place(packet), packet.length, device)
    }
    bench.io.send(bench.burst)
    peer.send('alive', '10.9.2.2', 99)
    t.equal((await bench.take(1))[0].device, 2)
    t.match(bench.io.counters, { deviceGone: 3, deviceFull: 0, writeFailed: 0 })
    // A device that is gone must not keep the loop awake.
    for (let turn = 0; turn < 20; turn++) {
      bench.io.receive(bench.burst)
      bench.io.wait(0)
    }
    const began = performance.now()
    bench.io.wait(50)
    t.ok(performance.now() - began >= 49, 'the loop sleeps all its time')
    bench.namespace.ip('link set tun0 up')
    const packet = toPeer(2, 'still here')
    bench.burst.add(bench.place(packet), packet.length, 2)
    bench.io.send(bench.burst)
    await bench.until(
      () => peer.received.length === 1,
      slot => bench.slab.give(slot),
    )
    t.equal(peer.received[0].text, 'still here')
    bench.close()
  })

  t.test('a packet that the kernel refuses is counted as such', async t => {
    const bench = new Bench(t, make)
    const slot = bench.place(Uint8Array.of(0x00, 1, 2, 3))
    bench.burst.add(slot, 4, 0)
    bench.io.send(bench.burst)
    bench.io.receive(bench.burst)
    t.match(bench.io.counters, { deviceGone: 0, deviceFull: 0, writeFailed: 1 }, 'no IP version: EINVAL')
    bench.close()
  })
}
