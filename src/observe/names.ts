/**
 * The names that stand behind the numbers of a plan, for people: what a listing calls a device, an ENI, an environment.
 *
 * Control writes them beside every plan. Plain JSON, addresses as text.
 */

export interface DeviceName {
  readonly device: number
  /** Of the environment or host; of a routed device, that of the attachment. */
  readonly name: string
  readonly kind: 'namespace' | 'routed'
  readonly side: 'environments' | 'hosts'
  readonly namespace: string | null
  readonly deviceName: string
  readonly mtu: number
  /** Without prefix length; of a routed device, the prefixes behind it. */
  readonly addresses: readonly string[]
}

export interface EniName {
  /** Slot in the plan. */
  readonly eni: number
  /** `eni-0…` */
  readonly id: string
  readonly kind: 'hyperplane' | 'host'
  /** The host's name, or the functions' that share the ENI. */
  readonly name: string
  readonly subnet: string
  readonly securityGroups: readonly string[]
  readonly addresses: readonly string[]
}

export interface EnvironmentName {
  readonly environment: number
  /** `orders-1` */
  readonly name: string
  readonly function: string
  /** Slot of the ENI that new flows leave through, or null. */
  readonly eni: number | null
  readonly device: number
  readonly addresses: readonly string[]
}

export interface Names {
  readonly generation: number
  readonly devices: readonly DeviceName[]
  readonly enis: readonly EniName[]
  readonly environments: readonly EnvironmentName[]
}
