/**
 * Compiled plans, looked up as shards look them up: through address maps, policy and routing.
 */
import fc from 'fast-check'
import t from 'tap'
import { ABSENT, AddressMap } from '../../src/tables/addresses.ts'
import { compile, defaultSettings } from '../../src/vpc/compile.ts'
import type { Model } from '../../src/vpc/model.ts'
import { Numbers } from '../../src/vpc/numbers.ts'
import { DeviceKind, EniFlag, EniKind, NOTHING, RouteTarget } from '../../src/vpc/plan.ts'
import { allows4, allows6, Direction } from '../../src/vpc/policy.ts'
import { route4, route6 } from '../../src/vpc/routing.ts'
import { address, cidr, device, host, lambda, permission, smallModel, TCP, word, words } from './build.ts'

const { Egress, Ingress } = Direction

/** A function with IPv6, one without and a host that lets the functions' group in on port 80. */
function quickstart() {
  const small = smallModel()
  const { model, vpc, app, fn } = small
  const web = model.securityGroups.create({ vpcId: vpc.vpcId, groupName: 'web', description: '' })
  model.securityGroups.authorize(web.groupId, 'ingress', [permission(TCP, fn.groupId, 80)])
  host(model, 'web', app.subnetId, '10.0.1.20', [web.groupId])
  lambda(model, 'orders', [app.subnetId], [fn.groupId], { environments: 2, ipv6: true, echo: true })
  lambda(model, 'plain', [app.subnetId], [fn.groupId])
  return { ...small, web }
}

t.test('a packet finds its environment, ENI, route, host and rules', async t => {
  const { plan } = compile(quickstart().model)
  const sources = new AddressMap(plan.sources.slots)
  const addresses = new AddressMap(plan.addresses.slots)
  const { environments, enis, devices } = plan

  const from = devices.kind.indexOf(DeviceKind.Environments)
  const environment = sources.find4(from, word('100.64.0.2'))
  t.not(environment, ABSENT)
  t.equal(sources.find6(from, words('fd64::2'), 0), environment, 'the same by either family')
  t.equal(sources.find4(from, word('100.64.0.3')), ABSENT, 'another environment is not behind this device')
  t.equal(environments.device[environment], from)
  t.equal(environments.active[environment], 1)
  const eni = environments.eni[environment]
  t.equal(enis.kind[eni], EniKind.Hyperplane)
  t.equal(enis.device[eni], NOTHING)
  t.equal(enis.address4[eni], word('10.0.1.4'))
  t.same([...enis.address6.subarray(eni * 4, eni * 4 + 4)], [...words('fd00:0:0:1::4')])

  const vpc = enis.vpc[eni]
  const subnet = enis.subnet[eni]
  t.equal(route4(plan, subnet, word('10.0.1.20')), RouteTarget.Local)
  t.equal(route6(plan, subnet, words('fd00:0:0:1::14'), 0), RouteTarget.Local)
  t.equal(route4(plan, subnet, word('10.1.0.1')), NOTHING, 'outside of the VPC there is no route')
  t.equal(route6(plan, subnet, words('fd01::1'), 0), NOTHING)

  const web = addresses.find4(vpc, word('10.0.1.20'))
  t.equal(enis.kind[web], EniKind.Host)
  t.equal(addresses.find6(vpc, words('fd00:0:0:1::14'), 0), web)
  t.equal(devices.kind[enis.device[web]], DeviceKind.Hosts)
  t.equal(devices.vpc[enis.device[web]], vpc)
  t.equal(addresses.find4(vpc, word('10.0.1.4')), eni, 'hyperplane ENIs have addresses too')
  t.equal(addresses.find4(vpc, word('10.0.1.21')), ABSENT)

  const [out, into] = [enis.ruleSet[eni], enis.ruleSet[web]]
  t.equal(allows4(plan, out, Egress, TCP, 80, word('10.0.1.20'), into), true)
  t.equal(allows4(plan, into, Ingress, TCP, 80, word('10.0.1.4'), out), true, 'by group')
  t.equal(allows4(plan, into, Ingress, TCP, 81, word('10.0.1.4'), out), false)
  t.equal(allows4(plan, into, Ingress, TCP, 80, word('10.0.1.4'), NOTHING), false, 'not from a stranger')
  t.equal(allows6(plan, into, Ingress, TCP, 80, words('fd00:0:0:1::4'), 0, out), true)
  t.equal(allows6(plan, out, Egress, TCP, 80, words('fd00:0:0:1::14'), 0, into), true)
})

