/**
 * The kinds of value that a configuration file has, each with what it says when it gets something else.
 *
 * Text becomes what the model takes (addresses as words, ports as ranges) here and nowhere else.
 */
import { Address4, Address6 } from 'ip-address'
import * as z from 'zod'
import { MAX_SHARDS } from '../tables/ports.ts'
import {
  type Address,
  addressText,
  type Cidr,
  canonical,
  cidrText,
  type Family,
  fromValue,
  sameCidr,
} from '../vpc/cidr.ts'
import { ANY_PROTOCOL } from '../vpc/plan.ts'
import { Protocol } from '../wire/protocol.ts'

/** What a parser answers for a value that it does not take: why, in addition to what was expected. */
class Refusal {
  readonly why: string

  constructor(why = '') {
    this.why = why
  }
}

/** A value that `parse` understands. */
function value<T>(expected: string, parse: (input: unknown) => T | Refusal) {
  return z.unknown().transform((input, context): T => {
    const result = input === undefined ? new Refusal() : parse(input)
    if (!(result instanceof Refusal)) return result
    const message =
      input === undefined
        ? `is missing; expected ${expected}`
        : result.why !== ''
          ? result.why
          : `expected ${expected}, got ${shown(input)}`
    context.addIssue({ code: 'custom', message, params: { missing: input === undefined } })
    return z.NEVER
  })
}

