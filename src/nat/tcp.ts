/**
 * TCP as a middlebox sees it: what a segment does to the state of its flow.
 *
 * Every segment of a flow is translated and passed. What is judged here is only whether a segment is
 * believed. One out of window changes nothing that is remembered; RST, SYN and FIN, with which a stranger
 * could end a connection, are believed on stricter terms still (RFC 5961; RFC 7857 section 2.2). To drop what
 * looks wrong would kill connections whenever we saw less than their two ends did, to believe it would let
 * strangers end them.
 *
 * States and their order are in `tcp-states.ts`, sequence numbers and windows in `tcp-window.ts`. The
 * beginner of a function's flow is end A, the inside; a flow between hosts has FLAG_BEGUN_BY_B where it is
 * the other way.
 */
import {
  FLAG_ANSWERED,
  FLAG_BEGUN_BY_B,
  FLAG_FIN_A,
  FLAG_FIN_B,
  type FlowId,
  type FlowTable,
  HOT_WORDS,
  STATE,
} from '../tables/flows.ts'
import * as tcp from '../wire/tcp.ts'
import { classOfState, nextState, TcpEvent, TcpState, tcpStateOf } from './tcp-states.ts'
import {
  acknowledgesSyn,
  allAcknowledged,
  beyondEnd,
  follow,
  hearAnswer,
  hearMiddle,
  hearSyn,
  isExact,
  isInFlight,
  isInWindow,
  isRepeatedSyn,
  newlyAcknowledged,
} from './tcp-window.ts'
import { TimeoutClass } from './timeouts.ts'

/** The timeout class in what `track` answers. */
export const CLASS_MASK = 0x0f
/**
 * In what `track` answers: the segment is a reason to keep the flow longer. A repeated SYN or SYN-ACK is
 * none, so that an opening that nobody completes ends on time however often it is repeated; nor is an RST
 * that is not believed.
 */
export const RENEWS = 0x10
/**
 * In what `track` answers: the segment is out of window, or a SYN or RST that is not believed. It is passed
 * all the same.
 */
export const STRAY = 0x20

/** Flags that decide what a segment says. */
const DECIDING = tcp.Flag.Fin | tcp.Flag.Syn | tcp.Flag.Rst | tcp.Flag.Ack

/** True of the flags that begin a flow: SYN, and no ACK, RST or FIN. */
export const opens = (flags: number): boolean => (flags & DECIDING) === tcp.Flag.Syn

/** True of the flags from which a flow in the middle of its life may be picked up: ACK, and no SYN or RST. */
export const picksUp = (flags: number): boolean =>
  (flags & (tcp.Flag.Ack | tcp.Flag.Syn | tcp.Flag.Rst)) === tcp.Flag.Ack

/**
 * Remembers the first segment of a flow, whose flags `opens` or `picksUp` approved. Writes the flow's cold
 * words, not its STATE.
 * @param tcpAt where the TCP header begins; it fits
 * @param payload bytes after the TCP header
 * @param fromA whether end A sent the segment
 * @returns the bits of STATE that the flow begins with: TCP state, timeout class, FIN flags
 */
export function begin(
  flows: FlowTable,
  id: FlowId,
  bytes: Uint8Array,
  tcpAt: number,
  payload: number,
  fromA: boolean,
): number {
  const event = eventOf(tcp.flags(bytes, tcpAt))
  if (event === TcpEvent.Syn) hearSyn(flows.cold, id, fromA, bytes, tcpAt, payload)
  else hearMiddle(flows.cold, id, fromA, bytes, tcpAt, payload, event === TcpEvent.Fin ? 1 : 0)
  const state = nextState(TcpState.None, event, true)
  return state | (classOfState(state) << 8) | (event === TcpEvent.Fin ? finFlag(fromA) : 0)
}

/**
 * Follows a segment of a flow: updates its cold words, and of STATE the TCP state, the FIN flags and
 * FLAG_ANSWERED, which takes a believed segment of the other end. The timeout class in STATE is left to the
 * caller, who moves the flow between its lists.
 * @param fromA whether end A sent the segment
 * @param tcpAt where the TCP header begins; it fits and its flags are legal
 * @param payload bytes after the TCP header, up to 65,535: segments that the kernel has yet to cut are one
 * here
 * @returns the timeout class that the flow is in now (CLASS_MASK), with RENEWS and STRAY
 */
