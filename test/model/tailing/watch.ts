// In place of shipper/discovery/watch.ts: tells of changes in the file system in memory, a little late, or not at all.

import path from 'node:path';

import type { WatchOptions } from '../../../shipper/discovery/watch.ts';
import { clock } from './clock.ts';
import { fileSystem } from './file-system.ts';

export { baseOfGlob, whyNotWatched } from '../../../shipper/discovery/watch.ts';

/** The longest that most events take to come, in milliseconds. */
const EVENT_MS = 5;

/** Whether events come at all: where the limits of inotify are reached, none do. */
let isTold = true;

export function tellChanges(isOn: boolean): void {
  isTold = isOn;
}

export function watchPaths({ globs, isShipped, onWritten, onNamed }: WatchOptions): {
  close: () => Promise<void>;
} {
  const { life } = clock;
  const own = fileSystem();
  const patterns = globs.map((pattern) => path.resolve(pattern));
  let isClosed = !isTold || life === undefined;
  const tell = async (change: 'change' | 'rename', file: string): Promise<void> => {
    await clock.latency(own.options.random, EVENT_MS);
    if (isClosed) return;
    if (change === 'change') onWritten(file);
    else if (isShipped(file) || patterns.some((pattern) => path.matchesGlob(file, pattern))) onNamed(file);
  };
  own.onChange = (change, file) => {
    if (!isClosed && life?.isOver === false)
      void clock.live(life, async () => {
        await tell(change, file);
      });
  };
  return {
    close: async () => {
      isClosed = true;
      await Promise.resolve();
    },
  };
}
