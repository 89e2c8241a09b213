// One line on a terminal that says how far it is: bytes, percent, speed, time left. A line for other figures is made of
// the same parts.

import { formatBytes, formatDuration } from '../../common/text/units.ts';

const BAR_WIDTH = 16;

/** Drawn no more often than this, but for the end. */
export const DRAW_MS = 100;

/** Speed is measured over this much of the past. */
const WINDOW_MS = 10_000;

export interface Terminal {
  write(text: string): unknown;
  readonly columns?: number;
}

/** A line that is drawn in place of the one before; the cursor stays at its beginning, so that a line of the log takes its place. */
export class DrawnLine {
  readonly #terminal: Terminal;
  #isDrawn = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  draw(text: string): void {
    this.#terminal.write(`\r${text.slice(0, (this.#terminal.columns ?? 80) - 1)}\u001B[K\r`);
    this.#isDrawn = true;
  }

  /** Leaves the last one as it is. */
  end(): void {
    if (this.#isDrawn) this.#terminal.write('\n');
    this.#isDrawn = false;
  }
}

/** What was seen within the window that speeds are measured over. */
export class Recent<T> {
  #seen: { readonly at: number; readonly what: T }[] = [];

  /** Whether nothing was seen since the last one was due to be drawn. */
  isDue(nowMs: number): boolean {
    const last = this.#seen.at(-1);
    return last === undefined || nowMs - last.at >= DRAW_MS;
  }

  /** Returns the oldest, and how long ago that was. */
  note(what: T, nowMs: number): { readonly what: T; readonly elapsedMs: number } {
    this.#seen = [...this.#seen.filter(({ at }) => nowMs - at <= WINDOW_MS), { at: nowMs, what }];
    return this.oldest(what, nowMs);
  }

  oldest(what: T, nowMs: number): { readonly what: T; readonly elapsedMs: number } {
    const first = this.#seen[0] ?? { at: nowMs, what };
    return { what: first.what, elapsedMs: nowMs - first.at };
  }
}

export class ProgressLine {
  readonly #line: DrawnLine;
  readonly #recent = new Recent<number>();

  constructor(terminal: Terminal) {
    this.#line = new DrawnLine(terminal);
  }

  show(done: number, total: number, nowMs: number): void {
    if (!this.#recent.isDue(nowMs) && done < total) return;
    const { what: before, elapsedMs } = this.#recent.note(done, nowMs);
    const perSecond = elapsedMs <= 0 ? 0 : ((done - before) / elapsedMs) * 1_000;
    this.#line.draw(progressText(done, total, perSecond));
  }

  /** Leaves the last line as it is. */
  end(): void {
    this.#line.end();
  }
}

/** `[######      ] 50 %  1.0 GiB of 2.0 GiB  120.0 MiB/s  9s left` */
export function progressText(done: number, total: number, bytesPerSecond: number): string {
  const share = shareOf(done, total);
  const left = timeLeft(total - done, bytesPerSecond / 1_000);
  const speed = bytesPerSecond <= 0 ? '' : `  ${formatBytes(bytesPerSecond)}/s`;
  return `${barOf(share)} ${percentOf(share)}  ${formatBytes(done)} of ${formatBytes(total)}${speed}${left}`;
}

/** 0 to 1; of nothing all is done. */
export function shareOf(done: number, total: number): number {
  return total === 0 ? 1 : Math.min(1, done / total);
}

export function barOf(share: number): string {
  return `[${'#'.repeat(Math.floor(share * BAR_WIDTH)).padEnd(BAR_WIDTH)}]`;
}

export function percentOf(share: number): string {
  return `${Math.floor(share * 100)} %`;
}

/** `  9s left`, behind something else; empty when nothing is left, or nothing moves. */
export function timeLeft(left: number, perMs: number): string {
  return left <= 0 || perMs <= 0 ? '' : `  ${formatDuration(Math.max(1_000, left / perMs))} left`;
}
