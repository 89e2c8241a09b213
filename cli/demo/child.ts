// Another logferry process that is kept running: started again when it dies, stopped when the signal fires. Never
// outlives this process: it stops when the channel to its parent breaks.

import { spawn } from 'node:child_process';

import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { sleep } from '../../common/runtime/run.ts';

const PAUSE_MS = 1_000;

/** Longer than any clean stop takes. */
const STOP_TIMEOUT_MS = 20_000;

/** Runs `logferry <args>` until the signal fires and it has stopped. Throws `failed` when it refuses its arguments. */
export async function keepRunning(
  what: string,
  args: readonly string[],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const end = await runOnce(args, (pid) => log.info({ pid }, `${what} started`), signal);
    if (signal.aborted) return;
    // It has said why on stderr, and would say the same again.
    if (end === 'code 2') throw new LogferryError('failed', `${what} refuses to start`);
    log.warn(`${what} ended with ${end}; starting it again in ${PAUSE_MS / 1_000} s`);
    await sleep(PAUSE_MS, signal);
  }
}

async function runOnce(
  args: readonly string[],
  onStart: (pid: number) => void,
  signal: AbortSignal,
): Promise<string> {
  const [, entry] = process.argv;
  if (entry === undefined) throw new Error('BUG: a process without a script');
  // A process group of its own: Ctrl-C is for this process, which stops its children in order.
  const child = spawn(process.execPath, [...process.execArgv, entry, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let killer: NodeJS.Timeout | undefined;
  const stop = (): void => {
    child.kill('SIGTERM');
    killer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      child.once('spawn', () => {
        onStart(child.pid ?? 0);
      });
      child.once('error', reject);
      child.once('exit', (code, name) => {
        resolve(name ?? `code ${code}`);
      });
    });
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(killer);
  }
}
