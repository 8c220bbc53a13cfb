/**
 * A configuration file for the tests of this folder, and what a text is told.
 */
import { ConfigError, parseConfig } from '../../src/daemon/config.ts'

/** A file that is right, as lines that cases change. */
export const base = `
vpc:
  cidr: 10.0.0.0/16
  subnets:
    app: { cidr: 10.0.1.0/24, ipv6Cidr: "fd00:0:0:1::/64", az: a }
    old: { cidr: 10.0.2.0/24 }
  securityGroups:
    fn: { egress: [{ protocol: all, to: 0.0.0.0/0 }] }
    web: { ingress: [{ protocol: tcp, ports: 80, from: sg:fn }] }
hosts:
  web: { subnet: app, address: 10.0.1.20, securityGroups: [web], run: python3 -m http.server 80 }
functions:
  orders: { subnets: [app], securityGroups: [fn], environments: 2, ipv6: true }
daemon: { shards: auto, profile: rfc }
`.trim()

/** What a text is told: the lines of the error, or none. */
export function problems(text: string): string[] {
  try {
    parseConfig(text, 'lab.yaml')
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n')
  }
}
