/** Mapped memory and file locks: what is shared, what is refused, what is let go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { lockFile, mapMemory, mapRegion } from '../../src/io/mapping.ts'
import { closeDescriptor } from '../../src/io/native.ts'

const folder = mkdtempSync(join(tmpdir(), 'v2n-mapping-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const file = (name: string) => join(folder, name)
const maps = (text: string) =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter(line => line.includes(text))

t.test('a region is made sparse and private to its owner, and shared by all who map it', async t => {
  const path = file('region')
  const one = mapRegion(path, { bytes: 1 << 20 })
  t.ok(one.isNew)
  t.equal(one.memory.byteLength, 1 << 20)
  t.equal(statSync(path).size, 1 << 20)
  t.equal(statSync(path).blocks, 0, 'no page was touched')
  t.equal(statSync(path).mode & 0o777, 0o600)

  const two = mapRegion(path, { bytes: 1 << 20 })
  t.notOk(two.isNew)
  t.not(one.address, two.address)
  new Int32Array(one.memory)[1000] = 42
  t.equal(Atomics.add(new Int32Array(two.memory), 1000, 1), 42, 'atomics work on it')
  t.equal(new Int32Array(one.memory)[1000], 43)
  t.equal(readFileSync(path).readInt32LE(4000), 43)
  one.release()
  two.release()
})

t.test('a region grows but is never cut', async t => {
  const path = file('growing')
  mapRegion(path, { bytes: 4096 }).release()
  mapRegion(path, { bytes: 8192 }).release()
  t.equal(statSync(path).size, 8192)
  mapRegion(path, { bytes: 4096 }).release()
  t.equal(statSync(path).size, 8192)
  const whole = mapRegion(path)
  t.equal(whole.memory.byteLength, 8192, 'without a size: all there is')
  whole.release()
})

t.test('an observer reads, makes nothing and grows nothing', async t => {
  const path = file('observed')
  t.throws(() => mapRegion(path, { readOnly: true }), {
    name: 'SystemCallError',
    code: 'ENOENT',
    syscall: 'open',
    message: `map all bytes of ${path}: No such file or directory (ENOENT)`,
  })
  writeFileSync(path, 'hello')
  const seen = mapRegion(path, { readOnly: true })
  t.equal(Buffer.from(seen.memory).toString(), 'hello')
  seen.release()
  t.throws(() => mapRegion(path, { readOnly: true, bytes: 4096 }), { code: 'ENODATA' })
  writeFileSync(path, '')
  t.throws(() => mapRegion(path), { code: 'ENODATA' }, 'an empty file has nothing to map')
})

t.test('what is no regular file is refused', async t => {
  symlinkSync(file('elsewhere'), file('link'))
  t.throws(() => mapRegion(file('link'), { bytes: 4096 }), { code: 'ELOOP' })
  t.throws(() => mapRegion('/dev/null', { bytes: 4096 }), { code: 'ENODEV' })
  t.throws(() => mapRegion(folder, { bytes: 4096 }), { code: 'EISDIR' })
})

t.test('release takes the memory away from everyone who holds it', async t => {
  const mapping = mapRegion(file('released'), { bytes: 4096 })
  const words = new Int32Array(mapping.memory)
  t.equal(maps('v2n-mapping').length, 1)
  mapping.release()
  t.equal(words.length, 0)
  t.equal(mapping.memory.byteLength, 0)
  t.equal(maps('v2n-mapping').length, 0)
  t.throws(() => mapping.release(), { code: 'EINVAL' }, 'once')
})

t.test('a mapping that nobody refers to is unmapped', async t => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 20; i++) mapRegion(file('forgotten'), { bytes: 4096 })
  t.ok(maps('forgotten').length > 0)
  for (let i = 0; i < 50 && maps('forgotten').length > 0; i++) {
    collect()
    await setTimeout(10)
  }
  t.equal(maps('forgotten').length, 0)
})

t.test('memory is zeroed, whole pages, and begins at a huge page where wished', async t => {
  const plain = mapMemory(5000)
  t.equal(plain.memory.byteLength, 8192)
  t.ok(new Uint8Array(plain.memory).every(byte => byte === 0))
  const huge = mapMemory(3 << 20, { hugePages: true })
  t.equal(huge.address % (2 << 20), 0)
  t.equal(huge.memory.byteLength, 3 << 20)
  new Uint8Array(huge.memory).fill(1)
  plain.release()
  huge.release()
  t.throws(() => mapMemory(0), { name: 'SystemCallError', code: 'EINVAL' })
  t.throws(() => mapMemory(2 ** 50), {
    code: 'ENOMEM',
    message: 'map 1125899906842624 bytes of memory: Cannot allocate memory (ENOMEM)',
  })
})

t.test('a lock has one holder, and ends with it', async t => {
  const path = file('lock')
  const held = lockFile(path)
  t.throws(() => lockFile(path), {
    name: 'SystemCallError',
    code: /^(EAGAIN|EWOULDBLOCK)$/,
    syscall: 'flock',
    message: /^lock .*: Resource temporarily unavailable/,
  })
  closeDescriptor(held)
  const again = lockFile(path)
  closeDescriptor(again)

  const library = new URL('../../src/io/mapping.js', import.meta.url)
  const program = `const { lockFile } = await import(${JSON.stringify(library)})
    lockFile(${JSON.stringify(path)}); console.log('held'); setInterval(() => {}, 1000)`
  const other = spawn(process.execPath, ['--input-type=module', '-e', program])
  await once(other.stdout, 'data')
  t.throws(() => lockFile(path), { name: 'SystemCallError', syscall: 'flock' }, 'another process holds it')
  other.kill('SIGKILL')
  await once(other, 'exit')
  closeDescriptor(lockFile(path))
})
