/**
 * The operations of the model: what they make, choose and describe.
 */
import t from 'tap'
import { addressText, cidrText } from '../../src/vpc/cidr.ts'
import { ALL, address, device, host, lambda, smallModel } from './build.ts'

t.test('ids are shaped as EC2 shapes them, and are those of the names', async t => {
  const one = smallModel()
  const two = smallModel()
  t.match(one.vpc.vpcId, /^vpc-0[0-9a-f]{16}$/)
  t.match(one.app.subnetId, /^subnet-0[0-9a-f]{16}$/)
  t.match(one.fn.groupId, /^sg-0[0-9a-f]{16}$/)
  t.match(one.vpc.mainRouteTableId, /^rtb-0[0-9a-f]{16}$/)
  const web = host(one.model, 'web', one.app.subnetId, '10.0.1.20')
  t.match(web.networkInterfaceId, /^eni-0[0-9a-f]{16}$/)
  t.equal(one.app.subnetId, two.app.subnetId)
  t.not(one.app.subnetId, one.old.subnetId)
})

t.test('a VPC comes with a main route table and a default group', async t => {
  const { model, vpc, app } = smallModel()
  const table = model.routeTables.of(app.subnetId)
  t.equal(table.routeTableId, vpc.mainRouteTableId)
  t.same(
    table.routes.map(({ destination, target }) => `${cidrText(destination)} ${target}`),
    ['10.0.0.0/16 local', 'fd00::/56 local'],
  )
  const group = model.securityGroups.get(vpc.defaultSecurityGroupId)
  t.equal(group.groupName, 'default')
  t.same(
    group.ipPermissions.map(({ peer }) => peer),
    [{ groupId: group.groupId }],
    'members reach each other',
  )
  t.equal(group.ipPermissionsEgress[0].ipProtocol, ALL)
})

t.test('a new group lets nothing in and everything out', async t => {
  const { fn } = smallModel()
  t.same(fn.ipPermissions, [])
  t.same(
    fn.ipPermissionsEgress.map(({ peer }) => 'cidr' in peer && cidrText(peer.cidr)),
    ['0.0.0.0/0', '::/0'],
  )
})

t.test('addresses that were not given are the lowest free, IPv6 with the same host part', async t => {
  const { model, app, fn } = smallModel()
  host(model, 'b', app.subnetId, '10.0.1.4')
  host(model, 'c', app.subnetId, undefined)
  host(model, 'a', app.subnetId, undefined)
  lambda(model, 'f', [app.subnetId], [fn.groupId])
  lambda(model, 'g', [app.subnetId], [model.vpcs.all()[0].defaultSecurityGroupId], { ipv6: true })
  const found = model.interfaces
    .describe()
    .map(({ name, privateIpAddress, ipv6Address }) => [
      name.replace(/^lambda.*/, 'lambda'),
      `${addressText(privateIpAddress!)} ${ipv6Address ? addressText(ipv6Address) : 'no IPv6'}`,
    ])
  const byName = (name: string) => found.filter(([other]) => other === name).map(([, text]) => text)
  t.same(byName('a'), ['10.0.1.5 fd00:0:0:1::5'])
  t.same(byName('b'), ['10.0.1.4 fd00:0:0:1::4'])
  t.same(byName('c'), ['10.0.1.6 fd00:0:0:1::6'])
  t.equal(byName('lambda').filter(text => text.endsWith('no IPv6')).length, 1, 'f may not use IPv6')
  t.equal(byName('lambda').filter(text => text.includes('fd00:0:0:1::')).length, 1, 'g may')
})

t.test('an IPv6 address that was given to another is not derived', async t => {
  const { model, app } = smallModel()
  const plain = host(model, 'plain', app.subnetId, '10.0.1.20')
  model.interfaces.create({
    name: 'taker',
    subnetId: app.subnetId,
    ipv6Address: address('fd00:0:0:1::14'),
    attachment: device(model, 'taker'),
  })
  model.settle()
  t.equal(addressText(plain.ipv6Address!), 'fd00::1:0:1:0:14')
})

t.test('functions with the same subnet and groups share an ENI; other groups are another', async t => {
  const { model, vpc, app, old, fn } = smallModel()
  const both = [fn.groupId, vpc.defaultSecurityGroupId]
  lambda(model, 'f', [app.subnetId], both)
  lambda(model, 'g', [app.subnetId], [...both].reverse())
  lambda(model, 'h', [app.subnetId, old.subnetId], [fn.groupId], { environments: 3 })
  const enis = model.interfaces.describe({ 'interface-type': ['lambda'] })
  t.equal(enis.length, 3)
  const shared = enis.find(eni => eni.groups.length === 2)!
  t.same(
    model.functions.usersOf(shared).map(user => user.functionName),
    ['f', 'g'],
  )
  t.match(shared.description, /^AWS Lambda VPC ENI-f-[0-9a-f]{8}-/, 'named after the function that caused it')
  t.same(
    model.functions
      .environments()
      .filter(one => one.functionName === 'h')
      .map(one => model.functions.interfaceOf(one)?.subnetId),
    [app.subnetId, old.subnetId, app.subnetId],
    'environments are spread over the subnets in turn',
  )
})

