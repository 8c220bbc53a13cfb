/** What the process may do: whether the capabilities that V2N lives from are there. */
import { readFileSync } from 'node:fs'
import { Failure } from './failure.ts'

/* capabilities(7) */
const CAPABILITIES: readonly (readonly [bit: number, name: string])[] = [
  [12, 'CAP_NET_ADMIN'],
  [21, 'CAP_SYS_ADMIN'],
]

/** The names of the capabilities that are missing to make devices in namespaces. */
export function missingCapabilities(): string[] {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))
  const effective = BigInt(`0x${line?.[1] ?? '0'}`)
  return CAPABILITIES.filter(([bit]) => ((effective >> BigInt(bit)) & 1n) === 0n).map(([, name]) => name)
}

/**
 * Returns where the process may make devices and enter namespaces.
 * @param what the command as the user typed it, for the sentence
 * @throws Failure naming what is missing
 */
export function needPrivilege(what: string): void {
  const missing = missingCapabilities()
  if (missing.length === 0) return
  throw new Failure(`${what} needs root: ${missing.join(' and ')} missing.`, `Try: sudo ${what}`)
}
