/**
 * The hand-made packet of `v2n lab probe`: one IPv4 or IPv6 packet of TCP, UDP or ICMP echo, complete and with right checksums.
 *
 * It is made for a raw socket with the header included (IP_HDRINCL; for IPv6 protocol IPPROTO_RAW), so nothing of it is the kernel's but the
 * route it takes. Its identification, and its ports, are what the daemon's watch knows it by.
 */

import { store32, write16, write32 } from '../wire/bytes.ts'
import { fill, fillUdp, pseudoSum4, pseudoSum6 } from '../wire/checksum.ts'
import { Protocol } from '../wire/protocol.ts'

export type ProbeProtocol = 'tcp' | 'udp' | 'icmp'

/** The flags of RFC 9293 section 3.1, from the lowest bit. */
export const TCP_FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr'] as const
export type TcpFlag = (typeof TCP_FLAGS)[number]

export interface ProbePacket {
  readonly protocol: ProbeProtocol
  /** One word (IPv4) or four (IPv6), as loaded from a packet; both ends have the same family. */
  readonly source: readonly number[]
  readonly destination: readonly number[]
  /** The identifier for ICMP. */
  readonly sourcePort: number
  /** Not used for ICMP. */
  readonly destinationPort: number
  /** Only for TCP. */
  readonly flags: readonly TcpFlag[]
  /** TTL or hop limit. */
  readonly ttl: number
  /** Bytes of payload after the transport header. */
  readonly size: number
  /** Of the IPv4 header, 1 to 65535: the kernel replaces 0. */
  readonly identification: number
}

const IPV4_LEN = 20
const IPV6_LEN = 40
const TRANSPORT_LEN: Record<ProbeProtocol, number> = { tcp: 20, udp: 8, icmp: 8 }
const ECHO_REQUEST4 = 8
const ECHO_REQUEST6 = 128
const DONT_FRAGMENT = 0x4000
const WINDOW = 65535

/** The protocol number on the wire: ICMP has another one in IPv6. */
export const protocolNumber = (protocol: ProbeProtocol, ipv6: boolean): number =>
  protocol === 'tcp'
    ? Protocol.Tcp
    : protocol === 'udp'
      ? Protocol.Udp
      : ipv6
        ? Protocol.Icmp6
        : Protocol.Icmp

/** The most payload that a packet of the protocol and family can have. */
export const maxPayload = (protocol: ProbeProtocol, ipv6: boolean): number =>
  65535 - TRANSPORT_LEN[protocol] - (ipv6 ? 0 : IPV4_LEN)

/** The bytes of the packet. Its payload counts up from 0, so that a damaged one shows. */
export function buildPacket(packet: ProbePacket): Uint8Array {
  const { source, destination, protocol, size, ttl, identification } = packet
  const ipv6 = source.length === 4
  const at = ipv6 ? IPV6_LEN : IPV4_LEN
  const length = TRANSPORT_LEN[protocol] + size
  const bytes = new Uint8Array(at + length)
  const number = protocolNumber(protocol, ipv6)
  if (ipv6) {
    write32(bytes, 0, 0x6000_0000)
    write16(bytes, 4, length)
    bytes[6] = number
    bytes[7] = ttl
    for (let i = 0; i < 4; i++) {
      store32(bytes, 8 + 4 * i, source[i])
      store32(bytes, 24 + 4 * i, destination[i])
    }
  } else {
    bytes[0] = 0x45
    write16(bytes, 2, at + length)
    write16(bytes, 4, identification)
    write16(bytes, 6, DONT_FRAGMENT)
    bytes[8] = ttl
    bytes[9] = number
    store32(bytes, 12, source[0])
    store32(bytes, 16, destination[0])
    fill(bytes, 0, IPV4_LEN, 10, 0)
  }
  for (let i = 0; i < size; i++) bytes[at + TRANSPORT_LEN[protocol] + i] = i & 0xff
  const pseudo = ipv6
    ? pseudoSum6(bytes, 8, number, length)
    : pseudoSum4(source[0], destination[0], number, length)
  writeTransport(bytes, at, length, packet, ipv6, pseudo)
  return bytes
}

function writeTransport(
  bytes: Uint8Array,
  at: number,
  length: number,
  { protocol, sourcePort, destinationPort, flags }: ProbePacket,
  ipv6: boolean,
  pseudo: number,
): void {
  if (protocol === 'icmp') {
    bytes[at] = ipv6 ? ECHO_REQUEST6 : ECHO_REQUEST4
    write16(bytes, at + 4, sourcePort)
    write16(bytes, at + 6, 1)
    fill(bytes, at, length, at + 2, ipv6 ? pseudo : 0)
    return
  }
  write16(bytes, at, sourcePort)
  write16(bytes, at + 2, destinationPort)
  if (protocol === 'udp') {
    write16(bytes, at + 4, length)
    fillUdp(bytes, at, length, at + 6, pseudo)
    return
  }
  write32(bytes, at + 4, 0x5632_4e21) // any sequence number, recognisable in a capture
  bytes[at + 12] = 5 << 4
  bytes[at + 13] = flags.reduce((bits, flag) => bits | (1 << TCP_FLAGS.indexOf(flag)), 0)
  write16(bytes, at + 14, WINDOW)
  fill(bytes, at, length, at + 16, pseudo)
}
