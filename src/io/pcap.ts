/**
 * Devices that are pairs of pcap files: frames are read from one and written to the other, the same each time.
 *
 * Classic pcap (draft-ietf-opsawg-pcap) with link type 101, raw IP: a packet record is an IP packet, without a virtio-net header. Files in
 * either byte order and with micro- or nanoseconds are read; little-endian microseconds are written. Frames of several devices come in the
 * order of their time stamps, those of one moment in the order in which the devices were attached. A frame that is sent gets the time of
 * the frame that was received last, so that what is written depends on nothing but what was read; `time` is the clock for a shard that
 * runs on such files.
 *
 * Files are read whole, and written by `close`.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Burst } from '../tables/burst.ts'
import { frameAt, MAX_FRAME, type Slab, VNET_LEN } from '../tables/slab.ts'
import type { Io, IoCounters } from './io.ts'

const MICROSECONDS = 0xa1b2c3d4
const NANOSECONDS = 0xa1b23c4d
const LINKTYPE_RAW = 101
const FILE_HEADER = 24
const RECORD_HEADER = 16

/** A packet record. */
export interface PcapPacket {
  /** Since 1970. */
  readonly nanoseconds: bigint
  readonly packet: Uint8Array
}

/**
 * The packets of a pcap file. A last record that is cut short is left out, as a file that is still written has one.
 * @throws RangeError where the bytes are no pcap file of raw IP packets
 */
export function parsePcap(bytes: Uint8Array): PcapPacket[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < FILE_HEADER) throw new RangeError('pcap: shorter than a file header')
  const magics = [MICROSECONDS, NANOSECONDS]
  const little = magics.includes(view.getUint32(0, true))
  if (!little && !magics.includes(view.getUint32(0, false)))
    throw new RangeError('pcap: not a classic pcap file (pcapng is not read)')
  const linkType = view.getUint32(20, little) & 0xffff
  if (linkType !== LINKTYPE_RAW)
    throw new RangeError(`pcap: link type ${LINKTYPE_RAW} (raw IP) is read, not ${linkType}`)
  const unit = view.getUint32(0, little) === NANOSECONDS ? 1n : 1000n
  const packets: PcapPacket[] = []
  for (let at = FILE_HEADER; at + RECORD_HEADER <= bytes.length; ) {
    const captured = view.getUint32(at + 8, little)
    const begin = at + RECORD_HEADER
    if (captured > MAX_FRAME) throw new RangeError(`pcap: a packet of ${captured} bytes at byte ${at}`)
    if (begin + captured > bytes.length) break
    const seconds = BigInt(view.getUint32(at, little))
    const fraction = BigInt(view.getUint32(at + 4, little))
    packets.push({
      nanoseconds: seconds * 1_000_000_000n + fraction * unit,
      packet: bytes.subarray(begin, begin + captured),
    })
    at = begin + captured
  }
  return packets
}

/** A pcap file of raw IP packets, little-endian, microseconds. */
export function formatPcap(packets: readonly PcapPacket[]): Uint8Array {
  const size = packets.reduce((sum, { packet }) => sum + RECORD_HEADER + packet.length, FILE_HEADER)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MICROSECONDS, true)
  view.setUint16(4, 2, true)
  view.setUint16(6, 4, true)
  view.setUint32(16, MAX_FRAME, true)
  view.setUint32(20, LINKTYPE_RAW, true)
  let at = FILE_HEADER
  for (const { nanoseconds, packet } of packets) {
    view.setUint32(at, Number(nanoseconds / 1_000_000_000n), true)
    view.setUint32(at + 4, Number((nanoseconds % 1_000_000_000n) / 1000n), true)
    view.setUint32(at + 8, packet.length, true)
    view.setUint32(at + 12, packet.length, true)
    bytes.set(packet, at + RECORD_HEADER)
    at += RECORD_HEADER + packet.length
  }
  return bytes
}

/** The files of one device. */
export interface PcapFiles {
  readonly device: number
  /** What comes from the device. Nothing does where it is left out. */
  readonly input?: string
  /** Where frames sent to the device go. They are thrown away where it is left out. */
  readonly output?: string
}

