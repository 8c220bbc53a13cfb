/**
 * What the model chooses for itself, once everything that was given is known.
 *
 * - Hyperplane ENIs that no function's key names are let go of.
 * - Interfaces without an IPv4 address of their own get the lowest free one of their subnet, and keep it (`numbers`).
 * - Hosts in dual-stack subnets, and hyperplane ENIs with a function that may use IPv6, get an IPv6 address with the same host
 *   part as the IPv4 address: 10.0.1.20 in a /24 is …::14. Where somebody was given that very address, the
 *   first free of …::1:0:14, …::2:0:14, … is taken.
 * - Environments get inside addresses in order, IPv4 and IPv6 with the same host part; one whose IPv4 address was given gets
 *   …::10.0.0.5 of it.
 * - Functions with all of their ENIs become Active.
 */
import { addressAt, addressText, type Cidr, cidrText, offsetIn, plainValue, sizeOf } from './cidr.ts'
import { ModelError } from './errors.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { NetworkInterface, Subnet } from './resources.ts'
import { RESERVED_FIRST, RESERVED_LAST } from './subnets.ts'

/** The inside router's place in the inside prefixes of both families. */
export const INSIDE_ROUTER = 1

/**
 * Settles a model, in place.
 * @throws ModelError InvalidParameterValue where environments need more inside addresses than there are
 */
export function settle(model: Model): void {
  const { functions, interfaces } = model
  const ipv6 = usedInterfaces(model)
  for (const eni of interfaces.all())
    if (eni.interfaceType === 'lambda' && !ipv6.has(eni)) interfaces.drop(eni)
  for (const subnet of model.subnets.all()) settleSubnet(model, subnet, ipv6)
  settleInside(model)
  for (const configuration of functions.all())
    if (configuration.state === 'Pending' && configuration.vpcConfig.vpcId !== '')
      configuration.state = 'Active'
}

/** The hyperplane ENIs that functions use, and whether one of these may use IPv6. */
function usedInterfaces({ functions, interfaces }: Model): Map<NetworkInterface, boolean> {
  const used = new Map<NetworkInterface, boolean>()
  for (const { functionName, vpcConfig } of functions.all()) {
    for (const subnetId of vpcConfig.subnetIds) {
      const eni = interfaces.hyperplane(subnetId, vpcConfig.securityGroupIds, functionName)
      used.set(eni, (used.get(eni) ?? false) || vpcConfig.ipv6AllowedForDualStack)
    }
  }
  return used
}

function settleSubnet(model: Model, subnet: Subnet, ipv6: ReadonlyMap<NetworkInterface, boolean>): void {
  const { interfaces, numbers } = model
  const members = interfaces.inSubnet(subnet.subnetId).sort((a, b) => byCodeUnits(a.name, b.name))
  if (members.length === 0) return
  const { cidrBlock, ipv6CidrBlock } = subnet
  const automatic = members.filter(({ explicit }) => !explicit.ipv4)
  const given = new Set(
    members.flatMap(({ explicit, privateIpAddress }) =>
      explicit.ipv4 ? [Number(offsetIn(cidrBlock, privateIpAddress!))] : [],
    ),
  )
  const chosen = numbers.takeAll(
    `address/${subnet.subnetId}`,
    automatic.map(eni => eni.networkInterfaceId),
    {
      from: RESERVED_FIRST,
      to: sizeOf(cidrBlock) - RESERVED_LAST - 1,
      except: given,
    },
  )
  for (const eni of automatic)
    interfaces.assign(eni, 'privateIpAddress', addressAt(cidrBlock, chosen.get(eni.networkInterfaceId)!))

  if (ipv6CidrBlock === undefined) return
  const taken = new Set(
    members.flatMap(({ explicit, ipv6Address }) => (explicit.ipv6 ? [addressText(ipv6Address!)] : [])),
  )
  for (const eni of members) {
    if (eni.explicit.ipv6) continue
    const wanted = eni.interfaceType === 'interface' || ipv6.get(eni) === true
    interfaces.assign(
      eni,
      'ipv6Address',
      wanted ? derived(eni, subnet.cidrBlock, ipv6CidrBlock, taken) : undefined,
    )
  }
}

function derived(eni: NetworkInterface, cidr: Cidr, cidr6: Cidr, taken: ReadonlySet<string>) {
  const host = offsetIn(cidr, eni.privateIpAddress!)
  let address = addressAt(cidr6, host)
  for (let i = 1n; taken.has(addressText(address)); i++) address = addressAt(cidr6, host + (i << 32n))
  return address
}

function settleInside({ functions, insideCidr, insideIpv6Cidr, numbers }: Model): void {
  const environments = functions.environments()
  const automatic = environments.filter(({ explicit }) => !explicit.ipv4)
  const last = Math.min(sizeOf(insideCidr), sizeOf(insideIpv6Cidr)) - 2
  const room = last - INSIDE_ROUTER
  if (automatic.length > room)
    throw new ModelError(
      'InvalidParameterValue',
      'inside',
      `${automatic.length} environments need an inside address, and ${cidrText(insideCidr)} has ${room} for them`,
    )
  const chosen = numbers.takeAll(
    'inside',
    automatic.map(({ name }) => name),
    { from: INSIDE_ROUTER + 1, to: last },
  )
  for (const environment of environments) {
    const host = chosen.get(environment.name)
    if (host !== undefined) environment.insideAddress = addressAt(insideCidr, host)
    if (environment.explicit.ipv6) continue
    // Where only the IPv4 address was given, the whole of it is the host part.
    environment.insideIpv6Address = addressAt(insideIpv6Cidr, host ?? plainValue(environment.insideAddress!))
  }
}
