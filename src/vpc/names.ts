/**
 * What the numbers of a plan mean, for people and for whoever attaches devices: plain JSON beside the plan, with its generation.
 *
 * A plan knows only numbers; the command line, statistics and listings print these names in their place.
 */

export interface DeviceNames {
  readonly device: number
  /** As in the configuration: `web`, `orders-1`; for a routed device the hosts' or functions' names, joined by commas. */
  readonly name: string
  readonly side: 'environments' | 'hosts'
  readonly kind: 'namespace' | 'routed'
  /** As `ip netns` names it; null is the machine's own. */
  readonly namespace: string | null
  readonly deviceName: string
  readonly mtu: number
  /** Addresses of the environment or host with a prefix length, `10.0.1.20/24`; empty where routed. */
  readonly addresses: readonly string[]
  /** Prefixes that are reached through the device. */
  readonly prefixes: readonly string[]
}

export interface EniNames {
  readonly slot: number
  readonly networkInterfaceId: string
  readonly kind: 'hyperplane' | 'host'
  readonly vpc: string
  readonly vpcId: string
  readonly subnet: string
  readonly subnetId: string
  readonly address: string
  /** Null where there is none. */
  readonly ipv6Address: string | null
  readonly securityGroups: readonly string[]
  readonly securityGroupIds: readonly string[]
  /** The host; null for a hyperplane ENI. */
  readonly host: string | null
  /** The functions that use a hyperplane ENI; empty for a host's. */
  readonly functions: readonly string[]
}

export interface EnvironmentNames {
  readonly environment: number
  readonly name: string
  readonly function: string
  readonly device: number
  readonly address: string
  readonly ipv6Address: string
  /** Slot of the ENI that new flows leave through; null where the function has none. */
  readonly eni: number | null
}

export interface SubnetNames {
  readonly subnet: number
  readonly name: string
  readonly subnetId: string
  readonly vpc: string
  readonly cidrBlock: string
  readonly ipv6CidrBlock: string | null
  readonly routeTable: string
}

export interface RuleNames {
  readonly securityGroupRuleId: string
  readonly group: string
  /** Protocol, ports and peer: `tcp 80 sg:fn`. */
  readonly rule: string
}

export interface PlanNames {
  readonly generation: number
  /** By VPC number; null where the number belongs to nothing. */
  readonly vpcs: readonly ({ readonly name: string; readonly vpcId: string } | null)[]
  /** By number of device. */
  readonly devices: readonly DeviceNames[]
  /** By slot. */
  readonly enis: readonly EniNames[]
  /** By number of environment. */
  readonly environments: readonly EnvironmentNames[]
  /** By number of subnet. */
  readonly subnets: readonly SubnetNames[]
  /** By index into the plan's `rules`. */
  readonly rules: readonly RuleNames[]
}
