/** stub while it is written */
import type { Command } from 'commander'
/** stub */
export function addStats(_: Command): void {}
