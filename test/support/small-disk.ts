// A disk that is full when a test says so: a tmpfs with a ballast file, where this process may mount one; otherwise a
// limit for the size of each file, which makes a receiver's writes fail in much the same way.

import { spawnSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { rm, stat, statfs, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { systemCode } from '../../common/runtime/errors.ts';
import { until } from '../../common/runtime/run.ts';
import { STATE_DIRECTORY } from '../../receiver/ledger/names.ts';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;

const mounted = new Set<string>();
process.once('exit', () => {
  for (const directory of mounted) spawnSync('umount', ['-l', directory]);
});

/** A tmpfs that was mounted here; nothing else is ever unmounted. */
export class SmallDisk {
  readonly directory: string;
  readonly #ballast: string;

  private constructor(directory: string) {
    this.directory = directory;
    // Not among the data, whose bytes the tests count.
    this.#ballast = path.join(directory, STATE_DIRECTORY, 'ballast');
  }

  /** Whether this process may mount anything; tried, since root in a container may not. */
  static canMount(): boolean {
    const directory = mkdtempSync(path.join(tmpdir(), 'logferry-mount-'));
    const { status } = spawnSync('mount', ['-t', 'tmpfs', 'logferry-test', directory]);
    if (status === 0) spawnSync('umount', [directory]);
    rmdirSync(directory);
    return status === 0;
  }

  /** Undefined where this process may not mount anything. */
  static mount(directory: string): SmallDisk | undefined {
    mkdirSync(directory, { recursive: true });
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'logferry-test', directory]);
    if (status !== 0) return undefined;
    mounted.add(directory);
    mkdirSync(path.join(directory, STATE_DIRECTORY), { mode: 0o700 });
    return new SmallDisk(directory);
  }

  /** Grows the ballast until at most so many bytes are left. */
  async leave(bytes: number): Promise<void> {
    const block = randomFillSync(Buffer.alloc(256 * 1024));
    for (;;) {
      const more = (await this.free()) - bytes;
      if (more < 4096) return;
      try {
        await writeFile(this.#ballast, block.subarray(0, Math.min(more, block.length)), { flag: 'a' });
      } catch (error) {
        if (systemCode(error) !== 'ENOSPC') throw error;
      }
    }
  }

  /** Lets so many bytes of the ballast go. */
  async giveBack(bytes: number): Promise<void> {
    await truncate(this.#ballast, Math.max(0, (await stat(this.#ballast)).size - bytes));
  }

  /** No ballast any more. */
  async empty(): Promise<void> {
    await rm(this.#ballast);
  }

  async free(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory);
    return bavail * bsize;
  }

  async unmount(): Promise<void> {
    const isGone = (): boolean => spawnSync('umount', [this.directory]).status === 0;
    if (!(await until(isGone, { timeoutMs: 2_000, everyMs: 100 })))
      spawnSync('umount', ['-l', this.directory]);
    mounted.delete(this.directory);
  }
}
