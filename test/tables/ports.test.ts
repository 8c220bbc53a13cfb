/** The ports of an ENI: every one handed out once, in no order that can be guessed, by one shard or several, and found again after a kill. */
import t from 'tap'
import {
  BLOCK,
  ENI_BYTES,
  ENI_CONNECTIONS,
  EniPorts,
  FIRST_PORT,
  LAST_PORT,
  MAX_SHARDS,
  NO_PORT,
  PORTS_PER_SPACE,
  portOwner,
  SPACE_TCP,
  SPACE_UDP,
  SPACES,
} from '../../src/tables/ports.ts'
import { randomOf } from './random.ts'

/** The ports of one ENI as every shard sees them. */
function shardsOf(shards: number, memory = new ArrayBuffer(ENI_BYTES), epoch = 1): EniPorts[] {
  return Array.from({ length: shards }, (_, shard) => new EniPorts(memory, shard, shards, epoch))
}

/** Takes ports and marks them with record numbers, until `count` or none is left. */
function takeAll(ports: EniPorts, space: number, count = Number.POSITIVE_INFINITY): number[] {
  const taken: number[] = []
  while (taken.length < count) {
    const port = ports.take(space)
    if (port === NO_PORT) break
    ports.set(space, port, taken.length)
    taken.push(port)
  }
  return taken
}

const inOrder = (ports: readonly number[]): number[] => [...ports].sort((a, b) => a - b)
const everyPort = Array.from({ length: PORTS_PER_SPACE }, (_, i) => FIRST_PORT + i)
const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((port, i) => port === b[i])

t.test('64,512 ports, each handed out once', async t => {
  t.equal(PORTS_PER_SPACE, 64_512)
  const [ports] = shardsOf(1)
  const taken = takeAll(ports, SPACE_TCP)
  t.ok(isSame(inOrder(taken), everyPort))
  t.equal(ports.take(SPACE_TCP), NO_PORT)
  t.equal(ports.free(SPACE_TCP), 0)
  t.equal(ports.leased(SPACE_TCP), 64_512)
})

t.test('spaces do not know of each other', async t => {
  const [ports] = shardsOf(1)
  takeAll(ports, SPACE_TCP)
  for (let space = 0; space < SPACES; space++) t.equal(ports.free(space), space === SPACE_TCP ? 0 : 64_512)
  const port = ports.take(SPACE_UDP)
  ports.set(SPACE_UDP, port, 5)
  t.equal(ports.entry(SPACE_UDP, port), (1 << 24) | 6)
  t.equal(ports.entry(SPACE_UDP + 3, port), 0)
})

t.test('first in, first out: the port that rested longest is next', async t => {
  const [ports] = shardsOf(1)
  const taken = takeAll(ports, SPACE_UDP)
  const order = [taken[9], taken[500], taken[3], taken[64_511]]
  for (const port of order) ports.give(SPACE_UDP, port)
  t.same(takeAll(ports, SPACE_UDP), order)
})

t.test('a port given back early rests behind all others', async t => {
  const [ports] = shardsOf(1)
  const port = ports.take(SPACE_UDP)
  ports.give(SPACE_UDP, port)
  const rest = takeAll(ports, SPACE_UDP)
  t.equal(rest.indexOf(port), PORTS_PER_SPACE - 1)
})

t.test('a given port is held by nothing', async t => {
  const [ports] = shardsOf(1)
  const [port] = takeAll(ports, SPACE_TCP, 1)
  t.equal(ports.entry(SPACE_TCP, port), (1 << 24) | 1)
  ports.give(SPACE_TCP, port)
  t.equal(ports.entry(SPACE_TCP, port), 0)
  t.equal(ports.free(SPACE_TCP), 64_512)
})