export function track(
  flows: FlowTable,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  tcpAt: number,
  payload: number,
): number {
  const state = flows.hot[id * HOT_WORDS + STATE] & 0xff
  const plain = (tcp.flags(bytes, tcpAt) & DECIDING) === tcp.Flag.Ack
  if (!plain || classOfState(state) !== TimeoutClass.TcpEstablished)
    return listen(flows, id, fromA, bytes, tcpAt, payload)
  if (follow(flows.cold, id, fromA, bytes, tcpAt, payload, 0)) return TimeoutClass.TcpEstablished | RENEWS
  return strayed(state, fromA)
}

/**
 * True where a segment begins a new flow on the tuple of an old one that is over: a SYN after an RST or both
 * FINs, or a SYN from an end that sent its FIN, with a sequence number beyond it (RFC 9293 section 3.6.1, RFC
 * 6191). A SYN into any other flow is passed and changes nothing: the other end challenges it, and the answer
 * to the challenge ends the flow (RFC 5961 section 4).
 * @param fromA whether end A sent the segment; the caller sees to it that this end may begin
 */
export function mayReopen(
  flows: FlowTable,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  tcpAt: number,
): boolean {
  if (!opens(tcp.flags(bytes, tcpAt))) return false
  const word = flows.hot[id * HOT_WORDS + STATE]
  if (tcpStateOf(word) >= TcpState.Closing) return true
  if ((word & finFlag(fromA)) === 0) return false
  return beyondEnd(flows.cold, id, fromA, tcp.sequence(bytes, tcpAt)) >= 0
}

/**
 * True where a segment that an ICMP error quotes may be in flight. An error about any other is forged, or of
 * no use any more (RFC 5927 section 4.1).
 * @param fromA whether end A sent the quoted segment
 * @param sequence of the quoted segment, signed
 */
export function mayBeQuoted(flows: FlowTable, id: FlowId, fromA: boolean, sequence: number): boolean {
  const word = flows.hot[id * HOT_WORDS + STATE]
  if (isUnheard(tcpStateOf(word)) && !isBeginner(word, fromA)) return false
  return isInFlight(flows.cold, id, fromA, sequence)
}

/** Everything but a plain segment of an established flow. */
function listen(
  flows: FlowTable,
  id: FlowId,
  fromA: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
): number {
  const { hot, cold } = flows
  const word = hot[id * HOT_WORDS + STATE]
  const state = tcpStateOf(word)
  const byBeginner = isBeginner(word, fromA)
  const event = eventOf(tcp.flags(bytes, at))
  // After an RST nothing is judged any more. What end A goes on to send keeps the flow for that end (RFC 7857
  // section 2.2).
  if (state === TcpState.Closed)
    return classOfState(state) | (fromA && event !== TcpEvent.Rst && event !== TcpEvent.Syn ? RENEWS : 0)
  if (event === TcpEvent.Rst) {
    if (!believesReset(cold, id, state, fromA, byBeginner, bytes, at)) return classOfState(state) | STRAY
    if (!byBeginner) hot[id * HOT_WORDS + STATE] |= FLAG_ANSWERED
    return enter(hot, id, state, nextState(state, event, byBeginner))
  }
  if (event === TcpEvent.Syn) return repeatSyn(flows, id, state, fromA, byBeginner, bytes, at, payload)
  if (isUnheard(state)) return answer(flows, id, state, fromA, byBeginner, event, bytes, at, payload)

  // In SynReceived the other's SYN waits for its acknowledgment, which is what leads on.
  if (state === TcpState.SynReceived) {
    const wanted = byBeginner ? 1 : 0
    if (newlyAcknowledged(cold, id, fromA, bytes, at) < wanted) return strayed(state, fromA)
  }
  if (event === TcpEvent.Fin) {
    // A FIN ends all that its sender sent; where more was sent it is not its sender's.
    const end = (tcp.sequence(bytes, at) + payload + 1) | 0
    if (beyondEnd(cold, id, fromA, end) < 0) return strayed(state, fromA)
  }
  if (!follow(cold, id, fromA, bytes, at, payload, event === TcpEvent.Ack ? 0 : 1))
    return strayed(state, fromA)

  const fins = event === TcpEvent.Fin ? word | finFlag(fromA) : word
  hot[id * HOT_WORDS + STATE] = byBeginner ? fins : fins | FLAG_ANSWERED
  let next = nextState(state, event, byBeginner)
  const both = (fins & FLAG_FIN_A) !== 0 && (fins & FLAG_FIN_B) !== 0
  if (both && allAcknowledged(cold, id)) next = nextState(next, TcpEvent.Last, byBeginner)
  return enter(hot, id, state, next) | renewalOf(next)
}

/**
 * A SYN without ACK, after the first. It proves nothing about who sent it, so nothing is learnt from one of
 * the other end.
 */
