/**
 * What rules allow: by table, and against a deliberately naive reading of the same rules.
 */
import fc from 'fast-check'
import t from 'tap'
import { addressText, contains, fromValue } from '../../src/vpc/cidr.ts'
import { compile } from '../../src/vpc/compile.ts'
import { NOTHING, type Plan } from '../../src/vpc/plan.ts'
import { allows4, allows6, Direction, icmpPort } from '../../src/vpc/policy.ts'
import type { Permission } from '../../src/vpc/resources.ts'
import { ALL, type address, host, ICMP, permission, smallModel, TCP, UDP, word, words } from './build.ts'

/** The plan of one host with a group of these ingress rules and no others, and its rule set. */
function policy(rules: readonly Permission[]): { plan: Plan; ruleSet: number } {
  const { model, app, fn } = smallModel()
  model.securityGroups.authorize(fn.groupId, 'ingress', rules)
  host(model, 'web', app.subnetId, '10.0.1.20', [fn.groupId])
  const { plan } = compile(model)
  return { plan, ruleSet: plan.enis.ruleSet[0] }
}

const GRE = 47
const ICMPV6 = 58

const cases: [rule: Permission, protocol: number, port: number, peer: string, allowed: boolean][] = [
  [permission(TCP, '10.0.0.0/8', 80), TCP, 80, '10.1.2.3', true],
  [permission(TCP, '10.0.0.0/8', 80), TCP, 81, '10.1.2.3', false],
  [permission(TCP, '10.0.0.0/8', 80), UDP, 80, '10.1.2.3', false],
  [permission(TCP, '10.0.0.0/8', 80), TCP, 80, '11.1.2.3', false],
  [permission(TCP, '10.0.0.0/8', 80, 90), TCP, 90, '10.1.2.3', true],
  [permission(TCP, '10.0.0.0/8', 80, 90), TCP, 91, '10.1.2.3', false],
  [permission(UDP, '0.0.0.0/0', 0, 65535), UDP, 65535, '192.0.2.1', true],
  [permission(UDP, '0.0.0.0/0', 0, 65535), UDP, 53, '2001:db8::1', false],
  [permission(TCP, 'fd00:0:0:1::/64', 80), TCP, 80, 'fd00:0:0:1::99', true],
  [permission(TCP, 'fd00:0:0:1::/64', 80), TCP, 80, 'fd00:0:0:2::99', false],
  [permission(ALL, '0.0.0.0/0'), GRE, 0, '10.1.2.3', true],
  [permission(ALL, '::/0'), GRE, 0, '10.1.2.3', false],
  [permission(GRE, '0.0.0.0/0'), GRE, 0, '10.1.2.3', true],
  [permission(GRE, '0.0.0.0/0'), TCP, 80, '10.1.2.3', false],
  [permission(ICMP, '0.0.0.0/0', -1), ICMP, icmpPort(8, 0), '10.1.2.3', true],
  [permission(ICMP, '0.0.0.0/0', 8, -1), ICMP, icmpPort(8, 0), '10.1.2.3', true],
  [permission(ICMP, '0.0.0.0/0', 8, -1), ICMP, icmpPort(0, 0), '10.1.2.3', false],
  [permission(ICMP, '0.0.0.0/0', 3, 4), ICMP, icmpPort(3, 4), '10.1.2.3', true],
  [permission(ICMP, '0.0.0.0/0', 3, 4), ICMP, icmpPort(3, 3), '10.1.2.3', false],
  [permission(ICMP, '0.0.0.0/0', 255, 255), ICMP, icmpPort(254, 255), '10.1.2.3', false],
  [permission(ICMPV6, '::/0', 128, -1), ICMPV6, icmpPort(128, 0), 'fd00::1', true],
  [permission(ICMP, '::/0', -1), ICMPV6, icmpPort(128, 0), 'fd00::1', false],
  [permission(TCP, '10.0.1.4/32', 80), TCP, 80, '10.0.1.4', true],
  [permission(TCP, '10.0.1.4/32', 80), TCP, 80, '10.0.1.5', false],
]

function allows(plan: Plan, ruleSet: number, protocol: number, port: number, peer: string): boolean {
  return peer.includes(':')
    ? allows6(plan, ruleSet, Direction.Ingress, protocol, port, words(peer), 0, NOTHING)
    : allows4(plan, ruleSet, Direction.Ingress, protocol, port, word(peer), NOTHING)
}

for (const [rule, protocol, port, peer, allowed] of cases) {
  const who = 'cidr' in rule.peer ? `${addressText(rule.peer.cidr)}/${rule.peer.cidr.prefix}` : ''
  const said = `${rule.ipProtocol} ${rule.fromPort}-${rule.toPort} ${who}`
  t.test(`${said} ${allowed ? 'allows' : 'does not allow'} ${protocol} ${port} of ${peer}`, async t => {
    const { plan, ruleSet } = policy([rule])
    t.equal(allows(plan, ruleSet, protocol, port, peer), allowed)
  })
}

t.test('an address inside a buffer is read from where it stands', async t => {
  const { plan, ruleSet } = policy([permission(TCP, 'fd00:0:0:1::/64', 80)])
  const buffer = new Int32Array(12)
  buffer.set(words('fd00:0:0:1::99'), 5)
  t.equal(allows6(plan, ruleSet, Direction.Ingress, TCP, 80, buffer, 5, NOTHING), true)
  t.equal(allows6(plan, ruleSet, Direction.Ingress, TCP, 80, buffer, 0, NOTHING), false)
})

