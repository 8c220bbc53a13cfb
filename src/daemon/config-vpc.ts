/**
 * The `vpc` part of a file: subnets, security groups and route tables, as resources of the model.
 *
 * Names are looked up in what the file says, not in what was made of it, so that a subnet with a mistake of its own is not reported
 * a second time by everything that names it.
 */
import type * as z from 'zod'
import { type Cidr, contains } from '../vpc/cidr.ts'
import type { Model } from '../vpc/model.ts'
import type { Peer, Permission, Subnet, Vpc } from '../vpc/resources.ts'
import type { RuleDirection } from '../vpc/security-groups.ts'
import { Protocol } from '../wire/protocol.ts'
import type { Path } from './config-problems.ts'
import type { ConfigReader } from './config-reader.ts'
import {
  egressSchema,
  ingressSchema,
  routeSchema,
  routeTableSchema,
  securityGroupSchema,
  subnetSchema,
  vpcSchema,
} from './config-schema.ts'
import type { PortRange } from './config-values.ts'

/** A name that the file has: its resource's id, or undefined where the resource could not be made. */
export type Ids = ReadonlyMap<string, string | undefined>

export interface VpcNames {
  readonly vpc: Vpc | undefined
  readonly subnets: Ids
  readonly securityGroups: Ids
}

/** Makes a VPC and what is in it. Its name is what its ids are made of. */
export function buildVpc(
  reader: ConfigReader,
  model: Model,
  name: string,
  input: unknown,
  path: Path,
): VpcNames {
  const parts = partsOf(input)
  const shape = reader.parse(vpcSchema, input, path)
  const vpc =
    shape && reader.attempt([...path, 'cidr'], () => model.vpcs.create({ name, cidrBlock: shape.cidr }))
  const subnetShapes = reader
    .entries(parts.subnets, [...path, 'subnets'], 'subnets')
    .map(([name, input]) => ({ name, shape: reader.parse(subnetSchema, input, [...path, 'subnets', name]) }))

  if (vpc !== undefined) {
    const given = shape?.ipv6Cidr
    if (given !== undefined)
      reader.attempt([...path, 'ipv6Cidr'], () => model.vpcs.associateIpv6CidrBlock(vpc.vpcId, given))
    else
      for (const block of aroundSubnets(subnetShapes.map(({ shape }) => shape?.ipv6Cidr)))
        model.vpcs.associateIpv6CidrBlock(vpc.vpcId, block)
  }

  const subnets = new Map<string, string | undefined>()
  for (const { name, shape } of subnetShapes) {
    const made = vpc && shape && buildSubnet(reader, model, vpc, name, shape, [...path, 'subnets', name])
    subnets.set(name, made?.subnetId)
  }
  const securityGroups = buildGroups(reader, model, vpc, parts.securityGroups, [...path, 'securityGroups'])
  buildRouteTables(reader, model, vpc, subnets, parts.routeTables, [...path, 'routeTables'])
  return { vpc, subnets, securityGroups }
}

/**
 * The id of a named resource. A name that the file does not have is reported; undefined too where the resource is broken.
 * @param what `subnet`, `security group`
 */
export function lookUp(
  reader: ConfigReader,
  ids: Ids,
  name: string,
  what: string,
  path: Path,
): string | undefined {
  if (!ids.has(name)) {
    const known = Array.from(ids.keys())
    const expected = known.length === 0 ? `the file has no ${what}` : `expected one of ${known.join(', ')}`
    reader.report('CFG_REFERENCE', path, `there is no ${what} '${name}'; ${expected}`)
  }
  return ids.get(name)
}

function partsOf(input: unknown): Record<string, unknown> {
  return typeof input === 'object' && input !== null ? (input as Record<string, unknown>) : {}
}

/** The /56 blocks that hold these /64s: what a VPC that states no block of its own has. VPC user guide, "IPv6 VPC CIDR blocks". */
function aroundSubnets(blocks: readonly (Cidr | undefined)[]): Cidr[] {
  const around: Cidr[] = []
  for (const block of blocks) {
    if (block === undefined || block.prefix < 56) continue
    const wide: Cidr = { ...block, prefix: 56 }
    if (!around.some(other => contains(other, wide))) around.push(wide)
  }
  return around
}

function buildSubnet(
  reader: ConfigReader,
  model: Model,
  { vpcId }: Vpc,
  name: string,
  { cidr, ipv6Cidr, az }: z.output<typeof subnetSchema>,
  path: Path,
): Subnet | undefined {
  return reader.attempt(path, () =>
    model.subnets.create({
      vpcId,
      name,
      cidrBlock: cidr,
      ...(ipv6Cidr !== undefined && { ipv6CidrBlock: ipv6Cidr }),
      ...(az !== undefined && { availabilityZone: az }),
    }),
  )
}

