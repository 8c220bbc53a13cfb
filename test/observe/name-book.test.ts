import t from 'tap'
import { parseConfig } from '../../src/daemon/config.ts'
import { NameBook } from '../../src/observe/name-book.ts'
import { compile } from '../../src/vpc/compile.ts'

const { model } = parseConfig(
  `
vpc: { cidr: 10.0.0.0/16, subnets: { app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00::/64" } } }
hosts:
  web: { subnet: app, address: 10.0.1.20, ipv6Address: "fd00::99" }
functions:
  orders: { subnets: [app], ipv6: true }
`,
  'lab.yaml',
)
const { names } = compile(model)
const directory = new NameBook(names)
const word = (a: number, b: number, c: number, d: number) => a | (b << 8) | (c << 16) | (d << 24)

t.test('addresses have the names of hosts, environments and ENIs', async t => {
  t.same(directory.address([word(10, 0, 1, 20)]), { text: '10.0.1.20', name: 'web' })
  t.same(directory.address([word(0xfd, 0, 0, 0), 0, 0, word(0, 0, 0, 0x99)]), {
    text: 'fd00::99',
    name: 'web',
  })
  const [environment] = names.environments
  t.equal(directory.address([word(100, 64, 0, 2)]).name, environment.name)
  t.same(directory.address([word(192, 0, 2, 1)]), { text: '192.0.2.1', name: null }, 'a stranger has none')
  t.equal(directory.address([word(10, 0, 1, 20)]), directory.address([word(10, 0, 1, 20)]), 'looked up once')
})

t.test('numbers have names', async t => {
  const eni = names.enis.find(({ kind }) => kind === 'hyperplane')
  t.equal(directory.eni(eni?.slot ?? -1), eni)
  t.equal(directory.device(names.devices[0].device), names.devices[0])
  t.equal(directory.environment(names.environments[0].environment)?.name, 'orders-1')
  t.equal(directory.device(999), undefined)
})
