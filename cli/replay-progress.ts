// How far a replay is: one line that is drawn anew on a terminal, a line every few seconds anywhere else.

import { formatBytes, formatDuration } from '../common/units.ts';
import type { ReplayProgress } from '../receiver/replay-options.ts';

interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const BAR_WIDTH = 16;
const DRAW_MS = 100;
const LINE_MS = 5_000;
/** Speed is measured over this much of the past. */
const WINDOW_MS = 10_000;

export class ReplayLine {
  readonly #stream: Terminal;
  #saidAt: number;
  #seen: { at: number; progress: ReplayProgress }[] = [];
  #isDrawn = false;

  constructor(stream: Terminal, nowMs: number) {
    this.#stream = stream;
    this.#saidAt = nowMs;
  }

  show(progress: ReplayProgress, nowMs: number): void {
    const isTerminal = this.#stream.isTTY === true;
    if (this.#seen.length === 0 || nowMs - (this.#seen.at(-1)?.at ?? 0) >= DRAW_MS)
      this.#seen = [...this.#seen.filter(({ at }) => nowMs - at <= WINDOW_MS), { at: nowMs, progress }];
    const isDue = nowMs - this.#saidAt >= (isTerminal ? DRAW_MS : LINE_MS);
    if (!isDue && !(isTerminal && progress.done >= progress.total)) return;
    this.#saidAt = nowMs;
    const first = this.#seen[0] ?? { at: nowMs, progress };
    const text = replayProgressText(progress, first.progress, nowMs - first.at);
    if (!isTerminal) this.#stream.write(`logferry: ${text}\n`);
    else {
      const line = `${bar(progress)} ${text}`.slice(0, (this.#stream.columns ?? 80) - 1);
      this.#stream.write(`\r${line}\u001B[K\r`);
      this.#isDrawn = true;
    }
  }

  /** Leaves the last line as it is. */
  end(): void {
    if (this.#isDrawn) this.#stream.write('\n');
    this.#isDrawn = false;
  }
}

function shareOf({ done, total }: ReplayProgress): number {
  return total === 0 ? 1 : Math.min(1, done / total);
}

function bar(progress: ReplayProgress): string {
  return `[${'#'.repeat(Math.floor(shareOf(progress) * BAR_WIDTH)).padEnd(BAR_WIDTH)}]`;
}

/** `45 %  1.2 GiB written  120.0 MiB/s  9s left`: share and time by messages, speed by bytes. */
export function replayProgressText(now: ReplayProgress, earlier: ReplayProgress, elapsedMs: number): string {
  const read = now.done - earlier.done;
  const written = now.bytes - earlier.bytes;
  const left = now.total - now.done;
  const speed = elapsedMs > 0 && written > 0 ? `  ${formatBytes((written / elapsedMs) * 1_000)}/s` : '';
  const eta =
    left > 0 && read > 0 ? `  ${formatDuration(Math.max(1_000, (left / read) * elapsedMs))} left` : '';
  return `${Math.floor(shareOf(now) * 100)} %  ${formatBytes(now.bytes)} written${speed}${eta}`;
}
