/**
 * What a daemon counted since its regions were made: packets, bytes, drops by reason, flows by class, ports and connections by ENI.
 */
import { TIMEOUT_CLASSES, type TimeoutClass, timeoutName } from '../nat/timeouts.ts'
import { Counter } from '../tables/counters.ts'
import { DROP_COUNT, type Drop, dropName } from '../tables/drops.ts'
import { CLASSES } from '../tables/lru.ts'
import {
  type EniPorts,
  FIRST_PORT,
  LAST_PORT,
  PORTS_PER_SPACE,
  SPACE_ICMP,
  SPACE_TCP,
  SPACE_UDP,
} from '../tables/ports.ts'
import type { EniNames } from '../vpc/names.ts'
import type { NameBook } from './name-book.ts'
import type { RegionReader } from './regions.ts'

/** Packets and bytes of IP packets. */
export interface Traffic {
  readonly packets: number
  readonly bytes: number
}

/** By address family. */
export interface Ports {
  readonly tcp: number
  readonly udp: number
  readonly icmp: number
}

export interface EniView extends EniNames {
  /** Of hyperplane ENIs; null for a host's, which leases none. */
  readonly ports: { readonly ipv4: Ports; readonly ipv6: Ports } | null
  /** Flows, all protocols together; an ENI carries 65,000 in each family. */
  readonly connections: { readonly ipv4: number; readonly ipv6: number } | null
  /** Ports there are for each protocol and family. */
  readonly capacity: number
}

export interface Stats {
  /** Of the plan in force on every shard; the smallest where they differ. */
  readonly generation: number
  readonly in: Traffic
  readonly out: Traffic
  /** Packets that the daemon made itself: ICMP errors, fragments. */
  readonly originated: number
  /** Fragments that wait for their first. */
  readonly held: number
  /** On the way from one shard to another at the moment of reading. */
  readonly between: number
  readonly dropped: number
  /** By reason, those that are not 0. */
  readonly drops: Readonly<Record<string, number>>
  /** in + originated - out - dropped - held - between: 0, but for what moved while it was read. */
  readonly unaccounted: number
  readonly flows: {
    readonly live: number
    readonly capacity: number
    readonly admitted: number
    readonly ended: number
    /** Ended to make room for a new one. */
    readonly reclaimed: number
    readonly byClass: Readonly<Record<string, number>>
  }
  /** The hyperplane ENIs. */
  readonly enis: readonly EniView[]
  readonly shards: readonly ShardStats[]
}

export interface ShardStats {
  readonly shard: number
  readonly packetsIn: number
  readonly packetsOut: number
  readonly dropped: number
  readonly handedOver: number
  readonly takenOver: number
  readonly turns: number
  readonly emptyTurns: number
  readonly sleeps: number
  readonly errorsSent: number
  readonly errorsLimited: number
}

/** Everything that was counted, all shards together. */
export function readStats(reader: RegionReader, names: NameBook): Stats {
  const sum = (counter: number) =>
    reader.shards.reduce((total, { counters }) => total + counters.values[counter], 0)
  const drops: Record<string, number> = {}
  let dropped = 0
  for (let reason = 1; reason < DROP_COUNT; reason++) {
    const count = reader.shards.reduce((total, { counters }) => total + counters.drops[reason], 0)
    if (count === 0) continue
    drops[dropName[reason as Drop]] = count
    dropped += count
  }
  const [framesIn, framesOut] = [sum(Counter.FramesIn), sum(Counter.FramesOut)]
  const [originated, held] = [sum(Counter.Originated), sum(Counter.Held)]
  const between = sum(Counter.HandedOver) - sum(Counter.TakenOver)
  const generations = reader.shards.map(({ counters }) => counters.values[Counter.Generation])
  return {
    generation: generations.length === 0 ? 0 : Math.min(...generations),
    in: { packets: framesIn, bytes: sum(Counter.BytesIn) },
    out: { packets: framesOut, bytes: sum(Counter.BytesOut) },
    originated,
    held,
    between,
    dropped,
    drops,
    unaccounted: framesIn + originated - framesOut - dropped - held - between,
    flows: {
      live: reader.shards.reduce((total, { flows }) => total + flows.live, 0),
      capacity: reader.shards.reduce((total, { flows }) => total + flows.capacity, 0),
      admitted: sum(Counter.FlowsAdmitted),
      ended: sum(Counter.FlowsEnded),
      reclaimed: sum(Counter.FlowsReclaimed),
      byClass: flowsByClass(reader, names),
    },
    enis: readEnis(reader, names).filter(({ kind }) => kind === 'hyperplane'),
    shards: reader.shards.map(({ shard, counters: { values, drops: reasons } }) => ({
      shard,
      packetsIn: values[Counter.FramesIn],
      packetsOut: values[Counter.FramesOut],
      dropped: reasons.reduce((total, count) => total + count, 0),
      handedOver: values[Counter.HandedOver],
      takenOver: values[Counter.TakenOver],
      turns: values[Counter.Turns],
      emptyTurns: values[Counter.EmptyTurns],
      sleeps: values[Counter.Sleeps],
      errorsSent: values[Counter.ErrorsSent],
      errorsLimited: values[Counter.ErrorsLimited],
    })),
  }
}

function flowsByClass(reader: RegionReader, names: NameBook): Record<string, number> {
  const byClass: Record<string, number> = {}
  for (let timeoutClass = 0; timeoutClass < TIMEOUT_CLASSES; timeoutClass++) {
    let count = 0
    for (const { lru } of reader.shards)
      for (const { slot } of names.names.enis) count += lru.counts[slot * CLASSES + timeoutClass]
    byClass[timeoutName[timeoutClass as TimeoutClass]] = count
  }
  return byClass
}

/** Every ENI with what it has in use. */
export function readEnis(reader: RegionReader, names: NameBook): EniView[] {
  return names.names.enis.map(eni => {
    const hyperplane = eni.kind === 'hyperplane'
    const ports = hyperplane ? reader.ports(eni.slot) : null
    const family = (first: number): Ports => ({
      tcp: held(ports, first + SPACE_TCP),
      udp: held(ports, first + SPACE_UDP),
      icmp: held(ports, first + SPACE_ICMP),
    })
    return {
      ...eni,
      ports: hyperplane ? { ipv4: family(0), ipv6: family(3) } : null,
      connections: hyperplane ? { ipv4: ports?.flows(0) ?? 0, ipv6: ports?.flows(1) ?? 0 } : null,
      capacity: PORTS_PER_SPACE,
    }
  })
}

/** Ports of a space that a flow holds. The table is counted: rings that are not made yet do not know. */
function held(ports: EniPorts | null, space: number): number {
  let count = 0
  if (ports !== null)
    for (let port = FIRST_PORT; port <= LAST_PORT; port++) if (ports.entry(space, port) !== 0) count++
  return count
}
