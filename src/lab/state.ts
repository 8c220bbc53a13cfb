/**
 * What a lab made, written down before it is made, so that it can be taken away whatever happened in between.
 *
 * The file lies in the run directory. A namespace is ours while the inode recorded is the one its name has; a process
 * is ours while its pid has the start time recorded. An entry without an inode was about to be made when the lab was
 * interrupted: nobody had the name then, so what has it now is ours too.
 */
import { readFileSync } from 'node:fs'
import { errnoOf, Failure, unreadable } from '../daemon/failure.ts'
import { writeWhole } from '../daemon/files.ts'
import type { ProcessIdentity } from '../daemon/process.ts'

export interface OwnedNamespace {
  readonly name: string
  readonly inode: number | null
}

/** A host's command that the lab started, leader of its own process group. */
export interface OwnedCommand extends ProcessIdentity {
  /** The host's name in the lab file. */
  readonly host: string
  readonly namespace: string
  readonly command: string
}

export interface LabState {
  readonly version: 1
  /** Absolute path of the lab file. */
  readonly file: string
  /** Put before every name to make the name of its namespace. */
  readonly prefix: string
  readonly namespaces: readonly OwnedNamespace[]
  readonly commands: readonly OwnedCommand[]
  readonly daemon: ProcessIdentity | null
}

/** The state of a lab that has made nothing yet. */
export const emptyState = (file: string, prefix: string): LabState => ({
  version: 1,
  file,
  prefix,
  namespaces: [],
  commands: [],
  daemon: null,
})

/**
 * The state in a file, or null where there is none.
 * @throws Failure where the file is not one of ours
 */
export function readLabState(path: string): LabState | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return null
    throw unreadable(path, error)
  }
  const state = parse(text)
  if (state === null)
    throw new Failure(`${path} is not the state of a lab.`, 'Take down by hand what it made.')
  return state
}

function parse(text: string): LabState | null {
  try {
    const state = JSON.parse(text) as LabState
    return state.version === 1 && Array.isArray(state.namespaces) && Array.isArray(state.commands)
      ? state
      : null
  } catch {
    return null
  }
}

/** Writes the state, as a whole. */
export const writeLabState = (path: string, state: LabState): void =>
  writeWhole(path, `${JSON.stringify(state, null, 2)}\n`)