interface PcapDevice {
  readonly output: string | undefined
  readonly written: PcapPacket[]
}

interface Waiting extends PcapPacket {
  readonly device: number
}

export class PcapIo implements Io {
  readonly counters: IoCounters = { deviceGone: 0, deviceFull: 0, writeFailed: 0, sleeps: 0 }
  readonly #slab: Slab
  readonly #files: ReadonlyMap<number, PcapFiles>
  readonly #attached = new Map<number, PcapDevice>()
  readonly #detached: PcapDevice[] = []
  #waiting: Waiting[] = []
  #next = 0
  #nanoseconds = 0n

  constructor(slab: Slab, files: readonly PcapFiles[]) {
    this.#slab = slab
    this.#files = new Map(files.map(one => [one.device, one]))
  }

  /** Milliseconds since 1970 of the frame that was received last, 0 before the first. */
  get time(): number {
    return Number(this.#nanoseconds) / 1e6
  }

  /** True when every frame of every input was received. */
  get isDone(): boolean {
    return this.#next === this.#waiting.length
  }

  /**
   * Takes a device whose files were given to the constructor; the descriptor means nothing.
   * @throws RangeError where none were given, or where the input is no pcap file of raw IP packets; what reading the file throws
   */
  attach(device: number, _descriptor = -1): void {
    const files = this.#files.get(device)
    if (files === undefined) throw new RangeError(`pcap: device ${device} has no files`)
    if (this.#attached.has(device)) throw new RangeError(`pcap: device ${device} is attached already`)
    const packets = files.input === undefined ? [] : parsePcap(readFileSync(files.input))
    this.#attached.set(device, { output: files.output, written: [] })
    const left = this.#waiting.slice(this.#next)
    left.push(...packets.map(({ nanoseconds, packet }) => ({ nanoseconds, packet, device })))
    // Sorting is stable: what came in one moment stays in the order of the devices.
    this.#waiting = left.sort((a, b) =>
      a.nanoseconds < b.nanoseconds ? -1 : a.nanoseconds > b.nanoseconds ? 1 : 0,
    )
    this.#next = 0
  }

  detach(device: number): void {
    const one = this.#attached.get(device)
    if (one === undefined) return
    this.#attached.delete(device)
    this.#detached.push(one)
    this.#waiting = this.#waiting.slice(this.#next).filter(frame => frame.device !== device)
    this.#next = 0
  }

  /** As in `Io`; frames of different moments come in different bursts, so that `time` holds for the whole burst. */
  receive(burst: Burst): void {
    let first = true
    while (this.#next < this.#waiting.length && burst.count < burst.capacity && this.#slab.free > 0) {
      const { nanoseconds, packet, device } = this.#waiting[this.#next]
      if (first) this.#nanoseconds = nanoseconds
      else if (nanoseconds !== this.#nanoseconds) return
      first = false
      this.#next++
      const slot = this.#slab.take()
      const at = frameAt(slot)
      this.#slab.bytes.fill(0, at - VNET_LEN, at)
      this.#slab.bytes.set(packet, at)
      burst.add(slot, packet.length, device)
    }
  }

  send(burst: Burst): void {
    for (let i = 0; i < burst.count; i++) {
      const slot = burst.slot[i]
      const at = frameAt(slot)
      const one = this.#attached.get(burst.device[i])
      if (one === undefined) this.counters.deviceGone++
      else
        one.written.push({
          nanoseconds: this.#nanoseconds,
          packet: this.#slab.bytes.slice(at, at + burst.length[i]),
        })
      this.#slab.give(slot)
    }
    burst.clear()
  }

  /** Never waits: what could come is there already. */
  wait(_milliseconds: number): void {
    this.counters.sleeps++
  }

  /** Writes the output files. */
  close(): void {
    for (const { output, written } of [...this.#detached, ...this.#attached.values()])
      if (output !== undefined) writeFileSync(output, formatPcap(written))
    this.#attached.clear()
    this.#detached.length = 0
  }
}
