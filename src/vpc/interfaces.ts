/**
 * Network interfaces: those of hosts, which are created, and hyperplane ENIs, which Lambda makes for its functions.
 *
 * A hyperplane ENI belongs to a key (account, subnet, set of security groups) and is shared by every function with that key. An
 * address that was not given is chosen when the model is settled (`settle.ts`), after all that were given are known,
 * so that the order of creation does not show.
 */
import { type Address, addressText, type Cidr } from './cidr.ts'
import { ModelError } from './errors.ts'
import { type Filters, select } from './filters.ts'
import { resourceId } from './ids.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { NetworkInterface, Subnet } from './resources.ts'
import { checkGivable, usable } from './subnets.ts'

export interface CreateNetworkInterface {
  readonly name: string
  readonly subnetId: string
  readonly privateIpAddress?: Address
  readonly ipv6Address?: Address
  /** None, or empty: the default group of the VPC. */
  readonly groups?: readonly string[]
  readonly description?: string
  /** Name of the attachment behind which the host is. */
  readonly attachment: string
}

export class NetworkInterfaces {
  readonly #model: Model
  readonly #interfaces = new Map<string, NetworkInterface>()
  readonly #bySubnet = new Map<string, Map<string, NetworkInterface>>()
  /** Name, which is the key, to the ENI. */
  readonly #hyperplanes = new Map<string, NetworkInterface>()
  readonly #hyperplaneCounts = new Map<string, number>()
  /** Subnet and address text, to the interface that has it. */
  readonly #addresses = new Map<string, string>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateNetworkInterface, for a host.
   * @throws ModelError InvalidSubnetID.NotFound; InvalidGroup.NotFound; SecurityGroupsPerInterfaceLimitExceeded;
   *   InvalidParameterValue for an address that the subnet does not have or reserves; InvalidIPAddress.InUse;
   *   InsufficientFreeAddressesInSubnet; Attachment.NotFound; Attachment.Conflict; Name.Duplicate
   */
  create(request: CreateNetworkInterface): NetworkInterface {
    const { name, subnetId, privateIpAddress, ipv6Address, groups = [], description = name } = request
    const subnet = this.#model.subnets.get(subnetId)
    const vpc = this.#model.vpcs.get(subnet.vpcId)
    const networkInterfaceId = resourceId('eni', vpc.name, name)
    if (this.#interfaces.has(networkInterfaceId))
      throw new ModelError('Name.Duplicate', networkInterfaceId, `there is an interface '${name}' already`)
    const wanted = groups.length > 0 ? groups : [vpc.defaultSecurityGroupId]
    const resolved = this.#model.securityGroups.resolve(vpc.vpcId, wanted, name)
    this.#model.attachments.checkSide(request.attachment, 'hosts', vpc.vpcId)
    if (privateIpAddress !== undefined) this.#checkAddress(subnet, subnet.cidrBlock, privateIpAddress)
    if (ipv6Address !== undefined) {
      if (subnet.ipv6CidrBlock === undefined)
        throw new ModelError('InvalidParameterValue', name, `subnet '${subnet.name}' has no IPv6 block`)
      this.#checkAddress(subnet, subnet.ipv6CidrBlock, ipv6Address)
    }
    this.checkRoom(subnet)
    const explicit = { ipv4: privateIpAddress !== undefined, ipv6: ipv6Address !== undefined }
    return this.#add({
      networkInterfaceId,
      name,
      interfaceType: 'interface',
      description,
      vpcId: vpc.vpcId,
      subnetId,
      groups: resolved,
      explicit,
      attachment: request.attachment,
      ...(privateIpAddress !== undefined && { privateIpAddress }),
      ...(ipv6Address !== undefined && { ipv6Address }),
    })
  }

  /**
   * The hyperplane ENI of a key, made if there is none.
   * @param functionName the function that causes it, as the description says
   * @throws ModelError InsufficientFreeAddressesInSubnet
   */
  hyperplane(subnetId: string, groups: readonly string[], functionName: string): NetworkInterface {
    const subnet = this.#model.subnets.get(subnetId)
    const vpc = this.#model.vpcs.get(subnet.vpcId)
    const name = hyperplaneName(subnetId, groups)
    const existing = this.#hyperplanes.get(name)
    if (existing !== undefined) return existing
    const networkInterfaceId = resourceId('eni', vpc.name, name)
    this.checkRoom(subnet)
    return this.#add({
      networkInterfaceId,
      name,
      interfaceType: 'lambda',
      description: `AWS Lambda VPC ENI-${functionName}-${uuidOf(networkInterfaceId)}`,
      vpcId: vpc.vpcId,
      subnetId,
      groups,
      explicit: { ipv4: false, ipv6: false },
    })
  }

  /** The ENI of a key, or undefined. The key is that of its making, whatever groups it holds now. */
  findHyperplane(subnetId: string, groups: readonly string[]): NetworkInterface | undefined {
    return this.#hyperplanes.get(hyperplaneName(subnetId, groups))
  }

  /** How many hyperplane ENIs a VPC has. */
  countHyperplanes(vpcId: string): number {
    return this.#hyperplaneCounts.get(vpcId) ?? 0
  }

  /** @throws ModelError InvalidNetworkInterfaceID.NotFound */
  get(networkInterfaceId: string): NetworkInterface {
    const found = this.#interfaces.get(networkInterfaceId)
    if (found === undefined)
      throw new ModelError(
        'InvalidNetworkInterfaceID.NotFound',
        networkInterfaceId,
        `there is no network interface ${networkInterfaceId}`,
      )
    return found
  }

  /** All interfaces, by id. */
  all(): NetworkInterface[] {
    return Array.from(this.#interfaces.values()).sort((a, b) =>
      byCodeUnits(a.networkInterfaceId, b.networkInterfaceId),
    )
  }

  inSubnet(subnetId: string): NetworkInterface[] {
    return Array.from(this.#bySubnet.get(subnetId)?.values() ?? [])
  }

  /** How many of the subnet's addresses are spoken for. */
  countIn(subnetId: string): number {
    return this.#bySubnet.get(subnetId)?.size ?? 0
  }

  /** DescribeNetworkInterfaces. Filters: network-interface-id, subnet-id, vpc-id, group-id, interface-type, description, addresses.private-ip-address. */
  describe(filters?: Filters): NetworkInterface[] {
    this.#model.settle()
    return select(
      this.all(),
      (eni, filter) => {
        if (filter === 'network-interface-id') return [eni.networkInterfaceId]
        if (filter === 'subnet-id') return [eni.subnetId]
        if (filter === 'vpc-id') return [eni.vpcId]
        if (filter === 'group-id') return eni.groups
        if (filter === 'interface-type') return [eni.interfaceType]
        if (filter === 'description') return [eni.description]
        if (filter === 'addresses.private-ip-address')
          return eni.privateIpAddress === undefined ? [] : [addressText(eni.privateIpAddress)]
        return undefined
      },
      filters,
    )
  }

  /**
   * ModifyNetworkInterfaceAttribute, Groups. On a hyperplane ENI too: functions go on using it (their key is the original one).
   * @throws ModelError InvalidNetworkInterfaceID.NotFound; InvalidGroup.NotFound; SecurityGroupsPerInterfaceLimitExceeded
   */
  setGroups(networkInterfaceId: string, groups: readonly string[]): void {
    const eni = this.get(networkInterfaceId)
    eni.groups = this.#model.securityGroups.resolve(eni.vpcId, groups, networkInterfaceId)
  }

  /**
   * DeleteNetworkInterface.
   * @throws ModelError InvalidNetworkInterfaceID.NotFound; OperationNotPermitted for a hyperplane ENI that is in use
   */
  delete(networkInterfaceId: string): void {
    const eni = this.get(networkInterfaceId)
    if (eni.interfaceType === 'lambda' && this.#model.functions.usersOf(eni).length > 0)
      throw new ModelError(
        'OperationNotPermitted',
        networkInterfaceId,
        `${networkInterfaceId} is in use by ${this.#model.functions.usersOf(eni)[0].functionName}`,
      )
    this.drop(eni)
  }

  /** Takes an interface away without asking. */
  drop(eni: NetworkInterface): void {
    this.#interfaces.delete(eni.networkInterfaceId)
    if (eni.interfaceType === 'lambda') {
      this.#hyperplanes.delete(eni.name)
      this.#hyperplaneCounts.set(eni.vpcId, this.countHyperplanes(eni.vpcId) - 1)
    }
    this.#bySubnet.get(eni.subnetId)?.delete(eni.networkInterfaceId)
    for (const address of [eni.privateIpAddress, eni.ipv6Address])
      if (address !== undefined) this.#addresses.delete(`${eni.subnetId} ${addressText(address)}`)
  }

  /** Gives an interface the address that the subnet chose for it, in place of the one it had. */
  assign(
    eni: NetworkInterface,
    which: 'privateIpAddress' | 'ipv6Address',
    address: Address | undefined,
  ): void {
    const before = eni[which]
    if (before !== undefined) {
      const key = `${eni.subnetId} ${addressText(before)}`
      if (this.#addresses.get(key) === eni.networkInterfaceId) this.#addresses.delete(key)
      delete eni[which]
    }
    if (address === undefined) return
    eni[which] = address
    this.#addresses.set(`${eni.subnetId} ${addressText(address)}`, eni.networkInterfaceId)
  }

  /** @throws ModelError InsufficientFreeAddressesInSubnet where the subnet has no address for one interface more */
  checkRoom(subnet: Subnet, more = 1): void {
    if (this.countIn(subnet.subnetId) + more > usable(subnet.cidrBlock))
      throw new ModelError(
        'InsufficientFreeAddressesInSubnet',
        subnet.subnetId,
        `subnet '${subnet.name}' has ${usable(subnet.cidrBlock)} addresses and all are taken`,
      )
  }

  #checkAddress(subnet: Subnet, block: Cidr, address: Address): void {
    checkGivable(subnet.subnetId, block, address)
    const holder = this.#addresses.get(`${subnet.subnetId} ${addressText(address)}`)
    if (holder !== undefined)
      throw new ModelError(
        'InvalidIPAddress.InUse',
        holder,
        `${addressText(address)} is taken by '${this.get(holder).name}'`,
      )
  }

  #add(eni: NetworkInterface): NetworkInterface {
    this.#interfaces.set(eni.networkInterfaceId, eni)
    if (eni.interfaceType === 'lambda') {
      this.#hyperplanes.set(eni.name, eni)
      this.#hyperplaneCounts.set(eni.vpcId, this.countHyperplanes(eni.vpcId) + 1)
    }
    const siblings = this.#bySubnet.get(eni.subnetId) ?? new Map<string, NetworkInterface>()
    siblings.set(eni.networkInterfaceId, eni)
    this.#bySubnet.set(eni.subnetId, siblings)
    for (const address of [eni.privateIpAddress, eni.ipv6Address])
      if (address !== undefined)
        this.#addresses.set(`${eni.subnetId} ${addressText(address)}`, eni.networkInterfaceId)
    return eni
  }
}

/** The path of a hyperplane ENI's name: its key. A host has no slash in its name. */
const hyperplaneName = (subnetId: string, groups: readonly string[]): string =>
  `lambda/${subnetId}/${groups.join(',')}`

/** A version 4 shaped UUID made of an id's digits, for the description. */
function uuidOf(id: string): string {
  const hex = id.slice(id.indexOf('-') + 1).padEnd(32, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
