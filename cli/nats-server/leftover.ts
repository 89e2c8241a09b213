// Before a nats-server starts on a directory: is one still running there? JetStream does not lock its store, and two
// servers on one store destroy it. Never touches a process that was not started with this configuration file.

import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { LogferryError, systemCode } from '../../common/runtime/errors.ts';
import { run } from './binary.ts';
import { until } from '../../common/runtime/run.ts';

const STOP_TIMEOUT_MS = 10_000;

/**
 * Ends the server that a killed logferry has left on this directory, and removes the ports files of dead ones. Throws
 * `busy` when the server there still belongs to a living process.
 */
export async function clearLeftover(
  directory: string,
  configFile: string,
  say: (line: string) => void,
): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = Number(/_(\d+)\.ports$/.exec(name)?.[1]);
    if (Number.isNaN(pid)) continue;
    const found = await processOf(pid);
    if (found?.command.includes(configFile) === true) {
      // A process whose parent dies gets another one, so the recorded parent is the parent only while it lives.
      if (found.parent === (await starterOf(configFile)))
        throw new LogferryError(
          'busy',
          `a nats-server (process ${pid}) runs on ${directory} already`,
          `it belongs to process ${found.parent}: stop that, or use another directory`,
        );
      say(`ending the nats-server (process ${pid}) that was left running on ${directory}`);
      await end(pid);
    }
    await rm(join(directory, name), { force: true });
  }
}

/** The first line of a configuration, which names the process that starts the server. */
export function starterLine(pid: number): string {
  return `# started by process ${pid}`;
}

async function starterOf(configFile: string): Promise<number | undefined> {
  try {
    const pid = /^# started by process (\d+)$/m.exec(await readFile(configFile, 'utf8'))?.[1];
    return pid === undefined ? undefined : Number(pid);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function end(pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (systemCode(error) === 'ESRCH') return;
      throw error;
    }
    const gone = async (): Promise<boolean> => (await processOf(pid)) === undefined;
    if (await until(gone, { timeoutMs: STOP_TIMEOUT_MS })) return;
  }
  throw new LogferryError('busy', `process ${pid} does not end`, `end it: kill -9 ${pid}`);
}

interface Process {
  readonly parent: number;
  readonly command: string;
}

/** Undefined when there is no such process, or only the corpse of one. */
async function processOf(pid: number): Promise<Process | undefined> {
  if (process.platform === 'linux') {
    try {
      // proc_pid_stat(5): after the name in brackets come the state and the parent. A zombie's command is empty.
      const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ');
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
      return command === '' ? undefined : { parent: Number(fields[1]), command };
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT' || code === 'ESRCH') return undefined;
      throw error;
    }
  }
  try {
    const line = (await run('ps', ['-o', 'ppid=,command=', '-p', String(pid)])).stdout;
    const match = /^\s*(\d+)\s+(.*)/.exec(line);
    return match === null ? undefined : { parent: Number(match[1]), command: match[2] ?? '' };
  } catch (error) {
    // ps ends with 1 when there is no such process.
    if (error instanceof Error && 'code' in error && error.code === 1) return undefined;
    throw error;
  }
}
