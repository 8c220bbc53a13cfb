/**
 * TCP tracking, scenario by scenario. A line of a conversation is a segment and what is known after it:
 *
 *     [from, flags, sequence, acknowledgment, state, more?]
 *
 * The names give the rows of RFC 5382, RFC 7857 and RFC 5961 that a scenario is about.
 */
import t from 'tap'
import { mayBeQuoted, opens, picksUp } from '../../src/nat/tcp.ts'
import { OneFlow, type Segment, scale } from './one-flow.ts'

interface More extends Omit<Segment, 'flags' | 'sequence' | 'acknowledgment'> {
  /** The segment is not believed. Default false. */
  stray?: boolean
  /** The segment keeps the flow. Not looked at where it is left out. */
  renews?: boolean
  timeout?: string
}
type Line = [
  from: 'A' | 'B',
  flags: string,
  sequence: number,
  acknowledgment: number,
  state: string,
  more?: More,
]

function converse(flow: OneFlow, test: Tap, lines: readonly Line[]): void {
  for (const [from, flags, sequence, acknowledgment, state, more = {}] of lines) {
    const { stray = false, renews, timeout, ...rest } = more
    const heard = flow.hear(from, { flags, sequence, acknowledgment, ...rest })
    const line = `${from} ${flags} ${sequence} ${acknowledgment}`
    test.equal(heard.state, state, `${line}: ${state}`)
    test.equal(heard.stray, stray, `${line}: ${stray ? 'is stray' : 'is believed'}`)
    if (renews !== undefined)
      test.equal(heard.renews, renews, `${line}: ${renews ? 'renews' : 'renews nothing'}`)
    if (timeout !== undefined) test.equal(heard.timeout, timeout, `${line}: ${timeout}`)
  }
}
type Tap = Pick<typeof t, 'equal' | 'ok' | 'notOk' | 'same'>

function conversation(name: string, lines: readonly Line[], then?: (flow: OneFlow, test: Tap) => void): void {
  t.test(name, async test => {
    const flow = new OneFlow()
    converse(flow, test, lines)
    then?.(flow, test)
  })
}

/** A handshake: A's data begins at 1001, B's at 5001; both windows are 65535. */
const opening: readonly Line[] = [
  ['A', 'S', 1000, 0, 'syn-sent', { timeout: 'tcp-opening' }],
  ['B', 'SA', 5000, 1001, 'syn-received', { timeout: 'tcp-opening', renews: true }],
  ['A', 'A', 1001, 5001, 'established', { timeout: 'tcp-established', renews: true }],
]

conversation('a connection opens, carries data, closes (RFC 5382 REQ-2)', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 100, renews: true }],
  ['B', 'A', 5001, 1101, 'established', { renews: true }],
  ['B', 'PA', 5001, 1101, 'established', { bytes: 60_000 }],
  ['A', 'A', 1101, 65_001, 'established'],
  ['A', 'FA', 1101, 65_001, 'fin-wait', { timeout: 'tcp-established' }],
  ['B', 'A', 65_001, 1102, 'fin-wait', { renews: true }],
  ['B', 'FA', 65_001, 1102, 'closing', { timeout: 'tcp-closing' }],
  ['A', 'A', 1102, 65_002, 'time-wait', { timeout: 'tcp-closed', renews: true }],
  ['A', 'A', 1102, 65_002, 'time-wait'],
])

conversation('the server closes first', [
  ...opening,
  ['B', 'FA', 5001, 1001, 'close-wait', { timeout: 'tcp-established' }],
  ['A', 'A', 1001, 5002, 'close-wait'],
  ['A', 'PA', 1001, 5002, 'close-wait', { bytes: 1000 }],
  ['A', 'FA', 2001, 5002, 'closing'],
  ['B', 'A', 5002, 2002, 'time-wait'],
])

conversation('T-12: half-closed, the open side keeps the established timeout for as long as it sends', [
  ...opening,
  ['A', 'FA', 1001, 5001, 'fin-wait', { timeout: 'tcp-established' }],
  ['B', 'PA', 5001, 1002, 'fin-wait', { bytes: 1460, timeout: 'tcp-established', renews: true }],
  ['A', 'A', 1002, 6461, 'fin-wait', { timeout: 'tcp-established', renews: true }],
])

