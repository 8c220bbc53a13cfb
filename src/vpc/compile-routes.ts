/**
 * Route tables as a plan has them: per table and family the routes, longest prefix first, so that the first match is the one.
 */
import { plainValue } from './cidr.ts'
import { writeCidr } from './compile-rules.ts'
import type { Model } from './model.ts'
import { type PlanRoutes, RouteTarget } from './plan.ts'
import type { Route, RouteTargetName } from './resources.ts'

const targets: Record<RouteTargetName, RouteTarget> = {
  local: RouteTarget.Local,
  blackhole: RouteTarget.Blackhole,
}

export interface CompiledRoutes {
  readonly routes: PlanRoutes
  /** The route behind every index of `routes`. */
  readonly origin: readonly Route[]
  /** Ids of route tables by number. */
  readonly tableIds: readonly string[]
}

/** Flattens all route tables of the model. */
export function compileRoutes({ routeTables }: Model): CompiledRoutes {
  const tables = routeTables.all()
  const origin: Route[] = []
  const starts = { 4: [] as number[], 6: [] as number[] }
  for (const family of [4, 6] as const) {
    for (const table of tables) {
      starts[family].push(origin.length)
      origin.push(
        ...table.routes.filter(({ destination }) => destination.family === family).sort(longestFirst),
      )
    }
    starts[family].push(origin.length)
  }
  const network = new Int32Array(origin.length * 4)
  const mask = new Int32Array(origin.length * 4)
  origin.forEach(({ destination }, i) => {
    writeCidr(destination, network, mask, i)
  })
  return {
    routes: {
      start4: Int32Array.from(starts[4]),
      start6: Int32Array.from(starts[6]),
      network,
      mask,
      target: Uint8Array.from(origin, route => targets[route.target]),
    },
    origin,
    tableIds: tables.map(({ routeTableId }) => routeTableId),
  }
}

function longestFirst(a: Route, b: Route): number {
  const length = b.destination.prefix - a.destination.prefix
  if (length !== 0) return length
  return plainValue(a.destination) < plainValue(b.destination) ? -1 : 1
}
