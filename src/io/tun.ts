/**
 * TUN devices with one queue a shard.
 *
 * A frame on a queue is a virtio-net header of 12 bytes and an IP packet (IFF_VNET_HDR, IFF_NO_PI). The device is made in
 * its namespace by opening its first queue; a persistent device outlives its queues, so a daemon that comes back opens
 * the queues of the device it left. Offloads belong to the device: what is switched on, the kernel may hand over undone.
 */
import { VNET_LEN } from '../tables/slab.ts'
import { check, closeDescriptor, native, SystemCallError } from './native.ts'

/** Bits of TUNSETOFFLOAD, linux/if_tun.h. The USO bits are missing from headers older than Linux 6.2. */
export const Offload = {
  Checksum: 0x01,
  Tso4: 0x02,
  Tso6: 0x04,
  TsoEcn: 0x08,
  Uso4: 0x20,
  Uso6: 0x40,
} as const

/** Everything a shard translates as it is: checksums, TCP and UDP super-frames. */
export const ALL_OFFLOADS = Offload.Checksum | Offload.Tso4 | Offload.Tso6 | Offload.Uso4 | Offload.Uso6

/* linux/if_tun.h */
const IFF_TUN = 0x0001
const IFF_MULTI_QUEUE = 0x0100
const IFF_PERSIST = 0x0800
const IFF_NO_PI = 0x1000
const IFF_VNET_HDR = 0x4000
const FLAGS = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE

/* Ours to tune */
/** Frames a queue holds. The kernel's own 500 overflow in every pause of a shard. */
export const QUEUE_LENGTH = 4096

const EINVAL = -22

export interface TunOptions {
  /** Path of the network namespace such as `/run/netns/web`; empty for the own one. */
  readonly namespace?: string
  readonly name: string
  /** One a shard, 1 to 256. */
  readonly queues?: number
  /** Bits of Offload to ask for. */
  readonly offloads?: number
  /** The device stays when its last queue is closed. */
  readonly persist?: boolean
  /** Frames a queue holds before it drops. */
  readonly queueLength?: number
}

export interface Tun {
  /** One descriptor a queue, in the order of the queues. Close each with `closeDescriptor`. */
  readonly queues: readonly number[]
  /** The offloads that the kernel took, out of those asked for. */
  readonly offloads: number
}

/** What stands under a name in a namespace. */
export type LinkKind = 'none' | 'tun' | 'tap' | 'other'
const KINDS: readonly LinkKind[] = ['none', 'tun', 'tap', 'other']

const where = (namespace: string, name: string): string =>
  namespace === ''
    ? `TUN device ${name}`
    : `TUN device ${name} in namespace ${namespace.replace(/^.*\//, '')}`

/**
 * Opens every queue of a device, which is made where it is missing.
 * @throws SystemCallError; EBUSY where queues of a device with one queue are in use, EINVAL where the name is another kind of
 *   device's or the device was made with other flags. Nothing stays open then.
 */
export function openTun(options: TunOptions): Tun {
  const { namespace = '', name, queues = 1, persist = false, queueLength = QUEUE_LENGTH } = options
  const device = where(namespace, name)
  const opened: number[] = []
  try {
    for (let queue = 0; queue < queues; queue++)
      opened.push(check(native.tunOpen(namespace, name, FLAGS, VNET_LEN), `open ${device}`))
    check(native.tunQueueLength(namespace, name, queueLength), `set the queue length of ${device}`)
    const offloads = setOffloads(opened[0], options.offloads ?? 0, device)
    check(native.tunPersist(opened[0], Number(persist)), `make ${device} ${persist ? '' : 'not '}persistent`)
    return { queues: opened, offloads }
  } catch (error) {
    for (const descriptor of opened) native.close(descriptor)
    throw error
  }
}

/** Asks for offloads, for fewer where the kernel knows not all. USO4 and USO6 come both or not at all. */
function setOffloads(descriptor: number, wanted: number, device: string): number {
  const without = wanted & ~(Offload.Uso4 | Offload.Uso6)
  for (const flags of new Set([wanted, without, without & Offload.Checksum, 0])) {
    const result = native.tunOffload(descriptor, flags)
    if (result >= 0) return flags
    if (result !== EINVAL) check(result, `set the offloads of ${device}`)
  }
  throw new SystemCallError(`set the offloads of ${device}`, EINVAL, 'ioctl TUNSETOFFLOAD')
}

/** What stands under a name in a namespace (path as in TunOptions). @throws SystemCallError where the namespace is missing */
export function linkKind(namespace: string, name: string): LinkKind {
  return KINDS[check(native.tunKind(namespace, name), `look for ${where(namespace, name)}`)]
}

/** True where the device of a queue stays when its last queue is closed. */
export function isPersistent(descriptor: number): boolean {
  return (check(native.tunFlags(descriptor), `ask for the flags of a TUN device`) & IFF_PERSIST) !== 0
}

/**
 * Deletes a persistent device: at once where nobody has a queue of it open, else when the last is closed.
 * A device that is missing is deleted already.
 * @throws SystemCallError; EINVAL where the name is another kind of device's, which is left alone
 */
export function deleteTun(namespace: string, name: string): void {
  if (linkKind(namespace, name) === 'none') return
  const device = where(namespace, name)
  const descriptor = check(native.tunOpen(namespace, name, FLAGS, VNET_LEN), `open ${device}`)
  try {
    check(native.tunPersist(descriptor, 0), `delete ${device}`)
  } finally {
    closeDescriptor(descriptor)
  }
}
