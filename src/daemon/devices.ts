/**
 * Attachments as devices: what a daemon makes in a namespace, and what it refuses to touch.
 *
 * An attachment of kind `namespace` is an environment or a host with a TUN device of its own: the daemon makes the device, gives it the
 * addresses, sets it up, and leads the namespace's default routes through it. One of kind `routed` is a TUN device behind which a whole
 * prefix is reached: the daemon makes it and sets it up; addresses and routes there are the operator's.
 *
 * Devices persist: they, their addresses and routes outlive the daemon, so that a restart is a pause and no more. Which ones are ours is
 * written down with the namespace's inode and the device's index, since names come back. Whatever else has the name is refused and not touched.
 *
 * The kernel makes no link-local IPv6 address on these devices (`addrgenmode none`), hence no router solicitations and no multicast
 * reports: a device at rest sends nothing.
 */

import { ALL_OFFLOADS, openTun } from '../io/tun.ts'
import type { DeviceNames } from '../vpc/names.ts'
import { Failure } from './failure.ts'
import { contentsOf, ipBatch, linkOf, namespaceInode, namespacePath } from './ip.ts'

/** An attachment, as the names of a plan have it. */
export type Attachment = DeviceNames

/** A device that this daemon made. */
export interface OwnedDevice {
  readonly namespace: string | null
  /** Inode of the namespace's file when the device was made, null for the daemon's own. */
  readonly inode: number | null
  readonly deviceName: string
  /** Of the device in its namespace; null where it was about to be made. */
  readonly index: number | null
  readonly mtu: number
  readonly addresses: readonly string[]
}

/** Where an attachment is, as people say it. */
export const placeOf = ({ namespace, deviceName }: Pick<Attachment, 'namespace' | 'deviceName'>): string =>
  namespace === null ? `device ${deviceName}` : `device ${deviceName} in namespace ${namespace}`

const inodeOf = (namespace: string | null): number | null =>
  namespace === null ? null : namespaceInode(namespace)

/** The record of ours that the attachment's device is, or undefined. The device itself may be gone meanwhile. */
export const ownedAt = (
  owned: readonly OwnedDevice[],
  { namespace, deviceName }: Pick<Attachment, 'namespace' | 'deviceName'>,
): OwnedDevice | undefined =>
  owned.find(
    one => one.namespace === namespace && one.deviceName === deviceName && one.inode === inodeOf(namespace),
  )

/** The record of a device that is about to be made: nobody has the name, so what will have it is ours. */
export const intentOf = ({ namespace, deviceName, mtu }: Attachment): OwnedDevice => ({
  namespace,
  inode: inodeOf(namespace),
  deviceName,
  index: null,
  mtu,
  addresses: [],
})

/**
 * Checks one attachment against what is there, touching nothing.
 * @throws Failure naming the namespace, device, address or route that is in the way
 */
export async function checkAttachment(attachment: Attachment, owned: readonly OwnedDevice[]): Promise<void> {
  const { name, namespace, deviceName, addresses, kind } = attachment
  if (namespace !== null && namespaceInode(namespace) === null)
    throw new Failure(
      `${name}: there is no namespace ${namespace}.`,
      `Make it (ip netns add ${namespace}), or use v2n lab up, which makes them.`,
    )
  const contents = await contentsOf(namespace)
  const link = contents.links.get(deviceName)
  const known = ownedAt(owned, attachment)
  const ours = known !== undefined && (known.index === null || known.index === link?.index)
  if (link !== undefined && !ours)
    throw new Failure(
      `${name}: ${placeOf(attachment)} exists and is not ours (${link.kind}, index ${link.index}); it is left alone.`,
      `Remove it (ip ${namespace === null ? '' : `-n ${namespace} `}link delete ${deviceName}) or name another device.`,
    )
  if (link !== undefined && link.queues > 0)
    throw new Failure(`${name}: ${placeOf(attachment)} is in use by another process.`)
  if (kind !== 'namespace') return
  const wanted = new Set(addresses.map(address => address.split('/')[0]))
  const taken = contents.addresses.find(({ device, address }) => device !== deviceName && wanted.has(address))
  if (taken !== undefined)
    throw new Failure(
      `${name}: the address ${taken.address} is on device ${taken.device} of namespace ${namespace}, which is not ours; it is left alone.`,
    )
  const foreign = contents.defaultRoutes.find(device => device !== deviceName)
  if (foreign !== undefined)
    throw new Failure(
      `${name}: namespace ${namespace} has a default route through ${foreign || 'several devices'}, which is not ours; it is left alone.`,
      'Attach to a namespace without a default route, or make this attachment a routed one.',
    )
}

/**
 * Opens a queue of the device for each shard; the device is made where it is missing.
 * @returns the descriptors, indexed by shard
 * @throws SystemCallError
 */
export function openQueues({ namespace, deviceName }: Attachment, shards: number): readonly number[] {
  const tun = openTun({
    namespace: namespace === null ? '' : namespacePath(namespace),
    name: deviceName,
    queues: shards,
    offloads: ALL_OFFLOADS,
    persist: true,
  })
  return tun.queues
}

/**
 * Gives a device that was just opened its size, addresses and routes, and sets it up. Doing it again changes nothing.
 * @param before the addresses that it had from us, of which those not wanted any more are taken away
 * @returns the record that makes it ours
 */
export async function configureDevice(
  attachment: Attachment,
  before: readonly string[] = [],
): Promise<OwnedDevice> {
  const { kind, namespace, deviceName, mtu, addresses } = attachment
  const commands = [`link set dev ${deviceName} addrgenmode none`, `link set dev ${deviceName} mtu ${mtu} up`]
  if (kind === 'namespace') {
    for (const address of before)
      if (!addresses.includes(address)) commands.push(`addr delete ${address} dev ${deviceName}`)
    for (const address of addresses)
      commands.push(`addr replace ${address} dev ${deviceName}${address.includes(':') ? ' nodad' : ''}`)
    if (addresses.some(address => !address.includes(':')))
      commands.push(`route replace 0.0.0.0/0 dev ${deviceName}`)
    if (addresses.some(address => address.includes(':')))
      commands.push(`route replace ::/0 dev ${deviceName}`)
  }
  const [links] = (await ipBatch(namespace, [...commands, `link show dev ${deviceName}`])) as [
    readonly { readonly ifindex: number }[],
  ]
  return { namespace, inode: inodeOf(namespace), deviceName, index: links[0].ifindex, mtu, addresses }
}

/** Removes a device of ours. False where it is gone, or where another has its name now; that one is not touched. */
export async function removeDevice(owned: OwnedDevice): Promise<boolean> {
  if (owned.namespace !== null && namespaceInode(owned.namespace) !== owned.inode) return false
  const link = await linkOf(owned.namespace, owned.deviceName)
  if (link === null || (owned.index !== null && link.index !== owned.index)) return false
  await ipBatch(owned.namespace, [`link delete dev ${owned.deviceName}`])
  return true
}
