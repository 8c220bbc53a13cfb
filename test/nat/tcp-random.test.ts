/**
 * Random conversations, likely and unlikely, against the slow and obvious tracker of `slow-tcp.ts`: the same
 * state and the same judgement after every segment. Sequence numbers begin anywhere, so that they wrap in the
 * middle of conversations.
 */
import fc from 'fast-check'
import t from 'tap'
import { tcpStateName } from '../../src/nat/tcp-states.ts'
import { OneFlow, scale } from './one-flow.ts'
import { type SlowSegment, SlowTcp } from './slow-tcp.ts'

interface Move {
  byBeginner: boolean
  flags: string
  /** Which known number of the sender's the sequence number is near to, and by how much. */
  near: number
  by: number
  /** The same for the acknowledgment and the receiver's numbers. */
  nearAcknowledged: number
  byAcknowledged: number
  window: number
  bytes: number
  scale: number
}

const small = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constantFrom(-1, 1) },
  { weight: 1, arbitrary: fc.constantFrom(-66_001, -66_000, -65_536, -65_535, 65_535, 65_536) },
  { weight: 1, arbitrary: fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }) },
)
const move: fc.Arbitrary<Move> = fc.record({
  byBeginner: fc.boolean(),
  flags: fc.constantFrom('S', 'SA', 'SA', 'A', 'A', 'A', 'A', 'A', 'FA', 'FA', 'R', 'RA'),
  near: fc.nat(5),
  by: small,
  nearAcknowledged: fc.nat(5),
  byAcknowledged: small,
  window: fc.constantFrom(0, 1, 1000, 65_535),
  bytes: fc.constantFrom(0, 0, 0, 1, 1460, 65_495),
  scale: fc.constantFrom(-1, 0, 2, 7, 14, 15),
})

/** One of an end's numbers. END comes most often, since conversations go on from there. */
function pick(end: { end: number; edge: number; acked: number } | undefined, near: number): number {
  if (end === undefined || !Number.isFinite(end.end)) return near * 1000
  return near === 0 ? end.acked : near === 1 ? end.edge : end.end
}

/** Plays a conversation to both trackers. @returns where they differ first, empty where they do not */
function play(
  first: Move,
  moves: Move[],
  bases: [number, number],
  begunByB: boolean,
  reached: Set<string>,
): string {
  const flow = new OneFlow({ begunByB })
  const slow = new SlowTcp()
  let opened = false
  for (const [index, of] of [first, ...moves].entries()) {
    const byBeginner = index === 0 || of.byBeginner
    const [own, peer] = byBeginner ? [slow.beginner, slow.other] : [slow.other, slow.beginner]
    const syn = of.flags.startsWith('S')
    const segment: SlowSegment = {
      byBeginner,
      flags: of.flags,
      sequence: pick(index === 0 ? undefined : own, of.near) + of.by,
      acknowledgment:
        of.flags === 'S' ? 0 : pick(index === 0 ? undefined : peer, of.nearAcknowledged) + of.byAcknowledged,
      window: of.window,
      bytes: of.flags.startsWith('R') ? 0 : of.bytes,
      scale: syn && of.scale >= 0 ? of.scale : undefined,
    }
    let stray = false
    if (opened) stray = slow.hear(segment)
    else slow.begin(segment)
    opened = true
    const [ownBase, peerBase] = byBeginner ? bases : [bases[1], bases[0]]
    const heard = flow.hear(byBeginner !== begunByB ? 'A' : 'B', {
      flags: segment.flags,
      sequence: (segment.sequence + ownBase) % 2 ** 32,
      acknowledgment: (segment.acknowledgment + peerBase) % 2 ** 32,
      window: segment.window,
      bytes: segment.bytes,
      tcpOptions: segment.scale === undefined ? [] : scale(segment.scale),
    })
    const line = `${byBeginner ? 'beginner' : 'other'} ${segment.flags} ${segment.sequence} ${segment.acknowledgment}`
    const got = `${heard.state}${heard.stray ? ' stray' : ''}`
    const expected = `${slow.state}${stray ? ' stray' : ''}`
    if (got !== expected) return `${line}: ${got}, expected ${expected}`
    reached.add(heard.state)
  }
  return ''
}

const base = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  fc.constantFrom(0, 2 ** 31 - 3000, 2 ** 32 - 3000),
)

t.test('random conversations go as the slow tracker says', async test => {
  const reached = new Set<string>()
  const opener = fc.constantFrom('S', 'S', 'S', 'A', 'FA')
  fc.assert(
    fc.property(
      opener,
      move,
      fc.array(move, { maxLength: 40 }),
      base,
      base,
      fc.boolean(),
      (flags, start, moves, x, y, begunByB) => {
        const first = { ...start, flags, by: 0, byAcknowledged: 0 }
        const said = play(first, moves, [x, y], begunByB, reached)
        if (said !== '') throw new Error(said)
      },
    ),
    { numRuns: 8000 },
  )
  const states = Object.values(tcpStateName).filter(name => name !== 'none')
  test.same([...reached].sort(), states.sort(), 'and every state was reached')
})
