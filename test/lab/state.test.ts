import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { emptyState, readLabState, writeLabState } from '../../src/lab/state.ts'

t.test('what was written is read again', async t => {
  const path = join(t.testdir({}), 'lab.json')
  t.equal(readLabState(path), null)
  t.equal(readLabState(join(path, 'deeper')), null)
  const state = { ...emptyState('/tmp/lab.yaml', 'x-'), namespaces: [{ name: 'x-web', inode: null }] }
  writeLabState(path, state)
  t.same(readLabState(path), state)
})

t.test('a file that is none of ours is refused', async t => {
  const path = join(t.testdir({}), 'lab.json')
  for (const text of ['', '[]', '{"version":7}', '{"version":1}']) {
    writeFileSync(path, text)
    t.throws(() => readLabState(path), /is not the state of a lab/, JSON.stringify(text))
  }
})