t.test('a function is Active once its ENIs are there', async t => {
  const { model, app, fn } = smallModel()
  const created = lambda(model, 'f', [app.subnetId], [fn.groupId])
  t.equal(created.state, 'Pending')
  model.settle()
  t.equal(created.state, 'Active')
})

t.test('an ENI goes with the last function of its key', async t => {
  const { model, app, fn } = smallModel()
  lambda(model, 'f', [app.subnetId], [fn.groupId])
  lambda(model, 'g', [app.subnetId], [fn.groupId])
  model.functions.delete('f')
  t.equal(model.interfaces.describe().length, 1)
  model.functions.update('g', { vpcConfig: { subnetIds: [], securityGroupIds: [] } })
  t.equal(model.interfaces.describe().length, 0)
  t.equal(model.functions.get('g').vpcConfig.vpcId, '')
})

t.test('groups of an ENI can be changed, its key stays', async t => {
  const { model, vpc, app, fn } = smallModel()
  lambda(model, 'f', [app.subnetId], [fn.groupId])
  const [eni] = model.interfaces.describe()
  model.interfaces.setGroups(eni.networkInterfaceId, [vpc.defaultSecurityGroupId])
  model.settle()
  t.equal(model.interfaces.findHyperplane(app.subnetId, [fn.groupId]), eni)
  t.same(eni.groups, [vpc.defaultSecurityGroupId])
})

t.test('inside addresses are given in order, or are those that were given', async t => {
  const { model, app, fn } = smallModel()
  lambda(model, 'f', [app.subnetId], [fn.groupId], { environments: 11 })
  model.functions.create({ functionName: 'given' })
  model.functions.createEnvironment({
    functionName: 'given',
    index: 0,
    attachment: device(model, 'given-1', 'environments'),
    insideAddress: address('10.0.0.5'),
  })
  model.settle()
  const texts = model.functions
    .environments()
    .map(one => `${one.name} ${addressText(one.insideAddress!)} ${addressText(one.insideIpv6Address!)}`)
  t.equal(texts[0], 'f-1 100.64.0.2 fd64::2')
  t.equal(texts[10], 'f-11 100.64.0.12 fd64::c')
  t.equal(texts[11], 'given-1 10.0.0.5 fd64::a00:5')
})

t.test('descriptions are filtered as EC2 filters', async t => {
  const { model, vpc, app, fn } = smallModel()
  lambda(model, 'orders', [app.subnetId], [fn.groupId])
  host(model, 'web', app.subnetId, '10.0.1.20')
  const names = (filters: Record<string, string[]>) =>
    model.interfaces.describe(filters).map(({ name }) => name)
  t.same(names({ 'interface-type': ['interface'] }), ['web'])
  t.equal(names({ description: ['AWS Lambda VPC ENI*'] }).length, 1, '* stands for anything')
  t.equal(names({ description: ['AWS Lambda VPC ENI?orders*'] }).length, 1, '? for one character')
  t.same(names({ description: ['AWS.*'] }), [], 'and nothing else for more than itself')
  t.equal(names({ 'interface-type': ['interface', 'lambda'] }).length, 2, 'values are alternatives')
  t.same(
    names({ 'interface-type': ['lambda'], 'addresses.private-ip-address': ['10.0.1.20'] }),
    [],
    'filters all hold',
  )
  t.same(names({ 'no-such-filter': ['*'] }), [])
  t.same(model.vpcs.describe({ 'tag:Name': ['m*'] }), [vpc])
  t.equal(model.subnets.describe({ 'vpc-id': [vpc.vpcId] }).length, 2)
  t.equal(model.subnets.describe({ 'subnet-id': [app.subnetId] })[0].availableIpAddressCount, 249)
  t.equal(model.securityGroups.describe({ 'group-name': ['fn', 'default'] }).length, 2)
  t.equal(model.routeTables.describe({ 'association.main': ['true'] }).length, 1)
})

t.test('what nothing depends on can be deleted, down to the VPC', async t => {
  const { model, vpc, app, old, fn } = smallModel()
  const web = host(model, 'web', app.subnetId, undefined, [fn.groupId])
  model.settle()
  model.interfaces.delete(web.networkInterfaceId)
  model.attachments.delete('web/v2n0')
  model.securityGroups.delete(fn.groupId)
  model.subnets.delete(app.subnetId)
  model.subnets.delete(old.subnetId)
  model.vpcs.delete(vpc.vpcId)
  t.same(model.vpcs.all(), [])
  t.same(model.securityGroups.all(), [])
  t.same(model.routeTables.all(), [])
})
