/**
 * Fragments that wait for the rest of their datagram.
 *
 * Only the first fragment of a datagram says which flow it is of, and an overlap shows only when the pieces
 * are side by side. So nothing of a datagram is forwarded before all of it is there: the pieces are kept as
 * they came, never put together, and then go out in the order of their offsets. A fragment that overlaps
 * another ends its datagram, what is there and what is still to come (RFC 5722, and the same for IPv4); the
 * same fragment once more, byte by byte, is dropped alone (RFC 8200 section 4.5).
 *
 * Room is bounded: in datagrams, in bytes, in pieces of a datagram, and for each source. What gives way is
 * always incomplete, the oldest first, and a source that wants more than its share pushes out its own. A
 * datagram is given up FRAGMENT_SECONDS after its first piece came.
 *
 *     buckets, by source ──▶ datagram ─▶ datagram       in order of arrival: what expires first, what gives way
 *                               │
 *                               └─▶ piece ─▶ piece      in order of offset; the bytes lie in `fragment-pool.ts`
 *
 * A source's bucket is chosen by a keyed hash, so that nobody can aim at the bucket of another.
 */
import { Drop } from '../tables/drops.ts'
import { HASH_KEYS, Hasher } from '../tables/hash.ts'
import { load32 } from '../wire/bytes.ts'
import * as extensions from '../wire/extensions.ts'
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import { Protocol } from '../wire/protocol.ts'
import * as tcp from '../wire/tcp.ts'
import * as udp from '../wire/udp.ts'
import { CHUNKS, chunksOf, FragmentPool } from './fragment-pool.ts'
import { ticks } from './timeouts.ts'

/** The fragment is kept; its slot is free. */
export const HELD = 0
/**
 * The fragment is kept and was the last one missing: `datagram` and `count` say which datagram is complete.
 */
export const COMPLETE = -1
/** No datagram. */
export const NO_DATAGRAM = -1

/* From the specification. */
/**
 * The longest packet that the pieces may add up to, IPv4 with its header, IPv6 without. RFC 791, RFC 8200
 * section 4.5.
 */
const MAX_PACKET = 65535

/* Ours to tune. */
/**
 * How long a datagram is waited for: as Linux does. RFC 8200 allows 60 seconds, RFC 6146 wants at least 2.
 */
export const FRAGMENT_SECONDS = 30
/** Datagrams at a time. */
export const MAX_DATAGRAMS = 1024
/** Pieces of a datagram: 65,535 bytes at an MTU of 576 make 119. */
export const MAX_PIECES = 128
/** Shares of one source. */
export const SOURCE_DATAGRAMS = MAX_DATAGRAMS / 8
export const SOURCE_CHUNKS = CHUNKS >> 2
const BUCKETS = 1024

/* Words of a datagram. */
const SOURCE = 0
const DESTINATION = 4
const IDENTIFICATION = 8
/**
 * Device | protocol << 16 | family << 24; the protocol is 0 for IPv6, where it is no part of what tells
 * datagrams apart.
 */
const KIND = 9
const ARRIVED = 10
const BUCKET = 11
/** Payload bytes that are there. */
const PRESENT = 12
/** Payload bytes of the whole datagram, -1 until the last fragment came. */
const TOTAL = 13
const PIECES = 14
/** First piece, NONE where there is none. */
const FIRST = 15
/** A Drop, where the datagram is lost and only remembered so that the rest of it is dropped too. */
const LOST = 16
/* Links: by age over all, by age in the bucket, or of free records. */
const OLDER = 17
const YOUNGER = 18
const BUCKET_OLDER = 19
const BUCKET_YOUNGER = 20
const WORDS = 21
/** Words of the key, from SOURCE. */
const KEY_WORDS = 10
const NONE = -1

/** The fragments of a shard that wait. Nothing in it throws or allocates once it is made. */
export class FragmentTable {
  /** Fragments in the table now. */
  held = 0
  /**
   * After `insert…` answered a drop: held fragments of the same datagram that are lost with it, for the same
   * reason.
   */
  lost = 0
  /** After `insert…`: held fragments of other datagrams that gave way, Drop.FragmentTableFull. */
  evicted = 0
  /** After COMPLETE: the datagram, until `release`. */
  datagram = NO_DATAGRAM
  /** After COMPLETE: its pieces. */
  count = 0

  readonly #datagrams = new Int32Array(MAX_DATAGRAMS * WORDS)
  /** By bucket: oldest and youngest datagram, chunks, datagrams. */
  readonly #oldestOf = new Int32Array(BUCKETS).fill(NONE)
  readonly #youngestOf = new Int32Array(BUCKETS).fill(NONE)
  readonly #chunksOf = new Int32Array(BUCKETS)
  readonly #datagramsOf = new Int32Array(BUCKETS)
  #oldest = NONE
  #youngest = NONE
  #freeDatagram = 0

