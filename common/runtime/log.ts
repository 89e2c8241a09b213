// The log: JSON lines on stderr (or a file), pretty when stderr is a terminal. stdout is never touched: it is for data.

import pino from 'pino';
import pretty from 'pino-pretty';

import { isDiskFull } from './errors.ts';
import { LogFile, type LogFileOptions } from './log-file.ts';

export type Logger = pino.Logger;

export interface LogOptions {
  readonly level: string;
  /** Where to write instead of stderr. */
  readonly file?: LogFileOptions | undefined;
}

export interface Log {
  readonly log: Logger;
  /** Opens the file anew, after somebody has moved it away; without one nothing happens. */
  readonly reopen: () => void;
}

/** What stderr does not take is kept up to this many bytes; a redirected one may be on a full disk. */
const STDERR_BYTES = 1024 * 1024;

/**
 * The level says what the operator must do: error = data is at risk, act; warn = recovers by itself; info = life.
 * Throws the system's error for a file that cannot be opened.
 */
export function createLog({ level, file }: LogOptions): Log {
  const settings = { level, base: null };
  if (file !== undefined) {
    const target = new LogFile(file);
    const reopen = (): void => {
      target.reopen();
    };
    return { log: pino(settings, target), reopen };
  }
  return { log: pino(settings, stderr()), reopen: () => {} };
}

function stderr(): pino.DestinationStream {
  if (process.stderr.isTTY) {
    const colorize = process.env['NO_COLOR'] === undefined;
    return pretty({
      destination: 2,
      sync: true,
      colorize,
      ignore: 'pid,hostname',
      translateTime: 'HH:MM:ss',
    });
  }
  const plain = pino.destination({ dest: 2, sync: true, maxLength: STDERR_BYTES });
  plain.on('error', (error: unknown) => {
    if (!isDiskFull(error)) throw error;
  });
  return plain;
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
