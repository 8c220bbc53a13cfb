/**
 * A reason for a drop in one sentence: the first one under its heading in docs/drops.md, which is the only place where
 * reasons are put into words.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Drop } from '../tables/drops.ts'
import { dropName } from '../tables/drops.ts'

let sentences: ReadonlyMap<string, string> | null = null

/** The sentence for a reason; its word where the document is not at hand. */
export function explain(drop: Drop): string {
  sentences ??= read()
  return sentences.get(dropName[drop]) ?? dropName[drop]
}

function read(): Map<string, string> {
  const found = new Map<string, string>()
  const path = documentPath()
  if (path === null) return found
  for (const section of readFileSync(path, 'utf8').split(/^### /m).slice(1)) {
    const [, word, text] = /^(\S+)\n+([\s\S]*)$/.exec(section) ?? []
    const sentence = /^[\s\S]*?\.(?=\s|$)/.exec(text ?? '')?.[0]
    if (word !== undefined && sentence !== undefined) found.set(word, sentence.replace(/\s+/g, ' '))
  }
  return found
}

/** docs lies beside src, and beside dist where the sources run compiled. */
function documentPath(): string | null {
  for (
    let folder = dirname(fileURLToPath(import.meta.url));
    folder !== dirname(folder);
    folder = dirname(folder)
  ) {
    const path = join(folder, 'docs/drops.md')
    if (existsSync(path)) return path
  }
  return null
}
