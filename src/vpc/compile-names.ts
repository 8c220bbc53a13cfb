/**
 * What the numbers of a plan mean, written from the settled model: see `names.ts`.
 */
import { addressText, type Cidr, cidrText, single } from './cidr.ts'
import type { CompiledRules } from './compile-rules.ts'
import type { Model } from './model.ts'
import type { DeviceNames, EniNames, EnvironmentNames, PlanNames, SubnetNames } from './names.ts'
import type { Numbered } from './numbering.ts'
import type { NetworkInterface } from './resources.ts'

/** The names that go with a plan: of everything that has a number in it. */
export function compileNames(
  numbered: Numbered,
  model: Model,
  rules: CompiledRules,
  generation: number,
): PlanNames {
  const vpcs: ({ name: string; vpcId: string } | null)[] = new Array(numbered.sizes.vpc).fill(null)
  for (const { vpcId, name } of model.vpcs.all()) vpcs[numbered.vpc.get(vpcId)!] = { name, vpcId }
  return {
    generation,
    vpcs,
    devices: deviceNames(numbered, model),
    enis: numbered.interfaces.map(eni => eniNames(eni, numbered, model)).sort((a, b) => a.slot - b.slot),
    environments: environmentNames(numbered, model),
    subnets: subnetNames(numbered, model),
    rules: rules.origin.map(rule => ({
      securityGroupRuleId: rule.securityGroupRuleId,
      group: model.securityGroups.get(rule.groupId).groupName,
      rule: model.securityGroups.inWords(rule),
    })),
  }
}

function deviceNames(
  { attachments, interfaces, environments, device }: Numbered,
  model: Model,
): DeviceNames[] {
  const behind = new Map<string, { names: Set<string>; addresses: Cidr[] }>()
  for (const { name } of attachments) behind.set(name, { names: new Set(), addresses: [] })
  for (const one of environments) {
    const { names, addresses } = behind.get(one.attachment)!
    const { vpcConfig } = model.functions.get(one.functionName)
    const routed = model.attachments.get(one.attachment).kind === 'routed'
    names.add(routed ? one.functionName : one.name)
    addresses.push(single(one.insideAddress!))
    // Without IPv6 in the VPC an address inside would only make programs try it first.
    if (vpcConfig.ipv6AllowedForDualStack) addresses.push(single(one.insideIpv6Address!))
  }
  for (const one of interfaces) {
    if (one.attachment === undefined) continue
    const { names, addresses } = behind.get(one.attachment)!
    const subnet = model.subnets.get(one.subnetId)
    names.add(one.name.split('/')[0])
    addresses.push({ ...one.privateIpAddress!, prefix: subnet.cidrBlock.prefix })
    if (one.ipv6Address !== undefined)
      addresses.push({ ...one.ipv6Address, prefix: subnet.ipv6CidrBlock!.prefix })
  }
  return attachments
    .map(attachment => {
      const { names, addresses } = behind.get(attachment.name)!
      const routed = attachment.kind === 'routed'
      const prefixes = routed ? attachment.prefixes : addresses.map(single)
      return {
        device: device.get(attachment.name)!,
        name: Array.from(names).join(','),
        side: attachment.side,
        kind: attachment.kind,
        namespace: attachment.namespace ?? null,
        deviceName: attachment.device,
        mtu: attachment.mtu,
        addresses: routed ? [] : addresses.map(cidrText),
        prefixes: prefixes.map(cidrText),
      }
    })
    .sort((a, b) => a.device - b.device)
}

function eniNames(one: NetworkInterface, { eni, users }: Numbered, model: Model): EniNames {
  const hyperplane = one.interfaceType === 'lambda'
  return {
    slot: eni.get(one.networkInterfaceId)!,
    networkInterfaceId: one.networkInterfaceId,
    kind: hyperplane ? 'hyperplane' : 'host',
    vpc: model.vpcs.get(one.vpcId).name,
    vpcId: one.vpcId,
    subnet: model.subnets.get(one.subnetId).name,
    subnetId: one.subnetId,
    address: addressText(one.privateIpAddress!),
    ipv6Address: one.ipv6Address === undefined ? null : addressText(one.ipv6Address),
    securityGroups: one.groups.map(groupId => model.securityGroups.get(groupId).groupName),
    securityGroupIds: one.groups,
    host: hyperplane ? null : one.name,
    functions: (users.get(one) ?? []).map(({ functionName }) => functionName),
  }
}

function environmentNames(
  { environments, environment, device, eni }: Numbered,
  model: Model,
): EnvironmentNames[] {
  return environments
    .map(one => {
      const leaves = model.functions.interfaceOf(one)
      return {
        environment: environment.get(one.name)!,
        name: one.name,
        function: one.functionName,
        device: device.get(one.attachment)!,
        address: addressText(one.insideAddress!),
        ipv6Address: addressText(one.insideIpv6Address!),
        eni: leaves === undefined ? null : eni.get(leaves.networkInterfaceId)!,
      }
    })
    .sort((a, b) => a.environment - b.environment)
}

function subnetNames({ subnet }: Numbered, model: Model): SubnetNames[] {
  return model.subnets
    .all()
    .map(one => ({
      subnet: subnet.get(one.subnetId)!,
      name: one.name,
      subnetId: one.subnetId,
      vpc: model.vpcs.get(one.vpcId).name,
      cidrBlock: cidrText(one.cidrBlock),
      ipv6CidrBlock: one.ipv6CidrBlock === undefined ? null : cidrText(one.ipv6CidrBlock),
      routeTable: model.routeTables.of(one.subnetId).name,
    }))
    .sort((a, b) => a.subnet - b.subnet)
}
