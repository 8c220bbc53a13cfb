/** `v2n lab up`: namespaces, daemon, commands; packets flow when it returns. */
import type { Command } from 'commander'
import { RunDirectory } from '../daemon/directory.ts'
import { needPrivilege } from '../daemon/privilege.ts'
import { labUp } from '../lab/lab.ts'
import { say } from './output.ts'
import { prefixOption, runDirOption } from './target.ts'

interface UpOptions {
  readonly runDir?: string
  readonly prefix?: string
}

const DETAILS = `
Makes a network namespace for every host and every environment of a function, starts a daemon in the background, and the
commands (run:) of the hosts. Done again it applies what changed in the file. What fails is taken down again.

Example:
  v2n lab up labs/quickstart.yaml && v2n lab exec orders-1 -- curl http://10.0.1.20/`

/** Adds the verb. */
export function addLabUp(lab: Command): void {
  lab
    .command('up')
    .description('bring a lab up, or to what its file says now')
    .argument('<file>', 'lab file (YAML)')
    .addOption(runDirOption())
    .addOption(prefixOption())
    .addHelpText('after', DETAILS)
    .action(up)
}

async function up(file: string, { runDir, prefix }: UpOptions): Promise<void> {
  needPrivilege(`v2n lab up ${file}`)
  const directory = runDir === undefined ? undefined : new RunDirectory(runDir)
  const interrupt = new AbortController()
  const abort = () => interrupt.abort()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, abort)
  try {
    await labUp({ file, directory, prefix, say, signal: interrupt.signal })
  } finally {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, abort)
  }
}
