/** Quotas of an account, as AWS documents their defaults; every one can be set. */
export interface Limits {
  /** Amazon VPC quotas, "Security groups per network interface". */
  readonly groupsPerInterface: number
  /** Amazon VPC quotas, "Inbound or outbound rules per security group": per direction and family. */
  readonly rulesPerGroup: number
  /** Amazon VPC quotas, "Routes per route table": per family, local routes not counted. */
  readonly routesPerTable: number
  /** Lambda, API reference, VpcConfig. */
  readonly subnetsPerFunction: number
  /** Lambda quotas, "Elastic network interfaces per VPC". */
  readonly interfacesPerVpc: number
}

export const defaultLimits: Limits = {
  groupsPerInterface: 5,
  rulesPerGroup: 60,
  routesPerTable: 50,
  subnetsPerFunction: 16,
  interfacesPerVpc: 500,
}
