/**
 * The TCP header, RFC 9293 section 3.1.
 *
 *     0                   1                   2                   3
 *     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *    +-------------------------------+-------------------------------+
 *    |          source port          |       destination port        |
 *    +-------------------------------+-------------------------------+
 *    |                        sequence number                        |
 *    +---------------------------------------------------------------+
 *    |                     acknowledgment number                     |
 *    +-------+-------+---------------+-------------------------------+
 *    | offset| rsrvd |C E U A P R S F|            window             |
 *    +-------+-------+---------------+-------------------------------+
 *    |           checksum            |        urgent pointer         |
 *    +-------------------------------+-------------------------------+
 *    |                    options, 0 to 40 bytes                     |
 *    +---------------------------------------------------------------+
 *
 * Sequence numbers are signed 32-bit integers: they are compared by the sign of their difference, `(a - b) |
 * 0`, which survives the wrap.
 */
import { load16, read16, read32, store16, swap16, write16, write32 } from './bytes.ts'
import { addDelta, delta16, fill } from './checksum.ts'

const SOURCE_PORT = 0
const DESTINATION_PORT = 2
const SEQUENCE = 4
const ACKNOWLEDGMENT = 8
const OFFSET = 12
const FLAGS = 13
const WINDOW = 14
const CHECKSUM = 16
const URGENT = 18

/** Bytes of a header without options. */
export const HEADER_LEN = 20
/** Bytes of the longest header. */
export const MAX_HEADER_LEN = 60
/** Where the checksum is in the header, for `csum_offset`. */
export const CHECKSUM_OFFSET = CHECKSUM

export const Flag = { Fin: 1, Syn: 2, Rst: 4, Psh: 8, Ack: 16, Urg: 32, Ece: 64, Cwr: 128 } as const

/** The six flags that `flagsAreLegal` judges; the ECN flags of RFC 3168 go with any of them. */
const JUDGED_FLAGS = 0x3f

/** Option kinds. RFC 9293 section 3.2, RFC 7323, RFC 2018. */
export const Option = {
  End: 0,
  NoOperation: 1,
  MaximumSegmentSize: 2,
  WindowScale: 3,
  SackPermitted: 4,
  Sack: 5,
  Timestamps: 8,
} as const
const MSS_LEN = 4
const WINDOW_SCALE_LEN = 3
/** The largest shift that counts. RFC 7323 section 2.3. */
export const MAX_WINDOW_SCALE = 14

/** Answered where an option is not in the header. */
export const NO_OPTION = -1

/**
 * Which sets of the six flags a segment may have, indexed by the set. A segment has SYN, RST or ACK (RFC 9293
 * section 3.10.7.4: all but the first SYN and resets have ACK), and of SYN, RST and FIN no two. PSH and URG
 * go with any.
 */
const LEGAL = legalFlagSets()

function legalFlagSets(): Uint8Array {
  const legal = new Uint8Array(JUDGED_FLAGS + 1)
  for (const set of [
    Flag.Syn,
    Flag.Syn | Flag.Ack,
    Flag.Rst,
    Flag.Rst | Flag.Ack,
    Flag.Ack,
    Flag.Fin | Flag.Ack,
  ])
    for (const also of [0, Flag.Psh, Flag.Urg, Flag.Psh | Flag.Urg]) legal[set | also] = 1
  return legal
}

/** True when every accessor below is in bounds, options too. Setting the data offset invalidates this. */
export function fits(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < HEADER_LEN) return false
  const header = headerLength(bytes, at)
  return header >= HEADER_LEN && at + header <= end
}

export const sourcePort = (bytes: Uint8Array, at: number): number => read16(bytes, at + SOURCE_PORT)
export const destinationPort = (bytes: Uint8Array, at: number): number => read16(bytes, at + DESTINATION_PORT)
/** Signed. */
export const sequence = (bytes: Uint8Array, at: number): number => read32(bytes, at + SEQUENCE)
/** Signed. */
export const acknowledgment = (bytes: Uint8Array, at: number): number => read32(bytes, at + ACKNOWLEDGMENT)
/** The data offset, in bytes. */
export const headerLength = (bytes: Uint8Array, at: number): number => (bytes[at + OFFSET] >>> 4) << 2
/** All eight, see `Flag`. */
export const flags = (bytes: Uint8Array, at: number): number => bytes[at + FLAGS]
/** As the header says, not scaled. */
export const window = (bytes: Uint8Array, at: number): number => read16(bytes, at + WINDOW)
/** A half as loaded. */
export const checksum = (bytes: Uint8Array, at: number): number => load16(bytes, at + CHECKSUM)
export const urgent = (bytes: Uint8Array, at: number): number => read16(bytes, at + URGENT)

/** True when a segment may have these flags; see `LEGAL`. */
export const flagsAreLegal = (set: number): boolean => LEGAL[set & JUDGED_FLAGS] === 1

/**
 * Sequence space that a segment takes: its data, and one each for SYN and FIN. `end` is where the IP packet
 * ends.
 */
