/**
 * What every mistake in a configuration file is told: file, line, key, and what was expected.
 */
import t from 'tap'
import { ConfigError, parseConfig, readConfig } from '../../src/daemon/config.ts'
import { base, problems } from './config-build.ts'

/** The base with one line changed, which must be in it. */
function changed(from: string, to: string): string {
  if (!base.includes(from)) throw new Error(`${from} is not in the base`)
  return base.replace(from, to)
}

const CIDR = 'expected an IPv4 block such as 10.0.1.0/24'

/** What replaces what, and all that is said about it. */
const mistakes: [from: string, to: string, ...said: string[]][] = [
  // Keys.
  [
    'cidr: 10.0.2.0/24',
    'cdir: 10.0.2.0/24',
    '5: vpc.subnets.old.cdir: unknown key; expected one of cidr, ipv6Cidr, az',
    `5: vpc.subnets.old.cidr: is missing; ${CIDR}`,
  ],
  [
    'daemon: {',
    'deamon: {',
    '13: deamon: unknown key; expected one of lab, vpc, vpcs, hosts, functions, daemon',
  ],
  ['az: a }', 'az: a, zone: b }', '4: vpc.subnets.app.zone: unknown key; expected one of cidr, ipv6Cidr, az'],
  [
    'shards: auto',
    'shard: 1',
    '13: daemon.shard: unknown key; expected one of shards, profile, timeouts, insideCidr, insideIpv6Cidr, exhaustion, clampMss, ruleChange, tcpPickup, hugePages, io, pin, flowsPerShard, limits',
  ],
  [
    'profile: rfc',
    'timeouts: { udp: 3 }',
    '13: daemon.timeouts.udp: unknown key; expected one of udpOneway, udpStream, tcpOpening, tcpEstablished, tcpClosing, tcpClosed, icmp',
  ],
  ['    old:', '    app:', '5: vpc.subnets.app: is on line 4 already'],
  ['hosts:\n', 'hosts:\n  web: { subnet: old }\n', '11: hosts.web: is on line 10 already'],
  [
    'from: sg:fn',
    'from: sg:fn, to: sg:fn',
    '8: vpc.securityGroups.web.ingress[0].to: unknown key; expected one of protocol, ports, type, code, from',
  ],
  // Values.
  ['cidr: 10.0.0.0/16', 'cidr: 10.0.0.0', `2: vpc.cidr: ${CIDR}, got "10.0.0.0"`],
  ['cidr: 10.0.0.0/16', 'cidr: 10.0.0.0/33', `2: vpc.cidr: ${CIDR}, got "10.0.0.0/33"`],
  ['cidr: 10.0.0.0/16', 'cidr: 10.0.0.0/016', `2: vpc.cidr: ${CIDR}, got "10.0.0.0/016"`],
  ['cidr: 10.0.0.0/16', 'cidr: [10.0.0.0/16]', `2: vpc.cidr: ${CIDR}, got a list`],
  ['cidr: 10.0.0.0/16', 'cidr: 010.0.0.0/16', `2: vpc.cidr: ${CIDR}, got "010.0.0.0/16"`],
  ['cidr: 10.0.0.0/16', 'cidr: "fd00::/56"', `2: vpc.cidr: ${CIDR}, got "fd00::/56"`],
  [
    'cidr: 10.0.2.0/24',
    'cidr: 10.0.2.7/24',
    '5: vpc.subnets.old.cidr: 10.0.2.7/24 has bits set behind its prefix; did you mean 10.0.2.0/24?',
  ],
  [
    '"fd00:0:0:1::/64"',
    '"fe80::%eth0/64"',
    '4: vpc.subnets.app.ipv6Cidr: expected an IPv6 block such as fd00:0:0:1::/64, got "fe80::%eth0/64"',
  ],
  ['10.0.1.20', '10.0.1', '10: hosts.web.address: expected an IPv4 address such as 10.0.1.20, got "10.0.1"'],
  [
    '10.0.1.20',
    '10.0.1.20/24',
    '10: hosts.web.address: expected an IPv4 address such as 10.0.1.20, got "10.0.1.20/24"',
  ],
  [
    'securityGroups: [web]',
    'securityGroups: web',
    '10: hosts.web.securityGroups: expected a list of names of security groups, got "web"',
  ],
  [
    '[app], sec',
    '[], sec',
    '12: functions.orders.subnets: expected a list of names of subnets, got an empty list',
  ],
  [
    'environments: 2',
    'environments: 0',
    '12: functions.orders.environments: expected a whole number from 1 to 1000000, got 0',
  ],
  [
    'environments: 2',
    'environments: 1.5',
    '12: functions.orders.environments: expected a whole number from 1 to 1000000, got 1.5',
  ],
  ['ipv6: true', 'ipv6: yes', '12: functions.orders.ipv6: expected true or false, got "yes"'],
  ['profile: rfc', 'profile: fast', '13: daemon.profile: expected one of rfc, aws, got "fast"'],
  [
    'shards: auto',
    'shards: 0',
    '13: daemon.shards: expected auto, or a number of shards from 1 to 64, got 0',
  ],
  [
    'shards: auto',
    'pin: [one]',
    '13: daemon.pin: expected true, false, or a list of processor numbers, got a list',
  ],
  ['shards: auto', 'io: epoll', '13: daemon.io: expected one of uring, readv, got "epoll"'],
  [
    'shards: auto',
    'timeouts: { udpStream: 0 }',
    '13: daemon.timeouts.udpStream: expected a whole number from 1 to 10000000, got 0',
  ],
  [
    'shards: auto',
    'insideCidr: 127.0.0.0/16',
    '13: daemon.insideCidr: 127.0.0.0 is not an address that packets are forwarded from',
  ],
  [
    'shards: auto',
    'insideCidr: 100.64.0.0/31',
    '13: daemon.insideCidr: has no room for a router and an environment',
  ],
  [
    'ports: 80',
    'ports: 80-70',
    '8: vpc.securityGroups.web.ingress[0].ports: expected a port (80) or a range of ports ("1000-2000"), from 0 to 65535, got "80-70"',
  ],
  [
    'ports: 80',
    'ports: [80, 65536]',
    '8: vpc.securityGroups.web.ingress[0].ports[1]: expected a port (80) or a range of ports ("1000-2000"), from 0 to 65535, got 65536',
  ],
  [
    'protocol: tcp, ports: 80',
    'protocol: tpc',
    '8: vpc.securityGroups.web.ingress[0].protocol: expected all, tcp, udp, icmp, icmpv6, or a protocol number from 0 to 255, got "tpc"',
  ],
  [
    'protocol: tcp, ports: 80',
    'protocol: icmp, ports: 80',
    '8: vpc.securityGroups.web.ingress[0].ports: only rules for tcp and udp have ports',
  ],
  [
    'protocol: tcp, ports: 80',
    'protocol: tcp, type: 8',
    '8: vpc.securityGroups.web.ingress[0].type: only rules for icmp and icmpv6 have a type',
  ],
  [
    'protocol: tcp, ports: 80',
    'protocol: icmp, code: 8',
    '8: vpc.securityGroups.web.ingress[0].code: only rules for icmp and icmpv6 that have a type have a code',
  ],
  [
    'from: sg:fn',
    'from: fn',
    '8: vpc.securityGroups.web.ingress[0].from: expected an IPv4 or IPv6 block, or sg:NAME, got "fn"',
  ],
  [
    ', from: sg:fn',
    '',
    '8: vpc.securityGroups.web.ingress[0].from: is missing; expected an IPv4 or IPv6 block, or sg:NAME',
  ],
  [
    'ingress: [{ protocol: tcp, ports: 80, from: sg:fn }]',
    'ingress: all',
    '8: vpc.securityGroups.web.ingress: expected a list of rules ([] for none)',
  ],
  [
    '  web: { subnet',
    '  web!: { subnet',
    '10: hosts.web!: expected a name: letters, digits, - and _, beginning with a letter or a digit, at most 63',
  ],
  [
    'hosts:\n',
    'hosts: none\nmore:\n',
    '9: hosts: expected a mapping from names to hosts, got "none"',
    '10: more: unknown key; expected one of lab, vpc, vpcs, hosts, functions, daemon',
  ],
  ['orders: {', 'orders: [', '12: not YAML: '],
  // References.
  [
    'subnet: app',
    'subnet: nope',
    "10: hosts.web.subnet: there is no subnet 'nope'; expected one of app, old",
  ],
  [
    '[app], sec',
    '[app, nope], sec',
    "12: functions.orders.subnets[1]: there is no subnet 'nope'; expected one of app, old",
  ],
  [
    '[web], run',
    '[web, nope], run',
    "10: hosts.web.securityGroups[1]: there is no security group 'nope'; expected one of default, fn, web",
  ],
  [
    'from: sg:fn',
    'from: sg:nope',
    "8: vpc.securityGroups.web.ingress[0].from: there is no security group 'nope'; expected one of default, fn, web",
  ],
  ['ipv6: true', 'vpc: other', "12: functions.orders.vpc: there is no VPC 'other'; expected one of main"],
  // What the model refuses.
  ['10.0.1.20', '10.0.2.20', "10: hosts.web.address: 10.0.2.20 is not in the subnet's range 10.0.1.0/24"],
  [
    '10.0.1.20',
    '10.0.1.2',
    '10: hosts.web.address: 10.0.1.2 is reserved in 10.0.1.0/24: the first four addresses and the last are',
  ],
  [
    'hosts:\n',
    'hosts:\n  one: { subnet: app, address: 10.0.1.20 }\n',
    "11: hosts.web.address: 10.0.1.20 is taken by 'one'",
  ],
  [
    'hosts:\n',
    'hosts:\n  orders-2: { subnet: app }\n',
    '13: functions.orders: device v2n0 in namespace orders-2 is used twice',
  ],
  [
    'cidr: 10.0.2.0/24',
    'cidr: 10.0.1.128/25',
    "5: vpc.subnets.old: 10.0.1.128/25 overlaps 10.0.1.0/24 of subnet 'app'",
  ],
  [
    'cidr: 10.0.2.0/24',
    'cidr: 10.1.2.0/24',
    '5: vpc.subnets.old: 10.1.2.0/24 is not inside the VPC, which has 10.0.0.0/16',
  ],
  [
    '[app], sec',
    '[app, old], sec',
    "12: functions.orders: Ipv6AllowedForDualStack needs dual-stack subnets only, and 'old' has no IPv6 block",
  ],
  [
    'ports: 80',
    'ports: [80, 80]',
    "8: vpc.securityGroups.web.ingress[0]: the rule 'tcp 80 sg:fn' is in 'web' already",
  ],
  // What packets could not do.
  [
    'ipv6: true',
    'ipv6: true, mtu: 1200',
    '12: functions.orders.mtu: 1200 is too small for IPv6, and the function may use IPv6; expected at least 1280 (RFC 8200 section 5)',
  ],
  [
    'address: 10.0.1.20',
    'mtu: 576',
    "10: hosts.web.mtu: 576 is too small for IPv6, and subnet 'app' is dual stack; expected at least 1280 (RFC 8200 section 5)",
  ],
  [
    'ipv6: true',
    'address: 224.0.0.5',
    '12: functions.orders.address: 224.0.0.5 is not an address that packets are forwarded from',
  ],
  // Attachments.
  [
    'ipv6: true',
    'attachment: { kind: router }',
    '12: functions.orders.attachment.kind: expected one of namespace, routed, got "router"',
  ],
  [
    'ipv6: true',
    'attachment: { device: x, cidr: 100.64.8.0/24 }',
    '12: functions.orders.attachment: kind is missing; an attachment with a cidr is of kind routed',
    '12: functions.orders.attachment.cidr: unknown key; expected one of kind, namespace, device',
    '12: functions.orders.attachment.kind: is missing; expected one of namespace, routed',
  ],
  [
    'ipv6: true',
    'attachment: { kind: routed, cidr: 100.64.8.0/24 }',
    '12: functions.orders.attachment.device: is missing; expected a name of a network device, 1 to 15 characters',
  ],
  [
    'ipv6: true',
    'attachment: { kind: routed, device: a-very-long-name, cidr: 100.64.8.0/24 }',
    '12: functions.orders.attachment.device: expected a name of a network device, 1 to 15 characters, got "a-very-long-name"',
  ],
  [
    'environments: 2, ipv6: true',
    'environments: 9, attachment: { kind: routed, device: x, cidr: 100.64.8.0/29 }',
    '12: functions.orders.attachment.cidr: 100.64.8.0/29 has no room for 9 environments',
  ],
  [
    'ipv6: true',
    'ipv6: true, attachment: { kind: routed, device: x, cidr: 100.64.8.0/29 }',
    '12: functions.orders.attachment.ipv6Cidr: is missing; a function with IPv6 behind a routed attachment needs it',
  ],
  [
    'address: 10.0.1.20',
    'attachment: { kind: routed, device: x, cidr: 10.0.2.0/26 }',
    '10: hosts.web.run: not for hosts behind a routed attachment, whose prefix says all',
    "10: hosts.web.attachment.cidr: 10.0.2.0/26 is not in subnet 'app', 10.0.1.0/24",
  ],
]

