/**
 * YAML with lines: the value of a file, and for every path in it the line where its key stands.
 */
import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import { keyText, type Path, type Problem } from './config-problems.ts'

export interface YamlFile {
  /** Plain objects, arrays and scalars; undefined where the syntax is wrong. */
  readonly value: unknown
  /** Wrong syntax, and keys that a mapping has twice. */
  readonly problems: readonly Problem[]
  /** The line of the key at the path, or of the nearest above it that is in the file. */
  lineOf(path: Path): number
}

/** Reads a file's text. Only YAML 1.2: `off` and `no` are words. */
export function readYaml(text: string): YamlFile {
  const counter = new LineCounter()
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: false, prettyErrors: false })
  const lines = new Map<string, number>([[keyOf([]), 1]])
  const problems: Problem[] = document.errors.map(error => ({
    code: 'CFG_SYNTAX',
    line: counter.linePos(error.pos[0]).line,
    key: '',
    message: `not YAML: ${error.message}`,
  }))
  const lineOf = (path: Path): number => {
    for (let length = path.length; ; length--) {
      const line = lines.get(keyOf(path.slice(0, length)))
      if (line !== undefined) return line
    }
  }
  if (problems.length > 0) return { value: undefined, problems, lineOf }
  walk(document.contents, [], (path, offset) => {
    const line = counter.linePos(offset).line
    const key = keyOf(path)
    const before = lines.get(key)
    if (before === undefined) {
      lines.set(key, line)
      return true
    }
    problems.push({
      code: 'CFG_DUPLICATE',
      line,
      key: keyText(path),
      message: `is on line ${before} already`,
    })
    return false
  })
  try {
    return { value: document.toJS(), problems, lineOf }
  } catch (error) {
    // An alias that is not there, or aliases of aliases that would unfold to too much.
    const message = `not YAML: ${(error as Error).message}`
    return {
      value: undefined,
      problems: [...problems, { code: 'CFG_SYNTAX', line: 1, key: '', message }],
      lineOf,
    }
  }
}

const keyOf = (path: Path): string => path.map(step => `${step}\0`).join('')

/** Visits the places of a tree, and takes away what was visited before: the first of two entries with one key stays. */
function walk(node: unknown, path: Path, visit: (path: Path, offset: number) => boolean): void {
  if (isMap(node)) {
    node.items = node.items.filter(({ key, value }) => {
      const inner = [...path, isScalar(key) ? String(key.value) : String(key)]
      const first = !isNode(key) || !key.range || visit(inner, key.range[0])
      if (first) walk(value, inner, visit)
      return first
    })
  } else if (isSeq(node)) {
    node.items.forEach((item, i) => {
      if (isNode(item) && item.range) visit([...path, i], item.range[0])
      walk(item, [...path, i], visit)
    })
  }
  // What an alias stands for has its lines where it is written; in its own place, the alias's line is the answer.
}
