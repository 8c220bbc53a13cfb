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

/**
 * Runs commands of `ip` in one process, inside a namespace; the first that fails ends it.
 * @param family commands that show routes show those of this one
 * @returns the JSON that each command printed, of those that printed any
 */
export async function ipBatch(
  namespace: string | null,
  commands: readonly string[],
  family: 4 | 6 = 4,
): Promise<unknown[]> {
  const route = family === 6 ? ['-6'] : []
  const text = await ip(
    [...inside(namespace), ...route, '-j', '-d', '-batch', '-'],
    `${commands.join('\n')}\n`,
  )
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => JSON.parse(line) as unknown)
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
  /** Queues of a TUN device that a process has open now. */
  readonly queues: number
}

/** An address that a device of the namespace has. */
export interface LinkAddress {
  readonly device: string
  readonly address: string
}

interface LinkJson {
  readonly ifindex: number
  readonly ifname: string
  readonly linkinfo?: {
    readonly info_kind?: string
    readonly info_data?: { readonly numqueues?: number }
  }
  readonly addr_info?: readonly { readonly local: string }[]
}

interface RouteJson {
  readonly dev?: string
}

const linkFrom = ({ ifindex, linkinfo }: LinkJson): Link => ({
  index: ifindex,
  kind: linkinfo?.info_kind ?? 'other',
  queues: linkinfo?.info_data?.numqueues ?? 0,
})

/** What is in a namespace: its devices by name, their addresses, and the devices of its default routes. */
export interface Contents {
  readonly links: ReadonlyMap<string, Link>
  readonly addresses: readonly LinkAddress[]
  /** Empty text for a route over several devices. */
  readonly defaultRoutes: readonly string[]
}

/** Looks into a namespace. */
export async function contentsOf(namespace: string | null): Promise<Contents> {
  const [[devices = [], routes4 = []], [routes6 = []]] = (await Promise.all([
    ipBatch(namespace, ['addr show', 'route show default']),
    ipBatch(namespace, ['route show default'], 6),
  ])) as [[LinkJson[]?, RouteJson[]?], [RouteJson[]?]]
  return {
    links: new Map(devices.map(device => [device.ifname, linkFrom(device)])),
    addresses: devices.flatMap(({ ifname, addr_info = [] }) =>
      addr_info.map(({ local }) => ({ device: ifname, address: local })),
    ),
    defaultRoutes: [...routes4, ...routes6].map(({ dev }) => dev ?? ''),
  }
}

/** The device of that name in a namespace, or null. */
export async function linkOf(namespace: string | null, device: string): Promise<Link | null> {
  try {
    const [links] = (await ipBatch(namespace, [`link show dev ${device}`])) as [LinkJson[]?]
    return links?.[0] === undefined ? null : linkFrom(links[0])
  } catch (error) {
    if (error instanceof Failure && /does not exist|Cannot find device/i.test(error.message)) return null
    throw error
  }
}
