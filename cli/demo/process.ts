// A shipper or a receiver that `demo` starts, kills and starts again. Never outlives the demo: it stops when the
// channel to its parent breaks.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';

import { LogferryError } from '../../common/runtime/errors.ts';
import { until } from '../../common/runtime/run.ts';

/** Longer than any clean stop takes. */
const STOP_TIMEOUT_MS = 20_000;

/** Of a log: enough for its last line. */
const LOG_END_BYTES = 4_096;

/** `logferry <args>`, started any number of times, its log in one file. */
export class DemoProcess {
  readonly what: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  readonly #onFailure: (error: LogferryError) => void;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  /** @param onFailure told when it ends although nobody asked it to */
  constructor(
    what: string,
    args: readonly string[],
    logFile: string,
    onFailure: (error: LogferryError) => void,
  ) {
    this.what = what;
    this.#args = args;
    this.#logFile = logFile;
    this.#onFailure = onFailure;
  }

  start(): void {
    const [, entry] = process.argv;
    if (entry === undefined) throw new Error('BUG: a process without a script');
    const log = openSync(this.#logFile, 'a');
    // A process group of its own: Ctrl-C is for the demo, which ends its children in order.
    const child = spawn(process.execPath, [...process.execArgv, entry, ...this.#args], {
      detached: true,
      stdio: ['ignore', 'ignore', log, 'ipc'],
    });
    closeSync(log);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      const end = (how: string): void => {
        if (this.#child === child) {
          this.#child = undefined;
          void this.#fail(how);
        }
        resolve();
      };
      child.once('error', (error) => {
        end(error.message);
      });
      child.once('exit', (code, signal) => {
        end(signal ?? `code ${code}`);
      });
    });
  }

  /** SIGKILL at once; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#take()?.kill('SIGKILL');
    await this.#exited;
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    const child = this.#take();
    child?.kill('SIGTERM');
    let gone = false;
    void this.#exited.then(() => (gone = true));
    if (!(await until(() => gone, { timeoutMs: STOP_TIMEOUT_MS }))) child?.kill('SIGKILL');
    await this.#exited;
  }

  /** Whoever takes the child ends it: its end is no failure. */
  #take(): ChildProcess | undefined {
    const child = this.#child;
    this.#child = undefined;
    return child;
  }

  async #fail(how: string): Promise<void> {
    const last = await lastLine(this.#logFile);
    this.#onFailure(
      new LogferryError(
        'failed',
        `the ${this.what} ended with ${how}${last === '' ? '' : `, saying: ${last}`}`,
        `its log is ${this.#logFile}`,
      ),
    );
  }
}

async function lastLine(file: string): Promise<string> {
  const { size } = await stat(file);
  const handle = await open(file, 'r');
  try {
    const start = Math.max(0, size - LOG_END_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LOG_END_BYTES), 0, LOG_END_BYTES, start);
    const line = buffer.subarray(0, bytesRead).toString().trimEnd().split('\n').at(-1) ?? '';
    // The log is JSON lines, but for the last line of one that gave up.
    return /"msg":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? line;
  } finally {
    await handle.close();
  }
}
