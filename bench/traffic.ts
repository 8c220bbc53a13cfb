/**
 * Traffic over a road, measured where it arrives.
 *
 * UDP: `native/flood.c` sends on the first core as fast as it can, `native/sink.c` reads its socket on the last. Only packets
 * that the receiving program has read count, within the stretch of time when both ran at speed: the first part of the flood is
 * left out, in which tables fill and threads wake. TCP: one iperf3 stream, the bits that its receiver got, its first second left out.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BenchError, run, serve } from './programs.ts'
import type { Road } from './topology.ts'

const sources = fileURLToPath(new URL('../../bench/native/', import.meta.url))
const builds = fileURLToPath(new URL('../../bench/build/', import.meta.url))

/** IPv4 and UDP headers, RFC 791 and RFC 768. */
const HEADERS = 28
/** Of the flood, left out at its start. */
const WARM_UP_SECONDS = 0.5
const PORT = 9000
/** What starting and ending programs may take on a busy machine. */
const SLACK_SECONDS = 20

/**
 * Compiles a tool of `native/`, unless it is newer than its source.
 * @returns its path
 * @throws BenchError with the compiler's words
 */
export async function compiled(tool: string): Promise<string> {
  const source = join(sources, `${tool}.c`)
  const program = join(builds, tool)
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(builds, { recursive: true })
    await run(['cc', '-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source], { seconds: 60 })
  }
  return program
}

/** How to flood. */
export interface Flood {
  /** Measured time, after the warm-up. */
  readonly seconds: number
  /** Bytes of an IP packet, with its headers. */
  readonly packetBytes: number
  /** Source ports in turn. */
  readonly flows: number
}

/** Seconds that `udp` takes. */
export const udpSeconds = (flood: Flood): number => flood.seconds + WARM_UP_SECONDS + 0.5

/** Seconds that `tcp` takes. */
export const tcpSeconds = (seconds: number): number => seconds + 1.5

/** What one flood did. */
export interface Delivery {
  /** Packets a second that the receiving program read. */
  readonly delivered: number
  /** Packets a second that the sender's kernel took. */
  readonly sent: number
}

/**
 * Floods a road with UDP packets.
 * @throws BenchError where nothing arrives
 */
export async function udp(road: Road, flood: Flood, signal?: AbortSignal): Promise<Delivery> {
  const [flooder, sink] = [await compiled('flood'), await compiled('sink')]
  const whole = flood.seconds + WARM_UP_SECONDS
  const limits = { seconds: whole + SLACK_SECONDS, ...(signal && { signal }) }
  const inside = (namespace: string, ...command: (string | number)[]) => [
    'ip',
    'netns',
    'exec',
    namespace,
    ...command.map(String),
  ]
  const lastCore = os.cpus().length - 1

  const server = await serve(inside(road.receiver, sink, PORT, limits.seconds, lastCore), /^ready$/, limits)
  let report: string
  let lines: string[]
  try {
    report = await run(
      inside(road.sender, flooder, road.address, PORT, whole, flood.packetBytes - HEADERS, flood.flows, 0),
      limits,
    )
  } finally {
    lines = await server.stop()
  }
  const { beganNs, endedNs, sent } = JSON.parse(report) as { beganNs: number; endedNs: number; sent: number }
  const delivered = rateWithin(lines.slice(1), beganNs + WARM_UP_SECONDS * 1e9, endedNs)
  if (!(delivered > 0))
    throw new BenchError(`No packet arrived in ${road.receiver}; ${sent} were sent from ${road.sender}.`)
  return { delivered, sent: sent / ((endedNs - beganNs) / 1e9) }
}

/**
 * The mean rate over a stretch of time, of a count that was noted now and then.
 * @param lines two numbers each: nanoseconds, and the count by then
 * @returns a second; NaN where fewer than two notes lie within
 */
export function rateWithin(lines: readonly string[], beganNs: number, endedNs: number): number {
  const notes = lines
    .map(line => line.split(' ').map(Number))
    .filter(([at]) => at >= beganNs && at <= endedNs)
  if (notes.length < 2) return Number.NaN
  const [first, last] = [notes[0], notes[notes.length - 1]]
  return ((last[1] - first[1]) / (last[0] - first[0])) * 1e9
}

/**
 * Sends one TCP stream over a road.
 * @returns bits a second that the receiver got
 * @throws BenchError where no connection comes about
 */
export async function tcp(road: Road, seconds: number, signal?: AbortSignal): Promise<number> {
  const limits = { seconds: seconds + SLACK_SECONDS, ...(signal && { signal }) }
  const inside = (namespace: string, command: string) => [
    'ip',
    'netns',
    'exec',
    namespace,
    ...command.split(' '),
  ]
  const server = await serve(
    inside(road.receiver, 'iperf3 --server --one-off --forceflush'),
    /^Server listening/,
    limits,
  )
  try {
    const answer = await run(
      inside(
        road.sender,
        `iperf3 --client ${road.address} --time ${seconds} --omit 1 --json --connect-timeout 5000`,
      ),
      limits,
    )
    return JSON.parse(answer).end.sum_received.bits_per_second
  } finally {
    await server.stop()
  }
}
