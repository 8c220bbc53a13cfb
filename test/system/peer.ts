/**
 * TCP at one end: `node peer.js serve|connect OPTIONS`, options and answers as `peers.ts` describes them.
 *
 * Each end sends its random bytes and then its FIN, and hashes what it hears until the other's FIN; an end with nothing to send waits for that. A connection that breaks ends the
 * program with the error.
 */
import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { TcpOptions, Transferred } from './peers.ts'

const CHUNK = 65536
/** A sender that goes slowly writes so often. */
const PACE_MILLISECONDS = 10

const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`)

const [, , verb, json] = process.argv
const options = JSON.parse(json) as TcpOptions
const { connections = 1, send = 0, rate, echo = false, afterFin = false, progress } = options
let heard = 0
let told = 0
let finishing = false
if (send === 'until')
  process.stdin.resume().on('end', () => {
    finishing = true
  })

/** Both directions of one connection. */
async function transfer(socket: Socket): Promise<Transferred> {
  const [sent, received] = [createHash('sha256'), createHash('sha256')]
  const bytes = { sent: 0, received: 0 }
  const write = async (chunk: Buffer): Promise<void> => {
    sent.update(chunk)
    bytes.sent += chunk.length
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  const hears = once(socket, 'end')
  socket.on('data', chunk => {
    received.update(chunk)
    bytes.received += chunk.length
    heard += chunk.length
    if (progress !== undefined && heard - told >= progress) {
      told = heard
      say({ progress: heard })
    }
    if (echo) void write(chunk)
  })
  const sends = (async () => {
    if (afterFin || echo || send === 0) await hears
    for (let left = send === 'until' ? Number.POSITIVE_INFINITY : send; left > 0 && !finishing; ) {
      const portion = Math.min(
        left,
        rate === undefined ? CHUNK : Math.ceil((rate * PACE_MILLISECONDS) / 1000),
      )
      await write(randomFillSync(Buffer.allocUnsafe(portion)))
      left -= portion
      if (rate !== undefined) await new Promise(resolve => setTimeout(resolve, PACE_MILLISECONDS))
    }
    socket.end()
  })()
  await Promise.all([hears, sends])
  return {
    sent: { bytes: bytes.sent, hash: sent.digest('hex') },
    received: { bytes: bytes.received, hash: received.digest('hex') },
  }
}

async function serve(): Promise<Transferred[]> {
  const sockets: Promise<Transferred>[] = []
  const all = new Promise<void>(resolve => {
    const server = createServer({ allowHalfOpen: true }, socket => {
      sockets.push(transfer(socket))
      if (sockets.length < connections) return
      server.close()
      resolve()
    })
    server.listen({ port: options.port, host: '::', backlog: 4096 }, () => say({ ready: true }))
  })
  await all
  return Promise.all(sockets)
}

/** All connections are there before a byte is sent. */
async function open(): Promise<Transferred[]> {
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({ port: options.port, host: options.address ?? '', allowHalfOpen: true })
      await once(socket, 'connect')
      return socket
    }),
  )
  say({ ready: true })
  return Promise.all(sockets.map(transfer))
}

say({ done: await (verb === 'serve' ? serve() : open()) })
