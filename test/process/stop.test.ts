// A stop ends by itself, with the right exit code and without a stack trace, also when nats-server is dead or answers
// nothing; and nothing that was written is lost by it. How long it takes: npm run bench -- stop.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended, fails, logs, stops } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** The server is alive and says nothing any more, as in a partition of the network; undone at the end of the world. */
function freeze(world: World): void {
  process.kill(world.server.pid, 'SIGSTOP');
}

function thaw(world: World): void {
  process.kill(world.server.pid, 'SIGCONT');
}

async function stopsWithout(daemon: Daemon): Promise<void> {
  await stops(daemon);
  assert.match(daemon.stderr, /nats-server does not answer; stopping without it/);
}

/** Both at work, with something committed and more on its way. */
async function atWork(world: World): Promise<{ file: Written; shipper: Daemon; receiver: Daemon }> {
  const file = new Written(world, 'a.log');
  for (let count = 0; count < 1_000; count += 1) file.line(1_000);
  const receiver = world.receive();
  const shipper = world.ship();
  await assertIdentical(world, [file]);
  return { file, shipper, receiver };
}

describe('stopping', { concurrency: 2 }, () => {
  test('nats-server is frozen: both end, and the next start has every byte', async () => {
    await World.run('stop-frozen', async (world) => {
      const { file, shipper, receiver } = await atWork(world);
      freeze(world);
      for (let count = 0; count < 1_000; count += 1) file.line(1_000);
      await Promise.all([stopsWithout(shipper), stopsWithout(receiver)]);
      thaw(world);
      const [again, other] = [world.ship(), world.receive()];
      await assertIdentical(world, [file]);
      await stops(again);
      await stops(other);
    });
  });

  test('nats-server is dead: both end, and the next start has every byte', async () => {
    await World.run('stop-dead', async (world) => {
      const { file, shipper, receiver } = await atWork(world);
      await world.server.kill();
      for (let count = 0; count < 1_000; count += 1) file.line(1_000);
      await Promise.all([stops(shipper), stops(receiver)]);
      await world.restartServer();
      const [again, other] = [world.ship(), world.receive()];
      await assertIdentical(world, [file]);
      await stops(again);
      await stops(other);
    });
  });

  test('the server comes back meanwhile', async () => {
    await World.run('stop-thawed', async (world) => {
      const { shipper, receiver } = await atWork(world);
      freeze(world);
      receiver.child.kill('SIGTERM');
      await logs(receiver, /^SIGTERM: stopping/);
      thaw(world);
      assert.equal(await ended(receiver), 0);
      await stops(shipper);
    });
  });

  test('with --once it has not done what it was to do: exit 1', async () => {
    await World.run('stop-once', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const shipper = world.ship(['--once']);
      // Nobody receives.
      await logs(shipper, /wait for a receiver to commit them/);
      freeze(world);
      shipper.child.kill('SIGTERM');
      await fails(shipper, /^logferry: stopped before all was committed: run it again/);
      assert.ok(shipper.stderr.includes('stopping without it'));
    });
  });

  test('a second SIGTERM ends it at once', async () => {
    await World.run('stop-twice', async (world) => {
      const { shipper, receiver } = await atWork(world);
      freeze(world);
      for (const daemon of [shipper, receiver]) {
        daemon.child.kill('SIGTERM');
        await logs(daemon, /^SIGTERM: stopping; a second one ends at once/);
        daemon.child.kill('SIGTERM');
        assert.equal(await ended(daemon), 143);
        assert.ok(!daemon.stderr.includes('stopping without it'));
      }
    });
  });

  test('standard input: what was in the pipe comes with the next start', async () => {
    await World.run('stop-stdin', async (world) => {
      const args = ['ship', '-', '--as', '/app.log', '--host', world.host, '--state', world.state];
      const start = (): Daemon =>
        world.start('piped', [...args, '--server', world.server.url, '--lease', '2s'], [], 'pipe');
      const receiver = world.receive();
      const first = start();
      let written = '';
      const write = (): void => {
        const line = `line ${written.length} ${'x'.repeat(500)}\n`;
        written += line;
        first.child.stdin?.write(line);
      };
      write();
      const arrived = async (): Promise<boolean> =>
        (await central(world.out, world.host, '/app.log')).toString() === written;
      assert.ok(await until(arrived, { timeoutMs: WAIT_MS }));
      freeze(world);
      for (let count = 0; count < 100; count += 1) write();
      await stopsWithout(first);
      thaw(world);
      const second = start();
      second.child.stdin?.end();
      assert.equal(await ended(second), 0, second.stderr);
      assert.ok(await arrived());
      await stops(receiver);
    });
  });

  test('while it waits for the host name, and before there was any connection', async () => {
    await World.run('stop-waiting', async (world) => {
      const first = world.ship();
      await until(() => first.stderr.includes('no file matches'), { timeoutMs: WAIT_MS });
      const state = ['--state', `${world.state}-2`];
      const second = world.ship([...state, '--lease', '60s']);
      await logs(second, /is held by a process/);
      freeze(world);
      await stops(second);
      const third = world.ship(['--state', `${world.state}-3`, '--server', 'nats://127.0.0.1:1']);
      await logs(third, /cannot reach nats-server/);
      await stops(third);
      thaw(world);
      await stops(first);
    });
  });
});
