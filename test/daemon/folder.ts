/** A folder for a test whose path is short enough for a socket in it, which those of tap are not. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Makes the folder; it goes with the test. */
export function shortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'v2n-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
