/**
 * The filters of Describe operations: values of one filter are alternatives, several filters must all hold, and `*` and `?`
 * are wildcards (EC2 API reference, "List and filter using the CLI and API").
 */

/** Name of a filter to its values. */
export type Filters = Readonly<Record<string, readonly string[]>>

/** What a resource has under the name of a filter; undefined where the resource has no such filter. */
export type Attributes<T> = (resource: T, filter: string) => readonly string[] | undefined

/** The resources that pass every filter. */
export function select<T>(resources: Iterable<T>, attributes: Attributes<T>, filters: Filters = {}): T[] {
  const patterns = Object.entries(filters).map(([name, values]) => ({ name, values: values.map(pattern) }))
  return Array.from(resources).filter(resource =>
    patterns.every(({ name, values }) =>
      (attributes(resource, name) ?? []).some(value => values.some(expression => expression.test(value))),
    ),
  )
}

function pattern(text: string): RegExp {
  const escaped = text.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's')
}
