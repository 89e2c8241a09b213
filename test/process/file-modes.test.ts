// Whatever the umask, what holds state is for its owner alone: the state directory of a shipper, its spool, and a
// receiver's own directory. Central files follow --file-mode.

import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended, stops } from '../support/said.ts';
import { assertShared } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** Lets everybody do everything with what does not say otherwise. */
const OPEN = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];

/** What others may do something with, as `<octal mode> <path>`. */
async function openToOthers(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const names = [dir, ...entries.map((entry) => path.join(entry.parentPath, entry.name))];
  const open: string[] = [];
  for (const name of names) {
    // One of a second ago may have been a temporary one.
    const mode = (await stat(name).catch(() => undefined))?.mode ?? 0;
    if ((mode & 0o077) !== 0) open.push(`${(mode & 0o777).toString(8)} ${name}`);
  }
  return open;
}

/** Every file and directory below it, by kind of name. */
async function namesBelow(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).toSorted();
}

describe('who may read what', { concurrency: 2 }, () => {
  test('state, spool, ledgers, copies and locks are for their owner alone; central files follow --file-mode', async () => {
    await World.run('file-modes', async (world) => {
      const file = new Written(world, 'a.log');
      for (let count = 0; count < 200; count += 1) file.line(1_000);
      const own = path.join(world.out, '.logferry');
      const server = ['--server', world.server.url, '--lease', '2s'];
      const rotating = ['--rotate-size', '50KiB', '--compress', 'zstd', '--file-mode', '0644'];
      const receiver = world.start('out', ['receive', '--out', world.out, ...server, ...rotating], OPEN);
      const globs = [path.join(world.source, '*.log'), '--host', world.host];
      const shipper = world.start('ship', ['ship', ...globs, '--state', world.state, ...server], OPEN);
      await assertShared([file], [world.out]);
      const spooled = path.join(world.dir, 'spooled');
      const piped: Daemon = world.start(
        'piped',
        ['ship', '-', '--as', '/x', '--host', 'web2', '--state', spooled, ...server],
        OPEN,
        'pipe',
      );
      piped.child.stdin?.write('a line\n');
      await until(
        async () => (await namesBelow(spooled).catch(() => [])).some((name) => /spool\/.*\//.test(name)),
        {
          timeoutMs: WAIT_MS,
        },
      );
      for (const [dir, least] of [
        [world.state, /^(lock|state\.json)$/],
        [spooled, /^spool\//],
        [own, /^(lock|directory\.json|p\d\d\.ledger)$/],
      ] as const) {
        const names = await namesBelow(dir);
        assert.ok(
          names.some((name) => least.test(name)),
          `${dir} holds ${names.join(' ')}`,
        );
        assert.deepEqual(await openToOthers(dir), []);
      }
      const central = await stat(path.join(world.out, world.host, file.file));
      assert.equal(central.mode & 0o777, 0o644);
      piped.child.stdin?.end();
      assert.equal(await ended(piped), 0, piped.stderr);
      await stops(shipper);
      await stops(receiver);
      for (const dir of [world.state, spooled, own]) assert.deepEqual(await openToOthers(dir), []);
      file.close();
    });
  });
});
