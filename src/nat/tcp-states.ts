/**
 * The states of a tracked TCP connection, and what leads from one to the next.
 *
 * A flow has a beginner, who sent the first segment, and the other. States carry the names of RFC 9293 as
 * they are from the beginner's point of view, with the two more that only a third party in the middle can see
 * (`SynAnswered`, `PickedUp`). The tables decide by the state and by what a segment says, and by nothing
 * else; whether a segment is believed at all is decided before, in `tcp.ts`, and one that is not has no
 * column here.
 */
import { TimeoutClass } from './timeouts.ts'

/** The states; a flow's is the low byte of STATE. */
export const TcpState = {
  /** No segment yet. */
  None: 0,
  /**
   * The beginner's SYN was seen. Of the other end nothing is known, save the window it was offered, which
   * stands in its EDGE.
   */
  SynSent: 1,
  /**
   * Both ends sent a SYN (RFC 5382 REQ-2 a). Anybody may send one in the other's name, so that still nothing
   * is known of it; its SYN-ACK or ACK proves by what it acknowledges that it saw the beginner's SYN.
   */
  SimultaneousOpen: 2,
  /** The other's SYN was seen, and its acknowledgment of the beginner's. */
  SynReceived: 3,
  /**
   * After a simultaneous open: the beginner acknowledged the other's SYN; of the other still nothing is
   * known.
   */
  SynAnswered: 4,
  /**
   * The first segment was none of a handshake; the other end has not been heard. Scales are unknown, windows
   * taken as large as they can be.
   */
  PickedUp: 5,
  Established: 6,
  /** The beginner's FIN was seen. The other may send for as long as it likes. */
  FinWait: 7,
  /** The other's FIN was seen. The beginner may send for as long as it likes. */
  CloseWait: 8,
  /**
   * Both FINs were seen, and not the acknowledgments of both. Also: the beginner's alone, in a flow that was
   * picked up.
   */
  Closing: 9,
  /** Both FINs are acknowledged. */
  TimeWait: 10,
  /** An RST was believed. */
  Closed: 11,
} as const
export type TcpState = (typeof TcpState)[keyof typeof TcpState]

/** The word for a state, in listings. */
export const tcpStateName: Record<TcpState, string> = {
  [TcpState.None]: 'none',
  [TcpState.SynSent]: 'syn-sent',
  [TcpState.SimultaneousOpen]: 'simultaneous-open',
  [TcpState.SynReceived]: 'syn-received',
  [TcpState.SynAnswered]: 'syn-answered',
  [TcpState.PickedUp]: 'picked-up',
  [TcpState.Established]: 'established',
  [TcpState.FinWait]: 'fin-wait',
  [TcpState.CloseWait]: 'close-wait',
  [TcpState.Closing]: 'closing',
  [TcpState.TimeWait]: 'time-wait',
  [TcpState.Closed]: 'closed',
}

/** What a segment says: of RST, SYN, FIN and ACK the first that is set decides. */
export const TcpEvent = {
  Syn: 0,
  SynAck: 1,
  Ack: 2,
  Fin: 3,
  Rst: 4,
  /** Not a kind of segment but an occasion: since this one, the FINs of both ends are acknowledged. */
  Last: 5,
} as const
export type TcpEvent = (typeof TcpEvent)[keyof typeof TcpEvent]
const EVENTS = 6

const { None, SynSent, SimultaneousOpen, SynReceived, SynAnswered, PickedUp, Established } = TcpState
const { FinWait, CloseWait, Closing, TimeWait, Closed } = TcpState

/**
 * The next state after a segment of the beginner. A SYN that is sent again says nothing, so *Syn* is one that
 * differs from the first.
 */
