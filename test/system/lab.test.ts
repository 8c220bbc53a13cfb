/**
 * The life of a lab: up, looked into, changed, killed, down.
 *
 *     orders-1 ─┐                    ┌─ web  10.0.1.20, fd00:0:0:1::14
 *     orders-2 ─┴─ ENI of (app, fn) ─┤
 *                                    └─ (db, in some tests)
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import t from 'tap'
import { NAMESPACES, namespaceInode } from '../../src/daemon/ip.ts'
import { identify, isAlive } from '../../src/daemon/process.ts'
import { readLabState } from '../../src/lab/state.ts'
import { balances, ended, labFor, PROGRAM, TestLab, until } from './lab.ts'
import { nodeCommand, tcpEcho, tcpPing, tcpSay, udpEcho, udpSay, udpStream } from './programs.ts'

const ECHO = 7

interface LabText {
  readonly environments?: number
  readonly shards?: number
  readonly more?: string
  readonly run?: string
}

const text = ({
  environments = 2,
  shards = 2,
  more = '',
  run = `${nodeCommand(tcpEcho(ECHO) + udpEcho(ECHO))}`,
}: LabText = {}): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64", az: a }
  securityGroups:
    fn: { egress: [ { protocol: all, to: 0.0.0.0/0 }, { protocol: all, to: "::/0" } ] }
    web:
      ingress:
        - { protocol: tcp, ports: ${ECHO}, from: sg:fn }
        - { protocol: udp, ports: ${ECHO}, from: sg:fn }
hosts:
  web:
    subnet: app
    address: 10.0.1.20
    securityGroups: [web]
    run: ${JSON.stringify(run)}
${more}
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: ${environments}, ipv6: true }
daemon: { shards: ${shards} }
`

const said = (output: string): Record<string, unknown> =>
  JSON.parse(output.trim().split('\n').pop() ?? '{}') as Record<string, unknown>

/** What a child prints, as it comes. */
function collected(child: ChildProcess): { text: string } {
  const output = { text: '' }
  child.stdout?.setEncoding('utf8').on('data', chunk => {
    output.text += chunk
  })
  return output
}

/** Waits until the echo server of a host listens. */
const listening = (lab: TestLab) =>
  until('web listens', async () => (await lab.exec('web', 'ss', '-Hltn', `sport = :${ECHO}`)).stdout !== '')

for (const shards of [1, 2])
  t.test(`TCP and UDP over IPv4 and IPv6 come and go, ${shards} shards`, async t => {
    const lab = await labFor(t, text({ shards }))
    await listening(lab)
    for (const address of ['10.0.1.20', 'fd00:0:0:1::14']) {
      const tcp = await lab.node('orders-1', tcpSay, address, String(ECHO), 'hello')
      t.match(said(tcp.stdout), { answer: 'hello' }, `TCP to ${address}`)
      const udp = await lab.node('orders-2', udpSay, address, String(ECHO), 'hello')
      t.match(said(udp.stdout), { answer: 'hello' }, `UDP to ${address}`)
    }
    const [eni] = lab.stats().enis
    t.match(eni.ports, { ipv4: { tcp: 1, udp: 1 }, ipv6: { tcp: 1, udp: 1 } }, 'a port for each flow')
    t.equal(lab.flows().length, 4)
    await balances(t, lab)
  })

t.test('probes say what becomes of a packet', async t => {
  const lab = await labFor(t, text())
  const [eni] = lab.stats().enis
  t.match(
    await lab.probe({ from: 'orders-1', to: 'web', port: ECHO }),
    {
      verdict: 'delivered',
      delivered: { to: 'web', source: { address: eni.address }, destination: { port: ECHO } },
    },
    'allowed, and translated to the address of the ENI',
  )
  t.match(
    await lab.probe({ from: 'orders-1', to: 'web', port: ECHO, ipv6: true, protocol: 'udp', size: 100 }),
    { verdict: 'delivered', delivered: { source: { address: eni.ipv6Address } } },
  )
  t.match(await lab.probe({ from: 'orders-1', to: 'web', port: 8 }), {
    verdict: 'dropped',
    drop: 'security-group-ingress',
  })
  t.match(
    await lab.probe({ from: 'web', to: 'orders-1', unsolicited: true }),
    { verdict: 'dropped', drop: 'unsolicited', explanation: /\.$/ },
    'nothing comes in that was not asked for',
  )
  t.match(await lab.probe({ from: 'orders-1', to: 'web', protocol: 'icmp' }), { drop: 'echo-disabled' })
  t.match(await lab.probe({ from: 'orders-1', to: 'web', port: ECHO, ttl: 1 }), { drop: 'ttl-expired' })
  t.match(await lab.probe({ from: 'orders-1', to: 'web', port: ECHO, flags: ['syn', 'fin'] }), {
    drop: 'bad-tcp-flags',
  })
  t.match(await lab.probe({ from: 'orders-1', to: 'web', port: ECHO, flags: ['ack'] }), {
    drop: 'tcp-not-syn',
  })
  await t.rejects(lab.probe({ from: 'nobody', to: 'web' }), /no nobody/)
  await t.rejects(lab.probe({ from: 'orders-1', to: 'web', unsolicited: true }), /from a host/)
  await balances(t, lab)
})

