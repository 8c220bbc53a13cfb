/** What the verbs print: tables for people, JSON for programs; and how a verb says that it failed. */
import { Failure, wordsOf } from '../daemon/failure.ts'

/** Prints a line to standard output. */
export const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** Prints a value as JSON, indented where a person looks at it. */
export const sayJson = (value: unknown): void =>
  say(JSON.stringify(value, null, process.stdout.isTTY ? 2 : undefined))

export interface Column {
  readonly title: string
  /** Numbers stand to the right. */
  readonly right?: boolean
}

/** Rows under titles, in columns as wide as their widest cell. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map(row => row[i].length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (columns[i].right ? cell.padStart(widths[i]) : cell.padEnd(widths[i])))
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].join('\n')
}

/** A count with its thousands apart: 1,234,567. */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US')

/** A reader that went away, `v2n flows | head`, is no failure. */
export function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

/** Prints what went wrong to standard error: a sentence, and what to do; with the stack where it is a defect. */
export function complain(error: unknown): void {
  const expected = error instanceof Failure || isExpected(error)
  const words = expected || !(error instanceof Error) ? wordsOf(error) : (error.stack ?? error.message)
  process.stderr.write(`v2n: ${words}\n`)
}

/** Errors of the world below: a configuration that is wrong, a system call that was refused. */
const isExpected = (error: unknown): boolean =>
  error instanceof Error && ['ConfigError', 'ModelError', 'SystemCallError'].includes(error.name)
