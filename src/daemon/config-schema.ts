/**
 * The shape of a lab or configuration file: which keys each mapping has, and what their values are.
 *
 * Mappings inside mappings are `part`s, read one by one (`config-reader.ts`), so that a mistake in one does not hide those in others.
 *
 *     lab: { name, prefix }
 *     vpc: { cidr, ipv6Cidr, subnets, securityGroups, routeTables }     or    vpcs: { NAME: … }
 *     hosts: { NAME: { subnet, address, ipv6Address, securityGroups, mtu, run, attachment, vpc } }
 *     functions: { NAME: { subnets, securityGroups, environments, ipv6, echo, mtu, address, ipv6Address, attachment, vpc } }
 *     daemon: { shards, profile, timeouts, … }
 */
import * as z from 'zod'
import { profileNames, type TimeoutKey, timeoutKeys } from '../nat/timeouts.ts'
import { MAX_FLOWS } from '../tables/flows.ts'
import { defaultLimits } from '../vpc/limits.ts'
import * as v from './config-values.ts'

/** A mapping that is read on its own. */
const part = z.unknown()

export const fileSchema = z.object({
  lab: part.optional(),
  vpc: part.optional(),
  vpcs: part.optional(),
  hosts: part.optional(),
  functions: part.optional(),
  daemon: part.optional(),
})

export const labSchema = z.object({ name: v.name.optional(), prefix: v.prefix.optional() })

export const vpcSchema = z.object({
  cidr: v.cidr(4),
  /** The VPC's own block; without it, the /56 around each subnet's /64. */
  ipv6Cidr: v.cidr(6).optional(),
  subnets: part.optional(),
  securityGroups: part.optional(),
  routeTables: part.optional(),
})

export const subnetSchema = z.object({
  cidr: v.cidr(4),
  ipv6Cidr: v.cidr(6).optional(),
  az: v.name.optional(),
})

export const securityGroupSchema = z.object({
  description: z.string({ error: 'expected a text' }).max(255, 'expected at most 255 characters').optional(),
  ingress: part.optional(),
  egress: part.optional(),
})

const ruleKeys = {
  protocol: v.protocol,
  ports: v.many(v.ports).optional(),
  type: v.integer(0, 255).optional(),
  code: v.integer(0, 255).optional(),
}
export const ingressSchema = z.object({ ...ruleKeys, from: v.many(v.peer) })
export const egressSchema = z.object({ ...ruleKeys, to: v.many(v.peer) })

export const routeTableSchema = z.object({
  subnets: v.list('a list of names of subnets', v.name).optional(),
  routes: part.optional(),
})
export const routeSchema = z.object({ to: v.block, target: v.oneOf('blackhole') })

const names = (what: string) => v.list(`a list of names of ${what}`, v.name)
const mtu = v.integer(68, 65535)

export const hostSchema = z.object({
  subnet: v.name,
  address: v.address(4).optional(),
  ipv6Address: v.address(6).optional(),
  securityGroups: names('security groups').optional(),
  mtu: mtu.optional(),
  run: v.command.optional(),
  attachment: part.optional(),
  vpc: v.name.optional(),
})

export const functionSchema = z.object({
  subnets: names('subnets'),
  securityGroups: names('security groups').optional(),
  environments: v.integer(1, 1_000_000).optional(),
  ipv6: v.flag.optional(),
  echo: v.flag.optional(),
  mtu: mtu.optional(),
  address: v.address(4).optional(),
  ipv6Address: v.address(6).optional(),
  attachment: part.optional(),
  vpc: v.name.optional(),
})

const kind = v.oneOf('namespace', 'routed')
/** Read first, to know which of the others to expect. */
export const attachmentKindSchema = z.looseObject({ kind })
export const namespaceAttachmentSchema = z.object({
  kind,
  namespace: v.namespace.optional(),
  device: v.device.optional(),
})
export const routedHostsSchema = z.object({
  kind,
  namespace: v.namespace.optional(),
  device: v.device,
  cidr: v.cidr(4),
})
export const routedEnvironmentsSchema = routedHostsSchema.extend({ ipv6Cidr: v.cidr(6).optional() })

/** Ticks are compared by their 32-bit difference, so half the range is the most; this is 115 days. */
const seconds = v.integer(1, 10_000_000)

export const timeoutsSchema = z.object(
  Object.fromEntries(Object.keys(timeoutKeys).map(key => [key, seconds.optional()])) as Record<
    TimeoutKey,
    z.ZodOptional<typeof seconds>
  >,
)

const count = v.integer(1, 1_000_000)
export const limitsSchema = z.object(
  Object.fromEntries(Object.keys(defaultLimits).map(key => [key, count.optional()])) as Record<
    keyof typeof defaultLimits,
    z.ZodOptional<typeof count>
  >,
)

export const daemonSchema = z.object({
  shards: v.shards.optional(),
  profile: v.oneOf(...profileNames).optional(),
  timeouts: part.optional(),
  insideCidr: v.cidr(4).optional(),
  insideIpv6Cidr: v.cidr(6).optional(),
  exhaustion: v.oneOf('admin', 'host', 'off').optional(),
  clampMss: v.flag.optional(),
  ruleChange: v.oneOf('keep', 'cut').optional(),
  tcpPickup: v.flag.optional(),
  hugePages: v.flag.optional(),
  io: v.oneOf('uring', 'readv').optional(),
  pin: v.pin.optional(),
  flowsPerShard: v.integer(1024, MAX_FLOWS).optional(),
  limits: part.optional(),
})
