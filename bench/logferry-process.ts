// A logferry process as a user would start it. Ends with this one, whatever happens.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { LogferryError } from '../common/runtime/errors.ts';

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url));

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export class LogferryProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #logFile: string;
  /** Its exit code, null for the end by a signal. */
  readonly exited: Promise<number | null>;

  /**
   * @param nodeFlags go before the program: a profiler's, say
   * @param mostDescriptors `ulimit -n` for it
   * @param stdout its output goes to the log file as well, or nowhere
   */
  constructor(
    args: readonly string[],
    logFile: string,
    nodeFlags: readonly string[] = [],
    mostDescriptors?: number,
    stdout: 'log' | 'nowhere' = 'log',
  ) {
    this.#logFile = logFile;
    const log = openSync(logFile, 'a');
    const [program = '', ...rest] = [...limited(mostDescriptors), ...nodeFlags, ENTRY, ...args];
    this.#child = spawn(program, rest, { stdio: ['ignore', stdout === 'log' ? log : 'ignore', log] });
    closeSync(log);
    this.pid = this.#child.pid ?? 0;
    running.add(this.#child);
    this.exited = new Promise((resolve) => {
      const end = (code: number | null): void => {
        running.delete(this.#child);
        resolve(code);
      };
      this.#child.once('exit', end);
      this.#child.once('error', () => {
        end(null);
      });
    });
  }

  /** Resolves when it has ended well. Throws `failed` otherwise, the signal's reason when that fires first. */
  async done(signal: AbortSignal): Promise<void> {
    const kill = (): void => {
      this.#child.kill('SIGKILL');
    };
    signal.addEventListener('abort', kill, { once: true });
    if (signal.aborted) kill();
    const code = await this.exited;
    signal.removeEventListener('abort', kill);
    signal.throwIfAborted();
    if (code !== 0)
      throw new LogferryError(
        'failed',
        `logferry ended with ${code ?? 'a signal'}`,
        `see ${this.#logFile} (--keep keeps it)`,
      );
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.exited;
  }

  /** What is in its log, of earlier ones as well that had the same. */
  get log(): string {
    return readFileSync(this.#logFile, 'utf8');
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exited;
  }
}

/** Node, through a shell that sets the limit and becomes it: the process id stays the same. */
function limited(mostDescriptors: number | undefined): string[] {
  if (mostDescriptors === undefined) return [process.execPath];
  return ['/bin/sh', '-c', `ulimit -n ${mostDescriptors} && exec "$0" "$@"`, process.execPath];
}
