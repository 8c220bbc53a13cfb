/** The network namespaces of a lab: made, entered and removed by the names that `ip netns` gives them. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { errnoOf, Failure } from '../daemon/failure.ts'
import { ip, ipBatch, namespaceInode } from '../daemon/ip.ts'
import type { OwnedNamespace } from './state.ts'

/** The longest name of a file, which is what a namespace's name is. */
const NAME_MAX = 255

/**
 * Checks that a namespace of this name can be made, touching nothing.
 * @throws Failure where the name is taken or no name
 */
export function checkName(name: string): void {
  if (!/^[A-Za-z0-9_.-]+$/.test(name) || name.length > NAME_MAX || name === '.' || name === '..')
    throw new Failure(
      `${JSON.stringify(name)} cannot be the name of a namespace: letters, digits, '_', '.' and '-' can.`,
    )
  if (namespaceInode(name) !== null)
    throw new Failure(
      `The namespace ${name} exists and is not ours; it is left alone.`,
      `Rename the host or function, remove the namespace (ip netns delete ${name}), or put a prefix before all names: --prefix lab-`,
    )
}

/** Makes a namespace with its loopback device up. */
export async function makeNamespace(name: string): Promise<OwnedNamespace> {
  await ip(['netns', 'add', name])
  await ipBatch(name, ['link set dev lo up'])
  return { name, inode: namespaceInode(name) }
}

/** True while the name is that of the namespace that was recorded. */
export const isOurs = ({ name, inode }: OwnedNamespace): boolean => {
  const now = namespaceInode(name)
  return now !== null && (inode === null || inode === now)
}

/** Removes a namespace with its devices; false where it is gone, or where the name is another namespace's now. */
export async function removeNamespace(owned: OwnedNamespace, devices: readonly string[]): Promise<boolean> {
  if (!isOurs(owned)) return false
  // A process that is still in the namespace keeps it alive without a name; our devices go in any case.
  for (const device of devices) await ipBatch(owned.name, [`link delete dev ${device}`]).catch(() => '')
  await ip(['netns', 'delete', owned.name])
  return true
}

/** Pids of the processes in a namespace. */
export async function processesIn(name: string): Promise<number[]> {
  const text = await ip(['netns', 'pids', name])
  return text.split('\n').filter(Boolean).map(Number)
}

/** Whether a process has this variable in the environment it was started with. */
export function startedWith(pid: number, variable: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(variable)
  } catch {
    return false
  }
}

/** Starts a program inside a namespace, without a shell. */
export const spawnIn = (namespace: string, command: readonly string[], options: SpawnOptions): ChildProcess =>
  spawn('ip', ['netns', 'exec', namespace, ...command], options)

/**
 * Runs a program inside a namespace on this terminal and answers its exit status, 128 + n where signal n ended it.
 * @throws Failure where `ip` is missing
 */
export function runIn(namespace: string, command: readonly string[]): Promise<number> {
  const child = spawnIn(namespace, command, { stdio: 'inherit' })
  // The terminal sends its signals to the child too; this process waits for what the child makes of them.
  const wait = () => {}
  for (const name of ['SIGINT', 'SIGQUIT'] as const) process.on(name, wait)
  const pass = (name: NodeJS.Signals) => child.kill(name)
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.on(name, pass)
  return new Promise((resolve, reject) => {
    child.on('error', error => {
      const missing = errnoOf(error) === 'ENOENT'
      reject(missing ? new Failure('The program ip is missing.', 'On Debian: apt install iproute2') : error)
    })
    child.on('close', (code, name) => resolve(name === null ? (code ?? 1) : 128 + constants.signals[name]))
  }).finally(() => {
    for (const name of ['SIGINT', 'SIGQUIT'] as const) process.off(name, wait)
    for (const name of ['SIGTERM', 'SIGHUP'] as const) process.off(name, pass)
  }) as Promise<number>
}
