// File systems that tell little about a file: one without birth times, and one that gives a file another birth when it is
// written to. Each is mounted for one test, and unmounted at its end, however that ends.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestContext } from 'node:test';

import { SmallDisk } from '../../support/small-disk.ts';
import type { CaseHost, Cases } from '../cases/tailing.ts';

const DISK_BYTES = 16 * 1024 * 1024;

/** What is mounted, in the order in which it was. */
export class Mounts {
  readonly #directories: string[] = [];
  readonly #images: string[] = [];

  /** An ext4 whose inodes have 128 bytes: no room for births, and the lowest free number comes next. */
  smallInodes(directory: string, bytes = DISK_BYTES): void {
    const image = `${directory}.img`;
    mkdirSync(path.dirname(directory), { recursive: true });
    writeFileSync(image, '');
    truncateSync(image, bytes);
    this.#images.push(image);
    run('mkfs.ext4', '-q', '-I', '128', '-O', '^has_journal', image);
    mkdirSync(directory);
    this.#mount(directory, '-o', 'loop', image);
    // The owner of a new file system may write here.
    rmSync(path.join(directory, 'lost+found'), { recursive: true });
  }

  /** The content of `lower`, which stays as it is: what is written goes to a copy. */
  overlay(directory: string, lower: string): void {
    const [upper, work] = [`${directory}.upper`, `${directory}.work`];
    for (const each of [directory, upper, work]) mkdirSync(each, { recursive: true });
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    this.#mount(directory, '-t', 'overlay', 'logferry-test', '-o', options);
  }

  /** Only memory. */
  memory(directory: string): void {
    mkdirSync(directory, { recursive: true });
    this.#mount(directory, '-t', 'tmpfs', 'logferry-test');
  }

  #mount(directory: string, ...args: readonly string[]): void {
    run('mount', ...args, directory);
    this.#directories.push(directory);
  }

  end(): void {
    for (const directory of this.#directories.toReversed())
      if (spawnSync('umount', [directory]).status !== 0) spawnSync('umount', ['-l', directory]);
    for (const image of this.#images) rmSync(image, { force: true });
  }
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

/** Why nothing can be mounted here, undefined where it can. */
export function whyNot(): string | undefined {
  if (!SmallDisk.canMount()) return 'this process may not mount anything';
  if (spawnSync('mkfs.ext4', ['-V']).status !== 0) return 'there is no mkfs.ext4';
  return spawnSync('losetup', ['-f']).status === 0 ? undefined : 'there is no loop device';
}

/** On a host of its own, and with mounts that end after it. */
export async function mounted(
  t: TestContext,
  cases: Cases,
  name: string,
  test: (host: CaseHost, mounts: Mounts) => Promise<void>,
): Promise<void> {
  const why = whyNot();
  if (why !== undefined) {
    t.skip(why);
    return;
  }
  const mounts = new Mounts();
  try {
    await cases.on(name, async (host) => {
      await test(host, mounts);
    });
  } finally {
    mounts.end();
  }
}
