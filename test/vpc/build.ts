/**
 * Short ways to say addresses and to make a small VPC, for the tests of this folder.
 */
import * as values from '../../src/daemon/config-values.ts'
import type { Address, Cidr } from '../../src/vpc/cidr.ts'
import { Model, type ModelOptions } from '../../src/vpc/model.ts'
import type { Peer, Permission } from '../../src/vpc/resources.ts'

export const cidr = (text: string): Cidr => values.block.parse(text)
export const address = (text: string): Address => values.address(text.includes(':') ? 6 : 4).parse(text)
export const word = (text: string): number => address(text).words[0]
export const words = (text: string): Int32Array => Int32Array.from(address(text).words)

export const TCP = 6
export const UDP = 17
export const ICMP = 1
export const ALL = -1

/** A permission for a block, or for a group where the peer begins with `sg-`. */
export function permission(ipProtocol: number, peer: string, fromPort = -1, toPort = fromPort): Permission {
  const named: Peer = peer.startsWith('sg-') ? { groupId: peer } : { cidr: cidr(peer) }
  return { ipProtocol, fromPort, toPort, peer: named }
}

/** A VPC 10.0.0.0/16 with the dual-stack subnet `app`, the IPv4 subnet `old`, and the group `fn`. */
export function smallModel(options: ModelOptions = {}) {
  const model = new Model(options)
  const vpc = model.vpcs.create({ name: 'main', cidrBlock: cidr('10.0.0.0/16') })
  const { vpcId } = vpc
  model.vpcs.associateIpv6CidrBlock(vpcId, cidr('fd00::/56'))
  const app = model.subnets.create({
    vpcId,
    name: 'app',
    cidrBlock: cidr('10.0.1.0/24'),
    ipv6CidrBlock: cidr('fd00:0:0:1::/64'),
  })
  const old = model.subnets.create({ vpcId, name: 'old', cidrBlock: cidr('10.0.2.0/28') })
  const fn = model.securityGroups.create({ vpcId, groupName: 'fn', description: 'functions' })
  return { model, vpc, app, old, fn }
}

/** A device in a namespace of its own; the answer is its name. */
export const device = (model: Model, namespace: string, side: 'hosts' | 'environments' = 'hosts'): string =>
  model.attachments.create({ side, kind: 'namespace', namespace, device: 'v2n0', mtu: 1500, prefixes: [] })
    .name

/** A host in a namespace of its own. */
export function host(
  model: Model,
  name: string,
  subnetId: string,
  given: string | undefined,
  groups: string[] = [],
) {
  const attachment = device(model, name)
  const privateIpAddress = given === undefined ? {} : { privateIpAddress: address(given) }
  return model.interfaces.create({ name, subnetId, groups, attachment, ...privateIpAddress })
}

/** A function with environments in namespaces of their own. */
export function lambda(
  model: Model,
  functionName: string,
  subnetIds: string[],
  securityGroupIds: string[],
  { environments = 1, ipv6 = false, echo = false } = {},
) {
  const vpcConfig = { subnetIds, securityGroupIds, ipv6AllowedForDualStack: ipv6 }
  const created = model.functions.create({ functionName, vpcConfig, echo })
  for (let index = 0; index < environments; index++) {
    const attachment = device(model, `${functionName}-${index + 1}`, 'environments')
    model.functions.createEnvironment({ functionName, index, attachment })
  }
  return created
}
