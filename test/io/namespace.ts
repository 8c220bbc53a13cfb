/**
 * Network namespaces for tests of devices: made and removed by the test, named after this process.
 *
 * A namespace holds whatever programs the test starts in it; all traffic stays inside.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

let made = 0

export class Namespace {
  readonly name: string

  /** Makes a namespace that goes with the end of the test, however it ends. */
  constructor(t: Test) {
    this.name = `v2nio${process.pid}-${made++}`
    execFileSync('ip', ['netns', 'add', this.name])
    const remove = () => {
      process.off('exit', remove)
      execFileSync('ip', ['netns', 'delete', this.name])
    }
    process.on('exit', remove)
    t.teardown(remove)
    this.ip('link set lo up')
  }

  get path(): string {
    return `/run/netns/${this.name}`
  }

  /** Runs ip(8) in it. */
  ip(command: string): string {
    return execFileSync('ip', ['-n', this.name, ...command.split(' ')], { encoding: 'utf8' })
  }

  /** Writes a setting of the namespace's network, such as `ipv4/ip_forward`. */
  set(setting: string, value: string | number): void {
    this.run('sh', '-c', `echo ${value} > /proc/sys/net/${setting}`)
  }

  /** Runs a program in it to its end. */
  run(program: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, program, ...args], { encoding: 'utf8' })
  }

  /** Brings a device up with an address and all routes through it; no IPv6 noise of the kernel's own. */
  up(device: string, address: string): void {
    this.ip(`link set ${device} addrgenmode none`)
    this.ip(`addr add ${address} dev ${device}`)
    this.ip(`link set ${device} up`)
    this.ip(`route add default dev ${device}`)
  }
}

/** A UDP socket in a namespace, driven from the test. */
export class Peer {
  readonly #child: ChildProcess
  readonly received: { readonly text: string; readonly address: string; readonly port: number }[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', message => {
      if ((message as { text?: string }).text !== undefined)
        this.received.push(message as { text: string; address: string; port: number })
    })
  }

  static async open(t: Test, { name }: Namespace, address: string, port: number): Promise<Peer> {
    // fork makes the channel; `ip netns exec` in between keeps it open and becomes the program.
    const script = fileURLToPath(new URL('peer.js', import.meta.url))
    const child = fork(script, [address, String(port)], {
      execPath: 'ip',
      execArgv: ['netns', 'exec', name, process.execPath],
    })
    t.teardown(() => child.kill())
    await new Promise((resolve, reject) => {
      child.once('message', resolve)
      child.once('exit', code => reject(new Error(`the peer ended with ${code}`)))
    })
    return new Peer(child)
  }

  /** Sends `count` datagrams of `text` and its number, from this socket or from a new one each. */
  send(text: string, address: string, port: number, { count = 1, fresh = false } = {}): void {
    this.#child.send({ text, address, port, count, fresh })
  }
}