for (const [from, to, ...said] of mistakes) {
  t.test(`${from.trim()} ▶ ${to.trim()}`, async t => {
    const told = problems(changed(from, to))
    t.equal(told.length, said.length, 'as many problems as there are')
    // What a YAML parser says about syntax is its own; the line is ours.
    for (const [i, line] of told.entries()) {
      const wanted = `lab.yaml:${said[i]}`
      t.equal(wanted.endsWith('not YAML: ') ? line.slice(0, wanted.length) : line, wanted)
    }
  })
}

t.test('everything that is wrong is told at once, by line', async t => {
  const text = base
    .replace('cidr: 10.0.2.0/24', 'cidr: 10.0.2.0/30')
    .replace('subnet: app', 'subnet: nope')
    .replace('profile: rfc', 'profile: fast')
    .replace('ports: 80', 'ports: 99999')
  const told = problems(text)
  t.same(
    told.map(line => line.split(':')[1]),
    ['5', '8', '10', '13'],
  )
})

t.test('what names a thing that is broken is not told again', async t => {
  const told = problems(base.replace('cidr: 10.0.1.0/24', 'cidr: 10.9.1.0/24'))
  t.same(told, ['lab.yaml:4: vpc.subnets.app: 10.9.1.0/24 is not inside the VPC, which has 10.0.0.0/16'])
})