t.test('flags are those of the function; those of the ENI are of all its functions', async t => {
  const { plan, names } = compile(quickstart().model)
  const of = (name: string) => names.environments.find(one => one.name === name)!
  t.equal(plan.environments.flags[of('orders-1').environment], EniFlag.Echo | EniFlag.Ipv6)
  t.equal(plan.environments.flags[of('plain-1').environment], 0)
  t.equal(of('orders-1').eni, of('plain-1').eni, 'though they share the ENI')
  t.equal(plan.enis.flags[of('plain-1').eni!], EniFlag.Echo | EniFlag.Ipv6)
})

t.test('what the router answers with is in the plan', async t => {
  const { plan, names } = compile(quickstart().model)
  const app = names.subnets.find(one => one.name === 'app')!.subnet
  const old = names.subnets.find(one => one.name === 'old')!.subnet
  t.equal(plan.subnets.router4[app], word('10.0.1.1'))
  t.same([...plan.subnets.router6.subarray(app * 4, app * 4 + 4)], [...words('fd00:0:0:1::1')])
  t.same([...plan.subnets.router6.subarray(old * 4, old * 4 + 4)], [0, 0, 0, 0])
  t.equal(plan.subnets.network4[old], word('10.0.2.0'))
  t.equal(plan.subnets.prefix4[old], 28)
  t.equal(plan.settings.insideRouter4, word('100.64.0.1'))
  t.same([...plan.settings.insideRouter6], [...words('fd64::1')])
  t.same(plan.settings.timeouts, defaultSettings.timeouts)
})

t.test('the longest route wins', async t => {
  const { model, vpc, app, old } = smallModel()
  const table = model.routeTables.create({ vpcId: vpc.vpcId, name: 'own' }).routeTableId
  for (const block of ['0.0.0.0/0', '10.0.2.0/28', 'fd00:0:0:1::/64', '::/0'])
    model.routeTables.createRoute(table, cidr(block), 'blackhole')
  model.routeTables.associate(table, old.subnetId)
  const { plan, names } = compile(model)
  const number = (id: string) => names.subnets.find(one => one.subnetId === id)!.subnet
  const own = number(old.subnetId)
  t.equal(route4(plan, own, word('192.0.2.1')), RouteTarget.Blackhole)
  t.equal(route4(plan, own, word('10.0.1.20')), RouteTarget.Local)
  t.equal(route4(plan, own, word('10.0.2.5')), RouteTarget.Blackhole)
  t.equal(route6(plan, own, words('fd00:0:0:1::5'), 0), RouteTarget.Blackhole)
  t.equal(route6(plan, own, words('fd00:0:0:2::5'), 0), RouteTarget.Local)
  t.equal(route6(plan, own, words('2001:db8::1'), 0), RouteTarget.Blackhole)
  t.equal(route4(plan, number(app.subnetId), word('192.0.2.1')), NOTHING, 'the main table has none of these')
})

