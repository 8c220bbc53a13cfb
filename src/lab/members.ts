/** The members of a lab by the names that people give them: hosts, environments, functions, ENIs, addresses. */
import { Failure } from '../daemon/failure.ts'
import type { DeviceNames, EniNames, PlanNames } from '../vpc/names.ts'

/**
 * The device of the host or environment of this name, which has a namespace of its own.
 * @throws Failure naming those there are
 */
export function deviceOf({ devices }: PlanNames, name: string): DeviceNames & { readonly namespace: string } {
  const found = devices.find(device => device.name === name)
  if (found === undefined || found.kind !== 'namespace' || found.namespace === null)
    throw new Failure(`There is no ${name} with a namespace of its own.`, `There are: ${listed(devices)}.`)
  return { ...found, namespace: found.namespace }
}

const listed = (devices: readonly DeviceNames[]): string =>
  devices
    .filter(({ kind }) => kind === 'namespace')
    .map(({ name }) => name)
    .join(', ') || 'none'

/** The namespace of a host or an environment. @throws Failure naming those there are */
export const namespaceOf = (names: PlanNames, name: string): string => deviceOf(names, name).namespace

/** The ENI that a name stands for: its id, its host, or the function or environment that leaves through it; undefined where none. */
export function eniOf({ enis, environments }: PlanNames, name: string): EniNames | undefined {
  const byName = enis.find(eni => eni.networkInterfaceId === name || eni.host === name)
  if (byName !== undefined) return byName
  const environment = environments.find(one => one.name === name || one.function === name)
  return environment === undefined ? undefined : enis.find(({ slot }) => slot === environment.eni)
}
