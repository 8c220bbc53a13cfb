/**
 * From the model to a plan: settles the model, gives things their numbers, and writes the flat arrays that shards read.
 *
 * Every call is a new generation of the model's numbers, and the plan carries that generation: the daemon keeps the numbers (as
 * JSON) before it hands the plan to the shards, and flow records of an earlier run mean the same things again. The same
 * model with the same numbers gives the same plan, in whatever order it was made. A compile that throws has used up
 * its numbers: give the model a copy of those that must survive.
 */
import { timeoutTicks } from '../nat/timeouts.ts'
import { type AddressEntry, buildAddresses } from '../tables/addresses.ts'
import { type Address, addressAt } from './cidr.ts'
import { compileNames } from './compile-names.ts'
import { type CompiledRoutes, compileRoutes } from './compile-routes.ts'
import { type CompiledRules, compileRules } from './compile-rules.ts'
import type { Model } from './model.ts'
import type { PlanNames } from './names.ts'
import { type Numbered, numberAll } from './numbering.ts'
import {
  DeviceKind,
  EniFlag,
  EniKind,
  NOTHING,
  type Plan,
  type PlanDevices,
  type PlanEnis,
  type PlanEnvironments,
  type PlanSettings,
  type PlanSubnets,
} from './plan.ts'
import type { FunctionConfiguration, NetworkInterface } from './resources.ts'
import { INSIDE_ROUTER } from './settle.ts'
import { ROUTER } from './subnets.ts'

/** The settings of a plan that the model does not know. */
export type CompileSettings = Omit<PlanSettings, 'insideRouter4' | 'insideRouter6'>

export const defaultSettings: CompileSettings = {
  timeouts: timeoutTicks('rfc'),
  exhaustion: 'admin',
  clampMss: true,
  ruleChange: 'keep',
  tcpPickup: false,
}

export interface Compiled {
  readonly plan: Plan
  readonly names: PlanNames
}

/**
 * Compiles the model. Settles it first.
 * @throws ModelError as `Model.settle`; InvalidParameterValue for more than 65,536 devices, ENIs, VPCs or subnets
 */
export function compile(model: Model, settings: CompileSettings = defaultSettings): Compiled {
  const { numbers } = model
  numbers.begin()
  model.settle()
  const numbered = numberAll(model)
  numbers.end()

  const rules = compileRules(
    model,
    numbered.interfaces.map(({ groups }) => groups),
  )
  const routes = compileRoutes(model)
  const generation = numbers.generation
  const plan: Plan = {
    generation,
    devices: devicesOf(numbered, model),
    environments: environmentsOf(numbered, model),
    sources: { slots: buildAddresses(sourceEntries(numbered)) },
    enis: enisOf(numbered, rules),
    addresses: { slots: buildAddresses(addressEntries(numbered)) },
    subnets: subnetsOf(numbered, model, routes),
    routes: routes.routes,
    ruleSets: rules.ruleSets,
    rules: rules.rules,
    settings: {
      ...settings,
      insideRouter4: addressAt(model.insideCidr, INSIDE_ROUTER).words[0],
      insideRouter6: Int32Array.from(addressAt(model.insideIpv6Cidr, INSIDE_ROUTER).words),
    },
  }
  return { plan, names: compileNames(numbered, model, rules, generation) }
}

function devicesOf({ attachments, device, vpc, sizes }: Numbered, model: Model): PlanDevices {
  const length = sizes.device
  const devices = { kind: new Uint8Array(length), vpc: new Uint16Array(length), mtu: new Int32Array(length) }
  for (const attachment of attachments) {
    const number = device.get(attachment.name)!
    const vpcId = model.attachments.vpcOf(attachment)
    devices.kind[number] = attachment.side === 'hosts' ? DeviceKind.Hosts : DeviceKind.Environments
    devices.vpc[number] = vpcId === undefined ? 0 : vpc.get(vpcId)!
    devices.mtu[number] = attachment.mtu
  }
  return devices
}

const flagsOf = ({ echo, vpcConfig }: FunctionConfiguration): number =>
  (echo ? EniFlag.Echo : 0) | (vpcConfig.ipv6AllowedForDualStack ? EniFlag.Ipv6 : 0)

