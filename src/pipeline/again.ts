/**
 * Deciding a flow again: the first packet after a change of plan asks whether what was admitted still stands.
 *
 * A function's flow keeps the ENI it began on for as long as that exists. Where rules were changed, tracked flows go on, as AWS has it, unless the
 * plan says that they are cut.
 */
import { ABSENT } from '../tables/addresses.ts'
import { Drop } from '../tables/drops.ts'
import {
  A,
  ADDRESS6_WORDS,
  B,
  COLD_WORDS,
  ENI,
  FLAG_BEGUN_BY_B,
  type FlowId,
  GENERATION,
  HOT_WORDS,
  LEASE,
  OUT,
  PORTS,
  STATE,
  TAG,
  TAG_HOSTS,
  TAG_IPV6,
  TRANSLATED,
} from '../tables/flows.ts'
import { EniFlag, EniKind, NOTHING } from '../vpc/plan.ts'
import { addSums, delta32 } from '../wire/checksum.ts'
import type { Core } from './core.ts'
import { swapPorts } from './flow4.ts'
import { type Gates, policyPortOf } from './gates.ts'
import { scopeOf } from './passage.ts'

export class Again {
  readonly #core: Core
  readonly #gates: Gates

  constructor(core: Core, gates: Gates) {
    this.#core = core
    this.#gates = gates
  }

  /**
   * Decides a flow again under the plan in force: do both its ends still exist, and where; do the rules still allow it, where that is asked.
   * @returns the reason why its packets drop now; the flow then is over
   */
  decide(id: FlowId): Drop {
    const reason = this.#decide(id)
    if (reason !== Drop.None) this.#core.conntrack.end(id)
    else this.#core.flows.hot[id * HOT_WORDS + GENERATION] = this.#core.generation
    return reason
  }

  #decide(id: FlowId): Drop {
    const core = this.#core
    const { plan } = core
    const { hot, cold, address6 } = core.flows
    const h = id * HOT_WORDS
    const tag = hot[h + TAG]
    const wide = (tag & TAG_IPV6) !== 0
    const hosts = (tag & TAG_HOSTS) !== 0
    const eni = cold[id * COLD_WORDS + ENI] & 0xffff
    const kind = plan.enis.kind[eni]
    if (kind !== (hosts ? EniKind.Host : EniKind.Hyperplane)) return Drop.PlanChanged
    const vpc = plan.enis.vpc[eni]
    const six = id * ADDRESS6_WORDS
    if (!hosts) {
      const device = scopeOf(tag)
      const environment = wide
        ? core.sources.find6(device, address6, six)
        : core.sources.find4(device, hot[h + A])
      if (environment === ABSENT) return Drop.PlanChanged
      if (plan.environments.active[environment] === 0) return Drop.FunctionInactive
      if (wide && (plan.environments.flags[environment] & EniFlag.Ipv6) === 0) return Drop.NoIpv6
      if (wide ? !this.#isLeased6(id, eni) : plan.enis.address4[eni] !== hot[h + TRANSLATED])
        return Drop.PlanChanged
    }
    const peer = wide ? core.addresses.find6(vpc, address6, six + 4) : core.addresses.find4(vpc, hot[h + B])
    if (peer === ABSENT || plan.enis.device[peer] === NOTHING) return Drop.NoHost
    hot[h + OUT] = (hot[h + OUT] & 0xffff) | (plan.enis.device[peer] << 16)
    let first = eni
    if (hosts) {
      first = wide ? core.addresses.find6(vpc, address6, six) : core.addresses.find4(vpc, hot[h + A])
      if (first === ABSENT || plan.enis.device[first] === NOTHING) return Drop.NoHost
      hot[h + TRANSLATED] = plan.enis.device[first]
    }
    if (plan.settings.ruleChange === 'keep') return Drop.None
    const byB = (hot[h + STATE] & FLAG_BEGUN_BY_B) !== 0
    const ports = byB ? swapPorts(hot[h + PORTS]) : hot[h + PORTS]
    const from = byB ? peer : first
    const to = byB ? first : peer
    const port = policyPortOf(tag & 0xff, ports)
    return wide
      ? this.#gates.policy6(
          from,
          to,
          tag & 0xff,
          port,
          plan.enis.address6,
          from * 4,
          plan.enis.address6,
          to * 4,
        )
      : this.#gates.policy4(from, to, tag & 0xff, port, plan.enis.address4[from], plan.enis.address4[to])
  }

  /** Whether the ENI still has the IPv6 address that the flow was translated to, by the delta that all its checksums get. */
  #isLeased6(id: FlowId, eni: number): boolean {
    const { plan, flows } = this.#core
    let delta = 0
    for (let i = 0; i < 4; i++)
      delta = addSums(
        delta,
        delta32(flows.address6[id * ADDRESS6_WORDS + i], plan.enis.address6[eni * 4 + i]),
      )
    return delta === flows.hot[id * HOT_WORDS + LEASE] >>> 16
  }
}
