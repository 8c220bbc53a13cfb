/**
 * Which number everything in a model has in this generation, by id or name.
 */
import { ModelError } from './errors.ts'
import type { Model } from './model.ts'
import type { Attachment, Environment, FunctionConfiguration, NetworkInterface } from './resources.ts'

/** The largest number that a flow record has room for: 16 bits of an ENI, and of a device or VPC in its scope. */
const MAXIMUM = 65535

/** Everything that has a number, with the numbers. */
export interface Numbered {
  readonly attachments: readonly Attachment[]
  readonly interfaces: readonly NetworkInterface[]
  readonly environments: readonly Environment[]
  readonly users: ReadonlyMap<NetworkInterface, readonly FunctionConfiguration[]>
  readonly vpc: ReadonlyMap<string, number>
  readonly subnet: ReadonlyMap<string, number>
  readonly device: ReadonlyMap<string, number>
  readonly eni: ReadonlyMap<string, number>
  readonly environment: ReadonlyMap<string, number>
  /**
   * Elements of arrays that these numbers index. It never shrinks, so that a number in a record, however old, is inside of
   * every later plan.
   */
  readonly sizes: Readonly<Record<'vpc' | 'subnet' | 'device' | 'eni' | 'environment', number>>
}

/**
 * Takes the numbers of everything in the settled model, within a generation of its numbers.
 * @throws ModelError InvalidParameterValue where there is more of something than records can number
 */
export function numberAll(model: Model): Numbered {
  const { numbers, functions } = model
  const attachments = model.attachments.all()
  const interfaces = model.interfaces.all()
  const environments = functions.environments()
  const users = new Map<NetworkInterface, FunctionConfiguration[]>()
  for (const configuration of functions.all()) {
    const { subnetIds, securityGroupIds } = configuration.vpcConfig
    for (const subnetId of subnetIds) {
      const eni = model.interfaces.findHyperplane(subnetId, securityGroupIds)
      if (eni === undefined) continue
      const known = users.get(eni)
      if (known === undefined) users.set(eni, [configuration])
      else known.push(configuration)
    }
  }
  const take = (space: string, names: string[], to = MAXIMUM) => {
    if (names.length > to + 1)
      throw new ModelError(
        'InvalidParameterValue',
        space,
        `there are ${names.length} of ${space}, at most ${to + 1} fit`,
      )
    return numbers.takeAll(space, names, { to })
  }
  const numbered = {
    attachments,
    interfaces,
    environments,
    users,
    vpc: take(
      'vpc',
      model.vpcs.all().map(({ vpcId }) => vpcId),
    ),
    subnet: take(
      'subnet',
      model.subnets.all().map(({ subnetId }) => subnetId),
    ),
    device: take(
      'device',
      attachments.map(({ name }) => name),
    ),
    eni: take(
      'eni',
      interfaces.map(({ networkInterfaceId }) => networkInterfaceId),
    ),
    environment: take(
      'environment',
      environments.map(({ name }) => name),
      Number.MAX_SAFE_INTEGER,
    ),
  }
  return {
    ...numbered,
    sizes: {
      vpc: numbers.size('vpc'),
      subnet: numbers.size('subnet'),
      device: numbers.size('device'),
      eni: numbers.size('eni'),
      environment: numbers.size('environment'),
    },
  }
}
