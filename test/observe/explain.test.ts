import t from 'tap'
import { explain } from '../../src/observe/explain.ts'
import { Drop, dropName } from '../../src/tables/drops.ts'

t.test('every reason is explained in one sentence', async t => {
  for (const drop of Object.values(Drop)) {
    if (drop === Drop.None) continue
    const sentence = explain(drop)
    t.match(sentence, /^[A-Z][^\n]*\w[)"*`]?\.$/, `${dropName[drop]}: ${sentence}`)
  }
})
