// What `demo` prints: the line while it runs, the table of the comparison, the last line. Pure.

import type { Comparison } from './compare.ts';
import type { Flight } from './flight.ts';
import type { Moment } from './pace.ts';

/** A process that was killed, and what was on its way then. */
export interface Kill {
  readonly what: string;
  readonly atMs: number;
  readonly flight: Flight;
}

/** How much of a hash is shown; the whole of it is compared. */
const HASH_DIGITS = 16;

/** ` 7.4 s  36,210 lines/s   5.4 MB/s  lag 0.6 s,  3.2 MB   40.1 MB written`, within 80 columns. */
export function progressText(moment: Moment): string {
  const { atMs, linesPerSecond, bytesPerSecond, lagMs, lagBytes, written } = moment;
  return [
    seconds(atMs).padStart(6),
    `${whole(Math.round(linesPerSecond)).padStart(6)} lines/s`,
    `${(bytesPerSecond / 1e6).toFixed(1).padStart(4)} MB/s`,
    `lag ${seconds(lagMs)}, ${(lagBytes / 1e6).toFixed(1).padStart(4)} MB`,
    `${(written / 1e6).toFixed(1).padStart(5)} MB written`,
  ].join('  ');
}

export function killText(kill: Kill): string {
  const { messages, bytes } = kill.flight;
  return (
    `${seconds(kill.atMs).padStart(6)}  SIGKILL ${kill.what.padEnd(8)}  ` +
    `${whole(bytes)} bytes (${whole(messages)} message${messages === 1 ? '' : 's'}) published and not committed`
  );
}

/** A line a file under a heading. */
export function tableText(comparisons: readonly Comparison[]): string[] {
  const rows = comparisons.map((one) => [
    one.name,
    whole(one.source.bytes),
    one.source.hash.slice(0, HASH_DIGITS),
    one.central.hash.slice(0, HASH_DIGITS),
    whole(one.generations),
    whole(one.segments),
  ]);
  const lines = [['file', 'bytes', 'SHA-256 source', 'SHA-256 central', 'generations', 'segments'], ...rows];
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const leftAligned = new Set([0, 2, 3]);
  return lines.map((line) =>
    line
      .map((cell, column) =>
        leftAligned.has(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
}

/** `4 files, 61,234,567 bytes, 4 kills` */
export function summaryText(comparisons: readonly Comparison[], kills: readonly Kill[]): string {
  const bytes = comparisons.reduce((sum, one) => sum + one.source.bytes, 0);
  return `${comparisons.length} files, ${whole(bytes)} bytes, ${kills.length} kills`;
}

/** What is wrong, one line each; empty when all is identical. */
export function differences(comparisons: readonly Comparison[], strange: readonly string[]): string[] {
  const lines: string[] = [];
  for (const { name, source, central, differsAt, sourceIntact } of comparisons) {
    if (!sourceIntact) lines.push(`${name} itself does not hold what was written to it`);
    if (differsAt !== undefined)
      lines.push(
        `${name} differs at byte ${whole(differsAt)} ` +
          `(${whole(source.bytes)} bytes written, ${whole(central.bytes)} arrived)`,
      );
  }
  for (const name of strange) lines.push(`${name} holds bytes that nobody wrote`);
  return lines;
}

/** 1234567 → `1,234,567`, whatever the locale. */
export function whole(number: number): string {
  return number.toLocaleString('en-US');
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
