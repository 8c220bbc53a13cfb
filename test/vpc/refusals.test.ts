/**
 * What the operations of the model refuse, each with the documented code.
 */
import t from 'tap'
import { ModelError } from '../../src/vpc/errors.ts'
import type { Model } from '../../src/vpc/model.ts'
import { address, cidr, device, host, ICMP, lambda, permission, smallModel, TCP, UDP } from './build.ts'

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
