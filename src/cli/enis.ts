/** `v2n enis`: the network interfaces, and what they have in use. */
import type { Command } from 'commander'
import { type EniView, type Ports, readEnis } from '../observe/stats.ts'
import { count, say, sayJson, table } from './output.ts'
import { withRegions } from './reader.ts'
import { type TargetOptions, withTarget } from './target.ts'

const DETAILS = `
A hyperplane ENI is shared by every function with its subnet and set of security groups, and leases its ports to their flows. A
host's ENI is the host's own address.

Example:
  v2n enis --json`

/** Adds the verb. */
export function addEnis(program: Command): void {
  withTarget(program.command('enis').description('list network interfaces, with ports in use'))
    .option('--json', 'print JSON')
    .addHelpText('after', DETAILS)
    .action((options: TargetOptions & { readonly json?: boolean }) =>
      withRegions(options, (reader, names) => {
        const enis = readEnis(reader, names)
        if (options.json) sayJson({ enis })
        else say(enisText(enis))
      }),
    )
}

/** ENIs as a table. */
export function enisText(enis: readonly EniView[]): string {
  const titles = ['ENI', 'KIND', 'OF', 'SUBNET', 'GROUPS', 'ADDRESSES', 'PORTS IN USE', 'FLOWS']
  const rows = enis.map(eni => [
    eni.networkInterfaceId,
    eni.kind,
    eni.host ?? eni.functions.join(','),
    eni.subnet,
    eni.securityGroups.join(','),
    eni.ipv6Address === null ? eni.address : `${eni.address} ${eni.ipv6Address}`,
    portsText(eni),
    eni.connections === null ? '' : count(eni.connections.ipv4 + eni.connections.ipv6),
  ])
  return table(
    titles.map(title => ({ title, right: title === 'FLOWS' })),
    rows,
  )
}

function portsText({ ports, capacity }: EniView): string {
  if (ports === null) return ''
  const used = [...familyText('', ports.ipv4), ...familyText('6', ports.ipv6)]
  return used.length === 0 ? `none of ${count(capacity)}` : used.join(' ')
}

const familyText = (suffix: string, ports: Ports): string[] =>
  (['tcp', 'udp', 'icmp'] as const)
    .filter(protocol => ports[protocol] > 0)
    .map(protocol => `${protocol}${suffix} ${count(ports[protocol])}`)
