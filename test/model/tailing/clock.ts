// Time of the simulation: it stands still while anything can go on, and then jumps to whatever is due next. Takes the place
// of the clocks and timers of this process, for the shipper and for those who write its logs.

import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';

/** What is killed as a whole: nothing that it waits for comes any more. */
export interface Life {
  isOver: boolean;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly life: Life | undefined;
  readonly run: () => void;
}

/** 2026-11-21, in milliseconds since 1970. */
const BEGIN_MS = 1_795_219_200_000;
/** A stream of node:zlib works in threads: it is waited for in real time, for so many milliseconds without a sign. */
const THREADS_MS = 2;

const realImmediate = globalThis.setImmediate;
const realTimeout = globalThis.setTimeout;
const realPromisedImmediate = timers.setImmediate;

export class Clock {
  readonly #lives = new AsyncLocalStorage<Life>();
  #now = BEGIN_MS;
  #queue: Timer[] = [];
  #order = 0;
  /** Anything that was done: while this changes, something goes on. */
  #signs = 0;
  #immediates = 0;
  /** What threads have work for. */
  readonly #threads = new Set<object>();

  /** Milliseconds since 1970, with fractions. */
  get now(): number {
    return this.#now;
  }

  /** From now on this is the time of the process. */
  install(): void {
    const promised = async <T>(ms = 1, value?: T, { signal }: { signal?: AbortSignal } = {}): Promise<T> =>
      await this.#promised(ms, value as T, signal);
    Object.assign(globalThis, {
      setTimeout: (run: (...all: unknown[]) => void, ms = 1, ...all: unknown[]) =>
        this.#timeout(() => {
          run(...all);
        }, ms),
      clearTimeout: (timer: { cancel?: () => void } | undefined) => timer?.cancel?.(),
    });
    Date.now = () => Math.floor(this.#now);
    Object.defineProperty(performance, 'now', { value: () => this.#now - BEGIN_MS });
    Object.assign(timers, {
      setTimeout: promised,
      setImmediate: async () => {
        this.#immediates += 1;
        await realPromisedImmediate();
        this.#immediates -= 1;
      },
    });
    syncBuiltinESMExports();
  }

  /** Another history: nothing that an earlier one waited for comes any more. */
  reset(): void {
    this.#queue = [];
    this.#threads.clear();
    this.#now = BEGIN_MS;
    this.#order = 0;
  }

  /** What is begun in there, and all that follows from it, is killed with this life. */
  live<T>(life: Life, work: () => T): T {
    return this.#lives.run(life, work);
  }

  /** What is begun in there is killed with nobody. */
  outside<T>(work: () => T): T {
    return this.#lives.exit(work);
  }

  get life(): Life | undefined {
    return this.#lives.getStore();
  }

  /** Something was done. */
  sign(): void {
    this.#signs += 1;
  }

  /** Threads have work for this, until it is done. */
  threads(work: object): { readonly done: () => void } {
    this.#threads.add(work);
    return { done: () => void this.#threads.delete(work) };
  }

  /** It is killed, and with it what threads do for it: there is one life at a time. */
  kill(life: Life): void {
    life.isOver = true;
    this.#threads.clear();
  }

  /** After so long; never for one that was killed. */
  async after(ms: number): Promise<void> {
    const { life } = this;
    if (ms > 0) await new Promise<void>((resolve) => this.#add(resolve, ms));
    this.#signs += 1;
    if (life?.isOver === true) await new Promise(() => {});
  }

  /** What a disk or a network takes: often nothing that anybody notices, now and then long enough for others to come. */
  async latency(random: () => number, most: number): Promise<void> {
    const dice = random();
    await this.after(dice < 0.6 ? 0 : dice < 0.98 ? random() * most : random() * most * 20);
  }

  /** Lets time pass until the work is done. Throws when nothing would ever happen again. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    for (;;) {
      await this.#quiet();
      if (isDone) return await work;
      const next = this.#take();
      if (next === undefined && this.#threads.size > 0) continue;
      if (next === undefined) throw new Error('BUG: nothing will happen any more, and it is not done');
      this.#now = Math.max(this.#now, next.at);
      if (next.life?.isOver !== true) next.run();
    }
  }

  async #quiet(): Promise<void> {
    for (let signs = -1; signs !== this.#signs || this.#immediates > 0;) {
      signs = this.#signs;
      await new Promise((resolve) => realImmediate(resolve));
      if (this.#threads.size > 0 && signs === this.#signs)
        await new Promise((resolve) => realTimeout(resolve, THREADS_MS));
    }
  }

  #timeout(run: () => void, ms: number): object {
    const cancel = this.#add(AsyncLocalStorage.bind(run), Math.max(1, ms));
    const timer = { cancel, ref: () => timer, unref: () => timer, hasRef: () => true };
    return timer;
  }

  async #promised<T>(ms: number, value: T, signal: AbortSignal | undefined): Promise<T> {
    const { life } = this;
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        cancel();
        reject(
          Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' }),
        );
      };
      const cancel = this.#add(
        () => {
          signal?.removeEventListener('abort', stop);
          resolve();
        },
        Math.max(1, ms),
      );
      if (signal?.aborted === true) stop();
      else signal?.addEventListener('abort', stop, { once: true });
    });
    if (life?.isOver === true) await new Promise(() => {});
    return value;
  }

  #add(run: () => void, ms: number): () => void {
    const timer = { at: this.#now + ms, order: (this.#order += 1), life: this.life, run };
    // Few are due at a time, and most of them soon.
    let index = this.#queue.length;
    while (index > 0 && (this.#queue[index - 1]?.at ?? 0) > timer.at) index -= 1;
    this.#queue.splice(index, 0, timer);
    return () => {
      const at = this.#queue.indexOf(timer);
      if (at >= 0) this.#queue.splice(at, 1);
    };
  }

  #take(): Timer | undefined {
    return this.#queue.shift();
  }
}

/** The only one: there is one time in a process. */
export const clock = new Clock();
