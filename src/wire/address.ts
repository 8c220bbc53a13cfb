/**
 * What an address is, from the words of it as a little-endian machine loads them from a packet, and its text
 * for people.
 *
 * The first byte of the address is the lowest byte of its first word: 10.0.0.1 is 0x0100000a. An IPv6 address
 * is four such words. Prefixes are compared by mask, without swapping. Only the text functions allocate.
 *
 * *Martian* (RFC 1812 section 5.3.7, RFC 6890) is what no router may forward whatever its configuration.
 * Link-local, multicast and broadcast destinations have predicates of their own because they are reported
 * apart. The documentation ranges of RFC 6890 are no martians here: a VPC may have any block, and examples
 * use these.
 */
import { byteOf, swap16, wordOf } from './bytes.ts'

const IPV4_LOOPBACK = 127
const IPV4_LINK_LOCAL = wordOf(169, 254, 0, 0)
const IPV4_BROADCAST = -1
const IPV6_LINK_LOCAL = wordOf(0xfe, 0x80, 0, 0)
const IPV6_LINK_LOCAL_MASK = wordOf(0xff, 0xc0, 0, 0)
const IPV6_LOOPBACK_END = wordOf(0, 0, 0, 1)
const IPV6_MAPPED = wordOf(0, 0, 0xff, 0xff)

/** The word of an IPv4 address, or one of the four of an IPv6 address, from its bytes as written. */
export const addressWord = wordOf

/** 0.0.0.0/8, "this network". RFC 1122 section 3.2.1.3. */
export const isThisNetwork4 = (word: number): boolean => (word & 0xff) === 0

/** 127.0.0.0/8. RFC 1122 section 3.2.1.3. */
export const isLoopback4 = (word: number): boolean => (word & 0xff) === IPV4_LOOPBACK

/** 169.254.0.0/16, never forwarded. RFC 3927 section 2.7. */
export const isLinkLocal4 = (word: number): boolean => (word & 0xffff) === IPV4_LINK_LOCAL

/** 224.0.0.0/4. RFC 1112 section 4. */
export const isMulticast4 = (word: number): boolean => (word & 0xf0) === 0xe0

/** 240.0.0.0/4, reserved, with the limited broadcast address at its end. RFC 1112 section 4. */
export const isClassE4 = (word: number): boolean => (word & 0xf0) === 0xf0

/** 255.255.255.255. RFC 919 section 7. */
export const isLimitedBroadcast4 = (word: number): boolean => word === IPV4_BROADCAST

/** A source that no packet to be forwarded may have: 0/8, 127/8, 224/4, 240/4. RFC 1812 section 5.3.7. */
export function isMartianSource4(word: number): boolean {
  const first = word & 0xff
  return first === 0 || first === IPV4_LOOPBACK || first >= 224
}

/**
 * A destination that no packet may be forwarded to: 0/8, 127/8, 240/4, of which the last contains the limited
 * broadcast.
 */
export function isMartianDestination4(word: number): boolean {
  const first = word & 0xff
  return first === 0 || first === IPV4_LOOPBACK || first >= 240
}

/** `::`. RFC 4291 section 2.5.2. */
export const isUnspecified6 = (a: number, b: number, c: number, d: number): boolean => (a | b | c | d) === 0

/** `::1`. RFC 4291 section 2.5.3. */
export const isLoopback6 = (a: number, b: number, c: number, d: number): boolean =>
  (a | b | c) === 0 && d === IPV6_LOOPBACK_END

/** fe80::/10, from the first word. RFC 4291 section 2.5.6. */
export const isLinkLocal6 = (a: number): boolean => (a & IPV6_LINK_LOCAL_MASK) === IPV6_LINK_LOCAL

/** ff00::/8, from the first word. RFC 4291 section 2.7. */
export const isMulticast6 = (a: number): boolean => (a & 0xff) === 0xff

/** ::ffff:0:0/96, which must not be seen on a wire. RFC 4291 section 2.5.5.2, RFC 6890. */
export const isMapped6 = (a: number, b: number, c: number): boolean => (a | b) === 0 && c === IPV6_MAPPED

/**
 * A source that no packet to be forwarded may have: `::`, `::1`, multicast, IPv4-mapped. RFC 4291, RFC 6890.
 */
export const isMartianSource6 = (a: number, b: number, c: number, d: number): boolean =>
  isMulticast6(a) || isMartianDestination6(a, b, c, d)

/** A destination that no packet may be forwarded to: `::`, `::1`, IPv4-mapped. RFC 4291, RFC 6890. */
export const isMartianDestination6 = (a: number, b: number, c: number, d: number): boolean =>
  (a | b) === 0 && ((c === 0 && (d === 0 || d === IPV6_LOOPBACK_END)) || c === IPV6_MAPPED)

/** Dotted decimal text. */
export const text4 = (word: number): string =>
  `${byteOf(word, 0)}.${byteOf(word, 1)}.${byteOf(word, 2)}.${byteOf(word, 3)}`

/**
 * Text in the one form of RFC 5952: lower case, no leading zeros, the first longest run of zero groups as
 * `::`.
 */
export function text6(a: number, b: number, c: number, d: number): string {
  if (isMapped6(a, b, c)) return `::ffff:${text4(d)}`
  const groups: number[] = []
  for (const word of [a, b, c, d]) groups.push(swap16(word), swap16(word >>> 16))

  let runAt = -1
  let runLength = 1 // A single zero group is written out, RFC 5952 section 4.2.2.
  for (let i = 0; i < 8; i++) {
    let j = i
    while (j < 8 && groups[j] === 0) j++
    if (j - i > runLength) {
      runAt = i
      runLength = j - i
    }
    if (j > i) i = j
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map(group => group.toString(16))
      .join(':')
  return runAt < 0 ? text(0, 8) : `${text(0, runAt)}::${text(runAt + runLength, 8)}`
}
