// --once: when all is committed, what is said while it is not, and when it is given up.

import { LogferryError } from '../common/runtime/errors.ts';
import { formatBytes, formatDuration } from '../common/text/units.ts';
import type { AnySource } from './lane/any-source.ts';
import type { ShipOptions } from './options.ts';
import type { ShipProgress } from './report/reading.ts';

const SAY_EVERY_MS = 10_000;

export class Once {
  readonly #options: Pick<ShipOptions, 'timeoutMs' | 'log'>;
  readonly #began = performance.now();
  #saidAt = this.#began;

  constructor(options: Pick<ShipOptions, 'timeoutMs' | 'log'>) {
    this.#options = options;
  }

  /** Says what is waited for. Throws when that takes too long. */
  wait(progress: () => ShipProgress): void {
    const now = performance.now();
    const { timeoutMs, log } = this.#options;
    if (timeoutMs !== undefined && now - this.#began > timeoutMs) {
      const { committed, size } = progress();
      const what = `${formatBytes(committed)} of ${formatBytes(size)} are committed after ${formatDuration(timeoutMs)}`;
      throw new LogferryError(
        'failed',
        what,
        'is a receiver running? It goes on where it stopped when started again',
      );
    }
    if (now - this.#saidAt <= SAY_EVERY_MS) return;
    this.#saidAt = now;
    const { committed, published } = progress();
    if (committed < published)
      log.warn(
        `${formatBytes(published - committed)} are in the stream and wait for a receiver to commit them`,
      );
  }
}

/** Throws when what is left cannot be read: nobody tries again. */
export function isAllCommitted(
  sources: Iterable<AnySource>,
  unreadable: () => ReadonlyMap<string, string>,
): boolean {
  for (const source of sources) if (!source.isCommitted && source.unreadable === undefined) return false;
  const files = [...unreadable().keys()];
  if (files.length === 0) return true;
  const what = `cannot ship ${files.slice(0, 5).join(', ')}${files.length > 5 ? ', …' : ''}`;
  throw new LogferryError(
    'failed',
    what,
    'everything else is committed; make them readable and run it again',
  );
}
