// Many more destinations than descriptors: each is closed and opened again many times, the receiver is killed on the
// way, and every byte is where it belongs.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';

import { contentOf, SimulatedHosts } from '../../bench/simulated-hosts.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { sleep, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { bytesIn, central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';

/** Room for 22 destinations. */
const DESCRIPTORS = 300;
const HOSTS = 60;
const FILES_EACH = 4;
const ROUNDS = 12;

/** A command that runs another with few descriptors. */
const FEW = ['bash', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'bash'];

function receiveWithFew(world: World): Daemon {
  return world.receive(['--rotate-size', '16KiB'], world.out, FEW);
}

async function hostsOf(world: World): Promise<SimulatedHosts> {
  const setup = world.start('setup', ['setup', '--server', world.server.url]);
  assert.equal(await setup.exited, 0);
  const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
  world.atEnd(async () => {
    await link.close();
  });
  return new SimulatedHosts(link, 'logs', HOSTS, FILES_EACH, 4 * 1024);
}

function written({ files }: SimulatedHosts): number {
  return files.reduce((sum, file) => sum + file.bytes, 0);
}

async function descriptorsOf({ child }: Daemon): Promise<number> {
  return (await readdir(`/proc/${child.pid}/fd`).catch(() => [])).length;
}

test(
  '240 destinations with room for 22, the receiver killed on the way',
  { timeout: TEST_MS },
  async (context) => {
    await World.run('destinations', async (world) => {
      const hosts = await hostsOf(world);
      let receiver = receiveWithFew(world);
      let most = 0;
      for (let round = 1; round <= ROUNDS; round += 1) {
        await hosts.publishRound();
        await sleep(400);
        most = Math.max(most, await descriptorsOf(receiver));
        if (round % 4 !== 0) continue;
        await receiver.kill();
        receiver = receiveWithFew(world);
      }
      await until(async () => (await bytesIn([world.out])) >= written(hosts), {
        timeoutMs: WAIT_MS,
        everyMs: 200,
      });
      for (const file of hosts.files) {
        const got = await central(world.out, file.host, file.path);
        assert.ok(
          got.equals(contentOf(file, 0, file.bytes)),
          `${file.host} ${file.path}: ${got.length} of ${file.bytes}`,
        );
      }
      assert.equal(await bytesIn([world.out]), written(hosts));
      assert.ok(most > 0 && most < DESCRIPTORS, `${most} descriptors`);
      context.diagnostic(`at most ${most} descriptors were open at a look`);
    });
  },
);

test(
  'central files that nobody writes to are closed, and go on when somebody does',
  { timeout: TEST_MS },
  async () => {
    await World.run('idle-files', async (world) => {
      const hosts = await hostsOf(world);
      // One that is rotated by the clock waits for that.
      for (const [interval, mayClose] of [
        ['off', true],
        ['5s', true],
        ['1M', false],
      ] as const) {
        const receiver = world.receive(['--rotate-interval', interval]);
        for (let round = 0; round < (mayClose ? 3 : 1); round += 1) {
          await hosts.publishRound();
          const arrived = async (): Promise<boolean> => (await bytesIn([world.out])) >= written(hosts);
          assert.ok(await until(arrived, { timeoutMs: WAIT_MS, everyMs: 100 }));
          const closes = async (): Promise<boolean> => (await descriptorsOf(receiver)) < hosts.files.length;
          const closed = await until(closes, { timeoutMs: mayClose ? WAIT_MS : 5_000, everyMs: 100 });
          assert.equal(closed, mayClose, `${await descriptorsOf(receiver)} descriptors`);
        }
        assert.equal(await receiver.stop(), 0, receiver.stderr);
        assert.doesNotMatch(receiver.stderr, /"level":[456]0/);
      }
      for (const file of hosts.files) {
        const got = await central(world.out, file.host, file.path);
        assert.ok(got.equals(contentOf(file, 0, file.bytes)), `${file.host} ${file.path}: ${got.length}`);
      }
      assert.equal(await bytesIn([world.out]), written(hosts));
    });
  },
);
