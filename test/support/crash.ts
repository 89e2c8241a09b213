// Processes killed with SIGKILL at seeded random moments, each while bytes are published and not committed; then every
// byte is compared.

import { sleep } from '../../common/runtime/run.ts';
import { assertIdentical } from './compare.ts';
import type { Daemon } from './daemon.ts';
import { Writer, Written } from './log-files.ts';
import { random } from './seed.ts';
import { World } from './world.ts';

export const VICTIMS = ['shipper', 'receiver', 'nats-server', 'all'] as const;

export type Victim = (typeof VICTIMS)[number];

const PLAIN = ['--rotate-size', '200KiB'];
/** Compressed, segments of about as many bytes. */
export const ZSTD = ['--rotate-size', '20KiB', '--format', 'zstd'];

/** @param kills how often the victim is killed and started again */
export async function crash(
  victim: Victim,
  seed: number,
  rotate: 'rename' | 'copytruncate',
  kills: number,
  receive = PLAIN,
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
