// A crash between any two steps of a rotation of a central file: the next start finds every listed byte by its inode,
// whatever it is called, cuts the rest, and goes on.

import assert from 'node:assert/strict';
import { appendFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { activeName, compressedName, segmentName } from '../../receiver/ledger/names.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { assertIdentical, assertShared } from '../support/compare.ts';
import { centralFiles } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

interface Crash {
  readonly title: string;
  /** What is on disk when the receiver is gone; `active` holds what was committed. */
  readonly leave: (active: string, segment: string) => Promise<void>;
}

const CRASHES: readonly Crash[] = [
  {
    title: 'written to, and not listed yet',
    leave: async (active) => {
      await appendFile(active, 'bytes that no ledger lists\n');
    },
  },
  { title: 'renamed, and no new file yet', leave: async (active, segment) => await rename(active, segment) },
  {
    title: 'renamed with bytes that are not listed, and no new file yet',
    leave: async (active, segment) => {
      await appendFile(active, 'bytes that no ledger lists\n');
      await rename(active, segment);
    },
  },
  {
    title: 'renamed, and a new file that is empty',
    leave: async (active, segment) => {
      await rename(active, segment);
      await writeFile(active, '');
    },
  },
  {
    title: 'renamed, and a new file with bytes that are not listed',
    leave: async (active, segment) => {
      await rename(active, segment);
      await writeFile(active, 'bytes that no ledger lists\n');
    },
  },
];

for (const format of ['plain', 'zstd'] as const)
  test(`a crash between any two steps of a rotation, in ${format}`, { timeout: TEST_MS }, async (context) => {
    await World.run('rotation', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receive = (): Daemon => world.receive(['--rotate-size', 'off', '--format', format]);
      let receiver = receive();
      world.ship();
      await assertShared([file], [world.out]);
      for (const [index, { title, leave }] of CRASHES.entries())
        await context.test(title, async () => {
          await receiver.kill();
          const destination = path.join(world.out, world.host, file.file);
          const active = activeName(destination, format);
          const plain = segmentName(path.basename(destination), new Date(), 1);
          const segment = format === 'plain' ? plain : compressedName(plain, format);
          await leave(active, path.join(path.dirname(active), segment));
          file.line();
          receiver = receive();
          await assertIdentical(world, [file]);
          // Committed too: the next crash leaves what was listed.
          await assertShared([file], [world.out]);
          const renamed = CRASHES.slice(0, index + 1).filter((crash) => crash.title.startsWith('renamed'));
          assert.equal((await centralFiles(world.out, world.host, file.file)).length, renamed.length + 1);
          assert.ok((await stat(active)).size > 0);
        });
    });
  });
