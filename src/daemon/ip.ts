/**
 * The `ip` program of iproute2: namespaces, devices, addresses and routes, by execFile, never through a shell.
 *
 * A namespace is named as `ip netns` names it; null is the one the process runs in.
 */
import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { errnoOf, Failure } from './failure.ts'

/** Where `ip netns` keeps its names. */
export const NAMESPACES = '/run/netns'

/** The path that opens a namespace. */
export const namespacePath = (namespace: string): string => `${NAMESPACES}/${namespace}`

/**
 * Runs `ip` and answers what it printed.
 * @param input lines for `ip -batch -`
 * @throws Failure with the words of `ip`, or naming the package where it is missing
 */
export function ip(args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('ip', args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      if (errnoOf(error) === 'ENOENT')
        return reject(new Failure('The program ip is missing.', 'On Debian: apt install iproute2'))
      const words = stderr.trim().split('\n').slice(0, 3).join('; ') || error.message
      reject(new Failure(`ip ${args.join(' ')}: ${words}`))
    })
    child.stdin?.on('error', () => {}) // `ip` that ended early reports by its exit status
    child.stdin?.end(input ?? '')
  })
}

const inside = (namespace: string | null): string[] => (namespace === null ? [] : ['-n', namespace])

/** Runs commands of `ip` in one process, inside a namespace; the first that fails ends it. */
export async function ipBatch(namespace: string | null, commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await ip([...inside(namespace), '-batch', '-'], `${commands.join('\n')}\n`)
}

/** Which namespace this is, for as long as it lives: the inode of its file. Null where no namespace has the name. */
export function namespaceInode(namespace: string): number | null {
  try {
    return statSync(namespacePath(namespace)).ino
  } catch {
    return null
  }
}

/** A device as `ip` sees it. */
export interface Link {
  readonly index: number
  readonly kind: string
  readonly mtu: number
  readonly up: boolean
  /** Only where kind is `tun`. */
  readonly multiQueue: boolean
  readonly vnetHeader: boolean
  /** Queues that a process has open now. */
  readonly queues: number
}

interface LinkJson {
  readonly ifindex: number
  readonly mtu: number
  readonly flags: readonly string[]
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: {
      readonly multi_queue?: boolean
      readonly vnet_hdr?: boolean
      readonly numqueues?: number
    }
  }
}

/** The device of that name in a namespace, or null. */
export async function linkOf(namespace: string | null, device: string): Promise<Link | null> {
  let text: string
  try {
    text = await ip([...inside(namespace), '-j', '-d', 'link', 'show', 'dev', device])
  } catch (error) {
    if (error instanceof Failure && /does not exist|Cannot find device/i.test(error.message)) return null
    throw error
  }
  const links: readonly LinkJson[] = JSON.parse(text)
  const link = links[0]
  if (link === undefined) return null
  const data = link.linkinfo?.info_data
  return {
    index: link.ifindex,
    kind: link.linkinfo?.info_kind ?? 'other',
    mtu: link.mtu,
    up: link.flags.includes('UP'),
    multiQueue: data?.multi_queue ?? false,
    vnetHeader: data?.vnet_hdr ?? false,
    queues: data?.numqueues ?? 0,
  }
}

/** Removes a device; false where there was none. */
export async function deleteLink(namespace: string | null, device: string): Promise<boolean> {
  if ((await linkOf(namespace, device)) === null) return false
  await ip([...inside(namespace), 'link', 'delete', 'dev', device])
  return true
}
