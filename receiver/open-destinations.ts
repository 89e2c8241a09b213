// Which destinations are open, over all partitions of a receiver: the least recently used one is closed when there are
// as many as the system lets this process have. Closing makes durable what was written.

import process from 'node:process';

import { z } from 'zod';

import type { Destination } from './destination.ts';

/** Descriptors for everything else: ledgers, connections, segments that are read or compressed. */
const RESERVED = 256;
/** rotating-file-stream keeps one, we another. */
const EACH = 2;
const LEAST = 16;

const reportSchema = z.object({
  userLimits: z.object({ open_files: z.object({ soft: z.union([z.number(), z.string()]) }) }),
});

/** How many destinations may be open under this process's limit of descriptors. */
export function mostOpen(report: unknown = process.report.getReport()): number {
  const soft = reportSchema.safeParse(report).data?.userLimits.open_files.soft;
  if (typeof soft !== 'number') return Number.POSITIVE_INFINITY;
  return Math.max(LEAST, Math.floor((soft - RESERVED) / EACH));
}

export class OpenDestinations {
  readonly #most: number;
  /** Least recently used first. */
  readonly #open = new Set<Destination>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Closes others until one more may be opened. Those that are being written to now stay open. */
  async makeRoom(): Promise<void> {
    for (const destination of this.#open) {
      if (this.#open.size < this.#most) return;
      if (destination.isBusy) continue;
      this.#open.delete(destination);
      await destination.retire();
    }
  }

  /** It was opened, or is used again. */
  use(destination: Destination): void {
    this.#open.delete(destination);
    this.#open.add(destination);
  }

  /** It was closed. */
  remove(destination: Destination): void {
    this.#open.delete(destination);
  }
}