  readonly #pool = new FragmentPool()
  /** By piece: the next one by offset, its offset, its payload's bytes and where they begin. */
  readonly #nextPiece = new Int32Array(CHUNKS)
  readonly #offset = new Int32Array(CHUNKS)
  readonly #payload = new Int32Array(CHUNKS)
  readonly #payloadAt = new Int32Array(CHUNKS)

  /** Pieces of the complete datagram, in order. */
  readonly #order = new Int32Array(MAX_PIECES)
  /** Key of the fragment at hand, and four words of zeros behind it. */
  readonly #key = new Int32Array(KEY_WORDS + 4)
  readonly #hasher: Hasher

  /** @param secret HASH_KEYS uniformly random words */
  constructor(secret = crypto.getRandomValues(new Int32Array(HASH_KEYS))) {
    this.#hasher = new Hasher(secret)
    for (let id = 0; id < MAX_DATAGRAMS; id++)
      this.#datagrams[id * WORDS + YOUNGER] = id + 1 < MAX_DATAGRAMS ? id + 1 : NONE
  }

  /**
   * Takes an IPv4 fragment. Its header was checked: it fits, checksum and options are right, it is a
   * fragment.
   * @param length of the packet in bytes, without trailer
   * @param now tick
   * @returns HELD or COMPLETE, and the caller gives the slot back; or the Drop that the fragment, and `lost`
   * others, are lost to
   */
  insert4(bytes: Uint8Array, at: number, length: number, device: number, now: number): number {
    const protocol = ipv4.protocol(bytes, at)
    const header = ipv4.headerLength(bytes, at)
    const offset = ipv4.fragmentOffset(bytes, at)
    const more = ipv4.moreFragments(bytes, at)
    this.lost = 0
    this.evicted = 0
    const reason = fault(bytes, at + header, at + length, protocol, length - header, offset, more, header)
    if (reason !== Drop.None) return reason
    const key = this.#key
    key.fill(0)
    key[SOURCE] = ipv4.source(bytes, at)
    key[DESTINATION] = ipv4.destination(bytes, at)
    key[IDENTIFICATION] = ipv4.identification(bytes, at)
    key[KIND] = device | (protocol << 16) | (4 << 24)
    const bucket = this.#hasher.hash4(key[SOURCE], 0, 0, device) & (BUCKETS - 1)
    return this.#insert(bucket, bytes, at, length, header, offset, more, now)
  }

  /**
   * Takes an IPv6 fragment. Its chain of headers was walked without fault, and it is not atomic: that would
   * be a packet of its own (RFC 6946).
   * @param length of the packet in bytes, without trailer
   * @param fragmentAt where the fragment header is, `Walk.FragmentAt`
   * @param protocol and
   * @param transportAt as walked, `Walk.Protocol` and `Walk.TransportAt`
   * @param now tick
   * @returns as `insert4`
   */
  insert6(
    bytes: Uint8Array,
    at: number,
    length: number,
    fragmentAt: number,
    protocol: number,
    transportAt: number,
    device: number,
    now: number,
  ): number {
    const header = fragmentAt + extensions.FRAGMENT_HEADER_LEN - at
    const unfragmentable = fragmentAt - at - ipv6.HEADER_LEN
    const offset = extensions.fragmentOffset(bytes, fragmentAt)
    const more = extensions.moreFragments(bytes, fragmentAt)
    const payload = length - header
    this.lost = 0
    this.evicted = 0
    const reason = fault(bytes, transportAt, at + length, protocol, payload, offset, more, unfragmentable)
    if (reason !== Drop.None) return reason
    const key = this.#key
    const addresses = ipv6.addressesAt(at)
    for (let word = 0; word < 8; word++) key[SOURCE + word] = load32(bytes, addresses + (word << 2))
    key[IDENTIFICATION] = extensions.identification(bytes, fragmentAt)
    key[KIND] = device | (6 << 24)
    const bucket = this.#hasher.hash6(key, SOURCE, KEY_WORDS, 0, device) & (BUCKETS - 1)
    return this.#insert(bucket, bytes, at, length, header, offset, more, now)
  }

  /**
   * Copies a piece of the complete datagram, a whole packet as it was received.
   * @param index 0 to `count - 1`, in order of offset
   * @returns its length in bytes
   */
  copyPiece(index: number, bytes: Uint8Array, at: number): number {
    return this.#pool.copy(this.#order[index], bytes, at)
  }

