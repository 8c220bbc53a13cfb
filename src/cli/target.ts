/** Which daemon a verb means: `--run-dir DIR`, a file, or the only one that runs. */
import { type Command, Option } from 'commander'
import { chooseDirectory, type RunDirectory } from '../daemon/directory.ts'
import { Failure } from '../daemon/failure.ts'
import { type DaemonState, readState } from '../daemon/state.ts'

export interface TargetOptions {
  readonly file?: string
  readonly runDir?: string
}

/** Adds the options that choose a daemon. */
export const withTarget = (command: Command): Command =>
  command
    .addOption(new Option('-f, --file <file>', 'the lab or configuration file of the daemon meant'))
    .addOption(runDirOption())

/** `--run-dir DIR`, or V2N_RUN_DIR. */
export const runDirOption = (): Option =>
  new Option('--run-dir <dir>', 'run directory (default: /run/v2n/NAME, NAME from the file)').env(
    'V2N_RUN_DIR',
  )

/**
 * The run directory that the options choose.
 * @throws Failure where there is none or more than one
 */
export const targetOf = (options: TargetOptions): RunDirectory =>
  chooseDirectory({ file: options.file, runDir: options.runDir })

/** What the daemon of the run directory wrote down. @throws Failure where none ever ran there */
export function stateOf(directory: RunDirectory): DaemonState {
  const state = readState(directory.state)
  if (state === null) throw new Failure(`No daemon ran on ${directory.path}.`, 'Start one: v2n lab up FILE')
  return state
}

/** `--prefix TEXT`. */
export const prefixOption = (): Option =>
  new Option('--prefix <text>', "put before the names of all namespaces (default: the file's lab.prefix)")
