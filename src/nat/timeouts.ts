/**
 * How long a quiet flow is remembered, by class of flow.
 *
 * Every flow is in exactly one class at a time and moves from class to class as it is tracked; a class has one idle time and
 * one LRU list per ENI, which is why the list stays in order of expiry. Times are given in seconds where people write them and
 * in ticks of 10 ms where shards compare them.
 *
 * Two profiles: `rfc` (the default) keeps what the RFCs promise; `aws` does what AWS documents, which is shorter than the
 * RFCs allow, and is an explicit choice for that reason.
 */

/** The classes, in the order of `PlanSettings.timeouts` and of every table over them. */
export const TimeoutClass = {
  /** UDP in one direction only. */
  UdpOneway: 0,
  /** UDP that was answered. */
  UdpStream: 1,
  /** TCP before the handshake is complete. */
  TcpOpening: 2,
  TcpEstablished: 3,
  /** TCP after a FIN of both sides. */
  TcpClosing: 4,
  /** TCP after an RST, or after the last ACK. */
  TcpClosed: 5,
  /** ICMP echo. */
  Icmp: 6,
} as const
export type TimeoutClass = (typeof TimeoutClass)[keyof typeof TimeoutClass]

/** One more than the largest class: the length of an array over all of them. */
export const TIMEOUT_CLASSES = 7

/** The word for a class, in statistics and listings. */
export const timeoutName: Record<TimeoutClass, string> = {
  [TimeoutClass.UdpOneway]: 'udp-oneway',
  [TimeoutClass.UdpStream]: 'udp-stream',
  [TimeoutClass.TcpOpening]: 'tcp-opening',
  [TimeoutClass.TcpEstablished]: 'tcp-established',
  [TimeoutClass.TcpClosing]: 'tcp-closing',
  [TimeoutClass.TcpClosed]: 'tcp-closed',
  [TimeoutClass.Icmp]: 'icmp',
}

/** The class for a key of the configuration file. */
export const timeoutKeys = {
  udpOneway: TimeoutClass.UdpOneway,
  udpStream: TimeoutClass.UdpStream,
  tcpOpening: TimeoutClass.TcpOpening,
  tcpEstablished: TimeoutClass.TcpEstablished,
  tcpClosing: TimeoutClass.TcpClosing,
  tcpClosed: TimeoutClass.TcpClosed,
  icmp: TimeoutClass.Icmp,
} as const
export type TimeoutKey = keyof typeof timeoutKeys

/** The names of the profiles. */
export const profileNames = ['rfc', 'aws'] as const
export type ProfileName = (typeof profileNames)[number]

/** Idle seconds by class, for every profile. */
export const profiles: Record<ProfileName, Record<TimeoutClass, number>> = {
  rfc: {
    // RFC 4787 REQ-5 and REQ-5c: at least 120 s, 300 s recommended, whether answered or not.
    [TimeoutClass.UdpOneway]: 300,
    [TimeoutClass.UdpStream]: 300,
    // RFC 5382 REQ-5: transitory connections at least 4 minutes, established ones 2 hours 4 minutes.
    [TimeoutClass.TcpOpening]: 240,
    [TimeoutClass.TcpEstablished]: 7440,
    [TimeoutClass.TcpClosing]: 240,
    // RFC 7857 section 2.2: a flow is kept for 4 minutes after an RST.
    [TimeoutClass.TcpClosed]: 240,
    // RFC 5508 REQ-2: queries at least 60 s.
    [TimeoutClass.Icmp]: 60,
  },
  aws: {
    // EC2 ConnectionTrackingConfiguration: UdpTimeout and UdpStreamTimeout default to 30 s and 180 s
    // (security-group-connection-tracking.html).
    [TimeoutClass.UdpOneway]: 30,
    [TimeoutClass.UdpStream]: 180,
    // NAT gateways and network load balancers, which are built on Hyperplane too: 350 s idle.
    [TimeoutClass.TcpEstablished]: 350,
    // Not documented. NAT gateways run out of ports at about 900 new connections a second to one destination, of 55,000
    // (older text of vpc-nat-gateway.html), so a port rests for about 60 s; ours for every transitory state.
    [TimeoutClass.TcpOpening]: 60,
    [TimeoutClass.TcpClosing]: 60,
    [TimeoutClass.TcpClosed]: 60,
    // Not documented either: the floor of RFC 5508 REQ-2.
    [TimeoutClass.Icmp]: 60,
  },
}

/** Ticks of 10 ms in this many seconds. */
export const ticks = (seconds: number): number => seconds * 100

/**
 * Idle ticks by class, as the plan carries them.
 * @param overrides seconds of single classes that differ from the profile
 */
export function timeoutTicks(
  profile: ProfileName,
  overrides: Partial<Record<TimeoutKey, number>> = {},
): Int32Array {
  const result = new Int32Array(TIMEOUT_CLASSES)
  for (const [key, timeoutClass] of Object.entries(timeoutKeys))
    result[timeoutClass] = ticks(overrides[key as TimeoutKey] ?? profiles[profile][timeoutClass])
  return result
}
