/**
 * The `hosts` of a file: interfaces, each behind a device of its own, or a whole prefix of them behind one.
 */
import type * as z from 'zod'
import { addressAt, addressText, bits, type Cidr, cidrText, contains, offsetIn, sizeOf } from '../vpc/cidr.ts'
import type { Subnet } from '../vpc/resources.ts'
import { isReserved } from '../vpc/subnets.ts'
import {
  attachmentKind,
  checkMtu,
  DEFAULT_DEVICE,
  DEFAULT_MTU,
  groupIds,
  routedAttachment,
  type Surroundings,
  vpcOf,
} from './config-attachments.ts'
import type { Path } from './config-problems.ts'
import { hostSchema, namespaceAttachmentSchema, routedHostsSchema } from './config-schema.ts'
import { lookUp } from './config-vpc.ts'

/** Makes the hosts. The answer is their commands, by host. */
export function buildHosts(around: Surroundings, input: unknown): Map<string, string> {
  const { reader } = around
  const commands = new Map<string, string>()
  for (const [name, value] of reader.entries(input, ['hosts'], 'hosts')) {
    const shape = reader.parse(hostSchema, value, ['hosts', name])
    if (shape === undefined) continue
    if (shape.run !== undefined) commands.set(name, shape.run)
    buildHost(around, name, shape)
  }
  return commands
}

type HostShape = z.output<typeof hostSchema>
function buildHost(around: Surroundings, name: string, shape: HostShape): void {
  const { reader, model, prefix } = around
  const path = ['hosts', name]
  const kind = attachmentKind(reader, shape.attachment, path)
  const names = vpcOf(around, shape.vpc, path)
  const subnetId = names && lookUp(reader, names.subnets, shape.subnet, 'subnet', [...path, 'subnet'])
  const groups = groupIds(reader, names, shape.securityGroups, path)
  const subnet = subnetId === undefined ? undefined : model.subnets.get(subnetId)
  const mtu = shape.mtu ?? DEFAULT_MTU
  if (subnet?.ipv6CidrBlock !== undefined)
    checkMtu(reader, mtu, `subnet '${subnet.name}' is dual stack`, path)

  if (kind === 'routed') {
    const attachment = reader.parse(routedHostsSchema, shape.attachment, [...path, 'attachment'])
    for (const key of ['address', 'ipv6Address', 'run'] as const)
      if (shape[key] !== undefined)
        reader.report(
          'CFG_VALUE',
          [...path, key],
          'not for hosts behind a routed attachment, whose prefix says all',
        )
    if (attachment === undefined || subnet === undefined || groups === undefined) return
    buildRoutedHosts(around, name, { subnet, groups, mtu, ...attachment }, path)
    return
  }
  const attachment = reader.parse(namespaceAttachmentSchema, shape.attachment ?? { kind }, [
    ...path,
    'attachment',
  ])
  if (attachment === undefined || subnet === undefined || groups === undefined) return
  const made = reader.attempt(path, () =>
    model.attachments.create({
      side: 'hosts',
      kind: 'namespace',
      namespace: prefix + (attachment.namespace ?? name),
      device: attachment.device ?? DEFAULT_DEVICE,
      mtu,
      prefixes: [],
    }),
  )
  if (made === undefined) return
  const at = shape.address !== undefined ? [...path, 'address'] : path
  reader.attempt(at, () =>
    model.interfaces.create({
      name,
      subnetId: subnet.subnetId,
      groups,
      attachment: made.name,
      ...(shape.address !== undefined && { privateIpAddress: shape.address }),
      ...(shape.ipv6Address !== undefined && { ipv6Address: shape.ipv6Address }),
    }),
  )
}

interface RoutedHosts {
  readonly subnet: Subnet
  readonly groups: readonly string[]
  readonly mtu: number
  readonly namespace?: string | undefined
  readonly device: string
  readonly cidr: Cidr
}

function buildRoutedHosts(around: Surroundings, name: string, hosts: RoutedHosts, path: Path): void {
  const { reader, model } = around
  const { subnet, groups, mtu, namespace, device, cidr } = hosts
  const at = [...path, 'attachment', 'cidr']
  if (!contains(subnet.cidrBlock, cidr)) {
    reader.report(
      'CFG_VALUE',
      at,
      `${cidrText(cidr)} is not in subnet '${subnet.name}', ${cidrText(subnet.cidrBlock)}`,
    )
    return
  }
  const start = offsetIn(subnet.cidrBlock, cidr)
  const prefixes = [cidr]
  if (subnet.ipv6CidrBlock !== undefined)
    prefixes.push({ ...addressAt(subnet.ipv6CidrBlock, start), prefix: bits(6) - (bits(4) - cidr.prefix) })
  const made = routedAttachment(around, { side: 'hosts', namespace, device, mtu, prefixes }, path)
  if (made === undefined) return
  for (let i = 0; i < sizeOf(cidr); i++) {
    const address = addressAt(cidr, i)
    if (isReserved(subnet.cidrBlock, address)) continue
    const created = reader.attempt(at, () =>
      model.interfaces.create({
        name: `${name}/${addressText(address)}`,
        subnetId: subnet.subnetId,
        privateIpAddress: address,
        groups,
        description: name,
        attachment: made.name,
      }),
    )
    if (created === undefined) return
  }
}
