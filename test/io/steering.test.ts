/**
 * The steering program against its twin in TypeScript, in the kernel, packet by packet.
 *
 *     this test ──▶ TUN "in" ── namespace that routes ── TUN "out", n queues, steered ──▶ this test: which queue?
 */
import { randomBytes, randomInt } from 'node:crypto'
import t, { type Test } from 'tap'
import { mapMemory } from '../../src/io/mapping.ts'
import { closeDescriptor, native, SystemCallError } from '../../src/io/native.ts'
import { detachSteering, type SteeredSide, Steering } from '../../src/io/steering.ts'
import { openTun } from '../../src/io/tun.ts'
import { UringIo } from '../../src/io/uring.ts'
import { Burst } from '../../src/tables/burst.ts'
import { frameAt, Slab, STRIDE } from '../../src/tables/slab.ts'
import { ownerBetween, ownerInside, STEER_KEYS } from '../../src/tables/steer.ts'
import { fragments4, icmp4, packet4, packet6, tcp4, tcp6, udp4, udp6, word4, words6 } from '../wire/build.ts'
import { Namespace } from './namespace.ts'

// Several thousand packets a test, on a machine that may be busy.
t.setTimeout(180_000)

const SLOTS = 256
const IN = 0

/** A router whose way out has several queues. */
class Router {
  readonly out: readonly number[]
  readonly #slab: Slab
  readonly #io: UringIo
  readonly #burst = new Burst(128)
  readonly #descriptors: number[]

  constructor(t: Test, queues: number) {
    const namespace = new Namespace(t)
    const at = { namespace: namespace.path }
    const [from] = openTun({ ...at, name: 'in' }).queues
    this.out = openTun({ ...at, name: 'out', queues }).queues
    namespace.set('ipv4/ip_forward', 1)
    namespace.set('ipv6/conf/all/forwarding', 1)
    namespace.set('ipv4/conf/all/rp_filter', 0)
    namespace.set('ipv4/conf/in/rp_filter', 0)
    for (const name of ['in', 'out']) {
      namespace.ip(`link set ${name} addrgenmode none`)
      namespace.ip(`link set ${name} up`)
    }
    namespace.ip('route add 0.0.0.0/0 dev out')
    namespace.ip('-6 route add ::/0 dev out')
    this.#slab = new Slab(mapMemory(SLOTS * STRIDE).memory, SLOTS)
    this.#io = new UringIo(this.#slab, { idleTurns: 20 })
    this.#descriptors = [from, ...this.out]
    this.#descriptors.forEach((descriptor, device) => {
      this.#io.attach(device, descriptor)
    })
  }

  /** Sends packets through; answers what came out of which queue. */
  route(packets: readonly Uint8Array[]): { readonly queue: number; readonly packet: Uint8Array }[] {
    const out: { queue: number; packet: Uint8Array }[] = []
    const burst = this.#burst
    const { bytes } = this.#slab
    let sent = 0
    for (let silent = 0; silent < 50; ) {
      for (let room = 64; room > 0 && sent < packets.length; room--, sent++) {
        const slot = this.#slab.take()
        bytes.fill(0, frameAt(slot) - 12, frameAt(slot))
        bytes.set(packets[sent], frameAt(slot))
        burst.add(slot, packets[sent].length, IN)
      }
      this.#io.send(burst)
      this.#io.receive(burst)
      silent = burst.count > 0 || sent < packets.length ? 0 : silent + 1
      for (let i = 0; i < burst.count; i++) {
        const at = frameAt(burst.slot[i])
        const packet = bytes.slice(at, at + burst.length[i])
        if (burst.device[i] !== IN && isOurs(packet)) out.push({ queue: burst.device[i] - 1, packet })
        this.#slab.give(burst.slot[i])
      }
      burst.clear()
      this.#io.wait(1)
    }
    return out
  }

  close(): void {
    this.#io.close()
    for (const descriptor of this.#descriptors) closeDescriptor(descriptor)
  }
}

