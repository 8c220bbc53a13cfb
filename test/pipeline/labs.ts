/**
 * The networks that tests are about, as lab files, and the packets of their members.
 */
import * as build from '../wire/build.ts'

/** Addresses as `small` gives them: environments get theirs in order, the ENI the lowest free one of its subnet. */
export const at = {
  orders1: '100.64.0.2',
  orders2: '100.64.0.3',
  web: '10.0.1.20',
  db: '10.0.1.30',
  eni: '10.0.1.4',
  router: '10.0.1.1',
  insideRouter: '100.64.0.1',
} as const
export const at6 = {
  orders1: 'fd64::2',
  orders2: 'fd64::3',
  web: 'fd00:0:0:1::14',
  db: 'fd00:0:0:1::1e',
  eni: 'fd00:0:0:1::4',
  router: 'fd00:0:0:1::1',
  insideRouter: 'fd64::1',
} as const

export interface SmallOptions {
  readonly daemon?: string
  /** Keys of `orders` besides its subnet and group. */
  readonly orders?: string
  /** Rules of web's group. */
  readonly web?: string
  readonly webEgress?: string
  /** Rules of db's group. */
  readonly db?: string
  /** Further security groups. */
  readonly groups?: string
  /** Egress of the functions' group. */
  readonly fn?: string
  readonly webMtu?: number
  /** Hosts besides web and db. */
  readonly hosts?: string
  /** Functions besides orders. */
  readonly functions?: string
  /** Keys of the VPC besides subnets and groups. */
  readonly vpc?: string
  /** Subnets besides app and old. */
  readonly subnets?: string
}

const ALL = '{ protocol: all, to: [0.0.0.0/0, "::/0"] }'
const FROM_ALL = '{ protocol: all, from: [0.0.0.0/0, "::/0"] }'

/** A dual-stack subnet with a function of two environments, a web server and a database; everything is allowed unless said otherwise. */
export const labOf = (options: SmallOptions = {}): string => `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
    old: { cidr: 10.0.2.0/24 }
${options.subnets ?? ''}
  securityGroups:
    fn: { egress: [${options.fn ?? ALL}] }
    web: { ingress: [${options.web ?? FROM_ALL}], egress: [${options.webEgress ?? ALL}] }
    db: { ingress: [${options.db ?? FROM_ALL}], egress: [${ALL}] }
${options.groups ?? ''}
${options.vpc ?? ''}
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web], mtu: ${options.webMtu ?? 1500} }
  db: { subnet: app, address: 10.0.1.30, securityGroups: [db] }
${options.hosts ?? ''}
functions:
  orders: { subnets: [app], securityGroups: [fn], ${options.orders ?? 'environments: 2, ipv6: true, echo: true'} }
${options.functions ?? ''}
daemon: { ${options.daemon ?? 'profile: rfc'} }
`

export const small = labOf()

/** Two VPCs with the same blocks of IPv4, each with a host. */
export const twoVpcs = `
vpcs:
  main:
    cidr: 10.0.0.0/16
    subnets: { app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" } }
    securityGroups: { open: { ingress: [${FROM_ALL}], egress: [${ALL}] } }
  other:
    cidr: 10.0.0.0/16
    subnets: { app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:9::/64" } }
    securityGroups: { open: { ingress: [${FROM_ALL}], egress: [${ALL}] } }
hosts:
  web: { vpc: main, subnet: app, address: 10.0.1.20, securityGroups: [open] }
  stranger: { vpc: other, subnet: app, address: 10.0.1.20, securityGroups: [open] }
  far: { vpc: other, subnet: app, address: 10.0.1.40, securityGroups: [open] }
functions:
  orders: { vpc: main, subnets: [app], securityGroups: [open], ipv6: true }
  others: { vpc: other, subnets: [app], securityGroups: [open], ipv6: true }
`

/** What the packets of both families can be given. */
interface Ip {
  source?: string
  destination?: string
  partial?: boolean
  /** IPv4. */
  ttl?: number
  service?: number
  identification?: number
  dontFragment?: boolean
  /** IPv6. */
  hops?: number
  trafficClass?: number
  flowLabel?: number
}

/** How a family of addresses builds its packets, for tests that hold in both. */
export interface Family {
  readonly name: string
  readonly at: Record<keyof typeof at, string>
  readonly tcp: (of: build.Tcp & Ip) => Uint8Array
  readonly udp: (of: build.Udp & Ip) => Uint8Array
  readonly echo: (of: build.Icmp & Ip) => Uint8Array
  /** Bytes of the IP header. */
  readonly header: number
  readonly isIpv6: boolean
}

export const ipv4: Family = {
  name: 'IPv4',
  at,
  tcp: build.tcp4,
  udp: build.udp4,
  echo: build.icmp4,
  header: 20,
  isIpv6: false,
}
export const ipv6: Family = {
  name: 'IPv6',
  at: at6,
  tcp: build.tcp6,
  udp: build.udp6,
  echo: build.icmp6,
  header: 40,
  isIpv6: true,
}
export const families = [ipv4, ipv6]
