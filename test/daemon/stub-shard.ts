/**
 * A shard that carries nothing, for tests of the control side: it speaks as a shard does, and writes what it was told to a file.
 *
 * A file `die-N` in its directory makes shard N die at the next message, `never-N` before it is ready.
 */
import { appendFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { receiveMessageOnPort } from 'node:worker_threads'
import { type FromShard, POSTED, type ShardStart, type ToShard } from '../../src/shard/messages.ts'
import { Drop } from '../../src/tables/drops.ts'
import { NOTHING } from '../../src/vpc/plan.ts'

/** The task. */
export function runShard({ shard, directory, plan, port, mailbox, devices }: ShardStart): void {
  const posted = new Int32Array(mailbox)
  const say = (message: FromShard) => port.postMessage(message)
  const note = (words: string) => appendFileSync(join(directory, `said-${shard}`), `${words}\n`)
  const die = (name: string) => {
    if (!existsSync(join(directory, name))) return
    rmSync(join(directory, name))
    throw new Error(`${name} was there`)
  }
  die(`never-${shard}`)
  note(
    `start ${plan.generation} ${devices.map(({ device, descriptor }) => `${device}:${descriptor}`).join(' ')}`,
  )
  say({ type: 'ready', generation: plan.generation, flows: 0 })
  let heard = 0
  for (;;) {
    Atomics.wait(posted, POSTED, heard)
    heard = Atomics.load(posted, POSTED)
    for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port)) {
      const message = got.message as ToShard
      die(`die-${shard}`)
      note(message.type)
      if (message.type === 'plan') say({ type: 'applied', generation: message.plan.generation })
      else if (message.type === 'attach') say({ type: 'attached', device: message.device })
      else if (message.type === 'detach') say({ type: 'detached', device: message.device })
      else if (message.type === 'watch' && message.match.device === shard)
        say({
          type: 'seen',
          id: message.id,
          verdict: 'dropped',
          drop: Drop.NoRoute,
          fromDevice: shard,
          toDevice: NOTHING,
          translated: null,
        })
      else if (message.type === 'stop') {
        say({ type: 'stopped' })
        return
      }
    }
  }
}
