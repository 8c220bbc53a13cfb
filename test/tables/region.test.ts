/** Regions: sections by name in one piece of memory, and what is refused when it is opened again. */
import t from 'tap'
import { LAYOUT_VERSION, Region, RegionMismatch, regionBytes } from '../../src/tables/region.ts'

const sections = [
  { name: 'first', bytes: 100 },
  { name: 'second', bytes: 8192 },
  { name: 'third', bytes: 1 },
]
const fresh = () => new ArrayBuffer(regionBytes(sections))

t.test('sections begin at pages and do not overlap', async t => {
  t.equal(regionBytes(sections), 4096 * (1 + 1 + 2 + 1))
  const region = new Region(fresh(), sections)
  t.ok(region.fresh)
  t.same(
    sections.map(({ name }) => region.bytes(name).byteOffset),
    [4096, 8192, 16384],
  )
  t.equal(region.bytes('first').length, 100)
  t.equal(region.words('second').length, 2048)
  t.equal(region.doubles('second').length, 1024)
})

t.test('a region that is opened again has what was written', async t => {
  const memory = fresh()
  new Region(memory, sections).words('second')[2047] = -5
  const again = new Region(memory, sections)
  t.notOk(again.fresh)
  t.equal(again.words('second')[2047], -5)
})

t.test('a section that is not there is an error of the caller', async t => {
  t.throws(() => new Region(fresh(), sections).words('fourth'), /no section fourth/)
})

t.test('memory that is too short is refused', async t => {
  const memory = new ArrayBuffer(regionBytes(sections) - 1)
  t.throws(() => new Region(memory, sections), RegionMismatch)
})

t.test('a region of other sizes, sections or layout is refused and left as it was', async t => {
  const cases: [string, (memory: ArrayBuffer) => void, typeof sections][] = [
    ['a section of another length', () => {}, [sections[0], { name: 'second', bytes: 8193 }, sections[2]]],
    ['a section more', () => {}, [...sections, { name: 'fourth', bytes: 1 }]],
    ['a section less', () => {}, sections.slice(0, 2)],
    [
      'another version',
      memory => {
        new Int32Array(memory)[1] = LAYOUT_VERSION + 1
      },
      sections,
    ],
    [
      'something else altogether',
      memory => {
        new Int32Array(memory)[0] ^= 1
      },
      sections,
    ],
  ]
  for (const [name, spoil, wanted] of cases) {
    const memory = new ArrayBuffer(regionBytes(sections) + 3 * 4096)
    new Region(memory, sections)
    spoil(memory)
    const before = Buffer.from(memory.slice(0))
    t.throws(() => new Region(memory, wanted), RegionMismatch, name)
    t.ok(before.equals(Buffer.from(memory)), `${name}: untouched`)
  }
})

t.test('a kill while the header was written leaves a region that is fresh', async t => {
  const memory = fresh()
  // The magic word is written last: before it, lengths, count and version stand there at most.
  new Int32Array(memory, 0, 16).set([0, LAYOUT_VERSION, 3, 0, 0, 0, 0, 0, 1, 2])
  t.ok(new Region(memory, sections).fresh)
  t.notOk(new Region(memory, sections).fresh)
})
