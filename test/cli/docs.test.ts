/** The examples that people copy: they are read as the program reads them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseConfig } from '../../src/daemon/config.ts'
import { compile } from '../../src/vpc/compile.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

for (const document of ['README.md', 'docs/cli.md'])
  t.test(`the files in ${document}`, async t => {
    const blocks = [...readFileSync(join(root, document), 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```/gm)]
    t.not(blocks.length, 0)
    for (const [, text] of blocks) t.doesNotThrow(() => compile(parseConfig(text, document).model))
  })

t.test('the files in labs', async t => {
  for (const name of readdirSync(join(root, 'labs')).filter(name => name.endsWith('.yaml')))
    t.doesNotThrow(
      () => compile(parseConfig(readFileSync(join(root, 'labs', name), 'utf8'), name).model),
      name,
    )
})