const randomKeys = () => new Int32Array(randomBytes(STEER_KEYS * 4).buffer.slice(0, STEER_KEYS * 4))
const port = () => randomInt(65536)
const host4 = (net: number) => `10.${net}.${randomInt(256)}.${randomInt(1, 255)}`
const host6 = (net: number) => `fd00:0:0:${net}:${randomBytes(8).toString('hex').match(/..../g)?.join(':')}`

const ENI4 = '10.2.7.7'
const ENI6 = 'fd00:0:0:2::77'

/** By its source; a router also says things of its own, such as which multicast groups it listens to. */
const isOurs = (packet: Uint8Array) =>
  packet[0] >>> 4 === 4 ? packet[12] === 10 && packet[13] === 1 : packet[8] === 0xfd && packet[15] === 1

/** All that the program distinguishes: families, protocols, fragments, options, extension headers. */
function mixture(count: number, to: { v4: () => string; v6: () => string }): Uint8Array[] {
  const packets: Uint8Array[] = []
  while (packets.length < count) {
    const four = { source: host4(1), destination: to.v4() }
    const six = { source: host6(1), destination: to.v6() }
    const ports = { sourcePort: port(), destinationPort: port() }
    packets.push(
      tcp4({ ...four, ...ports }),
      udp4({ ...four, ...ports, payload: 'some' }),
      tcp6({ ...six, ...ports }),
      udp6({ ...six, ...ports, payload: 'some' }),
      udp4({ ...four, ...ports, options: [0x94, 4, 0, 0, 1, 1, 1, 0] }),
      icmp4({ ...four, payload: 'data' }),
      packet4(132, new Uint8Array(12), four),
      packet6(59, new Uint8Array(4), six),
      ...fragments4(udp4({ ...four, ...ports, dontFragment: false, payload: 'f'.repeat(2000) }), 1480),
      packet6(17, udp6({ ...six, ...ports }).subarray(40), {
        ...six,
        extensions: [{ header: 60, body: [] }],
      }),
    )
  }
  return packets
}

const anywhere = { v4: () => host4(2), v6: () => host6(2) }
const eni = { v4: () => ENI4, v6: () => ENI6 }

function steer(t: Test, queues: number, side: SteeredSide) {
  const router = new Router(t, queues)
  const keys = randomKeys()
  t.comment(`keys ${Buffer.from(keys.buffer).toString('hex')}`)
  const steering = new Steering({ keys, shards: queues })
  steering.attach(router.out[0], side)
  const misplaced = (packets: readonly Uint8Array[], owner: (packet: Uint8Array) => number) => {
    const routed = router.route(packets)
    t.equal(routed.length, packets.length, `${packets.length} packets went through`)
    const used = new Set(routed.map(({ queue }) => queue))
    t.equal(used.size, queues, 'every queue got some')
    return routed.filter(({ queue, packet }) => queue !== owner(packet)).length
  }
  return { router, keys, steering, misplaced }
}

