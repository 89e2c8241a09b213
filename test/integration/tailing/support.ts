// What the faults of tailing have in common: how each begins, and what others do to files.

import { readFileSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import type { SourceOptions } from '../../../shipper/options.ts';
import { plainSource } from '../../support/in-process.ts';
import type { CaseHost, Log } from '../cases/tailing.ts';

/** A quiet file is looked at more seldom after 4 seconds: a writer that pauses for longer. */
export const PAUSE_MS = 4_500;

/** A log whose first lines have arrived. */
export async function begin(host: CaseHost, name = 'app.log', glob = '*.log'): Promise<Log> {
  const log = host.log(name);
  log.lines(5);
  host.ship(glob);
  await host.arrives();
  return log;
}

/** One source with other options. */
export function source(host: CaseHost, options: Partial<SourceOptions>, glob = '*.log'): SourceOptions {
  return { ...plainSource([host.file(glob)]), ...options };
}

/** As gzip does it: the compressed file gets the time of the original, which goes. */
export function compress(file: string, to = `${file}.gz`): void {
  const { atime, mtime } = statSync(file);
  writeFileSync(to, gzipSync(readFileSync(file)));
  utimesSync(to, atime, mtime);
  unlinkSync(file);
}