t.test('tenants may have the same addresses, inside and in their VPCs', async t => {
  const { model, app, fn } = smallModel()
  const { vpcId } = model.vpcs.create({ name: 'other', cidrBlock: cidr('10.0.0.0/16') })
  const there = model.subnets.create({ vpcId, name: 'app', cidrBlock: cidr('10.0.1.0/24') })
  const groupId = model.vpcs.get(vpcId).defaultSecurityGroupId
  host(model, 'here', app.subnetId, '10.0.1.20')
  host(model, 'there', there.subnetId, '10.0.1.20')
  for (const [name, subnet, group] of [
    ['f', app.subnetId, fn.groupId],
    ['g', there.subnetId, groupId],
  ]) {
    model.functions.create({
      functionName: name,
      vpcConfig: { subnetIds: [subnet], securityGroupIds: [group] },
    })
    const attachment = device(model, name, 'environments')
    model.functions.createEnvironment({
      functionName: name,
      index: 0,
      attachment,
      insideAddress: address('10.0.0.5'),
    })
  }
  const { plan, names } = compile(model)
  const sources = new AddressMap(plan.sources.slots)
  const addresses = new AddressMap(plan.addresses.slots)
  for (const { environment, device } of names.environments)
    t.equal(sources.find4(device, word('10.0.0.5')), environment)
  for (const eni of names.enis)
    if (eni.kind === 'host')
      t.equal(
        addresses.find4(
          names.vpcs.findIndex(vpc => vpc?.name === eni.vpc),
          word('10.0.1.20'),
        ),
        eni.slot,
      )
})

t.test('numbers stay while things come and go, and the generation grows', async t => {
  const { model, app, fn } = quickstart()
  const first = compile(model)
  t.equal(first.plan.generation, 1)
  const web = first.names.enis.find(one => one.host === 'web')!
  const orders = first.names.environments.find(one => one.name === 'orders-2')!

  host(model, 'aaa', app.subnetId, undefined)
  lambda(model, 'aaa-f', [app.subnetId], [fn.groupId])
  model.functions.delete('plain')
  const second = compile(model)
  t.equal(second.plan.generation, 2)
  t.same(
    second.names.enis.find(one => one.host === 'web'),
    web,
  )
  t.same(
    second.names.environments.find(one => one.name === 'orders-2'),
    orders,
  )
  t.equal(
    second.names.enis.find(one => one.kind === 'hyperplane')!.address,
    '10.0.1.4',
    'and so do addresses',
  )
  const gone = first.names.environments.find(one => one.name === 'plain-1')!.environment
  t.equal(second.plan.environments.active[gone], 0, 'what belongs to nothing is inactive')
  t.equal(second.plan.environments.eni[gone], NOTHING)

  const kept = new Numbers(JSON.parse(JSON.stringify(model.numbers)))
  const again = smallModel({ numbers: kept })
  host(again.model, 'web', again.app.subnetId, '10.0.1.20')
  const third = compile(again.model)
  t.equal(third.plan.generation, 3, 'over restarts too')
  t.equal(third.names.enis.find(one => one.host === 'web')!.slot, web.slot)
  t.equal(third.plan.enis.kind[second.names.enis.find(one => one.host === 'aaa')!.slot], EniKind.None)
})

t.test('a given address takes the place of one that was chosen', async t => {
  const before = smallModel()
  lambda(before.model, 'f', [before.app.subnetId], [before.fn.groupId])
  t.equal(compile(before.model).names.enis[0].address, '10.0.1.4')
  const after = smallModel({ numbers: before.model.numbers.copy() })
  lambda(after.model, 'f', [after.app.subnetId], [after.fn.groupId])
  host(after.model, 'web', after.app.subnetId, '10.0.1.4')
  t.same(
    compile(after.model)
      .names.enis.map(one => `${one.kind} ${one.address}`)
      .sort(),
    ['host 10.0.1.4', 'hyperplane 10.0.1.5'],
  )
})

t.test('a function without a VPC has environments that lead nowhere', async t => {
  const { model } = smallModel()
  model.functions.create({ functionName: 'f' })
  model.functions.createEnvironment({
    functionName: 'f',
    index: 0,
    attachment: device(model, 'f-1', 'environments'),
  })
  const { plan, names } = compile(model)
  t.equal(plan.environments.eni[0], NOTHING)
  t.equal(names.environments[0].eni, null)
})