conversation('T-13: both close at once', [
  ...opening,
  ['A', 'FA', 1001, 5001, 'fin-wait'],
  ['B', 'FA', 5001, 1001, 'closing'],
  ['A', 'A', 1002, 5002, 'closing', { timeout: 'tcp-closing' }],
  ['B', 'A', 5002, 1002, 'time-wait'],
])

conversation('T-14, RFC 5382 REQ-2 a: both open at once', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'S', 5000, 0, 'simultaneous-open', { timeout: 'tcp-opening' }],
  ['A', 'SA', 1000, 5001, 'syn-answered'],
  ['B', 'SA', 5000, 1001, 'established', { timeout: 'tcp-established' }],
  ['A', 'PA', 1001, 5001, 'established', { bytes: 10 }],
  ['B', 'A', 5001, 1011, 'established'],
])

conversation('T-14: both open at once, the other answers first', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'S', 5000, 0, 'simultaneous-open'],
  ['B', 'SA', 5000, 1001, 'syn-received'],
  ['A', 'SA', 1000, 5001, 'established'],
])

conversation("T-14: both open at once, the other's SYN-ACK is lost before us", [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'S', 5000, 0, 'simultaneous-open'],
  ['A', 'SA', 1000, 5001, 'syn-answered'],
  ['B', 'A', 5001, 1001, 'established'],
  ['B', 'PA', 5001, 1001, 'established', { bytes: 1000 }],
  ['A', 'A', 1001, 6001, 'established'],
])

conversation("a forged SYN in the other's name does not keep the true answer from being heard", [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'S', 77_777_777, 0, 'simultaneous-open'],
  ['B', 'SA', 5000, 1001, 'syn-received'],
  ['A', 'A', 1001, 5001, 'established'],
])

conversation('T-9: an old SYN-ACK does not lead on, nor does the RST it provokes', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'SA', 9000, 555, 'syn-sent', { stray: true, renews: false }],
  ['A', 'R', 555, 0, 'syn-sent', { stray: true, renews: false }],
  ['B', 'SA', 5000, 1001, 'syn-received'],
  ['A', 'A', 1001, 5001, 'established'],
])

conversation('T-11: repeated SYNs and SYN-ACKs keep nothing', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['A', 'S', 1000, 0, 'syn-sent', { renews: false }],
  ['B', 'SA', 5000, 1001, 'syn-received', { renews: true }],
  ['B', 'SA', 5000, 1001, 'syn-received', { renews: false }],
  ['A', 'S', 1000, 0, 'syn-received', { renews: false }],
  ['B', 'SA', 5000, 1001, 'syn-received', { renews: false }],
])

conversation('a beginner that nobody answered may try with another sequence number', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['A', 'S', 2000, 0, 'syn-sent', { renews: true }],
  ['B', 'SA', 5000, 1001, 'syn-sent', { stray: true }],
  ['B', 'SA', 5000, 2001, 'syn-received'],
  ['A', 'A', 2001, 5001, 'established'],
])

conversation('an ACK that does not acknowledge the SYN-ACK establishes nothing', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'SA', 5000, 1001, 'syn-received'],
  ['A', 'A', 1001, 5000, 'syn-received', { stray: true }],
  ['A', 'A', 1001, 5002, 'syn-received', { stray: true }],
  ['A', 'A', 1001, 5001, 'established'],
])

conversation('a connection is refused: the RST acknowledges the SYN (RFC 9293 section 3.10.7.3)', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'RA', 0, 1001, 'closed', { timeout: 'tcp-closed', renews: true }],
])

conversation('a blind RST cannot refuse a connection', [
  ['A', 'S', 1000, 0, 'syn-sent'],
  ['B', 'R', 0, 0, 'syn-sent', { stray: true, renews: false }],
  ['B', 'RA', 0, 1000, 'syn-sent', { stray: true }],
  ['B', 'RA', 0, 1002, 'syn-sent', { stray: true }],
  ['B', 'SA', 5000, 1001, 'syn-received'],
])

