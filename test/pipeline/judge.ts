/**
 * Judges what comes out of a burst, whatever the test is about.
 *
 * Checksums are right, unless the frame that went in had a wrong one: then that is wrong still. Nobody's hop count rises. What leaves towards the VPC
 * comes from an ENI or a router of it, and no address of an environment is seen there, not in a quotation either; what reaches an
 * environment is for an address of its own.
 */
import { DeviceKind } from '../../src/vpc/plan.ts'
import { describeFrame, quotedFrame, verifyFrame } from '../wire/verify.ts'
import type { Arrival, Net, Offload } from './net.ts'
import { read } from './packets.ts'

/** A frame without what lies behind its packet. */
function trimmed(frame: Uint8Array): Uint8Array {
  const end = frame[0] >>> 4 === 4 ? frame[2] * 256 + frame[3] : 40 + frame[4] * 256 + frame[5]
  return frame.subarray(0, Math.min(end, frame.length))
}

export class Judge {
  readonly #net: Net
  readonly #faults: string[] = []
  /** Whether any frame of the burst was wrong when it went in. */
  readonly #mayBeWrong: boolean
  readonly #wrong: readonly string[]
  readonly #mostHops: number
  /** Sources that hosts have written into the frames of the burst. */
  readonly #hostsSaid: ReadonlySet<string>

  constructor(
    net: Net,
    frames: readonly (readonly [from: string, frame: Uint8Array])[],
    { partial = false }: Offload,
  ) {
    this.#net = net
    const byHosts = frames.filter(([from]) => net.plan.devices.kind[net.device(from)] === DeviceKind.Hosts)
    this.#hostsSaid = new Set(
      byHosts.filter(([, frame]) => frame.length >= 40).map(([, frame]) => read(frame).source),
    )
    this.#wrong = frames.flatMap(([, frame]) => verifyFrame(trimmed(frame), { partial }))
    this.#mayBeWrong = this.#wrong.length > 0
    // An error of ours begins with 64 hops.
    this.#mostHops = Math.max(64, ...frames.map(([, frame]) => hopsOf(frame) - 1))
  }

  /** Judges a frame that came out to a device. */
  see({ to, frame, header }: Arrival, device: number): void {
    const { plan, names } = this.#net
    const wrong = verifyFrame(frame, { partial: (header[0] & 1) !== 0 })
    if (wrong.length > 0 && !this.#mayBeWrong) this.#say(frame, wrong.join(', '))
    if (this.#mayBeWrong && wrong.some(fault => !this.#wrong.includes(fault)))
      this.#say(frame, wrong.join(', '))
    const { source, destination, hops, protocol } = read(frame)
    if (hops < 1 || hops > this.#mostHops) this.#say(frame, `${hops} hops`)
    if (plan.devices.kind[device] === DeviceKind.Environments) {
      const own = names.environments
        .filter(environment => environment.device === device)
        .flatMap(({ address, ipv6Address }) => [address, ipv6Address])
      if (!own.includes(destination)) this.#say(frame, `${to} has no ${destination}`)
      return
    }
    const inVpc = new Set(names.enis.flatMap(({ address, ipv6Address }) => [address, ipv6Address ?? '']))
    const routers = new Set(this.#routers())
    // Any router may tell of an error, so a host may in any router's name.
    const isTold = protocol === 1 || protocol === 58
    if (!inVpc.has(source) && !routers.has(source) && !(isTold && this.#hostsSaid.has(source)))
      this.#say(frame, `${source} is no address of the VPC`)
    const quoted = quotedFrame(frame)
    if (quoted === undefined || quoted.length < 40) return
    // What the sender of a packet is told of it may quote what that sender wrote.
    if (this.#net.sent.some(sent => startsWith(sent, quoted))) return
    const inside = names.environments.flatMap(({ address, ipv6Address }) => [address, ipv6Address])
    const inner = read(quoted)
    for (const address of [inner.source, inner.destination])
      if (inside.includes(address) && !inVpc.has(address))
        this.#say(frame, `quotes ${address}, an inside address`)
  }

  #routers(): string[] {
    return this.#net.names.subnets.flatMap(({ cidrBlock, ipv6CidrBlock }) => [
      cidrBlock.replace(/\d+\/\d+$/, '1'),
      ...(ipv6CidrBlock === null ? [] : [`${ipv6CidrBlock.replace(/\/\d+$/, '')}1`]),
    ])
  }

  #say(frame: Uint8Array, what: string): void {
    this.#faults.push(`${what}: ${describeFrame(frame)}`)
  }

  /** @throws Error with everything that was wrong */
  close(): void {
    if (this.#faults.length > 0) throw new Error(this.#faults.join('\n'))
  }
}

function startsWith(frame: Uint8Array, start: Uint8Array): boolean {
  // Frames differ at their ends more often than at their beginnings.
  for (let at = start.length - 1; at >= 0; at--) if (frame[at] !== start[at]) return false
  return true
}

const hopsOf = (frame: Uint8Array): number => frame[frame[0] >>> 4 === 6 ? 7 : 8] ?? 0