  /** Forgets a datagram. @returns how many fragments of it were held */
  release(datagram: number): number {
    const gone = this.#clear(datagram)
    this.#unlink(datagram)
    this.#datagrams[datagram * WORDS + YOUNGER] = this.#freeDatagram
    this.#freeDatagram = datagram
    if (datagram === this.datagram) this.datagram = NO_DATAGRAM
    return gone
  }

  /**
   * Gives up the datagrams that were waited for long enough.
   * @returns how many fragments were held of them: Drop.FragmentNoFirst, whichever piece it was that did not
   * come
   */
  expire(now: number): number {
    let gone = 0
    while (this.#oldest !== NONE && this.#isOver(this.#oldest, now)) gone += this.release(this.#oldest)
    return gone
  }

  #isOver(datagram: number, now: number): boolean {
    return ((now - this.#datagrams[datagram * WORDS + ARRIVED]) | 0) > ticks(FRAGMENT_SECONDS)
  }

  /** A fragment without fault, its key in `#key`. @param header bytes before its payload */
  #insert(
    bucket: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    header: number,
    offset: number,
    more: boolean,
    now: number,
  ): number {
    const words = this.#datagrams
    let datagram = this.#find(bucket)
    if (datagram !== NONE && words[datagram * WORDS + LOST] !== Drop.None && this.#isOver(datagram, now)) {
      this.release(datagram)
      datagram = NONE
    }
    if (datagram === NONE) datagram = this.#begin(bucket, now)
    const base = datagram * WORDS
    if (words[base + LOST] !== Drop.None) return words[base + LOST]

    const payload = length - header
    const end = offset + payload
    if (words[base + TOTAL] >= 0 && end > words[base + TOTAL])
      return this.#lose(datagram, Drop.FragmentOverlap)
    let before = NONE
    let after = words[base + FIRST]
    while (after !== NONE && this.#offset[after] < offset) {
      before = after
      after = this.#nextPiece[after]
    }
    if (after !== NONE && this.#offset[after] === offset && this.#payload[after] === payload)
      return this.#pool.endsWith(after, this.#payloadAt[after], bytes, at + header)
        ? Drop.FragmentOverlap
        : this.#lose(datagram, Drop.FragmentOverlap)
    const overlaps =
      (before !== NONE && this.#offset[before] + this.#payload[before] > offset) ||
      (after !== NONE && (this.#offset[after] < end || !more))
    if (overlaps) return this.#lose(datagram, Drop.FragmentOverlap)

    if (words[base + PIECES] === MAX_PIECES) return this.#lose(datagram, Drop.FragmentTableFull)
    this.#makeRoom(bucket, datagram, length)
    const piece = this.#pool.put(bytes, at, length)
    this.#chunksOf[bucket] += chunksOf(length)
    this.#offset[piece] = offset
    this.#payload[piece] = payload
    this.#payloadAt[piece] = header
    this.#nextPiece[piece] = after
    if (before === NONE) words[base + FIRST] = piece
    else this.#nextPiece[before] = piece
    words[base + PIECES]++
    words[base + PRESENT] += payload
    if (!more) words[base + TOTAL] = end
    this.held++
    if (words[base + PRESENT] !== words[base + TOTAL]) return HELD
    this.#complete(datagram)
    return COMPLETE
  }

  #complete(datagram: number): void {
    this.datagram = datagram
    this.count = this.#datagrams[datagram * WORDS + PIECES]
    let piece = this.#datagrams[datagram * WORDS + FIRST]
    for (let index = 0; index < this.count; index++) {
      this.#order[index] = piece
      piece = this.#nextPiece[piece]
    }
  }

  #find(bucket: number): number {
    const words = this.#datagrams
    for (let id = this.#youngestOf[bucket]; id !== NONE; id = words[id * WORDS + BUCKET_OLDER])
      if (this.#hasKey(id)) return id
    return NONE
  }

  #hasKey(datagram: number): boolean {
    const base = datagram * WORDS
    for (let word = 0; word < KEY_WORDS; word++)
      if (this.#datagrams[base + word] !== this.#key[word]) return false
    return true
  }

  /** A new datagram with the key at hand; an older one gives way where there is no room. */
  #begin(bucket: number, now: number): number {
    const words = this.#datagrams
    if (this.#datagramsOf[bucket] === SOURCE_DATAGRAMS) this.evicted += this.release(this.#oldestOf[bucket])
    if (this.#freeDatagram === NONE) this.evicted += this.release(this.#oldest)
    const datagram = this.#freeDatagram
    const base = datagram * WORDS
    this.#freeDatagram = words[base + YOUNGER]
    for (let word = 0; word < KEY_WORDS; word++) words[base + word] = this.#key[word]
    words[base + ARRIVED] = now
    words[base + BUCKET] = bucket
    words[base + PRESENT] = 0
    words[base + TOTAL] = -1
    words[base + PIECES] = 0
    words[base + FIRST] = NONE
    words[base + LOST] = Drop.None

    words[base + OLDER] = this.#youngest
    words[base + YOUNGER] = NONE
    if (this.#youngest === NONE) this.#oldest = datagram
    else words[this.#youngest * WORDS + YOUNGER] = datagram
    this.#youngest = datagram
    const youngestOf = this.#youngestOf[bucket]
    words[base + BUCKET_OLDER] = youngestOf
    words[base + BUCKET_YOUNGER] = NONE
    if (youngestOf === NONE) this.#oldestOf[bucket] = datagram
    else words[youngestOf * WORDS + BUCKET_YOUNGER] = datagram
    this.#youngestOf[bucket] = datagram
    this.#datagramsOf[bucket]++
    return datagram
  }

  #unlink(datagram: number): void {
    const words = this.#datagrams
    const base = datagram * WORDS
    const older = words[base + OLDER]
    const younger = words[base + YOUNGER]
    if (older === NONE) this.#oldest = younger
    else words[older * WORDS + YOUNGER] = younger
    if (younger === NONE) this.#youngest = older
    else words[younger * WORDS + OLDER] = older
    const bucket = words[base + BUCKET]
    const bucketOlder = words[base + BUCKET_OLDER]
    const bucketYounger = words[base + BUCKET_YOUNGER]
    if (bucketOlder === NONE) this.#oldestOf[bucket] = bucketYounger
    else words[bucketOlder * WORDS + BUCKET_YOUNGER] = bucketYounger
    if (bucketYounger === NONE) this.#youngestOf[bucket] = bucketOlder
    else words[bucketYounger * WORDS + BUCKET_OLDER] = bucketOlder
    this.#datagramsOf[bucket]--
  }

  /** Loses a datagram: its pieces go, and it is remembered so that the rest of it goes too. */
  #lose(datagram: number, reason: Drop): Drop {
    this.lost = this.#clear(datagram)
    this.#datagrams[datagram * WORDS + LOST] = reason
    return reason
  }

  /** Gives back a datagram's pieces. @returns how many there were */
  #clear(datagram: number): number {
    const words = this.#datagrams
    const base = datagram * WORDS
    const count = words[base + PIECES]
    for (let piece = words[base + FIRST]; piece !== NONE; piece = this.#nextPiece[piece])
      this.#chunksOf[words[base + BUCKET]] -= this.#pool.drop(piece)
    words[base + FIRST] = NONE
    words[base + PIECES] = 0
    this.held -= count
    return count
  }

  /**
   * Makes other datagrams give way until the piece fits, the oldest first. There always are others: the most
   * that one datagram can take, MAX_PIECES pieces of MAX_PACKET bytes together, is a third of a source's
   * share.
   */
  #makeRoom(bucket: number, datagram: number, length: number): void {
    const chunks = chunksOf(length)
    const words = this.#datagrams
    while (this.#chunksOf[bucket] + chunks > SOURCE_CHUNKS) {
      const oldest = this.#oldestOf[bucket]
      this.evicted += this.release(oldest === datagram ? words[oldest * WORDS + BUCKET_YOUNGER] : oldest)
    }
    while (this.#pool.free < chunks) {
      const oldest = this.#oldest
      this.evicted += this.release(oldest === datagram ? words[oldest * WORDS + YOUNGER] : oldest)
    }
  }
}

/**
 * What is wrong with a fragment by itself, before it is compared with others.
 * @param transport where the transport header begins, in a first fragment
 * @param end of the packet
 * @param before bytes that count towards MAX_PACKET besides the pieces' payloads
 */
function fault(
  bytes: Uint8Array,
  transport: number,
  end: number,
  protocol: number,
  payload: number,
  offset: number,
  more: boolean,
  before: number,
): Drop {
  if (payload <= 0 || (more && (payload & 7) !== 0)) return Drop.FragmentBadLength
  if (before + offset + payload > MAX_PACKET) return Drop.FragmentTooBig
  // RFC 1858, RFC 3128: what decides about a datagram is in its first fragment, and nothing else reaches
  // there.
  if (offset !== 0)
    return protocol === Protocol.Tcp && offset < tcp.HEADER_LEN ? Drop.FragmentTiny : Drop.None
  if (protocol === Protocol.Tcp) return tcp.fits(bytes, transport, end) ? Drop.None : Drop.FragmentTiny
  const hasPorts = protocol === Protocol.Udp || protocol === Protocol.Icmp || protocol === Protocol.Icmp6
  return hasPorts && !udp.headerFits(transport, end) ? Drop.FragmentTiny : Drop.None
}