conversation('T-6, RFC 5961 section 3.2: only the exact RST closes an established connection', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 500 }],
  ['B', 'A', 5001, 1501, 'established'],
  ['B', 'R', 5002, 0, 'established', { stray: true, renews: false }],
  ['B', 'R', 60_000, 0, 'established', { stray: true, renews: false }],
  ['B', 'R', 5000, 0, 'established', { stray: true, renews: false }],
  ['B', 'R', 900_000_000, 0, 'established', { stray: true, renews: false }],
  ['B', 'R', 5001, 0, 'closed', { timeout: 'tcp-closed', renews: true }],
])

conversation('T-6: an RST is exact at what was acknowledged and at the end of what was sent', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 500 }],
  ['A', 'R', 1200, 0, 'established', { stray: true }],
  ['A', 'R', 1501, 0, 'closed'],
])

conversation(
  'RFC 7857 section 2.2: after an RST, segments of the flow still pass and keep it for their four minutes',
  [
    ...opening,
    ['A', 'R', 1001, 0, 'closed', { timeout: 'tcp-closed', renews: true }],
    ['A', 'R', 1001, 0, 'closed', { renews: false }],
    ['B', 'PA', 5001, 1001, 'closed', { bytes: 100, timeout: 'tcp-closed', renews: false }],
    ['A', 'A', 1001, 5101, 'closed', { timeout: 'tcp-closed', renews: true }],
  ],
)

conversation('T-7: once a FIN was seen an RST need not be exact, but in window', [
  ...opening,
  ['A', 'FA', 1001, 5001, 'fin-wait'],
  ['B', 'R', 900_000_000, 0, 'fin-wait', { stray: true }],
  ['B', 'R', 5400, 0, 'closed'],
])

conversation(
  'T-8, RFC 5961 section 4: a SYN into an established connection changes nothing; the challenge ends it',
  [
    ...opening,
    ['A', 'S', 700_000, 0, 'established', { stray: true, renews: false }],
    ['B', 'A', 5001, 1001, 'established', { renews: true }],
    ['A', 'R', 1001, 0, 'closed'],
  ],
  (flow, test) => {
    test.ok(flow.mayReopen('A', { flags: 'S', sequence: 700_000 }), 'the next SYN begins anew')
  },
)

t.test('T-8: a SYN does not reopen a flow that is alive', async test => {
  const flow = new OneFlow()
  converse(flow, test, opening.slice(0, 1))
  test.notOk(flow.mayReopen('A', { flags: 'S', sequence: 9000 }), 'not while it opens')
  converse(flow, test, opening.slice(1))
  test.notOk(flow.mayReopen('A', { flags: 'S', sequence: 9000 }), 'not while it is established')
  converse(flow, test, [['B', 'FA', 5001, 1001, 'close-wait']])
  test.notOk(flow.mayReopen('A', { flags: 'S', sequence: 9000 }), 'not while this side may still send')
})

t.test(
  'T-10: a SYN from inside begins anew after an RST, after both FINs, and after its own FIN',
  async test => {
    const reset = new OneFlow()
    converse(reset, test, [...opening, ['B', 'RA', 5001, 1001, 'closed']])
    test.ok(reset.mayReopen('A', { flags: 'S', sequence: 5 }), 'after an RST, whatever the sequence number')
    test.notOk(reset.mayReopen('A', { flags: 'A', sequence: 1001 }), 'an ACK never')
    test.notOk(reset.mayReopen('A', { flags: 'SA', sequence: 1001 }), 'a SYN-ACK never')

    const closed = new OneFlow()
    converse(closed, test, [...opening, ['A', 'FA', 1001, 5001, 'fin-wait']])
    test.notOk(closed.mayReopen('A', { flags: 'S', sequence: 1001 }), 'half-closed: not at its own FIN')
    test.ok(closed.mayReopen('A', { flags: 'S', sequence: 1002 }), 'half-closed: beyond its own FIN')
    test.notOk(
      closed.mayReopen('A', { flags: 'S', sequence: 1002 + 2 ** 31 }),
      'half-closed: not far behind it',
    )
    converse(closed, test, [['B', 'FA', 5001, 1002, 'closing']])
    test.ok(
      closed.mayReopen('A', { flags: 'S', sequence: 5 }),
      'after both FINs, whatever the sequence number',
    )
  },
)

