import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { version } from '../../src/cli/version.ts'

const PROGRAM = fileURLToPath(new URL('../../src/cli/v2n.js', import.meta.url))

const v2n = (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
  new Promise(resolve => {
    const child = execFile(process.execPath, [PROGRAM, ...args], (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    )
  })

t.test('help and version are done', async t => {
  const help = await v2n('--help')
  t.equal(help.status, 0)
  for (const verb of ['run', 'lab', 'flows', 'enis', 'stats', 'version', 'Examples:'])
    t.match(help.stdout, verb)
  t.match(await v2n('lab', '--help'), { status: 0, stdout: /up .*\n[\s\S]*probe/ })
  for (const verb of [
    ['run'],
    ['lab', 'up'],
    ['lab', 'exec'],
    ['lab', 'probe'],
    ['flows'],
    ['enis'],
    ['stats'],
  ])
    t.match(
      await v2n(...verb, '--help'),
      { status: 0, stdout: /Examples?:/ },
      `${verb.join(' ')} has examples`,
    )
  t.match(await v2n('--version'), { status: 0, stdout: `${version()}\n` })
  const json = await v2n('version', '--json')
  t.match(JSON.parse(json.stdout), { v2n: version(), node: process.versions.node })
})

t.test('wrong usage exits with 2 and says how', async t => {
  for (const args of [
    [],
    ['nonsense'],
    ['lab'],
    ['lab', 'nonsense'],
    ['run'],
    ['lab', 'up'],
    ['lab', 'exec', 'web'],
    ['lab', 'probe', 'web'],
    ['lab', 'probe', 'a', 'b', '--port', '65536'],
    ['lab', 'probe', 'a', 'b', '--protocol', 'sctp'],
    ['lab', 'probe', 'a', 'b', '--flags', 'syn,nonsense'],
    ['lab', 'probe', 'a', 'b', '--ttl', '0'],
    ['stats', '--watch', '0'],
    ['flows', '--limit', 'x'],
    ['stats', '--nonsense'],
  ]) {
    const { status, stderr } = await v2n(...args)
    t.equal(status, 2, `v2n ${args.join(' ')}`)
    t.not(stderr, '', 'with words')
  }
})

t.test('what cannot be done exits with 1 and a sentence', async t => {
  const nowhere = t.testdir({})
  for (const args of [['flows'], ['enis'], ['stats'], ['lab', 'status']])
    t.match(
      await v2n(...args, '--run-dir', nowhere),
      {
        status: 1,
        stdout: '',
        stderr: /^v2n: (No daemon ran on|There is no lab in) .*\n.*v2n lab up FILE\n$/,
      },
      `v2n ${args.join(' ')}`,
    )
})

t.test('a wrong lab file is refused with file, line and key', async t => {
  const folder = t.testdir({ 'lab.yaml': 'vpc:\n  cidr: 10.0.0.0/16\n  subnet: {}\n' })
  const { status, stderr } = await v2n('lab', 'up', `${folder}/lab.yaml`, '--run-dir', `${folder}/run`)
  t.equal(status, 1)
  t.match(stderr, /lab\.yaml:3: vpc\.subnet: unknown key; expected one of/)
})

t.test('without privileges one sentence says what is missing', async t => {
  const without = (...args: string[]) =>
    spawnSync('setpriv', ['--bounding-set=-all', process.execPath, PROGRAM, ...args], { encoding: 'utf8' })
  for (const args of [
    ['run', '--config', 'x.yaml'],
    ['lab', 'up', 'x.yaml'],
    ['lab', 'down'],
    ['lab', 'exec', 'web', 'ls'],
    ['lab', 'probe', 'a', 'b'],
  ])
    t.match(
      without(...args),
      {
        status: 1,
        stderr: /^v2n: v2n .* needs root: CAP_NET_ADMIN and CAP_SYS_ADMIN missing\.\nTry: sudo v2n /,
      },
      `v2n ${args.join(' ')}`,
    )
})
