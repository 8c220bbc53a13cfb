/**
 * Sequence numbers and windows of a tracked TCP connection: which segments may be what they say they are.
 *
 * Of each end three sequence numbers are kept in the flow's cold words, and they only grow:
 *
 *     what its peer acknowledged          what it sent          what it may send
 *              ACKED ───────────────────────── END ─────────────────── EDGE
 *
 * A segment is in window by the four bounds of G. van Rooij, "Real stateful TCP packet filtering in IP
 * Filter" (2001):
 *
 * 1. it begins at or before EDGE;
 * 2. it ends at END or later, less the largest window of its receiver;
 * 3. it acknowledges no more than its receiver's END;
 * 4. it acknowledges its receiver's END or later, less the largest window of its sender, or less 66,000 bytes
 *    where that is more.
 *
 * The largest window is the largest that an end's scale lets it offer. That is more than it may ever have
 * offered, and does no harm: what is older than END or ACKED cannot change them. Sequence numbers are
 * compared by the sign of their 32-bit difference (RFC 9293 section 3.4).
 */
import { ACKED_A, COLD_WORDS, EDGE_A, END_A, END_B, ENI, type FlowId } from '../tables/flows.ts'
import * as tcp from '../wire/tcp.ts'

/* The words of one end, from its END. */
const EDGE = EDGE_A - END_A
const ACKED = ACKED_A - END_A
const SCALE_SHIFT_A = 16
const SCALE_SHIFT_B = 20
const SCALE_MASK = 15
/** In the place of a window scale: its SYN offered none, or was not seen. */
const NO_SCALE = 15
/** The largest window that the header holds. */
const MAX_WINDOW = 0xffff
/** How old an acknowledgment or a repeated segment may be whatever the window. */
const SLACK = 66_000

/** Where the words of the end begin that sent a segment. */
const ownWords = (id: FlowId, fromA: boolean): number => id * COLD_WORDS + (fromA ? END_A : END_B)
/** Where the words of the end begin that receives it. */
const peerWords = (id: FlowId, fromA: boolean): number => id * COLD_WORDS + (fromA ? END_B : END_A)
const scaleShift = (ofA: boolean): number => (ofA ? SCALE_SHIFT_A : SCALE_SHIFT_B)

/** Raises one of the numbers that only grow. */
function grow(cold: Int32Array, word: number, value: number): void {
  if (((value - cold[word]) | 0) > 0) cold[word] = value
}

const scaleOf = (cold: Int32Array, id: FlowId, ofA: boolean): number =>
  (cold[id * COLD_WORDS + ENI] >>> scaleShift(ofA)) & SCALE_MASK

function setScale(cold: Int32Array, id: FlowId, ofA: boolean, scale: number): void {
  const word = id * COLD_WORDS + ENI
  cold[word] = (cold[word] & ~(SCALE_MASK << scaleShift(ofA))) | (scale << scaleShift(ofA))
}

function offeredScale(bytes: Uint8Array, at: number): number {
  const scale = tcp.windowScale(bytes, at)
  return scale === tcp.NO_OPTION ? NO_SCALE : scale
}

/**
 * Learns from the SYN that begins a connection. Of the receiver only its EDGE is set, to the window it was
 * offered, for `hearAnswer`.
 */
export function hearSyn(
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
): void {
  const own = ownWords(id, fromA)
  const peer = peerWords(id, fromA)
  const sequence = tcp.sequence(bytes, at)
  const end = (sequence + 1 + payload) | 0
  cold[own] = end
  cold[own + EDGE] = end
  cold[own + ACKED] = sequence
  cold[peer] = 0
  cold[peer + EDGE] = tcp.window(bytes, at)
  cold[peer + ACKED] = 0
  setScale(cold, id, fromA, offeredScale(bytes, at))
  setScale(cold, id, !fromA, NO_SCALE)
}

/** Learns from the SYN-ACK that answers: both ends are known from here on, and the scales settled. */
export function hearAnswer(
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
): void {
  const own = ownWords(id, fromA)
  const peer = peerWords(id, fromA)
  const sequence = tcp.sequence(bytes, at)
  const acknowledgment = tcp.acknowledgment(bytes, at)
  const window = cold[own + EDGE]
  cold[own] = (sequence + 1 + payload) | 0
  cold[own + EDGE] = (sequence + 1 + window) | 0
  cold[own + ACKED] = sequence
  cold[peer + ACKED] = acknowledgment
  grow(cold, peer + EDGE, (acknowledgment + tcp.window(bytes, at)) | 0)
  setScale(cold, id, fromA, offeredScale(bytes, at))
  // RFC 7323 section 2.2: windows are scaled only if both ends offered to.
  if (scaleOf(cold, id, true) === NO_SCALE || scaleOf(cold, id, false) === NO_SCALE) {
    setScale(cold, id, true, 0)
    setScale(cold, id, false, 0)
  }
}

/**
 * Learns from a segment of a connection whose handshake was not seen: windows are taken as large as they can
 * be.
 * @param flag 1 where a FIN takes a sequence number, else 0
 */
