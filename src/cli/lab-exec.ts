/** `v2n lab exec`: runs a command inside a host or an environment. */
import type { Command } from 'commander'
import { needPrivilege } from '../daemon/privilege.ts'
import { namespaceOf } from '../lab/members.ts'
import { runIn } from '../lab/namespaces.ts'
import { stateOf, type TargetOptions, targetOf, withTarget } from './target.ts'

const DETAILS = `
The exit status is that of the command; 128 + n where signal n ended it.

Example:
  v2n lab exec orders-1 -- curl http://10.0.1.20/`

/** Adds the verb. */
export function addLabExec(lab: Command): void {
  withTarget(
    lab
      .command('exec')
      .description('run a command inside a host or an environment')
      .argument('<name>', 'a host, or an environment such as orders-1')
      .argument('<command...>', 'the command and its arguments, after --')
      .passThroughOptions(),
  )
    .addHelpText('after', DETAILS)
    .action(async (name: string, words: string[], options: TargetOptions) => {
      // Everything after the name is passed through, the separator too.
      const command = words[0] === '--' ? words.slice(1) : words
      if (command.length === 0) lab.error("error: missing required argument 'command'")
      needPrivilege(`v2n lab exec ${name}`)
      const { names } = stateOf(targetOf(options))
      process.exitCode = await runIn(namespaceOf(names, name), command)
    })
}
