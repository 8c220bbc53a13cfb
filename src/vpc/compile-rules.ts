/**
 * Security groups as a plan has them: the distinct sets of groups that interfaces hold, each with the union of its rules.
 *
 * A rule that several groups of a set have is there once. Sets, groups and rules are in the order of their ids, so that
 * the same groups give the same arrays whatever order they were made in.
 */
import { Protocol } from '../wire/protocol.ts'
import { type Cidr, maskOf } from './cidr.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import { PeerKind, type PlanRuleSets, type PlanRules } from './plan.ts'
import type { SecurityGroupRule } from './resources.ts'
import { describeRule } from './security-groups.ts'

/** Any port, type or code, in the arrays of a plan. */
export const ANY_PORT = 65535

export interface CompiledRules {
  readonly ruleSets: PlanRuleSets
  readonly rules: PlanRules
  /** The rule behind every index of `rules`. */
  readonly origin: readonly SecurityGroupRule[]
  /** Ids of groups by group number. */
  readonly groupIds: readonly string[]
  /** The rule set of a list of group ids, as interfaces have them. */
  readonly setOf: (groups: readonly string[]) => number
}

/**
 * Flattens the security groups of the model.
 * @param holdings the groups of every interface, ascending
 */
export function compileRules(
  { securityGroups }: Model,
  holdings: Iterable<readonly string[]>,
): CompiledRules {
  const groupIds = securityGroups.all().map(({ groupId }) => groupId)
  const groupNumber = new Map(groupIds.map((groupId, number) => [groupId, number]))
  const keys = new Map<string, readonly string[]>()
  for (const groups of holdings) keys.set(groups.join(), groups)
  const sets = Array.from(keys.values()).sort((a, b) => byCodeUnits(a.join(), b.join()))

  const origin: SecurityGroupRule[] = []
  const groups: number[] = []
  const starts = { egress: [] as number[], ingress: [] as number[], group: [] as number[] }
  for (const direction of ['egress', 'ingress'] as const) {
    for (const set of sets) {
      starts[direction].push(origin.length)
      const members = set.map(groupId => securityGroups.get(groupId))
      const lists = members.flatMap(group =>
        direction === 'egress' ? group.ipPermissionsEgress : group.ipPermissions,
      )
      origin.push(...union(lists))
    }
    starts[direction].push(origin.length)
  }
  for (const set of sets) {
    starts.group.push(groups.length)
    groups.push(...set.map(groupId => groupNumber.get(groupId)!).sort((a, b) => a - b))
  }
  starts.group.push(groups.length)

  const setNumber = new Map(sets.map((set, number) => [set.join(), number]))
  return {
    ruleSets: {
      egressStart: Int32Array.from(starts.egress),
      ingressStart: Int32Array.from(starts.ingress),
      groupStart: Int32Array.from(starts.group),
      groups: Int32Array.from(groups),
    },
    rules: ruleArrays(origin, groupNumber),
    origin,
    groupIds,
    setOf: set => setNumber.get(set.join())!,
  }
}

function union(rules: readonly SecurityGroupRule[]): SecurityGroupRule[] {
  const distinct = new Map<string, SecurityGroupRule>()
  for (const rule of rules) {
    const meaning = describeRule(rule)
    const known = distinct.get(meaning)
    if (known === undefined || rule.securityGroupRuleId < known.securityGroupRuleId)
      distinct.set(meaning, rule)
  }
  return Array.from(distinct.values()).sort((a, b) =>
    byCodeUnits(a.securityGroupRuleId, b.securityGroupRuleId),
  )
}

function ruleArrays(
  rules: readonly SecurityGroupRule[],
  groupNumber: ReadonlyMap<string, number>,
): PlanRules {
  const protocol = new Int16Array(rules.length)
  const low = new Uint16Array(rules.length)
  const high = new Uint16Array(rules.length)
  const peer = new Uint8Array(rules.length)
  const network = new Int32Array(rules.length * 4)
  const mask = new Int32Array(rules.length * 4)
  const group = new Int32Array(rules.length).fill(-1)
  rules.forEach((rule, i) => {
    protocol[i] = rule.ipProtocol
    const [from, to] = portsOf(rule)
    low[i] = from
    high[i] = to
    if ('groupId' in rule.peer) {
      peer[i] = PeerKind.Group
      group[i] = groupNumber.get(rule.peer.groupId)!
    } else {
      peer[i] = rule.peer.cidr.family === 4 ? PeerKind.Cidr4 : PeerKind.Cidr6
      writeCidr(rule.peer.cidr, network, mask, i)
    }
  })
  return { protocol, low, high, peer, network, mask, group }
}

/** The two numbers of a rule in the plan: range of ports; ICMP type and code, ANY_PORT for any; everything for the rest. */
function portsOf({ ipProtocol, fromPort, toPort }: SecurityGroupRule): [number, number] {
  if (ipProtocol === Protocol.Tcp || ipProtocol === Protocol.Udp) return [fromPort, toPort]
  if (ipProtocol !== Protocol.Icmp && ipProtocol !== Protocol.Icmp6) return [0, ANY_PORT]
  return [fromPort === -1 ? ANY_PORT : fromPort, toPort === -1 ? ANY_PORT : toPort]
}

/** Writes a prefix as network and mask into entry `i` of arrays with four words an entry. */
export function writeCidr(cidr: Cidr, network: Int32Array, mask: Int32Array, i: number): void {
  network.set(cidr.words, i * 4)
  mask.set(maskOf(cidr.family, cidr.prefix), i * 4)
}