function environmentsOf(
  { environments, environment, device, eni, sizes }: Numbered,
  model: Model,
): PlanEnvironments {
  const length = sizes.environment
  const result = {
    eni: new Int32Array(length).fill(NOTHING),
    device: new Int32Array(length).fill(NOTHING),
    active: new Uint8Array(length),
    flags: new Uint8Array(length),
  }
  for (const one of environments) {
    const number = environment.get(one.name)!
    const configuration = model.functions.get(one.functionName)
    const leaves = model.functions.interfaceOf(one)
    result.eni[number] = leaves === undefined ? NOTHING : eni.get(leaves.networkInterfaceId)!
    result.device[number] = device.get(one.attachment)!
    result.active[number] = configuration.state === 'Active' ? 1 : 0
    result.flags[number] = flagsOf(configuration)
  }
  return result
}

function sourceEntries({ environments, environment, device }: Numbered): AddressEntry[] {
  return environments.flatMap(one =>
    [one.insideAddress!, one.insideIpv6Address!].map(({ words }) => ({
      scope: device.get(one.attachment)!,
      address: words,
      value: environment.get(one.name)!,
    })),
  )
}

const addressesOf = ({ privateIpAddress, ipv6Address }: NetworkInterface): Address[] =>
  ipv6Address === undefined ? [privateIpAddress!] : [privateIpAddress!, ipv6Address]

function addressEntries({ interfaces, vpc, eni }: Numbered): AddressEntry[] {
  return interfaces.flatMap(one =>
    addressesOf(one).map(({ words }) => ({
      scope: vpc.get(one.vpcId)!,
      address: words,
      value: eni.get(one.networkInterfaceId)!,
    })),
  )
}

function enisOf(
  { interfaces, users, eni, vpc, subnet, device, sizes }: Numbered,
  rules: CompiledRules,
): PlanEnis {
  const length = sizes.eni
  const enis = {
    kind: new Uint8Array(length),
    flags: new Uint8Array(length),
    vpc: new Uint16Array(length),
    subnet: new Uint16Array(length),
    address4: new Int32Array(length),
    address6: new Int32Array(length * 4),
    device: new Int32Array(length).fill(NOTHING),
    ruleSet: new Int32Array(length).fill(NOTHING),
  }
  for (const one of interfaces) {
    const slot = eni.get(one.networkInterfaceId)!
    enis.kind[slot] = one.interfaceType === 'lambda' ? EniKind.Hyperplane : EniKind.Host
    enis.flags[slot] = (users.get(one) ?? []).reduce((flags, user) => flags | flagsOf(user), 0)
    enis.vpc[slot] = vpc.get(one.vpcId)!
    enis.subnet[slot] = subnet.get(one.subnetId)!
    enis.address4[slot] = one.privateIpAddress!.words[0]
    if (one.ipv6Address !== undefined) enis.address6.set(one.ipv6Address.words, slot * 4)
    if (one.attachment !== undefined) enis.device[slot] = device.get(one.attachment)!
    enis.ruleSet[slot] = rules.setOf(one.groups)
  }
  return enis
}

function subnetsOf({ subnet, vpc, sizes }: Numbered, model: Model, routes: CompiledRoutes): PlanSubnets {
  const length = sizes.subnet
  const tableNumber = new Map(routes.tableIds.map((id, number) => [id, number]))
  const subnets = {
    vpc: new Uint16Array(length),
    routeTable: new Uint16Array(length),
    router4: new Int32Array(length),
    router6: new Int32Array(length * 4),
    network4: new Int32Array(length),
    prefix4: new Uint8Array(length),
  }
  for (const one of model.subnets.all()) {
    const number = subnet.get(one.subnetId)!
    subnets.vpc[number] = vpc.get(one.vpcId)!
    subnets.routeTable[number] = tableNumber.get(model.routeTables.of(one.subnetId).routeTableId)!
    subnets.router4[number] = addressAt(one.cidrBlock, ROUTER).words[0]
    if (one.ipv6CidrBlock !== undefined)
      subnets.router6.set(addressAt(one.ipv6CidrBlock, ROUTER).words, number * 4)
    subnets.network4[number] = one.cidrBlock.words[0]
    subnets.prefix4[number] = one.cidrBlock.prefix
  }
  return subnets
}
