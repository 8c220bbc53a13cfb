import fc from 'fast-check'
import t from 'tap'
import { type NumberRange, Numbers } from '../../src/vpc/numbers.ts'

/** One generation that takes these names. */
function generation(numbers: Numbers, names: string[], range?: NumberRange): Record<string, number> {
  numbers.begin()
  const taken = numbers.takeAll('device', names, range)
  numbers.end()
  return Object.fromEntries(taken)
}

t.test('names get the lowest numbers in the order given', async t => {
  t.same(generation(new Numbers(), ['b', 'a']), { b: 0, a: 1 })
  t.same(generation(new Numbers(), ['a', 'b'], { from: 4 }), { a: 4, b: 5 })
  t.same(generation(new Numbers(), ['a', 'b'], { except: new Set([0, 2]) }), { a: 1, b: 3 })
})

t.test('a name keeps its number while others come and go', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', 'b', 'c'])
  t.same(generation(numbers, ['c']), { c: 2 })
  t.same(generation(numbers, ['z', 'c']), { z: 3, c: 2 }, 'the numbers of a and b rest')
})

t.test('a freed number rests for one whole generation', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a'])
  t.same(generation(numbers, ['b']), { b: 1 }, 'not in the generation that does not take it')
  t.same(generation(numbers, ['b', 'c']), { b: 1, c: 2 }, 'nor in the next')
  t.same(generation(numbers, ['b', 'c', 'd']), { b: 1, c: 2, d: 0 }, 'but in the one after')
})

t.test('a name that comes back while its number rests gets it back', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', 'b'])
  generation(numbers, ['b'])
  t.same(generation(numbers, ['b', 'x', 'a']), { b: 1, x: 2, a: 0 })
})

t.test('where nothing else is left, the number that rested longest is given early', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', 'b'], { to: 1 })
  generation(numbers, ['b'], { to: 1 })
  t.same(
    generation(numbers, ['new', 'b'], { to: 1 }),
    { b: 1, new: 0 },
    'and never that of a name that is taken',
  )
})

t.test('too many names for the range are refused', async t => {
  t.throws(() => generation(new Numbers(), ['a', 'b', 'c'], { to: 1 }), RangeError)
})

t.test('a number outside of the range is given up', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', 'b'])
  t.same(generation(numbers, ['a', 'b'], { except: new Set([0]) }), { a: 2, b: 1 })
})

t.test('spaces do not know of each other', async t => {
  const numbers = new Numbers()
  numbers.begin()
  t.equal(numbers.takeAll('eni', ['a']).get('a'), 0)
  t.equal(numbers.takeAll('device', ['b']).get('b'), 0)
  t.equal(numbers.find('device', 'a'), undefined)
  t.equal(numbers.find('eni', 'a'), 0)
})

t.test('the size of a space never shrinks', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', 'b', 'c'])
  for (let i = 0; i < 3; i++) generation(numbers, [])
  t.equal(numbers.size('device'), 3)
  t.equal(numbers.copy().size('device'), 3)
  t.equal(numbers.size('eni'), 0)
})

t.test('what is written as JSON goes on where it was, and a copy goes its own way', async t => {
  const numbers = new Numbers()
  generation(numbers, ['a', '__proto__', 'c'])
  generation(numbers, ['c'])
  const restored = new Numbers(JSON.parse(JSON.stringify(numbers)))
  t.equal(restored.generation, 2)
  const copy = numbers.copy()
  const next = ['x', 'c', 'a']
  t.same(generation(restored, next), { x: 3, c: 2, a: 0 })
  t.same(generation(copy, next), { x: 3, c: 2, a: 0 })
  t.equal(numbers.generation, 2)
})

t.test('whatever comes and goes, numbers are distinct, kept, and rested', async t => {
  const names = fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { maxLength: 8 })
  const always = () =>
    fc.assert(
      fc.property(fc.array(names, { maxLength: 12 }), rounds => {
        const numbers = new Numbers()
        const lastHeld = new Map<number, { name: string; round: number }>()
        rounds.forEach((round, i) => {
          const taken = generation(numbers, round)
          const values = Object.values(taken)
          if (new Set(values).size !== values.length) throw new Error('one number for two names')
          for (const [name, number] of Object.entries(taken)) {
            const before = lastHeld.get(number)
            if (before !== undefined && before.name !== name && i - before.round < 3)
              throw new Error(
                `${number} went from ${before.name} to ${name} after ${i - before.round} generations`,
              )
            lastHeld.set(number, { name, round: i })
          }
        })
      }),
    )
  t.doesNotThrow(always)
})