export function hearMiddle(
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
  flag: number,
): void {
  const own = ownWords(id, fromA)
  const peer = peerWords(id, fromA)
  const sequence = tcp.sequence(bytes, at)
  const acknowledgment = tcp.acknowledgment(bytes, at)
  const end = (sequence + payload + flag) | 0
  cold[own] = end
  cold[own + EDGE] = end + (MAX_WINDOW << tcp.MAX_WINDOW_SCALE)
  cold[own + ACKED] = sequence
  cold[peer] = acknowledgment
  cold[peer + EDGE] = acknowledgment + (tcp.window(bytes, at) << tcp.MAX_WINDOW_SCALE)
  cold[peer + ACKED] = acknowledgment
  setScale(cold, id, true, tcp.MAX_WINDOW_SCALE)
  setScale(cold, id, false, tcp.MAX_WINDOW_SCALE)
}

/**
 * Checks a segment against the four bounds and learns from it.
 * @param flag 1 where a SYN or FIN takes a sequence number, else 0
 * @returns false where it is out of window; then nothing was learnt
 */
export function follow(
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
  flag: number,
): boolean {
  const own = ownWords(id, fromA)
  const peer = peerWords(id, fromA)
  const ownScale = scaleOf(cold, id, fromA)
  const sequence = tcp.sequence(bytes, at)
  const acknowledgment = tcp.acknowledgment(bytes, at)
  const end = (sequence + payload + flag) | 0
  const ahead = (end - cold[own]) | 0
  const behind = (cold[peer] - acknowledgment) | 0

  if (((cold[own + EDGE] - sequence) | 0) < 0) return false
  if (ahead < -(MAX_WINDOW << scaleOf(cold, id, !fromA))) return false
  if (behind < 0) return false
  if (behind > Math.max(MAX_WINDOW << ownScale, SLACK)) return false

  if (ahead > 0) cold[own] = end
  grow(cold, peer + ACKED, acknowledgment)
  // RFC 7323 section 2.2: the window of a SYN is not scaled.
  const scale = (tcp.flags(bytes, at) & tcp.Flag.Syn) !== 0 ? 0 : ownScale
  grow(cold, peer + EDGE, (acknowledgment + (tcp.window(bytes, at) << scale)) | 0)
  return true
}

/**
 * Whether a segment acknowledges its receiver's SYN, or some of the data that came with it, and nothing that
 * was not sent.
 */
export function acknowledgesSyn(
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
): boolean {
  const peer = peerWords(id, fromA)
  const acknowledgment = tcp.acknowledgment(bytes, at)
  return ((acknowledgment - cold[peer + ACKED]) | 0) > 0 && ((cold[peer] - acknowledgment) | 0) >= 0
}

/** How much more of its receiver's data a segment acknowledges than any before it; negative where less. */
export const newlyAcknowledged = (
  cold: Int32Array,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
): number => (tcp.acknowledgment(bytes, at) - cold[peerWords(id, fromA) + ACKED]) | 0

/** Whether a SYN is the one that began, sent again. Holds as long as it is not acknowledged. */
export const isRepeatedSyn = (cold: Int32Array, id: FlowId, fromA: boolean, sequence: number): boolean =>
  sequence === cold[ownWords(id, fromA) + ACKED]

/** How far a sequence number lies beyond all that its sender sent; negative where within. */
export const beyondEnd = (cold: Int32Array, id: FlowId, fromA: boolean, sequence: number): number =>
  (sequence - cold[ownWords(id, fromA)]) | 0

/**
 * Whether a sequence number is the very next that its receiver waits for, as far as we can know: what it
 * acknowledged, or all that was sent.
 */
export function isExact(cold: Int32Array, id: FlowId, fromA: boolean, sequence: number): boolean {
  const own = ownWords(id, fromA)
  return sequence === cold[own] || sequence === cold[own + ACKED]
}

/** Whether a sequence number may be in the window of its receiver. */
export function isInWindow(cold: Int32Array, id: FlowId, fromA: boolean, sequence: number): boolean {
  const own = ownWords(id, fromA)
  return ((cold[own + EDGE] - sequence) | 0) >= 0 && ((sequence - cold[own + ACKED]) | 0) >= -SLACK
}

/**
 * Whether a sequence number may be in flight; data is sent again where its acknowledgment was lost after us,
 * hence the slack.
 */
export function isInFlight(cold: Int32Array, id: FlowId, fromA: boolean, sequence: number): boolean {
  const own = ownWords(id, fromA)
  return ((cold[own] - sequence) | 0) >= 0 && ((sequence - cold[own + ACKED]) | 0) >= -SLACK
}

/** Whether each end acknowledged all that the other sent. */
export function allAcknowledged(cold: Int32Array, id: FlowId): boolean {
  const a = ownWords(id, true)
  const b = ownWords(id, false)
  return cold[a] === cold[a + ACKED] && cold[b] === cold[b + ACKED]
}
