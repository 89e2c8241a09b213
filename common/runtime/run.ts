// How long-running things run and stop: signals, sleeping, deadlines. Never decides what a failure means.

import { setTimeout as delay } from 'node:timers/promises';

import { systemCode } from './errors.ts';

/** Sleeps, and returns early (without an error) when the signal fires. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (systemCode(error) !== 'ABORT_ERR') throw error;
  }
}

/**
 * Asks again until there is an answer or the signal fires (then undefined). `isTransient` says which errors mean only
 * that nobody answered; any other is thrown.
 */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  isTransient: (error: unknown) => boolean,
  signal: AbortSignal,
  everyMs = 250,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
    await sleep(everyMs, signal);
  }
  return undefined;
}

/** Runs until the function says true or the deadline is over; returns whether it came true. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  options: { timeoutMs: number; everyMs?: number; signal?: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() >= deadline || options.signal?.aborted === true) return false;
    await sleep(options.everyMs ?? 20, options.signal);
  }
}

/**
 * A signal that fires at the first SIGINT or SIGTERM. The second one ends the process at once: that is safe,
 * because whatever was not committed is repeated at the next start.
 */
export function stopSignal(onStop?: (name: string) => void): AbortSignal {
  const controller = new AbortController();
  const stop = (name: 'SIGINT' | 'SIGTERM'): void => {
    if (controller.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143);
    onStop?.(name);
    controller.abort();
  };
  process.on('SIGINT', () => {
    stop('SIGINT');
  });
  process.on('SIGTERM', () => {
    stop('SIGTERM');
  });
  return controller.signal;
}

/** A daemon that was told to stop waits so long for answers of a server; the rest of its stop takes about a second. */
export const STOP_ANSWERS_MS = 3_000;

/** Runs the work for all items, some at a time; throws the first error when all of it has come to an end. */
export async function inParallel<T>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  const results = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Waits for a wake-up or a time-out, whichever comes first; wake-ups that come while nobody waits are kept. */
export class Bell {
  #rung = false;
  #waiting: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiting?.();
  }

  /** Forgets a ring that nobody waited for: what it announced has been seen. */
  clear(): void {
    this.#rung = false;
  }

  /** Resolves at the next ring, after `ms` (which may be Infinity), or when the signal fires. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#rung && signal?.aborted !== true) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(resolve, ms);
      this.#waiting = resolve;
      const bells = signal === undefined ? undefined : bellsOf(signal);
      bells?.add(this);
      await promise;
      bells?.delete(this);
      clearTimeout(timer);
      this.#waiting = undefined;
    }
    this.#rung = false;
  }
}

/** Bells that wait for a signal: one listener rings them all, because a signal looks through its listeners one by one. */
const waitingFor = new WeakMap<AbortSignal, Set<Bell>>();

function bellsOf(signal: AbortSignal): Set<Bell> {
  const known = waitingFor.get(signal);
  if (known !== undefined) return known;
  const bells = new Set<Bell>();
  waitingFor.set(signal, bells);
  signal.addEventListener('abort', () => {
    for (const bell of bells) bell.ring();
  });
  return bells;
}

/** A bounded amount (bytes, slots) that is shared: `take` waits until there is enough. First come, first served. */
export class Budget {
  readonly total: number;
  #free: number;
  readonly #waiting: { amount: number; go: () => void }[] = [];

  constructor(total: number) {
    this.total = total;
    this.#free = total;
  }

  get free(): number {
    return this.#free;
  }

  /** Waits for `amount` (at most the total is ever asked for); the function it returns gives it back, once. */
  async take(amount: number): Promise<() => void> {
    const share = Math.min(amount, this.total);
    if (this.#waiting.length > 0 || this.#free < share)
      await new Promise<void>((go) => this.#waiting.push({ amount: share, go }));
    else this.#free -= share;
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#free += share;
      for (
        let next = this.#waiting[0];
        next !== undefined && next.amount <= this.#free;
        next = this.#waiting[0]
      ) {
        this.#waiting.shift();
        this.#free -= next.amount;
        next.go();
      }
    };
  }
}
