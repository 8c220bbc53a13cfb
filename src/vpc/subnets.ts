/**
 * Subnets and which of their addresses may be given out.
 *
 * The first four addresses (network, router, DNS, reserved) and the last are AWS's in both families (VPC user guide, "Subnet
 * sizing"); the rest belongs to network interfaces, one each.
 */
import {
  type Address,
  addressText,
  type Cidr,
  canonical,
  cidrText,
  contains,
  offsetIn,
  overlaps,
  sizeOf,
} from './cidr.ts'
import { ModelError } from './errors.ts'
import { type Filters, select } from './filters.ts'
import { resourceId } from './ids.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { Subnet } from './resources.ts'

/** Addresses at the start of a subnet that are reserved. */
export const RESERVED_FIRST = 4
/** Addresses at the end of a subnet that are reserved. */
export const RESERVED_LAST = 1
/** The router's place in a subnet of either family. */
export const ROUTER = 1

export interface CreateSubnet {
  readonly vpcId: string
  readonly name: string
  readonly cidrBlock: Cidr
  readonly ipv6CidrBlock?: Cidr
  readonly availabilityZone?: string
}

/** A subnet as DescribeSubnets shows it. */
export interface SubnetDescription extends Subnet {
  readonly availableIpAddressCount: number
}

export class Subnets {
  readonly #model: Model
  readonly #subnets = new Map<string, Subnet>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateSubnet.
   * @throws ModelError InvalidVpcID.NotFound; InvalidSubnet.Range unless the blocks are an IPv4 /16 to /28 and an IPv6 /64 inside
   *   the VPC's; InvalidSubnet.Conflict where one overlaps another subnet's; Name.Duplicate
   */
  create({ vpcId, name, cidrBlock, ipv6CidrBlock, availabilityZone = 'a' }: CreateSubnet): Subnet {
    const vpc = this.#model.vpcs.get(vpcId)
    const subnetId = resourceId('subnet', vpc.name, name)
    if (this.#subnets.has(subnetId))
      throw new ModelError('Name.Duplicate', subnetId, `there is a subnet '${name}' in ${vpcId} already`)
    const cidr = canonical(cidrBlock)
    if (cidr.family !== 4 || cidr.prefix < 16 || cidr.prefix > 28)
      throw new ModelError(
        'InvalidSubnet.Range',
        subnetId,
        `${cidrText(cidr)} is not an IPv4 block between /16 and /28`,
      )
    this.#check(subnetId, vpcId, cidr, [vpc.cidrBlock])
    const subnet: Subnet = { subnetId, name, vpcId, cidrBlock: cidr, availabilityZone }
    if (ipv6CidrBlock === undefined) {
      this.#subnets.set(subnetId, subnet)
      return subnet
    }
    const cidr6 = canonical(ipv6CidrBlock)
    if (cidr6.family !== 6 || cidr6.prefix !== 64)
      throw new ModelError('InvalidSubnet.Range', subnetId, `${cidrText(cidr6)} is not an IPv6 /64`)
    this.#check(subnetId, vpcId, cidr6, vpc.ipv6CidrBlocks)
    const dualStack: Subnet = { ...subnet, ipv6CidrBlock: cidr6 }
    this.#subnets.set(subnetId, dualStack)
    return dualStack
  }

  /** @throws ModelError InvalidSubnetID.NotFound */
  get(subnetId: string): Subnet {
    const subnet = this.#subnets.get(subnetId)
    if (subnet === undefined)
      throw new ModelError('InvalidSubnetID.NotFound', subnetId, `there is no subnet ${subnetId}`)
    return subnet
  }

  /** All subnets, by id. */
  all(): Subnet[] {
    return Array.from(this.#subnets.values()).sort((a, b) => byCodeUnits(a.subnetId, b.subnetId))
  }

  /** DescribeSubnets. Filters: subnet-id, vpc-id, cidr-block, availability-zone, tag:Name. */
  describe(filters?: Filters): SubnetDescription[] {
    return select(
      this.all(),
      (subnet, filter) => {
        if (filter === 'subnet-id') return [subnet.subnetId]
        if (filter === 'vpc-id') return [subnet.vpcId]
        if (filter === 'cidr-block') return [cidrText(subnet.cidrBlock)]
        if (filter === 'availability-zone') return [subnet.availabilityZone]
        if (filter === 'tag:Name') return [subnet.name]
        return undefined
      },
      filters,
    ).map(subnet => ({
      ...subnet,
      availableIpAddressCount: usable(subnet.cidrBlock) - this.#model.interfaces.countIn(subnet.subnetId),
    }))
  }

  /**
   * DeleteSubnet.
   * @throws ModelError InvalidSubnetID.NotFound; DependencyViolation while an interface or a function uses it
   */
  delete(subnetId: string): void {
    this.get(subnetId)
    const { functions, interfaces, routeTables } = this.#model
    const user =
      functions.all().find(({ vpcConfig }) => vpcConfig.subnetIds.includes(subnetId))?.functionName ??
      interfaces.inSubnet(subnetId)[0]?.networkInterfaceId
    if (user !== undefined)
      throw new ModelError('DependencyViolation', subnetId, `${subnetId} cannot be deleted, ${user} uses it`)
    routeTables.disassociate(subnetId)
    this.#subnets.delete(subnetId)
  }

  #check(subnetId: string, vpcId: string, cidr: Cidr, blocks: readonly Cidr[]): void {
    if (!blocks.some(block => contains(block, cidr))) {
      const has = blocks.length === 0 ? 'no block of that family' : blocks.map(cidrText).join(', ')
      throw new ModelError(
        'InvalidSubnet.Range',
        subnetId,
        `${cidrText(cidr)} is not inside the VPC, which has ${has}`,
      )
    }
    for (const other of this.#subnets.values()) {
      const block = cidr.family === 4 ? other.cidrBlock : other.ipv6CidrBlock
      if (other.vpcId === vpcId && block !== undefined && overlaps(block, cidr))
        throw new ModelError(
          'InvalidSubnet.Conflict',
          subnetId,
          `${cidrText(cidr)} overlaps ${cidrText(block)} of subnet '${other.name}'`,
        )
    }
  }
}

/** How many addresses of a subnet's block interfaces may have. */
export const usable = (cidr: Cidr): number => sizeOf(cidr) - RESERVED_FIRST - RESERVED_LAST

/** Whether the address, which lies in the block, is one of the reserved. */
export function isReserved(cidr: Cidr, address: Address): boolean {
  const offset = offsetIn(cidr, address)
  return offset < BigInt(RESERVED_FIRST) || offset >= BigInt(sizeOf(cidr)) - BigInt(RESERVED_LAST)
}

/**
 * Checks that an interface may have the address.
 * @throws ModelError InvalidParameterValue where it lies outside of the block or is reserved
 */
export function checkGivable(subnetId: string, cidr: Cidr, address: Address): void {
  if (!contains(cidr, address))
    throw new ModelError(
      'InvalidParameterValue',
      subnetId,
      `${addressText(address)} is not in the subnet's range ${cidrText(cidr)}`,
    )
  if (isReserved(cidr, address))
    throw new ModelError(
      'InvalidParameterValue',
      subnetId,
      `${addressText(address)} is reserved in ${cidrText(cidr)}: the first four addresses and the last are`,
    )
}
