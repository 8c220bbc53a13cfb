/** What a lab, or a daemon without one, is made of at this moment. */
import { request } from '../daemon/control.ts'
import type { DaemonStatus } from '../daemon/daemon.ts'
import type { RunDirectory } from '../daemon/directory.ts'
import { Failure } from '../daemon/failure.ts'
import { namespaceInode } from '../daemon/ip.ts'
import { isAlive } from '../daemon/process.ts'
import { readState } from '../daemon/state.ts'
import { readLabState } from './state.ts'

export interface Member {
  readonly name: string
  readonly side: 'environments' | 'hosts'
  readonly kind: 'namespace' | 'routed'
  readonly namespace: string | null
  readonly device: string
  readonly mtu: number
  /** With prefix length; of a routed device, the prefixes behind it. */
  readonly addresses: readonly string[]
  /** Whether the namespace is there. */
  readonly present: boolean
  /** Of a host's `run:`; null where there is none. */
  readonly command: { readonly command: string; readonly pid: number; readonly running: boolean } | null
}

export interface LabStatus {
  readonly directory: string
  readonly file: string
  /** Whether a lab was brought up here, and not a daemon alone. */
  readonly lab: boolean
  /** Null while no daemon runs. */
  readonly daemon: Omit<DaemonStatus, 'attachments'> | null
  readonly members: readonly Member[]
}

/**
 * The status of what runs on a run directory.
 * @throws Failure where nothing does
 */
export async function labStatus(directory: RunDirectory): Promise<LabStatus> {
  const lab = readLabState(directory.lab)
  const state = readState(directory.state)
  if (lab === null && state === null)
    throw new Failure(`There is no lab in ${directory.path}.`, 'Bring one up: v2n lab up FILE')
  const status =
    directory.holder() === null ? null : ((await request(directory.socket, 'status')) as DaemonStatus)
  const members = (status?.attachments ?? state?.names.devices ?? []).map((device): Member => {
    const command = lab?.commands.find(({ host }) => host === device.name)
    return {
      name: device.name,
      side: device.side,
      kind: device.kind,
      namespace: device.namespace,
      device: device.deviceName,
      mtu: device.mtu,
      addresses: device.kind === 'routed' ? device.prefixes : device.addresses,
      present: device.namespace === null || namespaceInode(device.namespace) !== null,
      command:
        command === undefined
          ? null
          : { command: command.command, pid: command.pid, running: isAlive(command) },
    }
  })
  if (status === null)
    return {
      directory: directory.path,
      file: lab?.file ?? state?.config ?? '',
      lab: lab !== null,
      daemon: null,
      members,
    }
  const { attachments: _, ...daemon } = status
  return { directory: directory.path, file: daemon.config, lab: lab !== null, daemon, members }
}
