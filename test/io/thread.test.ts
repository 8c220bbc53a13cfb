/** The calling thread: its processors, its number, its events. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { closeDescriptor } from '../../src/io/native.ts'
import { affinity, clearEvent, eventfd, pinThread, signalEvent, threadId } from '../../src/io/thread.ts'

t.test('a thread is pinned to one processor', async t => {
  const before = affinity()
  t.ok(before.length > 0)
  pinThread(before[before.length - 1])
  t.same(affinity(), [before[before.length - 1]])
  const status = readFileSync(`/proc/self/task/${threadId()}/status`, 'utf8')
  t.match(status, new RegExp(`Cpus_allowed_list:\\s${before[before.length - 1]}\n`))
  t.throws(() => pinThread(1023), {
    name: 'SystemCallError',
    code: 'EINVAL',
    message: 'pin the thread to CPU 1023: Invalid argument (EINVAL)',
  })
  t.throws(() => pinThread(100_000), { code: 'EINVAL' })
})

t.test('the thread knows its number', async t => {
  t.ok(readdirSync('/proc/self/task').includes(String(threadId())))
})

t.test('an event is signalled any number of times and cleared once', async t => {
  const event = eventfd()
  t.equal(clearEvent(event), false)
  signalEvent(event)
  signalEvent(event)
  t.equal(clearEvent(event), true)
  t.equal(clearEvent(event), false)
  closeDescriptor(event)
  t.throws(() => signalEvent(event), {
    code: 'EBADF',
    message: 'signal an event: Bad file descriptor (EBADF)',
  })
  t.throws(() => closeDescriptor(event), { code: 'EBADF', syscall: 'close' })
})
