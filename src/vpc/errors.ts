/**
 * What an operation on the model says when it refuses.
 *
 * The codes are those that EC2 and Lambda document for the operation, since programs act on them; the message is for people
 * and names the resource. An operation that throws has changed nothing.
 */

export type ModelErrorCode =
  // EC2, "Error codes for the Amazon EC2 API".
  | 'CannotDelete'
  | 'DependencyViolation'
  | 'InsufficientFreeAddressesInSubnet'
  | 'InvalidGroup.Duplicate'
  | 'InvalidGroup.NotFound'
  | 'InvalidIPAddress.InUse'
  | 'InvalidNetworkInterfaceID.NotFound'
  | 'InvalidParameterValue'
  | 'InvalidPermission.Duplicate'
  | 'InvalidPermission.NotFound'
  | 'InvalidRoute.NotFound'
  | 'InvalidRouteTableID.NotFound'
  | 'InvalidSubnet.Conflict'
  | 'InvalidSubnet.Range'
  | 'InvalidSubnetID.NotFound'
  | 'InvalidVpc.Range'
  | 'InvalidVpcID.NotFound'
  | 'OperationNotPermitted'
  | 'Resource.AlreadyAssociated'
  | 'RouteAlreadyExists'
  | 'RouteLimitExceeded'
  | 'RulesPerSecurityGroupLimitExceeded'
  | 'SecurityGroupsPerInterfaceLimitExceeded'
  // Lambda, API reference, CreateFunction and Invoke.
  | 'InvalidParameterValueException'
  | 'ResourceConflictException'
  | 'ResourceNotFoundException'
  | 'ENILimitReachedException'
  | 'SubnetIPAddressLimitReachedException'
  // Ours: what AWS has no operation for.
  | 'Attachment.Conflict'
  | 'Attachment.NotFound'
  | 'Name.Duplicate'

export class ModelError extends Error {
  override readonly name = 'ModelError'
  readonly code: ModelErrorCode
  /** The id or the name of the resource that the message is about. */
  readonly resource: string

  constructor(code: ModelErrorCode, resource: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.resource = resource
  }
}
