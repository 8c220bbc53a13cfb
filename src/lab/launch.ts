/** Starts a daemon in the background and waits until its packets flow. */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { request } from '../daemon/control.ts'
import type { RunDirectory } from '../daemon/directory.ts'
import { Failure } from '../daemon/failure.ts'
import { identify, type ProcessIdentity } from '../daemon/process.ts'

const PROGRAM = fileURLToPath(new URL('../cli/v2n.js', import.meta.url))

/* Ours to tune */
const START_MILLISECONDS = 60_000
const POLL_MILLISECONDS = 25

export interface LaunchOptions {
  readonly directory: RunDirectory
  /** The configuration. */
  readonly file: string
  readonly prefix: string
  readonly signal: AbortSignal | undefined
  /** Called as soon as there is a process. */
  readonly started: (identity: ProcessIdentity) => void
}

/**
 * Starts `v2n run` as a process of its own, which outlives this one, and returns when it answers.
 * @throws Failure with the daemon's own words where it ends instead
 */
export async function startDaemon({
  directory,
  file,
  prefix,
  signal,
  started,
}: LaunchOptions): Promise<void> {
  const log = openSync(directory.log, 'a', 0o600)
  const child = spawn(
    process.execPath,
    [
      PROGRAM,
      'run',
      '--config',
      file,
      '--run-dir',
      directory.path,
      '--prefix',
      prefix,
      '--log',
      directory.log,
    ],
    { detached: true, stdio: ['ignore', log, log], cwd: '/' },
  )
  closeSync(log)
  let ended: string | null = null
  child.on('error', error => {
    ended = error.message
  })
  child.on('exit', (code, name) => {
    ended ??= `ended with ${name ?? `status ${code}`}`
  })
  const identity = child.pid === undefined ? null : identify(child.pid)
  if (identity !== null) started(identity)
  const deadline = Date.now() + START_MILLISECONDS
  for (;;) {
    if (await answers(directory)) break
    if (ended !== null) throw new Failure(`The daemon ${ended}.`, lastWords(directory.log))
    if (signal?.aborted === true) throw new Failure('Interrupted.')
    if (Date.now() > deadline)
      throw new Failure(
        `The daemon was not ready after ${START_MILLISECONDS / 1000} seconds.`,
        lastWords(directory.log),
      )
    await sleep(POLL_MILLISECONDS)
  }
  child.unref()
}

async function answers(directory: RunDirectory): Promise<boolean> {
  try {
    await request(directory.socket, 'status')
    return true
  } catch {
    return false
  }
}

/** The reason in a daemon's log: what its last lines that are no log lines say, else its last error. */
function lastWords(path: string): string {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n').slice(-20)
  const plain = lines.filter(line => !line.startsWith('{'))
  return plain.length > 0 ? plain.slice(-4).join('\n') : (lines.pop() ?? '')
}
