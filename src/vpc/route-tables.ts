/**
 * Route tables. Every table has a local route for each block of its VPC, which cannot be replaced or deleted; a subnet that is
 * associated with no table uses the VPC's main one (VPC user guide, "Route tables").
 */
import { type Cidr, canonical, cidrText, contains, sameCidr } from './cidr.ts'
import { ModelError } from './errors.ts'
import { type Filters, select } from './filters.ts'
import { resourceId } from './ids.ts'
import type { Model } from './model.ts'
import { byCodeUnits } from './numbers.ts'
import type { Route, RouteTable, RouteTargetName } from './resources.ts'

export class RouteTables {
  readonly #model: Model
  readonly #tables = new Map<string, RouteTable>()

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * CreateRouteTable.
   * @throws ModelError InvalidVpcID.NotFound; Name.Duplicate
   */
  create({ vpcId, name }: { readonly vpcId: string; readonly name: string }): RouteTable {
    const vpc = this.#model.vpcs.get(vpcId)
    const routeTableId = resourceId('rtb', vpc.name, name)
    if (this.#tables.has(routeTableId))
      throw new ModelError(
        'Name.Duplicate',
        routeTableId,
        `there is a route table '${name}' in ${vpcId} already`,
      )
    const table: RouteTable = {
      routeTableId,
      name,
      vpcId,
      main: routeTableId === vpc.mainRouteTableId,
      routes: [vpc.cidrBlock, ...vpc.ipv6CidrBlocks].map(local),
      subnetIds: [],
    }
    this.#tables.set(routeTableId, table)
    return table
  }

  /**
   * CreateRoute. The only target yet is a blackhole, which AWS makes of routes whose target is gone.
   * @throws ModelError InvalidRouteTableID.NotFound; RouteAlreadyExists; RouteLimitExceeded; InvalidParameterValue for a
   *   route inside the VPC that is not a whole subnet's
   */
  createRoute(routeTableId: string, destination: Cidr, target: Exclude<RouteTargetName, 'local'>): Route {
    const table = this.get(routeTableId)
    const vpc = this.#model.vpcs.get(table.vpcId)
    const cidr = canonical(destination)
    if (table.routes.some(route => sameCidr(route.destination, cidr)))
      throw new ModelError(
        'RouteAlreadyExists',
        routeTableId,
        `there is a route for ${cidrText(cidr)} in '${table.name}' already`,
      )
    const inside = [vpc.cidrBlock, ...vpc.ipv6CidrBlocks].some(block => contains(block, cidr))
    const whole = this.#model.subnets
      .all()
      .some(
        ({ vpcId, cidrBlock, ipv6CidrBlock }) =>
          vpcId === table.vpcId &&
          (sameCidr(cidrBlock, cidr) || (ipv6CidrBlock !== undefined && sameCidr(ipv6CidrBlock, cidr))),
      )
    if (inside && !whole)
      throw new ModelError(
        'InvalidParameterValue',
        routeTableId,
        `${cidrText(cidr)} is inside the VPC and not the block of one of its subnets`,
      )
    const { routesPerTable } = this.#model.limits
    const count = table.routes.filter(
      route => route.origin === 'CreateRoute' && route.destination.family === cidr.family,
    ).length
    if (count >= routesPerTable)
      throw new ModelError(
        'RouteLimitExceeded',
        routeTableId,
        `'${table.name}' has ${count} IPv${cidr.family} routes, at most ${routesPerTable} are allowed`,
      )
    const route: Route = { destination: cidr, target, origin: 'CreateRoute' }
    table.routes = [...table.routes, route]
    return route
  }

  /**
   * DeleteRoute.
   * @throws ModelError InvalidRouteTableID.NotFound; InvalidRoute.NotFound; InvalidParameterValue for a local route
   */
  deleteRoute(routeTableId: string, destination: Cidr): void {
    const table = this.get(routeTableId)
    const cidr = canonical(destination)
    const route = table.routes.find(route => sameCidr(route.destination, cidr))
    if (route === undefined)
      throw new ModelError(
        'InvalidRoute.NotFound',
        routeTableId,
        `'${table.name}' has no route for ${cidrText(cidr)}`,
      )
    if (route.target === 'local')
      throw new ModelError(
        'InvalidParameterValue',
        routeTableId,
        `the local route ${cidrText(cidr)} cannot be deleted`,
      )
    table.routes = table.routes.filter(other => other !== route)
  }

  /**
   * AssociateRouteTable with a subnet of the same VPC.
   * @throws ModelError InvalidRouteTableID.NotFound; InvalidSubnetID.NotFound; Resource.AlreadyAssociated
   */
  associate(routeTableId: string, subnetId: string): void {
    const table = this.get(routeTableId)
    const subnet = this.#model.subnets.get(subnetId)
    if (subnet.vpcId !== table.vpcId)
      throw new ModelError(
        'InvalidSubnetID.NotFound',
        subnetId,
        `there is no subnet ${subnetId} in ${table.vpcId}`,
      )
    const other = this.all().find(({ subnetIds }) => subnetIds.includes(subnetId))
    if (other !== undefined)
      throw new ModelError(
        'Resource.AlreadyAssociated',
        subnetId,
        `subnet '${subnet.name}' is associated with route table '${other.name}' already`,
      )
    table.subnetIds = [...table.subnetIds, subnetId].sort(byCodeUnits)
  }

  /** DisassociateRouteTable: the subnet uses the main table from now on. */
  disassociate(subnetId: string): void {
    for (const table of this.#tables.values()) table.subnetIds = table.subnetIds.filter(id => id !== subnetId)
  }

  /** Gives every table of the VPC the local route of a new block. A route for the same prefix gives way to it. */
  addLocal(vpcId: string, cidr: Cidr): void {
    for (const table of this.#tables.values()) {
      if (table.vpcId !== vpcId) continue
      table.routes = [...table.routes.filter(route => !sameCidr(route.destination, cidr)), local(cidr)]
    }
  }

  /** The table that a subnet uses. */
  of(subnetId: string): RouteTable {
    const explicit = this.all().find(({ subnetIds }) => subnetIds.includes(subnetId))
    if (explicit !== undefined) return explicit
    const { vpcId } = this.#model.subnets.get(subnetId)
    return this.get(this.#model.vpcs.get(vpcId).mainRouteTableId)
  }

  /** @throws ModelError InvalidRouteTableID.NotFound */
  get(routeTableId: string): RouteTable {
    const table = this.#tables.get(routeTableId)
    if (table === undefined)
      throw new ModelError(
        'InvalidRouteTableID.NotFound',
        routeTableId,
        `there is no route table ${routeTableId}`,
      )
    return table
  }

  /** All tables, by id. */
  all(): RouteTable[] {
    return Array.from(this.#tables.values()).sort((a, b) => byCodeUnits(a.routeTableId, b.routeTableId))
  }

  /** DescribeRouteTables. Filters: route-table-id, vpc-id, association.main, association.subnet-id. */
  describe(filters?: Filters): RouteTable[] {
    return select(
      this.all(),
      (table, filter) => {
        if (filter === 'route-table-id') return [table.routeTableId]
        if (filter === 'vpc-id') return [table.vpcId]
        if (filter === 'association.main') return [String(table.main)]
        if (filter === 'association.subnet-id') return table.subnetIds
        return undefined
      },
      filters,
    )
  }

  /**
   * DeleteRouteTable.
   * @throws ModelError InvalidRouteTableID.NotFound; DependencyViolation for a main table or one with associations
   */
  delete(routeTableId: string): void {
    const table = this.get(routeTableId)
    if (table.main || table.subnetIds.length > 0)
      throw new ModelError(
        'DependencyViolation',
        routeTableId,
        table.main
          ? `'${table.name}' is the main table of ${table.vpcId}`
          : `'${table.name}' is associated with ${table.subnetIds.join(', ')}`,
      )
    this.#tables.delete(routeTableId)
  }

  /** Takes a table away without asking, with its VPC. */
  drop(routeTableId: string): void {
    this.#tables.delete(routeTableId)
  }
}

const local = (destination: Cidr): Route => ({ destination, target: 'local', origin: 'CreateRouteTable' })
