/**
 * Names by number and by address: what a listing prints in place of a plan's numbers.
 *
 * Look-ups by address are kept in a bounded cache: a listing of a million flows asks for the same few addresses again and again, and for a
 * great many of strangers once each.
 */
import { LRUCache } from 'lru-cache'
import { type Address, addressText } from '../vpc/cidr.ts'
import type { DeviceNames, EniNames, EnvironmentNames, PlanNames } from '../vpc/names.ts'

/* Ours to tune */
const CACHED_ADDRESSES = 4096

/** Answers by number, and by the words of an address. */
export class NameBook {
  readonly names: PlanNames
  readonly #devices: ReadonlyMap<number, DeviceNames>
  readonly #enis: ReadonlyMap<number, EniNames>
  readonly #environments: ReadonlyMap<number, EnvironmentNames>
  readonly #byAddress = new Map<string, string>()
  /** Text and name by the words of an address. */
  readonly #seen = new LRUCache<string, { readonly text: string; readonly name: string | null }>({
    max: CACHED_ADDRESSES,
  })

  constructor(names: PlanNames) {
    this.names = names
    this.#devices = new Map(names.devices.map(device => [device.device, device]))
    this.#enis = new Map(names.enis.map(eni => [eni.slot, eni]))
    this.#environments = new Map(names.environments.map(one => [one.environment, one]))
    for (const { address, ipv6Address, host, networkInterfaceId } of names.enis) {
      this.#byAddress.set(address, host ?? networkInterfaceId)
      if (ipv6Address !== null) this.#byAddress.set(ipv6Address, host ?? networkInterfaceId)
    }
    for (const { address, ipv6Address, name } of names.environments) {
      this.#byAddress.set(address, name)
      this.#byAddress.set(ipv6Address, name)
    }
  }

  device(number: number): DeviceNames | undefined {
    return this.#devices.get(number)
  }

  eni(slot: number): EniNames | undefined {
    return this.#enis.get(slot)
  }

  environment(number: number): EnvironmentNames | undefined {
    return this.#environments.get(number)
  }

  /** The text of an address, and the name of what has it: a host, an environment, or an ENI by its id. */
  address(words: readonly number[]): { readonly text: string; readonly name: string | null } {
    const key = words.join()
    const known = this.#seen.get(key)
    if (known !== undefined) return known
    const text = addressText({ family: words.length === 4 ? 6 : 4, words } satisfies Address)
    const found = { text, name: this.#byAddress.get(text) ?? null }
    this.#seen.set(key, found)
    return found
  }
}

/** Address and port as people write them: `10.0.1.4:40123`, `[fd00::4]:40123`; without a port the address alone. */
export const endText = ({
  address,
  port,
}: {
  readonly address: string
  readonly port: number | null
}): string =>
  port === null ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
