/**
 * `npm test`: prepares the checkout, then runs the tests with tap on the compiled files.
 *
 *     node scripts/test.mjs            everything
 *     node scripts/test.mjs nat/ports  the files whose path holds this text
 *
 * Tests of parts run two at a time. Those in test/system make network namespaces and send real traffic, which needs root and the
 * machine for itself: they run afterwards, one by one. The last line counts assertions, as tap does: what ran, nothing else.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { createInterface } from 'node:readline'
import { prepare } from './prepare.mjs'
import { Complaint, filesUnder, root, run, start, step } from './steps.mjs'

const tap = join(root, 'node_modules/tap/dist/esm/run.mjs')

/** tap builds its test class once for the plugins in .taprc; doing so beforehand keeps the first test from running without. */
async function buildTap() {
  const built = join(root, 'node_modules/@tapjs/test/test-built/dist/esm/index.js')
  if (existsSync(built) && !/@tapjs\/typescript['"]/.test(readFileSync(built, 'utf8'))) return false
  await run(process.execPath, [tap, 'build'])
}

/**
 * Follows a TAP stream: prints a line for each file, and everything of a file that fails.
 *
 * A file is a subtest at the outermost level, so its result is an unindented line; `# { total: …}` at the end is tap's own count.
 */
class Follower {
  counts = undefined
  files = 0
  #pending = []
  #failing = false

  line(text) {
    const result = /^(not )?ok \d+ - (.*)$/.exec(text)
    const summary = /^# (\{ total: .*\})$/.exec(text)
    if (summary) {
      this.counts = {}
      for (const [, key, value] of summary[1].matchAll(/(\w+): (\d+)/g)) this.counts[key] = Number(value)
    } else if (result) {
      this.files++
      this.#failing = result[1] !== undefined
      if (this.#failing) console.log(this.#pending.join('\n'))
      const [, name, time] = /^(?:dist\/)?(\S+)(?: # time=([\d.]+)ms)?/.exec(result[2])
      const seconds = time === undefined ? '' : ` (${(time / 1000).toFixed(1)} s)`
      console.log(
        `${this.#failing ? 'FAILED' : 'ok    '} ${name}${/ # SKIP/.test(text) ? ' skipped' : ''}${seconds}`,
      )
      this.#pending = []
    } else if (/^# Subtest: /.test(text)) {
      this.#failing = false
      this.#pending = [text]
    } else if (this.#failing) {
      // What follows a failed file explains it: how it ended.
      if (/^ {2}(exitCode|signal|expired): (?!null)/.test(text)) console.log(text)
    } else this.#pending.push(text)
  }
}

/**
 * Runs test files under tap.
 * @returns {Promise<{ pass: number, fail: number, skip: number, files: number }>} assertions, as tap counts them
 */
function runFiles(files, { jobs, timeoutSeconds }) {
  return new Promise((resolve, reject) => {
    const args = [tap, '--reporter=tap', `--jobs=${jobs}`, `--timeout=${timeoutSeconds}`, ...files]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    const follower = new Follower()
    createInterface({ input: child.stdout }).on('line', text => follower.line(text))
    const pass = signal => child.kill(signal)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, pass)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, pass)
      const { pass: passed = 0, fail = 0, skip = 0, todo = 0 } = follower.counts ?? {}
      // A run that ended badly, or left a file out, has failed whatever was counted.
      const broken = code !== 0 || follower.counts === undefined || follower.files < files.length
      if (broken && fail === 0)
        console.log(`tap ended with ${signal ?? code} after ${follower.files} of ${files.length} files`)
      resolve({
        pass: passed,
        fail: broken ? Math.max(fail, 1) : fail,
        skip: skip + todo,
        files: follower.files,
      })
    })
  })
}

await start(async () => {
  const began = performance.now()
  const filter = process.argv[2] ?? ''
  await prepare({ quiet: true })
  await step('tap', buildTap, { quiet: true })

  const every = filesUnder(join(root, 'dist/test'), '.test.js').map(path => relative(root, path))
  const chosen = every.filter(path => path.includes(filter.replace(/\.ts$/, '')))
  if (chosen.length === 0) throw new Complaint(`No test file's path holds '${filter}'.`)
  const isSystem = path => path.startsWith(join('dist', 'test', 'system') + sep)
  const parts = chosen.filter(path => !isSystem(path))
  const systems = chosen.filter(isSystem)

  const results = []
  if (parts.length > 0) results.push(await runFiles(parts, { jobs: 2, timeoutSeconds: 120 }))
  if (systems.length > 0 && process.getuid() === 0)
    results.push(await runFiles(systems, { jobs: 1, timeoutSeconds: 300 }))
  else if (systems.length > 0) {
    console.log(
      `The ${systems.length} files of test/system make network namespaces, which needs root: not run, so failed.`,
    )
    results.push({ pass: 0, fail: systems.length, skip: 0, files: 0 })
  }

  const sum = key => results.reduce((total, result) => total + result[key], 0)
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`\nAssertions of ${sum('files')} test files, ${seconds} s:`)
  const skipped = sum('skip') > 0 ? `, ${sum('skip')} skipped` : ''
  console.log(`${sum('pass')} passed, ${sum('fail')} failed${skipped}`)
  return sum('fail') === 0 ? 0 : 1
})
