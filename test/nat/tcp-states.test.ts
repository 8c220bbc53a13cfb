/**
 * The tables of TCP states, read for what must hold of every row. What the cells do together is in
 * `tcp.test.ts`.
 */
import t from 'tap'
import {
  classOfState,
  nextState,
  TcpEvent,
  TcpState,
  tcpStateName,
  tcpStateOf,
} from '../../src/nat/tcp-states.ts'
import { TimeoutClass } from '../../src/nat/timeouts.ts'

const { None, SynSent, PickedUp, Established, FinWait, CloseWait, Closing, TimeWait, Closed } = TcpState
const states = Object.values(TcpState)
const events = Object.values(TcpEvent)
const sides = [true, false]

t.test('every cell holds a state', async test => {
  for (const state of states)
    for (const event of events)
      for (const side of sides) test.type(tcpStateName[nextState(state, event, side) as TcpState], 'string')
})

t.test('an RST closes every flow that has begun, and nothing leads out of closed', async test => {
  for (const side of sides) {
    for (const state of states) if (state !== None) test.equal(nextState(state, TcpEvent.Rst, side), Closed)
    for (const event of events) test.equal(nextState(Closed, event, side), Closed)
  }
})

t.test('time-wait is reached by the last acknowledgment alone, and from closing alone', async test => {
  for (const state of states)
    for (const event of events)
      for (const side of sides)
        if (state !== TimeWait)
          test.equal(nextState(state, event, side) === TimeWait, state === Closing && event === TcpEvent.Last)
})

t.test('a state goes forward, except that a beginner nobody answered may begin again', async test => {
  for (const state of states)
    for (const event of events)
      for (const side of sides) {
        const next = nextState(state, event, side)
        const again = next === SynSent && event === TcpEvent.Syn && side
        // The two ends of a simultaneous open come to the same by different ways.
        if (!again && state >= PickedUp)
          test.ok(next >= state, `${tcpStateName[state]} to ${tcpStateName[next as TcpState]}`)
      }
})

t.test(
  'RFC 5382 REQ-5: half-closed flows have the established timeout, all that wait for an answer the opening one',
  async test => {
    for (const state of states) {
      const expected =
        state < Established
          ? TimeoutClass.TcpOpening
          : state <= CloseWait
            ? TimeoutClass.TcpEstablished
            : state === Closing
              ? TimeoutClass.TcpClosing
              : TimeoutClass.TcpClosed
      test.equal(classOfState(state), expected, tcpStateName[state])
    }
    test.ok(
      Established < FinWait && FinWait < CloseWait && CloseWait < Closing,
      'which relies on their order',
    )
  },
)

t.test('the state is the low byte of STATE', async test => {
  test.equal(tcpStateOf(0x7f_0306), Established)
})
