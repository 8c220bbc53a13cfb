import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type DaemonState, keysOf, keysText, newKeys, readState, writeState } from '../../src/daemon/state.ts'
import { KEY_WORDS } from '../../src/shard/messages.ts'
import { compile } from '../../src/vpc/compile.ts'
import { Model } from '../../src/vpc/model.ts'

const model = new Model()
const { names } = compile(model)
const state: DaemonState = {
  version: 1,
  config: '/etc/v2n.yaml',
  prefix: '',
  shards: 2,
  flows: 1024,
  keys: keysText(newKeys()),
  numbers: model.numbers.toJSON(),
  names,
  devices: [],
}

t.test('what was written is read again', async t => {
  const path = join(t.testdir({}), 'state.json')
  t.equal(readState(path), null)
  writeState(path, state)
  writeState(path, { ...state, prefix: 'x-' })
  t.same(readState(path), { ...state, prefix: 'x-' })
  t.equal(statSync(path).mode & 0o777, 0o600, 'it holds secrets')
  t.same(readdirSync(join(path, '..')), ['state.json'], 'no temporary file stays')
})

t.test('keys survive as text', async t => {
  const keys = newKeys()
  t.equal(keys.length, KEY_WORDS)
  t.same(keysOf(keysText(keys)), keys)
  t.notSame(newKeys(), keys, 'and differ every time')
})

t.test('a file that is none of ours is refused, not guessed at', async t => {
  const path = join(t.testdir({}), 'state.json')
  for (const text of ['', '{', '{"version":2}', '[]', 'null']) {
    writeFileSync(path, text)
    t.throws(() => readState(path), /is not the state of a daemon of this version/, JSON.stringify(text))
  }
})
