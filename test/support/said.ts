// What a logferry process said: log lines and the last line of one that gave up. Every test of bad input asks here, so
// none of them can overlook a stack trace.

import assert from 'node:assert/strict';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from './timeouts.ts';
import type { Daemon } from './daemon.ts';

const WARN = 40;

interface LogLine {
  readonly level: number;
  readonly msg: string;
}

/** Nothing but log lines, or one line that begins with the program's name; no stack trace, no warning of Node's. */
export function assertClear(daemon: Daemon): void {
  for (const line of lines(daemon))
    assert.ok(/^logferry: \S/.test(line) || logLine(line) !== undefined, `not a clear line: ${line}`);
  assert.equal(daemon.stdout, '', 'stdout is for data');
}

/** The messages of the log, in order; of the given level or above. */
export function messages(daemon: Daemon, level = 0): string[] {
  return lines(daemon)
    .map(logLine)
    .filter((line) => line !== undefined)
    .filter((line) => line.level >= level)
    .map(({ msg }) => msg);
}

/** How many partitions a receiver last said are its own. */
export function share(receiver: Daemon): number | undefined {
  return messages(receiver)
    .map((line) => /^(\d+) of \d+ partitions are this receiver's/.exec(line)?.[1])
    .filter((count) => count !== undefined)
    .map(Number)
    .at(-1);
}

/** Waits for a warning or an error of the log, and returns it. */
export async function warns(daemon: Daemon, pattern: RegExp, timeoutMs = WAIT_MS): Promise<string> {
  return await finds(
    daemon,
    () => messages(daemon, WARN).find((line) => pattern.test(line)),
    pattern,
    timeoutMs,
  );
}

/** Waits for any message of the log, and returns it. */
export async function logs(daemon: Daemon, pattern: RegExp, timeoutMs = WAIT_MS): Promise<string> {
  return await finds(daemon, () => messages(daemon).find((line) => pattern.test(line)), pattern, timeoutMs);
}

/** Waits for its end: exit 1 (or another) after one last line like this, which is returned. */
export async function fails(daemon: Daemon, pattern: RegExp, code = 1): Promise<string> {
  assert.equal(await ended(daemon), code, daemon.stderr);
  const last = lines(daemon).at(-1) ?? '';
  assert.match(last, pattern);
  assertClear(daemon);
  return last;
}

/** Stops it with SIGTERM: exit 0, and everything it ever said was clear. */
export async function stops(daemon: Daemon): Promise<void> {
  daemon.child.kill('SIGTERM');
  assert.equal(await ended(daemon), 0, daemon.stderr);
  assertClear(daemon);
}

/** Its exit code; null when it had to be killed because it did not end in time. */
export async function ended(daemon: Daemon): Promise<number | null> {
  const timer = setTimeout(() => {
    void daemon.kill();
  }, WAIT_MS);
  const code = await daemon.exited;
  clearTimeout(timer);
  return code;
}

async function finds(
  daemon: Daemon,
  find: () => string | undefined,
  pattern: RegExp,
  timeoutMs: number,
): Promise<string> {
  let found: string | undefined;
  await until(() => (found = find()) !== undefined, { timeoutMs, everyMs: 50 });
  assert.ok(found !== undefined, `${String(pattern)} was never said, but:\n${daemon.stderr}`);
  return found;
}

function lines(daemon: Daemon): string[] {
  return daemon.stderr.split('\n').filter((line) => line !== '');
}

function logLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  const value: unknown = JSON.parse(line);
  if (typeof value !== 'object' || value === null || !('level' in value) || !('msg' in value))
    return undefined;
  return typeof value.level === 'number' && typeof value.msg === 'string'
    ? { level: value.level, msg: value.msg }
    : undefined;
}
