// The log: JSON lines on stderr (or a file), pretty when stderr is a terminal. stdout is never touched: it is for data.

import pino from 'pino';
import pretty from 'pino-pretty';

export type Logger = pino.Logger;

export interface LogOptions {
  readonly level: string;
  /** Where to write instead of stderr. */
  readonly file?: string | undefined;
}

/** The level says what the operator must do: error = data is at risk, act; warn = recovers by itself; info = life. */
export function createLogger(options: LogOptions): Logger {
  const settings = { level: options.level, base: null };
  if (options.file !== undefined)
    return pino(settings, pino.destination({ dest: options.file, mkdir: true, sync: true }));
  if (!process.stderr.isTTY) return pino(settings, pino.destination({ dest: 2, sync: true }));
  const colorize = process.env['NO_COLOR'] === undefined;
  return pino(
    settings,
    pretty({ destination: 2, sync: true, colorize, ignore: 'pid,hostname', translateTime: 'HH:MM:ss' }),
  );
}

/** A log that says nothing: for library use and tests. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}

/** How often one message may be repeated (style: at most once in five seconds, with its count). */
const REPEAT_MS = 5_000;

/** Lets a repeating message through at most once in five seconds, telling how many were held back. */
export class Throttle {
  readonly #last = new Map<string, { at: number; held: number }>();

  /** Calls `say` with the number of times the key was held back since it was last said. */
  run(key: string, say: (held: number) => void, nowMs: number = performance.now()): void {
    const seen = this.#last.get(key);
    if (seen !== undefined && nowMs - seen.at < REPEAT_MS) {
      seen.held += 1;
      return;
    }
    if (this.#last.size > 1_000) this.#last.clear();
    this.#last.set(key, { at: nowMs, held: 0 });
    say(seen?.held ?? 0);
  }
}
