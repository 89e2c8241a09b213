// How long a client waits before it tries to connect again: at random, over a time that grows with failures, so that the
// hosts of a server that is gone do not all knock at once. Pure: time and chance come as arguments.

/** The first try after a loss comes within this time. */
const FIRST_WAIT_MS = 1_000;

/** At most, for those who are few: receivers and tools. A receiver that is late by a lease counts as gone. */
export const FEW_WAIT_MS = 1_000;

/**
 * At most, for those who are many: 10,000 shippers then come at 1,000 a second. A core does about as many TLS handshakes
 * with an RSA key of 2,048 bits (`openssl speed rsa2048`: 1,000 to 2,000 signatures a second).
 */
export const MANY_WAIT_MS = 10_000;

/**
 * Anywhere between nothing and a time that doubles with each failure (full jitter: M. Brooker, "Exponential Backoff And
 * Jitter", AWS Architecture Blog, 2015): what is spread evenly stays so, whenever the server comes back.
 *
 * @param failures tries in vain since there was a connection
 * @param mostMs what it never exceeds
 * @param chance from 0 to 1
 */
export function reconnectWaitMs(failures: number, mostMs: number, chance: number): number {
  return Math.min(mostMs, FIRST_WAIT_MS * 2 ** Math.min(failures, 16)) * chance;
}

/**
 * The same as nats.js asks for it (`reconnectDelayHandler`): before each try, and in milliseconds since the last one,
 * which may have been days ago. What it would do by itself is to try at once, everybody in the same moment. A server of
 * the list that was never tried is tried at once all the same.
 */
export class ReconnectPace {
  readonly #mostMs: number;
  #hasConnected = false;
  #failures = 0;
  #triedAt = 0;
  #dueAt: number | undefined;

  constructor(mostMs: number) {
    this.#mostMs = mostMs;
  }

  connected(): void {
    this.#hasConnected = true;
    this.#failures = 0;
    this.#dueAt = undefined;
  }

  /** @param nowMs of the clock that nats.js uses: milliseconds since 1970 */
  sinceLastTryMs(nowMs: number, chance: number): number {
    if (!this.#hasConnected) {
      this.#triedAt = nowMs;
      return 0;
    }
    this.#dueAt ??= nowMs + reconnectWaitMs(this.#failures, this.#mostMs, chance);
    // A clock that was set back: what is due is due.
    if (this.#dueAt <= nowMs || nowMs < this.#triedAt) {
      this.#failures += 1;
      this.#triedAt = nowMs;
      this.#dueAt = undefined;
      return 0;
    }
    return nowMs - this.#triedAt + (this.#dueAt - nowMs);
  }
}
