/**
 * Attachments: the TUN devices, and what is reached through each.
 *
 * Of kind `namespace`: one environment or one host, in a namespace of its own. Of kind `routed`: whole prefixes of
 * environments, or of hosts, behind one device in a given namespace or the machine's own. A device carries either
 * environments or hosts, and hosts of one VPC only, since a shard tells from the device alone which way a packet goes.
 */
import { cidrText, overlaps } from './cidr.ts'
import { ModelError } from './errors.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { Attachment } from './resources.ts'

/** The smallest MTU that carries IPv6: RFC 8200 section 5. */
export const IPV6_MINIMUM_MTU = 1280
/** The smallest MTU of an IPv4 link: RFC 791, section 3.1. */
export const IPV4_MINIMUM_MTU = 68
/** The largest IP packet. */
export const MAXIMUM_MTU = 65535

/** The name of a device in a namespace, or in the machine's own. */
export const attachmentName = (namespace: string | undefined, device: string): string =>
  `${namespace ?? ''}/${device}`

export class Attachments {
  readonly #model: Model
  readonly #attachments = new Map<string, Attachment>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * Adds a device. A routed one that is there already, on the same side and with the same MTU, gets the further prefixes.
   * @throws ModelError Attachment.Conflict where the device is taken or a prefix overlaps; InvalidParameterValue for an impossible MTU
   */
  create(request: Omit<Attachment, 'name'>): Attachment {
    const { kind, side, namespace, device, mtu } = request
    const name = attachmentName(namespace, device)
    if (!Number.isInteger(mtu) || mtu < IPV4_MINIMUM_MTU || mtu > MAXIMUM_MTU)
      throw new ModelError(
        'InvalidParameterValue',
        name,
        `MTU ${mtu} is not between ${IPV4_MINIMUM_MTU} and ${MAXIMUM_MTU}`,
      )
    const where =
      namespace === undefined
        ? `device ${device} of the machine`
        : `device ${device} in namespace ${namespace}`
    const existing = this.#attachments.get(name)
    if (existing !== undefined) {
      if (kind !== 'routed' || existing.kind !== 'routed')
        throw new ModelError('Attachment.Conflict', name, `${where} is used twice`)
      if (existing.side !== side)
        throw new ModelError(
          'Attachment.Conflict',
          name,
          `${where} cannot carry ${side} beside ${existing.side}`,
        )
      if (existing.mtu !== mtu)
        throw new ModelError('Attachment.Conflict', name, `${where} has MTU ${existing.mtu} and ${mtu}`)
      for (const prefix of request.prefixes) {
        const other = existing.prefixes.find(other => overlaps(other, prefix))
        if (other !== undefined)
          throw new ModelError(
            'Attachment.Conflict',
            name,
            `${cidrText(prefix)} overlaps ${cidrText(other)}, which is behind ${where} already`,
          )
      }
      existing.prefixes = [...existing.prefixes, ...request.prefixes]
      return existing
    }
    const created: Attachment = { ...request, name }
    this.#attachments.set(name, created)
    return created
  }

  /** @throws ModelError Attachment.NotFound */
  get(name: string): Attachment {
    const found = this.#attachments.get(name)
    if (found === undefined)
      throw new ModelError('Attachment.NotFound', name, `there is no attachment ${name}`)
    return found
  }

  /** All attachments, by name. */
  all(): Attachment[] {
    return Array.from(this.#attachments.values()).sort((a, b) => byCodeUnits(a.name, b.name))
  }

  /**
   * Takes a device away.
   * @throws ModelError Attachment.NotFound; DependencyViolation while an environment or a host is behind it
   */
  delete(name: string): void {
    this.get(name)
    const { functions, interfaces } = this.#model
    const user =
      functions.environments().find(({ attachment }) => attachment === name)?.name ??
      interfaces.all().find(({ attachment }) => attachment === name)?.name
    if (user !== undefined)
      throw new ModelError('DependencyViolation', name, `'${user}' is attached to ${name}`)
    this.#attachments.delete(name)
  }

  /**
   * Checks that something of a side, and for hosts of a VPC, can be behind the attachment.
   * @throws ModelError Attachment.NotFound; Attachment.Conflict
   */
  checkSide(name: string, side: Attachment['side'], vpcId?: string): void {
    const attachment = this.get(name)
    if (attachment.side !== side)
      throw new ModelError('Attachment.Conflict', name, `${name} carries ${attachment.side}, not ${side}`)
    if (vpcId === undefined) return
    const known = this.#vpcs.get(attachment) ?? vpcId
    if (known !== vpcId)
      throw new ModelError(
        'Attachment.Conflict',
        name,
        `${name} carries hosts of ${known}, not of ${vpcId} as well`,
      )
    this.#vpcs.set(attachment, known)
  }

  /** The VPC of the hosts behind an attachment; undefined where there is none yet. */
  vpcOf(attachment: Attachment): string | undefined {
    return this.#vpcs.get(attachment)
  }

  readonly #vpcs = new Map<Attachment, string>()
}
