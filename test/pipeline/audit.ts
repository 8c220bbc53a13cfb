/**
 * What must hold of all tables of a network together, whatever was sent before: an empty list where it does.
 *
 * Every live flow is on one list of its ENI, in order of when it was seen. Every port that is leased names a chain of flows that lead to other
 * remote end points, and every function's flow is in the chain of its port. Ports and connections are counted right.
 */
import { classOf } from '../../src/nat/conntrack.ts'
import { spaceOf } from '../../src/nat/leases.ts'
import {
  COLD_WORDS,
  ENI,
  FLAG_LEASED,
  type FlowId,
  type FlowTable,
  HOT_WORDS,
  LEASE,
  NEXT_ON_PORT,
  NO_FLOW,
  SEEN,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
} from '../../src/tables/flows.ts'
import { CLASSES } from '../../src/tables/lru.ts'
import { FIRST_PORT, LAST_PORT, PORTS_PER_SPACE, SPACES } from '../../src/tables/ports.ts'
import { EniKind } from '../../src/vpc/plan.ts'
import { auditFlows, liveFlows, tupleOf } from '../tables/flow-table.ts'
import type { Net } from './net.ts'

const swapped = (port: number): number => ((port & 0xff) << 8) | ((port >>> 8) & 0xff)
const eniOf = ({ cold }: FlowTable, id: FlowId): number => cold[id * COLD_WORDS + ENI] & 0xffff

/** What is wrong; empty where nothing is. */
export function audit(net: Net): string[] {
  const faults: string[] = []
  for (const [shard, { pipeline }] of net.shards.entries()) {
    const { flows } = pipeline.core
    faults.push(...auditFlows(flows), ...auditLists(net, shard), ...auditChains(net, shard))
  }
  for (const [eni, kind] of net.plan.enis.kind.entries())
    if (kind === EniKind.Hyperplane) faults.push(...auditEni(net, eni))
  return faults
}

function auditLists(net: Net, shard: number): string[] {
  const { flows, lru } = net.shards[shard].pipeline.core
  const faults: string[] = []
  const listed = new Set<FlowId>()
  const enis = new Set(liveFlows(flows).map(id => eniOf(flows, id)))
  for (const eni of enis)
    for (let timeoutClass = 0; timeoutClass < CLASSES; timeoutClass++) {
      let count = 0
      let before: number | undefined
      for (let id = lru.oldest(eni, timeoutClass); id !== NO_FLOW; id = (flows.next[id] - 1) as FlowId) {
        const seen = flows.hot[id * HOT_WORDS + SEEN]
        if (listed.has(id)) return [...faults, `flow ${id} is listed twice`]
        if (!flows.isLive(id)) faults.push(`flow ${id} is listed and dead`)
        if (classOf(flows.hot[id * HOT_WORDS + STATE]) !== timeoutClass)
          faults.push(`flow ${id} is in another class`)
        if (eniOf(flows, id) !== eni) faults.push(`flow ${id} is of another ENI`)
        if (before !== undefined && ((seen - before) | 0) < 0)
          faults.push(`flow ${id} is older than the one before`)
        before = seen
        listed.add(id)
        count++
      }
      if (lru.counts[eni * CLASSES + timeoutClass] !== count)
        faults.push(`ENI ${eni}: ${count} flows miscounted`)
    }
  if (listed.size !== flows.live) faults.push(`${listed.size} of ${flows.live} flows are listed`)
  return faults
}

/** Every flow with a lease is in the chain of its port, and no two of a chain have the same remote end point. */
function auditChains(net: Net, shard: number): string[] {
  const { flows, leases } = net.shards[shard].pipeline.core
  const faults: string[] = []
  for (const id of liveFlows(flows)) {
    const tag = flows.hot[id * HOT_WORDS + TAG]
    const leased = (flows.hot[id * HOT_WORDS + STATE] & FLAG_LEASED) !== 0
    if (leased !== ((tag & TAG_HOSTS) === 0)) faults.push(`flow ${id}: lease and kind disagree`)
    if (!leased) continue
    const port = swapped(flows.hot[id * HOT_WORDS + LEASE] & 0xffff)
    const entry = leases.portsOf(eniOf(flows, id))?.entry(spaceOf(tag), port) ?? 0
    const remotes = new Set<string>()
    let found = false
    for (let on = (entry & 0xffffff) - 1; on >= 0; on = flows.cold[on * COLD_WORDS + NEXT_ON_PORT] - 1) {
      const { b, ports } = tupleOf(flows, on as FlowId)
      const remote = [...b, ports >>> 16].join()
      if (remotes.has(remote)) return [...faults, `port ${port} serves ${remote} twice`]
      remotes.add(remote)
      if (on === id) found = true
    }
    if (!found || entry >>> 24 !== shard + 1) faults.push(`flow ${id} is not on its port ${port}`)
  }
  return faults
}

function auditEni(net: Net, eni: number): string[] {
  const faults: string[] = []
  const ports = net.shards[0].enis.get(eni)!
  const here = net.shards.map(({ pipeline: { core } }) =>
    liveFlows(core.flows).filter(
      id => eniOf(core.flows, id) === eni && (core.flows.hot[id * HOT_WORDS + TAG] & TAG_HOSTS) === 0,
    ),
  )
  const tags = here.flatMap((ids, shard) =>
    ids.map(id => {
      const { hot } = net.shards[shard].pipeline.core.flows
      return { tag: hot[id * HOT_WORDS + TAG], port: hot[id * HOT_WORDS + LEASE] & 0xffff }
    }),
  )
  for (const family of [0, 1]) {
    const count = tags.filter(({ tag }) => ((tag & TAG_IPV6) !== 0 ? 1 : 0) === family).length
    if (ports.flows(family) !== count)
      faults.push(`ENI ${eni} counts ${ports.flows(family)} of ${count} flows`)
  }
  for (let space = 0; space < SPACES; space++) {
    const used = new Set(tags.filter(({ tag }) => spaceOf(tag) === space).map(({ port }) => port)).size
    if (ports.leased(space) !== used)
      faults.push(`ENI ${eni}, space ${space}: ${ports.leased(space)} of ${used} leased`)
    if (used + ports.free(space) !== PORTS_PER_SPACE)
      faults.push(`ENI ${eni}, space ${space}: ports are missing`)
    if (used === 0) continue
    let entries = 0
    for (let port = FIRST_PORT; port <= LAST_PORT; port++) if (ports.entry(space, port) !== 0) entries++
    if (entries !== used) faults.push(`ENI ${eni}, space ${space}: ${entries} entries of ${used} ports`)
  }
  return faults
}
