/** `v2n lab probe`: sends one hand-made packet and says what became of it. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { needPrivilege } from '../daemon/privilege.ts'
import { maxPayload, TCP_FLAGS, type TcpFlag } from '../lab/packet.ts'
import { type ProbeOptions, probe, probeText } from '../lab/probe.ts'
import { say, sayJson } from './output.ts'
import { stateOf, type TargetOptions, targetOf, withTarget } from './target.ts'

const DETAILS = `
FROM is a host or an environment. TO is a host, an environment or function (meaning its ENI), the id of an ENI, or an address;
name:port and [address]:port give the port as well. The answer is where the packet was delivered and how it looked then, or
why it was dropped; all reasons: docs/drops.md.

Examples:
  v2n lab probe orders-1 web --port 80
  v2n lab probe orders-1 web --protocol udp --port 53 --ttl 1
  v2n lab probe web orders-1 --unsolicited
  v2n lab probe orders-1 10.0.1.20:80 --flags syn,fin --json`

const integer =
  (from: number, to: number) =>
  (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < from || value > to)
      throw new InvalidArgumentError(`Expected a whole number from ${from} to ${to}.`)
    return value
  }

function flags(text: string): TcpFlag[] {
  const words = text.toLowerCase().split(',').filter(Boolean)
  const wrong = words.find(word => !(TCP_FLAGS as readonly string[]).includes(word))
  if (wrong !== undefined && wrong !== 'none')
    throw new InvalidArgumentError(`Expected flags out of ${TCP_FLAGS.join(', ')}, or none.`)
  return words.filter(word => word !== 'none') as TcpFlag[]
}

/** Adds the verb. */
export function addLabProbe(lab: Command): void {
  withTarget(
    lab
      .command('probe')
      .description('send one packet and say what became of it')
      .argument('<from>', 'who sends it')
      .argument('<to>', 'whom it is for'),
  )
    .addOption(new Option('--protocol <protocol>').choices(['tcp', 'udp', 'icmp']).default('tcp'))
    .option('--port <port>', 'destination port (default: 80)', integer(0, 65535))
    .option('--source-port <port>', 'source port; identifier of ICMP echo (default: any)', integer(0, 65535))
    .option('--flags <flags>', 'of TCP, such as syn,ack (default: syn)', flags)
    .option('--ttl <hops>', 'TTL or hop limit', integer(1, 255), 64)
    .option('--size <bytes>', 'payload', integer(0, maxPayload('udp', true)), 0)
    .option('--ipv6', 'over IPv6, where TO is a name')
    .option('--unsolicited', 'from a host to a port of an ENI that nothing asked for')
    .option('--json', 'print JSON')
    .addHelpText('after', DETAILS)
    .action(run)
}

async function run(
  from: string,
  to: string,
  { json, ...options }: Omit<ProbeOptions, 'from' | 'to'> & TargetOptions & { readonly json?: boolean },
): Promise<void> {
  needPrivilege(`v2n lab probe ${from} ${to}`)
  const directory = targetOf(options)
  const result = await probe(directory, stateOf(directory).names, { ...options, from, to })
  if (json) sayJson(result)
  else say(probeText(result))
}
