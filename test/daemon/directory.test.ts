import { existsSync, lstatSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { chooseDirectory, knownDirectories, RunDirectory } from '../../src/daemon/directory.ts'
import { identify } from '../../src/daemon/process.ts'
import { shortFolder } from './folder.ts'

const running = JSON.stringify(identify(process.pid))
const dead = JSON.stringify({ pid: process.pid, start: 1 })

t.test('a directory is made with a place for regions on tmpfs, and goes with it', async t => {
  const directory = new RunDirectory(join(shortFolder(t), 'a', 'lab'))
  directory.make()
  directory.make()
  t.equal(directory.name, 'lab')
  const regions = lstatSync(directory.regions)
  const place = regions.isSymbolicLink() ? readlinkSync(directory.regions) : directory.regions
  t.ok(existsSync(place))
  writeFileSync(join(directory.regions, 'shard-0'), 'x')
  directory.remove()
  t.notOk(existsSync(directory.path))
  t.notOk(existsSync(place), 'no region stays behind')
})

t.test('a path too long for a socket is refused', async t => {
  const directory = new RunDirectory(join(t.testdir({}), 'x'.repeat(100)))
  t.throws(() => directory.make(), /too long a path/)
  t.notOk(existsSync(directory.path))
})

t.test('the holder of the lock is whoever runs', async t => {
  const directory = new RunDirectory(t.testdir({}))
  t.equal(directory.holder(), null)
  writeFileSync(directory.lock, running)
  t.match(directory.holder(), { pid: process.pid })
  writeFileSync(directory.lock, dead)
  t.equal(directory.holder(), null)
  writeFileSync(directory.lock, 'nonsense')
  t.equal(directory.holder(), null)
})

t.test('which directory a command means', async t => {
  const root = t.testdir({ quickstart: { lock: dead }, blue: { lock: dead }, file: '' })
  const path = (name: string) => join(root, name)
  t.same(
    knownDirectories(root).map(({ name }) => name),
    ['blue', 'quickstart'],
  )
  t.equal(chooseDirectory({ runDir: '/elsewhere' }, root).path, '/elsewhere', 'the one that is named')
  t.equal(chooseDirectory({ file: 'labs/quickstart.yaml' }, root).path, path('quickstart'), "the file's name")
  t.throws(() => chooseDirectory({}, root), /More than one daemon to choose from/)
  writeFileSync(path('blue/lock'), running)
  t.equal(chooseDirectory({}, root).path, path('blue'), 'the only one that runs')
  writeFileSync(path('quickstart/lock'), running)
  t.throws(() => chooseDirectory({}, root), /More than one daemon to choose from/)
  t.throws(() => chooseDirectory({}, path('none')), /No daemon runs here/)

  mkdirSync(path('named'))
  const state = { version: 1, config: '/etc/v2n/office.yaml', keys: '', devices: [] }
  writeFileSync(path('named/state.json'), JSON.stringify(state))
  t.equal(
    chooseDirectory({ file: '/etc/v2n/office.yaml' }, root).path,
    path('named'),
    'the one whose daemon was started with the file',
  )
})
