/**
 * Functions and their execution environments.
 *
 * A function that names subnets and groups is `Pending` until its hyperplane ENIs are there, then `Active` (Lambda developer
 * guide, "Lambda function states"). Its environments are spread over the subnets in turn, in the order of VpcConfig; the
 * environment with index i leaves through the ENI of (subnet i mod n, set of groups).
 */
import type { Address } from './cidr.ts'
import { ModelError } from './errors.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { Environment, FunctionConfiguration, NetworkInterface, VpcConfig } from './resources.ts'

export interface VpcConfigRequest {
  readonly subnetIds: readonly string[]
  readonly securityGroupIds: readonly string[]
  readonly ipv6AllowedForDualStack?: boolean
}

export interface CreateFunction {
  readonly functionName: string
  /** None: the function is in no VPC, and nothing of it gets anywhere. */
  readonly vpcConfig?: VpcConfigRequest
  readonly echo?: boolean
}

export interface CreateEnvironment {
  readonly functionName: string
  /** From 0. */
  readonly index: number
  readonly attachment: string
  readonly insideAddress?: Address
  readonly insideIpv6Address?: Address
}

const NO_VPC: VpcConfig = { subnetIds: [], securityGroupIds: [], ipv6AllowedForDualStack: false, vpcId: '' }

