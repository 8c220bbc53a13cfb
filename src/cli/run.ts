/** `v2n run`: the daemon, in the foreground. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { readConfig } from '../daemon/config.ts'
import { directoryNamed, RunDirectory } from '../daemon/directory.ts'
import { wordsOf } from '../daemon/failure.ts'
import { openLog } from '../daemon/log.ts'
import { needPrivilege } from '../daemon/privilege.ts'
import { serve } from '../daemon/serve.ts'
import { prefixOption, runDirOption } from './target.ts'

interface RunOptions {
  readonly config: string
  readonly runDir?: string
  readonly state?: string
  readonly prefix?: string
  readonly log?: string
}

const DETAILS = `
Attaches to the namespaces that the file names, makes a TUN device in each, and carries packets until SIGTERM or SIGINT.
SIGHUP reads the file again and applies it without touching live flows, or logs what is wrong and keeps the old one.
Devices and flows outlive the daemon: started again on the same run directory it goes on where it ended, or was killed.

Examples:
  v2n run --config /etc/v2n.yaml
  v2n run --config vpc.yaml --run-dir /run/v2n/blue --log /var/log/v2n.log`

/** Adds the verb. */
export function addRun(program: Command): void {
  program
    .command('run')
    .description('run the daemon')
    .requiredOption('-c, --config <file>', 'configuration file (YAML)')
    .addOption(runDirOption())
    .option('--state <dir>', 'where numbers and keys are kept (default: the run directory)')
    .option('--log <file>', 'append the log (JSON lines) to a file (default: standard error)')
    .addOption(prefixOption())
    .addHelpText('after', DETAILS)
    .action(run)
}

async function run({ config, runDir, state, prefix, log: logFile }: RunOptions): Promise<void> {
  needPrivilege(`v2n run --config ${config}`)
  const log = openLog(logFile ?? null)
  const directory =
    runDir === undefined ? directoryNamed(readConfig(config).lab.name) : new RunDirectory(runDir)
  try {
    await serve({
      config: resolve(config),
      directory,
      log,
      ...(prefix !== undefined && { prefix }),
      ...(state !== undefined && { statePath: resolve(state, `${directory.name}.json`) }),
    })
  } catch (error) {
    log('error', 'not-started', { message: wordsOf(error) })
    throw error
  }
  // Nothing may keep a daemon that has ended alive.
  process.exit(0)
}
