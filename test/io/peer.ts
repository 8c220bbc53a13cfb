/** The program behind `Peer`: a UDP socket that sends what it is told and tells what it receives. */
import { createSocket } from 'node:dgram'

interface Order {
  readonly text: string
  readonly address: string
  readonly port: number
  readonly count: number
  readonly fresh: boolean
}

const [address, port] = process.argv.slice(2)
const kind = address.includes(':') ? 'udp6' : 'udp4'
const socket = createSocket(kind)
socket.on('message', (bytes, from) =>
  process.send?.({ text: bytes.toString(), address: from.address, port: from.port }),
)
process.on('message', async ({ text, address, port, count, fresh }: Order) => {
  for (let number = 0; number < count; number++) {
    const from = fresh ? createSocket(kind) : socket
    await new Promise(resolve => from.send(`${text}${number}`, port, address, resolve))
    if (fresh) from.close()
  }
})
process.on('disconnect', () => process.exit())
socket.bind(Number(port), address, () => process.send?.('ready'))