conversation('T-15: keep-alives, zero-window probes, urgent data', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 100 }],
  ['B', 'A', 5001, 1101, 'established', { window: 0 }],
  ['A', 'A', 1100, 5001, 'established', { renews: true }],
  ['B', 'A', 5001, 1101, 'established', { window: 0 }],
  ['A', 'A', 1100, 5001, 'established', { bytes: 1 }],
  ['A', 'UPA', 1101, 5001, 'established', { bytes: 10 }],
  ['B', 'A', 5001, 1111, 'established', { window: 1000 }],
])

conversation('T-15: a probe of one byte beyond a window that is closed', [
  ['A', 'S', 1000, 0, 'syn-sent', { window: 1000 }],
  ['B', 'SA', 5000, 1001, 'syn-received', { window: 0 }],
  ['A', 'A', 1001, 5001, 'established', { window: 1000 }],
  ['A', 'A', 1001, 5001, 'established', { bytes: 1, window: 1000 }],
  ['A', 'A', 1003, 5001, 'established', { bytes: 1, window: 1000, stray: true }],
])

conversation('T-5: data that was acknowledged already is sent again', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 1000 }],
  ['B', 'A', 5001, 2001, 'established'],
  ['A', 'PA', 1001, 5001, 'established', { bytes: 1000, renews: true }],
  ['B', 'A', 5001, 2001, 'established'],
  ['A', 'PA', 2001, 5001, 'established', { bytes: 1000 }],
])

conversation('T-2: the four bounds of a window of 65535', [
  ...opening,
  ['A', 'A', 1001 + 65_535, 5001, 'established'],
  ['A', 'A', 1001 + 65_536, 5001, 'established', { stray: true }],
  ['A', 'A', 1001, 5001, 'established'],
  ['A', 'A', 1001, 5002, 'established', { stray: true }],
  ['B', 'A', 5001, 1001 + 65_535, 'established'],
  ['A', 'A', 1001, 5001, 'established'],
  ['A', 'A', 1000, 5001, 'established', { stray: true }],
  ['B', 'A', 5001, 66_536 - 66_000, 'established'],
  ['B', 'A', 5001, 66_536 - 66_001, 'established', { stray: true }],
])

conversation('T-3: what is out of window teaches nothing', [
  ...opening,
  ['A', 'A', 500_000, 5001, 'established', { bytes: 1000, stray: true }],
  ['B', 'A', 5001, 501_000, 'established', { stray: true }],
  ['A', 'FA', 500_000, 5001, 'established', { stray: true }],
  ['A', 'FA', 1001, 500_000, 'established', { stray: true }],
  ['A', 'FA', 1001, 5001, 'fin-wait'],
])

conversation('a FIN with data behind it is not its sender’s', [
  ...opening,
  ['A', 'PA', 1001, 5001, 'established', { bytes: 1000 }],
  ['A', 'FA', 1500, 5001, 'established', { stray: true }],
  ['A', 'FA', 2001, 5001, 'fin-wait'],
])

t.test(
  'out of window: end A keeps the flow, a stranger in the name of the other does not (S25)',
  async test => {
    const flow = new OneFlow()
    converse(flow, test, opening)
    test.ok(flow.hear('A', { flags: 'A', sequence: 900_000, acknowledgment: 5001 }).renews)
    test.notOk(flow.hear('B', { flags: 'A', sequence: 900_000, acknowledgment: 1001 }).renews)
  },
)

conversation('T-4: windows are scaled where both ends offer to', [
  ['A', 'S', 1000, 0, 'syn-sent', { tcpOptions: scale(7) }],
  ['B', 'SA', 5000, 1001, 'syn-received', { tcpOptions: scale(2), window: 1000 }],
  ['A', 'A', 1001, 5001, 'established', { window: 500 }],
  ['A', 'A', 1001 + 1001, 5001, 'established', { window: 500, stray: true }],
  ['B', 'A', 5001, 1001, 'established', { window: 1000 }],
  ['A', 'A', 1001 + 4000, 5001, 'established', { window: 500 }],
  ['A', 'A', 1001 + 4001, 5001, 'established', { window: 500, stray: true }],
  ['B', 'A', 5001 + 65_535, 1001, 'established', { window: 1000 }],
  ['B', 'A', 5001 + 65_536, 1001, 'established', { window: 1000, stray: true }],
])

