// Chunks at a steady rate: each file one every so often, never two of a file at once.

import { messageOf } from '../common/runtime/errors.ts';
import { sleep } from '../common/runtime/run.ts';
import type { SimulatedFile, SimulatedHosts } from './simulated-hosts.ts';

const TICK_MS = 2;

export interface Paced {
  readonly files: readonly SimulatedFile[];
  readonly everyMs: number;
}

interface Entry {
  readonly file: SimulatedFile;
  readonly everyMs: number;
  dueAt: number;
  isBusy: boolean;
}

export class SteadyLoad {
  readonly #hosts: SimulatedHosts;
  readonly #entries: Entry[];
  readonly #stop = new AbortController();
  readonly #onTheWay = new Set<Promise<void>>();
  readonly #running: Promise<void>;
  #failure: Error | undefined;

  /** Begins at once; the files of a pace are spread over its time. */
  constructor(hosts: SimulatedHosts, paces: readonly Paced[]) {
    this.#hosts = hosts;
    const now = performance.now();
    this.#entries = paces.flatMap(({ files, everyMs }) =>
      files.map((file, index) => {
        const dueAt = now + (everyMs * index) / files.length;
        return { file, everyMs, dueAt, isBusy: false };
      }),
    );
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#failure === undefined) {
      const now = performance.now();
      for (const entry of this.#entries)
        if (!entry.isBusy && entry.dueAt <= now) {
          entry.dueAt = Math.max(entry.dueAt + entry.everyMs, now);
          const publishing = this.#publish(entry).finally(() => this.#onTheWay.delete(publishing));
          this.#onTheWay.add(publishing);
        }
      await sleep(TICK_MS, signal);
    }
  }

  async #publish(entry: Entry): Promise<void> {
    entry.isBusy = true;
    try {
      await this.#hosts.publish(entry.file);
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(messageOf(error));
    } finally {
      entry.isBusy = false;
    }
  }

  /** Resolves when the stream has all of it. Throws what went wrong meanwhile. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await Promise.all(this.#onTheWay);
    if (this.#failure !== undefined) throw this.#failure;
  }
}
