/**
 * What hosts and functions of a file have in common: the device that they are behind, and the names that they refer to.
 */
import { IPV6_MINIMUM_MTU } from '../vpc/attachments.ts'
import { type Address, addressText, type Cidr } from '../vpc/cidr.ts'
import type { Model } from '../vpc/model.ts'
import type { Attachment } from '../vpc/resources.ts'
import { isLinkLocal4, isLinkLocal6, isMartianSource4, isMartianSource6 } from '../wire/address.ts'
import type { Path } from './config-problems.ts'
import type { ConfigReader } from './config-reader.ts'
import { attachmentKindSchema } from './config-schema.ts'
import { lookUp, type VpcNames } from './config-vpc.ts'

/** The MTU of a device that states none. */
export const DEFAULT_MTU = 1500
/** The device in a namespace of its own that states none. */
export const DEFAULT_DEVICE = 'v2n0'
/** What building hosts and functions needs to know. */
export interface Surroundings {
  readonly reader: ConfigReader
  readonly model: Model
  readonly vpcs: ReadonlyMap<string, VpcNames>
  /** Put before the names of namespaces. */
  readonly prefix: string
}

interface RoutedAttachment {
  readonly side: Attachment['side']
  readonly namespace: string | undefined
  readonly device: string
  readonly mtu: number
  readonly prefixes: readonly Cidr[]
}

/** The device of a routed attachment, made or joined. */
export function routedAttachment(
  { reader, model, prefix }: Surroundings,
  { namespace, ...rest }: RoutedAttachment,
  path: Path,
): Attachment | undefined {
  return reader.attempt([...path, 'attachment'], () =>
    model.attachments.create({
      kind: 'routed',
      ...rest,
      ...(namespace !== undefined && { namespace: prefix + namespace }),
    }),
  )
}

/** What kind of attachment is meant; a wrong kind is reported when the attachment is read. */
export function attachmentKind(reader: ConfigReader, input: unknown, path: Path): 'namespace' | 'routed' {
  if (input === undefined) return 'namespace'
  const kind = attachmentKindSchema.safeParse(input)
  if (!kind.success && typeof input === 'object' && input !== null && 'cidr' in input && !('kind' in input))
    reader.report(
      'CFG_MISSING',
      [...path, 'attachment'],
      'kind is missing; an attachment with a cidr is of kind routed',
    )
  return kind.success ? kind.data.kind : 'namespace'
}

/** The VPC that a host or function is in: the only one, or the one it names. */
export function vpcOf(
  { reader, vpcs }: Surroundings,
  name: string | undefined,
  path: Path,
): VpcNames | undefined {
  const known = Array.from(vpcs.keys()).join(', ')
  if (name === undefined) {
    if (vpcs.size === 1) return vpcs.values().next().value
    // A file without any VPC is reported once, for the whole of it.
    if (vpcs.size > 1) reader.report('CFG_MISSING', [...path, 'vpc'], `is missing; expected one of ${known}`)
    return undefined
  }
  if (vpcs.size > 0 && !vpcs.has(name))
    reader.report('CFG_REFERENCE', [...path, 'vpc'], `there is no VPC '${name}'; expected one of ${known}`)
  return vpcs.get(name)
}

/** Ids of the groups; none given are none here. Undefined where one is not there. */
export function groupIds(
  reader: ConfigReader,
  names: VpcNames | undefined,
  groups: readonly string[] | undefined,
  path: Path,
): string[] | undefined {
  if (names === undefined) return undefined
  const ids = (groups ?? []).map((group, i) =>
    lookUp(reader, names.securityGroups, group, 'security group', [...path, 'securityGroups', i]),
  )
  return allKnown(ids) ? ids : undefined
}

/** Whether every name was found. */
export const allKnown = (ids: readonly (string | undefined)[]): ids is string[] =>
  ids.every(id => id !== undefined)

/** Reports an MTU that is too small for IPv6. */
export function checkMtu(reader: ConfigReader, mtu: number, why: string, path: Path): void {
  if (mtu < IPV6_MINIMUM_MTU)
    reader.report(
      'CFG_VALUE',
      [...path, 'mtu'],
      `${mtu} is too small for IPv6, and ${why}; expected at least ${IPV6_MINIMUM_MTU} (RFC 8200 section 5)`,
    )
}

/** Reports an address that no packet to be forwarded may come from. */
export function checkUnicast(reader: ConfigReader, { family, words }: Address, path: Path): void {
  const [a, b, c, d] = words
  const bad =
    family === 4 ? isMartianSource4(a) || isLinkLocal4(a) : isMartianSource6(a, b, c, d) || isLinkLocal6(a)
  if (bad)
    reader.report(
      'CFG_VALUE',
      path,
      `${addressText({ family, words })} is not an address that packets are forwarded from`,
    )
}
