/**
 * What is wrong with a configuration file: every problem at once, each with the line and the key it is about.
 */
import { Failure } from './failure.ts'

/** A class of problem. Operations of the model that refuse have their own codes, after `CFG_MODEL_`. */
export type ProblemCode =
  | 'CFG_FILE'
  | 'CFG_SYNTAX'
  | 'CFG_DUPLICATE'
  | 'CFG_KEY'
  | 'CFG_MISSING'
  | 'CFG_VALUE'
  | 'CFG_REFERENCE'
  | `CFG_MODEL_${string}`

/** Keys and indices that lead to a value. */
export type Path = readonly (string | number)[]

export interface Problem {
  readonly code: ProblemCode
  /** From 1. */
  readonly line: number
  /** `vpc.subnets.app.cidr`, `hosts.web.securityGroups[1]`; empty for the whole file. */
  readonly key: string
  readonly message: string
}

/** A configuration that was refused. Nothing of it was applied. */
export class ConfigError extends Failure {
  override readonly name = 'ConfigError'
  readonly file: string
  readonly problems: readonly Problem[]

  constructor(file: string, problems: readonly Problem[]) {
    super(problems.map(problem => problemText(file, problem)).join('\n'))
    this.file = file
    this.problems = problems
  }
}

/** `labs/x.yaml:7: vpc.subnets.app.cdir: unknown key; expected one of cidr, ipv6Cidr, az` */
export function problemText(file: string, { line, key, message }: Problem): string {
  return key === '' ? `${file}:${line}: ${message}` : `${file}:${line}: ${key}: ${message}`
}

/** A path as messages have it: `hosts.web.securityGroups[1]`. */
export const keyText = (path: Path): string =>
  path.reduce<string>(
    (text, step) => (typeof step === 'number' ? `${text}[${step}]` : text === '' ? step : `${text}.${step}`),
    '',
  )