for (const queues of [2, 3]) {
  t.test(`inside, ${queues} queues: the kernel agrees with ownerInside`, async t => {
    const { router, keys, steering, misplaced } = steer(t, queues, 'inside')
    t.equal(
      misplaced(mixture(3000, anywhere), packet => ownerInside(packet, 0, packet.length, keys, queues)),
      0,
    )
    router.close()
    steering.close()
  })

  t.test(
    `outside, ${queues} queues: the kernel agrees with ownerBetween where nothing translates`,
    async t => {
      const { router, keys, steering, misplaced } = steer(t, queues, 'outside')
      t.equal(
        misplaced(mixture(3000, anywhere), packet => ownerBetween(packet, 0, packet.length, keys, queues)),
        0,
      )
      router.close()
      steering.close()
    },
  )

  t.test(`outside, ${queues} queues: packets to an ENI go to the owner of their port`, async t => {
    const { router, keys, steering, misplaced } = steer(t, queues, 'outside')
    const byPort = (owner: (port: number) => number) => (packet: Uint8Array) => {
      const four = packet[0] >>> 4 === 4
      const protocol = four ? packet[9] : packet[6]
      const fragment = four && (packet[6] & 0x3f || packet[7]) !== 0
      if ((protocol !== 6 && protocol !== 17) || fragment)
        return ownerBetween(packet, 0, packet.length, keys, queues)
      const at = four ? (packet[0] & 15) * 4 : 40
      return owner(packet[at + 2] * 256 + packet[at + 3])
    }
    steering.setEnis([{ address: [word4(ENI4)] }, { address: words6(ENI6), row: 3 }])
    t.equal(
      misplaced(
        mixture(3000, eni),
        byPort(port => (port >> 6) % queues),
      ),
      0,
      'block % shards',
    )

    // Blocks are handed to another shard, and the next packet goes there.
    for (let block = 0; block < 1024; block++) {
      steering.setOwner(0, block, queues - 1 - (block % queues))
      steering.setOwner(3, block, queues - 1 - (block % queues))
    }
    t.equal(steering.owner(3, 1), queues - 2)
    t.equal(
      misplaced(
        mixture(3000, eni),
        byPort(port => queues - 1 - ((port >> 6) % queues)),
      ),
      0,
      'moved',
    )

    steering.setEnis([])
    t.equal(
      misplaced(mixture(500, eni), packet => ownerBetween(packet, 0, packet.length, keys, queues)),
      0,
      'an ENI that is gone is an address as any other',
    )
    router.close()
    steering.close()
  })
}

t.test('a device keeps its program until it is detached', async t => {
  const { router, keys, steering, misplaced } = steer(t, 2, 'inside')
  steering.close()
  t.equal(
    misplaced(mixture(300, anywhere), packet => ownerInside(packet, 0, packet.length, keys, 2)),
    0,
  )
  detachSteering(router.out[0])
  const wrong = router
    .route(mixture(300, anywhere))
    .filter(({ queue, packet }) => queue !== ownerInside(packet, 0, packet.length, keys, 2))
  t.ok(wrong.length > 50, 'then the kernel chooses by itself')
  router.close()
})

t.test('programs load for every number of shards, and nothing is left behind', async t => {
  const descriptors = () => native.eventCreate()
  const before = descriptors()
  closeDescriptor(before)
  for (let shards = 1; shards <= 64; shards++) new Steering({ keys: randomKeys(), shards }).close()
  const after = descriptors()
  closeDescriptor(after)
  t.equal(after, before, 'the next descriptor is the one it was')
  t.throws(() => new Steering({ keys: randomKeys(), shards: 65 }), { name: 'RangeError' })
  t.throws(() => new Steering({ keys: new Int32Array(3), shards: 2 }), { name: 'RangeError' })
})

t.test('a program that the verifier refuses comes with its words', async t => {
  // R0 is never set: a program must not end like that.
  const exit = Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0)
  const log = new Uint8Array(4096)
  t.ok(native.bpfSocketFilter(exit, log) < 0)
  t.match(Buffer.from(log).toString(), /R0 !read_ok/)
  t.equal(native.bpfSocketFilter(exit.subarray(0, 7), log), -22, 'half an instruction')
  const error = new SystemCallError('load', -13, 'bpf BPF_PROG_LOAD', 'R0 !read_ok')
  t.equal(error.message, 'load: Permission denied (EACCES)\nR0 !read_ok')
})

t.test('a descriptor that is no TUN queue cannot be steered', async t => {
  const steering = new Steering({ keys: randomKeys(), shards: 2 })
  const event = native.eventCreate()
  t.throws(() => steering.attach(event, 'inside'), {
    name: 'SystemCallError',
    syscall: 'ioctl TUNSETSTEERINGEBPF',
    message: /^attach the steering program to descriptor \d+: Inappropriate ioctl for device \(ENOTTY\)$/,
  })
  closeDescriptor(event)
  steering.close()
})
