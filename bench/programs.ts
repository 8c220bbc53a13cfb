/**
 * Programs that a benchmark starts: bounded in time, ended with it, and never left behind.
 *
 * Each runs in a process group of its own, so that Ctrl-C reaches only the benchmark, which then ends what it started and takes
 * its namespaces down in order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Something that a person can mend; printed without a stack. */
export class BenchError extends Error {
  override readonly name = 'BenchError'
}

/** What a program runs under. */
export interface Limits {
  /** Longer, and it is killed: a failure. */
  readonly seconds: number
  /** Aborted, and it is killed. */
  readonly signal?: AbortSignal
}

const described = (command: readonly string[]): string => `\`${command.join(' ')}\``

/** Watches over a process: kills its group when the time is over or the signal says so. Answers how to stop watching. */
function guard(child: ChildProcess, { seconds, signal }: Limits, onTimeout: () => void): () => void {
  const kill = () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL')
  }
  const timer = setTimeout(() => {
    onTimeout()
    kill()
  }, seconds * 1000)
  signal?.addEventListener('abort', kill, { once: true })
  return () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', kill)
  }
}

/**
 * Runs a program to its end.
 * @returns its stdout
 * @throws BenchError with what it wrote, where it cannot be started, fails, or takes too long
 */
export function run(command: readonly string[], limits: Limits): Promise<string> {
  return new Promise((resolve, reject) => {
    limits.signal?.throwIfAborted()
    let late = false
    let output = ''
    let errors = ''
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    const release = guard(child, limits, () => {
      late = true
    })
    child.stdout.setEncoding('utf8').on('data', text => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      errors += text
    })
    child.on('error', error => {
      release()
      reject(new BenchError(`${described(command)} cannot be started: ${error.message}`))
    })
    child.on('close', (code, signal) => {
      release()
      if (code === 0) return resolve(output)
      if (limits.signal?.aborted) return reject(limits.signal.reason)
      const how = late ? `took longer than ${limits.seconds} s` : `ended with ${signal ?? code}`
      reject(new BenchError(`${described(command)} ${how}\n${(errors || output).trimEnd()}`))
    })
  })
}

/** A program that serves until its input ends. */
export interface Server {
  /** Ends its input, waits for it to go, and answers every line it wrote. */
  stop(): Promise<string[]>
}

/**
 * Starts a program and waits for the line that says it is ready.
 * @param ready matches that line
 * @throws BenchError where it ends before
 */
export async function serve(command: readonly string[], ready: RegExp, limits: Limits): Promise<Server> {
  limits.signal?.throwIfAborted()
  const lines: string[] = []
  let errors = ''
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const release = guard(child, limits, () => {})
  child.stdin.on('error', () => {})
  child.stderr.setEncoding('utf8').on('data', text => {
    errors += text
  })
  const ended = new Promise<void>(resolve => {
    child.on('error', error => {
      errors += error.message
      release()
      resolve()
    })
    child.on('close', () => {
      release()
      resolve()
    })
  })
  const isReady = new Promise<true>(resolve =>
    createInterface({ input: child.stdout }).on('line', line => {
      lines.push(line)
      if (ready.test(line)) resolve(true)
    }),
  )
  if (!(await Promise.race([isReady, ended]))) {
    limits.signal?.throwIfAborted()
    throw new BenchError(`${described(command)} ended early\n${errors || lines.join('\n')}`)
  }
  return {
    async stop() {
      child.stdin.end()
      await ended
      return lines
    },
  }
}

/**
 * Asks that programs be there.
 * @param wanted program ▶ the Debian package that brings it
 * @throws BenchError that names all the missing ones
 */
export async function requirePrograms(wanted: Record<string, string>): Promise<void> {
  const missing: string[] = []
  for (const program of Object.keys(wanted))
    await run(['sh', '-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${program}`], { seconds: 10 }).catch(() => {
      missing.push(program)
    })
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(program => wanted[program]))]
  throw new BenchError(`Missing: ${missing.join(', ')}. Install with: apt-get install ${packages.join(' ')}`)
}
