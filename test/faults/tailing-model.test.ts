// The model of tailing: a hundred and more steps, drawn from a seed, of a writer, its rotations, the shipper and
// nats-server; then every byte at the destination is compared with what was written.

import { test, type TestContext } from 'node:test';

import { TEST_MS } from '../support/timeouts.ts';
import type { Step, Style } from './tailing/plan.ts';
import { play } from './tailing/play.ts';
import { baseSeed } from '../support/seed.ts';
import { World } from '../support/world.ts';

const SEEDS = 3;
const STEPS = 120;

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
async function part(t: TestContext, title: string, run: () => Promise<void>): Promise<void> {
  const outcome = Promise.withResolvers<void>();
  await t.test(title, async () => {
    const running = run();
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
          await play(world, { name: `sequence${index}`, styles: [style], plan });
        });
      for (let index = 0; index < SEEDS; index += 1) {
        const seed = baseSeed() * SEEDS + index;
        await part(t, `${STEPS} steps of seed ${seed}`, async () => {
          await play(world, { name: `seed${seed}`, seed, steps: STEPS });
        });
      }
    });
  },
);
