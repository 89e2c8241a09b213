// The last lines of each file that has written lately: found among however many others, and never at any price.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readBack } from '../../cli/tail/back.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { selectionOf } from '../../common/fleet/selection.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { count, printed, Publisher, setUp, tailed } from '../support/tailed.ts';
import { random } from '../support/seed.ts';
import { World } from '../support/world.ts';
import { PARTITIONS } from '../support/tuned.ts';

test(
  'the last lines of files that are asked for are found far back, and beside many other files',
  { timeout: TEST_MS },
  async () => {
    await World.run('tail-back', async (world) => {
      await setUp(world);
      const quiet = new Publisher(world, 'web1', '/quiet.log');
      for (let line = 0; line < 20; line += 1) await quiet.data(line * 8, `quiet ${line % 10}\n`);
      const noisy = noise(7, 200_000);
      const busy = new Publisher(world, 'web2', '/busy.log');
      for (let chunk = 0; chunk < 40; chunk += 1) await busy.data(chunk * 200_000, noisy);
      const files = Array.from({ length: 100 }, (_, index) => new Publisher(world, `h${index}`, '/x.log'));
      await Promise.all(files.map(async (file) => await file.data(0, 'a\nb\nc\n')));
      const out = await printed(world, '-n', '2', '--exclude', '/busy.log');
      const wanted = ['web1 /quiet.log | quiet 8', 'web1 /quiet.log | quiet 9'];
      const lines = out.trimEnd().split('\n');
      assert.equal(lines.length, 202);
      assert.deepEqual(lines.slice(0, 2), wanted, 'in the order of the stream');
      assert.equal(
        await printed(world, '-n', '30', '--path', '/quiet.log').then((text) => count(text, '\n')),
        20,
      );
      const { stdout } = await tailed(
        world,
        '--no-follow',
        '-n',
        '3',
        '--host',
        'web*',
        '--path',
        '/quiet.log',
      );
      assert.equal(count(stdout, '\n'), 3);
    });
  },
);

test('a file that has not written for long is shown only to who asks for it', async () => {
  await World.run('tail-lately', async (world) => {
    await setUp(world);
    const old = new Publisher(world, 'web1', '/old.log');
    await old.data(0, 'old\n');
    const busy = new Publisher(world, 'web2', '/busy.log');
    for (let chunk = 0; chunk < 40; chunk += 1)
      await busy.data(chunk * 100_001, `${noise(chunk, 100_000)}\n`);
    // Fewer lines than are wanted, but all that it ever had: no reason to look further.
    const young = new Publisher(world, 'web3', '/young.log');
    await young.data(0, 'young\n');
    const lines = async (...args: readonly string[]): Promise<string[]> =>
      (await printed(world, '-n', '3', ...args)).split('\n').map((line) => line.slice(0, 12));
    assert.deepEqual(await lines(), [...Array(3).fill('web2 /busy.l'), 'web3 /young.', '']);
    for (const asked of [
      ['--path', '/old.log'],
      ['--host', 'web1'],
    ])
      assert.deepEqual(await lines(...asked), ['web1 /old.lo', '']);
    assert.deepEqual(await lines('--host', 'web1', '--host', 'web3'), ['web1 /old.lo', 'web3 /young.', '']);
  });
});

test('no more is read than is allowed: what was found is shown, and how many files lack lines is known', async () => {
  await World.run('tail-bound', async (world) => {
    await setUp(world);
    const quiet = new Publisher(world, 'web1', '/quiet.log');
    const sizes = [400_000, 1_000, 1_000, 1_000];
    let start = 0;
    for (const [index, size] of sizes.entries()) {
      await quiet.data(start, `${index} ${noise(index, size)}\n`);
      start += size + 3;
      const busy = new Publisher(world, 'web2', `/busy-${index}.log`, `b-${index}`);
      for (let chunk = 0; chunk < 10; chunk += 1)
        await busy.data(chunk * 100_001, `${noise(chunk, 100_000)}\n`);
    }
    const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
    world.atEnd(async () => {
      await link.close();
    });
    const info = await streamInfo(link, 'LOGS');
    assert.ok(info !== undefined);
    const back = async (lines: number, mostBytes: number, host = 'web1'): Promise<string[]> => {
      const found = await readBack(
        link,
        {
          ...{ topology: { stream: 'LOGS', prefix: 'logs', partitions: PARTITIONS }, prefix: 'logs' },
          ...{ selection: selectionOf([host], ['/quiet.log'], []), log: silentLogger(), since: undefined },
          ...{ state: info.state, isEnd: true, readBytes: 1024 * 1024, lines, mostBytes },
        },
        new AbortController().signal,
      );
      assert.ok(found !== undefined && !found.isCut);
      const first = found.blocks.map(({ bytes }) => Buffer.from(bytes).toString('latin1', 0, 1));
      return [...first, found.isUnseen ? 'unseen' : `${found.unfinished} unfinished`];
    };
    assert.deepEqual(await back(2, 100_000_000), ['2', '3', '0 unfinished']);
    assert.deepEqual(await back(9, 100_000_000), ['0', '1', '2', '3', '0 unfinished']);
    // The first line alone is more than that.
    const bounded = await back(9, 100_000);
    assert.equal(bounded.at(-1), '1 unfinished');
    assert.ok(!bounded.includes('0') && bounded.includes('3'), bounded.join());
    // Among the messages of all hosts, and of a host that has no such file.
    assert.deepEqual(await back(2, 100_000_000, '*'), ['2', '3', '0 unfinished']);
    assert.deepEqual(await back(2, 100_000, '*'), ['unseen']);
    assert.deepEqual(await back(2, 100_000, 'web2'), ['unseen']);
    assert.deepEqual(await back(2, 100_000_000, 'web2'), ['0 unfinished']);
  });
});

/** So many characters that compress badly, without a newline. */
function noise(seed: number, length: number): string {
  const next = random(seed);
  return Array.from({ length }, () => String.fromCharCode(48 + Math.floor(next() * 70))).join('');
}
