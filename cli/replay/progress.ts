// How far a replay is: one line that is drawn anew on a terminal, a line every few seconds anywhere else.

import { formatBytes } from '../../common/text/units.ts';
import {
  barOf,
  DRAW_MS,
  DrawnLine,
  percentOf,
  Recent,
  shareOf,
  type Terminal,
  timeLeft,
} from '../terminal/progress-line.ts';
import type { ReplayProgress } from '../../receiver/replay.ts';

const LINE_MS = 5_000;

export class ReplayLine {
  readonly #stream: Terminal & { readonly isTTY?: boolean };
  readonly #line: DrawnLine;
  readonly #recent = new Recent<ReplayProgress>();
  #saidAt: number;

  constructor(stream: Terminal & { readonly isTTY?: boolean }, nowMs: number) {
    this.#stream = stream;
    this.#line = new DrawnLine(stream);
    this.#saidAt = nowMs;
  }

  show(progress: ReplayProgress, nowMs: number): void {
    const isTerminal = this.#stream.isTTY === true;
    if (this.#recent.isDue(nowMs)) this.#recent.note(progress, nowMs);
    const isDue = nowMs - this.#saidAt >= (isTerminal ? DRAW_MS : LINE_MS);
    if (!isDue && !(isTerminal && progress.done >= progress.total)) return;
    this.#saidAt = nowMs;
    const { what: earlier, elapsedMs } = this.#recent.oldest(progress, nowMs);
    const text = replayProgressText(progress, earlier, elapsedMs);
    if (isTerminal) this.#line.draw(`${barOf(shareOf(progress.done, progress.total))} ${text}`);
    else this.#stream.write(`logferry: ${text}\n`);
  }

  /** Leaves the last line as it is. */
  end(): void {
    this.#line.end();
  }
}

/** `45 %  1.2 GiB written  120.0 MiB/s  9s left`: share and time by messages, speed by bytes. */
export function replayProgressText(now: ReplayProgress, earlier: ReplayProgress, elapsedMs: number): string {
  const written = now.bytes - earlier.bytes;
  const speed = elapsedMs > 0 && written > 0 ? `  ${formatBytes((written / elapsedMs) * 1_000)}/s` : '';
  const left = timeLeft(now.total - now.done, elapsedMs > 0 ? (now.done - earlier.done) / elapsedMs : 0);
  return `${percentOf(shareOf(now.done, now.total))}  ${formatBytes(now.bytes)} written${speed}${left}`;
}
