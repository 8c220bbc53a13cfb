/**
 * What the control thread and a shard say to each other.
 *
 * A shard is a task that never returns until it is told to stop. It gets one `ShardStart`, then takes messages from its port
 * between bursts, without an event loop: the control side posts a message, raises the count in the mailbox, and writes the
 * shard's eventfd in case it sleeps. The shard compares the count with the one it saw last, which costs one load a
 * turn, and only then asks the port. It never waits for the control side.
 *
 * The order in which the control side speaks: a plan that knows a device comes before `attach`, a plan that does not know it any more
 * before `detach`.
 */
import type { MessagePort } from 'node:worker_threads'
import type { Drop } from '../tables/drops.ts'
import type { Plan } from '../vpc/plan.ts'

/** How a shard reads and writes its devices. */
export type IoKind = 'uring' | 'readv'

/** Index in the mailbox of the number of messages ever posted to the shard. */
export const POSTED = 0
/** Int32 elements of a mailbox. */
export const MAILBOX_LENGTH = 4

/** Words of secret that a shard gets for its hashes. */
export const KEY_WORDS = 64

/** A device queue that a shard owns: number of the device, and the descriptor of the shard's queue of it. */
export interface ShardDevice {
  readonly device: number
  /** Stays the control side's to close, after `detached` or `stopped` or the shard's death. */
  readonly descriptor: number
}

/** What a shard is started with: the only argument of the task. */
export interface ShardStart {
  readonly shard: number
  readonly shards: number
  /** The directory of the region files, on tmpfs. */
  readonly directory: string
  readonly plan: Plan
  /** Transferred. */
  readonly port: MessagePort
  /** Int32 elements, `MAILBOX_LENGTH` of them. */
  readonly mailbox: SharedArrayBuffer
  /** One eventfd a shard, indexed by shard: a shard sleeps on its own and writes another's when it hands frames over. */
  readonly eventDescriptors: readonly number[]
  /** The processor to run on, or -1 for any. */
  readonly cpu: number
  readonly io: IoKind
  /** Records of the flow table. */
  readonly flows: number
  readonly hugePages: boolean
  /** `KEY_WORDS` random words, the same for every shard and every start on the same regions. */
  readonly keys: Int32Array
  readonly devices: readonly ShardDevice[]
}

/** Addresses and ports of a packet. Addresses are one word (IPv4) or four (IPv6), as loaded from a packet; ports are plain numbers. */
export interface PacketTuple {
  readonly source: Int32Array
  readonly destination: Int32Array
  /** The identifier for ICMP echo, 0 for other ICMP. */
  readonly sourcePort: number
  /** The identifier for ICMP echo, 0 for other ICMP. */
  readonly destinationPort: number
}

/** Which packet a watch waits for. A field that is -1 matches everything. */
export interface WatchMatch extends PacketTuple {
  readonly device: number
  /** The protocol of the IP header or, for IPv6, that of the last next header. */
  readonly protocol: number
  /** Identification of the IPv4 header, a plain number; -1 for IPv6. */
  readonly identification: number
}

/** What control says to a shard. */
export type ToShard =
  | { readonly type: 'plan'; readonly plan: Plan }
  | { readonly type: 'attach'; readonly device: number; readonly descriptor: number }
  | { readonly type: 'detach'; readonly device: number }
  | { readonly type: 'watch'; readonly id: number; readonly match: WatchMatch }
  | { readonly type: 'unwatch'; readonly id: number }
  | { readonly type: 'stop' }

/** What became of a watched packet. A watch answers once, for the first packet that matches, and is over. */
export interface Seen {
  readonly type: 'seen'
  readonly id: number
  readonly verdict: 'sent' | 'dropped' | 'held'
  /** `Drop.None` unless dropped. */
  readonly drop: Drop
  readonly fromDevice: number
  /** The device it left through, NOTHING unless sent. */
  readonly toDevice: number
  /** How it left, null unless sent. */
  readonly translated: PacketTuple | null
}

/** What a shard says to control. */
export type FromShard =
  /** The regions are mapped, the devices attached, the first burst comes next. */
  | { readonly type: 'ready'; readonly generation: number; readonly flows: number }
  /** Every later packet is decided under this plan. */
  | { readonly type: 'applied'; readonly generation: number }
  | { readonly type: 'attached'; readonly device: number }
  /** Nothing of the device is touched any more, its descriptor may be closed. */
  | { readonly type: 'detached'; readonly device: number }
  | Seen
  /** A line for the daemon's log: a lifecycle event, never a packet. */
  | {
      readonly type: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly event: string
      readonly detail: Readonly<Record<string, string | number | boolean>>
    }
  /** The shard cannot go on; the task rejects right after. */
  | { readonly type: 'failed'; readonly message: string }
  /** Everything is flushed and unmapped; the task returns right after. */
  | { readonly type: 'stopped' }
