/**
 * The `functions` of a file, with their environments: each behind a device of its own, or a whole prefix of them behind one.
 */
import type * as z from 'zod'
import { addressAfter, addressAt, cidrText, sizeOf } from '../vpc/cidr.ts'
import type { FunctionConfiguration } from '../vpc/resources.ts'
import {
  allKnown,
  attachmentKind,
  checkMtu,
  checkUnicast,
  DEFAULT_DEVICE,
  DEFAULT_MTU,
  groupIds,
  routedAttachment,
  type Surroundings,
  vpcOf,
} from './config-attachments.ts'
import type { Path } from './config-problems.ts'
import { functionSchema, namespaceAttachmentSchema, routedEnvironmentsSchema } from './config-schema.ts'
import { lookUp } from './config-vpc.ts'

/** The most environments behind one prefix. */
const MAXIMUM_PREFIX = 65536

/** Makes the functions and their environments. */
export function buildFunctions(around: Surroundings, input: unknown): void {
  for (const [name, value] of around.reader.entries(input, ['functions'], 'functions')) {
    const shape = around.reader.parse(functionSchema, value, ['functions', name])
    if (shape !== undefined) buildFunction(around, name, shape)
  }
}

type FunctionShape = z.output<typeof functionSchema>

function buildFunction(around: Surroundings, name: string, shape: FunctionShape): void {
  const { reader, model } = around
  const path = ['functions', name]
  const kind = attachmentKind(reader, shape.attachment, path)
  const names = vpcOf(around, shape.vpc, path)
  const subnetIds = shape.subnets.map((subnet, i) =>
    names === undefined
      ? undefined
      : lookUp(reader, names.subnets, subnet, 'subnet', [...path, 'subnets', i]),
  )
  const groups = groupIds(reader, names, shape.securityGroups, path)
  const mtu = shape.mtu ?? DEFAULT_MTU
  if (shape.ipv6) checkMtu(reader, mtu, 'the function may use IPv6', path)
  const at = [...path, 'attachment']
  const routed = kind === 'routed' ? reader.parse(routedEnvironmentsSchema, shape.attachment, at) : undefined
  const own =
    kind === 'namespace'
      ? reader.parse(namespaceAttachmentSchema, shape.attachment ?? { kind }, at)
      : undefined
  for (const key of ['address', 'ipv6Address'] as const) {
    const given = shape[key]
    if (given === undefined) continue
    if (kind === 'routed')
      reader.report(
        'CFG_VALUE',
        [...path, key],
        'not for a routed attachment, whose prefix gives the addresses',
      )
    checkUnicast(reader, given, [...path, key])
  }
  if ((routed ?? own) === undefined || groups === undefined || !allKnown(subnetIds)) return

  const { vpcId } = names!.vpc!
  const wanted = groups.length > 0 ? groups : [model.vpcs.get(vpcId).defaultSecurityGroupId]
  const created = reader.attempt(path, () =>
    model.functions.create({
      functionName: name,
      vpcConfig: { subnetIds, securityGroupIds: wanted, ipv6AllowedForDualStack: shape.ipv6 ?? false },
      echo: shape.echo ?? false,
    }),
  )
  if (created === undefined) return
  if (routed !== undefined) buildRoutedEnvironments(around, created, { ...shape, mtu }, routed, path)
  if (own !== undefined) buildEnvironments(around, created, { ...shape, mtu }, own, path)
}

type NamespaceAttachment = z.output<typeof namespaceAttachmentSchema>
type RoutedEnvironments = z.output<typeof routedEnvironmentsSchema>

function buildEnvironments(
  { reader, model, prefix }: Surroundings,
  { functionName }: FunctionConfiguration,
  { environments = 1, mtu, address, ipv6Address }: FunctionShape & { readonly mtu: number },
  attachment: NamespaceAttachment,
  path: Path,
): void {
  for (let index = 0; index < environments; index++) {
    const made = reader.attempt(path, () => {
      const { name } = model.attachments.create({
        side: 'environments',
        kind: 'namespace',
        namespace: `${prefix}${attachment.namespace ?? functionName}-${index + 1}`,
        device: attachment.device ?? DEFAULT_DEVICE,
        mtu,
        prefixes: [],
      })
      return model.functions.createEnvironment({
        functionName,
        index,
        attachment: name,
        ...(address !== undefined && { insideAddress: addressAfter(address, index) }),
        ...(ipv6Address !== undefined && { insideIpv6Address: addressAfter(ipv6Address, index) }),
      })
    })
    if (made === undefined) return
  }
}

function buildRoutedEnvironments(
  around: Surroundings,
  { functionName }: FunctionConfiguration,
  shape: FunctionShape & { readonly mtu: number },
  { namespace, device, cidr, ipv6Cidr }: RoutedEnvironments,
  path: Path,
): void {
  const { reader, model } = around
  const at = [...path, 'attachment']
  const environments = shape.environments ?? sizeOf(cidr)
  const before = reader.problems.length
  checkUnicast(reader, cidr, [...at, 'cidr'])
  if (ipv6Cidr !== undefined) checkUnicast(reader, ipv6Cidr, [...at, 'ipv6Cidr'])
  if (shape.ipv6 && ipv6Cidr === undefined)
    reader.report(
      'CFG_MISSING',
      [...at, 'ipv6Cidr'],
      'is missing; a function with IPv6 behind a routed attachment needs it',
    )
  if (environments > MAXIMUM_PREFIX)
    reader.report(
      'CFG_VALUE',
      [...at, 'cidr'],
      `${environments} environments are more than ${MAXIMUM_PREFIX}`,
    )
  for (const [key, block] of [
    ['cidr', cidr],
    ['ipv6Cidr', ipv6Cidr],
  ] as const)
    if (block !== undefined && sizeOf(block) < environments)
      reader.report(
        'CFG_VALUE',
        [...at, key],
        `${cidrText(block)} has no room for ${environments} environments`,
      )
  if (reader.problems.length > before) return

  const prefixes = ipv6Cidr === undefined ? [cidr] : [cidr, ipv6Cidr]
  const made = routedAttachment(
    around,
    { side: 'environments', namespace, device, mtu: shape.mtu, prefixes },
    path,
  )
  if (made === undefined) return
  for (let index = 0; index < environments; index++) {
    const created = reader.attempt(path, () =>
      model.functions.createEnvironment({
        functionName,
        index,
        attachment: made.name,
        insideAddress: addressAt(cidr, index),
        ...(ipv6Cidr !== undefined && { insideIpv6Address: addressAt(ipv6Cidr, index) }),
      }),
    )
    if (created === undefined) return
  }
}