conversation('T-4: no scale where one end offers none', [
  ['A', 'S', 1000, 0, 'syn-sent', { tcpOptions: scale(7), window: 1000 }],
  ['B', 'SA', 5000, 1001, 'syn-received', { window: 1000 }],
  ['A', 'A', 1001, 5001, 'established', { window: 1000 }],
  ['B', 'A', 5001 + 1000, 1001, 'established', { window: 1000 }],
  ['B', 'A', 5001 + 1001, 1001, 'established', { window: 1000, stray: true }],
])

conversation('T-4: a scale of 15 or more counts as 14', [
  ['A', 'S', 1000, 0, 'syn-sent', { tcpOptions: scale(200), window: 10 }],
  ['B', 'SA', 5000, 1001, 'syn-received', { tcpOptions: scale(0), window: 10 }],
  ['A', 'A', 1001, 5001, 'established', { window: 1 }],
  ['B', 'A', 5001 + 16_384, 1001, 'established'],
  ['B', 'A', 5001 + 16_385, 1001, 'established', { stray: true }],
])

conversation('T-24: sequence numbers wrap in the middle of everything', [
  ['A', 'S', 2 ** 32 - 10, 0, 'syn-sent'],
  ['B', 'SA', 2 ** 31 - 2, 2 ** 32 - 9, 'syn-received'],
  ['A', 'A', 2 ** 32 - 9, 2 ** 31 - 1, 'established'],
  ['A', 'PA', 2 ** 32 - 9, 2 ** 31 - 1, 'established', { bytes: 100 }],
  ['B', 'PA', 2 ** 31 - 1, 91, 'established', { bytes: 100 }],
  ['A', 'FA', 91, 2 ** 31 + 99, 'fin-wait'],
  ['B', 'FA', 2 ** 31 + 99, 92, 'closing'],
  ['A', 'A', 92, 2 ** 31 + 100, 'time-wait'],
])

conversation('a super-frame of 64 KB is one segment', [
  ['A', 'S', 1000, 0, 'syn-sent', { tcpOptions: scale(7) }],
  ['B', 'SA', 5000, 1001, 'syn-received', { tcpOptions: scale(7) }],
  ['A', 'A', 1001, 5001, 'established'],
  ['B', 'A', 5001, 1001, 'established'],
  ['A', 'PA', 1001, 5001, 'established', { bytes: 65_483 }],
  ['A', 'PA', 1001 + 65_483, 5001, 'established', { bytes: 65_483 }],
  ['B', 'A', 5001, 1001 + 2 * 65_483, 'established'],
])

conversation('RFC 7413: data in the SYN, acknowledged or not', [
  ['A', 'S', 1000, 0, 'syn-sent', { bytes: 200 }],
  ['B', 'SA', 5000, 1201, 'syn-received', { bytes: 300 }],
  ['A', 'A', 1201, 5301, 'established'],
])

conversation('RFC 7413: the data in the SYN is not acknowledged and sent again', [
  ['A', 'S', 1000, 0, 'syn-sent', { bytes: 200 }],
  ['B', 'SA', 5000, 1001, 'syn-received'],
  ['A', 'PA', 1001, 5001, 'established', { bytes: 200 }],
])

conversation('T-1, loose: a flow in the middle of its life is picked up and reaches established', [
  ['A', 'PA', 123_456, 654_321, 'picked-up', { bytes: 100, timeout: 'tcp-opening' }],
  ['A', 'PA', 123_456, 654_321, 'picked-up', { bytes: 100, renews: false }],
  ['B', 'A', 654_321, 123_556, 'established', { timeout: 'tcp-established', renews: true }],
  ['B', 'PA', 654_321, 123_556, 'established', { bytes: 60_000 }],
  ['A', 'FA', 123_556, 714_321, 'fin-wait'],
])

conversation('T-1, loose: a host that knows nothing of it any more answers with an exact RST', [
  ['A', 'PA', 123_456, 654_321, 'picked-up', { bytes: 100 }],
  ['B', 'R', 654_322, 0, 'picked-up', { stray: true }],
  ['B', 'R', 654_321, 0, 'closed'],
])