t.test('a plan crosses to a thread by structured clone', async t => {
  const { plan, names } = compile(quickstart().model)
  t.same(structuredClone(plan), plan)
  t.same(JSON.parse(JSON.stringify(names)), names)
})

t.test('devices are described so that they can be made', async t => {
  const { model, app } = quickstart()
  const attachment = model.attachments.create({
    side: 'hosts',
    kind: 'routed',
    device: 'v2n1',
    mtu: 9000,
    prefixes: [cidr('10.0.1.64/31')],
  }).name
  for (const last of [64, 65])
    model.interfaces.create({
      name: `farm/10.0.1.${last}`,
      subnetId: app.subnetId,
      privateIpAddress: address(`10.0.1.${last}`),
      attachment,
    })
  const { names, plan } = compile(model)
  const of = (name: string) => names.devices.find(one => one.name === name)!
  t.match(of('web'), {
    side: 'hosts',
    kind: 'namespace',
    namespace: 'web',
    deviceName: 'v2n0',
    mtu: 1500,
    addresses: ['10.0.1.20/24', 'fd00:0:0:1::14/64'],
  })
  t.same(of('orders-1').addresses, ['100.64.0.2/32', 'fd64::2/128'])
  t.same(of('plain-1').addresses, ['100.64.0.4/32'], 'no IPv6 inside where it would lead nowhere')
  t.match(of('farm'), {
    kind: 'routed',
    namespace: null,
    deviceName: 'v2n1',
    addresses: [],
    prefixes: ['10.0.1.64/31'],
  })
  t.equal(plan.devices.mtu[of('farm').device], 9000)
})

t.test('the order of creation changes nothing', async t => {
  type Step = (model: Model) => void
  const groupIds = { fn: smallModel().fn.groupId, all: smallModel().vpc.defaultSecurityGroupId }
  const subnetIds = { app: smallModel().app.subnetId, old: smallModel().old.subnetId }
  const steps: Step[] = [
    model => host(model, 'web', subnetIds.app, '10.0.1.20', [groupIds.fn]),
    model => host(model, 'auto', subnetIds.app, undefined),
    model => host(model, 'auto2', subnetIds.app, undefined, [groupIds.all, groupIds.fn]),
    model => host(model, 'small', subnetIds.old, undefined),
    model =>
      lambda(model, 'f', [subnetIds.app, subnetIds.old], [groupIds.fn, groupIds.all], { environments: 3 }),
    model => lambda(model, 'g', [subnetIds.app], [groupIds.fn], { ipv6: true }),
    model => lambda(model, 'h', [subnetIds.app], [groupIds.all]),
    model => model.securityGroups.authorize(groupIds.fn, 'ingress', [permission(TCP, '10.0.0.0/8', 80)]),
    model => model.securityGroups.authorize(groupIds.fn, 'ingress', [permission(TCP, groupIds.all, 443)]),
    model =>
      model.routeTables.createRoute(model.vpcs.all()[0].mainRouteTableId, cidr('0.0.0.0/0'), 'blackhole'),
    model =>
      model.routeTables.createRoute(model.vpcs.all()[0].mainRouteTableId, cidr('10.0.1.0/24'), 'blackhole'),
  ]
  const build = (order: readonly Step[]) => {
    const { model } = smallModel()
    for (const step of order) step(model)
    const compiled = compile(model)
    // The description of an ENI names the function that caused it; nothing else may depend on the order.
    return JSON.stringify([compiled.plan, compiled.names])
  }
  const wanted = build(steps)
  const same = () =>
    fc.assert(
      fc.property(fc.shuffledSubarray(steps, { minLength: steps.length }), order => build(order) === wanted),
      { numRuns: 50 },
    )
  t.doesNotThrow(same)
})
