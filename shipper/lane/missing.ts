// Bytes that are wanted of a file that is not open: read from the file or its copy, had by a receiver, or lost, which is
// published as a gap. Never looks for the file: its source does.

import type { Elsewhere } from '../files/candidate.ts';
import type { ShipperContext } from './context.ts';
import type { Publisher } from './publisher.ts';

/**
 * Goes on in what was found, or behind what is nowhere.
 *
 * @param elsewhere the file or its copy, open; undefined when there is neither
 * @returns whether to go on at once, otherwise a receiver may say again what it has
 */
export async function fillOrSkip(
  context: ShipperContext,
  publisher: Publisher,
  elsewhere: Elsewhere | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { cursor, entry, committed } = publisher;
  const { gone } = committed;
  cursor.lookedFor(elsewhere);
  if (elsewhere !== undefined || cursor.isTaken) return true;
  const { position } = cursor;
  if (committed.offset > position) {
    // A receiver has said again what it has.
    gone.settled();
    await cursor.seek(Math.min(committed.offset, entry.size), undefined);
    return true;
  }
  if (gone.isAwaited(position, performance.now())) return false;
  gone.settled();
  const { size } = entry;
  sayGone(context, publisher, position, size);
  await publisher.gap(position, size, 'the source file is gone', signal);
  return true;
}

function sayGone({ log, counts }: ShipperContext, publisher: Publisher, start: number, end: number): void {
  const { source: path, entry, committed } = publisher;
  const { file } = entry;
  const report = committed.gone.report(start, end);
  for (const [from, to] of report.committed) {
    const text = `${path}: bytes ${from} to ${to} were committed, no record says so any more, and the file is gone`;
    log.warn({ path, file, from, to }, text);
  }
  for (const [from, to] of report.lost) {
    const text = `${path}: bytes ${from} to ${to} are lost: the file is gone`;
    log.error({ path, file, from, to }, text);
    counts.lostBytes += to - from;
  }
}
