/**
 * The life of the daemon's process: start, answer requests, follow signals, end.
 *
 * SIGTERM and SIGINT end it cleanly. SIGHUP reads the configuration again and applies it, or logs what is wrong and keeps the old one.
 * A signal that comes while the daemon still starts counts when it has started.
 */
import type { PacketTuple, WatchMatch } from '../shard/messages.ts'
import { ControlServer, type Handler } from './control.ts'
import { Daemon, type DaemonOptions } from './daemon.ts'
import { errnoOf, Failure, wordsOf } from './failure.ts'
import type { Log } from './log.ts'

/* Ours to tune */
/** A watch ends by itself after so long. */
const WATCH_MILLISECONDS = 60_000

/**
 * Runs a daemon until it is told to end.
 * @throws what `Daemon.start` throws; after the start nothing is thrown
 */
export async function serve(options: DaemonOptions): Promise<void> {
  const { log, config, directory } = options
  const ending = new Ending()
  log('info', 'starting', { pid: process.pid, config, directory: directory.path })
  const crashed = (error: Error) => {
    // A defect. Devices, regions and state are such that the next start goes on from here.
    log('error', 'crashed', { message: error.message, stack: error.stack })
    process.exit(1)
  }
  process.on('uncaughtException', crashed)
  const waiting: NodeJS.Signals[] = []
  let follow = (name: NodeJS.Signals) => {
    waiting.push(name)
  }
  const heard = (name: NodeJS.Signals) => follow(name)
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, heard)
  try {
    const daemon = await Daemon.start(options)
    const control = await listen(daemon, ending, options)
    follow = name => {
      log('info', 'signal', { signal: name })
      if (name === 'SIGHUP')
        void reload(daemon, log).catch(() => {}) // logged there
      else ending.request()
    }
    log('info', 'ready', { generation: daemon.generation, shards: daemon.status().shards.length })
    for (const name of waiting) follow(name)
    await ending.requested
    await control.close()
    await daemon.stop()
    log('info', 'stopped')
  } finally {
    process.off('uncaughtException', crashed)
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.off(name, heard)
  }
}

/** The wish to end, from a signal or a request. */
class Ending {
  readonly requested: Promise<void>
  request: () => void = () => {}

  constructor() {
    this.requested = new Promise(resolve => {
      this.request = resolve
    })
  }
}

async function listen(
  daemon: Daemon,
  ending: Ending,
  { directory, log }: DaemonOptions,
): Promise<ControlServer> {
  try {
    return await ControlServer.listen(directory.socket, handlersOf(daemon, ending, log))
  } catch (error) {
    await daemon.stop()
    throw new Failure(`The control socket ${directory.socket} cannot be made (${errnoOf(error)}).`, '', {
      cause: error,
    })
  }
}

async function reload(daemon: Daemon, log: Log): Promise<unknown> {
  try {
    return await daemon.reload()
  } catch (error) {
    log('error', 'reload-refused', { message: wordsOf(error), kept: daemon.generation })
    throw error
  }
}

const handlersOf = (daemon: Daemon, ending: Ending, log: Log): Readonly<Record<string, Handler>> => ({
  status: () => daemon.status(),
  reload: () => reload(daemon, log),
  stop: () => ending.request(),
  watch: (args, { progress, signal }) =>
    new Promise((resolve, reject) => {
      const over = daemon.watch(matchOf(args.match), seen => {
        clearTimeout(timer)
        resolve({ ...seen, translated: plain(seen.translated) })
      })
      const timer = setTimeout(() => {
        over()
        reject(new Failure('No shard saw the packet.'))
      }, WATCH_MILLISECONDS)
      signal.addEventListener('abort', () => {
        clearTimeout(timer)
        over()
        resolve(null)
      })
      progress('watching')
    }),
})

/** Typed arrays as plain ones, which JSON keeps as they are. */
function plain(tuple: PacketTuple | null) {
  return tuple && { ...tuple, source: [...tuple.source], destination: [...tuple.destination] }
}

/** The match of a request. @throws Failure where it is none */
function matchOf(value: unknown): WatchMatch {
  if (typeof value !== 'object' || value === null) throw new Failure('A watch needs a match.')
  const fields = value as Record<string, unknown>
  const number = (key: string): number => {
    const found = fields[key]
    if (!Number.isInteger(found)) throw new Failure(`match.${key} is not a whole number.`)
    return found as number
  }
  const words = (key: string): Int32Array => {
    const found = fields[key]
    if (!Array.isArray(found) || ![1, 4].includes(found.length) || !found.every(Number.isInteger))
      throw new Failure(`match.${key} is not one word or four.`)
    return Int32Array.from(found as number[])
  }
  return {
    device: number('device'),
    protocol: number('protocol'),
    identification: number('identification'),
    source: words('source'),
    destination: words('destination'),
    sourcePort: number('sourcePort'),
    destinationPort: number('destinationPort'),
  }
}
