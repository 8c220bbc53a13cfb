/**
 * Which shard a packet belongs to where no ENI port says so: the keyed hashes of the steering program, in TypeScript.
 *
 * The kernel picks a packet's queue with the same arithmetic (`io/steering.ts`), so a packet normally arrives where it belongs; a shard
 * that is about to open a flow asks here whether the flow is its own. Both must agree to the bit.
 *
 * The hash is a multilinear sum over 16-bit halves in host order, h = k0 + Σ ki·half mod 2^32, of which the upper 16 bits count:
 * with secret random keys it is strongly universal (Lemire and Kaser, "Strongly universal string hashing is fast", 2014), so that nobody
 * who does not know the keys can aim many flows at one shard. The owner is (h >>> 16) · shards >>> 16: no division, and fair to within
 * shards / 2^16.
 *
 *   inside     protocol, both addresses, both ports: every flow of an environment goes its own way.
 *   between    hosts, where both directions must meet: a sum for each end point with the same keys, the two ordered, then hashed
 *              together with the protocol. Ordering, unlike adding, keeps apart the pairs whose sums are equal.
 *
 * Ports count for TCP and UDP that are not fragments; IPv4 options are skipped. Everything else is placed by its addresses and protocol
 * (IPv6: the first next header): all fragments of a packet, the first too, go to one shard. A frame too short for its headers belongs to
 * shard 0, since the program ends with 0 where it reads beyond the frame.
 *
 *     keys   0 constant   1 protocol   2 to 9 source   10 to 17 destination   18 source port   19 destination port
 */
import { read16, read32 } from '../wire/bytes.ts'

/** 32-bit words of secret that the hashes want. */
export const STEER_KEYS = 20
/** Places of the keys above. `between` mixes its two end points with keys of the destination, and `Port2` as its constant. */
export const SteerKey = { Constant: 0, Protocol: 1, Source: 2, Destination: 10, Port: 18, Port2: 19 } as const

const TCP = 6
const UDP = 17
/** More fragments, and the offset. */
const FRAGMENT = 0x3fff

/**
 * The shard that a packet of an environment belongs to.
 * @param at where the IP header begins
 * @param length bytes of the packet
 * @param keys STEER_KEYS random words
 */
export function ownerInside(
  bytes: Uint8Array,
  at: number,
  length: number,
  keys: Int32Array,
  shards: number,
): number {
  const ports = portsAt(bytes, at, length)
  if (ports === UNREADABLE) return 0
  return inside(bytes, at, bytes[at + (bytes[at] >>> 4 === 6 ? 6 : 9)], ports, keys, shards)
}

/**
 * The shard that owns the flow of a packet of an environment: where a plain packet of the flow goes. A fragment, or a packet with extension
 * headers, may have been steered elsewhere, since the program does not look for its ports.
 * @param protocol and
 * @param transport what stands behind all headers of the network, and where: its first 4 bytes are there
 */
export function flowOwnerInside(
  bytes: Uint8Array,
  at: number,
  protocol: number,
  transport: number,
  keys: Int32Array,
  shards: number,
): number {
  return inside(bytes, at, protocol, flowPorts(at, protocol, transport), keys, shards)
}

const flowPorts = (at: number, protocol: number, transport: number): number =>
  protocol === TCP || protocol === UDP ? transport - at : NO_PORTS

function inside(
  bytes: Uint8Array,
  at: number,
  protocol: number,
  ports: number,
  keys: Int32Array,
  shards: number,
): number {
  const wide = bytes[at] >>> 4 === 6
  const words = wide ? 4 : 1
  const source = at + (wide ? 8 : 12)
  let h = (keys[SteerKey.Constant] + Math.imul(keys[SteerKey.Protocol], protocol)) | 0
  h = (h + addressSum(bytes, source, words, keys, SteerKey.Source)) | 0
  h = (h + addressSum(bytes, source + 4 * words, words, keys, SteerKey.Destination)) | 0
  if (ports !== NO_PORTS) {
    h = (h + Math.imul(keys[SteerKey.Port], read16(bytes, at + ports))) | 0
    h = (h + Math.imul(keys[SteerKey.Port2], read16(bytes, at + ports + 2))) | 0
  }
  return scale(h, shards)
}

/** The shard that a packet between two hosts belongs to, the same for both directions. Parameters as above. */
export function ownerBetween(
  bytes: Uint8Array,
  at: number,
  length: number,
  keys: Int32Array,
  shards: number,
): number {
  const ports = portsAt(bytes, at, length)
  if (ports === UNREADABLE) return 0
  return between(bytes, at, bytes[at + (bytes[at] >>> 4 === 6 ? 6 : 9)], ports, keys, shards)
}

