/** `npm run bench -- …`: builds what is out of date, then hands its arguments to bench/cli.ts. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { prepare } from './prepare.mjs'
import { root, start } from './steps.mjs'

await start(async () => {
  await prepare({ quiet: true })
  const args = [join(root, 'dist/bench/cli.js'), ...process.argv.slice(2)]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  // The benchmark cleans up after itself on a signal; this process stays until it has done so.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => resolve(code ?? 1))
  })
})
