/**
 * The process that sends a probe's packet, started inside the sender's namespace by `ip netns exec`.
 *
 * It is a process of its own because the packet must come out of that namespace, and because raw-socket lets one thread of a process use it.
 * It reads `{"packet": HEX, "destination": TEXT}` from its arguments, sends the packet once, prints nothing, and exits with 1
 * and the kernel's words where that is refused.
 */
import { createRequire } from 'node:module'

/** The part of raw-socket that is used here; the package has no types. */
interface RawSocket {
  readonly AddressFamily: { readonly IPv4: number; readonly IPv6: number }
  readonly SocketLevel: { readonly IPPROTO_IP: number }
  readonly SocketOption: { readonly IP_HDRINCL: number }
  createSocket(options: { readonly protocol: number; readonly addressFamily: number }): Socket
}

interface Socket {
  setOption(level: number, option: number, value: number): void
  send(
    buffer: Buffer,
    offset: number,
    length: number,
    address: string,
    after: (error: Error | null) => void,
  ): void
  on(event: 'error', listener: (error: Error) => void): void
  close(): void
}

/** ip(7), ipv6(7): a socket of this protocol sends whole packets, header included. */
const IPPROTO_RAW = 255

function send(packet: Buffer, destination: string): void {
  const raw: RawSocket = createRequire(import.meta.url)('raw-socket')
  const ipv6 = destination.includes(':')
  const socket = raw.createSocket({
    protocol: IPPROTO_RAW,
    addressFamily: ipv6 ? raw.AddressFamily.IPv6 : raw.AddressFamily.IPv4,
  })
  const failed = (error: Error) => {
    process.stderr.write(`${error.message}\n`)
    process.exitCode = 1
  }
  socket.on('error', failed)
  if (!ipv6) socket.setOption(raw.SocketLevel.IPPROTO_IP, raw.SocketOption.IP_HDRINCL, 1)
  socket.send(packet, 0, packet.length, destination, error => {
    if (error !== null) failed(error)
    socket.close()
  })
}

const { packet, destination } = JSON.parse(process.argv[2] ?? '{}') as { packet: string; destination: string }
send(Buffer.from(packet, 'hex'), destination)
