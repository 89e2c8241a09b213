// SIGHUP: the configuration file is read again, and what may change while a daemon runs changes. A file that would be
// refused at the start changes nothing. Never touches what needs a restart: it says so.

import { oneLine } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import type { Setting } from './setting.ts';
import type { Settings } from './settings.ts';
import type { CommandLine } from '../flags/flag.ts';

/** The keys that change while a shipper runs, and those below them. */
export const SHIP_CHANGES: readonly string[] = ['ship.sources', 'ship.max-rate', 'log.level'];

/** The same of a receiver. */
export const RECEIVE_CHANGES: readonly string[] = [
  ...['age', 'count', 'size', 'total'].map((what) => `receive.keep-${what}`),
  ...[
    'receive.compress',
    'receive.give-up-after',
    'receive.rotate-size',
    'receive.rotate-interval',
    'log.level',
  ],
];

export interface Reload<O> {
  /** Reads everything again. Throws `usage`. */
  readonly read: () => Promise<Settings<O>>;
  /** The keys that may change. */
  readonly changes: readonly string[];
  readonly apply: (options: O) => void;
  /** What is done around it, for whoever wants to know when it is read again. */
  readonly around: (read: () => Promise<void>) => Promise<void>;
  /** It ends by itself: nothing changes meanwhile. */
  readonly once: boolean;
}

/** Reads again at each SIGHUP, one after the other; without a file it ends the process, as when a terminal is closed. */
export function reloadOnHangup<O>(
  line: CommandLine,
  start: Settings<O>,
  log: Logger,
  reload: Reload<O>,
): void {
  let now: readonly Setting[] = start.settings;
  let reading: Promise<void> = Promise.resolve();
  const { config } = line.flags;
  if (typeof config !== 'string') return;
  process.on('SIGHUP', () => {
    if (reload.once) {
      log.info('SIGHUP: ignored, with --once nothing changes on the way');
      return;
    }
    const read = async (): Promise<void> => {
      try {
        const next = await reload.read();
        now = take(now, next, log, reload, config);
      } catch (error) {
        log.error(`SIGHUP: ${oneLine(error)}; what was in force stays`);
      }
    };
    reading = reading.then(async () => {
      await reload.around(read);
    });
  });
}

/**
 * Opens the log file anew at each SIGUSR2, and at SIGHUP where that does not end the process: whoever has moved it away
 * need not wait until that is noticed.
 */
export function reopenOnSignals({ flags }: CommandLine, log: Logger, reopen: () => void): void {
  process.on('SIGUSR2', () => {
    reopen();
    log.info('SIGUSR2: the log goes on here');
  });
  if (typeof flags['config'] === 'string') process.on('SIGHUP', reopen);
}

/** Applies what may change; returns what is in force then. */
function take<O>(
  now: readonly Setting[],
  next: Settings<O>,
  log: Logger,
  { changes, apply }: Reload<O>,
  file: string,
): readonly Setting[] {
  for (const warning of next.warnings) log.warn(warning);
  const mayChange = (key: string): boolean => changes.some((one) => key === one || key.startsWith(`${one}[`));
  const different = differences(now, next.settings);
  const changed = different.filter(mayChange);
  const stays = different.filter((key) => !changed.includes(key));
  if (stays.length > 0)
    log.warn(`SIGHUP: ${stays.join(', ')} changed in ${file}: needs a restart, stays as it was`);
  if (changed.length > 0) {
    log.level = next.log.logLevel;
    apply(next.options);
  }
  log.info(
    { changed },
    changed.length === 0
      ? `SIGHUP: read ${file} again, nothing to change`
      : `SIGHUP: read ${file} again, changed ${changed.join(', ')}`,
  );
  const isNext = ({ key }: Setting): boolean => mayChange(key);
  return [...now.filter((one) => !isNext(one)), ...next.settings.filter(isNext)];
}

/** The keys whose values differ; a place in the file that differs is no change. */
function differences(before: readonly Setting[], after: readonly Setting[]): string[] {
  const text = ({ value }: Setting): string => JSON.stringify(value) ?? '';
  const old = new Map(before.map((one) => [one.key, text(one)]));
  const keys = after.filter((one) => old.get(one.key) !== text(one)).map(({ key }) => key);
  const known = new Set(after.map(({ key }) => key));
  return [...keys, ...before.filter(({ key }) => !known.has(key)).map(({ key }) => key)];
}
