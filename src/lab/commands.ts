/**
 * The commands of a lab's hosts (`run:` in the lab file): started inside the host's namespace, ended with the lab.
 *
 * A command is a line for `sh -c`, started in the directory of the lab file as leader of a process group of its own; what it prints goes to
 * a file in the run directory. Its variable V2N_LAB, which its children inherit, tells at the end which processes in a namespace are the
 * lab's, even those that left the group.
 */
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunDirectory } from '../daemon/directory.ts'
import { Failure } from '../daemon/failure.ts'
import { end, identify, isAlive } from '../daemon/process.ts'
import { isOurs, processesIn, spawnIn, startedWith } from './namespaces.ts'
import type { LabState, OwnedCommand } from './state.ts'

/* Ours to tune */
/** A command that fails at once fails within this. */
const WATCH_MILLISECONDS = 150

const marker = (directory: RunDirectory): string => `V2N_LAB=${directory.path}`

/** Where the output of a host's command is. */
export const outputOf = (directory: RunDirectory, host: string): string =>
  join(directory.output, `${host}.log`)

/** A command as a listing shows it: its first line. */
export function oneLine(command: string): string {
  const [first, ...rest] = command.trim().split('\n')
  return rest.length === 0 ? first : `${first} …`
}

/**
 * Starts the command of a host.
 * @param file the lab file
 * @throws Failure where it cannot be started or ends at once with a status that is not 0
 */
export async function startCommand(
  directory: RunDirectory,
  file: string,
  host: string,
  namespace: string,
  command: string,
): Promise<OwnedCommand> {
  mkdirSync(directory.output, { recursive: true })
  const output = openSync(outputOf(directory, host), 'a', 0o600)
  const child = spawnIn(namespace, ['sh', '-c', command], {
    cwd: dirname(file),
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, V2N_LAB: directory.path },
  })
  closeSync(output)
  const failed = new Promise<string | null>(resolve => {
    child.on('error', error => resolve(error.message))
    child.on('exit', (code, name) => resolve(code === 0 ? null : `ended with ${name ?? `status ${code}`}`))
  })
  const identity = child.pid === undefined ? null : identify(child.pid)
  const words = await Promise.race([failed, sleep(WATCH_MILLISECONDS, null)])
  child.unref()
  if (words !== null || identity === null)
    throw new Failure(
      `${host}: the command ${JSON.stringify(oneLine(command))} ${words ?? 'could not be started'}.`,
      lastLine(directory, host),
    )
  return { host, namespace, command, ...identity }
}

function lastLine(directory: RunDirectory, host: string): string {
  try {
    return readFileSync(outputOf(directory, host), 'utf8').trimEnd().split('\n').pop() ?? ''
  } catch {
    return ''
  }
}

/** Ends a command with everything in its process group. */
export const endCommand = (command: OwnedCommand): Promise<void> =>
  end(command, { group: true, graceMilliseconds: 3000 })

/** Ends every process that a lab's command left behind in its namespaces. Answers the pids of others, which are left alone. */
export async function endLeftovers(directory: RunDirectory, state: LabState): Promise<number[]> {
  const others: number[] = []
  for (const namespace of state.namespaces.filter(isOurs)) {
    for (const pid of await processesIn(namespace.name)) {
      const identity = identify(pid)
      if (identity === null || !isAlive(identity)) continue
      if (startedWith(pid, marker(directory))) await end(identity, { graceMilliseconds: 1000 })
      else others.push(pid)
    }
  }
  return others
}
