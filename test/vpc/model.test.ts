/**
 * The operations of the model: what they make, and the documented code of every refusal.
 */
import t from 'tap'
import { addressText, cidrText } from '../../src/vpc/cidr.ts'
import { ModelError } from '../../src/vpc/errors.ts'
import type { Model } from '../../src/vpc/model.ts'
import { ALL, address, cidr, device, host, ICMP, lambda, permission, smallModel, TCP, UDP } from './build.ts'

type Small = ReturnType<typeof smallModel>

/** Each refusal: what is done, and the code that EC2 or Lambda documents for it. */
const refusals: Record<string, [code: string, operation: (small: Small) => unknown]> = {
  'a VPC larger than a /16': [
    'InvalidVpc.Range',
    ({ model }) => model.vpcs.create({ name: 'x', cidrBlock: cidr('10.0.0.0/15') }),
  ],
  'a VPC smaller than a /28': [
    'InvalidVpc.Range',
    ({ model }) => model.vpcs.create({ name: 'x', cidrBlock: cidr('10.0.0.0/29') }),
  ],
  'a VPC of IPv6': [
    'InvalidVpc.Range',
    ({ model }) => model.vpcs.create({ name: 'x', cidrBlock: cidr('fd00::/56') }),
  ],
  'an IPv6 block between the steps': [
    'InvalidVpc.Range',
    ({ model, vpc }) => model.vpcs.associateIpv6CidrBlock(vpc.vpcId, cidr('fd01::/57')),
  ],
  'an IPv6 block that overlaps': [
    'InvalidVpc.Range',
    ({ model, vpc }) => model.vpcs.associateIpv6CidrBlock(vpc.vpcId, cidr('fd00::/52')),
  ],
  'a second VPC of that name': [
    'Name.Duplicate',
    ({ model }) => model.vpcs.create({ name: 'main', cidrBlock: cidr('10.1.0.0/16') }),
  ],
  'a subnet of no VPC': ['InvalidVpcID.NotFound', small => subnet(small, '10.0.9.0/24', { vpcId: 'vpc-0' })],
  'a subnet outside of the VPC': ['InvalidSubnet.Range', small => subnet(small, '10.1.0.0/24')],
  'a subnet larger than a /16': ['InvalidSubnet.Range', small => subnet(small, '10.0.0.0/8')],
  'a subnet smaller than a /28': ['InvalidSubnet.Range', small => subnet(small, '10.0.9.0/29')],
  'an IPv6 subnet that is no /64': [
    'InvalidSubnet.Range',
    small => subnet(small, '10.0.9.0/24', { ipv6CidrBlock: cidr('fd00:0:0:9::/80') }),
  ],
  'an IPv6 subnet outside of the VPC': [
    'InvalidSubnet.Range',
    small => subnet(small, '10.0.9.0/24', { ipv6CidrBlock: cidr('fd01::/64') }),
  ],
  'a subnet over another': ['InvalidSubnet.Conflict', small => subnet(small, '10.0.0.0/20')],
  'a subnet in another': ['InvalidSubnet.Conflict', small => subnet(small, '10.0.1.128/25')],
  'an IPv6 subnet over another': [
    'InvalidSubnet.Conflict',
    small => subnet(small, '10.0.9.0/24', { ipv6CidrBlock: cidr('fd00:0:0:1::/64') }),
  ],
  'a second subnet of that name': ['Name.Duplicate', small => subnet(small, '10.0.9.0/24', { name: 'app' })],
  'a group of no VPC': ['InvalidVpcID.NotFound', small => group(small, 'x', 'vpc-0')],
  'a second group of that name': ['InvalidGroup.Duplicate', small => group(small, 'fn')],
  'a group named default': ['InvalidGroup.Duplicate', small => group(small, 'default')],
  'a group named as an id': ['InvalidParameterValue', small => group(small, 'sg-web')],
  'a rule of no group': [
    'InvalidGroup.NotFound',
    ({ model }) => model.securityGroups.authorize('sg-0', 'ingress', []),
  ],
  'a rule for a group that is not there': ['InvalidGroup.NotFound', small => allow(small, TCP, 'sg-0', 80)],
  'a rule twice': [
    'InvalidPermission.Duplicate',
    small => [allow(small, TCP, '10.0.0.0/8', 80), allow(small, TCP, '10.0.0.0/8', 80)],
  ],
  'a rule twice in other words': [
    'InvalidPermission.Duplicate',
    ({ model, fn }) =>
      model.securityGroups.authorize(fn.groupId, 'ingress', [
        { ...permission(47, '10.0.0.0/8'), fromPort: 7, toPort: 9 },
        permission(47, '10.0.0.0/8'),
      ]),
  ],
  'ports the wrong way round': ['InvalidParameterValue', small => allow(small, TCP, '10.0.0.0/8', 80, 70)],
  'a port that is none': ['InvalidParameterValue', small => allow(small, UDP, '10.0.0.0/8', 0, 65536)],
  'an ICMP type that is none': ['InvalidParameterValue', small => allow(small, ICMP, '10.0.0.0/8', 256)],
  'an ICMP code without a type': ['InvalidParameterValue', small => allow(small, ICMP, '10.0.0.0/8', -1, 4)],
  'a protocol that is none': ['InvalidParameterValue', small => allow(small, 256, '10.0.0.0/8', 1)],
  'more than 60 rules': [
    'RulesPerSecurityGroupLimitExceeded',
    small => Array.from({ length: 61 }, (_, i) => allow(small, TCP, '10.0.0.0/8', i)),
  ],
  'revoking what is not there': [
    'InvalidPermission.NotFound',
    ({ model, fn }) =>
      model.securityGroups.revoke(fn.groupId, 'ingress', [permission(TCP, '10.0.0.0/8', 80)]),
  ],
  'deleting the default group': [
    'CannotDelete',
    ({ model, vpc }) => model.securityGroups.delete(vpc.defaultSecurityGroupId),
  ],
  'deleting a group that an interface holds': [
    'DependencyViolation',
    ({ model, app, fn }) => {
      host(model, 'web', app.subnetId, undefined, [fn.groupId])
      model.securityGroups.delete(fn.groupId)
    },
  ],
  'deleting a group that a rule names': [
    'DependencyViolation',
    small => {
      const web = group(small, 'web')
      small.model.securityGroups.authorize(web.groupId, 'ingress', [permission(TCP, small.fn.groupId, 80)])
      small.model.securityGroups.delete(small.fn.groupId)
    },
  ],
  'a route twice': ['RouteAlreadyExists', small => [route(small, '0.0.0.0/0'), route(small, '0.0.0.0/0')]],
  'a route in place of the local one': ['RouteAlreadyExists', small => route(small, '10.0.0.0/16')],
  'a route inside the VPC that is no subnet': ['InvalidParameterValue', small => route(small, '10.0.1.0/25')],
  'more than 50 routes': [
    'RouteLimitExceeded',
    small => Array.from({ length: 51 }, (_, i) => route(small, `172.16.${i}.0/24`)),
  ],
  'deleting the local route': [
    'InvalidParameterValue',
    ({ model, vpc }) => model.routeTables.deleteRoute(vpc.mainRouteTableId, cidr('10.0.0.0/16')),
  ],
  'deleting a route that is not there': [
    'InvalidRoute.NotFound',
    ({ model, vpc }) => model.routeTables.deleteRoute(vpc.mainRouteTableId, cidr('0.0.0.0/0')),
  ],
  'deleting the main table': [
    'DependencyViolation',
    ({ model, vpc }) => model.routeTables.delete(vpc.mainRouteTableId),
  ],
  'associating a subnet twice': [
    'Resource.AlreadyAssociated',
    ({ model, vpc, app }) => {
      for (const name of ['x', 'y']) {
        const table = model.routeTables.create({ vpcId: vpc.vpcId, name })
        model.routeTables.associate(table.routeTableId, app.subnetId)
      }
    },
  ],
  'an interface in no subnet': [
    'InvalidSubnetID.NotFound',
    ({ model }) => host(model, 'x', 'subnet-0', undefined),
  ],
  'an address of another subnet': [
    'InvalidParameterValue',
    ({ model, app }) => host(model, 'x', app.subnetId, '10.0.2.20'),
  ],
  'the network address': [
    'InvalidParameterValue',
    ({ model, app }) => host(model, 'x', app.subnetId, '10.0.1.0'),
  ],
  'the fourth address': [
    'InvalidParameterValue',
    ({ model, app }) => host(model, 'x', app.subnetId, '10.0.1.3'),
  ],
  'the last address': [
    'InvalidParameterValue',
    ({ model, app }) => host(model, 'x', app.subnetId, '10.0.1.255'),
  ],
  'an address that is taken': [
    'InvalidIPAddress.InUse',
    ({ model, app }) => [
      host(model, 'x', app.subnetId, '10.0.1.20'),
      host(model, 'y', app.subnetId, '10.0.1.20'),
    ],
  ],
  'an address that was chosen for another': [
    'InvalidIPAddress.InUse',
    ({ model, app }) => {
      host(model, 'x', app.subnetId, undefined)
      model.settle()
      host(model, 'y', app.subnetId, '10.0.1.4')
    },
  ],
  'IPv6 where the subnet has none': [
    'InvalidParameterValue',
    ({ model, old }) =>
      model.interfaces.create({
        name: 'x',
        subnetId: old.subnetId,
        ipv6Address: address('fd00:0:0:2::20'),
        attachment: device(model, 'x'),
      }),
  ],
  'the last IPv6 address': [
    'InvalidParameterValue',
    ({ model, app }) =>
      model.interfaces.create({
        name: 'x',
        subnetId: app.subnetId,
        ipv6Address: address('fd00:0:0:1:ffff:ffff:ffff:ffff'),
        attachment: device(model, 'x'),
      }),
  ],
  'a group that is not there': [
    'InvalidGroup.NotFound',
    ({ model, app }) => host(model, 'x', app.subnetId, undefined, ['sg-0']),
  ],
  'six groups': [
    'SecurityGroupsPerInterfaceLimitExceeded',
    small => {
      const groups = Array.from({ length: 6 }, (_, i) => group(small, `g${i}`).groupId)
      host(small.model, 'x', small.app.subnetId, undefined, groups)
    },
  ],
  'more hosts than the subnet has addresses': [
    'InsufficientFreeAddressesInSubnet',
    ({ model, old }) => Array.from({ length: 12 }, (_, i) => host(model, `h${i}`, old.subnetId, undefined)),
  ],
  'deleting a subnet with an interface': [
    'DependencyViolation',
    ({ model, app }) => {
      host(model, 'x', app.subnetId, undefined)
      model.subnets.delete(app.subnetId)
    },
  ],
  'deleting a VPC with a subnet': ['DependencyViolation', ({ model, vpc }) => model.vpcs.delete(vpc.vpcId)],
  'deleting an ENI that a function uses': [
    'OperationNotPermitted',
    ({ model, app, fn }) => {
      lambda(model, 'f', [app.subnetId], [fn.groupId])
      model.interfaces.delete(model.interfaces.all()[0].networkInterfaceId)
    },
  ],
  'an ENI that is not there': [
    'InvalidNetworkInterfaceID.NotFound',
    ({ model }) => model.interfaces.get('eni-0'),
  ],
  'a function twice': [
    'ResourceConflictException',
    ({ model, app, fn }) => [
      lambda(model, 'f', [app.subnetId], [fn.groupId]),
      lambda(model, 'f', [app.subnetId], [fn.groupId]),
    ],
  ],
  'a function with subnets and no groups': [
    'InvalidParameterValueException',
    ({ model, app }) => lambda(model, 'f', [app.subnetId], []),
  ],
  'a function in a subnet that is not there': [
    'InvalidParameterValueException',
    ({ model, fn }) => lambda(model, 'f', ['subnet-0'], [fn.groupId]),
  ],
  'a function with a group that is not there': [
    'InvalidParameterValueException',
    ({ model, app }) => lambda(model, 'f', [app.subnetId], ['sg-0']),
  ],
  'a function with IPv6 and a subnet without': [
    'InvalidParameterValueException',
    ({ model, app, old, fn }) =>
      lambda(model, 'f', [app.subnetId, old.subnetId], [fn.groupId], { ipv6: true }),
  ],
  'a function with IPv6 and no subnets': [
    'InvalidParameterValueException',
    ({ model }) => lambda(model, 'f', [], [], { ipv6: true }),
  ],
  'a function in subnets of two VPCs': [
    'InvalidParameterValueException',
    ({ model, app, fn }) => {
      const { vpcId } = model.vpcs.create({ name: 'other', cidrBlock: cidr('10.0.0.0/16') })
      const there = model.subnets.create({ vpcId, name: 'app', cidrBlock: cidr('10.0.1.0/24') })
      lambda(model, 'f', [app.subnetId, there.subnetId], [fn.groupId])
    },
  ],
  'a function in 17 subnets': [
    'InvalidParameterValueException',
    small => {
      const ids = Array.from(
        { length: 17 },
        (_, i) => subnet(small, `10.0.${100 + i}.0/24`, { name: `s${i}` }).subnetId,
      )
      lambda(small.model, 'f', ids, [small.fn.groupId])
    },
  ],
  'a function in a full subnet': [
    'SubnetIPAddressLimitReachedException',
    ({ model, old, fn }) => {
      for (let i = 0; i < 11; i++) host(model, `h${i}`, old.subnetId, undefined)
      lambda(model, 'f', [old.subnetId], [fn.groupId])
    },
  ],
  'a function that is not there': ['ResourceNotFoundException', ({ model }) => model.functions.get('f')],
  'one device for two hosts': [
    'Attachment.Conflict',
    ({ model }) => [device(model, 'x'), device(model, 'x')],
  ],
  'a host behind a device of environments': [
    'Attachment.Conflict',
    ({ model, app }) =>
      model.interfaces.create({
        name: 'x',
        subnetId: app.subnetId,
        attachment: device(model, 'x', 'environments'),
      }),
  ],
  'a host behind no device': [
    'Attachment.NotFound',
    ({ model, app }) => model.interfaces.create({ name: 'x', subnetId: app.subnetId, attachment: 'x/v2n0' }),
  ],
  'overlapping prefixes behind one device': [
    'Attachment.Conflict',
    ({ model }) => [routed(model, '100.64.8.0/24'), routed(model, '100.64.8.128/25')],
  ],
  'two MTUs of one device': [
    'Attachment.Conflict',
    ({ model }) => [routed(model, '100.64.8.0/24'), routed(model, '100.64.9.0/24', 1400)],
  ],
  'an MTU below that of IPv4': ['InvalidParameterValue', ({ model }) => routed(model, '100.64.8.0/24', 67)],
}