export class Functions {
  readonly #model: Model
  readonly #functions = new Map<string, FunctionConfiguration>()
  readonly #environments = new Map<string, Map<number, Environment>>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateFunction, as far as the network goes.
   * @throws ModelError ResourceConflictException where the name is taken; InvalidParameterValueException for a VpcConfig that
   *   Lambda refuses; SubnetIPAddressLimitReachedException; ENILimitReachedException
   */
  create({ functionName, vpcConfig, echo = false }: CreateFunction): FunctionConfiguration {
    if (this.#functions.has(functionName))
      throw new ModelError(
        'ResourceConflictException',
        functionName,
        `Function already exist: ${functionName}`,
      )
    const resolved = this.#resolve(functionName, vpcConfig)
    this.#makeInterfaces(functionName, resolved)
    const created: FunctionConfiguration = { functionName, vpcConfig: resolved, state: 'Pending', echo }
    this.#functions.set(functionName, created)
    this.#environments.set(functionName, new Map())
    return created
  }

  /**
   * UpdateFunctionConfiguration. What is left out stays; empty lists take the function out of its VPC.
   * @throws ModelError as `create`; ResourceNotFoundException
   */
  update(
    functionName: string,
    change: { readonly vpcConfig?: VpcConfigRequest; readonly echo?: boolean },
  ): void {
    const configuration = this.get(functionName)
    if (change.vpcConfig !== undefined) {
      const resolved = this.#resolve(functionName, change.vpcConfig)
      this.#makeInterfaces(functionName, resolved)
      configuration.vpcConfig = resolved
    }
    if (change.echo !== undefined) configuration.echo = change.echo
  }

  /** @throws ModelError ResourceNotFoundException */
  get(functionName: string): FunctionConfiguration {
    const found = this.#functions.get(functionName)
    if (found === undefined)
      throw new ModelError('ResourceNotFoundException', functionName, `Function not found: ${functionName}`)
    return found
  }

  /** All functions, by name. */
  all(): FunctionConfiguration[] {
    return Array.from(this.#functions.values()).sort((a, b) => byCodeUnits(a.functionName, b.functionName))
  }

  /** DeleteFunction, with its environments. @throws ModelError ResourceNotFoundException */
  delete(functionName: string): void {
    this.get(functionName)
    this.#functions.delete(functionName)
    this.#environments.delete(functionName)
  }

  /**
   * Gives a function an execution environment.
   * @throws ModelError ResourceNotFoundException; Name.Duplicate; Attachment.NotFound; Attachment.Conflict
   */
  createEnvironment(request: CreateEnvironment): Environment {
    const { functionName, index, attachment, insideAddress, insideIpv6Address } = request
    this.get(functionName)
    const environments = this.#environments.get(functionName)!
    const name = `${functionName}-${index + 1}`
    if (environments.has(index))
      throw new ModelError('Name.Duplicate', name, `there is an environment '${name}' already`)
    this.#model.attachments.checkSide(attachment, 'environments')
    const explicit = { ipv4: insideAddress !== undefined, ipv6: insideIpv6Address !== undefined }
    const created: Environment = {
      name,
      functionName,
      index,
      attachment,
      explicit,
      ...(insideAddress !== undefined && { insideAddress }),
      ...(insideIpv6Address !== undefined && { insideIpv6Address }),
    }
    environments.set(index, created)
    return created
  }

  /** Takes an environment away. @throws ModelError ResourceNotFoundException */
  deleteEnvironment(functionName: string, index: number): void {
    this.get(functionName)
    if (!this.#environments.get(functionName)!.delete(index))
      throw new ModelError(
        'ResourceNotFoundException',
        functionName,
        `${functionName} has no environment ${index + 1}`,
      )
  }

  /** All environments, by function and index. */
  environments(): Environment[] {
    return this.all().flatMap(({ functionName }) =>
      Array.from(this.#environments.get(functionName)!.values()).sort((a, b) => a.index - b.index),
    )
  }

  /** The ENI that an environment's new flows leave through, or undefined where its function is in no VPC. */
  interfaceOf({ functionName, index }: Environment): NetworkInterface | undefined {
    const { subnetIds, securityGroupIds } = this.get(functionName).vpcConfig
    if (subnetIds.length === 0) return undefined
    return this.#model.interfaces.findHyperplane(subnetIds[index % subnetIds.length], securityGroupIds)
  }

  /** The functions that use a hyperplane ENI, by name. */
  usersOf(eni: NetworkInterface): FunctionConfiguration[] {
    return this.all().filter(
      ({ vpcConfig }) =>
        vpcConfig.subnetIds.includes(eni.subnetId) &&
        this.#model.interfaces.findHyperplane(eni.subnetId, vpcConfig.securityGroupIds) === eni,
    )
  }

  #resolve(functionName: string, request: VpcConfigRequest | undefined): VpcConfig {
    if (request === undefined) return NO_VPC
    const { subnets, securityGroups, limits } = this.#model
    const subnetIds = [...new Set(request.subnetIds)]
    const ipv6AllowedForDualStack = request.ipv6AllowedForDualStack ?? false
    const refuse = (message: string, cause?: unknown): never => {
      throw new ModelError('InvalidParameterValueException', functionName, message, { cause })
    }
    if ((subnetIds.length === 0) !== (request.securityGroupIds.length === 0))
      refuse('SubnetIds and SecurityGroupIds must coexist or be both empty list.')
    if (ipv6AllowedForDualStack && subnetIds.length === 0)
      refuse('Ipv6AllowedForDualStack cannot be true without SubnetIds and SecurityGroupIds.')
    if (subnetIds.length === 0) return NO_VPC
    if (subnetIds.length > limits.subnetsPerFunction)
      refuse(
        `${functionName} names ${subnetIds.length} subnets, at most ${limits.subnetsPerFunction} are allowed`,
      )
    try {
      const found = subnetIds.map(subnetId => subnets.get(subnetId))
      const { vpcId } = found[0]
      if (found.some(subnet => subnet.vpcId !== vpcId))
        refuse(`the subnets of ${functionName} are in several VPCs`)
      const single = found.find(subnet => subnet.ipv6CidrBlock === undefined)
      if (ipv6AllowedForDualStack && single !== undefined)
        refuse(
          `Ipv6AllowedForDualStack needs dual-stack subnets only, and '${single.name}' has no IPv6 block`,
        )
      const securityGroupIds = securityGroups.resolve(vpcId, request.securityGroupIds, functionName)
      return { subnetIds, securityGroupIds, ipv6AllowedForDualStack, vpcId }
    } catch (error) {
      if (!(error instanceof ModelError) || error.code === 'InvalidParameterValueException') throw error
      // As Lambda reports what EC2 told it: its own code, with EC2's in the message.
      return refuse(`${error.message} (EC2 Error Code: ${error.code})`, error)
    }
  }

  #makeInterfaces(functionName: string, { subnetIds, securityGroupIds, vpcId }: VpcConfig): void {
    const { interfaces, limits, subnets } = this.#model
    const missing = subnetIds.filter(id => interfaces.findHyperplane(id, securityGroupIds) === undefined)
    for (const subnetId of missing) {
      try {
        interfaces.checkRoom(subnets.get(subnetId))
      } catch (cause) {
        throw new ModelError(
          'SubnetIPAddressLimitReachedException',
          functionName,
          (cause as ModelError).message,
          {
            cause,
          },
        )
      }
    }
    const count = interfaces.countHyperplanes(vpcId)
    if (count + missing.length > limits.interfacesPerVpc)
      throw new ModelError(
        'ENILimitReachedException',
        functionName,
        `${vpcId} has ${count} hyperplane ENIs, at most ${limits.interfacesPerVpc} are allowed`,
      )
    for (const subnetId of missing) interfaces.hyperplane(subnetId, securityGroupIds, functionName)
  }
}
