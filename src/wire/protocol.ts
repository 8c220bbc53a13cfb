/**
 * IP protocol numbers and IPv6 next header values that the data plane tells apart.
 * IANA "Protocol Numbers"; the IPv6 extension headers among them are those of RFC 7045 section 1.1.
 */
export const Protocol = {
  HopByHop: 0,
  Icmp: 1,
  Igmp: 2,
  Ipip: 4,
  Tcp: 6,
  Udp: 17,
  Ipv6: 41,
  Routing: 43,
  Fragment: 44,
  Gre: 47,
  Esp: 50,
  Ah: 51,
  Icmp6: 58,
  NoNextHeader: 59,
  DestinationOptions: 60,
  Sctp: 132,
  Mobility: 135,
  Hip: 139,
  Shim6: 140,
  Experiment1: 253,
  Experiment2: 254,
} as const
export type Protocol = (typeof Protocol)[keyof typeof Protocol]

const names: Record<Protocol, string> = {
  [Protocol.HopByHop]: 'hop-by-hop',
  [Protocol.Icmp]: 'icmp',
  [Protocol.Igmp]: 'igmp',
  [Protocol.Ipip]: 'ipip',
  [Protocol.Tcp]: 'tcp',
  [Protocol.Udp]: 'udp',
  [Protocol.Ipv6]: 'ipv6',
  [Protocol.Routing]: 'routing',
  [Protocol.Fragment]: 'fragment',
  [Protocol.Gre]: 'gre',
  [Protocol.Esp]: 'esp',
  [Protocol.Ah]: 'ah',
  [Protocol.Icmp6]: 'icmp6',
  [Protocol.NoNextHeader]: 'no-next-header',
  [Protocol.DestinationOptions]: 'destination-options',
  [Protocol.Sctp]: 'sctp',
  [Protocol.Mobility]: 'mobility',
  [Protocol.Hip]: 'hip',
  [Protocol.Shim6]: 'shim6',
  [Protocol.Experiment1]: 'experiment-1',
  [Protocol.Experiment2]: 'experiment-2',
}

/** The word for a protocol number, or the number itself where there is none. */
export const protocolName = (protocol: number): string => names[protocol as Protocol] ?? String(protocol)
