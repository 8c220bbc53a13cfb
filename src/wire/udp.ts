/**
 * The UDP header, RFC 768.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |          source port          |       destination port        |
 *    +-------------------------------+-------------------------------+
 *    |            length             |           checksum            |
 *    +-------------------------------+-------------------------------+
 *
 * The length may be less than what the IP packet has room for; what lies behind it (RFC 9868 puts options
 * there) is passed on.
 */
import { load16, read16, store16, write16 } from './bytes.ts'
import { fillUdp } from './checksum.ts'

const SOURCE_PORT = 0
const DESTINATION_PORT = 2
const LENGTH = 4
const CHECKSUM = 6

export const HEADER_LEN = 8
/** Where the checksum is in the header, for `csum_offset`. */
export const CHECKSUM_OFFSET = CHECKSUM

/**
 * True when every accessor below is in bounds and the length passes neither `end` nor falls short. Setting
 * the length invalidates this.
 */
export function fits(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < HEADER_LEN) return false
  const stated = length(bytes, at)
  return stated >= HEADER_LEN && at + stated <= end
}

/**
 * True when the header alone is in bounds, its length not looked at: for first fragments and quoted packets.
 */
export const headerFits = (at: number, end: number): boolean => end - at >= HEADER_LEN

export const sourcePort = (bytes: Uint8Array, at: number): number => read16(bytes, at + SOURCE_PORT)
export const destinationPort = (bytes: Uint8Array, at: number): number => read16(bytes, at + DESTINATION_PORT)
/** In bytes, header and data. */
export const length = (bytes: Uint8Array, at: number): number => read16(bytes, at + LENGTH)
/** A half as loaded; 0 says that there is none. */
export const checksum = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM)

export function setSourcePort(bytes: Uint8Array, at: number, port: number): void {
  write16(bytes, at + SOURCE_PORT, port)
}
export function setDestinationPort(bytes: Uint8Array, at: number, port: number): void {
  write16(bytes, at + DESTINATION_PORT, port)
}
export function setLength(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + LENGTH, value)
}
/** Stores a half as loaded. */
export function setChecksum(bytes: Uint8Array, at: number, half: number): void {
  store16(bytes, at + CHECKSUM, half)
}

/** Computes and stores the checksum over the stated length. @param pseudo the sum of the pseudo-header */
export function fillChecksum(bytes: Uint8Array, at: number, pseudo: number): void {
  fillUdp(bytes, at, length(bytes, at), at + CHECKSUM, pseudo)
}

/** For logs and traces: `udp 53 > 40000 length 20`. Requires a header in bounds. */
export const describe = (bytes: Uint8Array, at: number): string =>
  `udp ${sourcePort(bytes, at)} > ${destinationPort(bytes, at)} length ${length(bytes, at)}`
