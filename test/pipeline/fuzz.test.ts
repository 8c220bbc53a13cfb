/**
 * Mutated packets of every kind, by the ten thousand: nothing throws, the books balance, checksums are right or as wrong as they were, and no
 * inside address is seen outside.
 *
 * A seed says all of a run; it is printed, and `TEST_SEED` runs it again. The packets that are mutated are good ones of flows that exist, answers to
 * what came out, errors about it, and pieces of all of these.
 */
import t, { type Test } from 'tap'
import { type Random, randomOf } from '../tables/random.ts'
import { slowChecksum } from '../wire/build.ts'
import { audit } from './audit.ts'
import { type Family, families, labOf } from './labs.ts'
import { type Arrival, Net, type SendOptions } from './net.ts'
import { error, fragmentsOf, isFragment, reply } from './packets.ts'

/** Packets that a run sends; `FUZZ_PACKETS` says how many more are wanted. */
const PACKETS = Number(process.env.FUZZ_PACKETS ?? 20_000)
const BURST = 48

type Sent = readonly [from: string, frame: Uint8Array]

const FLAGS = ['S', 'SA', 'A', 'PA', 'FA', 'RA', 'R', 'SF', '', 'SEC', 'FPU']

/** A good packet of somebody to somebody. @param partial its checksum is left to the device, so it is no echo */
function good(random: Random, { at, tcp, udp, echo, isIpv6 }: Family, partial = false): Sent {
  const places: [string, string][] = [
    ['orders-1', at.orders1],
    ['orders-2', at.orders2],
    ['web', at.web],
    ['db', at.db],
  ]
  const [from, source] = random.pick(places)
  const destination = random.pick([
    at.web,
    at.db,
    at.web,
    at.db,
    at.eni,
    at.orders1,
    at.router,
    isIpv6 ? '2001:db8::1' : '192.0.2.1',
  ])
  const of = {
    source,
    destination,
    sourcePort: 1000 + random.below(40),
    destinationPort: random.pick([53, 80, 443]),
    dontFragment: random.chance(0.7),
    partial,
    ttl: random.chance(0.05) ? random.below(3) : 64,
    hops: random.chance(0.05) ? random.below(3) : 64,
    identification: random.below(65536),
    payload: new Uint8Array(random.chance(0.1) ? random.below(3000) : random.below(80)).fill(
      random.below(256),
    ),
    ...(random.chance(0.1) &&
      !isIpv6 && {
        options: random.pick([
          [1, 1, 1, 0],
          [148, 4, 0, 0],
          [7, 7, 4, 0, 0, 0, 0, 0],
        ]),
      }),
    ...(random.chance(0.1) &&
      isIpv6 && { extensions: [{ header: random.pick([0, 60]), body: [1, 4, 0, 0, 0, 0] }] }),
  }
  const kind = random.below(partial ? 2 : 3)
  if (kind === 0)
    return [
      from,
      tcp({
        ...of,
        flags: random.pick(FLAGS),
        sequence: random.below(5000),
        acknowledgment: random.below(9000),
        tcpOptions: random.chance(0.3) ? [2, 4, 35, 40] : [],
      }),
    ]
  if (kind === 1) return [from, udp({ ...of, checksum: isIpv6 || partial || random.chance(0.8) })]
  return [
    from,
    echo({
      ...of,
      identifier: random.below(20),
      type: random.pick(isIpv6 ? [128, 128, 129, 133] : [8, 8, 0, 13]),
    }),
  ]
}

/** An answer to something that came out, or an error about it, or that very frame sent back. */
function response(random: Random, { to, frame }: Arrival): Sent {
  if (isFragment(frame)) return [to, frame]
  const kind = random.below(10)
  const isEcho = [1, 58].includes(frame[frame[0] >>> 4 === 4 ? 9 : 6])
  if (kind < 6 && !isEcho)
    return [
      to,
      reply(frame, { payload: new Uint8Array(random.below(60)), flags: random.pick(FLAGS.slice(0, 6)) }),
    ]
  if (kind < 6) return [to, reply(frame)]
  if (kind < 9)
    return [
      to,
      error(frame, {
        type: random.pick([1, 2, 3, 4, 5, 11, 12]),
        code: random.below(6),
        rest: random.pick([0, 68, 1280, 1400]),
        quoted: random.below(200),
      }),
    ]
  return [to, frame]
}

