/**
 * `npm run demo`: V2N at work, in about a minute.
 *
 * Prepares the checkout, brings the quickstart lab up, shows traffic, the ENI's ports, and a packet that nobody asked for being dropped, and
 * takes the lab down. Every command it runs is printed first and can be typed by hand. What it shows is checked: exit status 0 says that all of
 * it was seen. The lab has a run directory and a prefix of its own, so that it meets no other lab, and is taken down on every way out.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isInstalled, prepare } from './prepare.mjs'
import { Complaint, root, start } from './steps.mjs'

const program = join(root, 'dist/src/cli/v2n.js')
const runs = '/run/v2n'
const name = `demo-${process.pid}`
const directory = join(runs, name)
const environment = { ...process.env, V2N_RUN_DIR: directory }

let interrupted = false
let child = null

/** Prints a paragraph of explanation. */
const tell = text => console.log(`\n${text}`)

/** A word as a shell would want it typed. */
const quoted = word => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)

/**
 * Runs a verb of v2n, printing the command and what it prints.
 * @param {string[]} args
 * @param {{ expect?: RegExp, quiet?: boolean }} [options] expect: what the output must hold
 * @returns {Promise<string>} what it printed
 * @throws {Complaint} where it fails or prints something else
 */
async function v2n(args, { expect, quiet = false } = {}) {
  if (interrupted) throw new Complaint('Interrupted.')
  if (!quiet) console.log(`\n$ v2n ${args.map(quoted).join(' ')}`)
  child = spawn(process.execPath, [program, ...args], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
    if (!quiet) process.stdout.write(text)
  })
  child.stderr.setEncoding('utf8').on('data', text => (errors += text))
  const status = await new Promise(resolve => child.on('close', resolve))
  if (interrupted) throw new Complaint('Interrupted.')
  if (status !== 0) throw new Complaint(`${errors.trim()}\n\`v2n ${args.join(' ')}\` exited with ${status}.`)
  if (expect !== undefined && !expect.test(output))
    throw new Complaint(`\`v2n ${args.join(' ')}\` did not show what it should: ${expect}`)
  return output
}

/** The head of the web server's page, by the client that is there. */
const get = (from, url) =>
  isInstalled('curl')
    ? ['lab', 'exec', from, '--', 'curl', '-sS', '-I', '-m', '10', url]
    : [
        'lab',
        'exec',
        from,
        '--',
        process.execPath,
        '-e',
        `fetch('${url}').then(got => console.log('HTTP', got.status))`,
      ]

/** Waits until a host's command listens: 80 is 0050 in /proc/net/tcp6. */
async function listening(host, table, port) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (
      (await v2n(['lab', 'exec', host, '--', 'cat', `/proc/net/${table}`], { quiet: true })).includes(
        `:${port} `,
      )
    )
      return
    await sleep(100)
  }
  throw new Complaint(`The command of ${host} did not begin to listen.`)
}

async function show() {
  tell(
    'A VPC on this machine: a web server, a UDP echo server, and two environments of the function "orders".',
  )
  await v2n(['lab', 'up', 'labs/quickstart.yaml', '--prefix', `${name}-`])
  await v2n(['lab', 'status'])
  await listening('web', 'tcp6', '0050')
  await listening('echo', 'udp6', '0007')

  tell(
    'Both environments reach the web server, over IPv4 and over IPv6, through the one network interface (ENI) that they share:',
  )
  await v2n(get('orders-1', 'http://10.0.1.20/'), { expect: /^HTTP.* 200/ })
  await v2n(get('orders-2', 'http://[fd00:0:0:1::14]/'), { expect: /^HTTP.* 200/ })
  const udp = 'exec 3<>/dev/udp/10.0.1.30/7; echo "an echo" >&3; timeout 5 head -n 1 <&3'
  await v2n(['lab', 'exec', 'orders-2', '--', 'bash', '-c', udp], { expect: /an echo/ })

  tell(
    'Each conversation holds a port of the ENI. The servers see its address, never that of the environment:',
  )
  await v2n(['flows'], { expect: /udp .*orders-2/ })
  await v2n(['enis'], { expect: /hyperplane .*tcp \d/ })

  tell(
    'What the function did not ask for does not come in, and what the groups do not allow does not go out:',
  )
  await v2n(['lab', 'probe', 'web', 'orders-1', '--unsolicited'], { expect: /^dropped: unsolicited/ })
  await v2n(['lab', 'probe', 'orders-1', 'web', '--port', '22'], {
    expect: /^dropped: security-group-ingress/,
  })

  tell('Every packet is accounted for: in + originated = out + dropped + held.')
  await v2n(['stats'], { expect: /unsolicited +1/ })
}

/** Labs of demos that were killed. */
function abandoned() {
  if (!existsSync(runs)) return []
  return readdirSync(runs).filter(entry => {
    const [, pid] = /^demo-(\d+)$/.exec(entry) ?? []
    return pid !== undefined && entry !== name && !existsSync(`/proc/${pid}`)
  })
}

const down = (entry, stdio) =>
  spawnSync(process.execPath, [program, 'lab', 'down', '--run-dir', join(runs, entry)], { stdio }).status ===
  0

await start(async () => {
  if (process.getuid() !== 0)
    throw new Complaint('The demo makes network namespaces, which needs root: sudo npm run demo')
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => {
      interrupted = true
      child?.kill('SIGINT')
    })
  const began = performance.now()
  await prepare()
  if (interrupted) throw new Complaint('Interrupted.')
  for (const entry of abandoned()) down(entry, 'ignore')
  try {
    await show()
    tell('Nothing stays behind:')
    await v2n(['lab', 'down'])
  } finally {
    if (existsSync(join(directory, 'lab.json'))) down(name, 'inherit')
  }
  console.log(
    `\nThat was V2N, in ${((performance.now() - began) / 1000).toFixed(0)} s. README.md goes on from here.`,
  )
  return 0
})