t.test('the verbs', async t => {
  const lab = await labFor(t, text())
  const status = await lab.v2n('lab', 'status', '--json')
  t.equal(status.status, 0)
  t.match(said(status.stdout), {
    lab: true,
    daemon: { shards: [{ ready: true }, { ready: true }] },
    members: [{ name: 'orders-1' }, { name: 'orders-2' }, { name: 'web', command: { running: true } }],
  })
  for (const verb of ['flows', 'enis', 'stats']) {
    t.match(await lab.v2n(verb), { status: 0, stderr: '' }, `v2n ${verb}`)
    const json = await lab.v2n(verb, '--json')
    t.doesNotThrow(() => JSON.parse(json.stdout), `v2n ${verb} --json`)
  }
  t.match(await lab.v2n('lab', 'probe', 'orders-1', 'web', '--port', String(ECHO)), {
    status: 0,
    stdout: /^delivered to web as 10\.0\.1\.\d+:\d+ -> 10\.0\.1\.20:7\n$/,
  })
  const exec = (...command: string[]) =>
    ended(
      spawn(process.execPath, [PROGRAM, 'lab', 'exec', '--run-dir', lab.directory.path, 'web', ...command]),
    )
  t.match(await exec('--', 'ip', 'netns', 'identify'), { status: 0, stdout: `${lab.namespace('web')}\n` })
  t.equal((await exec('--', 'sh', '-c', 'exit 7')).status, 7, 'the exit status passes through')
  t.equal((await exec('--', 'sh', '-c', 'kill -9 $$')).status, 137, 'and the signal')
})

