// The model of tailing: a hundred and more steps, drawn from a seed, of a writer, its rotations, the shipper and
// nats-server; then every byte at the destination is compared with what was written.

import { test, type TestContext } from 'node:test';

import { TEST_MS } from '../support/timeouts.ts';
import type { Step, Style } from './tailing/plan.ts';
import { type FileSystem, FILE_SYSTEMS, hasBirths, Places, whyNoneOf } from './tailing/file-systems.ts';
import { historyOf, inTurns, withoutOpen } from './tailing/history.ts';
import { play } from './tailing/play.ts';
import { playHistory, RealSite } from './tailing/real-site.ts';
import { baseSeed } from '../support/seed.ts';
import { World } from '../support/world.ts';

const SEEDS = 3;
const STEPS = 120;
/** Of histories on each file system; test/faults/tailing/run.ts plays more of them. */
const HISTORIES = 3;
const HISTORY_STEPS = 30;
const AT_ONCE = 4;

/** What once went wrong, as short as it can be: all within one look at the file. */
const SEQUENCES: readonly { title: string; style: Style; actions: readonly Step['action'][] }[] = [
  {
    title: 'a rotated file that is compressed at once comes once',
    style: 'rename',
    actions: ['lines', 'rename', 'compress', 'lines'],
  },
  { title: 'truncated, and as many bytes written again', style: 'truncate', actions: ['truncate'] },
  {
    title: 'truncated, and more written again: nothing was lost, and no loss is reported',
    style: 'truncate',
    actions: ['truncate', 'long'],
  },
  {
    title: 'truncated before it was read: what was lost is reported',
    style: 'truncate',
    actions: ['server down', 'long', 'wait', 'truncate', 'lines', 'server up'],
  },
  {
    title:
      'found empty, shipped, killed before that was saved, copied and truncated: the copy goes on where it was',
    style: 'copytruncate',
    actions: [
      ...['stop', 'start a process', 'settle', 'copytruncate', 'wait'],
      ...['lines', 'settle', 'kill', 'lines', 'copytruncate', 'lines', 'start'],
    ] as Step['action'][],
  },
];

/** Throws what a failed part throws, so that the world is kept. */
async function part(
  t: TestContext,
  title: string,
  run: (skip: (why: string) => void) => Promise<void>,
): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  await t.test(title, async (own) => {
    const running = run((why) => {
      own.skip(why);
    });
    outcome.resolve(running);
    await running;
  });
  await outcome.promise;
}

test(
  'whatever happens to the files of a host, every byte arrives in order',
  { timeout: TEST_MS },
  async (t) => {
    await World.run('tailing', async (world) => {
      world.receive(['--rotate-size', '500KiB']);
      for (const [index, { title, style, actions }] of SEQUENCES.entries())
        await part(t, title, async () => {
          const plan = actions.map((action) => ({
            action,
            file: 0,
            share: 0.3,
            pauseMs: action === 'wait' ? 1_500 : 0,
          }));
          const name = `sequence${index}`;
          await play(await RealSite.at(world, name), { name, styles: [style], plan });
        });
      for (let index = 0; index < SEEDS; index += 1) {
        const seed = baseSeed() * SEEDS + index;
        await part(t, `${STEPS} steps of seed ${seed}`, async () => {
          const name = `seed${seed}`;
          await play(await RealSite.at(world, name), { name, seed, steps: STEPS });
        });
      }
    });
  },
);

test('histories on each file system', { timeout: TEST_MS, concurrency: true }, async (t) => {
  await World.run('histories', async (world) => {
    world.receive(['--rotate-size', '500KiB']);
    const places = new Places(world.dir);
    try {
      const seeds = Array.from({ length: HISTORIES }, (_, index) => baseSeed() * HISTORIES + index);
      const all = FILE_SYSTEMS.flatMap((name) => seeds.map((seed) => historyOf(name, seed, HISTORY_STEPS)));
      await inTurns(all, AT_ONCE, async (history) => {
        const { fileSystem, seed, styles } = history;
        await part(t, `${fileSystem}, seed ${seed}: ${styles.join(', ')}`, async (skip) => {
          const why = whyNoneOf(fileSystem as FileSystem);
          if (why === undefined)
            await playHistory(world, places, withoutOpen(history, hasBirths(fileSystem)));
          else skip(why);
        });
      });
    } finally {
      places.end();
    }
  });
});
