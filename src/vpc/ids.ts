/**
 * Ids of resources, shaped as EC2 shapes them: a prefix, a dash, and 17 hexadecimal digits of which the first is 0.
 *
 * An id is a hash of the resource's path of names, so the same file gives the same ids on every machine and in every order
 * of creation, and a resource that goes and comes back is the same resource.
 */
import { createHash } from 'node:crypto'

export type IdPrefix = 'vpc' | 'subnet' | 'sg' | 'sgr' | 'rtb' | 'eni'

/** The id of the resource with this path of names. */
export function resourceId(prefix: IdPrefix, ...path: readonly string[]): string {
  const hash = createHash('sha256')
    .update([prefix, ...path].join('\0'))
    .digest('hex')
  return `${prefix}-0${hash.slice(0, 16)}`
}