function subnet(
  { model, vpc }: Small,
  block: string,
  more: Partial<Parameters<Model['subnets']['create']>[0]> = {},
) {
  return model.subnets.create({ vpcId: vpc.vpcId, name: 'x', cidrBlock: cidr(block), ...more })
}

const group = ({ model, vpc }: Small, groupName: string, vpcId = vpc.vpcId) =>
  model.securityGroups.create({ vpcId, groupName, description: '' })

const allow = ({ model, fn }: Small, protocol: number, peer: string, from: number, to = from) =>
  model.securityGroups.authorize(fn.groupId, 'ingress', [permission(protocol, peer, from, to)])

const route = ({ model, vpc }: Small, block: string) =>
  model.routeTables.createRoute(vpc.mainRouteTableId, cidr(block), 'blackhole')

const routed = (model: Model, prefix: string, mtu = 1500) =>
  model.attachments.create({
    side: 'environments',
    kind: 'routed',
    device: 'v2n0',
    mtu,
    prefixes: [cidr(prefix)],
  })

for (const [name, [code, operation]] of Object.entries(refusals)) {
  t.test(`refused: ${name}`, async t => {
    try {
      operation(smallModel())
      t.fail('was not refused')
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      t.equal(error.code, code, error.message)
      t.not(error.resource, '', 'names the resource')
    }
  })
}

t.test('a refused operation changes nothing', async t => {
  const { model, fn } = smallModel()
  const before = JSON.stringify(model.securityGroups.all())
  const rules = [permission(TCP, '10.0.0.0/8', 80), permission(TCP, 'sg-0', 80)]
  t.throws(() => model.securityGroups.authorize(fn.groupId, 'ingress', rules), {
    code: 'InvalidGroup.NotFound',
  })
  t.equal(JSON.stringify(model.securityGroups.all()), before)
})

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
