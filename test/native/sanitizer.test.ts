/** The tests of the addon once more, on the build with the address sanitizer: every access of its own C++ is watched. */
import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const run = promisify(execFile)
const compiled = (name: string) => fileURLToPath(new URL(`../${name}.test.js`, import.meta.url))
const builder = fileURLToPath(new URL('../../../scripts/build-native.mjs', import.meta.url))

t.setTimeout(240_000)

const library = execFileSync('c++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
const env = {
  // A test that knows it is run by tap speaks to tap, not to us.
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^_?TAP/.test(name))),
  LD_PRELOAD: library,
  // Node itself leaves memory to the end of the process; what the addon holds is counted by its own tests.
  ASAN_OPTIONS: 'detect_leaks=0',
  V2N_NATIVE: 'asan',
}

await run(process.execPath, [builder, '--sanitize', '--quiet'])

t.test('the sanitizer watches', async t => {
  const native = JSON.stringify(new URL('../../src/io/native.js', import.meta.url))
  const program = `import { readFileSync } from 'node:fs'
    await import(${native})
    console.log(readFileSync('/proc/self/maps', 'utf8'))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { env })
  t.match(stdout, /libasan\.so/)
  t.match(stdout, /build-asan\/.*v2n\.node/)
})

for (const name of ['native/addon', 'io/mapping', 'io/thread', 'io/tun', 'io/readv', 'io/uring'])
  t.test(name, async t => {
    const { stdout, stderr } = await run(process.execPath, [compiled(name)], {
      env,
      maxBuffer: 1 << 26,
    }).catch(error => error as { stdout: string; stderr: string })
    t.notMatch(stderr, /Sanitizer/)
    const failed = stdout.split('\n').filter(line => /^ *not ok /.test(line))
    t.same(failed, [])
    t.match(stdout.slice(-200), /# \{ total: \d+, pass: \d+ \}/, 'it ran to its end')
  })