function repeatSyn(
  flows: FlowTable,
  id: FlowId,
  state: TcpState,
  fromA: boolean,
  byBeginner: boolean,
  bytes: Uint8Array,
  at: number,
  payload: number,
): number {
  const { hot, cold } = flows
  const next = nextState(state, TcpEvent.Syn, byBeginner)
  if (byBeginner && next === TcpState.SynSent) {
    const repeated = isUnheard(state) && isRepeatedSyn(cold, id, fromA, tcp.sequence(bytes, at))
    if (repeated) return classOfState(state)
    // Nobody answered, and the beginner tries anew.
    hearSyn(cold, id, fromA, bytes, at, payload)
    return enter(hot, id, state, next) | RENEWS
  }
  return enter(hot, id, state, next) | (state < TcpState.PickedUp ? 0 : STRAY)
}

/**
 * A segment while the other end has not been heard: what of it acknowledges the beginner's SYN is its answer.
 */
function answer(
  flows: FlowTable,
  id: FlowId,
  state: TcpState,
  fromA: boolean,
  byBeginner: boolean,
  event: TcpEvent,
  bytes: Uint8Array,
  at: number,
  payload: number,
): number {
  const { hot, cold } = flows
  const next = nextState(state, event, byBeginner)
  if (next === state) return strayed(state, fromA)
  if (!byBeginner) {
    if (!acknowledgesSyn(cold, id, fromA, bytes, at)) return strayed(state, fromA)
    if (event === TcpEvent.SynAck) hearAnswer(cold, id, fromA, bytes, at, payload)
    else hearMiddle(cold, id, fromA, bytes, at, payload, 0)
    hot[id * HOT_WORDS + STATE] |= FLAG_ANSWERED
  }
  return enter(hot, id, state, next)
}

/**
 * Whether an RST is its sender's. In answer to a SYN it must acknowledge the SYN (RFC 9293 section 3.10.7.3).
 * Until a FIN was seen it must begin exactly where its receiver waits for more (RFC 5961 section 3.2); after
 * that any place in the window will do, since an end that has closed sends it from where it pleases.
 */
function believesReset(
  cold: Int32Array,
  id: FlowId,
  state: TcpState,
  fromA: boolean,
  byBeginner: boolean,
  bytes: Uint8Array,
  at: number,
): boolean {
  if (isUnheard(state) && !byBeginner)
    return (tcp.flags(bytes, at) & tcp.Flag.Ack) !== 0 && acknowledgesSyn(cold, id, fromA, bytes, at)
  const sequence = tcp.sequence(bytes, at)
  if (state <= TcpState.Established) return isExact(cold, id, fromA, sequence)
  return isInWindow(cold, id, fromA, sequence)
}

/** Writes a state that differs, which is a reason to renew the flow. */
function enter(hot: Int32Array, id: FlowId, state: TcpState, next: number): number {
  if (next === state) return classOfState(state)
  const at = id * HOT_WORDS + STATE
  hot[at] = (hot[at] & ~0xff) | next
  return classOfState(next) | RENEWS
}

/** A believed segment renews a connection in being, and not one that waits to be answered. */
const renewalOf = (state: number): number => (classOfState(state) === TimeoutClass.TcpOpening ? 0 : RENEWS)

/**
 * The answer for a segment that is not believed. It renews the flow where end A sent it: should we have lost
 * track of a connection in use it must not expire under its users, and a stranger cannot send for end A of a
 * function's flow.
 */
const strayed = (state: number, fromA: boolean): number =>
  classOfState(state) | STRAY | (fromA ? renewalOf(state) : 0)

/** True of the states in which nothing is known of the other end's sequence numbers. */
const isUnheard = (state: TcpState): boolean =>
  state === TcpState.SynSent || state === TcpState.SimultaneousOpen || state === TcpState.SynAnswered

const isBeginner = (word: number, fromA: boolean): boolean => fromA === ((word & FLAG_BEGUN_BY_B) === 0)

const finFlag = (ofA: boolean): number => (ofA ? FLAG_FIN_A : FLAG_FIN_B)

function eventOf(flags: number): TcpEvent {
  if ((flags & tcp.Flag.Rst) !== 0) return TcpEvent.Rst
  if ((flags & tcp.Flag.Syn) !== 0) return (flags & tcp.Flag.Ack) !== 0 ? TcpEvent.SynAck : TcpEvent.Syn
  return (flags & tcp.Flag.Fin) !== 0 ? TcpEvent.Fin : TcpEvent.Ack
}
