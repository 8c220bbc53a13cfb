/** `v2n lab`: a VPC on one machine, its functions and hosts in network namespaces. */
import type { Command } from 'commander'
import { addLabDown } from './lab-down.ts'
import { addLabExec } from './lab-exec.ts'
import { addLabProbe } from './lab-probe.ts'
import { addLabStatus } from './lab-status.ts'
import { addLabUp } from './lab-up.ts'

/** Adds the verbs under `lab`. */
export function addLab(program: Command): void {
  const lab = program
    .command('lab')
    .description('bring a VPC up on this machine, look into it, take it down')
    .enablePositionalOptions()
  addLabUp(lab)
  addLabDown(lab)
  addLabStatus(lab)
  addLabExec(lab)
  addLabProbe(lab)
}