t.test('a file without a VPC, or with two words for it, is refused', async t => {
  t.same(problems('hosts: {}'), ['lab.yaml:1: vpc is missing; expected a mapping with cidr and subnets'])
  t.same(problems(''), [
    'lab.yaml:1: expected a mapping with lab, vpc, vpcs, hosts, functions, daemon, got nothing',
  ])
  t.match(problems(`${base}\nvpcs: {}`), [/lab.yaml:14: vpcs: expected either vpc or vpcs/])
})

t.test('a file that is not there is told by its name', async t => {
  t.throws(() => readConfig('/no/such/lab.yaml'), {
    message: /^\/no\/such\/lab.yaml:1: cannot be read: ENOENT/,
  })
})

t.test('problems have codes, for programs', async t => {
  try {
    parseConfig(base.replace('10.0.1.20', '10.0.1.2').replace('shards', 'shard'), 'lab.yaml')
    t.fail('was not refused')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    t.equal(error.file, 'lab.yaml')
    t.same(
      error.problems.map(({ code, line, key }) => [code, line, key]),
      [
        ['CFG_MODEL_InvalidParameterValue', 10, 'hosts.web.address'],
        ['CFG_KEY', 13, 'daemon.shard'],
      ],
    )
  }
})

t.test('a file cannot say anything by names that objects have already', async t => {
  t.match(problems(base.replace('protocol: tcp', 'protocol: constructor')), [
    /ingress\[0\].protocol: expected all, tcp/,
  ])
  t.match(problems(`${base}\n__proto__: { vpc: 1 }`), [/lab.yaml:14: __proto__: unknown key/])
  t.match(problems(`${base}\nconstructor: 1`), [/lab.yaml:14: constructor: unknown key/])
})

t.test('aliases that unfold to too much are refused', async t => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 8; i++)
    lines.push(
      `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
    )
  t.match(problems(lines.join('\n')), [/lab.yaml:1: not YAML: /])
})
