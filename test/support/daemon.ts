// A logferry process of a test. What was started here is ended here, by pid.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

import { ENTRY } from './paths.ts';

/** Whom a process runs as; empty for this one's user. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** A logferry process. */
export class Daemon {
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly exited: Promise<number | null>;
  stdout = '';
  readonly #logFrom: number;

  /** @param through a command that runs the one behind it, with limits or as somebody else */
  constructor(
    args: readonly string[],
    logFile: string,
    identity: Identity = {},
    through: readonly string[] = [],
    stdin: 'ignore' | 'pipe' | number = 'ignore',
  ) {
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#logFrom = fstatSync(log).size;
    const [command = process.execPath, ...rest] = [...through, process.execPath, ENTRY, ...args];
    this.child = spawn(command, rest, { stdio: [stdin, 'pipe', log], ...identity });
    closeSync(log);
    this.child.stdout?.on('data', (data: Buffer) => {
      this.stdout += data.toString();
    });
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code) => {
        resolve(code);
      });
    });
    running.add(this);
    void this.exited.then(() => running.delete(this));
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** A clean stop. */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return await this.exited;
  }

  /** What was logged since this one was started. */
  get stderr(): string {
    return readFileSync(this.logFile).subarray(this.#logFrom).toString();
  }
}

const running = new Set<Daemon>();
process.once('exit', () => {
  for (const daemon of running) daemon.child.kill('SIGKILL');
});
