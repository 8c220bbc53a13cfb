/**
 * `bench micro`: nanoseconds of the small operations that the loop is made of, timed by benchmark.js.
 *
 * An operation takes a few nanoseconds, less than a call through benchmark.js costs, so that every sample does it thousands of times
 * over inputs that differ. What an operation answers is added up and kept where the compiler cannot know that nobody looks, else it
 * would leave the operation out. The figures say what a change did to one function; they do not add up to a packet: `bench engine` says what that costs.
 */
import Benchmark from 'benchmark'
import { type AddressEntry, AddressMap, buildAddresses } from '../src/tables/addresses.ts'
import { HASH_KEYS, Hasher } from '../src/tables/hash.ts'
import { ENI_BYTES, EniPorts, SPACE_UDP } from '../src/tables/ports.ts'
import { addDelta, delta32, fill, sumBytes, sumWords } from '../src/wire/checksum.ts'
import * as ipv4 from '../src/wire/ipv4.ts'
import * as ipv6 from '../src/wire/ipv6.ts'
import * as tcp from '../src/wire/tcp.ts'
import * as udp from '../src/wire/udp.ts'
import { type Machine, machine } from './machine.ts'
import { Progress } from './progress.ts'

/** Operations of one sample. */
const TIMES = 4096
/** Distance of the headers that cases walk over, and how many there are: 64 KiB in all, which stays in the second cache. */
const STRIDE = 256
const HEADERS = 256

/** Something to time: answers a number that depends on all it did. */
export interface Case {
  readonly name: string
  /** Does the operation `times` times. */
  readonly run: (times: number) => number
}

export interface MicroOptions {
  /** Part of the names wanted; all where absent. */
  readonly filter?: string
  /** Longest time for one case. */
  readonly seconds: number
  readonly progress: boolean
  readonly signal: AbortSignal
}

export interface MicroResult {
  readonly micro: readonly {
    readonly name: string
    readonly nsPerOperation: number
    /** Of the mean, 95 % confidence, as a share of it. */
    readonly marginOfError: number
  }[]
  readonly machine: Machine
}

/** What the operations answered, so that they are not optimised away. */
export let kept = 0

/**
 * Times the cases.
 * @throws Error where a case throws
 */
export async function micro({ filter = '', seconds, progress, signal }: MicroOptions): Promise<MicroResult> {
  const chosen = cases().filter(({ name }) => name.includes(filter))
  const shown = new Progress(chosen.length * seconds, { shown: progress })
  const where = machine()
  const results: MicroResult['micro'][number][] = []
  for (const one of chosen) {
    signal.throwIfAborted()
    shown.next(one.name, seconds)
    results.push({ name: one.name, ...(await time(one, seconds)) })
  }
  shown.end()
  return { micro: results, machine: where }
}

/** Times one case. */
function time(
  { name, run }: Case,
  seconds: number,
): Promise<{ nsPerOperation: number; marginOfError: number }> {
  return new Promise((resolve, reject) => {
    const sample = () => {
      kept = (kept + run(TIMES)) | 0
    }
    const bench = new Benchmark(name, sample, { async: true, maxTime: seconds, minTime: seconds / 20 })
    bench.on('complete', () => {
      if (bench.error) return reject(bench.error)
      const round = (value: number) => Number(value.toPrecision(3))
      resolve({
        nsPerOperation: round((bench.stats.mean / TIMES) * 1e9),
        marginOfError: round(bench.stats.rme / 100),
      })
    })
    bench.run()
  })
}

/** Numbers that look random and are the same in every run (xorshift, Marsaglia 2003). */
function* numbers(): Generator<number, never> {
  let x = 0x2545f491
  for (;;) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    yield x
  }
}

/** Every operation that is timed. */
export const cases = (): Case[] => [...headers(), ...checksums(), ...tables()]

/** HEADERS packets, one a STRIDE: IPv4 with UDP in even places, IPv6 with TCP in odd ones. */
function packets(): Uint8Array {
  const bytes = new Uint8Array(STRIDE * HEADERS)
  const random = numbers()
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.next().value
  for (let i = 0; i < HEADERS; i += 2) {
    const four = i * STRIDE
    bytes.set([0x45, 0, 0, 64], four)
    bytes[four + 9] = 17
    bytes.set([0, 44], four + 24)
    fill(bytes, four, ipv4.HEADER_LEN, four + 10, 0)
    const six = (i + 1) * STRIDE
    bytes.set([0x60, 0, 0, 0, 0, 84, 6, 64], six)
    bytes[six + ipv6.HEADER_LEN + 12] = 0x50
  }
  return bytes
}

/* Every case has a loop of its own: one loop that calls what it is given would be timed with the call. */

