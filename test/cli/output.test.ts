import t from 'tap'
import { count, table } from '../../src/cli/output.ts'

t.test('columns are as wide as their widest cell, numbers stand to the right', async t => {
  t.equal(
    table(
      [{ title: 'NAME' }, { title: 'N', right: true }, { title: 'END' }],
      [
        ['a', '1', 'x'],
        ['longer', '100', ''],
      ],
    ),
    'NAME      N  END\na         1  x\nlonger  100',
  )
  t.equal(table([{ title: 'NAME' }], []), 'NAME')
})

t.test('thousands stand apart', async t => {
  t.equal(count(0), '0')
  t.equal(count(1234567.4), '1,234,567')
})
