import t from 'tap'
import { parseConfig } from '../../src/daemon/config.ts'
import { Failure } from '../../src/daemon/failure.ts'
import { deviceOf, eniOf, namespaceOf } from '../../src/lab/members.ts'
import { compile } from '../../src/vpc/compile.ts'

const { model } = parseConfig(
  `
vpc: { cidr: 10.0.0.0/16, subnets: { app: { cidr: 10.0.1.0/24 } } }
hosts:
  web: { subnet: app, address: 10.0.1.20 }
  many: { subnet: app, attachment: { kind: routed, device: far0, cidr: 10.0.1.64/30 } }
functions:
  orders: { subnets: [app], environments: 2 }
`,
  'lab.yaml',
  { prefix: 'p-' },
)
const { names } = compile(model)

t.test('hosts and environments have a namespace', async t => {
  t.equal(namespaceOf(names, 'web'), 'p-web')
  t.equal(namespaceOf(names, 'orders-2'), 'p-orders-2')
})

t.test('others are refused, naming those there are', async t => {
  for (const name of ['orders', 'nobody', 'many', ''])
    t.throws(
      () => deviceOf(names, name),
      new Failure(`There is no ${name} with a namespace of its own.`, 'There are: orders-1, orders-2, web.'),
      JSON.stringify(name),
    )
})

t.test('an ENI by its host, its function, an environment, its id', async t => {
  const eni = eniOf(names, 'orders')
  t.match(eni, { kind: 'hyperplane', functions: ['orders'] })
  t.equal(eniOf(names, 'orders-2'), eni)
  t.equal(eniOf(names, eni?.networkInterfaceId ?? ''), eni)
  t.match(eniOf(names, 'web'), { kind: 'host', address: '10.0.1.20' })
  t.equal(eniOf(names, 'nobody'), undefined)
})
