/**
 * Which queue the kernel puts a packet into, for every device of a daemon: the steering program where the kernel takes it, its own flow
 * learning where not. Shards hand over what arrives at the wrong one, so both forward correctly; the log says which it is.
 */
import { type SteeredEni, Steering } from '../io/steering.ts'
import { EniKind, type Plan } from '../vpc/plan.ts'
import { wordsOf } from './failure.ts'
import type { Log } from './log.ts'

export interface DeviceSteeringOptions {
  /** The keys of the shards; the first STEER_KEYS are those of steering. */
  readonly keys: Int32Array
  readonly shards: number
  readonly log: Log
}

export class DeviceSteering {
  readonly #steering: Steering | null

  constructor({ keys, shards, log }: DeviceSteeringOptions) {
    this.#steering = shards === 1 ? null : load(keys, shards, log)
  }

  /** Steers a device. @param descriptor of any of its queues */
  attach(descriptor: number, side: 'environments' | 'hosts'): void {
    this.#steering?.attach(descriptor, side === 'environments' ? 'inside' : 'outside')
  }

  /** Follows a plan: the addresses that translate are those of its hyperplane ENIs. */
  follow({ enis }: Plan): void {
    const steered: SteeredEni[] = []
    for (const [slot, kind] of enis.kind.entries()) {
      if (kind !== EniKind.Hyperplane) continue
      const address6 = enis.address6.subarray(slot * 4, slot * 4 + 4)
      if (enis.address4[slot] !== 0) steered.push({ address: [enis.address4[slot]] })
      if (address6.some(word => word !== 0)) steered.push({ address: address6 })
    }
    this.#steering?.setEnis(steered)
  }

  /** Lets go of the program; devices keep it. */
  close(): void {
    this.#steering?.close()
  }
}

function load(keys: Int32Array, shards: number, log: Log): Steering | null {
  try {
    return new Steering({ keys, shards })
  } catch (error) {
    log('warn', 'no-steering', { message: wordsOf(error) })
    return null
  }
}
