/**
 * The programs at both ends of a test's traffic: real sockets inside the namespaces of a lab.
 *
 * Two programs speak for all tests: `peer.ts` has TCP, `peer.py` has UDP and what Node's sockets cannot do. Each takes a verb and options as JSON, and says a
 * line of JSON at a time: `{"ready":…}`, `{"progress":…}`, `{"done":…}`. Nothing is sent again and no time is judged; a wait that lasts too long fails the
 * test with what the program said last.
 */
import type { ChildProcess } from 'node:child_process'
import { spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TestLab } from './lab.ts'

const NODE_PEER = fileURLToPath(new URL('./peer.js', import.meta.url))
const PYTHON_PEER = fileURLToPath(new URL('../../../test/system/peer.py', import.meta.url))

/** The interpreter itself: `python3` may be a wrapper that takes its time. */
const python = (): string => {
  interpreter ??= spawnSync('python3', ['-c', 'import sys; print(sys.executable)']).stdout.toString().trim()
  return interpreter
}
let interpreter: string | undefined

/* Ours to tune: far longer than anything takes on a machine that is busy with other things. */
const PATIENCE_MILLISECONDS = 60_000

/** A program that runs. */
export class Peer {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #said: Record<string, unknown>[] = []
  #errors = ''
  #ended = false
  #wake: () => void = () => {}

  /** @param name for messages */
  constructor(child: ChildProcess, name: string) {
    this.#child = child
    this.#name = name
    child.stderr?.setEncoding('utf8').on('data', text => {
      this.#errors += text
    })
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', line => {
        this.#said.push(JSON.parse(line) as Record<string, unknown>)
        this.#wake()
      })
    child.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** The next line of a kind; those of other kinds before it are passed over. @throws where the program ends or stays silent */
  async next<T>(kind: string): Promise<T> {
    const end = Date.now() + PATIENCE_MILLISECONDS
    for (;;) {
      while (this.#said.length > 0) {
        const line = this.#said.shift()!
        if (kind in line) return line[kind] as T
      }
      if (this.#ended) throw new Error(`${this.#name} ended before it said '${kind}': ${this.#errors}`)
      if (Date.now() > end) throw new Error(`${this.#name} did not say '${kind}' in time: ${this.#errors}`)
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>(resolve => {
        this.#wake = resolve
        timer = setTimeout(resolve, 1000)
      })
      clearTimeout(timer)
    }
  }

  /** What the program found out, when it has ended. */
  done<T>(): Promise<T> {
    return this.next<T>('done')
  }

  /** Tells the program a line; what it means is its own affair. */
  tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Tells the program to come to an end. */
  finish(): void {
    this.#child.stdin?.end()
  }
}

async function started(lab: TestLab, member: string, command: readonly string[]): Promise<Peer> {
  const peer = new Peer(lab.start(member, command), `${member}'s ${command.slice(-2).join(' ')}`)
  await peer.next('ready')
  return peer
}

/** One end of TCP connections; see `peer.ts`. */
export interface TcpOptions {
  /** Of the server, for the end that connects. */
  readonly address?: string
  readonly port: number
  /** At once, each with its own bytes to send; default 1. */
  readonly connections?: number
  /** Random bytes to send on each; default 0. `until`: as many as it can until the program is told to finish. */
  readonly send?: number | 'until'
  /** Bytes a second on each; default as fast as it goes. */
  readonly rate?: number
  /** Sends back what it hears. */
  readonly echo?: boolean
  /** Sends only after the other end has finished. */
  readonly afterFin?: boolean
  /** Says `progress` each time so many bytes more were received. */
  readonly progress?: number
}

/** What an end of a connection sent and heard. */
export interface Transferred {
  readonly sent: Stream
  readonly received: Stream
}
interface Stream {
  readonly bytes: number
  /** SHA-256. */
  readonly hash: string
}

const nodeCommand = (verb: string, options: object): string[] => [
  process.execPath,
  NODE_PEER,
  verb,
  JSON.stringify(options),
]

/** Starts an end that listens, and returns when it does. It is done when it has served its connections. */
export const tcpServer = (lab: TestLab, member: string, options: TcpOptions): Promise<Peer> =>
  started(lab, member, nodeCommand('serve', options))

/** Starts an end that connects, and returns when all its connections are there. */
export const tcpClient = (
  lab: TestLab,
  member: string,
  options: TcpOptions & { readonly address: string },
): Promise<Peer> => started(lab, member, nodeCommand('connect', options))

/** The command of a verb of `peer.py`. */
export const pythonCommand = (verb: string, options: object): string[] => [
  python(),
  '-I',
  PYTHON_PEER,
  verb,
  JSON.stringify(options),
]

/** Starts a verb of `peer.py`, and returns when it is ready. */
export const pythonPeer = (lab: TestLab, member: string, verb: string, options: object): Promise<Peer> =>
  started(lab, member, pythonCommand(verb, options))
