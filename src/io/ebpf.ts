/**
 * An assembler for the few eBPF instructions that the steering program is made of, after linux/bpf.h.
 *
 * An instruction is 8 bytes: operation, registers (source above destination), 16-bit offset, 32-bit immediate. Arithmetic here is the
 * 32-bit kind, which clears the upper half of its destination. LD_ABS and LD_IND read the packet (its context in R6) in network order,
 * answer in R0 in host order, spoil R1 to R5, and end the program with 0 where they read beyond the packet. R6 to R9 last.
 */

/** Bytes that LD_ABS, LD_IND and a load from memory read: the size bits of their operation. */
export const Size = { Word: 0x00, Half: 0x08, Byte: 0x10 } as const
export type Size = (typeof Size)[keyof typeof Size]

const LD_ABS = 0x20
const LD_IND = 0x40
const LDX_MEM = 0x61
const STX_MEM = 0x63
const LD_IMM64 = 0x18
const PSEUDO_MAP_VALUE = 2
const JA = 0x05
const EXIT = 0x95
const ADD64_X = 0x0f
const MOV64_X = 0xbf

/** 32-bit operations with an immediate; those with a register have bit 3 set. */
const Alu = { Add: 0x04, Mul: 0x24, Or: 0x44, And: 0x54, Lsh: 0x64, Rsh: 0x74, Mov: 0xb4 } as const
const REGISTER = 0x08
/** Jumps that compare with an immediate; those with a register have bit 3 set. */
const Jump = { Equal: 0x15, Greater: 0x25, NotEqual: 0x55 } as const

type AluName = keyof typeof Alu
type JumpName = keyof typeof Jump

export class Assembler {
  readonly #code: number[][] = []
  readonly #labels = new Map<string, number>()
  readonly #jumps: { readonly at: number; readonly label: string }[] = []

  /** `register op= value` */
  alu(name: AluName, register: number, value: number): this {
    return this.#emit(Alu[name], register, 0, 0, value)
  }

  /** `register op= other` */
  aluRegister(name: AluName, register: number, other: number): this {
    return this.#emit(Alu[name] | REGISTER, register, other, 0, 0)
  }

  /** All 64 bits, for pointers. */
  move64(register: number, other: number): this {
    return this.#emit(MOV64_X, register, other, 0, 0)
  }

  /** All 64 bits, for pointers. */
  add64(register: number, other: number): this {
    return this.#emit(ADD64_X, register, other, 0, 0)
  }

  /** R0 = packet[offset] */
  loadPacket(size: Size, offset: number): this {
    return this.#emit(LD_ABS | size, 0, 0, 0, offset)
  }

  /** R0 = packet[register + offset] */
  loadPacketAt(size: Size, register: number, offset: number): this {
    return this.#emit(LD_IND | size, 0, register, 0, offset)
  }

  /** register = memory[pointer] */
  load(size: Size, register: number, pointer: number, offset = 0): this {
    return this.#emit(LDX_MEM | size, register, pointer, offset, 0)
  }

  /** memory[pointer + offset] = register */
  store(size: Size, pointer: number, offset: number, register: number): this {
    return this.#emit(STX_MEM | size, pointer, register, offset, 0)
  }

  /** register = where byte `offset` of the only value of an array map is */
  mapValue(register: number, map: number, offset: number): this {
    this.#emit(LD_IMM64, register, PSEUDO_MAP_VALUE, 0, map)
    return this.#emit(0, 0, 0, 0, offset)
  }

  jump(label: string): this {
    this.#jumps.push({ at: this.#code.length, label })
    return this.#emit(JA, 0, 0, 0, 0)
  }

  jumpIf(name: JumpName, register: number, value: number, label: string): this {
    this.#jumps.push({ at: this.#code.length, label })
    return this.#emit(Jump[name], register, 0, 0, value)
  }

  jumpIfRegister(name: JumpName, register: number, other: number, label: string): this {
    this.#jumps.push({ at: this.#code.length, label })
    return this.#emit(Jump[name] | REGISTER, register, other, 0, 0)
  }

  label(name: string): this {
    this.#labels.set(name, this.#code.length)
    return this
  }

  exit(): this {
    return this.#emit(EXIT, 0, 0, 0, 0)
  }

  /**
   * The program as the kernel takes it.
   * @throws RangeError for a jump to a label that is nowhere
   */
  assemble(): Uint8Array {
    for (const { at, label } of this.#jumps) {
      const target = this.#labels.get(label)
      if (target === undefined) throw new RangeError(`ebpf: there is no label ${label}`)
      this.#code[at][3] = target - at - 1
    }
    const view = new DataView(new ArrayBuffer(this.#code.length * 8))
    this.#code.forEach(([operation, register, other, offset, immediate], index) => {
      view.setUint8(index * 8, operation)
      view.setUint8(index * 8 + 1, register | (other << 4))
      view.setInt16(index * 8 + 2, offset, true)
      view.setInt32(index * 8 + 4, immediate, true)
    })
    return new Uint8Array(view.buffer)
  }

  #emit(operation: number, register: number, other: number, offset: number, immediate: number): this {
    this.#code.push([operation, register, other, offset, immediate])
    return this
  }
}
