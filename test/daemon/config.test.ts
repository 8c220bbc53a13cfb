/**
 * What configuration files come to.
 */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseConfig, readConfig } from '../../src/daemon/config.ts'
import { TimeoutClass } from '../../src/nat/timeouts.ts'
import { addressText, cidrText } from '../../src/vpc/cidr.ts'
import { compile } from '../../src/vpc/compile.ts'
import type { Permission } from '../../src/vpc/resources.ts'
import { base, problems } from './config-build.ts'

const labs = fileURLToPath(new URL('../../../labs/', import.meta.url))

t.test('a file that is right', async t => {
  t.same(problems(base), [])
  const { model, settings, daemon, commands, lab } = parseConfig(base, 'some/lab.yaml')
  t.same(lab, { name: 'lab', prefix: '' })
  t.same(commands, new Map([['web', 'python3 -m http.server 80']]))
  t.match(daemon, { shards: 'auto', io: undefined, hugePages: false, pin: false, flowsPerShard: undefined })
  t.equal(settings.timeouts[TimeoutClass.UdpStream], 30_000)
  t.match(settings, { exhaustion: 'admin', clampMss: true, ruleChange: 'keep', tcpPickup: false })
  const [vpc] = model.vpcs.all()
  t.equal(cidrText(vpc.cidrBlock), '10.0.0.0/16')
  t.same(vpc.ipv6CidrBlocks.map(cidrText), ['fd00::/56'], 'the /56 around the /64 of the subnet')
  t.equal(model.functions.environments().length, 2)
})

t.test('settings are read', async t => {
  const daemon = `daemon:
  shards: 2
  profile: aws
  timeouts: { udpStream: 60 }
  insideCidr: 192.0.2.0/24
  insideIpv6Cidr: "2001:db8::/64"
  exhaustion: off
  clampMss: false
  ruleChange: cut
  tcpPickup: true
  hugePages: true
  io: readv
  pin: [0, 1]
  flowsPerShard: 65536
  limits: { rulesPerGroup: 1000 }`
  const config = parseConfig(base.replace(/daemon: .*/, daemon), 'lab.yaml', { prefix: 't1-' })
  t.match(config.daemon, { shards: 2, io: 'readv', hugePages: true, pin: [0, 1], flowsPerShard: 65536 })
  t.match(config.settings, { exhaustion: 'off', clampMss: false, ruleChange: 'cut', tcpPickup: true })
  t.equal(config.settings.timeouts[TimeoutClass.UdpStream], 6_000)
  t.equal(config.settings.timeouts[TimeoutClass.TcpEstablished], 35_000)
  t.equal(config.model.limits.rulesPerGroup, 1000)
  const { names } = compile(config.model, config.settings)
  t.equal(names.environments[0].address, '192.0.2.2')
  t.equal(names.environments[0].ipv6Address, '2001:db8::2')
  t.same(names.devices.map(device => device.namespace).sort(), ['t1-orders-1', 't1-orders-2', 't1-web'])
})

t.test('rules are read, one for each peer and range of ports', async t => {
  const text = base.replace(
    '{ protocol: tcp, ports: 80, from: sg:fn }',
    [
      '{ protocol: tcp, ports: [80, "1000-2000"], from: [10.0.0.0/8, "fd00::/8"] }',
      '{ protocol: udp, from: sg:default }',
      '{ protocol: icmp, type: 3, code: 4, from: 0.0.0.0/0 }',
      '{ protocol: icmpv6, from: "::/0" }',
      '{ protocol: 47, from: 0.0.0.0/0 }',
      '{ protocol: all, from: 10.0.0.0/8 }',
    ].join(', '),
  )
  t.same(problems(text), [])
  const { model } = parseConfig(text, 'lab.yaml')
  const inWords = (rule: Permission) => model.securityGroups.inWords(rule)
  const group = (name: string) => model.securityGroups.all().find(({ groupName }) => groupName === name)!
  t.same(group('web').ipPermissions.map(inWords), [
    'tcp 80 10.0.0.0/8',
    'tcp 1000-2000 10.0.0.0/8',
    'tcp 80 fd00::/8',
    'tcp 1000-2000 fd00::/8',
    'udp 0-65535 sg:default',
    'icmp type 3 code 4 0.0.0.0/0',
    'icmp6 ::/0',
    '47 0.0.0.0/0'.replace('47', 'gre'),
    'all 10.0.0.0/8',
  ])
  t.same(
    group('web').ipPermissionsEgress.map(inWords),
    ['all 0.0.0.0/0', 'all ::/0'],
    'left out: as AWS has it',
  )
  t.same(group('fn').ipPermissionsEgress.map(inWords), ['all 0.0.0.0/0'], 'given: that and no more')
})