/** The shard that owns the flow of a packet between two hosts. Parameters as of `flowOwnerInside`. */
export function flowOwnerBetween(
  bytes: Uint8Array,
  at: number,
  protocol: number,
  transport: number,
  keys: Int32Array,
  shards: number,
): number {
  return between(bytes, at, protocol, flowPorts(at, protocol, transport), keys, shards)
}

function between(
  bytes: Uint8Array,
  at: number,
  protocol: number,
  ports: number,
  keys: Int32Array,
  shards: number,
): number {
  const wide = bytes[at] >>> 4 === 6
  const words = wide ? 4 : 1
  const source = at + (wide ? 8 : 12)
  let a = (keys[SteerKey.Constant] + addressSum(bytes, source, words, keys, SteerKey.Source)) | 0
  let b = (keys[SteerKey.Constant] + addressSum(bytes, source + 4 * words, words, keys, SteerKey.Source)) | 0
  if (ports !== NO_PORTS) {
    a = (a + Math.imul(keys[SteerKey.Port], read16(bytes, at + ports))) | 0
    b = (b + Math.imul(keys[SteerKey.Port], read16(bytes, at + ports + 2))) | 0
  }
  const aIsGreater = a >>> 0 > b >>> 0
  const low = aIsGreater ? b : a
  const high = aIsGreater ? a : b
  const mix = SteerKey.Destination
  let h = (keys[SteerKey.Port2] + Math.imul(keys[SteerKey.Protocol], protocol)) | 0
  h = (h + Math.imul(keys[mix], low >>> 16) + Math.imul(keys[mix + 1], low & 0xffff)) | 0
  h = (h + Math.imul(keys[mix + 2], high >>> 16) + Math.imul(keys[mix + 3], high & 0xffff)) | 0
  return scale(h, shards)
}

/**
 * Where the steering program looks whether a destination is a translating ENI.
 * @param address as loaded from a packet, one word (IPv4) or four (IPv6)
 * @param bits of the answer, 1 to 16
 */
export function steerBucket(address: ArrayLike<number>, keys: Int32Array, bits: number): number {
  let h = keys[SteerKey.Port]
  for (let word = 0; word < address.length; word++) {
    const loaded = address[word]
    const first = ((loaded & 0xff) << 8) | ((loaded >>> 8) & 0xff)
    const second = ((loaded >>> 8) & 0xff00) | (loaded >>> 24)
    h = (h + Math.imul(keys[SteerKey.Destination + 2 * word], first)) | 0
    h = (h + Math.imul(keys[SteerKey.Destination + 2 * word + 1], second)) | 0
  }
  return h >>> (32 - bits)
}

/** The sum over the halves of an address, with the keys from `key` on. */
function addressSum(bytes: Uint8Array, at: number, words: number, keys: Int32Array, key: number): number {
  let h = 0
  for (let word = 0; word < words; word++) {
    const value = read32(bytes, at + 4 * word)
    h = (h + Math.imul(keys[key + 2 * word], value >>> 16)) | 0
    h = (h + Math.imul(keys[key + 2 * word + 1], value & 0xffff)) | 0
  }
  return h
}

const scale = (h: number, shards: number): number => ((h >>> 16) * shards) >>> 16

const NO_PORTS = 0
const UNREADABLE = -1

/** Offset of the ports that count, NO_PORTS, or UNREADABLE. */
function portsAt(bytes: Uint8Array, at: number, length: number): number {
  if (length < 1) return UNREADABLE
  const version = bytes[at] >>> 4
  let ports: number
  if (version === 4) {
    if (length < 20) return UNREADABLE
    const protocol = bytes[at + 9]
    if (protocol !== TCP && protocol !== UDP) return NO_PORTS
    if ((read16(bytes, at + 6) & FRAGMENT) !== 0) return NO_PORTS
    ports = (bytes[at] & 0x0f) << 2
  } else if (version === 6) {
    if (length < 40) return UNREADABLE
    const protocol = bytes[at + 6]
    if (protocol !== TCP && protocol !== UDP) return NO_PORTS
    ports = 40
  } else return UNREADABLE
  // A header length of 0 has its ports at 0, which is NO_PORTS here; no such packet is forwarded, so it is nobody's.
  if (ports === 0) return UNREADABLE
  return length < ports + 4 ? UNREADABLE : ports
}
