/**
 * The resources of the model, with the names and attributes that EC2 and Lambda give them.
 *
 * Attributes are those of the documented API shapes in camel case; what AWS has no word for (attachments, environments,
 * echo) stands under its own. Readers get these objects as they are and do not change them; only the families in this
 * folder do. Every resource has a `name`, unique in its parent, from which its id is made.
 */
import type { Address, Cidr } from './cidr.ts'

export interface Vpc {
  readonly vpcId: string
  readonly name: string
  readonly cidrBlock: Cidr
  /** Associated IPv6 blocks, in the order of association. */
  ipv6CidrBlocks: readonly Cidr[]
  readonly ownerId: string
  /** The group of interfaces that name none. */
  readonly defaultSecurityGroupId: string
  /** The route table of subnets that are associated with none. */
  readonly mainRouteTableId: string
}

export interface Subnet {
  readonly subnetId: string
  readonly name: string
  readonly vpcId: string
  readonly cidrBlock: Cidr
  /** A /64; a subnet that has one is dual stack. */
  readonly ipv6CidrBlock?: Cidr
  readonly availabilityZone: string
}

/** Whom a rule lets in or out to: a prefix, or the interfaces that hold a group. */
export type Peer = { readonly cidr: Cidr } | { readonly groupId: string }

/** An element of IpPermissions, with one peer. */
export interface Permission {
  /** Protocol number, or -1 for all. */
  readonly ipProtocol: number
  /** First port of TCP and UDP; ICMP type, -1 for any; -1 for every other protocol. */
  readonly fromPort: number
  /** Last port of TCP and UDP; ICMP code, -1 for any; -1 for every other protocol. */
  readonly toPort: number
  readonly peer: Peer
  readonly description?: string
}

export interface SecurityGroupRule extends Permission {
  readonly securityGroupRuleId: string
  readonly groupId: string
  readonly isEgress: boolean
}

export interface SecurityGroup {
  readonly groupId: string
  readonly groupName: string
  readonly description: string
  readonly vpcId: string
  ipPermissions: readonly SecurityGroupRule[]
  ipPermissionsEgress: readonly SecurityGroupRule[]
}

/** Where a route leads. Further targets (gateways, interfaces) join this union. */
export type RouteTargetName = 'local' | 'blackhole'

export interface Route {
  readonly destination: Cidr
  readonly target: RouteTargetName
  readonly origin: 'CreateRouteTable' | 'CreateRoute'
}

export interface RouteTable {
  readonly routeTableId: string
  readonly name: string
  readonly vpcId: string
  readonly main: boolean
  routes: readonly Route[]
  /** Subnets that are associated explicitly. */
  subnetIds: readonly string[]
}

export type InterfaceType = 'lambda' | 'interface'

export interface NetworkInterface {
  readonly networkInterfaceId: string
  /** The host's name, or for a hyperplane ENI its key and ordinal. */
  readonly name: string
  readonly interfaceType: InterfaceType
  readonly description: string
  readonly vpcId: string
  readonly subnetId: string
  /** Ids of security groups, ascending. */
  groups: readonly string[]
  /** Absent until the model is settled, where the address is chosen by the subnet. */
  privateIpAddress?: Address
  ipv6Address?: Address
  /** Whether the address was given, or is the subnet's to choose. */
  readonly explicit: { readonly ipv4: boolean; readonly ipv6: boolean }
  /** Name of the attachment behind which the host is; absent for hyperplane ENIs. */
  readonly attachment?: string
}

/** Lambda, API reference, FunctionConfiguration `State`. */
export type FunctionState = 'Pending' | 'Active' | 'Inactive' | 'Failed'

export interface VpcConfig {
  /** In the order given: environments are spread over them in this order. */
  readonly subnetIds: readonly string[]
  /** Ascending. */
  readonly securityGroupIds: readonly string[]
  readonly ipv6AllowedForDualStack: boolean
  /** Derived from the subnets; empty where the function is in no VPC. */
  readonly vpcId: string
}

export interface FunctionConfiguration {
  readonly functionName: string
  vpcConfig: VpcConfig
  state: FunctionState
  /** Whether ICMP echo of the function is translated, which Lambda itself does not do. */
  echo: boolean
}

/** One execution environment of a function. */
export interface Environment {
  readonly name: string
  readonly functionName: string
  /** From 0; decides the subnet. */
  readonly index: number
  readonly attachment: string
  /** The inside addresses; absent until the model is settled, where they are the daemon's to choose. */
  insideAddress?: Address
  insideIpv6Address?: Address
  readonly explicit: { readonly ipv4: boolean; readonly ipv6: boolean }
}

/** What is behind an attachment. */
export type AttachmentSide = 'environments' | 'hosts'

/** A TUN device, and what is reached through it. */
export interface Attachment {
  /** Namespace and device, which together are unique on a machine. */
  readonly name: string
  readonly side: AttachmentSide
  /** A device for one environment or host in a namespace of its own, or one for whole prefixes of them. */
  readonly kind: 'namespace' | 'routed'
  /** Absent: the machine's own. */
  readonly namespace?: string
  readonly device: string
  readonly mtu: number
  /** Prefixes behind a routed device; a namespace's own addresses are those of its environment or host. */
  prefixes: readonly Cidr[]
}