t.test('the default group can be given other rules, and is what those get who name none', async t => {
  const text = base
    .replace('  securityGroups:\n', '  securityGroups:\n    default: { ingress: [], egress: [] }\n')
    .replace('securityGroups: [web], ', '')
  const { model } = parseConfig(text, 'lab.yaml')
  const group = model.securityGroups.get(model.vpcs.all()[0].defaultSecurityGroupId)
  t.same([group.ipPermissions, group.ipPermissionsEgress], [[], []])
  t.same(model.interfaces.describe({ 'interface-type': ['interface'] })[0].groups, [group.groupId])
})

t.test('several VPCs have names, which hosts and functions give', async t => {
  const text = `
vpcs:
  blue: { cidr: 10.0.0.0/16, subnets: { app: { cidr: 10.0.1.0/24 } } }
  red: { cidr: 10.0.0.0/16, subnets: { app: { cidr: 10.0.1.0/24 } } }
hosts:
  web-blue: { vpc: blue, subnet: app, address: 10.0.1.20 }
  web-red: { vpc: red, subnet: app, address: 10.0.1.20 }
functions:
  f: { vpc: red, subnets: [app] }
`
  t.same(problems(text), [])
  const { names } = compile(parseConfig(text, 'lab.yaml').model)
  t.same(names.enis.map(({ vpc, address }) => `${vpc} ${address}`).sort(), [
    'blue 10.0.1.20',
    'red 10.0.1.20',
    'red 10.0.1.4',
  ])
  t.same(problems(text.replace('vpc: red, subnets', 'subnets')), [
    'lab.yaml:9: functions.f.vpc: is missing; expected one of blue, red',
  ])
})

t.test('routed attachments are whole prefixes', async t => {
  const text = `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64" }
hosts:
  farm: { subnet: app, mtu: 9000, attachment: { kind: routed, device: farm0, namespace: farm, cidr: 10.0.1.0/26 } }
  more: { subnet: app, mtu: 9000, attachment: { kind: routed, device: farm0, namespace: farm, cidr: 10.0.1.192/26 } }
functions:
  many: { subnets: [app], ipv6: true, attachment: { kind: routed, device: many0, cidr: 100.64.8.0/24, ipv6Cidr: "fd64:8::/64" } }
  few: { subnets: [app], environments: 3, attachment: { kind: routed, device: many0, cidr: 100.64.9.0/24 } }
`
  const { model } = parseConfig(text, 'lab.yaml', { prefix: 'p-' })
  const { names, plan } = compile(model)
  t.same(
    names.devices.map(({ name, side, namespace, deviceName, mtu, addresses, prefixes }) => ({
      name,
      side,
      namespace,
      deviceName,
      mtu,
      addresses,
      prefixes,
    })),
    [
      {
        name: 'many,few'.split(',').sort().join(','),
        side: 'environments',
        namespace: null,
        deviceName: 'many0',
        mtu: 1500,
        addresses: [],
        prefixes: ['100.64.8.0/24', 'fd64:8::/64', '100.64.9.0/24'],
      },
      {
        name: 'farm,more',
        side: 'hosts',
        namespace: 'p-farm',
        deviceName: 'farm0',
        mtu: 9000,
        addresses: [],
        prefixes: ['10.0.1.0/26', 'fd00:0:0:1::/122', '10.0.1.192/26', 'fd00:0:0:1::c0/122'],
      },
    ],
  )
  const hosts = model.interfaces.describe({ 'interface-type': ['interface'] })
  t.equal(hosts.length, 64 - 4 + 64 - 1, 'reserved addresses are no hosts')
  t.ok(hosts.some(host => addressText(host.privateIpAddress!) === '10.0.1.4'))
  t.notOk(hosts.some(host => addressText(host.privateIpAddress!) === '10.0.1.3'))
  t.equal(plan.environments.eni.length, 256 + 3)
  const last = names.environments.find(({ name }) => name === 'many-256')!
  t.equal(last.address, '100.64.8.255')
  t.equal(last.ipv6Address, 'fd64:8::ff')
})

