// One line on a terminal that says how far it is: bytes, percent, speed, time left. Never on anything but a terminal.

import { formatBytes, formatDuration } from '../common/units.ts';

const BAR_WIDTH = 16;

/** Drawn no more often than this, but for the end. */
const DRAW_MS = 100;

/** Speed is measured over this much of the past. */
const WINDOW_MS = 10_000;

export class ProgressLine {
  readonly #terminal: { write(text: string): unknown; readonly columns?: number };
  #seen: { at: number; done: number }[] = [];

  constructor(terminal: { write(text: string): unknown; readonly columns?: number }) {
    this.#terminal = terminal;
  }

  /** Draws the line anew; the cursor stays at its beginning, so that a line of the log takes its place. */
  show(done: number, total: number, nowMs: number): void {
    const last = this.#seen.at(-1);
    if (last !== undefined && nowMs - last.at < DRAW_MS && done < total) return;
    this.#seen = [...this.#seen.filter(({ at }) => nowMs - at <= WINDOW_MS), { at: nowMs, done }];
    const first = this.#seen[0] ?? { at: nowMs, done };
    const elapsed = nowMs - first.at;
    const perSecond = elapsed <= 0 ? 0 : ((done - first.done) / elapsed) * 1_000;
    const line = progressText(done, total, perSecond).slice(0, (this.#terminal.columns ?? 80) - 1);
    this.#terminal.write(`\r${line}\u001B[K\r`);
  }

  /** Leaves the last line as it is. */
  end(): void {
    if (this.#seen.length > 0) this.#terminal.write('\n');
  }
}

/** `[######      ] 50 %  1.0 GiB of 2.0 GiB  120.0 MiB/s  9s left` */
export function progressText(done: number, total: number, bytesPerSecond: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const bar = '#'.repeat(Math.floor(share * BAR_WIDTH)).padEnd(BAR_WIDTH);
  const left = total - done;
  const eta =
    left <= 0 || bytesPerSecond <= 0
      ? ''
      : `  ${formatDuration(Math.max(1_000, (left / bytesPerSecond) * 1_000))} left`;
  const speed = bytesPerSecond <= 0 ? '' : `  ${formatBytes(bytesPerSecond)}/s`;
  return `[${bar}] ${Math.floor(share * 100)} %  ${formatBytes(done)} of ${formatBytes(total)}${speed}${eta}`;
}
