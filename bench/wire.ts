/**
 * `bench wire`: what arrives through a V2N lab, beside what arrives through the kernel's own masquerade, in one run.
 *
 * UDP packets of 64 bytes (the IP packet: 36 bytes of payload; TUN devices carry no Ethernet header), then one TCP stream at
 * MTU 1500. The two roads of `topology.ts` take turns in every round; the figures are medians over the rounds, and the
 * ratio is that of the medians.
 */
import { type Machine, machine } from './machine.ts'
import { requirePrograms } from './programs.ts'
import { Progress } from './progress.ts'
import { median, takeTurns } from './statistics.ts'
import { kernelRoad, type Road, type Shards, v2nRoad } from './topology.ts'
import { type Delivery, tcp, tcpSeconds, udp, udpSeconds } from './traffic.ts'

const PACKET_BYTES = 64

export interface WireOptions extends Shards {
  readonly rounds: number
  /** Measured time of one UDP flood, and of one TCP stream. */
  readonly seconds: number
  /** UDP flows in turn. */
  readonly flows: number
  /** Which roads: both, or one alone while something is looked into. */
  readonly only?: RoadName
  readonly progress: boolean
  readonly signal: AbortSignal
}

/** A road that can be measured. */
export type RoadName = 'v2n' | 'kernel'

/** Two medians and their quotient; null for a road left out. */
export interface Comparison {
  readonly v2n: number | null
  readonly kernel: number | null
  readonly ratio: number | null
}

export interface WireResult {
  /** Packets a second that the receiving program read. */
  readonly udp64: Comparison
  /** Bits a second that the receiver got. */
  readonly tcp: Comparison
  readonly machine: Machine
}

/** Every single measurement, in order of the rounds. */
export interface WireValues {
  readonly udp64: Partial<Record<RoadName, number[]>>
  /** Packets a second that the sender's kernel took. */
  readonly udp64Sent: Record<RoadName, number[]>
  readonly tcp: Partial<Record<RoadName, number[]>>
}

/**
 * Lays the roads, measures, and takes them away, also after a failure or an abort.
 * @throws BenchError where a program is missing, a road cannot be laid, or nothing arrives
 */
export async function wire(options: WireOptions): Promise<{ result: WireResult; values: WireValues }> {
  await requirePrograms({ ip: 'iproute2', nft: 'nftables', iperf3: 'iperf3', cc: 'gcc' })
  const where = machine()
  const roads: Partial<Record<RoadName, Road>> = {}
  try {
    if (options.only !== 'v2n') roads.kernel = await kernelRoad(options.signal)
    if (options.only !== 'kernel') roads.v2n = await v2nRoad(options, options.signal)
    const values = await measure(roads, options)
    return { result: { udp64: compare(values.udp64), tcp: compare(values.tcp), machine: where }, values }
  } finally {
    await Promise.all(Object.values(roads).map(road => road.remove()))
  }
}

async function measure(roads: Partial<Record<RoadName, Road>>, options: WireOptions): Promise<WireValues> {
  const { rounds, seconds, flows, signal } = options
  const flood = { seconds, packetBytes: PACKET_BYTES, flows }
  const names = Object.keys(roads) as RoadName[]
  const planned = rounds * names.length * (udpSeconds(flood) + tcpSeconds(seconds))
  const progress = new Progress(planned, { shown: options.progress })
  const sent = { v2n: [] as number[], kernel: [] as number[] }
  const contenders = (work: (name: RoadName, road: Road) => Promise<number>) =>
    Object.fromEntries(names.map(name => [name, () => work(name, roads[name] as Road)]))

  const udp64 = await takeTurns(
    rounds,
    contenders(async (name, road) => {
      progress.next(`UDP through ${name}`, udpSeconds(flood))
      const delivery: Delivery = await udp(road, flood, signal)
      sent[name].push(delivery.sent)
      return delivery.delivered
    }),
  )
  const streams = await takeTurns(
    rounds,
    contenders(async (name, road) => {
      progress.next(`TCP through ${name}`, tcpSeconds(seconds))
      return tcp(road, seconds, signal)
    }),
  )
  progress.end()
  return { udp64, udp64Sent: sent, tcp: streams }
}

function compare(values: Partial<Record<RoadName, number[]>>): Comparison {
  const v2n = values.v2n ? Math.round(median(values.v2n)) : null
  const kernel = values.kernel ? Math.round(median(values.kernel)) : null
  return {
    v2n,
    kernel,
    ratio: v2n !== null && kernel !== null ? Math.round((v2n / kernel) * 1000) / 1000 : null,
  }
}
