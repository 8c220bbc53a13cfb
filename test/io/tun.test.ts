/** TUN devices: made, found again, refused in words, deleted. */
import { readFileSync, readlinkSync } from 'node:fs'
import t from 'tap'
import { closeDescriptor, native } from '../../src/io/native.ts'
import { ALL_OFFLOADS, deleteTun, isPersistent, linkKind, Offload, openTun } from '../../src/io/tun.ts'
import { Namespace } from './namespace.ts'

const ownNamespace = () => readlinkSync('/proc/thread-self/ns/net')
const close = (descriptors: readonly number[]) => {
  for (const descriptor of descriptors) closeDescriptor(descriptor)
}
const link = (namespace: Namespace, name: string) => {
  const [found] = JSON.parse(namespace.ip(`-d -j link show ${name}`))
  return { queueLength: found.txqlen, ...found.linkinfo.info_data }
}

t.test('a device is made in its namespace with as many queues as asked', async t => {
  const namespace = new Namespace(t)
  const home = ownNamespace()
  const { queues, offloads } = openTun({
    namespace: namespace.path,
    name: 'tun0',
    queues: 3,
    offloads: ALL_OFFLOADS,
  })
  t.equal(ownNamespace(), home, 'the thread is back home')
  t.equal(queues.length, 3)
  t.equal(offloads & Offload.Tso4, Offload.Tso4)
  t.match(link(namespace, 'tun0'), {
    queueLength: 4096,
    type: 'tun',
    pi: false,
    vnet_hdr: true,
    multi_queue: true,
    numqueues: 3,
    persist: false,
  })
  const features = namespace.run(
    'sh',
    '-c',
    'cat /sys/class/net/tun0/mtu 2>/dev/null; ethtool -k tun0 2>/dev/null || true',
  )
  if (features.includes('tx-checksumming')) t.match(features, /tcp-segmentation-offload: on/)
  t.match(
    readFileSync(`/proc/self/fdinfo/${queues[0]}`, 'utf8'),
    /flags:\s+02\d*4\d{3}/,
    'O_CLOEXEC, O_NONBLOCK',
  )
  close(queues)
  t.equal(linkKind(namespace.path, 'tun0'), 'none', 'it goes with its last queue')
})

t.test('a persistent device outlives its queues and is found again', async t => {
  const namespace = new Namespace(t)
  const at = { namespace: namespace.path, name: 'tun0' }
  const first = openTun({ ...at, queues: 2, persist: true, queueLength: 1000 })
  t.ok(isPersistent(first.queues[0]))
  namespace.ip('addr add 10.1.1.1/24 dev tun0')
  close(first.queues)
  t.match(link(namespace, 'tun0'), { queueLength: 1000, persist: true, numqueues: 0 })

  const again = openTun({ ...at, queues: 3, persist: true })
  t.equal(link(namespace, 'tun0').numqueues, 3)
  t.match(namespace.ip('addr show tun0'), /10\.1\.1\.1/)
  deleteTun(namespace.path, 'tun0')
  t.equal(linkKind(namespace.path, 'tun0'), 'tun', 'whoever holds it keeps it')
  t.notOk(isPersistent(again.queues[0]))
  close(again.queues)
  t.equal(linkKind(namespace.path, 'tun0'), 'none')
  deleteTun(namespace.path, 'tun0')
  t.pass('a device that is missing is deleted already')
})

t.test('an offload that the kernel does not know is left out', async t => {
  const namespace = new Namespace(t)
  const { queues, offloads } = openTun({
    namespace: namespace.path,
    name: 'tun0',
    offloads: 0x4000_0000 | 0x01,
  })
  t.equal(offloads, Offload.Checksum)
  close(queues)
})

t.test('what stands under a name', async t => {
  const namespace = new Namespace(t)
  namespace.ip('tuntap add tap0 mode tap')
  namespace.ip('link add veth0 type veth peer name veth1')
  t.equal(linkKind(namespace.path, 'tap0'), 'tap')
  t.equal(linkKind(namespace.path, 'veth0'), 'other')
  t.equal(linkKind(namespace.path, 'lo'), 'other')
  t.equal(linkKind(namespace.path, 'nothing'), 'none')
  for (const name of ['tap0', 'veth0', 'lo'])
    t.throws(() => deleteTun(namespace.path, name), { code: 'EINVAL' }, `${name} is left alone`)
  t.equal(linkKind(namespace.path, 'veth0'), 'other')
})

t.test('failures say what was attempted, and leave nothing open', async t => {
  const namespace = new Namespace(t)
  const next = () => {
    const descriptor = native.eventCreate()
    closeDescriptor(descriptor)
    return descriptor
  }
  const before = next()
  const home = ownNamespace()
  t.throws(() => openTun({ namespace: '/run/netns/v2n-nowhere', name: 'tun0' }), {
    name: 'SystemCallError',
    code: 'ENOENT',
    errno: -2,
    syscall: 'open of the namespace',
    attempted: 'open TUN device tun0 in namespace v2n-nowhere',
    message: 'open TUN device tun0 in namespace v2n-nowhere: No such file or directory (ENOENT)',
  })
  t.throws(() => openTun({ namespace: '/etc/hostname', name: 'tun0' }), { code: 'EINVAL', syscall: 'setns' })
  t.throws(() => openTun({ namespace: namespace.path, name: 'a-name-that-is-too-long' }), {
    code: 'ENAMETOOLONG',
  })
  t.throws(() => openTun({ namespace: namespace.path, name: '' }), { code: 'EINVAL' })
  t.throws(() => openTun({ namespace: namespace.path, name: 'lo' }), {
    code: 'EINVAL',
    syscall: 'ioctl TUNSETIFF',
    message: `open TUN device lo in namespace ${namespace.name}: Invalid argument (EINVAL)`,
  })
  namespace.ip('tuntap add single mode tun')
  t.throws(() => openTun({ namespace: namespace.path, name: 'single' }), { code: 'EINVAL' })
  t.throws(() => openTun({ namespace: namespace.path, name: 'many', queues: 257 }), { code: 'E2BIG' })
  t.equal(linkKind(namespace.path, 'many'), 'none', 'the queues that were opened are closed again')
  t.throws(() => linkKind('/run/netns/v2n-nowhere', 'x'), { code: 'ENOENT' })
  t.equal(next(), before, 'every descriptor is closed')
  t.equal(ownNamespace(), home, 'the thread is home')
})
