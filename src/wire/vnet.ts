/**
 * The virtio-net header before every packet of a TUN device with IFF_VNET_HDR, virtio 1.2 section 5.1.6, as
 * the Linux driver reads and writes it: 12 bytes, little-endian, so that the IP header behind it stays
 * aligned to a word.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +---------------+---------------+-------------------------------+
 *    |     flags     |   gso type    |         header length         |
 *    +---------------+---------------+-------------------------------+
 *    |           gso size            |        checksum start         |
 *    +-------------------------------+-------------------------------+
 *    |        checksum offset        |        number of buffers      |
 *    +-------------------------------+-------------------------------+
 *
 * *Start* counts from the IP header, *offset* from start. With NEEDS_CSUM the transport checksum is left to
 * the device: its field holds the sum of the pseudo-header, not complemented. A frame with a gso type stands
 * for several packets with up to gso-size bytes of payload each. All zeros is a plain packet with its
 * checksums done.
 */
import { load16, store16, store32 } from './bytes.ts'

const FLAGS = 0
const GSO_TYPE = 1
const HEADER_LENGTH = 2
const GSO_SIZE = 4
const CHECKSUM_START = 6
const CHECKSUM_OFFSET = 8
const BUFFERS = 10

export const HEADER_LEN = 12

/** Bits of `flags`. */
export const Flag = {
  NeedsChecksum: 1,
  /** The device has checked the transport checksum. */
  DataValid: 2,
} as const

/** What the super-frame is cut into; `gsoType` answers these without the ECN bit. */
export const Gso = { None: 0, Tcp4: 1, UdpFragments: 3, Tcp6: 4, UdpSegments: 5 } as const
export type Gso = (typeof Gso)[keyof typeof Gso]
/** Beside a TCP type: CWR is set in the first segment only. */
const GSO_ECN = 0x80

/**
 * True when the header is in bounds and what it says agrees with the frame behind it, which ends at `end`:
 * the checksum's field is in the frame, a gso type is one we know and has a size, the headers are no longer
 * than the frame.
 */
export function fits(bytes: Uint8Array, at: number, end: number): boolean {
  const length = end - at - HEADER_LEN
  if (length < 0) return false
  if (needsChecksum(bytes, at) && checksumStart(bytes, at) + checksumOffset(bytes, at) + 2 > length)
    return false
  switch (gsoType(bytes, at)) {
    case Gso.None:
      return true
    case Gso.Tcp4:
    case Gso.Tcp6:
    case Gso.UdpSegments:
      return gsoSize(bytes, at) > 0 && headerLength(bytes, at) <= length
    default:
      return false
  }
}

export const flags = (bytes: Uint8Array, at: number): number => bytes[at + FLAGS]
export const needsChecksum = (bytes: Uint8Array, at: number): boolean =>
  (bytes[at + FLAGS] & Flag.NeedsChecksum) !== 0
/** A `Gso`, the ECN bit left out. */
export const gsoType = (bytes: Uint8Array, at: number): number => bytes[at + GSO_TYPE] & ~GSO_ECN
export const hasGsoEcn = (bytes: Uint8Array, at: number): boolean => (bytes[at + GSO_TYPE] & GSO_ECN) !== 0
/** Bytes of all headers from the IP header on; a hint. */
export const headerLength = (bytes: Uint8Array, at: number): number => load16(bytes, at + HEADER_LENGTH)
/** Payload bytes of each packet that the frame stands for. */
export const gsoSize = (bytes: Uint8Array, at: number): number => load16(bytes, at + GSO_SIZE)
export const checksumStart = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM_START)
export const checksumOffset = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM_OFFSET)
export const buffers = (bytes: Uint8Array, at: number): number => load16(bytes, at + BUFFERS)

/** A plain packet with its checksums done. */
export function clear(bytes: Uint8Array, at: number): void {
  store32(bytes, at, 0)
  store32(bytes, at + 4, 0)
  store32(bytes, at + 8, 0)
}
export function setFlags(bytes: Uint8Array, at: number, value: number): void {
  bytes[at + FLAGS] = value
}
/** @param ecn CWR is set in the first segment only */
export function setGso(bytes: Uint8Array, at: number, type: Gso, size: number, ecn: boolean): void {
  bytes[at + GSO_TYPE] = type | (ecn ? GSO_ECN : 0)
  store16(bytes, at + GSO_SIZE, size)
}
export function setHeaderLength(bytes: Uint8Array, at: number, length: number): void {
  store16(bytes, at + HEADER_LENGTH, length)
}
/**
 * Leaves the checksum to the device: start counts from the IP header, offset from start. The data-valid flag
 * goes.
 */
export function setNeedsChecksum(bytes: Uint8Array, at: number, start: number, offset: number): void {
  bytes[at + FLAGS] = Flag.NeedsChecksum
  store16(bytes, at + CHECKSUM_START, start)
  store16(bytes, at + CHECKSUM_OFFSET, offset)
}
export function setBuffers(bytes: Uint8Array, at: number, count: number): void {
  store16(bytes, at + BUFFERS, count)
}

const gsoName: Record<Gso, string> = {
  [Gso.None]: 'none',
  [Gso.Tcp4]: 'tcp4',
  [Gso.UdpFragments]: 'udp-fragments',
  [Gso.Tcp6]: 'tcp6',
  [Gso.UdpSegments]: 'udp-segments',
}

/** For logs and traces: `plain`, `checksum 20+16 gso tcp4 1448`. */
export function describe(bytes: Uint8Array, at: number): string {
  const type = gsoType(bytes, at)
  const parts: string[] = []
  if (needsChecksum(bytes, at))
    parts.push(`checksum ${checksumStart(bytes, at)}+${checksumOffset(bytes, at)}`)
  if (type !== Gso.None) parts.push(`gso ${gsoName[type as Gso] ?? type} ${gsoSize(bytes, at)}`)
  return parts.length === 0 ? 'plain' : parts.join(' ')
}
