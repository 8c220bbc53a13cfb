/**
 * The daemon's log: JSON lines, one a lifecycle event, none a packet.
 *
 * Every line has `time` (ISO 8601), `level`, `event` (a word that programs may rely on) and what belongs to the event.
 */
import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino'

export type Level = 'info' | 'warn' | 'error'
export type Detail = Readonly<Record<string, unknown>>

/** Writes lines of the log. */
export type Log = (level: Level, event: string, detail?: Detail) => void

/**
 * A log into a file, appending, or to standard error. Lines are written before the call returns, so that the last line before a crash is there.
 * @param file path, or null for standard error
 */
export function openLog(file: string | null): Log {
  return logTo(
    destination(file === null ? { dest: 2, sync: true } : { dest: file, sync: true, append: true }),
  )
}

/** A log into any stream. */
export function logTo(stream: DestinationStream): Log {
  const logger: Logger = pino(
    {
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    stream,
  )
  return (level, event, detail = {}) => logger[level]({ event, ...detail })
}
