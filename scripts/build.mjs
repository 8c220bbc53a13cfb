/** `npm run build`: installs packages, builds the addon, compiles the TypeScript; skips what is up to date. */
import { prepare } from './prepare.mjs'
import { start } from './steps.mjs'

await start(() => prepare())
