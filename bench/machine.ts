/** The machine a number was measured on. A number without it means nothing, so every result carries it. */
import { readFileSync } from 'node:fs'
import os from 'node:os'

export interface Machine {
  /** The processor's name for itself. */
  readonly cpu: string
  /** Cores this process may use. */
  readonly cores: number
  readonly memoryBytes: number
  /** The kernel's release. */
  readonly kernel: string
  readonly node: string
  readonly v2nVersion: string
  /** When the measurement began, ISO 8601 in UTC. */
  readonly date: string
}

/** Describes the machine, now. */
export function machine(): Machine {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return {
    cpu: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    node: process.version,
    v2nVersion: manifest.version,
    date: new Date().toISOString(),
  }
}

/** The machine in one line, for people. */
export const describe = (machine: Machine): string =>
  `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ` +
  `Linux ${machine.kernel}, Node ${machine.node}, v2n ${machine.v2nVersion}`
