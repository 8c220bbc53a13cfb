/**
 * The model: the VPC as the user described it.
 *
 * One object per family of resources, each with the operations that EC2 and Lambda have for it; every operation checks all it
 * needs before it changes anything, so a refused one leaves no trace. What the model chooses itself (the hyperplane ENIs'
 * and hosts' addresses, inside addresses) is chosen by `settle`, from all that is known then and in an order of names:
 * the order of creation never shows. `numbers` makes these choices stay the same from file to file.
 *
 * The model knows nothing of files and text (`daemon/config.ts`) nor of typed arrays (`compile.ts`).
 */
import { Attachments } from './attachments.ts'
import type { Cidr } from './cidr.ts'
import { Functions } from './functions.ts'
import { NetworkInterfaces } from './interfaces.ts'
import { defaultLimits, type Limits } from './limits.ts'
import { Numbers } from './numbers.ts'
import { RouteTables } from './route-tables.ts'
import { SecurityGroups } from './security-groups.ts'
import { settle } from './settle.ts'
import { Subnets } from './subnets.ts'
import { Vpcs } from './vpcs.ts'

export interface ModelOptions {
  /** What earlier generations chose. Changed by this model: pass a copy to try something out. */
  readonly numbers?: Numbers
  readonly accountId?: string
  readonly limits?: Partial<Limits>
  /** Where environments get inside addresses from; the first address is the inside router's. */
  readonly insideCidr?: Cidr
  readonly insideIpv6Cidr?: Cidr
}

/** 100.64.0.0/16, of the shared address space of RFC 6598. */
const INSIDE_4: Cidr = { family: 4, words: [0x00004064], prefix: 16 }
/** fd64::/64, unique local addresses of RFC 4193. */
const INSIDE_6: Cidr = { family: 6, words: [0x000064fd, 0, 0, 0], prefix: 64 }

export class Model {
  readonly accountId: string
  readonly limits: Limits
  readonly insideCidr: Cidr
  readonly insideIpv6Cidr: Cidr
  readonly numbers: Numbers

  readonly vpcs: Vpcs
  readonly subnets: Subnets
  readonly securityGroups: SecurityGroups
  readonly routeTables: RouteTables
  readonly interfaces: NetworkInterfaces
  readonly functions: Functions
  readonly attachments: Attachments

  constructor(options: ModelOptions = {}) {
    this.numbers = options.numbers ?? new Numbers()
    this.accountId = options.accountId ?? '000000000000'
    this.limits = { ...defaultLimits, ...options.limits }
    this.insideCidr = options.insideCidr ?? INSIDE_4
    this.insideIpv6Cidr = options.insideIpv6Cidr ?? INSIDE_6
    this.vpcs = new Vpcs(this)
    this.subnets = new Subnets(this)
    this.securityGroups = new SecurityGroups(this)
    this.routeTables = new RouteTables(this)
    this.interfaces = new NetworkInterfaces(this)
    this.functions = new Functions(this)
    this.attachments = new Attachments(this)
  }

  /**
   * Chooses what was left to the model: see `settle.ts`. Doing it again changes nothing.
   * @throws ModelError InvalidParameterValue where environments need more inside addresses than there are
   */
  settle(): void {
    settle(this)
  }
}
