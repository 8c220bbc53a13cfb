/**
 * The flows of a daemon, as people and programs read them.
 *
 * A record is read twice and believed where both readings agree on what it is; one that changes hands meanwhile is left out.
 */

import { classOf } from '../nat/conntrack.ts'
import { type TcpState, tcpStateName, tcpStateOf } from '../nat/tcp-states.ts'
import { type TimeoutClass, timeoutName } from '../nat/timeouts.ts'
import {
  A,
  ADDRESS6_WORDS,
  B,
  BYTES_IN,
  BYTES_OUT,
  COLD_WORDS,
  ENI,
  FLAG_ANSWERED,
  FLAG_BEGUN_BY_B,
  FLAG_LEASED,
  FLAG_LIVE,
  type FlowTable,
  HOT_WORDS,
  LEASE,
  PACKETS_IN,
  PACKETS_OUT,
  PORTS,
  SEEN,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { swap16 } from '../wire/bytes.ts'
import { Protocol, protocolName } from '../wire/protocol.ts'
import type { NameBook } from './name-book.ts'
import type { RegionReader } from './regions.ts'

/** One end of a flow. */
export interface FlowEnd {
  readonly address: string
  /** The identifier for ICMP echo. */
  readonly port: number
  /** The environment, host or ENI that has the address, or null. */
  readonly name: string | null
}

export interface FlowView {
  readonly shard: number
  /** `function`: translated by an ENI. `hosts`: between two hosts, as it is. */
  readonly kind: 'function' | 'hosts'
  readonly family: 4 | 6
  /** `tcp`, `udp`, `icmp`, `icmp6`. */
  readonly protocol: string
  /** Who began: the inside end of a function's flow. */
  readonly from: FlowEnd
  /** The leased address and port of the ENI; null for a flow between hosts. */
  readonly via: FlowEnd | null
  readonly to: FlowEnd
  /** Of TCP; null for others. */
  readonly state: string | null
  readonly class: string
  readonly answered: boolean
  readonly ageSeconds: number
  readonly idleSeconds: number
  /** From the end that began, and to it. Packets wrap at 2^32. */
  readonly packetsOut: number
  readonly packetsIn: number
  readonly bytesOut: number
  readonly bytesIn: number
}

const TICKS_A_SECOND = 100

/**
 * Every live flow, shard by shard, in no order.
 * @param now ticks, `Clock` of `shard/clock.ts`
 */
export function* readFlows(reader: RegionReader, names: NameBook, now: number): Generator<FlowView> {
  for (const { shard, flows } of reader.shards) {
    const record = new Int32Array(HOT_WORDS)
    const bytes = new Float64Array(record.buffer)
    for (let id = 0; id < flows.highWater; id++) {
      const at = id * HOT_WORDS
      if ((flows.hot[at + STATE] & FLAG_LIVE) === 0) continue
      record.set(flows.hot.subarray(at, at + HOT_WORDS))
      const addresses = endsOf(flows, id, record)
      if (!isSame(flows, at, record)) continue
      yield view({ shard, flows, id, record, bytes, names, now, addresses })
    }
  }
}

/** Whether a record is still what was copied, in all that says whose it is. */
const isSame = (flows: FlowTable, at: number, record: Int32Array): boolean =>
  (flows.hot[at + STATE] & FLAG_LIVE) !== 0 &&
  [A, B, PORTS, TAG, LEASE].every(word => flows.hot[at + word] === record[word])

function endsOf(flows: FlowTable, id: number, record: Int32Array): readonly [number[], number[]] {
  if ((record[TAG] & TAG_IPV6) === 0) return [[record[A]], [record[B]]]
  const at = id * ADDRESS6_WORDS
  return [
    Array.from(flows.address6.subarray(at, at + 4)),
    Array.from(flows.address6.subarray(at + 4, at + 8)),
  ]
}

interface Copied {
  readonly shard: number
  readonly flows: FlowTable
  readonly id: number
  readonly record: Int32Array
  readonly bytes: Float64Array
  readonly names: NameBook
  readonly now: number
  readonly addresses: readonly [number[], number[]]
}

function view({ shard, flows, id, record, bytes, names, now, addresses }: Copied): FlowView {
  const state = record[STATE]
  const tag = record[TAG]
  const hosts = (tag & TAG_HOSTS) !== 0
  const protocol = tag & 0xff
  const ports = record[PORTS]
  const endA = endOf(names, addresses[0], swap16(ports & 0xffff), hosts ? null : (tag >>> 8) & 0xffff)
  const endB = endOf(names, addresses[1], swap16(ports >>> 16), null)
  const begunByB = (state & FLAG_BEGUN_BY_B) !== 0
  const eni = flows.cold[id * COLD_WORDS + ENI] & 0xffff
  const ipv6 = (tag & TAG_IPV6) !== 0
  const seconds = (ticks: number) => Math.max(0, (now - ticks) | 0) / TICKS_A_SECOND
  return {
    shard,
    kind: hosts ? 'hosts' : 'function',
    family: ipv6 ? 6 : 4,
    protocol: protocolName(protocol),
    from: begunByB ? endB : endA,
    via: (state & FLAG_LEASED) === 0 ? null : leaseOf(names, eni, ipv6, record),
    to: begunByB ? endA : endB,
    state: protocol === Protocol.Tcp ? (tcpStateName[tcpStateOf(state) as TcpState] ?? null) : null,
    class: timeoutName[classOf(state) as TimeoutClass] ?? String(classOf(state)),
    answered: (state & FLAG_ANSWERED) !== 0,
    ageSeconds: seconds(flows.created[id]),
    idleSeconds: seconds(record[SEEN]),
    packetsOut: record[begunByB ? PACKETS_IN : PACKETS_OUT] >>> 0,
    packetsIn: record[begunByB ? PACKETS_OUT : PACKETS_IN] >>> 0,
    bytesOut: bytes[begunByB ? BYTES_IN : BYTES_OUT],
    bytesIn: bytes[begunByB ? BYTES_OUT : BYTES_IN],
  }
}

/** An end; the device tells environments apart that have the same address. */
function endOf(names: NameBook, words: readonly number[], port: number, device: number | null): FlowEnd {
  const { text, name } = names.address(words)
  const behind = device === null ? undefined : names.device(device)
  return { address: text, port, name: behind?.kind === 'namespace' ? behind.name : name }
}

function leaseOf(names: NameBook, slot: number, ipv6: boolean, record: Int32Array): FlowEnd {
  const eni = names.eni(slot)
  const address = ipv6 ? (eni?.ipv6Address ?? '::') : names.address([record[TRANSLATED]]).text
  return { address, port: swap16(record[LEASE] & 0xffff), name: eni?.networkInterfaceId ?? null }
}
