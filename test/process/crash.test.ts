// SIGKILL at seeded random moments, each while bytes are published and not committed; then every byte is compared.

import { test } from 'node:test';

import { sleep } from '../../common/runtime/run.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const KILLS = Number(process.env['LOGFERRY_TEST_KILLS'] ?? 10);

type Victim = 'shipper' | 'receiver' | 'nats-server' | 'all';

const PLAIN = ['--rotate-size', '200KiB'];
/** Compressed, segments of about as many bytes. */
const ZSTD = ['--rotate-size', '20KiB', '--format', 'zstd'];

async function crash(
  victim: Victim,
  seed: number,
  rotate: 'rename' | 'copytruncate',
  receive = PLAIN,
  kills = KILLS,
): Promise<void> {
  await World.run(`crash-${victim}`, async (world) => {
    const rand = random(seed);
    const files = ['a.log', 'b.log', 'c.log'].map((name) => new Written(world, name));
    for (const file of files) file.line();
    let receiver: Daemon = world.receive(receive);
    let shipper: Daemon = world.ship();
    // What was rotated away before the very first start is named by no glob, and not shipped.
    await assertIdentical(world, files);
    const writer = new Writer(files, rand, { rotate });
    for (let kill = 1; kill <= kills; kill += 1) {
      await sleep(200 + rand() * 800);
      const inFlight = await world.inFlight();
      const restart = async (): Promise<void> => await sleep(rand() * 300);
      if (victim === 'shipper' || victim === 'all') await shipper.kill();
      if (victim === 'receiver' || victim === 'all') await receiver.kill();
      if (victim === 'nats-server' || victim === 'all') await world.server.kill();
      console.log(
        `# ${victim} killed, ${kill} of ${kills}, seed ${seed}, with ${inFlight} messages in flight`,
      );
      await restart();
      if (victim === 'nats-server' || victim === 'all') await world.restartServer();
      if (victim === 'receiver' || victim === 'all') receiver = world.receive(receive);
      if (victim === 'shipper' || victim === 'all') shipper = world.ship();
    }
    await writer.stop();
    await assertIdentical(world, files);
  });
}

for (const [index, victim] of (['shipper', 'receiver', 'nats-server', 'all'] as const).entries())
  test(
    `SIGKILL of ${victim} loses nothing, repeats nothing, keeps the order`,
    { timeout: TEST_MS },
    async () => {
      await crash(victim, baseSeed() * 100 + index, 'rename');
    },
  );

test(
  'copytruncate while receivers are killed: the copy gives what the shipper had not read yet',
  { timeout: TEST_MS },
  async () => {
    await crash('receiver', baseSeed() * 100 + 4, 'copytruncate');
  },
);

test('SIGKILL of all with --format zstd: each file is whole frames again', { timeout: TEST_MS }, async () => {
  await crash('all', baseSeed() * 100 + 5, 'rename', ZSTD, Math.ceil(KILLS / 2));
});
