/**
 * The engine benchmark's pipeline: the real one over memory, with a plan of as many ENIs as the flows need.
 *
 * Every packet is a whole turn of the pipeline: header checks with the IPv4 checksum, keyed hash, look-up, counters, LRU, translation with both
 * checksums, hand-off to the output. What is left out is the device: what a frame has of its flow is written into its slot before it, and the time of that is part of the figure.
 */
import { getRandomValues } from 'node:crypto'
import { mapMemory } from '../src/io/mapping.ts'
import { timeoutTicks } from '../src/nat/timeouts.ts'
import { regionSections } from '../src/pipeline/core.ts'
import { BURST, Pipeline } from '../src/pipeline/pipeline.ts'
import { buildAddresses } from '../src/tables/addresses.ts'
import { Burst } from '../src/tables/burst.ts'
import { FlowTable } from '../src/tables/flows.ts'
import { HASH_KEYS } from '../src/tables/hash.ts'
import { ENI_BYTES, EniPorts } from '../src/tables/ports.ts'
import { Region, regionBytes } from '../src/tables/region.ts'
import { FRAME_AT, frameAt, Slab, STRIDE } from '../src/tables/slab.ts'
import { DeviceKind, EniKind, NOTHING, PeerKind, type Plan, RouteTarget } from '../src/vpc/plan.ts'
import { wordOf } from '../src/wire/bytes.ts'
import * as ipv4 from '../src/wire/ipv4.ts'
import { Protocol } from '../src/wire/protocol.ts'
import * as udp from '../src/wire/udp.ts'

/** Bytes of a frame: the smallest UDP datagram of a 64-byte Ethernet frame has 46 bytes of IP packet. */
const FRAME = 46
const SLOTS = 128
/** Flows an environment opens, a power of two: the ports of one source address from 1024 on, towards one host. */
const FLOWS_SHIFT = 15
const FIRST_PORT = 1024
const HOST = wordOf(10, 0, 1, 20)
/** Any but 0, which would say that there is none; the pipeline does not look at what it covers. */
const UDP_CHECKSUM = 0x1234

/** A plan with `enis` hyperplane ENIs, one environment each, and a host that takes everything. */
function plan(enis: number): Plan {
  const slots = enis + 1
  const address4 = new Int32Array(slots)
  const kind = new Uint8Array(slots).fill(EniKind.Hyperplane)
  const device = new Int32Array(slots).fill(NOTHING)
  const sources = []
  const addresses = []
  for (let eni = 0; eni < enis; eni++) {
    address4[eni] = wordOf(10, 0, 128 + (eni >> 8), eni & 0xff)
    sources.push({ scope: 0, address: [environmentAddress(eni)], value: eni })
    addresses.push({ scope: 0, address: [address4[eni]], value: eni })
  }
  kind[enis] = EniKind.Host
  device[enis] = 1
  address4[enis] = HOST
  addresses.push({ scope: 0, address: [HOST], value: enis })
  return {
    generation: 1,
    devices: {
      kind: Uint8Array.of(DeviceKind.Environments, DeviceKind.Hosts),
      vpc: Uint16Array.of(0, 0),
      mtu: Int32Array.of(1500, 1500),
    },
    environments: {
      eni: Int32Array.from({ length: enis }, (_, i) => i),
      device: new Int32Array(enis),
      active: new Uint8Array(enis).fill(1),
      flags: new Uint8Array(enis),
    },
    sources: { slots: buildAddresses(sources) },
    enis: {
      kind,
      flags: new Uint8Array(slots),
      vpc: new Uint16Array(slots),
      subnet: new Uint16Array(slots),
      address4,
      address6: new Int32Array(slots * 4),
      device,
      ruleSet: new Int32Array(slots),
    },
    addresses: { slots: buildAddresses(addresses) },
    subnets: {
      vpc: Uint16Array.of(0),
      routeTable: Uint16Array.of(0),
      router4: Int32Array.of(wordOf(10, 0, 0, 1)),
      router6: new Int32Array(4),
      network4: Int32Array.of(wordOf(10, 0, 0, 0)),
      prefix4: Uint8Array.of(16),
    },
    routes: {
      start4: Int32Array.of(0, 1),
      start6: Int32Array.of(1, 1),
      network: Int32Array.of(wordOf(10, 0, 0, 0), 0, 0, 0),
      mask: Int32Array.of(wordOf(255, 255, 0, 0), 0, 0, 0),
      target: Uint8Array.of(RouteTarget.Local),
    },
    ruleSets: {
      egressStart: Int32Array.of(0, 1),
      ingressStart: Int32Array.of(1, 2),
      groupStart: Int32Array.of(0, 0),
      groups: new Int32Array(0),
    },
    rules: {
      protocol: Int16Array.of(-1, -1),
      low: Uint16Array.of(0, 0),
      high: Uint16Array.of(65535, 65535),
      peer: Uint8Array.of(PeerKind.Cidr4, PeerKind.Cidr4),
      network: new Int32Array(8),
      mask: new Int32Array(8),
      group: new Int32Array(2),
    },
    settings: {
      timeouts: timeoutTicks('rfc'),
      insideRouter4: wordOf(100, 64, 0, 1),
      insideRouter6: new Int32Array(4),
      exhaustion: 'admin',
      clampMss: true,
      ruleChange: 'keep',
      tcpPickup: false,
    },
  }
}

