/** `v2n lab status`: what runs, and who is in it. */
import type { Command } from 'commander'
import { oneLine } from '../lab/commands.ts'
import { type LabStatus, labStatus } from '../lab/status.ts'
import { say, sayJson, table } from './output.ts'
import { runDirOption, targetOf } from './target.ts'

/** Adds the verb. */
export function addLabStatus(lab: Command): void {
  lab
    .command('status')
    .description('show what runs and who is in it')
    .argument('[file]', 'lab file; not needed where only one daemon runs')
    .addOption(runDirOption())
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, { runDir, json }: { runDir?: string; json?: boolean }) => {
      const directory = targetOf({
        ...(file !== undefined && { file }),
        ...(runDir !== undefined && { runDir }),
      })
      const status = await labStatus(directory)
      if (json) sayJson(status)
      else say(statusText(status))
    })
}

function statusText({ file, directory, daemon, members }: LabStatus): string {
  const ready = daemon?.shards.filter(shard => shard.ready).length
  const state =
    daemon === null
      ? 'no daemon runs'
      : `daemon ${daemon.pid} since ${daemon.startedAt}, ${ready} of ${daemon.shards.length} shards ready, ${daemon.io}, plan ${daemon.generation}`
  const rows = members.map(({ name, side, kind, namespace, device, addresses, mtu, present, command }) => [
    name,
    side === 'hosts' ? 'host' : kind === 'routed' ? 'environments' : 'environment',
    `${namespace ?? '(this machine)'}${present ? '' : ' (gone)'}`,
    device,
    String(mtu),
    addresses.join(' '),
    command === null
      ? ''
      : `${oneLine(command.command)} (${command.running ? `pid ${command.pid}` : 'ended'})`,
  ])
  const titles = ['NAME', 'KIND', 'NAMESPACE', 'DEVICE', 'MTU', 'ADDRESSES', 'COMMAND']
  return `${file}: ${state}\n${directory}\n\n${table(
    titles.map(title => ({ title, right: title === 'MTU' })),
    rows,
  )}`
}