export function segmentLength(bytes: Uint8Array, at: number, end: number): number {
  const set = flags(bytes, at)
  return end - at - headerLength(bytes, at) + ((set & Flag.Syn) >>> 1) + (set & Flag.Fin)
}

/** Where the first option of a kind begins, or NO_OPTION, also where the options before it are malformed. */
export function optionAt(bytes: Uint8Array, at: number, kind: number): number {
  const end = at + headerLength(bytes, at)
  let option = at + HEADER_LEN
  while (option < end) {
    const found = bytes[option]
    if (found === Option.End) return NO_OPTION
    if (found === Option.NoOperation) {
      option++
      continue
    }
    if (option + 1 === end) return NO_OPTION
    const length = bytes[option + 1]
    if (length < 2 || option + length > end) return NO_OPTION
    if (found === kind) return option
    option += length
  }
  return NO_OPTION
}

/** The maximum segment size that a SYN offers, or NO_OPTION. */
export function maximumSegmentSize(bytes: Uint8Array, at: number): number {
  const option = optionAt(bytes, at, Option.MaximumSegmentSize)
  return option === NO_OPTION || bytes[option + 1] !== MSS_LEN ? NO_OPTION : read16(bytes, option + 2)
}

/** The shift that a SYN offers, at most MAX_WINDOW_SCALE, or NO_OPTION. */
export function windowScale(bytes: Uint8Array, at: number): number {
  const option = optionAt(bytes, at, Option.WindowScale)
  if (option === NO_OPTION || bytes[option + 1] !== WINDOW_SCALE_LEN) return NO_OPTION
  return Math.min(bytes[option + 2], MAX_WINDOW_SCALE)
}

export function setSourcePort(bytes: Uint8Array, at: number, port: number): void {
  write16(bytes, at + SOURCE_PORT, port)
}
export function setDestinationPort(bytes: Uint8Array, at: number, port: number): void {
  write16(bytes, at + DESTINATION_PORT, port)
}
/** Signed or not, the low 32 bits are written. */
export function setSequence(bytes: Uint8Array, at: number, value: number): void {
  write32(bytes, at + SEQUENCE, value)
}
/** Signed or not, the low 32 bits are written. */
export function setAcknowledgment(bytes: Uint8Array, at: number, value: number): void {
  write32(bytes, at + ACKNOWLEDGMENT, value)
}
/** The data offset in bytes, a multiple of 4 from 20 to 60; reserved bits become 0. */
export function setHeaderLength(bytes: Uint8Array, at: number, length: number): void {
  bytes[at + OFFSET] = (length >>> 2) << 4
}
export function setFlags(bytes: Uint8Array, at: number, set: number): void {
  bytes[at + FLAGS] = set
}
export function setWindow(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + WINDOW, value)
}
/** Stores a half as loaded. */
export function setChecksum(bytes: Uint8Array, at: number, half: number): void {
  store16(bytes, at + CHECKSUM, half)
}
export function setUrgent(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at + URGENT, value)
}

/**
 * Computes and stores the checksum over `length` bytes, header and data.
 * @param pseudo the sum of the pseudo-header
 */
export function fillChecksum(bytes: Uint8Array, at: number, length: number, pseudo: number): void {
  fill(bytes, at, length, at + CHECKSUM, pseudo)
}

/**
 * Lowers the maximum segment size that a SYN offers to `limit`, and keeps the checksum as right or wrong as
 * it was; never raises it. RFC 6691.
 * @param partial the checksum is left to the device (VIRTIO NEEDS_CSUM), its field does not cover options
 * @returns true when the option was changed
 */
export function lowerMaximumSegmentSize(
  bytes: Uint8Array,
  at: number,
  limit: number,
  partial: boolean,
): boolean {
  const option = optionAt(bytes, at, Option.MaximumSegmentSize)
  if (option === NO_OPTION || bytes[option + 1] !== MSS_LEN) return false
  const value = option + 2
  if (read16(bytes, value) <= limit) return false
  const before = load16(bytes, value)
  write16(bytes, value, limit)
  if (partial) return true
  const delta = delta16(before, load16(bytes, value))
  // An option may stand at an odd place, where its bytes count in halves the other way round.
  const inPlace = ((value - at) & 1) === 0 ? delta : swap16(delta)
  setChecksum(bytes, at, addDelta(checksum(bytes, at), inPlace))
  return true
}

/** For logs and traces: `tcp 40000 > 443 [SA] seq 1 ack 2 window 65535`. Requires a header in bounds. */
export function describe(bytes: Uint8Array, at: number): string {
  const set = flags(bytes, at)
  let letters = ''
  for (let bit = 0; bit < 8; bit++) if ((set & (1 << bit)) !== 0) letters += 'FSRPAUEC'[bit]
  return (
    `tcp ${sourcePort(bytes, at)} > ${destinationPort(bytes, at)} [${letters}]` +
    ` seq ${sequence(bytes, at) >>> 0} ack ${acknowledgment(bytes, at) >>> 0} window ${window(bytes, at)}`
  )
}