/** χ² of ports over 64 bins of the range. */
function chiSquare(ports: readonly number[]): number {
  const bins = new Array<number>(64).fill(0)
  for (const port of ports) bins[Math.floor((port - FIRST_PORT) / (PORTS_PER_SPACE / 64))]++
  const expected = ports.length / 64
  return bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

t.test('ports come from all of the range, evenly: RFC 6056 section 3.2', async t => {
  const [ports] = shardsOf(1)
  const taken = takeAll(ports, SPACE_TCP, 6400)
  // With 63 degrees of freedom χ² is above 130 once in a million draws.
  t.ok(chiSquare(taken) < 130, `χ² ${chiSquare(taken).toFixed(1)}`)
  t.ok(Math.min(...taken) < FIRST_PORT + 200)
  t.ok(Math.max(...taken) > LAST_PORT - 200)
  const steps = taken
    .slice(1)
    .map((port, i) => FIRST_PORT + ((port - taken[i] + PORTS_PER_SPACE) % PORTS_PER_SPACE))
  t.ok(chiSquare(steps) < 130, `and so do the steps from one to the next: χ² ${chiSquare(steps).toFixed(1)}`)
})

t.test('no two ENIs, spaces or starts have one order', async t => {
  const [one] = shardsOf(1)
  const [other] = shardsOf(1)
  const orders = [takeAll(one, 0, 100), takeAll(other, 0, 100), takeAll(one, 1, 100)]
  for (const [i, order] of orders.entries()) {
    const next = orders[(i + 1) % 3]
    t.ok(order.filter((port, at) => next[at] === port).length < 5)
  }
})

t.test('blocks of 64 ports belong to shards in turn, in every ENI alike', async t => {
  t.equal(BLOCK, 64)
  for (const shards of [1, 2, 3, MAX_SHARDS])
    for (const port of [1024, 1087, 1088, 40_000, 65_535])
      t.equal(portOwner(port, shards), Math.floor(port / 64) % shards)
})

for (const shards of [2, 3]) {
  t.test(`${shards} shards take their own ports first`, async t => {
    const all = shardsOf(shards)
    for (const [shard, ports] of all.entries()) {
      const taken = takeAll(ports, SPACE_TCP, 1000)
      t.ok(taken.every(port => portOwner(port, shards) === shard))
    }
  })

  t.test(`${shards} shards together hand out every port once`, async t => {
    const all = shardsOf(shards)
    const taken: number[] = []
    for (let turn = 0; ; turn++) {
      const port = all[turn % shards].take(SPACE_TCP)
      if (port === NO_PORT) break
      taken.push(port)
    }
    t.ok(isSame(inOrder(taken), everyPort))
    for (const ports of all) t.equal(ports.take(SPACE_TCP), NO_PORT)
  })

  t.test(
    `one of ${shards} shards takes the others' ports when its own are gone, and gives them back to whom they belong`,
    async t => {
      const all = shardsOf(shards)
      const taken = takeAll(all[0], SPACE_TCP)
      t.ok(isSame(inOrder(taken), everyPort))
      const own = taken.filter(port => portOwner(port, shards) === 0).length
      t.ok(
        taken.slice(0, own).every(port => portOwner(port, shards) === 0),
        'its own first',
      )
      for (const port of taken) all[0].give(SPACE_TCP, port)
      t.equal(all[1].free(SPACE_TCP), 64_512)
      t.ok(takeAll(all[1], SPACE_TCP, 100).every(port => portOwner(port, shards) === 1))
    },
  )
}

t.test('an entry names the shard that set it', async t => {
  const [one, two] = shardsOf(2)
  const port = two.take(SPACE_TCP)
  two.set(SPACE_TCP, port, 99)
  t.equal(one.entry(SPACE_TCP, port), (2 << 24) | 100)
})

t.test("a port that is taken and not yet set is nobody else's, though its ring is made anew", async t => {
  const memory = new ArrayBuffer(ENI_BYTES)
  const [one, two] = shardsOf(2, memory)
  const port = one.take(SPACE_TCP)
  t.equal(one.entry(SPACE_TCP, port) & 0xffffff, 0, 'it names no record')
  staleLock(memory, SPACE_TCP, 0)
  t.notOk(takeAll(two, SPACE_TCP).includes(port))
})

t.test('a file of another number of shards is refused', async t => {
  const memory = new ArrayBuffer(ENI_BYTES)
  shardsOf(2, memory)
  t.throws(() => new EniPorts(memory, 0, 3), /made for 2 shards, not 3/)
  t.throws(() => new EniPorts(memory, 0, 0), /1 to 64 shards, not 0/)
  t.throws(() => new EniPorts(memory, 0, MAX_SHARDS + 1), /1 to 64 shards/)
})

t.test('an ENI carries 65,000 flows a family, over all shards', async t => {
  for (const shards of [1, 2, 3]) {
    const all = shardsOf(shards)
    let claimed = 0
    while (all[claimed % shards].claim(0)) claimed++
    t.equal(claimed, ENI_CONNECTIONS)
    t.equal(claimed, 65_000)
    for (const ports of all) t.notOk(ports.claim(0))
    t.equal(all[0].flows(0), 65_000, 'a refused claim leaves no trace')
    t.ok(all[shards - 1].claim(1), 'the other family has its own')
    all[0].unclaim(0)
    t.ok(all[shards - 1].claim(0), 'one less, one more')
  }
})

/** Where a ring's lock lies: behind the header and the counts, a line a ring. See the layout in ports.ts. */
const lockAt = (space: number, owner: number): number => 1024 + 2 * 64 * 16 + (space * 64 + owner) * 16

/** Leaves a lock behind as a killed process does. */
function staleLock(memory: ArrayBuffer, space: number, owner: number, epoch = 0x0ddba11): void {
  new Int32Array(memory)[lockAt(space, owner)] = epoch
}

t.test(
  'the lock of a killed process is free, and the ring that it may have left half changed is made anew',
  async t => {
    const memory = new ArrayBuffer(ENI_BYTES)
    const [one, two] = shardsOf(2, memory)
    const kept = takeAll(one, SPACE_TCP, 10)
    const words = new Int32Array(memory)
    // Killed between moving the head and the count: the ring's end now names a port that was taken.
    staleLock(memory, SPACE_TCP, 0)
    words[lockAt(SPACE_TCP, 0) + 1]++
    one.give(SPACE_TCP, kept[0])
    const rest = [...takeAll(one, SPACE_TCP), ...takeAll(two, SPACE_TCP)]
    t.equal(words[lockAt(SPACE_TCP, 0)], 0)
    t.ok(isSame(inOrder([...rest, ...kept.slice(1)]), everyPort))
  },
)

t.test('a lock that was left in a space that nobody used yet does not wait for ever', async t => {
  const memory = new ArrayBuffer(ENI_BYTES)
  const [one] = shardsOf(2, memory, 7)
  // A container may give the next process the same number, so the epochs can be equal.
  staleLock(memory, SPACE_UDP, 0, 7)
  one.forget()
  t.not(one.take(SPACE_UDP), NO_PORT)
})

interface Lease {
  readonly space: number
  readonly port: number
}

/** What a start after a kill does, shard after shard. */
function recover(all: EniPorts[], leases: Lease[][]): void {
  for (const [shard, ports] of all.entries()) {
    ports.forget()
    for (const [flow, { space, port }] of leases[shard].entries()) ports.restore(space, port, flow, 0)
  }
}

for (const shards of [1, 2, 3]) {
  t.test(
    `after a kill, ${shards} shards have the ports of living flows, and every other port is free`,
    async t => {
      const memory = new ArrayBuffer(ENI_BYTES)
      const before = shardsOf(shards, memory)
      const leases: Lease[][] = before.map((ports, shard) =>
        // The first shard has stolen some: it alone takes more than a third of the range.
        takeAll(ports, SPACE_TCP, shard === 0 ? 40_000 : 1000).map(port => ({ space: SPACE_TCP, port })),
      )
      for (const ports of before) for (let i = 0; i < 500; i++) ports.claim(0)
      // Half of the flows are gone by the time the daemon starts again.
      const living = leases.map(each => each.filter((_, i) => i % 2 === 0))
      const after = shardsOf(shards, memory, 2)
      recover(after, living)
      const count = living.reduce((sum, each) => sum + each.length, 0)
      t.equal(after[0].flows(0), count)
      t.equal(after[0].leased(SPACE_TCP), count)
      t.equal(after[0].leased(SPACE_UDP), 0)
      const entries = living.flatMap((each, shard) =>
        each.map(({ port }, flow) => after[0].entry(SPACE_TCP, port) === (((shard + 1) << 24) | (flow + 1))),
      )
      t.ok(entries.every(right => right))
      const free = after.flatMap(ports => takeAll(ports, SPACE_TCP))
      t.ok(isSame(inOrder([...free, ...living.flat().map(({ port }) => port)]), everyPort))
    },
  )
}

t.test('flows that share a port are handed back one behind the other', async t => {
  const [ports] = shardsOf(1)
  const port = 5000
  ports.forget()
  t.equal(ports.restore(SPACE_TCP, port, 7, 0), 0)
  t.equal(ports.restore(SPACE_TCP, port, 9, 0), 8, 'the record number + 1 of the one before')
  t.equal(ports.entry(SPACE_TCP, port), (1 << 24) | 10)
  t.equal(ports.flows(0), 2)
  t.equal(ports.leased(SPACE_TCP), 1)
})

t.test('a port that another shard leased in the meantime is not taken from it', async t => {
  const memory = new ArrayBuffer(ENI_BYTES)
  const [one, two] = shardsOf(2, memory)
  const [port] = takeAll(one, SPACE_TCP, 1)
  one.forget()
  // The other shard runs already, out of ports of its own, before this one has told which it still needs.
  const stolen = takeAll(two, SPACE_TCP)
  t.ok(stolen.includes(port))
  t.equal(one.restore(SPACE_TCP, port, 0, 0), NO_PORT)
  t.equal(one.entry(SPACE_TCP, port) >>> 24, 2)
  t.equal(one.flows(0), 0)
})

t.test("a shard that starts again alone leaves the others' flows where they are", async t => {
  const memory = new ArrayBuffer(ENI_BYTES)
  const [one, two] = shardsOf(2, memory)
  const [first, second] = [takeAll(one, SPACE_TCP, 200), takeAll(two, SPACE_TCP, 200)]
  one.forget()
  for (const [flow, port] of first.entries()) one.restore(SPACE_TCP, port, flow, 0)
  t.ok(second.every((port, flow) => two.entry(SPACE_TCP, port) === ((2 << 24) | (flow + 1))))
  const rest = [...takeAll(one, SPACE_TCP), ...takeAll(two, SPACE_TCP)]
  t.ok(isSame(inOrder([...rest, ...first, ...second]), everyPort))
})

t.test('many random takes and gives on three shards, with a kill now and then, against a set', async t => {
  const random = randomOf(t)
  const memory = new ArrayBuffer(ENI_BYTES)
  let all = shardsOf(3, memory)
  const held: Lease[][] = [[], [], []]
  const taken = new Set<number>()
  const wrong: string[] = []
  for (let step = 0; step < 60_000; step++) {
    const shard = random.below(3)
    const ports = all[shard]
    const mine = held[shard]
    if (mine.length === 0 || random.chance(step % 20_000 < 12_000 ? 0.95 : 0.2)) {
      for (let i = random.below(8); i > 0; i--) {
        const port = ports.take(SPACE_TCP)
        if (port === NO_PORT) break
        if (taken.has(port)) wrong.push(`step ${step}: ${port} is taken`)
        taken.add(port)
        ports.set(SPACE_TCP, port, mine.length)
        mine.push({ space: SPACE_TCP, port })
      }
    } else {
      const { port } = mine.pop()!
      ports.give(SPACE_TCP, port)
      taken.delete(port)
    }
    if (step % 15_000 === 14_999) {
      if (ports.leased(SPACE_TCP) !== taken.size)
        wrong.push(`step ${step}: ${ports.leased(SPACE_TCP)} leased`)
      all = shardsOf(3, memory, step)
      if (random.chance(0.5)) staleLock(memory, SPACE_TCP, random.below(3))
      recover(all, held)
    }
  }
  t.same(wrong, [])
  t.ok(taken.size > 10_000, `${taken.size} ports were held at the end`)
  t.equal(all[0].free(SPACE_TCP), PORTS_PER_SPACE - taken.size)
})
