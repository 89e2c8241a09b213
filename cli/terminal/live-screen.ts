// A screen that is drawn anew in place: the terminal's alternate one, so that what stood there is there again at the
// end, whatever ends the process. In a pipe each drawing follows the last. Never reads keys.

/** Escape sequences of every terminal of today (xterm's, and what imitates it). */
const ENTER = '\u001B[?1049h\u001B[?25l';
const LEAVE = '\u001B[?25h\u001B[?1049l';
const HOME = '\u001B[H';
const CLEAR_LINE = '\u001B[K';
const CLEAR_BELOW = '\u001B[J';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** What is not a terminal has no end. */
export function sizeOf(out: NodeJS.WriteStream): Size {
  if (!out.isTTY) return { width: Number.POSITIVE_INFINITY, height: Number.POSITIVE_INFINITY };
  return { width: out.columns || 80, height: out.rows || 24 };
}

/** Whether there are colours: on a terminal, unless NO_COLOR asks for none. */
export function isColoured(out: NodeJS.WriteStream, env: NodeJS.ProcessEnv): boolean {
  return out.isTTY && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

export class LiveScreen {
  readonly #out: NodeJS.WriteStream;
  #lines: ((size: Size) => readonly string[]) | undefined;
  #isOpen = false;
  readonly #redraw = (): void => {
    if (this.#lines !== undefined) this.draw(this.#lines);
  };
  readonly #leave = (): void => {
    this.close();
  };

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Draws what `lines` gives for the terminal's size, and again when that changes. */
  draw(lines: (size: Size) => readonly string[]): void {
    this.#lines = lines;
    const size = sizeOf(this.#out);
    const shown = lines(size).slice(0, size.height);
    if (!this.#out.isTTY) {
      this.#out.write(`${shown.join('\n')}\n\n`);
      return;
    }
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#out.write(ENTER);
      this.#out.on('resize', this.#redraw);
      process.once('exit', this.#leave);
    }
    // No line end after the last one: it would scroll.
    this.#out.write(`${HOME}${shown.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_BELOW}`);
  }

  /** Gives the terminal back. May be called again. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#out.off('resize', this.#redraw);
    process.off('exit', this.#leave);
    this.#out.write(LEAVE);
  }
}