const environmentAddress = (environment: number): number =>
  wordOf(100, 64, environment >> 8, environment & 0xff)

/** A pipeline whose table holds `flows` UDP flows from environments to one host, and the frames to drive it. */
export class EnginePipeline {
  readonly pipeline: Pipeline
  readonly #flows: number
  readonly #slab: Slab
  readonly #input = new Burst(BURST)
  /** Which flow each packet of a lap is of. */
  readonly #order: Int32Array
  readonly #template = new Int32Array(FRAME / 4 + 1)
  #at = 0

  /** @param order random, as RFC 9693 wants it to be said, or sequential */
  constructor(flows: number, order: 'random' | 'sequential' = 'random') {
    const enis = Math.ceil(flows / (1 << FLOWS_SHIFT))
    this.#flows = flows
    this.#slab = new Slab(mapMemory(SLOTS * STRIDE, { hugePages: true }).memory, SLOTS)
    const sections = regionSections(flows)
    const memory = new Region(mapMemory(regionBytes(sections), { hugePages: true }).memory, sections)
    const secret = new Int32Array(HASH_KEYS)
    getRandomValues(secret)
    FlowTable.begin(memory, secret)
    this.pipeline = new Pipeline(
      {
        shard: 0,
        shards: 1,
        flows,
        memory,
        slab: this.#slab,
        handOver: { push: () => false },
        steeringKeys: secret,
      },
      plan(enis),
    )
    for (let eni = 0; eni < enis; eni++)
      this.pipeline.core.leases.setPorts(eni, new EniPorts(new ArrayBuffer(ENI_BYTES), 0, 1))
    this.#order = Int32Array.from({ length: Math.max(flows, 65536) }, (_, i) => i % flows)
    if (order === 'random')
      for (let i = this.#order.length - 1; i > 0; i--) {
        const j = Math.floor(Math.random() * (i + 1))
        const flow = this.#order[i]
        this.#order[i] = this.#order[j]
        this.#order[j] = flow
      }
    this.#prepare()
  }

  /** Opens every flow. */
  fill(): void {
    const flows = Int32Array.from({ length: this.#flows }, (_, i) => i)
    for (let flow = 0; flow < this.#flows; flow += BURST)
      this.#turn(flows, flow, Math.min(BURST, this.#flows - flow))
  }

  /** Sends packets of the flows in their order, `packets` of them rounded up to whole bursts. */
  run(packets: number): void {
    const order = this.#order
    for (let sent = 0; sent < packets; sent += BURST) {
      this.#turn(order, this.#at, BURST)
      this.#at += BURST
      if (this.#at + BURST > order.length) this.#at = 0
    }
  }

  /** A burst of the flows `order[from]` and on, their frames written into slots that nobody else uses. */
  #turn(order: Int32Array, from: number, count: number): void {
    this.#receive(order, from, count)
    this.pipeline.run(this.#input, 1000)
    this.pipeline.core.output.clear()
  }

  /** Writes what a frame has of its flow, and what translation had changed; the header's sum is brought in line by the words that differ. */
  #receive(order: Int32Array, from: number, count: number): void {
    const { words } = this.#slab
    const input = this.#input
    const { slot, length, device } = input
    const template = this.#template
    const third = template[2]
    const ports = template[5]
    const datagram = (template[6] & 0xffff) | (UDP_CHECKSUM << 16)
    const sumBefore = ~(third >>> 16) & 0xffff
    for (let i = 0; i < count; i++) {
      const flow = order[from + i]
      const source = environmentAddress(flow >> FLOWS_SHIFT)
      const port = FIRST_PORT + (flow & ((1 << FLOWS_SHIFT) - 1))
      const w = (Math.imul(i, STRIDE) + FRAME_AT) >> 2
      const sum = sumBefore + (source & 0xffff) + (source >>> 16)
      const once = (sum & 0xffff) + (sum >>> 16)
      words[w + 2] = (third & 0xffff) | (~((once & 0xffff) + (once >>> 16)) << 16)
      words[w + 3] = source
      words[w + 5] = (ports & 0xffff0000) | ((port & 0xff) << 8) | (port >>> 8)
      words[w + 6] = datagram
      slot[i] = i
      length[i] = FRAME
      device[i] = 0
    }
    input.count = count
  }

  #prepare(): void {
    const bytes = new Uint8Array(this.#template.buffer)
    bytes[0] = 0x45
    ipv4.setTotalLength(bytes, 0, FRAME)
    ipv4.setTtl(bytes, 0, 64)
    ipv4.setProtocol(bytes, 0, Protocol.Udp)
    bytes[6] = 0x40
    ipv4.setDestination(bytes, 0, HOST)
    ipv4.fillChecksum(bytes, 0)
    udp.setDestinationPort(bytes, 20, 7)
    udp.setLength(bytes, 20, FRAME - 20)
    for (let slot = 0; slot < BURST; slot++) this.#slab.words.set(this.#template, frameAt(slot) >> 2)
  }
}
