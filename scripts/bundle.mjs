/**
 * Puts a shard's modules into one file, for speed alone.
 *
 * V8 (11.3 in Node 20) reads an imported constant from its module's cell at every use, checks that it is initialised and a small integer, and
 * checks every sum with it for overflow. In one module the same constants are folded into the code. That is a third of all
 * instructions of a packet, see bench/README.md, "one module". What runs without the bundle runs the same, slower.
 */
import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { root } from './steps.mjs'

/** Compiled modules that get a bundle beside them, `x.js` as `x.bundle.js`. */
const entries = ['dist/src/shard/task.js', 'dist/bench/engine-pipeline.js']

/** Writes the bundles. Whatever is not of ours stays an import. */
export async function bundle() {
  const { rollup } = await import('@rollup/wasm-node')
  for (const entry of entries) {
    const input = join(root, entry)
    if (!existsSync(input)) continue
    const made = await rollup({ input, external: id => !id.startsWith('.') && !isAbsolute(id) })
    await made.write({ file: input.replace(/\.js$/, '.bundle.js'), format: 'es', generatedCode: 'es2015' })
    await made.close()
  }
}
