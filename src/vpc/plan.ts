/**
 * The plan: the VPC compiled to flat arrays, immutable, with a generation number.
 *
 * Control builds a plan (`compile.ts`), every shard swaps it in between two bursts. A plan is made of numbers, typed arrays and
 * nothing else, so that it crosses to a shard's thread by structured clone. Numbers that name a device, an ENI or an environment
 * are stable: as long as the thing exists it keeps its number from plan to plan and across restarts, since flow
 * records hold them. Slots of arrays that belong to nothing hold the kind `None`.
 *
 * IPv4 addresses and words of IPv6 addresses are 32-bit integers *as a little-endian machine loads them from a packet*
 * (network order, unswapped; see `wire/address.ts`), so that the loop compares without swapping. Lengths of prefixes are plain.
 */

/** What stands behind a device. */
export const DeviceKind = { None: 0, Environments: 1, Hosts: 2 } as const
export type DeviceKind = (typeof DeviceKind)[keyof typeof DeviceKind]

/** What an ENI is. Hyperplane ENIs translate and admit nothing unasked; a host's ENI is the host's own address. */
export const EniKind = { None: 0, Hyperplane: 1, Host: 2 } as const
export type EniKind = (typeof EniKind)[keyof typeof EniKind]

/** Bits of `environments.flags`, what one function may do, and of `enis.flags`, what any function of the ENI may do. */
export const EniFlag = {
  /** ICMP echo of a function is translated; off by default, Lambda carries TCP and UDP only. */
  Echo: 1,
  /** Functions may use IPv6 (Ipv6AllowedForDualStack). */
  Ipv6: 2,
} as const

/** Where a route leads. */
export const RouteTarget = { Local: 0, Blackhole: 1 } as const
export type RouteTarget = (typeof RouteTarget)[keyof typeof RouteTarget]

/** How a rule of a security group names its peers. */
export const PeerKind = { Cidr4: 0, Cidr6: 1, Group: 2 } as const
export type PeerKind = (typeof PeerKind)[keyof typeof PeerKind]

/** Any protocol, in `rules.protocol`. */
export const ANY_PROTOCOL = -1
/** Belongs to nothing, in arrays of indices. */
export const NOTHING = -1

/**
 * A hash map from (scope, address) to a number, read by shards, built by control: open addressing, linear probing,
 * a power of two of slots at most half full. See `tables/addresses.ts` for its reader and writer.
 */
export interface AddressMapArrays {
  /** Six words a slot: scope with the family in bit 31 (set for IPv6), four address words (IPv4: the first, then zeros), value + 1 or 0 where empty. */
  readonly slots: Int32Array
}

/** Devices, indexed by device number. */
export interface PlanDevices {
  readonly kind: Uint8Array
  /** The VPC of the hosts; 0 for environments, whose ENI names the VPC. */
  readonly vpc: Uint16Array
  readonly mtu: Int32Array
}

/** Environments, indexed by environment number. */
export interface PlanEnvironments {
  /** The slot of the ENI that new flows leave through, or NOTHING where the function has none (yet). */
  readonly eni: Int32Array
  readonly device: Int32Array
  /** 1 where the function is Active, else its packets drop as `function-inactive`. */
  readonly active: Uint8Array
  /** EniFlag bits of the function. Functions that share an ENI may differ, so admission asks these. */
  readonly flags: Uint8Array
}

/** ENIs, indexed by ENI slot. */
export interface PlanEnis {
  readonly kind: Uint8Array
  /** EniFlag bits: the union over the functions that use the ENI. */
  readonly flags: Uint8Array
  readonly vpc: Uint16Array
  readonly subnet: Uint16Array
  /** Primary private IPv4 address, 0 where there is none. */
  readonly address4: Int32Array
  /** Four words an ENI, zeros where there is none. */
  readonly address6: Int32Array
  /** The device of the host, NOTHING for a hyperplane ENI. */
  readonly device: Int32Array
  /** Index into `ruleSets`: the set of security groups the ENI has. */
  readonly ruleSet: Int32Array
}

/** Subnets, indexed by subnet number. */
export interface PlanSubnets {
  readonly vpc: Uint16Array
  readonly routeTable: Uint16Array
  /** The router's address (network + 1), source of the errors that hosts get. */
  readonly router4: Int32Array
  /** Four words a subnet; zeros where the subnet has no IPv6. */
  readonly router6: Int32Array
  readonly network4: Int32Array
  readonly prefix4: Uint8Array
}

/**
 * Routes of every route table and family, sorted so that the first match is the longest.
 * The routes of table *t* are `start4[t] ≤ i < start4[t + 1]` for IPv4, likewise `start6` for IPv6.
 */
export interface PlanRoutes {
  readonly start4: Int32Array
  readonly start6: Int32Array
  /** Four words a route; IPv4 uses the first. */
  readonly network: Int32Array
  /** Four words a route: the mask of the prefix, in the same byte order. */
  readonly mask: Int32Array
  readonly target: Uint8Array
}

/**
 * Distinct sets of security groups, each with its union of rules, and the groups themselves.
 * Rules of set *s*: egress `egressStart[s] ≤ i < egressStart[s + 1]`, ingress likewise. Groups of set *s*, ascending:
 * `groupStart[s] ≤ i < groupStart[s + 1]` in `groups`.
 */
export interface PlanRuleSets {
  readonly egressStart: Int32Array
  readonly ingressStart: Int32Array
  readonly groupStart: Int32Array
  readonly groups: Int32Array
}

/** Rules of security groups, in one list. Allow rules only. */
export interface PlanRules {
  /** IP protocol number or ANY_PROTOCOL. */
  readonly protocol: Int16Array
  /** Ports of TCP and UDP, both ends included, plain numbers; for ICMP the type and code, 65535 for any. 0 to 65535 for all. */
  readonly low: Uint16Array
  readonly high: Uint16Array
  readonly peer: Uint8Array
  /** Four words a rule. */
  readonly network: Int32Array
  readonly mask: Int32Array
  /** Group number where `peer` is Group. */
  readonly group: Int32Array
}

/** What holds for the whole daemon. */
export interface PlanSettings {
  /** Idle ticks by TimeoutClass (see `nat/timeouts.ts`). */
  readonly timeouts: Int32Array
  /** Address that errors to environments come from: the router on the inside. */
  readonly insideRouter4: number
  readonly insideRouter6: Int32Array
  /** What a function is told when no port or connection is left: ICMP code 13 (`admin`), 1 (`host`), or nothing. */
  readonly exhaustion: 'admin' | 'host' | 'off'
  /** Lower the MSS option of SYNs to what the egress device carries. */
  readonly clampMss: boolean
  /** Tracked flows survive a change of rules that no longer allows them (AWS's way), or are cut by it. */
  readonly ruleChange: 'keep' | 'cut'
  /** First packets of TCP that are not a SYN: dropped, or picked up. */
  readonly tcpPickup: boolean
}

export interface Plan {
  /** Grows with every plan, from 1. */
  readonly generation: number
  readonly devices: PlanDevices
  readonly environments: PlanEnvironments
  /** (device, source address) ▶ environment number. */
  readonly sources: AddressMapArrays
  readonly enis: PlanEnis
  /** (VPC, address) ▶ ENI slot, for every ENI of either kind. */
  readonly addresses: AddressMapArrays
  readonly subnets: PlanSubnets
  readonly routes: PlanRoutes
  readonly ruleSets: PlanRuleSets
  readonly rules: PlanRules
  readonly settings: PlanSettings
}
