/**
 * A failure with a reason that a person can act on: one sentence that says what is wrong, one that says what to do.
 *
 * Everything that is expected to go wrong in the world (a missing privilege, a namespace of somebody else's) is raised as a Failure
 * and printed without a stack; anything else that reaches the command line is a defect of the program.
 */
export class Failure extends Error {
  override readonly name: string = 'Failure'
  /** What to do about it, a sentence or a command; empty where there is nothing to say. */
  readonly hint: string

  constructor(message: string, hint = '', options?: ErrorOptions) {
    super(message, options)
    this.hint = hint
  }
}

/** The words of anything that was thrown, with the hint where there is one. */
export function wordsOf(error: unknown): string {
  if (error instanceof Failure && error.hint !== '') return `${error.message}\n${error.hint}`
  return error instanceof Error ? error.message : String(error)
}

/** The errno word (`ENOENT`) of an error that Node raised, or an empty string. */
export function errnoOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : ''
  return typeof code === 'string' ? code : ''
}

/** The failure to read a file of a run directory, which is there and for root only. */
export function unreadable(path: string, cause: unknown): Failure {
  const denied = ['EACCES', 'EPERM'].includes(errnoOf(cause))
  return denied
    ? new Failure(`${path} is for root only.`, 'Try the same with sudo.', { cause })
    : new Failure(`${path} cannot be read: ${wordsOf(cause)}.`, '', { cause })
}
