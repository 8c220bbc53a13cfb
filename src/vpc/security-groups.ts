/**
 * Security groups: named sets of allow rules.
 *
 * A new group lets nothing in and everything out; the default group of a VPC also lets in what comes from its own
 * members (VPC user guide, "Default security groups"). A rule that names a group means the interfaces that hold it and does
 * not import its rules. One permission has one peer here; an IpPermissions element with several is several permissions.
 */
import { Protocol, protocolName } from '../wire/protocol.ts'
import { type Cidr, canonical, cidrText } from './cidr.ts'
import { ModelError } from './errors.ts'
import { type Filters, select } from './filters.ts'
import { resourceId } from './ids.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import { ANY_PROTOCOL } from './plan.ts'
import type { Peer, Permission, SecurityGroup, SecurityGroupRule } from './resources.ts'

const EVERYONE_4: Cidr = { family: 4, words: [0], prefix: 0 }
const EVERYONE_6: Cidr = { family: 6, words: [0, 0, 0, 0], prefix: 0 }

export interface CreateSecurityGroup {
  readonly vpcId: string
  readonly groupName: string
  readonly description: string
}

/** Which way the packets go that a rule is about. */
export type RuleDirection = 'ingress' | 'egress'

export class SecurityGroups {
  readonly #model: Model
  readonly #groups = new Map<string, SecurityGroup>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateSecurityGroup.
   * @throws ModelError InvalidVpcID.NotFound; InvalidGroup.Duplicate where the VPC has a group of that name;
   *   InvalidParameterValue for a name that begins with `sg-` or is longer than 255
   */
  create({ vpcId, groupName, description }: CreateSecurityGroup): SecurityGroup {
    const vpc = this.#model.vpcs.get(vpcId)
    const groupId = resourceId('sg', vpc.name, groupName)
    if (groupName.startsWith('sg-') || groupName.length === 0 || groupName.length > 255)
      throw new ModelError(
        'InvalidParameterValue',
        groupId,
        `'${groupName}' is no name for a group: 1 to 255 characters that do not begin with 'sg-'`,
      )
    if (this.#groups.has(groupId))
      throw new ModelError(
        'InvalidGroup.Duplicate',
        groupId,
        `there is a group '${groupName}' in ${vpcId} already`,
      )
    const group: SecurityGroup = {
      groupId,
      groupName,
      description,
      vpcId,
      ipPermissions: [],
      ipPermissionsEgress: [],
    }
    this.#groups.set(groupId, group)
    const everything = { ipProtocol: ANY_PROTOCOL, fromPort: -1, toPort: -1 }
    const out: Permission[] = [{ ...everything, peer: { cidr: EVERYONE_4 } }]
    if (vpc.ipv6CidrBlocks.length > 0) out.push({ ...everything, peer: { cidr: EVERYONE_6 } })
    this.authorize(groupId, 'egress', out)
    if (groupId === vpc.defaultSecurityGroupId)
      this.authorize(groupId, 'ingress', [{ ...everything, peer: { groupId } }])
    return group
  }

  /**
   * AuthorizeSecurityGroupIngress and AuthorizeSecurityGroupEgress: all of the permissions, or none.
   * @throws ModelError InvalidGroup.NotFound for the group or a peer that is not in its VPC; InvalidPermission.Duplicate;
   *   InvalidParameterValue; RulesPerSecurityGroupLimitExceeded
   */
  authorize(
    groupId: string,
    direction: RuleDirection,
    permissions: readonly Permission[],
  ): SecurityGroupRule[] {
    const group = this.get(groupId)
    const list = direction === 'egress' ? 'ipPermissionsEgress' : 'ipPermissions'
    const ids = new Set(group[list].map(rule => rule.securityGroupRuleId))
    const added = permissions.map(permission => {
      const rule = this.#rule(group, direction, permission)
      if (ids.has(rule.securityGroupRuleId))
        throw new ModelError(
          'InvalidPermission.Duplicate',
          groupId,
          `the rule '${this.inWords(rule)}' is in '${group.groupName}' already`,
        )
      ids.add(rule.securityGroupRuleId)
      return rule
    })
    const rules = [...group[list], ...added]
    this.#checkCount(group, direction, rules)
    group[list] = rules
    return added
  }

  /**
   * RevokeSecurityGroupIngress and RevokeSecurityGroupEgress: all of the permissions, or none.
   * @throws ModelError InvalidGroup.NotFound; InvalidPermission.NotFound
   */
  revoke(groupId: string, direction: RuleDirection, permissions: readonly Permission[]): void {
    const group = this.get(groupId)
    const list = direction === 'egress' ? 'ipPermissionsEgress' : 'ipPermissions'
    const ids = new Set(group[list].map(rule => rule.securityGroupRuleId))
    for (const permission of permissions) {
      const rule = this.#rule(group, direction, permission)
      if (!ids.delete(rule.securityGroupRuleId))
        throw new ModelError(
          'InvalidPermission.NotFound',
          groupId,
          `the rule '${this.inWords(rule)}' is not in '${group.groupName}'`,
        )
    }
    group[list] = group[list].filter(rule => ids.has(rule.securityGroupRuleId))
  }

  /** @throws ModelError InvalidGroup.NotFound */
  get(groupId: string): SecurityGroup {
    const group = this.#groups.get(groupId)
    if (group === undefined)
      throw new ModelError('InvalidGroup.NotFound', groupId, `there is no security group ${groupId}`)
    return group
  }

  /** All groups, by id. */
  all(): SecurityGroup[] {
    return Array.from(this.#groups.values()).sort((a, b) => byCodeUnits(a.groupId, b.groupId))
  }

  /** DescribeSecurityGroups. Filters: group-id, group-name, vpc-id. */
  describe(filters?: Filters): SecurityGroup[] {
    return select(
      this.all(),
      (group, filter) => {
        if (filter === 'group-id') return [group.groupId]
        if (filter === 'group-name') return [group.groupName]
        if (filter === 'vpc-id') return [group.vpcId]
        return undefined
      },
      filters,
    )
  }

  /**
   * DeleteSecurityGroup.
   * @throws ModelError InvalidGroup.NotFound; CannotDelete for a default group; DependencyViolation while an interface, a
   *   function or another group's rule names it
   */
  delete(groupId: string): void {
    const group = this.get(groupId)
    if (this.#model.vpcs.get(group.vpcId).defaultSecurityGroupId === groupId)
      throw new ModelError('CannotDelete', groupId, `${groupId} is the default group of ${group.vpcId}`)
    const { functions, interfaces } = this.#model
    const user =
      interfaces.all().find(({ groups }) => groups.includes(groupId))?.networkInterfaceId ??
      functions.all().find(({ vpcConfig }) => vpcConfig.securityGroupIds.includes(groupId))?.functionName ??
      this.all().find(other => other !== group && rulesOf(other).some(({ peer }) => names(peer, groupId)))
        ?.groupId
    if (user !== undefined)
      throw new ModelError('DependencyViolation', groupId, `${groupId} cannot be deleted, ${user} uses it`)
    this.#groups.delete(groupId)
  }

  /** A rule in words, groups by name: `tcp 80 sg:web`. */
  inWords(rule: Permission): string {
    return describeRule(rule, groupId => `sg:${this.get(groupId).groupName}`)
  }

  /** Takes a group away without asking, with its VPC. */
  drop(groupId: string): void {
    this.#groups.delete(groupId)
  }

  /**
   * The groups that an interface or a function is to have: those given, ascending and once each.
   * @throws ModelError InvalidGroup.NotFound; SecurityGroupsPerInterfaceLimitExceeded
   */
  resolve(vpcId: string, groupIds: readonly string[], user: string): string[] {
    const groups = [...new Set(groupIds)].sort(byCodeUnits)
    for (const groupId of groups) {
      if (this.#groups.get(groupId)?.vpcId !== vpcId)
        throw new ModelError(
          'InvalidGroup.NotFound',
          groupId,
          `there is no security group ${groupId} in ${vpcId}`,
        )
    }
    const { groupsPerInterface } = this.#model.limits
    if (groups.length > groupsPerInterface)
      throw new ModelError(
        'SecurityGroupsPerInterfaceLimitExceeded',
        user,
        `${user} names ${groups.length} security groups, at most ${groupsPerInterface} are allowed`,
      )
    return groups
  }

  #rule(group: SecurityGroup, direction: RuleDirection, permission: Permission): SecurityGroupRule {
    const { ipProtocol } = permission
    checkPorts(group.groupId, permission)
    const peer = 'cidr' in permission.peer ? { cidr: canonical(permission.peer.cidr) } : permission.peer
    if ('groupId' in peer && this.#groups.get(peer.groupId)?.vpcId !== group.vpcId)
      throw new ModelError(
        'InvalidGroup.NotFound',
        peer.groupId,
        `there is no security group ${peer.groupId} in ${group.vpcId}`,
      )
    const { fromPort, toPort } = hasPorts(ipProtocol) ? permission : { fromPort: -1, toPort: -1 }
    const rule = { ...permission, ipProtocol, fromPort, toPort, peer }
    return {
      ...rule,
      securityGroupRuleId: resourceId('sgr', group.groupId, direction, describeRule(rule)),
      groupId: group.groupId,
      isEgress: direction === 'egress',
    }
  }

  #checkCount(group: SecurityGroup, direction: RuleDirection, rules: readonly SecurityGroupRule[]): void {
    const { rulesPerGroup } = this.#model.limits
    for (const family of [4, 6]) {
      // A rule that names a group counts in both families.
      const count = rules.filter(({ peer }) => !('cidr' in peer) || peer.cidr.family === family).length
      if (count > rulesPerGroup)
        throw new ModelError(
          'RulesPerSecurityGroupLimitExceeded',
          group.groupId,
          `'${group.groupName}' would have ${count} ${direction} rules for IPv${family}, at most ${rulesPerGroup} are allowed`,
        )
    }
  }
}

/** Whether rules of the protocol look at ports, or at type and code. */
export const hasPorts = (protocol: number): boolean =>
  protocol === Protocol.Tcp ||
  protocol === Protocol.Udp ||
  protocol === Protocol.Icmp ||
  protocol === Protocol.Icmp6

/**
 * A rule in words: `tcp 80 10.0.0.0/24`. Two rules that mean the same read the same.
 * @param sayGroup how a group that is the peer is named; by its id, unless given
 */
export function describeRule(
  { ipProtocol, fromPort, toPort, peer }: Permission,
  sayGroup: (groupId: string) => string = groupId => groupId,
): string {
  const protocol = ipProtocol === ANY_PROTOCOL ? 'all' : protocolName(ipProtocol)
  const who = 'cidr' in peer ? cidrText(peer.cidr) : sayGroup(peer.groupId)
  return [protocol, portsText(ipProtocol, fromPort, toPort), who].filter(word => word !== '').join(' ')
}

function portsText(protocol: number, from: number, to: number): string {
  if (!hasPorts(protocol)) return ''
  if (protocol === Protocol.Tcp || protocol === Protocol.Udp)
    return from === to ? String(from) : `${from}-${to}`
  if (from === -1) return ''
  return to === -1 ? `type ${from}` : `type ${from} code ${to}`
}

const rulesOf = (group: SecurityGroup) => [...group.ipPermissions, ...group.ipPermissionsEgress]

const names = (peer: Peer, groupId: string): boolean => 'groupId' in peer && peer.groupId === groupId

function checkPorts(groupId: string, { ipProtocol, fromPort, toPort }: Permission): void {
  const refuse = (message: string) => {
    throw new ModelError('InvalidParameterValue', groupId, message)
  }
  if (!Number.isInteger(ipProtocol) || ipProtocol < -1 || ipProtocol > 255)
    refuse(`${ipProtocol} is no protocol: -1 for all, or 0 to 255`)
  if (!hasPorts(ipProtocol)) return
  if (ipProtocol === Protocol.Tcp || ipProtocol === Protocol.Udp) {
    if (!(fromPort >= 0 && fromPort <= toPort && toPort <= 65535))
      refuse(`${fromPort} to ${toPort} is no range of ports: 0 to 65535, the smaller first`)
    return
  }
  if (!(fromPort >= -1 && fromPort <= 255 && toPort >= -1 && toPort <= 255))
    refuse(`${fromPort}, ${toPort} is no ICMP type and code: 0 to 255, or -1 for any`)
  if (fromPort === -1 && toPort !== -1) refuse(`an ICMP code (${toPort}) needs a type`)
}
