/**
 * What a daemon has to remember beside its regions: which number is whose, the keys of its hashes, which devices it made.
 *
 * Regions hold numbers and hashes, so state and regions belong together: a region without its state is of no use. The file is replaced as a
 * whole before anything that it speaks of is done. Observers read the names in it, so a listing needs no answer of the daemon.
 */
import { getRandomValues } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { KEY_WORDS } from '../shard/messages.ts'
import type { PlanNames } from '../vpc/names.ts'
import type { NumbersJson } from '../vpc/numbers.ts'
import type { OwnedDevice } from './devices.ts'
import { errnoOf, Failure, unreadable } from './failure.ts'
import { writeWhole } from './files.ts'

export interface DaemonState {
  readonly version: 1
  /** Absolute path of the configuration in force. */
  readonly config: string
  readonly prefix: string
  /** What the regions were made for. */
  readonly shards: number
  readonly flows: number
  /** KEY_WORDS words, base64. */
  readonly keys: string
  readonly numbers: NumbersJson
  readonly names: PlanNames
  /** Devices that the daemon made, or was about to make when it was interrupted. */
  readonly devices: readonly OwnedDevice[]
}

/** Fresh secret words. */
export function newKeys(): Int32Array {
  return getRandomValues(new Int32Array(KEY_WORDS))
}

/** Secret words as the state file has them. */
export const keysText = (keys: Int32Array): string =>
  Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength).toString('base64')

/** The words of `keysText`. */
export function keysOf(text: string): Int32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'))
  return new Int32Array(bytes.buffer, 0, KEY_WORDS)
}

/**
 * The state in a file, or null where there is none.
 * @throws Failure where the file is not one of ours
 */
export function readState(path: string): DaemonState | null {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return null
    throw unreadable(path, error)
  }
  try {
    const state = JSON.parse(text) as DaemonState
    if (state.version === 1 && typeof state.keys === 'string' && Array.isArray(state.devices)) return state
  } catch {
    // Said below.
  }
  throw new Failure(
    `${path} is not the state of a daemon of this version.`,
    'Remove the run directory to begin anew; flows that it holds are lost.',
  )
}

/** Writes the state, as a whole. */
export const writeState = (path: string, state: DaemonState): void =>
  writeWhole(path, `${JSON.stringify(state)}\n`)
