/**
 * Cutting an IPv4 packet that is too big for its way, RFC 791 section 3.2: only where its sender left the DF
 * bit clear.
 *
 * Every piece is of the same length but the last, and they are made in order. The first has the packet's
 * header as it is; the later ones have those of its options whose copied flag is set. A packet that is a
 * fragment itself is cut likewise: offsets count on, and the last piece says that more follow if the packet
 * did.
 */
import { copyBytes } from '../wire/bytes.ts'
import * as ipv4 from '../wire/ipv4.ts'

const END_OF_OPTIONS = 0
const NO_OPERATION = 1
/** The bit of an option's kind that puts it into every fragment. */
const COPIED = 0x80

/** Payload bytes of every piece but the last: a multiple of 8. */
const pieceBytes = (headerLength: number, mtu: number): number => (mtu - headerLength) & ~7

/**
 * How many pieces a packet makes.
 * @param length of the packet in bytes
 * @param headerLength in bytes, with options
 * @param mtu at least the 68 bytes of RFC 791
 */
export const fragmentCount = (length: number, headerLength: number, mtu: number): number =>
  Math.ceil((length - headerLength) / pieceBytes(headerLength, mtu))

/**
 * Writes one piece, a whole IPv4 packet with its header checksum, to another place than the packet's.
 * @param length of the packet in bytes; its header fits and its options are well formed
 * @param mtu at least the 68 bytes of RFC 791
 * @param index of the piece, 0 to `fragmentCount - 1`
 * @returns the length of the piece in bytes
 */
export function writePiece(
  out: Uint8Array,
  outAt: number,
  source: Uint8Array,
  sourceAt: number,
  length: number,
  mtu: number,
  index: number,
): number {
  const headerLength = ipv4.headerLength(source, sourceAt)
  const step = pieceBytes(headerLength, mtu)
  const from = index * step
  const payload = Math.min(step, length - headerLength - from)
  const isLast = headerLength + from + payload === length
  copyBytes(out, outAt, source, sourceAt, index === 0 ? headerLength : ipv4.HEADER_LEN)
  const header = index === 0 ? headerLength : copyOptions(out, outAt, source, sourceAt, headerLength)
  copyBytes(out, outAt + header, source, sourceAt + headerLength + from, payload)

  ipv4.setHeaderLength(out, outAt, header)
  ipv4.setTotalLength(out, outAt, header + payload)
  const more = !isLast || ipv4.moreFragments(source, sourceAt)
  const offset = ipv4.fragmentOffset(source, sourceAt) + from
  ipv4.setFragment(out, outAt, offset, more ? ipv4.MORE_FRAGMENTS : 0)
  ipv4.fillChecksum(out, outAt)
  return header + payload
}

/**
 * Copies the options that every fragment has, padded to a multiple of 4.
 * @returns the length of the header in bytes
 */
function copyOptions(
  out: Uint8Array,
  outAt: number,
  source: Uint8Array,
  sourceAt: number,
  headerLength: number,
): number {
  const end = sourceAt + headerLength
  let to = outAt + ipv4.HEADER_LEN
  for (let from = sourceAt + ipv4.HEADER_LEN; from < end && source[from] !== END_OF_OPTIONS; ) {
    const kind = source[from]
    const optionLength = kind === NO_OPERATION ? 1 : source[from + 1]
    if (optionLength === 0 || from + optionLength > end) break
    if ((kind & COPIED) !== 0) {
      copyBytes(out, to, source, from, optionLength)
      to += optionLength
    }
    from += optionLength
  }
  while (((to - outAt) & 3) !== 0) out[to++] = END_OF_OPTIONS
  return to - outAt
}
