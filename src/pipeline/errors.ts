import { Drop } from '../tables/drops.ts'
import type { Core } from './core.ts'
import type { Flow4 } from './flow4.ts'
import type { Flow6 } from './flow6.ts'
import type { Passage } from './passage.ts'

export class Errors {
  readonly #core: Core
  constructor(core: Core, _flow4: Flow4, _flow6: Flow6, _passage: Passage) {
    this.#core = core
  }
  translate4(slot: number, _length: number, _transport: number, _device: number): number {
    return this.#core.drop(slot, Drop.IcmpNoMatch)
  }
  translate6(slot: number, _length: number, _transport: number, _device: number): number {
    return this.#core.drop(slot, Drop.IcmpNoMatch)
  }
}
