/**
 * Attachments of both kinds, and what a daemon refuses to touch.
 *
 *     fleet: 100.65.0.0 to .15 ── fleet0 ─┐            ┌─ v2n0 ── web   10.0.1.20
 *                                         ├─ daemon ───┤
 *     orders-1 ─────────────────── v2n0 ──┘            └─ far0 ── far:  10.0.1.64 to .67
 */
import { execFileSync, spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { identify, isAlive } from '../../src/daemon/process.ts'
import { balances, ended, labFor, PROGRAM, TestLab, until } from './lab.ts'
import { nodeCommand, tcpEcho, tcpSay, udpEcho, udpSay } from './programs.ts'

const ECHO = 7

const text = ({ shards = 2, fleet = true, far = true } = {}): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets: { app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" } }
  securityGroups:
    fn: {}
    web:
      ingress:
        - { protocol: tcp, ports: ${ECHO}, from: sg:fn }
        - { protocol: udp, ports: ${ECHO}, from: sg:fn }
hosts:
  web:
    subnet: app
    address: 10.0.1.20
    securityGroups: [web]
    run: ${JSON.stringify(nodeCommand(tcpEcho(ECHO) + udpEcho(ECHO)))}
${far ? '  many: { subnet: app, securityGroups: [web], attachment: { kind: routed, namespace: far, device: far0, cidr: 10.0.1.64/30 } }' : ''}
functions:
  orders: { subnets: [app], securityGroups: [fn] }
${fleet ? '  fleet: { subnets: [app], securityGroups: [fn], attachment: { kind: routed, namespace: fleet, device: fleet0, cidr: 100.65.0.0/28 } }' : ''}
daemon: { shards: ${shards} }
`

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' }).toString()

/** What an operator does behind routed devices: addresses and a way to the VPC. */
function equip(lab: TestLab): void {
  const far = `${lab.prefix}far`
  const fleet = `${lab.prefix}fleet`
  for (let i = 0; i < 16; i++) ip('-n', fleet, 'addr', 'add', `100.65.0.${i}/32`, 'dev', 'lo')
  ip('-n', fleet, 'route', 'replace', '10.0.0.0/16', 'dev', 'fleet0', 'src', '100.65.0.9')
  for (let i = 64; i < 68; i++) ip('-n', far, 'addr', 'add', `10.0.1.${i}/32`, 'dev', 'lo')
  ip('-n', far, 'route', 'replace', '10.0.0.0/16', 'dev', 'far0', 'src', '10.0.1.66')
}

const inside = (namespace: string, script: string, ...args: string[]) =>
  ended(spawn('ip', ['netns', 'exec', namespace, process.execPath, '-e', script, '--', ...args]))

const said = (output: string): Record<string, unknown> =>
  JSON.parse(output.trim().split('\n').pop() ?? '{}') as Record<string, unknown>

const listening = (lab: TestLab) =>
  until('web listens', async () => (await lab.exec('web', 'ss', '-Hltn', `sport = :${ECHO}`)).stdout !== '')

t.test('whole prefixes of environments and hosts behind one device each', async t => {
  const lab = await labFor(t, text())
  equip(lab)
  await listening(lab)
  const fleet = `${lab.prefix}fleet`
  t.match(said((await inside(fleet, tcpSay, '10.0.1.20', String(ECHO), 'one')).stdout), { answer: 'one' })
  t.match(said((await inside(fleet, udpSay, '10.0.1.20', String(ECHO), 'two')).stdout), { answer: 'two' })

  const server = spawn('ip', ['netns', 'exec', `${lab.prefix}far`, process.execPath, '-e', tcpEcho(ECHO)])
  t.teardown(() => server.kill())
  await new Promise(resolve => server.stdout.once('data', resolve))
  for (const address of ['10.0.1.64', '10.0.1.67'])
    t.match(
      said((await lab.node('orders-1', tcpSay, address, String(ECHO), 'three')).stdout),
      { answer: 'three' },
      `a function reaches ${address}`,
    )
  t.match(said((await inside(fleet, tcpSay, '10.0.1.65', String(ECHO), 'four')).stdout), { answer: 'four' })
  t.match(
    lab
      .flows()
      .map(({ from, to }) => `${from.name} ${to.name?.split('/')[0]}`)
      .sort(),
    ['fleet-10 many', 'fleet-10 web', 'fleet-10 web', 'orders-1 many', 'orders-1 many'],
    'each with its own name',
  )
  await balances(t, lab)
})

t.test('routed attachments come and go', async t => {
  const lab = await labFor(t, text({ fleet: false, far: false }))
  await listening(lab)
  lab.write(text())
  await lab.up()
  equip(lab)
  t.match(said((await inside(`${lab.prefix}fleet`, tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), {
    answer: 'x',
  })
  lab.write(text({ fleet: false }))
  await lab.up()
  t.match(ip('netns'), new RegExp(`${lab.prefix}far`))
  t.notMatch(ip('netns'), new RegExp(`${lab.prefix}fleet`))
  t.match(said((await lab.node('orders-1', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })
  await balances(t, lab)
})

/** Namespaces that somebody else made, as for a daemon without a lab. */
function givenNamespaces(t: Test, lab: TestLab, names: readonly string[]): void {
  for (const name of names) ip('netns', 'add', `${lab.prefix}${name}`)
  t.teardown(() => {
    for (const name of names) ip('netns', 'delete', `${lab.prefix}${name}`)
    lab.directory.remove()
    return lab.down()
  })
}

const small = text({ fleet: false, far: false, shards: 1 })
const runArguments = (lab: TestLab) => ['run', '--config', lab.file, '--prefix', lab.prefix]

t.test('a daemon without a lab attaches to what exists, and keeps its devices', async t => {
  const lab = new TestLab(small)
  givenNamespaces(t, lab, ['web', 'orders-1'])
  const start = async () => {
    const child = spawn(process.execPath, [PROGRAM, ...runArguments(lab), '--run-dir', lab.directory.path])
    const end = ended(child)
    await until('it is ready', async () => (await lab.status().catch(() => null)) !== null)
    return { child, end }
  }
  const first = await start()
  const server = lab.start('web', [process.execPath, '-e', tcpEcho(ECHO)])
  await new Promise(resolve => server.stdout?.once('data', resolve))
  t.match(said((await lab.node('orders-1', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })
  first.child.kill('SIGTERM')
  const log = (await first.end).stderr
  t.equal((await first.end).status, 0, 'SIGTERM is a clean end')
  const events = log
    .trim()
    .split('\n')
    .map(line => (JSON.parse(line) as { event: string }).event)
  t.same(events, ['starting', 'shard-ready', 'ready', 'signal', 'stopped'], 'a JSON line for each event')

  const index = () => ip('-n', `${lab.prefix}web`, '-o', 'link', 'show', 'dev', 'v2n0').split(':')[0]
  const before = index()
  const second = await start()
  t.equal(index(), before, 'the same device')
  t.match(said((await lab.node('orders-1', tcpSay, '10.0.1.20', String(ECHO), 'x')).stdout), { answer: 'x' })
  t.equal(lab.flows().length, 2, 'the old flow is still known')
  const identity = identify(second.child.pid ?? 0)
  second.child.kill('SIGINT')
  await second.end
  t.notOk(identity !== null && isAlive(identity))
})

t.test('what is not ours is refused by name and left alone', async t => {
  for (const [what, prepare, words] of [
    [
      'a device',
      (ns: string) => ip('-n', ns, 'tuntap', 'add', 'dev', 'v2n0', 'mode', 'tun'),
      /web: device v2n0 in namespace \S+web exists and is not ours/,
    ],
    [
      'an address',
      (ns: string) => ip('-n', ns, 'addr', 'add', '10.0.1.20/32', 'dev', 'lo'),
      /web: the address 10\.0\.1\.20 is on device lo of namespace \S+web, which is not ours/,
    ],
    [
      'a default route',
      (ns: string) => {
        ip('-n', ns, 'tuntap', 'add', 'dev', 'other', 'mode', 'tun')
        ip('-n', ns, 'link', 'set', 'other', 'up')
        ip('-n', ns, 'route', 'add', 'default', 'dev', 'other')
      },
      /web: namespace \S+web has a default route through other, which is not ours/,
    ],
  ] as const)
    await t.test(what, async t => {
      const lab = new TestLab(small)
      givenNamespaces(t, lab, ['web', 'orders-1'])
      const web = `${lab.prefix}web`
      prepare(web)
      const picture = () => ip('-n', web, '-d', 'addr') + ip('-n', web, 'route')
      const before = picture()
      const { status, stderr } = await lab.v2n(...runArguments(lab))
      t.equal(status, 1)
      t.match(stderr, words)
      t.equal(picture(), before, 'it is as it was')
      t.notMatch(ip('-n', `${lab.prefix}orders-1`, 'link'), /v2n0/, 'and no other device was made')
    })
})

t.test('a namespace that is missing is named', async t => {
  const lab = new TestLab(small)
  givenNamespaces(t, lab, ['orders-1'])
  const { status, stderr } = await lab.v2n(...runArguments(lab))
  t.equal(status, 1)
  t.match(stderr, /web: there is no namespace \S+web\.\nMake it/)
  t.notMatch(ip('-n', `${lab.prefix}orders-1`, 'link'), /v2n0/)
})
