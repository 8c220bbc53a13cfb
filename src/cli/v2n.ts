#!/usr/bin/env node
/**
 * `v2n`: one program, a verb for each thing to do, one file a verb.
 *
 * Exit status: 0 done, 1 failed with a reason, 2 wrong usage; `v2n lab exec` passes on that of its command.
 */
import { Command, CommanderError } from 'commander'
import { addEnis } from './enis.ts'
import { addFlows } from './flows.ts'
import { addLab } from './lab.ts'
import { complain, endQuietlyWithoutReader } from './output.ts'
import { addRun } from './run.ts'
import { addStats } from './stats.ts'
import { addVersion, version } from './version.ts'

const FAILED = 1
const WRONG_USAGE = 2

const EXAMPLES = `
Examples:
  v2n lab up labs/quickstart.yaml                     a VPC on this machine, packets flowing
  v2n lab exec orders-1 -- curl http://10.0.1.20/     a function's environment talks to a host
  v2n lab probe web orders-1 --unsolicited            what becomes of a packet nobody asked for
  v2n flows                                           the conversations that are tracked
  v2n stats                                           packets, drops by reason, ports by ENI
  v2n lab down labs/quickstart.yaml                   nothing left behind
  v2n run --config /etc/v2n.yaml                      the daemon, in the foreground

The file's schema and every verb: docs/cli.md`

const program = new Command('v2n')
  .description(
    "Carries the packets of Lambda-style functions into VPC subnets, the way AWS's Hyperplane does.",
  )
  .version(version(), '-V, --version', 'print the version')
  .addHelpText('after', EXAMPLES)
  .showHelpAfterError('(v2n --help says how)')
  .enablePositionalOptions()
  .configureHelp({ showGlobalOptions: false })

addRun(program)
addLab(program)
addFlows(program)
addEnis(program)
addStats(program)
addVersion(program)
overrideExit(program)

/** Usage errors come back as exceptions, from every verb. */
function overrideExit(command: Command): void {
  command.exitOverride()
  for (const child of command.commands) overrideExit(child)
}

endQuietlyWithoutReader()
try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed help, version or what is wrong.
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE
  } else {
    complain(error)
    process.exitCode = FAILED
  }
}
