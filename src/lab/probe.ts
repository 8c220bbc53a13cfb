/**
 * `v2n lab probe`: one hand-made packet out of a namespace, and what the daemon made of it.
 *
 * The daemon is asked to watch for the packet first; then a child inside the sender's namespace sends it (`probe-child.ts`); the shard that
 * sees it answers with its verdict. A packet that no shard sees was kept back by the sender's own kernel.
 */
import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { address } from '../daemon/config-values.ts'
import { request } from '../daemon/control.ts'
import type { RunDirectory } from '../daemon/directory.ts'
import { Failure } from '../daemon/failure.ts'
import { explain } from '../observe/explain.ts'
import { endText, NameBook } from '../observe/name-book.ts'
import { type Drop, dropName } from '../tables/drops.ts'
import type { Address } from '../vpc/cidr.ts'
import { addressText } from '../vpc/cidr.ts'
import type { DeviceNames, PlanNames } from '../vpc/names.ts'
import { deviceOf, eniOf } from './members.ts'
import { spawnIn } from './namespaces.ts'
import { buildPacket, type ProbePacket, type ProbeProtocol, protocolNumber, type TcpFlag } from './packet.ts'

const CHILD = fileURLToPath(new URL('./probe-child.js', import.meta.url))

/* Ours to tune */
/** After the packet was sent, a shard that is alive has seen it long before. */
const SEEN_MILLISECONDS = 2000

export interface ProbeOptions {
  /** A host or an environment. */
  readonly from: string
  /** A host, an environment, a function, an ENI's id or an address; with `:port` or `[address]:port`. */
  readonly to: string
  readonly protocol?: ProbeProtocol
  readonly port?: number
  readonly sourcePort?: number
  /** Default: syn. */
  readonly flags?: readonly TcpFlag[]
  /** Default: 64. */
  readonly ttl?: number
  /** Bytes of payload; default: 0. */
  readonly size?: number
  readonly ipv6?: boolean
  /** From a host, to a port of a hyperplane ENI that nothing asked for. */
  readonly unsolicited?: boolean
}

export interface End {
  readonly address: string
  /** Null for ICMP, whose identifier is `sourcePort` of the packet. */
  readonly port: number | null
}

/** What became of the packet. */
export interface ProbeResult {
  readonly from: string
  readonly to: string
  readonly protocol: ProbeProtocol
  readonly sent: { readonly source: End; readonly destination: End }
  /** `lost`: no shard saw it. */
  readonly verdict: 'delivered' | 'dropped' | 'held' | 'lost'
  /** The reason's word, null unless dropped. */
  readonly drop: string | null
  /** One sentence. */
  readonly explanation: string
  /** Null unless delivered. */
  readonly delivered: { readonly to: string; readonly source: End; readonly destination: End } | null
}

/** The answer of the daemon's verb `watch`: `Seen` of `shard/messages.ts`, with plain arrays. */
interface SeenJson {
  readonly verdict: 'sent' | 'dropped' | 'held'
  readonly drop: Drop
  readonly toDevice: number
  readonly translated: {
    readonly source: number[]
    readonly destination: number[]
    readonly sourcePort: number
    readonly destinationPort: number
  } | null
}

/**
 * Sends one packet and says what became of it.
 * @throws Failure where a name is not known, or the packet cannot be made or sent
 */
export async function probe(
  directory: RunDirectory,
  names: PlanNames,
  options: ProbeOptions,
): Promise<ProbeResult> {
  const from = deviceOf(names, options.from)
  const packet = packetOf(names, from, options)
  const ipv6 = packet.source.length === 4
  const match = {
    device: from.device,
    protocol: protocolNumber(packet.protocol, ipv6),
    source: packet.source,
    destination: packet.destination,
    sourcePort: packet.sourcePort,
    destinationPort: packet.protocol === 'icmp' ? packet.sourcePort : packet.destinationPort,
    identification: ipv6 ? -1 : packet.identification,
  }
  const seen = await watched(directory, match, () => send(from.namespace, packet))
  const ends = (tuple: ProbePacket | NonNullable<SeenJson['translated']>) => ({
    source: endOf(packet.protocol, tuple.source, tuple.sourcePort),
    destination: endOf(packet.protocol, tuple.destination, tuple.destinationPort),
  })
  const common = { from: options.from, to: options.to, protocol: packet.protocol, sent: ends(packet) }
  if (seen === null)
    return {
      ...common,
      verdict: 'lost',
      drop: null,
      explanation: `No shard saw the packet: the kernel in ${options.from} kept it back.`,
      delivered: null,
    }
  if (seen.verdict === 'held')
    return {
      ...common,
      verdict: 'held',
      drop: null,
      explanation: 'It waits for the rest of its datagram.',
      delivered: null,
    }
  if (seen.verdict === 'dropped' || seen.translated === null)
    return {
      ...common,
      verdict: 'dropped',
      drop: dropName[seen.drop],
      explanation: explain(seen.drop),
      delivered: null,
    }
  const book = new NameBook(names)
  const receiver =
    book.address(seen.translated.destination).name ??
    book.device(seen.toDevice)?.name ??
    `device ${seen.toDevice}`
  const delivered = { to: receiver, ...ends(seen.translated) }
  const changed = JSON.stringify(ends(packet)) !== JSON.stringify(ends(seen.translated))
  const explanation = changed ? 'It was admitted and translated.' : 'It was admitted as it is.'
  return { ...common, verdict: 'delivered', drop: null, explanation, delivered }
}

