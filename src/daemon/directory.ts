/**
 * The run directory of a daemon: one directory an instance, with everything that outlives the process.
 *
 *     /run/v2n/NAME/
 *       lock           held with flock by the daemon; says who that is
 *       control.sock   requests, see control.ts
 *       state.json     numbers, names and keys, see state.ts
 *       regions/       the shards' memory; a link into /dev/shm where the run directory is not on tmpfs
 *       daemon.log     of a daemon that a lab started
 *       lab.json       what a lab made, see lab/state.ts
 *       out/           what the hosts' commands printed
 *
 * NAME is that of the lab in the configuration, by default the file's without its ending. Pages of a region that lie on a disk's file system would be written to the
 * disk again and again, and the writer stalled meanwhile: that is what the link is for.
 */
import { createHash } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { basename, extname, join, resolve } from 'node:path'
import { errnoOf, Failure } from './failure.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { readState } from './state.ts'

/** Where run directories are, unless one is named. */
export const RUN_ROOT = '/run/v2n'

/* statfs(2) */
const TMPFS_MAGIC = 0x0102_1994
/** The longest path of a unix socket, unix(7), one byte of it the terminator. */
const SOCKET_PATH_MAX = 107

/** Paths in a run directory. */
export class RunDirectory {
  readonly path: string

  constructor(path: string) {
    this.path = resolve(path)
  }

  get name(): string {
    return basename(this.path)
  }
  get lock(): string {
    return join(this.path, 'lock')
  }
  get socket(): string {
    return join(this.path, 'control.sock')
  }
  get state(): string {
    return join(this.path, 'state.json')
  }
  get regions(): string {
    return join(this.path, 'regions')
  }
  get log(): string {
    return join(this.path, 'daemon.log')
  }
  get lab(): string {
    return join(this.path, 'lab.json')
  }
  get output(): string {
    return join(this.path, 'out')
  }

  /**
   * Makes the directory, and in it a place for regions.
   * @throws Failure where it cannot be made or its path is too long for a socket
   */
  make(): void {
    if (Buffer.byteLength(this.socket) > SOCKET_PATH_MAX)
      throw new Failure(
        `The run directory ${this.path} has too long a path for a socket in it (${SOCKET_PATH_MAX} bytes).`,
        'Name a shorter one: --run-dir DIR',
      )
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o755 })
      if (onTmpfs(this.path) || !onTmpfs('/dev/shm'))
        mkdirSync(this.regions, { recursive: true, mode: 0o700 })
      else this.#linkRegions()
    } catch (error) {
      throw new Failure(`The run directory ${this.path} cannot be made: ${(error as Error).message}.`, '', {
        cause: error,
      })
    }
  }

  #linkRegions(): void {
    const key = createHash('sha256').update(this.path).digest('hex').slice(0, 12)
    const target = `/dev/shm/v2n-${key}`
    mkdirSync(target, { recursive: true, mode: 0o700 })
    // Anybody may write to /dev/shm: a directory that somebody else put there is not ours to trust.
    const found = lstatSync(target)
    if (!found.isDirectory() || found.uid !== process.geteuid?.()) throw new Error(`${target} is not ours`)
    try {
      symlinkSync(target, this.regions)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }

  /**
   * Checks that the regions' file system has room.
   * @param bytes that the regions have when every page of them is in use
   * @throws Failure where what is free, and what the regions have already, is less
   */
  requireRoom(bytes: number): void {
    const { bavail, bsize } = statfsSync(this.regions)
    const present = readdirSync(this.regions).map(file => statSync(join(this.regions, file)).blocks * 512)
    const free = bavail * bsize + present.reduce((sum, size) => sum + size, 0)
    if (free >= bytes) return
    const megabytes = (size: number) => Math.ceil(size / 2 ** 20)
    throw new Failure(
      `${this.regions} has ${megabytes(free)} MiB for regions that may grow to ${megabytes(bytes)} MiB.`,
      'Make room there, or lower daemon.flowsPerShard.',
    )
  }

  /** Removes the directory with its regions. No daemon may run on it. */
  remove(): void {
    try {
      rmSync(readlinkSync(this.regions), { recursive: true, force: true })
    } catch {
      // The regions are in the directory itself, or nowhere.
    }
    rmSync(this.path, { recursive: true, force: true })
  }

  /** The daemon that holds the lock, or null where none runs. */
  holder(): ProcessIdentity | null {
    try {
      const { pid, start } = JSON.parse(readFileSync(this.lock, 'utf8')) as ProcessIdentity
      return isAlive({ pid, start }) ? { pid, start } : null
    } catch {
      return null
    }
  }
}

const onTmpfs = (path: string): boolean => {
  try {
    return statfsSync(path).type === TMPFS_MAGIC
  } catch {
    return false
  }
}

/** The run directory of a lab or daemon of this name. */
export const directoryNamed = (name: string): RunDirectory => new RunDirectory(join(RUN_ROOT, name))

/** The run directory whose daemon was started with the file, or that of its name. The file need not be valid, nor exist. */
function directoryFor(file: string, root: string): RunDirectory {
  const path = resolve(file)
  const found = knownDirectories(root).find(directory => {
    try {
      return readState(directory.state)?.config === path
    } catch {
      return false
    }
  })
  return found ?? new RunDirectory(join(root, basename(file, extname(file))))
}

/** Every run directory under RUN_ROOT. */
export function knownDirectories(root = RUN_ROOT): RunDirectory[] {
  try {
    return readdirSync(root, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(entry => new RunDirectory(join(root, entry.name)))
  } catch {
    return []
  }
}

/**
 * The run directory that a command means: the one named, else that of the file, else the only one whose daemon runs, else the only
 * one there is.
 * @throws Failure where there is none, or more than one to choose from
 */
export function chooseDirectory(
  { file, runDir }: { file?: string | undefined; runDir?: string | undefined },
  root = RUN_ROOT,
): RunDirectory {
  if (runDir !== undefined) return new RunDirectory(runDir)
  if (file !== undefined) return directoryFor(file, root)
  const known = knownDirectories(root)
  const running = known.filter(directory => directory.holder() !== null)
  const candidates = running.length > 0 ? running : known
  if (candidates.length === 1) return candidates[0]
  if (candidates.length === 0) throw new Failure('No daemon runs here.', 'Start one: v2n lab up FILE')
  const names = candidates.map(directory => directory.path).join(', ')
  throw new Failure(`More than one daemon to choose from: ${names}.`, 'Say which one: --run-dir DIR')
}
