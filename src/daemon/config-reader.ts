/**
 * Reads parts of a file's value against their shapes and collects what is wrong, so that one run reports everything.
 *
 * A part that is wrong yields undefined and the caller goes on with the rest; that something is wrong is remembered.
 */
import type * as z from 'zod'
import { ModelError } from '../vpc/errors.ts'
import { keyText, type Path, type Problem, type ProblemCode } from './config-problems.ts'
import { isName, nameExpected, shown } from './config-values.ts'
import type { YamlFile } from './config-yaml.ts'

/** A mapping with a known set of keys. */
export type Shape = Readonly<Record<string, z.ZodType>>

export class ConfigReader {
  readonly #file: YamlFile
  readonly #problems: Problem[]

  constructor(file: YamlFile) {
    this.#file = file
    this.#problems = [...file.problems]
  }

  /** What was found wrong so far, by line. */
  get problems(): readonly Problem[] {
    return this.#problems.sort((a, b) => a.line - b.line)
  }

  report(code: ProblemCode, path: Path, message: string): void {
    this.#problems.push({ code, line: this.#file.lineOf(path), key: keyText(path), message })
  }

  /**
   * A mapping with these keys and no others. A key that is not known is reported and otherwise ignored.
   * @returns undefined where a value is wrong
   */
  parse<S extends Shape>(
    schema: z.ZodObject<S>,
    input: unknown,
    path: Path,
  ): z.output<z.ZodObject<S>> | undefined {
    const keys = Object.keys(schema.shape)
    if (!isMapping(input)) {
      this.report('CFG_VALUE', path, `expected a mapping with ${keys.join(', ')}, got ${shown(input)}`)
      return undefined
    }
    for (const key of Object.keys(input))
      if (!keys.includes(key))
        this.report('CFG_KEY', [...path, key], `unknown key; expected one of ${keys.join(', ')}`)
    const result = schema.safeParse(input)
    if (result.success) return result.data
    for (const issue of result.error.issues) {
      const missing = issue.code === 'custom' && issue.params?.missing === true
      const where = [...path, ...issue.path.map(step => (typeof step === 'number' ? step : String(step)))]
      this.report(missing ? 'CFG_MISSING' : 'CFG_VALUE', where, issue.message)
    }
    return undefined
  }

  /** The entries of a mapping from names to things, in the file's order; none where it is absent. */
  entries(input: unknown, path: Path, what: string): [string, unknown][] {
    if (input === undefined) return []
    if (!isMapping(input)) {
      this.report('CFG_VALUE', path, `expected a mapping from names to ${what}, got ${shown(input)}`)
      return []
    }
    return Object.entries(input).filter(([name]) => {
      if (!isName(name)) this.report('CFG_VALUE', [...path, name], `expected ${nameExpected}`)
      return isName(name)
    })
  }

  /** Does an operation on the model; a refusal becomes a problem with this path, and the answer undefined. */
  attempt<T>(path: Path, operation: () => T): T | undefined {
    try {
      return operation()
    } catch (error) {
      if (!(error instanceof ModelError)) throw error
      this.report(`CFG_MODEL_${error.code}`, path, error.message)
      return undefined
    }
  }
}

const isMapping = (input: unknown): input is Record<string, unknown> =>
  typeof input === 'object' && input !== null && !Array.isArray(input)
