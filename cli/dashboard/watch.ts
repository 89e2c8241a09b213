// One loop that looks at the fleet for all viewers, and rests when there are none. Never looks twice at once.

import { LogferryError, oneLine } from '../../common/runtime/errors.ts';
import { explain, type Link } from '../../common/nats/connection.ts';
import { collectStatus, StatusMemory, type StatusNames } from '../status/collect.ts';
import type { Status } from '../status/types.ts';
import { History } from './history.ts';
import { viewOf } from './view.ts';
import { eventBytes, type Viewer } from './viewer.ts';

export interface WatchOptions {
  readonly names: StatusNames;
  /** Undefined until there is a connection. */
  readonly link: () => Link | undefined;
  /** Where nats-server should be, for what is said of it. */
  readonly server: string;
}

export const LOOK_EVERY_MS = 2_000;

export class Watch {
  readonly #options: WatchOptions;
  readonly #viewers = new Set<Viewer>();
  readonly #memory = new StatusMemory();
  readonly #history = new History();
  #looking: Promise<Status> | undefined;
  #latest: { readonly status: Status; readonly at: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** Shows it all from now on, until it is gone. */
  add(viewer: Viewer): void {
    this.#viewers.add(viewer);
    viewer.gone.addEventListener('abort', () => {
      this.#viewers.delete(viewer);
      if (this.#viewers.size === 0) this.close();
    });
    viewer.sendBytes(eventBytes('history', this.#history.series()));
    const { status, at } = this.#latest ?? {};
    if (status !== undefined && at !== undefined && Date.now() - at < LOOK_EVERY_MS)
      viewer.sendBytes(eventBytes('status', viewOf(status, at)));
    if (this.#viewers.size === 1) this.#next(0);
  }

  /** One look; of several that are asked for at once, or shortly after another, only one is made. */
  async look(): Promise<Status> {
    if (this.#latest !== undefined && Date.now() - this.#latest.at < LOOK_EVERY_MS / 2)
      return this.#latest.status;
    this.#looking ??= this.#collect().finally(() => (this.#looking = undefined));
    return await this.#looking;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #next(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#tick(), ms);
  }

  async #tick(): Promise<void> {
    const began = performance.now();
    const bytes = await this.#event();
    for (const viewer of this.#viewers) viewer.sendBytes(bytes);
    if (this.#viewers.size > 0) this.#next(Math.max(0, began + LOOK_EVERY_MS - performance.now()));
  }

  async #event(): Promise<Buffer> {
    try {
      const status = await this.look();
      const view = viewOf(status, this.#latest?.at ?? Date.now());
      this.#history.add(view);
      return eventBytes('status', view);
    } catch (error) {
      return eventBytes('problem', { message: oneLine(explain(error, this.#options.server)) });
    }
  }

  async #collect(): Promise<Status> {
    const link = this.#options.link();
    if (link === undefined)
      throw new LogferryError('unreachable', `nats-server at ${this.#options.server} is not reached yet`);
    const status = await collectStatus(link, this.#options.names, this.#memory);
    this.#latest = { status, at: Date.now() };
    return status;
  }
}
