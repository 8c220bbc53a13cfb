/**
 * One line on stderr that says what is being measured and how long the rest will take.
 *
 * A benchmark knows beforehand how long each of its measurements runs, so the time left is the sum of those to come, corrected by how
 * much longer than planned the past ones took. On a terminal the line is rewritten; elsewhere each is a line of its own.
 */
export class Progress {
  readonly #shown: boolean
  readonly #total: number
  readonly #began = performance.now()
  #done = 0

  /**
   * @param seconds planned for everything together
   * @param options shown: whether anything is written at all
   */
  constructor(seconds: number, { shown }: { shown: boolean }) {
    this.#total = seconds
    this.#shown = shown
  }

  /** Announces a measurement of so many planned seconds. */
  next(what: string, seconds: number): void {
    if (this.#shown) {
      const elapsed = (performance.now() - this.#began) / 1000
      const pace = this.#done > 0 ? elapsed / this.#done : 1
      const left = Math.ceil((this.#total - this.#done) * pace)
      this.#write(`${what}, ${left} s left`)
    }
    this.#done += seconds
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown && process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }

  #write(text: string): void {
    process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`)
  }
}