t.test('no rules allow nothing, and egress is not ingress', async t => {
  const { plan, ruleSet } = policy([])
  t.equal(allows4(plan, ruleSet, Direction.Ingress, TCP, 80, word('10.0.1.4'), NOTHING), false)
  t.equal(allows4(plan, ruleSet, Direction.Egress, TCP, 80, word('10.0.1.4'), NOTHING), true)
})

t.test('a rule that names a group means those who hold it, among other groups too', async t => {
  const { model, vpc, app, fn } = smallModel()
  const [web, other] = ['web', 'other'].map(groupName =>
    model.securityGroups.create({ vpcId: vpc.vpcId, groupName, description: '' }),
  )
  model.securityGroups.authorize(web.groupId, 'ingress', [permission(TCP, fn.groupId, 80)])
  host(model, 'web', app.subnetId, '10.0.1.20', [web.groupId])
  host(model, 'one', app.subnetId, '10.0.1.21', [fn.groupId])
  host(model, 'both', app.subnetId, '10.0.1.22', [other.groupId, fn.groupId])
  host(model, 'none', app.subnetId, '10.0.1.23', [other.groupId])
  const { plan, names } = compile(model)
  const ruleSet = (name: string) => plan.enis.ruleSet[names.enis.find(({ host }) => host === name)!.slot]
  const admits = (name: string) =>
    allows4(plan, ruleSet('web'), Direction.Ingress, TCP, 80, word('10.0.1.4'), ruleSet(name))
  t.equal(admits('one'), true)
  t.equal(admits('both'), true)
  t.equal(admits('none'), false)
  t.equal(admits('web'), false)
})

t.test('several groups allow what any of them allows', async t => {
  const { model, vpc, app, fn } = smallModel()
  const web = model.securityGroups.create({ vpcId: vpc.vpcId, groupName: 'web', description: '' })
  model.securityGroups.authorize(fn.groupId, 'ingress', [permission(TCP, '10.0.0.0/8', 80)])
  model.securityGroups.authorize(web.groupId, 'ingress', [
    permission(TCP, '10.0.0.0/8', 443),
    permission(TCP, '10.0.0.0/8', 80),
  ])
  host(model, 'web', app.subnetId, '10.0.1.20', [fn.groupId, web.groupId])
  const { plan } = compile(model)
  const [set] = plan.enis.ruleSet
  t.equal(allows(plan, set, TCP, 80, '10.1.1.1'), true)
  t.equal(allows(plan, set, TCP, 443, '10.1.1.1'), true)
  t.equal(allows(plan, set, TCP, 22, '10.1.1.1'), false)
  t.equal(
    plan.ruleSets.ingressStart[set + 1] - plan.ruleSets.ingressStart[set],
    2,
    'a rule of both is there once',
  )
})

t.test('random rules say what a naive reading says', async t => {
  const block = fc
    .tuple(fc.constantFrom(4 as const, 6 as const), fc.nat(7), fc.nat(32))
    .map(([family, low, prefix]) => ({
      ...fromValue(family, BigInt(low)),
      prefix: family === 4 ? prefix : prefix + 96,
    }))
  const rule = fc
    .record({
      ipProtocol: fc.constantFrom(ALL, ICMP, TCP, UDP, GRE),
      a: fc.nat(9),
      b: fc.nat(9),
      cidr: block,
    })
    .map(({ ipProtocol, a, b, cidr }) => ({
      ipProtocol,
      fromPort: ipProtocol === ICMP ? a : Math.min(a, b),
      toPort: ipProtocol === ICMP ? (b > 6 ? -1 : b) : Math.max(a, b),
      peer: { cidr },
    }))
  const packet = fc.record({
    protocol: fc.constantFrom(ICMP, TCP, UDP, GRE),
    port: fc.nat(9),
    code: fc.nat(9),
    peer: fc
      .tuple(fc.constantFrom(4 as const, 6 as const), fc.nat(7))
      .map(([family, low]) => fromValue(family, BigInt(low))),
  })

  const naive = (
    rules: readonly Permission[],
    {
      protocol,
      port,
      code,
      peer,
    }: { protocol: number; port: number; code: number; peer: ReturnType<typeof address> },
  ) =>
    rules.some(rule => {
      if (!('cidr' in rule.peer) || !contains(rule.peer.cidr, peer)) return false
      if (rule.ipProtocol === ALL) return true
      if (rule.ipProtocol !== protocol) return false
      if (protocol === GRE) return true
      if (protocol === ICMP) return rule.fromPort === port && (rule.toPort === -1 || rule.toPort === code)
      return rule.fromPort <= port && port <= rule.toPort
    })

  const same = () =>
    fc.assert(
      fc.property(
        fc.array(rule, { maxLength: 6 }),
        fc.array(packet, { minLength: 20, maxLength: 20 }),
        (rules, packets) => {
          let built: ReturnType<typeof policy>
          try {
            built = policy(rules)
          } catch (error) {
            fc.pre((error as { code?: string }).code !== 'InvalidPermission.Duplicate')
            throw error
          }
          return packets.every(one => {
            const number = one.protocol === ICMP ? icmpPort(one.port, one.code) : one.port
            return (
              allows(built.plan, built.ruleSet, one.protocol, number, addressText(one.peer)) ===
              naive(rules, one)
            )
          })
        },
      ),
      { numRuns: 300 },
    )
  t.doesNotThrow(same)
})
