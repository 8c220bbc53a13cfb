/**
 * The two roads that the wire benchmark compares, from one sender to one receiver in network namespaces of their own:
 *
 *     v2n      sender ─TUN─ V2N lab ─TUN─ receiver           a function's environment and a host
 *     kernel   sender ─veth─ router ─veth─ receiver          the router masquerades with nftables
 *
 * Both are one hop, translate the sender's source address to one of the receiver's network, track every flow, and keep the MTU
 * of 1500. Names carry the process id, so that two benchmarks do not meet; each road takes away what it made.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './programs.ts'

export interface Road {
  /** Namespace that the traffic starts in. */
  readonly sender: string
  /** Namespace that it goes to. */
  readonly receiver: string
  /** The receiver's IPv4 address. */
  readonly address: string
  /** Takes away everything that the road is made of. */
  remove(): Promise<void>
}

const MTU = 1500
const COMMAND_SECONDS = 20
const LAB_SECONDS = 60

const ip = (line: string, signal?: AbortSignal): Promise<string> =>
  run(['ip', ...line.split(' ')], { seconds: COMMAND_SECONDS, ...(signal && { signal }) })

/** Does one thing after the other, each even where the one before failed; then throws the first failure. */
async function all(works: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const work of works) await work().catch(error => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/**
 * Lays the kernel's road.
 * @throws BenchError where a command fails; what was made by then is gone
 */
export async function kernelRoad(signal?: AbortSignal): Promise<Road> {
  const name = `v2nbench${process.pid}-kernel`
  const [sender, router, receiver] = [`${name}-s`, `${name}-r`, `${name}-d`]
  const made: string[] = []
  const road: Road = {
    sender,
    receiver,
    address: '10.99.2.2',
    remove: () => all(made.splice(0).map(namespace => () => ip(`netns delete ${namespace}`))),
  }
  try {
    for (const namespace of [sender, router, receiver]) {
      await ip(`netns add ${namespace}`, signal)
      made.push(namespace)
      await ip(`-n ${namespace} link set lo up`, signal)
    }
    await link(sender, 'out', '10.99.1.2/24', router, 'in', '10.99.1.1/24', signal)
    await link(receiver, 'in', '10.99.2.2/24', router, 'out', '10.99.2.1/24', signal)
    await ip(`-n ${sender} route add default via 10.99.1.1`, signal)
    const inRouter = (...command: string[]) =>
      run(['ip', 'netns', 'exec', router, ...command], {
        seconds: COMMAND_SECONDS,
        ...(signal && { signal }),
      })
    await inRouter('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
    await inRouter(
      'nft',
      'add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }; ' +
        'add rule ip nat out oifname "out" masquerade',
    )
    return road
  } catch (error) {
    await road.remove().catch(() => {})
    throw error
  }
}

/** Joins two namespaces by a pair of veth devices. */
async function link(
  near: string,
  nearDevice: string,
  nearAddress: string,
  far: string,
  farDevice: string,
  farAddress: string,
  signal?: AbortSignal,
): Promise<void> {
  await ip(
    `-n ${near} link add ${nearDevice} mtu ${MTU} type veth peer name ${farDevice} mtu ${MTU} netns ${far}`,
    signal,
  )
  await ip(`-n ${near} address add ${nearAddress} dev ${nearDevice}`, signal)
  await ip(`-n ${far} address add ${farAddress} dev ${farDevice}`, signal)
  await ip(`-n ${near} link set ${nearDevice} up`, signal)
  await ip(`-n ${far} link set ${farDevice} up`, signal)
}

/** The lab of V2N's road: one function with one environment, one host that lets everything of that function in. */
const labFile = (name: string, daemon: string): string => `
lab: { name: ${name}, prefix: ${name}- }
daemon: ${daemon}
vpc:
  cidr: 10.98.0.0/16
  subnets:
    app: { cidr: 10.98.1.0/24, az: a }
  securityGroups:
    sender: { egress: [ { protocol: all, to: 0.0.0.0/0 } ] }
    receiver: { ingress: [ { protocol: all, from: sg:sender } ] }
hosts:
  d: { subnet: app, address: 10.98.1.20, securityGroups: [receiver] }
functions:
  s: { subnets: [app], securityGroups: [sender], environments: 1 }
`

/** How the daemon of V2N's road runs. */
export interface Shards {
  /** Threads. */
  readonly shards: number
  /** Cores that they are pinned to, in turn; none to let them wander. */
  readonly cores: readonly number[]
}

/**
 * Brings a V2N lab up.
 * @throws BenchError where `v2n lab up` fails; the lab is taken down then
 */
export async function v2nRoad({ shards, cores }: Shards, signal?: AbortSignal): Promise<Road> {
  const name = `v2nbench${process.pid}`
  const folder = mkdtempSync(join(tmpdir(), 'v2n-bench-'))
  const file = join(folder, 'lab.yaml')
  const pin = cores.length === 0 ? 'false' : `[${cores.join(', ')}]`
  writeFileSync(file, labFile(name, `{ shards: ${shards}, pin: ${pin} }`))
  const v2n = fileURLToPath(new URL('../src/cli/v2n.js', import.meta.url))
  const lab = (verb: string, limits: { signal?: AbortSignal } = {}) =>
    run([process.execPath, v2n, 'lab', verb, file], { seconds: LAB_SECONDS, ...limits })
  const road: Road = {
    sender: `${name}-s-1`,
    receiver: `${name}-d`,
    address: '10.98.1.20',
    async remove() {
      await lab('down').finally(() => rmSync(folder, { recursive: true, force: true }))
    },
  }
  try {
    await lab('up', signal && { signal })
    return road
  } catch (error) {
    await road.remove().catch(() => {})
    throw error
  }
}
