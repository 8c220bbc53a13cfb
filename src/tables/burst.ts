/**
 * The frames of one turn of the loop, as parallel arrays: which slot, how long, from or to which device.
 *
 * A burst owns nothing: the slots belong to whoever holds the burst at the moment. `device` is the device a frame came
 * from in a burst that was received, and the one it leaves through in a burst that is to be sent.
 */
export class Burst {
  readonly capacity: number
  readonly slot: Int32Array
  /** Bytes of the IP packet, without the virtio-net header. */
  readonly length: Int32Array
  readonly device: Int32Array
  count = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.slot = new Int32Array(capacity)
    this.length = new Int32Array(capacity)
    this.device = new Int32Array(capacity)
  }

  /** Appends a frame. The caller has checked that there is room. */
  add(slot: number, length: number, device: number): void {
    const at = this.count++
    this.slot[at] = slot
    this.length[at] = length
    this.device[at] = device
  }

  clear(): void {
    this.count = 0
  }
}
