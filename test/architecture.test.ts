/**
 * What the sources promise about themselves: layers, clocks, exports, docstrings, lengths, words.
 *
 * The sources are read with TypeScript's own parser, so a comment or a string that mentions a clock is not one. Each test
 * collects its offenders as `file:line what` and compares with none: a failure is the list of what to mend.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { Drop, dropName } from '../src/tables/drops.ts'

/** Each folder of src may import from itself and from what stands before it. */
const order = [
  'wire',
  'tables',
  'nat',
  'vpc',
  'pipeline',
  'io',
  'shard',
  'observe',
  'daemon',
  'api',
  'lab',
  'cli',
]
/** The first layer that may import from npm. */
const FIRST_WITH_PACKAGES = order.indexOf('observe')
/** The first layer that may read a clock. */
const FIRST_WITH_CLOCK = order.indexOf('shard')
const LONGEST_FILE = 500

/** Files that may be longer, each with its reason. */
const mayBeLong: Record<string, string> = {}

const root = fileURLToPath(new URL('../../', import.meta.url))

interface Source {
  /** Path from the folder of package.json. */
  readonly path: string
  readonly text: string
  /** The folder of src it lies in, or '' elsewhere. */
  readonly layer: string
  readonly tree: ts.SourceFile
}

function read(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8')
  const [top, layer] = path.split('/')
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  return { path, text, layer: top === 'src' ? layer : '', tree }
}

const under = (folder: string, ending: RegExp): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && ending.test(entry.name))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .filter(path => !/(^|\/)(build[^/]*|node_modules)\//.test(path))
    .sort()

const sources = under('src', /\.ts$/).map(read)
const everything = [...sources, ...[...under('test', /\.ts$/), ...under('bench', /\.ts$/)].map(read)]

const place = (source: Source, node: ts.Node): string =>
  `${source.path}:${source.tree.getLineAndCharacterOfPosition(node.getStart()).line + 1}`

/** Every node of a file that a check finds fault with, as `file:line what`. */
function faults(source: Source, check: (node: ts.Node, say: (what: string) => void) => void): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    check(node, what => found.push(`${place(source, node)} ${what}`))
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return found
}

/** What a node imports, by import, export … from, or import(): as written. */
function importedBy(node: ts.Node): string | undefined {
  const from =
    ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
      ? node.moduleSpecifier
      : ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
        ? node.arguments[0]
        : ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)
          ? node.argument.literal
          : undefined
  return from && ts.isStringLiteralLike(from) ? from.text : undefined
}

/** The layer that a relative import of a file in src leads to; '' where it leads out of src. */
function layerOf(source: Source, specifier: string): string {
  const target = relative(join(root, 'src'), join(root, source.path, '..', specifier))
  return target.startsWith('..') ? '' : target.split('/')[0]
}

const hasModifier = (node: ts.Node, kind: ts.SyntaxKind): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node) ?? []).some(modifier => modifier.kind === kind)

/** One failure for each offender. */
function none(t: Test, offenders: string[], what: string): void {
  if (offenders.length === 0) t.pass(what)
  for (const offender of offenders) t.fail(`${what}: ${offender}`, { at: null, stack: '', source: '' })
}

t.test('every folder of src is a layer', async t => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
  none(
    t,
    folders.map(entry => entry.name).filter(name => !order.includes(name)),
    'nothing else lies in src',
  )
})

t.test('no layer reaches up', async t => {
  const offenders = sources.flatMap(source =>
    faults(source, (node, say) => {
      const specifier = importedBy(node)
      if (specifier === undefined || !specifier.startsWith('.')) return
      const layer = layerOf(source, specifier)
      if (layer === '') say(`leaves src for ${specifier}`)
      else if (order.indexOf(layer) > order.indexOf(source.layer))
        say(`${source.layer} reaches up into ${layer}`)
    }),
  )
  none(t, offenders, order.join(' ▶ '))
})

t.test('wire imports nothing', async t => {
  const offenders = sources
    .filter(source => source.layer === 'wire')
    .flatMap(source =>
      faults(source, (node, say) => {
        const specifier = importedBy(node)
        if (specifier !== undefined && !/^\.\/[^/]+\.ts$/.test(specifier)) say(`imports ${specifier}`)
      }),
    )
  none(t, offenders, 'only its own files')
})

t.test('nothing from npm below observe', async t => {
  const offenders = sources
    .filter(source => order.indexOf(source.layer) < FIRST_WITH_PACKAGES)
    .flatMap(source =>
      faults(source, (node, say) => {
        const specifier = importedBy(node)
        if (specifier !== undefined && !/^(\.|node:)/.test(specifier)) say(`imports ${specifier}`)
      }),
    )
  none(t, offenders, 'only node: and relative imports')
})

t.test('nothing reads a clock below shard', async t => {
  const offenders = sources
    .filter(source => order.indexOf(source.layer) < FIRST_WITH_CLOCK)
    .flatMap(source =>
      faults(source, (node, say) => {
        if (importedBy(node) === 'node:perf_hooks') say('imports node:perf_hooks')
        if (!ts.isIdentifier(node) || ts.isPropertyAssignment(node.parent)) return
        const whole = ts.isPropertyAccessExpression(node.parent) ? node.parent.name !== node : true
        if (whole && ['Date', 'performance'].includes(node.text)) say(`reads ${node.text}`)
        if (node.text === 'hrtime') say('reads hrtime')
      }),
    )
  none(t, offenders, 'time is an argument')
})

