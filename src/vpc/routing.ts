/**
 * Where a subnet's route table leads: asked once a flow, by shards, of a plan. Nothing is allocated.
 *
 * The routes of a table are sorted, longest prefix first, so the first match is the answer.
 */
import { NOTHING, type Plan, type RouteTarget } from './plan.ts'
import { matches6 } from './policy.ts'

/** The target of the longest route of the subnet's table for an IPv4 address as loaded from a packet, or NOTHING. */
export function route4(plan: Plan, subnet: number, address: number): RouteTarget | typeof NOTHING {
  const { start4, network, mask, target } = plan.routes
  const table = plan.subnets.routeTable[subnet]
  const end = start4[table + 1]
  for (let route = start4[table]; route < end; route++)
    if ((address & mask[route * 4]) === network[route * 4]) return target[route] as RouteTarget
  return NOTHING
}

/** The target of the longest route of the subnet's table for the IPv6 address at `words[at]`, or NOTHING. */
export function route6(
  plan: Plan,
  subnet: number,
  words: Int32Array,
  at: number,
): RouteTarget | typeof NOTHING {
  const { start6, network, mask, target } = plan.routes
  const table = plan.subnets.routeTable[subnet]
  const end = start6[table + 1]
  for (let route = start6[table]; route < end; route++)
    if (matches6(network, mask, route * 4, words, at)) return target[route] as RouteTarget
  return NOTHING
}
