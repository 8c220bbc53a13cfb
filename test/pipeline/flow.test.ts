/** Frames of flows on their common way, both families: out through the ENI, back, and nothing else. */
import { families, small } from './labs.ts'
import { read } from './packets.ts'
import { answer, from, scenario } from './scenario.ts'

for (const { name, at, tcp, udp, echo } of families) {
  const toWeb = { source: at.orders1, destination: at.web }
  for (const shards of [1, 2, 3]) {
    const where = `${name}, ${shards} shards`
    scenario(`${where}: a datagram leaves through the ENI, and its answer comes back`, {
      given: small,
      shards,
      send: [from('orders-1', udp({ ...toWeb, payload: 'question' })), answer('web', { payload: 'answer' })],
      expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
      then(t, [out, back]) {
        const question = read(out.frame)
        t.match(question, { source: at.eni, destination: at.web, destinationPort: 80, hops: 63 })
        t.ok(question.sourcePort >= 1024)
        t.equal(Buffer.from(question.payload).toString(), 'question')
        t.match(read(back.frame), {
          source: at.web,
          destination: at.orders1,
          sourcePort: 80,
          destinationPort: 40000,
          hops: 63,
        })
        t.equal(Buffer.from(read(back.frame).payload).toString(), 'answer')
      },
    })

    scenario(`${where}: a handshake, data both ways, and the end`, {
      given: small,
      shards,
      send: [
        from('orders-1', tcp({ ...toWeb, flags: 'S', sequence: 99 })),
        answer('web'),
        from('orders-1', tcp({ ...toWeb, flags: 'A', sequence: 100, acknowledgment: 5001 })),
        from(
          'orders-1',
          tcp({ ...toWeb, flags: 'PA', sequence: 100, acknowledgment: 5001, payload: 'GET /' }),
        ),
        answer('web', { payload: '200', flags: 'PA' }),
        from('orders-1', tcp({ ...toWeb, flags: 'FA', sequence: 105, acknowledgment: 5004 })),
        answer('web', { flags: 'FA' }),
        from('orders-1', tcp({ ...toWeb, flags: 'A', sequence: 106, acknowledgment: 5005 })),
      ],
      expect: {
        delivered: { web: 5, 'orders-1': 3 },
        flows: 1,
        counters: { OutOfWindow: 0, FlowsAdmitted: 1 },
      },
      then(t, arrivals) {
        const ports = new Set(
          arrivals.filter(({ to }) => to === 'web').map(({ frame }) => read(frame).sourcePort),
        )
        t.equal(ports.size, 1, 'one port for all of it')
      },
    })

    scenario(`${where}: a ping and its answer`, {
      given: small,
      shards,
      send: [
        from('orders-1', echo({ ...toWeb, identifier: 77, sequence: 5, payload: 'abc' })),
        answer('web'),
      ],
      expect: { delivered: { web: 1, 'orders-1': 1 }, flows: 1 },
      then(t, [, back]) {
        t.match(read(back.frame), { source: at.web, destination: at.orders1, sourcePort: 77 })
      },
    })
  }
}
