/**
 * Small programs for the hosts and environments of test labs, as text for `node -e`: what is there on every machine that runs the tests.
 *
 * A server says `ready` when it listens. Clients print one line of JSON.
 */

/** The file as a command for `run:` or a shell. */
export const nodeCommand = (script: string): string =>
  `exec ${process.execPath} -e '${script.replaceAll("'", "'\\''")}'`

/** Echoes TCP on a port, both families; half-closes when the client does. */
export const tcpEcho = (port: number): string => `
  require("node:net").createServer({ allowHalfOpen: true }, s => { s.on("error", () => {}); s.pipe(s) })
    .listen(${port}, "::", () => console.log("ready"))`

/** Echoes UDP on a port, both families. */
export const udpEcho = (port: number): string => `
  for (const type of ["udp4", "udp6"]) {
    const s = require("node:dgram").createSocket({ type, ipv6Only: type === "udp6" })
    s.on("message", (m, from) => s.send(m, from.port, from.address)).bind(${port})
  }
  console.log("ready")`

/** Sends a line to a TCP echo server and prints what came back, or the error's code. Arguments: address, port, text. */
export const tcpSay = `
  const [, address, port, text] = process.argv
  const s = require("node:net").connect({ host: address, port: Number(port) })
  let answer = ""
  const end = what => { console.log(JSON.stringify(what)); process.exit(0) }
  s.setTimeout(3000, () => end({ error: "TIMEOUT" }))
  s.on("error", e => end({ error: e.code }))
  s.on("connect", () => s.end(text)).on("data", d => { answer += d })
  s.on("end", () => end({ answer, from: s.localAddress }))`

/** Sends a datagram to a UDP echo server and prints what came back. Arguments: address, port, text. */
export const udpSay = `
  const [, address, port, text] = process.argv
  const s = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4")
  const end = what => { console.log(JSON.stringify(what)); process.exit(0) }
  s.on("error", e => end({ error: e.code }))
  s.on("message", m => end({ answer: m.toString() }))
  s.send(text, Number(port), address)
  setTimeout(() => end({ error: "TIMEOUT" }), 2000)`

/**
 * Asks a TCP echo server for as long as standard input is open: a new line every so often over one connection, and prints at the end
 * how many were sent and came back, and the longest wait in milliseconds. Arguments: address, port, milliseconds between two.
 */
export const tcpPing = `
  const [, address, port, pause] = process.argv
  const s = require("node:net").connect({ host: address, port: Number(port) }).setNoDelay(true)
  let sent = 0, got = 0, longest = 0, since = 0, ending = false
  const end = what => { console.log(JSON.stringify({ sent, got, longest, ...what })); process.exit(0) }
  const ask = () => { if (ending) return end({}); sent++; since = performance.now(); s.write("x".repeat(64)) }
  s.on("error", e => end({ error: e.code })).on("connect", () => { console.log("ready"); ask() })
  let bytes = 0
  s.on("data", d => {
    bytes += d.length
    if (bytes < 64) return
    bytes -= 64; got++
    longest = Math.max(longest, performance.now() - since)
    setTimeout(ask, Number(pause))
  })
  process.stdin.resume().on("end", () => { ending = true; setTimeout(() => end({ error: "TIMEOUT" }), 10000) })`

/**
 * Sends a datagram to a UDP echo server every so often for as long as standard input is open, waits for the last answers, and prints how many
 * were sent and came back. Arguments: address, port, milliseconds between two.
 */
export const udpStream = `
  const [, address, port, pause] = process.argv
  const s = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4")
  const got = new Set()
  let sent = 0
  s.on("message", m => got.add(m.toString()))
  const timer = setInterval(() => { s.send(String(sent++), Number(port), address) }, Number(pause))
  console.log("ready")
  process.stdin.resume().on("end", () => {
    clearInterval(timer)
    setTimeout(() => { console.log(JSON.stringify({ sent, got: got.size })); process.exit(0) }, 1000)
  })`
