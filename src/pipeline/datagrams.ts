import { Drop } from '../tables/drops.ts'
import type { Core } from './core.ts'
import type { Flow4 } from './flow4.ts'
import type { Flow6 } from './flow6.ts'
import type { SlowPath } from './slow.ts'

export class Datagrams {
  readonly #core: Core
  constructor(core: Core, _flow4: Flow4, _flow6: Flow6) {
    this.#core = core
  }
  connect(_slow: SlowPath): void {}
  arrive4(slot: number, _length: number, _device: number): number {
    return this.#core.drop(slot, Drop.FragmentTableFull)
  }
  arrive6(slot: number, _length: number, _device: number, _fragment: number, _transport: number): number {
    return this.#core.drop(slot, Drop.FragmentTableFull)
  }
  expire(_now: number): void {}
}