function headers(): Case[] {
  const bytes = packets()
  const four = (i: number): number => ((i * 2) % HEADERS) * STRIDE
  const six = (i: number): number => ((i * 2 + 1) % HEADERS) * STRIDE
  return [
    {
      name: 'ipv4.fits and accessors',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) {
          const at = four(i)
          if (ipv4.fits(bytes, at, at + STRIDE))
            sum += ipv4.source(bytes, at) ^ ipv4.destination(bytes, at) ^ ipv4.protocol(bytes, at)
        }
        return sum
      },
    },
    {
      name: 'ipv4.checksumHolds',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) sum += ipv4.checksumHolds(bytes, four(i)) ? 1 : 0
        return sum
      },
    },
    {
      name: 'udp.fits and accessors',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) {
          const at = four(i) + ipv4.HEADER_LEN
          if (udp.fits(bytes, at, at + 44)) sum += udp.sourcePort(bytes, at) ^ udp.destinationPort(bytes, at)
        }
        return sum
      },
    },
    {
      name: 'ipv6.fits and accessors',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) {
          const at = six(i)
          if (ipv6.fits(bytes, at, at + STRIDE))
            sum +=
              ipv6.sourceWord(bytes, at, 3) ^ ipv6.destinationWord(bytes, at, 3) ^ ipv6.nextHeader(bytes, at)
        }
        return sum
      },
    },
    {
      name: 'tcp.fits and accessors',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) {
          const at = six(i) + ipv6.HEADER_LEN
          if (tcp.fits(bytes, at, at + 84)) sum += tcp.sequence(bytes, at) ^ tcp.flags(bytes, at)
        }
        return sum
      },
    },
  ]
}

function checksums(): Case[] {
  const bytes = new Uint8Array(1 << 16)
  const random = numbers()
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.next().value
  const words = new Int32Array(bytes.buffer)
  const byteSums = (length: number): Case => ({
    name: `checksum.sumBytes, ${length} bytes`,
    run(times) {
      let sum = 0
      for (let i = 0; i < times; i++) sum += sumBytes(bytes, (i & 15) << 6, length)
      return sum
    },
  })
  const wordSums = (length: number): Case => ({
    name: `checksum.sumWords, ${length} bytes`,
    run(times) {
      let sum = 0
      for (let i = 0; i < times; i++) sum += sumWords(words, (i & 15) << 6, length)
      return sum
    },
  })
  return [
    byteSums(64),
    byteSums(1500),
    wordSums(1500),
    wordSums(64_000),
    {
      name: 'checksum.addDelta of delta32',
      run(times) {
        let checksum = 0x1234
        for (let i = 0; i < times; i++)
          checksum = addDelta(checksum, delta32(words[i & 1023], words[(i + 1) & 1023]))
        return checksum
      },
    },
  ]
}

function tables(): Case[] {
  const random = numbers()
  const words = Int32Array.from({ length: 4096 + 8 }, () => random.next().value)
  const hasher = new Hasher(Int32Array.from({ length: HASH_KEYS }, () => random.next().value))
  const entry4 = (i: number): AddressEntry => ({ scope: i & 3, address: [words[i]], value: i })
  const entry6 = (i: number): AddressEntry => ({ scope: i & 3, address: words.subarray(i, i + 4), value: i })
  const few = new AddressMap(buildAddresses(Array.from({ length: 16 }, (_, i) => entry4(i))))
  const many = new AddressMap(
    buildAddresses(Array.from({ length: 4096 }, (_, i) => (i & 1 ? entry6(i) : entry4(i)))),
  )
  const ports = new EniPorts(new ArrayBuffer(ENI_BYTES), 0, 1)
  return [
    {
      name: 'Hasher.hash4',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++)
          sum += hasher.hash4(words[i & 4095], words[(i + 7) & 4095], words[(i + 3) & 4095], 17)
        return sum
      },
    },
    {
      name: 'Hasher.hash6',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++)
          sum += hasher.hash6(words, i & 2047, (i & 2047) + 4, words[i & 4095], 6)
        return sum
      },
    },
    {
      name: 'AddressMap.find4 of 16',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) sum += few.find4(i & 3, words[i & 15])
        return sum
      },
    },
    {
      name: 'AddressMap.find4 of 4096',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) sum += many.find4(i & 2, words[i & 4094])
        return sum
      },
    },
    {
      name: 'AddressMap.find6 of 4096',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) sum += many.find6((i & 2) | 1, words, (i & 4094) | 1)
        return sum
      },
    },
    {
      name: 'EniPorts.take, set and give',
      run(times) {
        let sum = 0
        for (let i = 0; i < times; i++) {
          const port = ports.take(SPACE_UDP)
          ports.set(SPACE_UDP, port, i)
          ports.give(SPACE_UDP, port)
          sum += port
        }
        return sum
      },
    },
  ]
}