t.test('no any, no default export', async t => {
  const offenders = everything.flatMap(source =>
    faults(source, (node, say) => {
      if (node.kind === ts.SyntaxKind.AnyKeyword) say('any')
      if (ts.isExportAssignment(node) || hasModifier(node, ts.SyntaxKind.DefaultKeyword))
        say('default export')
    }),
  )
  none(t, offenders, 'in src, test and bench')
})

/**
 * Two kinds are exempt: the getters and setters of wire, one statement named after a field of the diagram at the head of
 * their file, and a class that is the only one of its file, since the theory at the head is about it.
 */
function needsDocstring(source: Source, node: ts.Node): boolean {
  if (!hasModifier(node, ts.SyntaxKind.ExportKeyword)) return false
  if (ts.isFunctionDeclaration(node))
    return source.layer !== 'wire' || (node.body?.statements.length ?? 0) > 1
  if (ts.isClassDeclaration(node)) return source.tree.statements.filter(ts.isClassDeclaration).length > 1
  if (!ts.isVariableStatement(node)) return false
  const functions = node.declarationList.declarations
    .map(declaration => declaration.initializer)
    .filter(value => value !== undefined)
    .filter(ts.isArrowFunction)
  return functions.some(value => source.layer !== 'wire' || ts.isBlock(value.body))
}

t.test('every exported function and class of src has a docstring', async t => {
  const offenders = sources.flatMap(source =>
    faults(source, (node, say) => {
      if (!needsDocstring(source, node)) return
      // An overload's docstring stands before its first signature.
      if (ts.isFunctionDeclaration(node) && overloads(source, node).some(hasDocstring)) return
      if (!hasDocstring(node)) say(`no docstring: ${node.getText().split('\n')[0]}`)
    }),
  )
  none(t, offenders, 'what, units, errors, source')
})

/** The comment has to be the node's own: the theory at the head of a file without imports is not a docstring. */
function hasDocstring(node: ts.Node): boolean {
  const text = node.getSourceFile().text
  const comments = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []
  const own = comments.filter(({ pos }) => pos > 0 && text.startsWith('/**', pos))
  return own.length > 0
}

const overloads = (source: Source, node: ts.FunctionDeclaration): ts.Node[] =>
  source.tree.statements.filter(
    other => ts.isFunctionDeclaration(other) && other.name?.text === node.name?.text,
  )

t.test('every file of src begins with its theory', async t => {
  none(
    t,
    sources.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path),
    'a comment first',
  )
})

t.test('files are short', async t => {
  const long = everything
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > LONGEST_FILE && !(path in mayBeLong))
  none(
    t,
    long.map(({ path, lines }) => `${path}: ${lines} lines`),
    `at most ${LONGEST_FILE} lines`,
  )
  none(
    t,
    Object.keys(mayBeLong).filter(path => !existsSync(join(root, path))),
    'no exception outlives its file',
  )
})

t.test('the words are those of docs/design.md', async t => {
  const self = 'test/architecture.test.ts'
  const texts = [
    ...everything.map(({ path }) => path),
    ...under('src', /\.(cc|h)$/),
    ...under('native-bindings', /\.(cc|h|gyp|ts)$/),
    ...under('bench', /\.(c|md)$/),
    ...under('docs', /\.md$/),
    ...under('scripts', /\.mjs$/),
    ...under('labs', /\.(ya?ml|md)$/),
    ...['README.md', 'CONTRIBUTING.md', 'package.json', '.ci/run'].filter(path =>
      existsSync(join(root, path)),
    ),
  ].filter(path => path !== self)
  const wrong: [RegExp, string][] = [
    [/\bsessions?\b/i, 'say flow'],
    [/(?<!user-)\bagents?\b/i, 'say daemon or shard'],
    [/(?<![\w.:])\/(home|root|work|Users)\/\w/, 'a path of one machine'],
  ]
  const offenders = [...new Set(texts)].flatMap(path =>
    readFileSync(join(root, path), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        wrong
          .filter(([word]) => word.test(line))
          .map(([, advice]) => `${path}:${index + 1} ${advice}: ${line.trim()}`),
      ),
  )
  none(t, offenders, 'one word a thing')
})

t.test('every reason for a drop is explained in docs/drops.md', async t => {
  const headings = [...readFileSync(join(root, 'docs/drops.md'), 'utf8').matchAll(/^### (.+)$/gm)].map(
    match => match[1],
  )
  const reasons = Object.values(Drop)
    .filter(drop => drop !== Drop.None)
    .map(drop => dropName[drop])
  none(
    t,
    reasons.filter(reason => !headings.includes(reason)),
    'no reason without a heading',
  )
  none(
    t,
    headings.filter(heading => !reasons.some(reason => reason === heading)),
    'no heading without a reason',
  )
  t.equal(new Set(headings).size, headings.length, 'no heading twice')
})
