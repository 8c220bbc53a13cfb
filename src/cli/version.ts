/** `v2n version`: of V2N, and of what it runs on. */
import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { say, sayJson } from './output.ts'

/** The version in package.json. */
export function version(): string {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    const path = join(folder, 'package.json')
    if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
  }
  return 'unknown'
}

/** Adds the verb. */
export function addVersion(program: Command): void {
  program
    .command('version')
    .description('print the versions of v2n, Node and the kernel')
    .option('--json', 'print JSON')
    .action(({ json }: { json?: boolean }) => {
      const versions = { v2n: version(), node: process.versions.node, kernel: release(), arch: process.arch }
      if (json) sayJson(versions)
      else say(`v2n ${versions.v2n}, Node ${versions.node}, Linux ${versions.kernel} ${versions.arch}`)
    })
}
