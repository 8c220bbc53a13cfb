/** `v2n lab down`: takes away everything that a lab made. */
import type { Command } from 'commander'
import { needPrivilege } from '../daemon/privilege.ts'
import { labDown } from '../lab/lab.ts'
import { say } from './output.ts'
import { runDirOption, targetOf } from './target.ts'

/** Adds the verb. */
export function addLabDown(lab: Command): void {
  lab
    .command('down')
    .description('take a lab down: daemon, commands, namespaces, devices')
    .argument('[file]', 'lab file; not needed where only one lab is up')
    .addOption(runDirOption())
    .action(async (file: string | undefined, { runDir }: { runDir?: string }) => {
      needPrivilege('v2n lab down')
      await labDown({
        directory: targetOf({ ...(file !== undefined && { file }), ...(runDir !== undefined && { runDir }) }),
        say,
      })
    })
}