t.test('environments begin at the address that is given', async t => {
  const text = base.replace('ipv6: true', 'address: 192.168.0.9, ipv6Address: "fd99::9"')
  const { names } = compile(parseConfig(text, 'lab.yaml').model)
  t.same(
    names.environments.map(({ address, ipv6Address }) => `${address} ${ipv6Address}`),
    ['192.168.0.9 fd99::9', '192.168.0.10 fd99::a'],
  )
})

t.test('route tables are read', async t => {
  const tables = `  routeTables:
    main: { routes: [{ to: "::/0", target: blackhole }] }
    own: { subnets: [old], routes: [{ to: 0.0.0.0/0, target: blackhole }] }
  securityGroups:
`
  const { names } = compile(parseConfig(base.replace('  securityGroups:\n', tables), 'lab.yaml').model)
  t.same(names.subnets.map(({ name, routeTable }) => `${name} ${routeTable}`).sort(), ['app main', 'old own'])
  t.same(problems(base.replace('  securityGroups:\n', tables.replace('[old]', '[new]'))), [
    "lab.yaml:8: vpc.routeTables.own.subnets[0]: there is no subnet 'new'; expected one of app, old",
  ])
  t.same(problems(base.replace('  securityGroups:\n', tables.replace('0.0.0.0/0', '10.0.1.0/25'))), [
    'lab.yaml:8: vpc.routeTables.own.routes[0]: 10.0.1.0/25 is inside the VPC and not the block of one of its subnets',
  ])
})

t.test('the order of keys in a file changes nothing', async t => {
  const reversed = `
functions:
  orders: { ipv6: true, environments: 2, securityGroups: [fn], subnets: [app] }
hosts:
  web: { run: python3 -m http.server 80, securityGroups: [web], address: 10.0.1.20, subnet: app }
vpc:
  securityGroups:
    web: { ingress: [{ from: sg:fn, ports: 80, protocol: tcp }] }
    fn: { egress: [{ to: 0.0.0.0/0, protocol: all }] }
  subnets:
    old: { cidr: 10.0.2.0/24 }
    app: { az: a, ipv6Cidr: "fd00:0:0:1::/64", cidr: 10.0.1.0/24 }
  cidr: 10.0.0.0/16
`
  const of = (text: string) => compile(parseConfig(text, 'lab.yaml').model)
  t.same(of(reversed), of(base))
})

t.test('numbers of an earlier run are kept, and not changed by reading', async t => {
  const first = parseConfig(base, 'lab.yaml')
  const before = compile(first.model)
  const numbers = JSON.parse(JSON.stringify(first.model.numbers))
  const kept = JSON.stringify(numbers)
  const text = base.replace('functions:\n', 'functions:\n  aaa: { subnets: [old], environments: 3 }\n')
  const second = compile(parseConfig(text, 'lab.yaml', { numbers }).model)
  t.equal(JSON.stringify(numbers), kept)
  t.equal(second.plan.generation, before.plan.generation + 1)
  for (const environment of before.names.environments)
    t.same(
      second.names.environments.find(({ name }) => name === environment.name),
      environment,
    )
})

for (const file of readdirSync(labs).filter(name => name.endsWith('.yaml')))
  t.test(`labs/${file} is right`, async t => {
    const { model, settings } = readConfig(`${labs}${file}`)
    const { names } = compile(model, settings)
    t.ok(names.environments.length > 0)
  })
