/**
 * The small things that every script here does: say what runs and how long it took, run a program, walk a folder.
 *
 * Nothing from npm is imported, since these run before anything is installed. What they say goes to stderr: stdout belongs
 * to the program that was asked for.
 */
import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of package.json. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** Something a person can mend, said in whole sentences; printed without a stack. */
export class Complaint extends Error {
  name = 'Complaint'
}

/**
 * Runs one step and prints one line with its time. A step that answers `false` had nothing to do.
 * @param {string} name
 * @param {() => unknown} work may be asynchronous
 * @param {{ quiet?: boolean }} [options] quiet: a step that had nothing to do prints nothing
 */
export async function step(name, work, { quiet = false } = {}) {
  const began = performance.now()
  const tty = process.stderr.isTTY
  if (tty) process.stderr.write(`${name} …`)
  let outcome = 'failed'
  try {
    outcome = (await work()) === false ? 'up to date' : 'done'
  } finally {
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    if (tty) process.stderr.write('\r\x1b[K')
    if (!quiet || outcome !== 'up to date') process.stderr.write(`${name}: ${outcome} (${seconds} s)\n`)
  }
}

/**
 * Runs a program to its end. Its output is kept, and shown only where it fails.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>} what it wrote, stdout and stderr together
 * @throws {Complaint} with its output, where it does not exit with 0
 */
export function run(program, args, { cwd = root, env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', text => (output += text))
    child.stderr.setEncoding('utf8').on('data', text => (output += text))
    child.on('error', error => reject(new Complaint(`${program} cannot be started: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output)
      const how = signal ? `was ended by ${signal}` : `exited with ${code}`
      reject(new Complaint(`${output.trimEnd()}\n\`${program} ${args.join(' ')}\` ${how}.`))
    })
  })
}

/**
 * Every file under a folder whose name ends so, sorted; none where the folder is missing.
 * @param {string} folder absolute
 * @param {string} ending
 * @returns {string[]} absolute paths
 */
export function filesUnder(folder, ending) {
  let entries
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true })
  } catch (error) {
    if (error.code === 'ENOENT') return []
    throw error
  }
  return entries
    .filter(entry => entry.isFile() && entry.name.endsWith(ending))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

/** Milliseconds of a file's last change, or undefined where there is none. */
export const changedAt = path => statSync(path, { throwIfNoEntry: false })?.mtimeMs

/**
 * Runs a script's main function: a complaint is printed as its sentences, anything else with its stack, and both exit with 1.
 * @param {() => Promise<number | void>} main answers the exit status
 */
export async function start(main) {
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    process.stderr.write(`${error instanceof Complaint ? error.message : (error?.stack ?? error)}\n`)
    process.exitCode = 1
  }
}
