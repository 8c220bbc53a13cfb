/**
 * Processes by identity: a pid alone may have been given to somebody else since it was written down, a pid with its start time
 * has not. Only a process whose identity was recorded by us is ever signalled.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that was seen running. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to its start: field 22 of /proc/PID/stat (proc(5)). */
  readonly start: number
}

/** Fields of /proc/PID/stat from the third on; the second may hold spaces and parentheses, so they are counted from its end. */
function statOf(pid: number): { state: string; start: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0], start: Number(fields[19]) }
  } catch {
    return null
  }
}

/** The identity of a running process, or null where there is none with this pid. */
export function identify(pid: number): ProcessIdentity | null {
  const stat = statOf(pid)
  return stat === null ? null : { pid, start: stat.start }
}

/** True while the process runs; a zombie does not. */
export function isAlive({ pid, start }: ProcessIdentity): boolean {
  const stat = statOf(pid)
  return stat !== null && stat.start === start && stat.state !== 'Z' && stat.state !== 'X'
}

/**
 * Signals a process that is still the one that was recorded.
 * @param options.group signal its whole process group; the process must be the group's leader
 * @returns false where it is gone
 */
export function signal(
  identity: ProcessIdentity,
  name: NodeJS.Signals,
  { group = false }: { group?: boolean } = {},
): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(group ? -identity.pid : identity.pid, name)
    return true
  } catch {
    return false
  }
}

/** Waits until the process is gone. False where it is not after so many milliseconds. */
export async function gone(identity: ProcessIdentity, milliseconds: number): Promise<boolean> {
  const end = Date.now() + milliseconds
  while (isAlive(identity)) {
    if (Date.now() >= end) return false
    await sleep(20)
  }
  return true
}

/** Ends a process: SIGTERM, and SIGKILL where it does not go in time. Returns when it is gone. */
export async function end(
  identity: ProcessIdentity,
  { group = false, graceMilliseconds = 5000 }: { group?: boolean; graceMilliseconds?: number } = {},
): Promise<void> {
  signal(identity, 'SIGTERM', { group })
  if (await gone(identity, graceMilliseconds)) return
  signal(identity, 'SIGKILL', { group })
  await gone(identity, 2000)
}
