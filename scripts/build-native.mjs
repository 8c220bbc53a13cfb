/**
 * Builds the native addon with node-gyp, offline: Node's headers are those that came with this Node.
 *
 *     node scripts/build-native.mjs [--sanitize] [--quiet]
 *
 * `--sanitize` builds a second copy with the address sanitizer, in native-bindings/build-asan. To run something on it:
 *
 *     LD_PRELOAD=$(c++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 V2N_NATIVE=asan node …
 *
 * A build is skipped while the sources, Node's ABI and the compiler's flags are those of the last one.
 */
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Complaint, root, run, start } from './steps.mjs'

const folder = join(root, 'native-bindings')
const gyp = join(root, 'node_modules/node-gyp/bin/node-gyp.js')

/** What a build needs, and the Debian package that brings it. */
const tools = [
  ['c++', 'g++'],
  ['make', 'make'],
  ['python3', 'python3'],
]

function requireTools() {
  const paths = (process.env.PATH ?? '').split(delimiter)
  const missing = tools.filter(([program]) => !paths.some(path => existsSync(join(path, program))))
  if (missing.length === 0) return
  const names = missing.map(([program, debian]) => `${program} (Debian package ${debian})`).join(', ')
  throw new Complaint(`Missing: ${names}. Install with: apt-get install ${missing.map(m => m[1]).join(' ')}`)
}

/**
 * The `--nodedir` that has this Node's own headers, so that nothing is downloaded.
 * @returns {string}
 * @throws {Complaint} where there are none, or only those of another major version
 */
export function nodeHeaders() {
  const own = dirname(dirname(process.execPath))
  const places = [
    [own, join(own, 'include/node')],
    ['/usr', '/usr/include/node'],
    ['/usr/include/nodejs', '/usr/include/nodejs/src'],
  ]
  const seen = []
  for (const [directory, headers] of places) {
    const file = join(headers, 'node_version.h')
    if (!existsSync(file)) continue
    const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(readFileSync(file, 'utf8'))?.[1]
    if (major === process.versions.node.split('.')[0]) return directory
    seen.push(`${headers} is of Node ${major}`)
  }
  const reason = seen.length > 0 ? seen.join(', ') : `none in ${places.map(place => place[1]).join(', ')}`
  throw new Complaint(
    `Missing: the headers of Node ${process.versions.node} (${reason}). ` +
      'Debian has them in the package libnode-dev; a Node from nodejs.org brings them along.',
  )
}

/**
 * The arguments that make node-gyp build whatever is in its working directory.
 * @param {string[]} more
 */
export const gypArguments = (...more) => [gyp, 'rebuild', `--nodedir=${nodeHeaders()}`, ...more]

/** All that a build depends on, as one word. */
function fingerprint(sanitize) {
  const hash = createHash('sha256')
  hash.update(`${process.versions.modules} ${process.version} ${process.arch} ${sanitize}\n`)
  for (const name of ['binding.gyp', ...readdirSync(join(folder, 'src')).map(file => `src/${file}`)].sort())
    hash.update(`${name}\n`).update(readFileSync(join(folder, name)))
  return hash.digest('hex')
}

/**
 * Builds the addon unless it is up to date.
 * @param {{ sanitize?: boolean, quiet?: boolean }} [options] quiet: nothing is printed
 * @returns {Promise<boolean>} false where there was nothing to do
 * @throws {Complaint} with the compiler's words, or naming the tool or the headers that are missing
 */
export async function buildNative({ sanitize = false, quiet = false } = {}) {
  const say = quiet ? () => {} : text => process.stderr.write(`${text}\n`)
  // node-gyp always builds into build/ where it runs, so the sanitized addon is built from a copy of the sources.
  const where = sanitize ? join(folder, 'build-asan') : folder
  const addon = join(where, 'build/Release/v2n.node')
  const stamp = join(where, 'build/.built')
  const now = fingerprint(sanitize)
  if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) {
    say('addon: up to date')
    return false
  }
  requireTools()
  if (sanitize) {
    rmSync(where, { recursive: true, force: true })
    mkdirSync(where)
    for (const name of ['binding.gyp', 'src'])
      cpSync(join(folder, name), join(where, name), { recursive: true })
  }
  await run(process.execPath, gypArguments('--jobs=max', ...(sanitize ? ['--', '-Dsanitize=1'] : [])), {
    cwd: where,
  })
  writeFileSync(stamp, now)
  say('addon: built')
  return true
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const sanitize = process.argv.includes('--sanitize')
  const quiet = process.argv.includes('--quiet')
  await start(async () => {
    await buildNative({ sanitize, quiet })
  })
}
