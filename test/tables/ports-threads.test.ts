/** The ports of an ENI shared by threads: a port is never held twice, and none is lost. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { ENI_BYTES, EniPorts, PORTS_PER_SPACE, SPACE_TCP } from '../../src/tables/ports.ts'
import { type PortsPeerReport, type PortsPeerStart, takeAndGive } from './ports-peer.ts'
import { randomOf } from './random.ts'

t.test('three shards at once, which want more ports than there are', async t => {
  const random = randomOf(t)
  const shared = {
    memory: new SharedArrayBuffer(ENI_BYTES),
    holders: new SharedArrayBuffer(65536 * 4),
    shards: 3,
    steps: 90_000,
    most: 24_000,
  }
  const starts: PortsPeerStart[] = [0, 1, 2].map(shard => ({ ...shared, shard, seed: random.word() }))
  const others = starts.slice(1).map(async workerData => {
    const worker = new Worker(new URL('./ports-peer.js', import.meta.url), { workerData })
    const [[report]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    return report as PortsPeerReport
  })
  const reports = [takeAndGive(starts[0]), ...(await Promise.all(others))]
  t.same(
    reports.map(({ conflicts }) => conflicts),
    [0, 0, 0],
  )
  const held = reports.reduce((sum, report) => sum + report.held, 0)
  const ports = new EniPorts(shared.memory as unknown as ArrayBuffer, 0, 3)
  t.equal(ports.leased(SPACE_TCP), held)
  t.equal(new Int32Array(shared.holders).filter(holder => holder !== 0).length, held)
  t.ok(held > PORTS_PER_SPACE * 0.9, `${held} ports are held: shards took each other's`)
})
