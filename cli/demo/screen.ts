// Where `demo` prints: on a terminal one line that is drawn anew, below the lines that stay; in a pipe a plain line
// now and then.

import { styleText } from 'node:util';

/** On a terminal, and elsewhere. */
const DRAW_MS = 100;
const PLAIN_MS = 2_500;

export class Screen {
  readonly #out: NodeJS.WriteStream;
  #drawnAt = 0;
  #live = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** A line that stays. */
  line(text: string): void {
    this.#clear();
    this.#out.write(`${text}\n`);
  }

  /** The same, in green where there are colours (NO_COLOR is respected). */
  good(text: string): void {
    this.line(styleText('green', text, { stream: this.#out }));
  }

  /** The progress so long after its start; most calls draw nothing. */
  progress(text: () => string, atMs: number): void {
    if (atMs - this.#drawnAt < (this.#out.isTTY ? DRAW_MS : PLAIN_MS)) return;
    this.#drawnAt = atMs;
    if (this.#out.isTTY) {
      this.#live = true;
      this.#out.write(`\r${text().slice(0, (this.#out.columns || 80) - 1)}\u001B[K`);
    } else this.#out.write(`${text()}\n`);
  }

  /** Takes the progress line away. */
  end(): void {
    this.#clear();
  }

  #clear(): void {
    if (this.#live) this.#out.write('\r\u001B[K');
    this.#live = false;
  }
}
