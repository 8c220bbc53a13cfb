/**
 * What a shard sees of its devices: frames come in bursts into slots of the slab, and leave from slots.
 *
 * The same interface is served by io_uring (`uring.ts`), by readv/writev loops where io_uring is refused (`readv.ts`), by a pair of
 * pcap files (`pcap.ts`) and by memory (`memory.ts`). A slot has one owner: the Io until `receive` reports it, then the caller until
 * `send` or `Slab.give`, then the Io until the frame is written.
 */
import type { Burst } from '../tables/burst.ts'

/** Counted by an Io since it was made. Frames that could not be written are drops of the shard, with the reasons given here. */
export interface IoCounters {
  /** Frames whose write failed because the device is gone (EBADFD, EIO, ENODEV). */
  deviceGone: number
  /** Frames whose write failed because the device had no room (EAGAIN, ENOBUFS, ENOMEM). */
  deviceFull: number
  /** Frames whose write failed for any other reason. */
  writeFailed: number
  /** Turns that found nothing and slept. */
  sleeps: number
}

export interface Io {
  readonly counters: IoCounters

  /** Takes a device queue. The descriptor stays the caller's to close, after `detach`. */
  attach(device: number, descriptor: number): void

  /** Lets go of a device: frames queued for it are written first, reads are cancelled, then nothing of it is touched again. */
  detach(device: number): void

  /**
   * Appends frames to the burst, up to its capacity, without waiting. Each is in a slot taken from the slab, the virtio-net header
   * before the IP header, `length` that of the IP packet as read (not yet checked against anything).
   */
  receive(burst: Burst): void

  /** Queues every frame of the burst to be written to its device, in order per device, and empties the burst. Slots go back to the slab when written. */
  send(burst: Burst): void

  /**
   * Sends what is queued; then waits until a device has a frame, `wake` is called, or the time is over. Returns at once where
   * something is waiting already, and may return early: a loop that calls it turn after turn spins for a short while before it sleeps.
   */
  wait(milliseconds: number): void

  /** Sends what is queued and releases everything. */
  close(): void
}