t.test('up again does what changed, and nothing else', async t => {
  const lab = await labFor(t, text())
  await listening(lab)
  const { daemon } = lab
  const [command] = readLabState(lab.directory.lab)?.commands ?? []
  await lab.up()
  t.match(lab.said.at(-1), /up already/)

  lab.write(text({ environments: 3, more: '  db: { subnet: app, securityGroups: [web] }' }))
  await lab.up()
  t.ok(namespaceInode(`${lab.prefix}db`), 'a host came')
  t.match(said((await lab.node('orders-3', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })

  lab.write(text({ environments: 1 }))
  await lab.up()
  t.notOk(namespaceInode(`${lab.prefix}db`), 'a host went')
  t.notOk(namespaceInode(`${lab.prefix}orders-2`), 'an environment went')
  t.match(said((await lab.node('orders-1', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })
  t.same(lab.daemon, daemon, 'the same daemon')
  t.ok(command && isAlive(command), "the host's command was left alone")

  lab.write(text().replace('cidr: 10.0.1.0/24', 'cidr: 10.9.1.0/24'))
  await t.rejects(lab.up(), /10\.9\.1\.0\/24/, 'a wrong file is refused')
  t.notOk(namespaceInode(`${lab.prefix}orders-2`), 'and nothing of it applied')
  await balances(t, lab)
})

t.test('attachments come and go under load without a lost packet of the others', async t => {
  const lab = await labFor(t, text())
  await listening(lab)
  const load = ['10.0.1.20', 'fd00:0:0:1::14'].map(address => {
    const child = lab.start('orders-1', [process.execPath, '-e', udpStream, '--', address, String(ECHO), '2'])
    const output = collected(child)
    return { child, output }
  })
  await until('the load runs', () => load.every(({ output }) => output.text.startsWith('ready')))
  for (let round = 0; round < 3; round++) {
    lab.write(text({ environments: 4, more: '  db: { subnet: app, securityGroups: [web] }' }))
    await lab.up()
    lab.write(text())
    await lab.up()
  }
  for (const { child, output } of load) {
    child.stdin?.end()
    await once(child, 'close')
    const { sent, got } = said(output.text)
    t.ok(Number(sent) > 100, `${sent} datagrams`)
    t.equal(got, sent, 'all of them came back')
  }
  const stats = await balances(t, lab)
  t.same(stats.drops, {}, 'nothing was dropped')
})

t.test('kill -9 and up again: connections go on', async t => {
  const lab = await labFor(t, text())
  await listening(lab)
  const ping = lab.start('orders-1', [
    process.execPath,
    '-e',
    tcpPing,
    '--',
    'fd00:0:0:1::14',
    String(ECHO),
    '5',
  ])
  const output = collected(ping)
  await until('the connection stands', () => output.text.startsWith('ready'))
  const [before] = lab.flows()
  await lab.kill()
  t.equal((await lab.v2n('flows')).status, 0, 'flows can be listed while no daemon runs')
  await lab.up()
  ping.stdin?.end()
  await once(ping, 'close')
  t.equal(said(output.text).error, undefined)
  t.equal(said(output.text).got, said(output.text).sent)
  t.match(lab.flows()[0], { via: before.via, from: before.from }, 'the same flow on the same port')
  await balances(t, lab)
})

t.test('SIGTERM ends the daemon and leaves the flows, SIGHUP reads the file', async t => {
  const lab = await labFor(t, text())
  await listening(lab)
  await lab.node('orders-1', tcpSay, '10.0.1.20', String(ECHO), 'x')
  lab.write(`${text()}\nnonsense: 1\n`)
  lab.signal('SIGHUP')
  await until('the refusal is logged', () => lab.events('reload-refused').length === 1)
  t.match(lab.events('reload-refused')[0], {
    level: 'error',
    message: /lab\.yaml:\d+: nonsense: unknown key/,
    kept: 1,
  })
  lab.write(text())
  lab.signal('SIGHUP')
  await until('the reload is logged', () => lab.events('reloaded').length === 1)

  const { daemon } = lab
  lab.signal('SIGTERM')
  await until('the daemon is gone', () => !isAlive(daemon))
  t.equal(lab.events('stopped').length, 1)
  t.notOk(existsSync(lab.directory.socket), 'its socket too')
  t.equal(lab.flows().length, 1)
  await lab.up()
  t.match(said((await lab.node('orders-2', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })
  t.equal(lab.flows().length, 2)
})

t.test('a second daemon on the same directory is refused', async t => {
  const lab = await labFor(t, text())
  const second = await lab.v2n('run', '--config', lab.file, '--prefix', lab.prefix)
  t.equal(second.status, 1)
  t.match(second.stderr, new RegExp(`Another daemon \\(pid ${lab.daemon.pid}\\) runs on`))
  t.equal((await lab.status()).pid, lab.daemon.pid, 'the first runs on')
})

t.test('a namespace that is not ours is refused and left alone', async t => {
  const lab = new TestLab(text())
  const foreign = `${lab.prefix}orders-2`
  execFileSync('ip', ['netns', 'add', foreign])
  t.teardown(async () => {
    await lab.down()
    execFileSync('ip', ['netns', 'delete', foreign])
  })
  const inode = namespaceInode(foreign)
  await t.rejects(lab.up(), new RegExp(`${foreign} exists and is not ours`))
  t.equal(namespaceInode(foreign), inode)
  t.notOk(namespaceInode(`${lab.prefix}orders-1`), 'nothing else was made')
  t.notOk(existsSync(lab.directory.path), 'and no run directory')
})

t.test('a command that fails takes the lab down again', async t => {
  const lab = new TestLab(text({ run: 'echo no such thing >&2; exit 3' }))
  t.teardown(() => lab.down())
  await t.rejects(lab.up(), { message: /web: the command .* ended with status 3/, hint: 'no such thing' })
  t.notOk(namespaceInode(`${lab.prefix}web`))
  t.notOk(existsSync(lab.directory.path))
})

t.test('down leaves nothing behind, also without a daemon', async t => {
  const lab = await labFor(t, text({ run: `${nodeCommand(tcpEcho(ECHO))} & setsid sleep 1000` }))
  const state = readLabState(lab.directory.lab)
  const processes = execFileSync('ip', ['netns', 'pids', lab.namespace('web')])
    .toString()
    .split('\n')
    .map(pid => identify(Number(pid)))
    .filter(one => one !== null)
  t.ok(processes.length >= 2, 'the command has children, one of them out of its process group')
  await lab.kill()
  const { path } = lab.directory
  await lab.down()
  for (const { name } of state?.namespaces ?? [])
    t.notOk(existsSync(`${NAMESPACES}/${name}`), `${name} is gone`)
  for (const one of processes) t.notOk(isAlive(one), `process ${one.pid} is gone`)
  t.notOk(existsSync(path))
})
