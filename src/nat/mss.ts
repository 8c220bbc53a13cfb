/**
 * Clamping of the TCP maximum segment size to what fits on the way.
 *
 * A SYN and a SYN-ACK say how long the segments may be that their sender wants to receive. Where a device on
 * the flow's way carries less, the offer is lowered, in both directions, so that connections work from the
 * start even where ICMP does not arrive. It is never raised, and none is put where there is none: without the
 * option the size is 536 (IPv4) or 1220 bytes (RFC 9293 section 3.7.1).
 */
import * as ipv4 from '../wire/ipv4.ts'
import * as ipv6 from '../wire/ipv6.ts'
import * as tcp from '../wire/tcp.ts'

/**
 * What of an MTU is left to a segment after the fixed headers; options are the sender's to subtract (RFC
 * 6691).
 */
export const largestSegment = (mtu: number, isIpv6: boolean): number =>
  mtu - (isIpv6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN) - tcp.HEADER_LEN

/**
 * Lowers the maximum segment size that a SYN or SYN-ACK offers, where it is more than fits. The checksum
 * stays as right or as wrong as it was.
 * @param tcpAt where the TCP header begins; it fits
 * @param mtu the lesser of the two devices' that the flow passes: the offer is about what comes back
 * @param partial the checksum is left to the device (VIRTIO NEEDS_CSUM); its field does not cover the option
 * then
 * @returns true when the option was changed
 */
export function clampSegmentSize(
  bytes: Uint8Array,
  tcpAt: number,
  mtu: number,
  isIpv6: boolean,
  partial: boolean,
): boolean {
  if ((tcp.flags(bytes, tcpAt) & tcp.Flag.Syn) === 0) return false
  return tcp.lowerMaximumSegmentSize(bytes, tcpAt, largestSegment(mtu, isIpv6), partial)
}
