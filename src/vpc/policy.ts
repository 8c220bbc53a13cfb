/**
 * What the security groups of an ENI allow: asked once a flow, by shards, of a plan.
 *
 * A linear scan over the union of rules of the ENI's groups. Nothing is allocated. Peers are given twice: by address, for
 * rules that name a prefix, and by the peer ENI's rule set (NOTHING where the peer is no ENI of the VPC), for rules that name
 * a group. Ports are plain numbers, not as they lie in a packet; for ICMP see `icmpPort`.
 */
import { Protocol } from '../wire/protocol.ts'
import { ANY_PROTOCOL, NOTHING, PeerKind, type Plan, type PlanRuleSets, type PlanRules } from './plan.ts'

/** Whose rules are asked: those of the ENI that sends, for what goes out, or of the one that receives, for what comes in. */
export const Direction = { Egress: 0, Ingress: 1 } as const
export type Direction = (typeof Direction)[keyof typeof Direction]

const ANY = 65535

/** What stands for the port of an ICMP or ICMPv6 packet in `allows4` and `allows6`. */
export const icmpPort = (type: number, code: number): number => (type << 8) | code

/**
 * Whether the rule set lets an IPv4 packet pass.
 * @param port destination port, plain; `icmpPort` for ICMP; ignored for other protocols
 * @param peer address of the other end, as loaded from a packet: the destination for egress, the source for ingress
 * @param peerRuleSet rule set of the ENI that has the address `peer`, or NOTHING
 */
export function allows4(
  plan: Plan,
  ruleSet: number,
  direction: Direction,
  protocol: number,
  port: number,
  peer: number,
  peerRuleSet: number,
): boolean {
  const { ruleSets, rules } = plan
  const start = direction === Direction.Egress ? ruleSets.egressStart : ruleSets.ingressStart
  const end = start[ruleSet + 1]
  for (let rule = start[ruleSet]; rule < end; rule++) {
    if (!matchesPort(rules, rule, protocol, port)) continue
    const kind = rules.peer[rule]
    if (kind === PeerKind.Cidr4) {
      if ((peer & rules.mask[rule * 4]) === rules.network[rule * 4]) return true
    } else if (kind === PeerKind.Group && holds(ruleSets, peerRuleSet, rules.group[rule])) return true
  }
  return false
}

/** Whether the rule set lets an IPv6 packet pass. The peer's address is four words at `words[at]`; the rest as in `allows4`. */
export function allows6(
  plan: Plan,
  ruleSet: number,
  direction: Direction,
  protocol: number,
  port: number,
  words: Int32Array,
  at: number,
  peerRuleSet: number,
): boolean {
  const { ruleSets, rules } = plan
  const start = direction === Direction.Egress ? ruleSets.egressStart : ruleSets.ingressStart
  const end = start[ruleSet + 1]
  for (let rule = start[ruleSet]; rule < end; rule++) {
    if (!matchesPort(rules, rule, protocol, port)) continue
    const kind = rules.peer[rule]
    if (kind === PeerKind.Cidr6) {
      if (matches6(rules.network, rules.mask, rule * 4, words, at)) return true
    } else if (kind === PeerKind.Group && holds(ruleSets, peerRuleSet, rules.group[rule])) return true
  }
  return false
}

/** Whether the address at `words[at]` lies in the prefix whose network and mask begin at word `entry`. */
export function matches6(
  network: Int32Array,
  mask: Int32Array,
  entry: number,
  words: Int32Array,
  at: number,
): boolean {
  return (
    (words[at] & mask[entry]) === network[entry] &&
    (words[at + 1] & mask[entry + 1]) === network[entry + 1] &&
    (words[at + 2] & mask[entry + 2]) === network[entry + 2] &&
    (words[at + 3] & mask[entry + 3]) === network[entry + 3]
  )
}

function matchesPort(rules: PlanRules, rule: number, protocol: number, port: number): boolean {
  const wanted = rules.protocol[rule]
  if (wanted === ANY_PROTOCOL) return true
  if (wanted !== protocol) return false
  const low = rules.low[rule]
  const high = rules.high[rule]
  if (protocol === Protocol.Icmp || protocol === Protocol.Icmp6)
    return (low === ANY || low === port >>> 8) && (high === ANY || high === (port & 0xff))
  if (protocol === Protocol.Tcp || protocol === Protocol.Udp) return low <= port && port <= high
  return true
}

function holds(ruleSets: PlanRuleSets, ruleSet: number, group: number): boolean {
  if (ruleSet === NOTHING) return false
  const end = ruleSets.groupStart[ruleSet + 1]
  for (let i = ruleSets.groupStart[ruleSet]; i < end; i++) if (ruleSets.groups[i] === group) return true
  return false
}
