// Three receivers are killed, paused, stopped and started at random, again and again, while twenty hosts ship and
// rotate, and while the segments are rotated and compressed. Then every source byte lies in exactly one place.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { Hosts } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Writer } from '../support/log-files.ts';

const ROUNDS = Number(process.env['LOGFERRY_TEST_KILLS'] ?? 6);
const EVENTS = ['kill', 'kill', 'pause', 'pause', 'stop'] as const;
/** Above and below the lease of 2 s. */
const LONGEST_PAUSE_MS = 4_000;

const VARIANTS = ['--compress off', '--compress gzip', '--compress zstd', '--format zstd'];

for (const variant of VARIANTS)
  test(
    `three receivers killed, paused and stopped at random, ${variant}`,
    { timeout: TEST_MS },
    async (context) => {
      const seed = baseSeed() * 100 + 60 + VARIANTS.indexOf(variant);
      await World.run('receivers', async (world) => {
        const rand = random(seed);
        const outs = [0, 1, 2].map((number) => path.join(world.dir, `out${number}`));
        const start = (number: number): Daemon =>
          world.receive(
            [
              '--rotate-size',
              variant.startsWith('--format') ? '10KiB' : '100KiB',
              ...variant.split(' '),
              '--id',
              `r${number}`,
            ],
            outs[number],
          );
        const receivers = outs.map((_, number) => start(number));
        const hosts = await Hosts.start(world, outs, 20);
        const writer = new Writer(hosts.files, rand, { rotate: 'rename', perTick: 4 });
        for (let round = 1; round <= ROUNDS; round += 1) {
          await sleep(200 + rand() * 1_500);
          const event = EVENTS[Math.floor(rand() * EVENTS.length)];
          const number = Math.floor(rand() * 3);
          const receiver = receivers[number]!;
          assert.ok(await until(async () => await world.isInFlight(), { timeoutMs: WAIT_MS, everyMs: 2 }));
          const ms = Math.round(rand() * LONGEST_PAUSE_MS);
          context.diagnostic(
            `${event} r${number} for ${ms} ms, ${round} of ${ROUNDS}, seed ${seed}, bytes in flight`,
          );
          if (event === 'pause') {
            receiver.child.kill('SIGSTOP');
            await sleep(ms);
            receiver.child.kill('SIGCONT');
            continue;
          }
          if (event === 'kill') await receiver.kill();
          else {
            const code = await receiver.stop();
            // A signal that comes before it could be caught ends it.
            assert.ok(code === 0 || receiver.stderr === '', `exit ${code}`);
          }
          await sleep(ms);
          receivers[number] = start(number);
        }
        await writer.stop();
        await assertShared(hosts.files, outs);
      });
    },
  );