conversation('T-1, loose: a flow picked up at its FIN is closing', [
  ['A', 'FA', 1000, 5000, 'closing', { timeout: 'tcp-closing' }],
  ['B', 'FA', 5000, 1001, 'closing'],
  ['A', 'A', 1001, 5001, 'time-wait'],
])

t.test('a flow between hosts that end B began', async test => {
  const flow = new OneFlow({ begunByB: true })
  const swapped = opening.map(([from, ...rest]): Line => [from === 'A' ? 'B' : 'A', ...rest])
  converse(flow, test, swapped)
  converse(flow, test, [['B', 'FA', 1001, 5001, 'fin-wait']])
  test.equal(flow.fins, 'B', 'the FIN is that of end B')
  converse(flow, test, [
    ['A', 'FA', 5001, 1002, 'closing'],
    ['B', 'A', 1002, 5002, 'time-wait'],
  ])
})

t.test('T-20: a flow is answered when something is believed of the other end', async test => {
  const forged = new OneFlow()
  converse(forged, test, [
    ['A', 'S', 1000, 0, 'syn-sent'],
    ['B', 'S', 5000, 0, 'simultaneous-open'],
    ['A', 'SA', 1000, 5001, 'syn-answered'],
    ['B', 'R', 5001, 0, 'syn-answered', { stray: true }],
    ['B', 'SA', 5000, 7, 'syn-answered', { stray: true }],
  ])
  test.notOk(forged.answered, 'what anybody could have sent is no answer')
  converse(forged, test, [['B', 'SA', 5000, 1001, 'established']])
  test.ok(forged.answered)

  const refused = new OneFlow()
  converse(refused, test, [
    ['A', 'S', 1000, 0, 'syn-sent'],
    ['B', 'RA', 0, 1001, 'closed'],
  ])
  test.ok(refused.answered, 'a refusal is an answer')

  const pickedUp = new OneFlow()
  converse(pickedUp, test, [
    ['A', 'PA', 1000, 5000, 'picked-up'],
    ['A', 'PA', 1000, 5000, 'picked-up'],
  ])
  test.notOk(pickedUp.answered)
  converse(pickedUp, test, [['B', 'A', 5000, 1000, 'established']])
  test.ok(pickedUp.answered)
})

t.test('which flags begin a flow', async test => {
  const set = (letters: string) =>
    [...letters].reduce((all, letter) => all | (1 << 'FSRPAUEC'.indexOf(letter)), 0)
  for (const letters of ['S', 'SEC', 'SP', 'SU']) test.ok(opens(set(letters)), `${letters} opens`)
  for (const letters of ['', 'A', 'SA', 'SR', 'SF', 'R', 'RA', 'FA', 'PA'])
    test.notOk(opens(set(letters)), `${letters} does not`)
  for (const letters of ['A', 'PA', 'FA', 'UA']) test.ok(picksUp(set(letters)), `${letters} is picked up`)
  for (const letters of ['', 'S', 'SA', 'R', 'RA', 'F'])
    test.notOk(picksUp(set(letters)), `${letters} is not`)
})

t.test('P-9, RFC 5927: what an ICMP error may quote', async test => {
  const flow = new OneFlow()
  converse(flow, test, [['A', 'S', 1000, 0, 'syn-sent']])
  const quotes = (from: 'A' | 'B', sequence: number) =>
    mayBeQuoted(flow.flows, flow.id, from === 'A', sequence | 0)
  test.ok(quotes('A', 1000), 'the SYN itself')
  test.notOk(quotes('B', 1000), 'nothing of an end that was not heard')
  converse(flow, test, [
    ...opening.slice(1),
    ['A', 'PA', 1001, 5001, 'established', { bytes: 50_000 }],
    ['B', 'A', 5001, 21_001, 'established'],
  ])
  test.ok(quotes('A', 21_001), 'the first byte in flight')
  test.ok(quotes('A', 51_001), 'the end of what was sent')
  test.ok(quotes('A', 1001), 'what may be sent again since its acknowledgment was lost')
  test.notOk(quotes('A', 51_002), 'nothing that was never sent')
  test.notOk(quotes('A', 21_001 - 66_001), 'nothing from long ago')
  test.notOk(quotes('A', 3_000_000_000), 'nothing from anywhere else')
  test.ok(quotes('B', 5001))
  test.notOk(quotes('B', 5002))
})
