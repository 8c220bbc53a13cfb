/**
 * Makes a checkout ready to run: tools, packages, addon, TypeScript.
 *
 * Every step looks first whether there is anything to do, so that a second call costs a fraction of a second. Packages are
 * installed without their install scripts, since npm 12 does not run them and the others should not differ; the one
 * package that needs compiling, raw-socket, is compiled here.
 */
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join, relative } from 'node:path'
import { buildNative, gypArguments } from './build-native.mjs'
import { bundle } from './bundle.mjs'
import { Complaint, filesUnder, root, run, step } from './steps.mjs'

const node = process.execPath

/** What has to be on the machine, and the Debian package that brings it. */
const tools = [
  ['ip', 'iproute2'],
  ['c++', 'g++'],
  ['make', 'make'],
  ['python3', 'python3'],
]

/** True where a program can be found: in PATH, or where Debian keeps the administrator's tools. */
export function isInstalled(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin']
  return folders.some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return statSync(join(folder, program)).isFile()
    } catch {
      return false
    }
  })
}

/**
 * Names every missing tool at once, with the command that installs them.
 * @param {string[][]} wanted pairs of program and Debian package
 * @throws {Complaint}
 */
export function requireTools(wanted = tools) {
  const missing = wanted.filter(([program]) => !isInstalled(program))
  if (missing.length === 0) return
  const names = missing.map(([program, debian]) => `${program} (Debian package ${debian})`).join(', ')
  throw new Complaint(`Missing: ${names}. Install with: apt-get install ${missing.map(m => m[1]).join(' ')}`)
}

function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 17))
    throw new Complaint(`V2N needs Node 20.17 or later; this is ${process.versions.node}.`)
}

/** True where node_modules holds what package-lock.json asks for, by npm's own record of what it installed. */
function isInstalledAsLocked() {
  const record = join(root, 'node_modules/.package-lock.json')
  if (!existsSync(record)) return false
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  const found = JSON.parse(readFileSync(record, 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, { version, optional, devOptional, link }]) =>
      path === '' || link || (found[path] ? found[path].version === version : optional || devOptional),
  )
}

async function install() {
  if (isInstalledAsLocked()) return false
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
}

/** raw-socket is written against V8's own interface, so it is compiled again for every major version of Node. */
async function buildRawSocket() {
  const folder = join(root, 'node_modules/raw-socket')
  const config = join(folder, 'build/config.gypi')
  const builtFor =
    existsSync(config) && /"node_module_version": (\d+)/.exec(readFileSync(config, 'utf8'))?.[1]
  if (builtFor === process.versions.modules && existsSync(join(folder, 'build/Release/raw.node')))
    return false
  await run(node, gypArguments(), { cwd: folder })
}

/** Names, sizes and times of everything the compiler reads of ours. */
function fingerprint() {
  const hash = createHash('sha256').update(process.version)
  const sources = ['src', 'bench', 'test'].flatMap(folder => filesUnder(join(root, folder), '.ts'))
  for (const path of [...sources, join(root, 'tsconfig.json'), join(root, 'package-lock.json')]) {
    const { size, mtimeMs } = statSync(path)
    hash.update(`${path} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

/** Compiled files whose source is gone would still be run as tests. */
function removeOrphans() {
  for (const folder of ['src', 'bench', 'test'])
    for (const path of filesUnder(join(root, 'dist', folder), '.js')) {
      const source = join(root, relative(join(root, 'dist'), path)).replace(/(\.bundle)?\.js$/, '.ts')
      if (!existsSync(source)) for (const file of [path, `${path}.map`]) rmSync(file, { force: true })
    }
}

async function compile() {
  const stamp = join(root, 'dist/.compiled')
  const now = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return false
  rmSync(stamp, { force: true })
  removeOrphans()
  if (filesUnder(join(root, 'dist/src'), '.js').length === 0)
    rmSync(join(root, 'dist/.tsbuildinfo'), { force: true })
  await run(node, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'])
  await bundle()
  mkdirSync(join(root, 'dist'), { recursive: true })
  writeFileSync(stamp, now)
}

/**
 * Does whatever is left to do before anything here can run.
 * @param {{ quiet?: boolean }} [options] quiet: say nothing of steps that had nothing to do
 * @throws {Complaint} where a tool is missing or a step fails
 */
export async function prepare({ quiet = false } = {}) {
  requireNode()
  requireTools()
  await step('packages', install, { quiet })
  await step('raw-socket', buildRawSocket, { quiet })
  await step('addon', () => buildNative({ quiet: true }), { quiet })
  await step('TypeScript', compile, { quiet })
}