/** Turns bytes over, cuts, stretches; then makes the sum of an IPv4 header right again, mostly, or it would never be looked at. */
function mutated(random: Random, frame: Uint8Array): Uint8Array {
  let copy = Uint8Array.from(frame)
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.chance(0.7) ? random.below(Math.min(copy.length, 70)) : random.below(copy.length)
    const kind = random.below(6)
    if (kind === 0) copy[at] ^= 1 << random.below(8)
    else if (kind === 1) copy[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)])
    else if (kind === 2) copy = copy.slice(0, at + 1)
    else if (kind === 3)
      copy = Uint8Array.from([...copy, ...new Uint8Array(random.below(40)).fill(random.below(256))])
    else if (kind === 4)
      copy = Uint8Array.from([
        ...copy.subarray(0, at),
        ...new Uint8Array(4 * random.below(4)),
        ...copy.subarray(at),
      ])
    else
      copy.set(
        copy
          .slice(random.below(copy.length))
          .subarray(0, 8)
          .subarray(0, copy.length - at),
        at,
      )
  }
  if (copy[0] >>> 4 === 4 && copy.length >= 20 && random.chance(0.9)) {
    if (random.chance(0.5)) copy.set([copy.length >>> 8, copy.length & 0xff], 2)
    copy.set([0, 0], 10)
    const checksum = slowChecksum(copy.subarray(0, Math.min((copy[0] & 15) * 4, copy.length)))
    copy.set([checksum >>> 8, checksum & 0xff], 10)
  } else if (copy[0] >>> 4 === 6 && copy.length >= 40 && random.chance(0.6)) {
    copy.set([(copy.length - 40) >>> 8, (copy.length - 40) & 0xff], 4)
  }
  return copy
}

/** A frame or its pieces, in some order. */
function pieces(random: Random, frame: Uint8Array): Uint8Array[] {
  const splits = frame.length > 100 && random.chance(0.2) && !isFragment(frame) && frame.length < 60_000
  // The builder cuts IPv6 packets without extension headers only.
  if (!splits || (frame[0] >>> 4 === 6 && ![6, 17, 58].includes(frame[6]))) return [frame]
  return random.shuffle(fragmentsOf(frame, 64 + 8 * random.below(60), random.below(1000)))
}

/** Runs the packets of a seed against a network. */
function run(t: Test, net: Net, random: Random): void {
  let sent = 0
  while (sent < PACKETS) {
    const burst: Sent[] = []
    while (burst.length < BURST) {
      const recent = net.arrivals.length > 0 && random.chance(0.5)
      const [from, frame] = recent
        ? response(random, random.pick(net.arrivals))
        : good(random, random.pick(families))
      for (const piece of pieces(random, frame).slice(0, BURST - burst.length))
        burst.push([from, random.chance(0.6) ? mutated(random, piece) : piece])
    }
    // Where frames are wrong themselves only what can be told of each by itself is judged: the burst goes frame by frame then.
    const one = random.chance(0.3)
    const options: SendOptions = random.chance(0.1) ? { shard: random.below(net.shards.length) } : {}
    if (one)
      for (const [from, frame] of burst) {
        net.send(from, frame, options)
        if (random.chance(0.2)) net.send(...good(random, random.pick(families), true), { partial: true })
      }
    else net.burst(burst, options)
    sent += burst.length
    if (random.chance(0.02)) net.wait(random.below(400))
    else net.tick += random.below(3)
    if (random.chance(0.004)) net.restart()
    net.arrivals.splice(0, Math.max(0, net.arrivals.length - 40))
  }
  t.same(audit(net), [], 'the tables are sound')
  net.wait(40)
  t.equal(net.counter('Held'), 0)
  t.ok(
    net.counter('FramesOut') > PACKETS / 10,
    `${net.counter('FramesOut')} of ${net.counter('FramesIn')} frames came out`,
  )
  t.comment(JSON.stringify(net.drops()))
}

for (const shards of [1, 2])
  t.test(`${shards} shards`, async t => {
    const random = randomOf(t)
    const given = labOf({
      webMtu: 1400,
      hosts: '  narrow: { subnet: app, address: 10.0.1.50, mtu: 1280, securityGroups: [web] }',
    })
    const net = new Net(given, { shards, flows: 128, slots: 400, seed: random.word() })
    run(t, net, random)
  })