/** A value as a message quotes it. */
export function shown(input: unknown): string {
  if (Array.isArray(input)) return input.length === 0 ? 'an empty list' : 'a list'
  if (input === null) return 'nothing'
  if (typeof input === 'object') return 'a mapping'
  return JSON.stringify(input)
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/
const NAME_TEXT = 'a name: letters, digits, - and _, beginning with a letter or a digit, at most 63'
/** IFNAMSIZ less the terminator; what the kernel's dev_valid_name refuses is refused. */
const DEVICE = /^[^\s/:%]{1,15}$/
const NAMESPACE = /^[^\s/\0]{1,200}$/

const matching = (expected: string, expression: RegExp) =>
  value(expected, input => (typeof input === 'string' && expression.test(input) ? input : new Refusal()))

/** Whether a text may be the name of something in a file. */
export const isName = (text: string): boolean => NAME.test(text)
export const nameExpected = NAME_TEXT
export const name = matching(NAME_TEXT, NAME)
export const device = value('a name of a network device, 1 to 15 characters', input =>
  typeof input === 'string' && DEVICE.test(input) && input !== '.' && input !== '..' ? input : new Refusal(),
)
export const namespace = value('a name of a network namespace', input =>
  typeof input === 'string' && NAMESPACE.test(input) && input !== '.' && input !== '..'
    ? input
    : new Refusal(),
)
/** Something that may also stand before a name. */
export const prefix = matching(
  'the beginning of a name: letters, digits, - and _, at most 32',
  /^[A-Za-z0-9_-]{0,32}$/,
)
export const command = value('a command for the shell', input =>
  typeof input === 'string' && input.trim() !== '' ? input : new Refusal(),
)

export const flag = value('true or false', input => (typeof input === 'boolean' ? input : new Refusal()))

/** A whole number, both ends included. */
export const integer = (from: number, to: number) =>
  value(`a whole number from ${from} to ${to}`, input =>
    typeof input === 'number' && Number.isInteger(input) && input >= from && input <= to
      ? input
      : new Refusal(),
  )

/** One of these words. */
export const oneOf = <T extends string>(...words: readonly T[]) =>
  value(`one of ${words.join(', ')}`, input => words.find(word => word === input) ?? new Refusal())

/** A list with at least one element. Elements are checked by `element`. */
export const list = <T>(expected: string, element: z.ZodType<T>) =>
  value(expected, input =>
    Array.isArray(input) && input.length > 0 ? (input as unknown[]) : new Refusal(),
  ).pipe(z.array(element))

/** One value, or a list of them. */
export const many = <T>(element: z.ZodType<T>) =>
  z.unknown().transform((input, context): T[] => {
    const elements = Array.isArray(input) && input.length > 0 ? input : [input]
    return elements.map((one, i) => {
      const result = element.safeParse(one)
      if (result.success) return result.data
      for (const issue of result.error.issues) {
        const params = issue.code === 'custom' ? issue.params : {}
        context.addIssue({
          code: 'custom',
          message: issue.message,
          path: elements === input ? [i] : [],
          params,
        })
      }
      return z.NEVER
    })
  })

/** How many shards: as many as there are processors, or a number. */
export const shards = value<number | 'auto'>(`auto, or a number of shards from 1 to ${MAX_SHARDS}`, input =>
  input === 'auto' || (Number.isInteger(input) && Number(input) >= 1 && Number(input) <= MAX_SHARDS)
    ? (input as number | 'auto')
    : new Refusal(),
)

/** Whether shards are bound to processors, or to which. */
export const pin = value<boolean | number[]>('true, false, or a list of processor numbers', input => {
  if (typeof input === 'boolean') return input
  const fits = (cpu: unknown) => Number.isInteger(cpu) && Number(cpu) >= 0 && Number(cpu) < 4096
  return Array.isArray(input) && input.length > 0 && input.every(fits) ? (input as number[]) : new Refusal()
})

function parseAddress(family: Family, text: string): Address | undefined {
  try {
    if (family === 4) return fromValue(4, BigInt(new Address4(text).bigInt()))
    const parsed = new Address6(text)
    return parsed.zone === '' ? fromValue(6, BigInt(parsed.bigInt())) : undefined
  } catch {
    return undefined
  }
}

function parseCidr(family: Family, text: string): Cidr | undefined {
  const [head, length, ...rest] = text.split('/')
  if (length === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined
  const address = parseAddress(family, head)
  const prefix = Number(length)
  return address !== undefined && prefix <= (family === 4 ? 32 : 128) ? { ...address, prefix } : undefined
}

const examples = {
  4: { address: 'an IPv4 address such as 10.0.1.20', cidr: 'an IPv4 block such as 10.0.1.0/24' },
  6: { address: 'an IPv6 address such as fd00:0:0:1::20', cidr: 'an IPv6 block such as fd00:0:0:1::/64' },
} as const

/** An address of the family, without a prefix length or a zone. */
export const address = (family: Family) =>
  value<Address>(examples[family].address, input =>
    typeof input === 'string' && !input.includes('/')
      ? (parseAddress(family, input) ?? new Refusal())
      : new Refusal(),
  )

/** A block of the family; bits behind the prefix are refused, since one of both must be meant. */
export const cidr = (family: Family) =>
  value<Cidr>(examples[family].cidr, input => {
    const parsed = typeof input === 'string' ? parseCidr(family, input) : undefined
    return parsed === undefined ? new Refusal() : withoutHostBits(parsed)
  })

function withoutHostBits(parsed: Cidr): Cidr | Refusal {
  const block = canonical(parsed)
  if (sameCidr(block, parsed)) return parsed
  return new Refusal(
    `${addressText(parsed)}/${parsed.prefix} has bits set behind its prefix; did you mean ${cidrText(block)}?`,
  )
}

/** A block of either family. */
export const block = value<Cidr>('an IPv4 or IPv6 block', input => {
  const parsed = typeof input === 'string' ? (parseCidr(4, input) ?? parseCidr(6, input)) : undefined
  return parsed === undefined ? new Refusal() : withoutHostBits(parsed)
})

/** Whom a rule names, not yet looked up. */
export type PeerReference = { readonly cidr: Cidr } | { readonly group: string }

export const peer = value<PeerReference>('an IPv4 or IPv6 block, or sg:NAME', input => {
  if (typeof input !== 'string') return new Refusal()
  if (input.startsWith('sg:')) return { group: input.slice(3) }
  const parsed = parseCidr(4, input) ?? parseCidr(6, input)
  if (parsed === undefined) return new Refusal()
  const block = withoutHostBits(parsed)
  return block instanceof Refusal ? block : { cidr: block }
})

const protocols: Readonly<Record<string, number>> = {
  all: ANY_PROTOCOL,
  tcp: Protocol.Tcp,
  udp: Protocol.Udp,
  icmp: Protocol.Icmp,
  icmpv6: Protocol.Icmp6,
}

export const protocol = value(
  `${Object.keys(protocols).join(', ')}, or a protocol number from 0 to 255`,
  input => {
    if (typeof input === 'string' && Object.hasOwn(protocols, input)) return protocols[input]
    return typeof input === 'number' && Number.isInteger(input) && input >= 0 && input <= 255
      ? input
      : new Refusal()
  },
)

export interface PortRange {
  readonly from: number
  readonly to: number
}

export const ports = value<PortRange>(
  'a port (80) or a range of ports ("1000-2000"), from 0 to 65535',
  input => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(input))
    if (match === null || (typeof input !== 'string' && typeof input !== 'number')) return new Refusal()
    const from = Number(match[1])
    const to = match[2] === undefined ? from : Number(match[2])
    return from <= to && to <= 65535 ? { from, to } : new Refusal()
  },
)