// biome-ignore format: a table
const BY_BEGINNER = Uint8Array.of(
  //                     Syn           SynAck        Ack           Fin                Rst      Last
  /* None             */ SynSent,      None,         PickedUp,     Closing,           None,    None,
  /* SynSent          */ SynSent,      SynSent,      SynSent,      SynSent,           Closed,  SynSent,
  /* SimultaneousOpen */ SynSent,      SynAnswered,  SynAnswered,  SimultaneousOpen,  Closed,  SimultaneousOpen,
  /* SynReceived      */ SynReceived,  Established,  Established,  FinWait,           Closed,  SynReceived,
  /* SynAnswered      */ SynSent,      SynAnswered,  SynAnswered,  SynAnswered,       Closed,  SynAnswered,
  /* PickedUp         */ SynSent,      PickedUp,     PickedUp,     Closing,           Closed,  PickedUp,
  /* Established      */ Established,  Established,  Established,  FinWait,           Closed,  Established,
  /* FinWait          */ FinWait,      FinWait,      FinWait,      FinWait,           Closed,  FinWait,
  /* CloseWait        */ CloseWait,    CloseWait,    CloseWait,    Closing,           Closed,  CloseWait,
  /* Closing          */ Closing,      Closing,      Closing,      Closing,           Closed,  TimeWait,
  /* TimeWait         */ TimeWait,     TimeWait,     TimeWait,     TimeWait,          Closed,  TimeWait,
  /* Closed           */ Closed,       Closed,       Closed,       Closed,            Closed,  Closed,
)

/** The next state after a segment of the other. */
// biome-ignore format: a table
const BY_OTHER = Uint8Array.of(
  //                     Syn                SynAck        Ack           Fin                Rst      Last
  /* None             */ None,              None,         None,         None,              None,    None,
  /* SynSent          */ SimultaneousOpen,  SynReceived,  SynSent,      SynSent,           Closed,  SynSent,
  /* SimultaneousOpen */ SimultaneousOpen,  SynReceived,  SynReceived,  SimultaneousOpen,  Closed,  SimultaneousOpen,
  /* SynReceived      */ SynReceived,       SynReceived,  SynReceived,  CloseWait,         Closed,  SynReceived,
  /* SynAnswered      */ SynAnswered,       Established,  Established,  SynAnswered,       Closed,  SynAnswered,
  /* PickedUp         */ PickedUp,          PickedUp,     Established,  CloseWait,         Closed,  PickedUp,
  /* Established      */ Established,       Established,  Established,  CloseWait,         Closed,  Established,
  /* FinWait          */ FinWait,           FinWait,      FinWait,      Closing,           Closed,  FinWait,
  /* CloseWait        */ CloseWait,         CloseWait,    CloseWait,    CloseWait,         Closed,  CloseWait,
  /* Closing          */ Closing,           Closing,      Closing,      Closing,           Closed,  TimeWait,
  /* TimeWait         */ TimeWait,          TimeWait,     TimeWait,     TimeWait,          Closed,  TimeWait,
  /* Closed           */ Closed,            Closed,       Closed,       Closed,            Closed,  Closed,
)

/** The next state, after a believed segment. */
export const nextState = (state: number, event: TcpEvent, byBeginner: boolean): number =>
  byBeginner ? BY_BEGINNER[state * EVENTS + event] : BY_OTHER[state * EVENTS + event]

/**
 * The timeout class of a state. A half-closed connection is as alive as any: the open side may be quiet for
 * long (RFC 5382 REQ-2).
 */
const CLASS_OF = Uint8Array.of(
  /* None             */ TimeoutClass.TcpOpening,
  /* SynSent          */ TimeoutClass.TcpOpening,
  /* SimultaneousOpen */ TimeoutClass.TcpOpening,
  /* SynReceived      */ TimeoutClass.TcpOpening,
  /* SynAnswered      */ TimeoutClass.TcpOpening,
  /* PickedUp         */ TimeoutClass.TcpOpening,
  /* Established      */ TimeoutClass.TcpEstablished,
  /* FinWait          */ TimeoutClass.TcpEstablished,
  /* CloseWait        */ TimeoutClass.TcpEstablished,
  /* Closing          */ TimeoutClass.TcpClosing,
  /* TimeWait         */ TimeoutClass.TcpClosed,
  /* Closed           */ TimeoutClass.TcpClosed,
)

/** The timeout class of a state. */
export const classOfState = (state: number): number => CLASS_OF[state]

/** The TCP state in a STATE word of the flow table. */
export const tcpStateOf = (word: number): TcpState => (word & 0xff) as TcpState
