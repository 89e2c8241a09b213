// Lines that wait to be sent to one viewer: the newest of a moment, and how many were left out. Pure. Bounded.

/** A line as the page gets it. */
export interface ShownLine {
  /** When its chunk was stored, milliseconds since 1970. */
  readonly at: number;
  readonly host: string;
  readonly path: string;
  readonly text: string;
}

/** A longer line is cut. */
export const MOST_LINE = 4_000;

export class LinesWindow {
  readonly #most: number;
  #lines: ShownLine[] = [];
  #leftOut = 0;
  #jumped = 0;

  /** @param most lines that are kept until they are taken */
  constructor(most: number) {
    this.#most = most;
  }

  get isEmpty(): boolean {
    return this.#lines.length === 0 && this.#leftOut === 0 && this.#jumped === 0;
  }

  add(lines: readonly ShownLine[]): void {
    const kept = lines.slice(-this.#most).map((line) => ({ ...line, text: cut(line.text) }));
    this.#leftOut += lines.length - kept.length;
    this.#lines.push(...kept);
    const over = this.#lines.length - this.#most;
    if (over <= 0) return;
    this.#lines.splice(0, over);
    this.#leftOut += over;
  }

  /** So many messages were not read: nobody knows how many lines. */
  jump(messages: number): void {
    this.#jumped += messages;
  }

  /** All of it; then it is empty. */
  take(): { readonly lines: ShownLine[]; readonly leftOut: number; readonly jumped: number } {
    const taken = { lines: this.#lines, leftOut: this.#leftOut, jumped: this.#jumped };
    this.#lines = [];
    this.#leftOut = 0;
    this.#jumped = 0;
    return taken;
  }
}

function cut(text: string): string {
  if (text.length <= MOST_LINE) return text;
  return `${text.slice(0, MOST_LINE)}… (${text.length - MOST_LINE} characters more)`;
}
