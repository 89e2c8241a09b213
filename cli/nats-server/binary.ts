// What a nats-server binary is worth: where one lies on the PATH, whether it runs here and which version it is.
// Never fetches or starts one.

import { execFile } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

import { systemCode } from '../../common/runtime/errors.ts';

/** The oldest version with everything that logferry uses of JetStream. */
export const OLDEST_VERSION = '2.10';

/** A binary that answered `--version`. */
export interface ServerBinary {
  readonly path: string;
  /** Without the leading `v`: `2.12.1`. */
  readonly version: string;
}

/** Runs a program to its end with nothing on its stdin; rejects when it fails, with its stderr in the message. */
export const run = promisify(execFile);

/** Every executable file of that name in the environment's PATH, in its order. */
export async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const found: string[] = [];
  const file = process.platform === 'win32' ? `${name}.exe` : name;
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    if (directory === '') continue;
    const path = join(directory, file);
    if (await isExecutable(path)) found.push(path);
  }
  return found;
}

/** Asks the binary for its version; undefined when it does not run here (libc, architecture) or is something else. */
export async function versionOf(path: string, signal?: AbortSignal): Promise<string | undefined> {
  let answer: string;
  try {
    answer = (await run(path, ['--version'], { timeout: 10_000, ...(signal && { signal }) })).stdout;
  } catch {
    // Whatever the reason, the answer is the same: this one cannot be used.
    signal?.throwIfAborted();
    return undefined;
  }
  return /^nats-server: v(\d+\.\d+\.\d+[\w.+~-]*)/m.exec(answer)?.[1];
}

export function isNewEnough(version: string): boolean {
  return compareVersions(version, OLDEST_VERSION) >= 0;
}

/** Like a comparator for sort; compares the numbers only, so a pre-release counts as its release. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [numbers(left), numbers(right)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbers(version: string): number[] {
  return (/^[\d.]+/.exec(version)?.[0] ?? '').split('.').map(Number);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return false;
    throw error;
  }
}