const endOf = (protocol: ProbeProtocol, words: readonly number[], port: number): End => ({
  address: addressText({ family: words.length === 4 ? 6 : 4, words }),
  port: protocol === 'icmp' ? null : port,
})

/** The result in one line. */
export function probeText(result: ProbeResult): string {
  const { verdict, drop, delivered, explanation } = result
  if (delivered !== null)
    return `delivered to ${delivered.to} as ${endText(delivered.source)} -> ${endText(delivered.destination)}`
  return verdict === 'dropped' ? `dropped: ${drop} — ${explanation}` : `${verdict}: ${explanation}`
}

function packetOf(names: PlanNames, from: DeviceNames, options: ProbeOptions): ProbePacket {
  const { protocol = 'tcp', flags = ['syn'], ttl = 64, size = 0, unsolicited = false } = options
  const target = targetOf(names, options)
  if (unsolicited && (from.side !== 'hosts' || !target.hyperplane))
    throw new Failure(
      'An unsolicited packet goes from a host to the ENI of a function.',
      'For example: v2n lab probe web orders-1 --unsolicited',
    )
  const { family, words } = target.address
  const own = from.addresses.map(text => parse(text.split('/')[0])).find(one => one?.family === family)
  if (own === undefined) throw new Failure(`${options.from} has no IPv${family} address.`)
  return {
    protocol,
    source: own.words,
    destination: words,
    sourcePort: options.sourcePort ?? randomInt(32768, 61000),
    destinationPort: options.port ?? target.port ?? (unsolicited ? randomInt(1024, 65536) : 80),
    flags,
    ttl,
    size,
    identification: randomInt(1, 65536),
  }
}

interface Target {
  readonly address: Address
  readonly port: number | undefined
  readonly hyperplane: boolean
}

function targetOf(names: PlanNames, { to, ipv6 = false }: ProbeOptions): Target {
  const literal = parse(to)
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(to) ?? []
  const text = literal === undefined ? (bracketed ?? plain ?? to) : to
  const found = literal ?? parse(text)
  const eni =
    found === undefined
      ? eniOf(names, text)
      : names.enis.find(one => [one.address, one.ipv6Address].includes(addressText(found)))
  if (found === undefined && eni === undefined)
    throw new Failure(
      `${text} is neither a host, an environment, a function, an ENI nor an address.`,
      `There are: ${names.devices.map(({ name }) => name).join(', ')}.`,
    )
  const ofEni = eni === undefined ? null : ipv6 ? eni.ipv6Address : eni.address
  if (found === undefined && ofEni === null) throw new Failure(`${text} has no IPv6 address.`)
  const target = found ?? parse(ofEni ?? '')
  if (target === undefined) throw new Failure(`${text} has no address.`)
  return {
    address: target,
    port: port === undefined ? undefined : Number(port),
    hyperplane: eni?.kind === 'hyperplane',
  }
}

function parse(text: string): Address | undefined {
  const [four, six] = [address(4).safeParse(text), address(6).safeParse(text)]
  return four.success ? four.data : six.success ? six.data : undefined
}

/** Runs `act` while the daemon watches. Null where no shard saw the packet in time. */
async function watched(
  directory: RunDirectory,
  match: Readonly<Record<string, unknown>>,
  act: () => Promise<void>,
): Promise<SeenJson | null> {
  const over = new AbortController()
  let watching = () => {}
  const began = new Promise<void>(resolve => {
    watching = resolve
  })
  const seen = request(directory.socket, 'watch', { match }, { onProgress: watching, signal: over.signal })
  seen.catch(() => {}) // looked at below
  let timer: NodeJS.Timeout | undefined
  try {
    await Promise.race([began, seen])
    await act()
    const late = new Promise<null>(resolve => {
      timer = setTimeout(() => resolve(null), SEEN_MILLISECONDS)
    })
    return (await Promise.race([seen, late])) as SeenJson | null
  } finally {
    clearTimeout(timer)
    over.abort()
  }
}

/** Sends the packet from a process inside the namespace. @throws Failure with the kernel's words */
function send(namespace: string, packet: ProbePacket): Promise<void> {
  const argument = JSON.stringify({
    packet: Buffer.from(buildPacket(packet)).toString('hex'),
    destination: addressText({ family: packet.destination.length === 4 ? 6 : 4, words: packet.destination }),
  })
  const child = spawnIn(namespace, [process.execPath, CHILD, argument], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let words = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    words += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      if (code === 0) resolve()
      else reject(new Failure(`The packet could not be sent: ${words.trim().split('\n').pop() ?? ''}.`))
    })
  })
}
