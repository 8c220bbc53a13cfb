/**
 * VPCs. A new VPC comes with a main route table that holds its local route, and with its default security group
 * (VPC user guide, "VPC basics").
 */
import { type Cidr, canonical, cidrText, overlaps, sameCidr } from './cidr.ts'
import { ModelError } from './errors.ts'
import { type Filters, select } from './filters.ts'
import { resourceId } from './ids.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { Vpc } from './resources.ts'

export interface CreateVpc {
  readonly name: string
  readonly cidrBlock: Cidr
}

export class Vpcs {
  readonly #model: Model
  readonly #vpcs = new Map<string, Vpc>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateVpc.
   * @throws ModelError InvalidVpc.Range unless the block is a /16 to /28; Name.Duplicate
   */
  create({ name, cidrBlock }: CreateVpc): Vpc {
    const vpcId = resourceId('vpc', name)
    if (this.#vpcs.has(vpcId))
      throw new ModelError('Name.Duplicate', vpcId, `there is a VPC '${name}' already`)
    if (cidrBlock.family !== 4 || cidrBlock.prefix < 16 || cidrBlock.prefix > 28)
      throw new ModelError(
        'InvalidVpc.Range',
        vpcId,
        `${cidrText(cidrBlock)} is not an IPv4 block between /16 and /28`,
      )
    const vpc: Vpc = {
      vpcId,
      name,
      cidrBlock: canonical(cidrBlock),
      ipv6CidrBlocks: [],
      ownerId: this.#model.accountId,
      defaultSecurityGroupId: resourceId('sg', name, 'default'),
      mainRouteTableId: resourceId('rtb', name, 'main'),
    }
    this.#vpcs.set(vpcId, vpc)
    this.#model.securityGroups.create({
      vpcId,
      groupName: 'default',
      description: 'default VPC security group',
    })
    this.#model.routeTables.create({ vpcId, name: 'main' })
    return vpc
  }

  /**
   * AssociateVpcCidrBlock for IPv6. Every route table of the VPC gets the block's local route.
   * @throws ModelError InvalidVpcID.NotFound; InvalidVpc.Range unless the block is a /44 to /60 in steps of 4, or where it
   *   overlaps a block that the VPC has
   */
  associateIpv6CidrBlock(vpcId: string, block: Cidr): void {
    const vpc = this.get(vpcId)
    const cidr = canonical(block)
    const { family, prefix } = cidr
    if (family !== 6 || prefix < 44 || prefix > 60 || prefix % 4 !== 0)
      throw new ModelError(
        'InvalidVpc.Range',
        vpcId,
        `${cidrText(cidr)} is not an IPv6 block between /44 and /60 in steps of 4`,
      )
    if (vpc.ipv6CidrBlocks.some(other => sameCidr(other, cidr))) return
    const other = vpc.ipv6CidrBlocks.find(other => overlaps(other, cidr))
    if (other !== undefined)
      throw new ModelError('InvalidVpc.Range', vpcId, `${cidrText(cidr)} overlaps ${cidrText(other)}`)
    vpc.ipv6CidrBlocks = [...vpc.ipv6CidrBlocks, cidr]
    this.#model.routeTables.addLocal(vpcId, cidr)
  }

  /** @throws ModelError InvalidVpcID.NotFound */
  get(vpcId: string): Vpc {
    const vpc = this.#vpcs.get(vpcId)
    if (vpc === undefined) throw new ModelError('InvalidVpcID.NotFound', vpcId, `there is no VPC ${vpcId}`)
    return vpc
  }

  /** All VPCs, by name. */
  all(): Vpc[] {
    return Array.from(this.#vpcs.values()).sort((a, b) => byCodeUnits(a.name, b.name))
  }

  /** DescribeVpcs. Filters: vpc-id, cidr, tag:Name. */
  describe(filters?: Filters): Vpc[] {
    return select(
      this.all(),
      (vpc, filter) => {
        if (filter === 'vpc-id') return [vpc.vpcId]
        if (filter === 'cidr') return [cidrText(vpc.cidrBlock)]
        if (filter === 'tag:Name') return [vpc.name]
        return undefined
      },
      filters,
    )
  }

  /**
   * DeleteVpc. The main route table and the default group go with it.
   * @throws ModelError InvalidVpcID.NotFound; DependencyViolation while it holds anything else
   */
  delete(vpcId: string): void {
    const vpc = this.get(vpcId)
    const { subnets, securityGroups, routeTables } = this.#model
    const holds =
      subnets.all().find(subnet => subnet.vpcId === vpcId)?.subnetId ??
      securityGroups
        .all()
        .find(group => group.vpcId === vpcId && group.groupId !== vpc.defaultSecurityGroupId)?.groupId ??
      routeTables.all().find(table => table.vpcId === vpcId && !table.main)?.routeTableId
    if (holds !== undefined)
      throw new ModelError('DependencyViolation', vpcId, `${vpcId} cannot be deleted, it has ${holds}`)
    securityGroups.drop(vpc.defaultSecurityGroupId)
    routeTables.drop(vpc.mainRouteTableId)
    this.#vpcs.delete(vpcId)
  }
}
