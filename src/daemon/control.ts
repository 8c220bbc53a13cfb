/**
 * The control socket: requests of the command line to a running daemon.
 *
 * A unix socket for its owner only. A request is one line of JSON, `{"verb": …, …arguments}`, and gets one line back, `{"ok": true,
 * "result": …}` or `{"ok": false, "error": …, "hint": …}`; before it a verb may send lines of progress, `{"progress": …}`. Requests of
 * one connection are answered in their order. A connection that closes withdraws what it asked for.
 */
import { chmodSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { errnoOf, Failure, wordsOf } from './failure.ts'

/** Arguments of a request, as they came. The handler checks what it uses. */
export type Arguments = Readonly<Record<string, unknown>>

/** What a handler may do besides answering. */
export interface Conversation {
  /** Sends a line of progress. */
  readonly progress: (value: unknown) => void
  /** Aborted when the connection closes. */
  readonly signal: AbortSignal
}

/** Answers a verb; what it throws goes back as the error. */
export type Handler = (args: Arguments, conversation: Conversation) => unknown

type Answer =
  | { readonly progress: unknown }
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: string; readonly hint: string }

/** The longest line. An answer with the status of a daemon with thousands of attachments is below this. */
const LINE_MAX = 64 << 20

/** Calls for each line that comes; hangs up on one that does not end. */
function onLines(socket: Socket, line: (text: string) => void): void {
  let pending = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n')
    pending = lines.pop() ?? ''
    if (pending.length > LINE_MAX) socket.destroy()
    for (const one of lines) line(one)
  })
}

export class ControlServer {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #handlers: Readonly<Record<string, Handler>>

  private constructor(handlers: Readonly<Record<string, Handler>>) {
    this.#handlers = handlers
    this.#server = createServer(socket => this.#converse(socket))
  }

  /**
   * Listens on a path. The caller holds the daemon's lock, so a socket that is there is one that nobody listens on any more.
   * @throws the error of listen(2)
   */
  static async listen(path: string, handlers: Readonly<Record<string, Handler>>): Promise<ControlServer> {
    rmSync(path, { force: true })
    const control = new ControlServer(handlers)
    const before = process.umask(0o177)
    try {
      await new Promise<void>((resolve, reject) => {
        control.#server.once('error', reject).listen(path, resolve)
      })
    } finally {
      process.umask(before)
    }
    chmodSync(path, 0o600)
    return control
  }

  /** Stops listening, removes the socket and hangs up. */
  async close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const socket of this.#sockets) socket.end()
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, 500)
    await closed
    clearTimeout(timer)
  }

  #converse(socket: Socket): void {
    this.#sockets.add(socket)
    const hangUp = new AbortController()
    socket.on('error', () => {}) // `close` follows and withdraws what was asked
    socket.on('close', () => {
      this.#sockets.delete(socket)
      hangUp.abort()
    })
    const answer = (line: Answer) => {
      if (!socket.destroyed) socket.write(`${JSON.stringify(line)}\n`)
    }
    let before = Promise.resolve()
    onLines(socket, line => {
      before = before.then(() => this.#answer(line, answer, hangUp.signal))
    })
  }

  async #answer(line: string, answer: (line: Answer) => void, signal: AbortSignal): Promise<void> {
    try {
      const request: unknown = JSON.parse(line)
      if (typeof request !== 'object' || request === null) throw new Failure('A request is an object.')
      const args = request as Arguments
      const verb = args.verb
      if (typeof verb !== 'string' || !Object.hasOwn(this.#handlers, verb))
        throw new Failure(`No such verb: ${String(verb)}.`)
      const conversation: Conversation = { progress: value => answer({ progress: value }), signal }
      answer({ ok: true, result: (await this.#handlers[verb](args, conversation)) ?? null })
    } catch (error) {
      const hint = error instanceof Failure ? error.hint : ''
      answer({ ok: false, error: error instanceof Failure ? error.message : wordsOf(error), hint })
    }
  }
}

export interface RequestOptions {
  /** Gets the lines of progress. */
  readonly onProgress?: (value: unknown) => void
  /** Withdraws the request when it is aborted. */
  readonly signal?: AbortSignal
}

/**
 * One request to a running daemon, and its answer.
 * @throws Failure with the daemon's words, or saying that no daemon answers there
 */
export function request(
  path: string,
  verb: string,
  args: Arguments = {},
  { onProgress = () => {}, signal }: RequestOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    signal?.addEventListener('abort', () => socket.destroy())
    let answered = false
    const settle = (act: () => void) => {
      answered = true
      socket.end()
      act()
    }
    socket.on('connect', () => socket.write(`${JSON.stringify({ verb, ...args })}\n`))
    socket.on('error', error => {
      const absent = ['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error))
      const words = absent ? 'No daemon answers' : `The daemon does not answer (${error.message})`
      settle(() =>
        reject(new Failure(`${words} at ${path}.`, 'Start it: v2n lab up FILE, or v2n run --config FILE')),
      )
    })
    socket.on('close', () => {
      if (!answered)
        reject(new Failure(`The daemon hung up without an answer to ${verb}.`, 'Its log says why.'))
    })
    onLines(socket, line => {
      const answer = JSON.parse(line) as Answer
      if ('progress' in answer) onProgress(answer.progress)
      else if (answer.ok) settle(() => resolve(answer.result))
      else settle(() => reject(new Failure(answer.error, answer.hint)))
    })
  })
}