function buildGroups(
  reader: ConfigReader,
  model: Model,
  vpc: Vpc | undefined,
  input: unknown,
  path: Path,
): Ids {
  const ids = new Map<string, string | undefined>([['default', vpc?.defaultSecurityGroupId]])
  const entries = reader.entries(input, path, 'security groups').map(([groupName, input]) => {
    const shape = reader.parse(securityGroupSchema, input, [...path, groupName])
    if (vpc !== undefined && groupName !== 'default') {
      const { vpcId } = vpc
      const description = shape?.description ?? groupName
      const made = reader.attempt([...path, groupName], () =>
        model.securityGroups.create({ vpcId, groupName, description }),
      )
      ids.set(groupName, made?.groupId)
    } else if (groupName !== 'default') ids.set(groupName, undefined)
    return { groupName, parts: partsOf(input) }
  })
  for (const { groupName, parts } of entries) {
    for (const direction of ['ingress', 'egress'] as const) {
      const where = [...path, groupName, direction]
      if (parts[direction] === undefined) continue
      const permissions = readRules(reader, ids, direction, parts[direction], where)
      const groupId = ids.get(groupName)
      if (groupId === undefined) continue
      const { ipPermissions, ipPermissionsEgress } = model.securityGroups.get(groupId)
      model.securityGroups.revoke(
        groupId,
        direction,
        direction === 'egress' ? ipPermissionsEgress : ipPermissions,
      )
      for (const { at, permission } of permissions)
        reader.attempt(at, () => model.securityGroups.authorize(groupId, direction, [permission]))
    }
  }
  return ids
}

interface ReadRule {
  readonly at: Path
  readonly permission: Permission
}

function readRules(
  reader: ConfigReader,
  groups: Ids,
  direction: RuleDirection,
  input: unknown,
  path: Path,
): ReadRule[] {
  if (!Array.isArray(input)) {
    reader.report('CFG_VALUE', path, 'expected a list of rules ([] for none)')
    return []
  }
  return input.flatMap((rule: unknown, i) => {
    const at = [...path, i]
    const shape =
      direction === 'ingress' ? reader.parse(ingressSchema, rule, at) : reader.parse(egressSchema, rule, at)
    if (shape === undefined) return []
    const ranges = portRanges(reader, shape, at)
    const key = 'from' in shape ? 'from' : 'to'
    const references = 'from' in shape ? shape.from : shape.to
    const peers = references.flatMap((reference): Peer[] => {
      if ('cidr' in reference) return [reference]
      const groupId = lookUp(reader, groups, reference.group, 'security group', [...at, key])
      return groupId === undefined ? [] : [{ groupId }]
    })
    return peers.flatMap(peer =>
      ranges.map(({ from, to }) => ({
        at,
        permission: { ipProtocol: shape.protocol, fromPort: from, toPort: to, peer },
      })),
    )
  })
}

interface RulePorts {
  readonly protocol: number
  readonly ports?: readonly PortRange[] | undefined
  readonly type?: number | undefined
  readonly code?: number | undefined
}

/** What EC2 calls FromPort and ToPort, for every range that a rule names. */
function portRanges(
  reader: ConfigReader,
  { protocol, ports, type, code }: RulePorts,
  at: Path,
): readonly PortRange[] {
  const hasPorts = protocol === Protocol.Tcp || protocol === Protocol.Udp
  const hasTypes = protocol === Protocol.Icmp || protocol === Protocol.Icmp6
  if (ports !== undefined && !hasPorts)
    reader.report('CFG_VALUE', [...at, 'ports'], 'only rules for tcp and udp have ports')
  if (type !== undefined && !hasTypes)
    reader.report('CFG_VALUE', [...at, 'type'], 'only rules for icmp and icmpv6 have a type')
  if (code !== undefined && (!hasTypes || type === undefined))
    reader.report('CFG_VALUE', [...at, 'code'], 'only rules for icmp and icmpv6 that have a type have a code')
  else if (hasTypes) return [{ from: type ?? -1, to: code ?? -1 }]
  if (!hasPorts) return [{ from: -1, to: -1 }]
  return ports ?? [{ from: 0, to: 65535 }]
}

function buildRouteTables(
  reader: ConfigReader,
  model: Model,
  vpc: Vpc | undefined,
  subnetIds: Ids,
  input: unknown,
  path: Path,
): void {
  for (const [name, value] of reader.entries(input, path, 'route tables')) {
    const at = [...path, name]
    const shape = reader.parse(routeTableSchema, value, at)
    const routes = partsOf(value).routes ?? []
    if (!Array.isArray(routes)) reader.report('CFG_VALUE', [...at, 'routes'], 'expected a list of routes')
    const routeShapes = (Array.isArray(routes) ? routes : []).map((route: unknown, i) =>
      reader.parse(routeSchema, route, [...at, 'routes', i]),
    )
    if (name === 'main' && shape?.subnets !== undefined)
      reader.report(
        'CFG_VALUE',
        [...at, 'subnets'],
        'the main table is that of every subnet that no other table names',
      )
    const associated = (name === 'main' ? [] : (shape?.subnets ?? [])).map((subnet, i) => {
      const where = [...at, 'subnets', i]
      return { where, subnetId: lookUp(reader, subnetIds, subnet, 'subnet', where) }
    })
    if (vpc === undefined) continue
    const { vpcId } = vpc
    const table =
      name === 'main'
        ? model.routeTables.get(vpc.mainRouteTableId)
        : reader.attempt(at, () => model.routeTables.create({ vpcId, name }))
    if (table === undefined) continue
    routeShapes.forEach((route, i) => {
      if (route === undefined) return
      reader.attempt([...at, 'routes', i], () =>
        model.routeTables.createRoute(table.routeTableId, route.to, route.target),
      )
    })
    for (const { where, subnetId } of associated)
      if (subnetId !== undefined)
        reader.attempt(where, () => model.routeTables.associate(table.routeTableId, subnetId))
  }
}
