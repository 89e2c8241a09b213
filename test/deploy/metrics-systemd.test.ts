// What systemd is told: through the real systemd-notify, into a socket like systemd's. Skipped where there is no
// systemd-notify, or no perl for the socket.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { tellSystemd } from '../../cli/daemon/systemd.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { STUCK_MS } from '../../common/health/pulse.ts';
import { until } from '../../common/runtime/run.ts';
import { Shown } from '../../common/health/shown.ts';
import { NotifySocket, whyNoNotify } from '../support/metrics/notify-socket.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { logs, messages, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const skip = whyNoNotify();

async function says(socket: NotifySocket, isSo: (said: readonly string[]) => boolean): Promise<void> {
  await until(() => isSo(socket.said), { timeoutMs: WAIT_MS });
  assert.ok(isSo(socket.said), socket.said.join('\n'));
}

function count(said: readonly string[], assignment: string): number {
  return said.filter((each) => each === assignment).length;
}

/** Runs a command as systemd runs the main process of a unit. */
function asUnit(socket: string, watchdogMs: number, more: readonly string[] = []): string[] {
  return ['env', `NOTIFY_SOCKET=${socket}`, `WATCHDOG_USEC=${watchdogMs * 1_000}`, ...more];
}

async function withSocket(name: string, run: (world: World, socket: NotifySocket) => Promise<void>) {
  await World.run(name, async (world) => {
    const socket = await NotifySocket.listen(path.join(world.dir, 'notify'));
    world.atEnd(async () => {
      await Promise.resolve(socket.close());
    });
    await run(world, socket);
  });
}

describe('systemd', { skip, concurrency: 2, timeout: TEST_MS }, () => {
  test('ready with the server, alive, reloading and stopping', async () => {
    await withSocket('systemd', async (world, socket) => {
      const config = path.join(world.dir, 'web1.yaml');
      const configure = (rate: string): void => {
        const sources = `[{paths: [${JSON.stringify(path.join(world.source, '*.log'))}]}]`;
        const ship = `{host: web1, state: ${world.state}, lease: 2s, max-rate: ${rate}, sources: ${sources}}`;
        writeFileSync(config, `server: {url: "${world.server.url}"}\nship: ${ship}\n`);
      };
      configure('10MB');
      await world.server.kill();
      const file = new Written(world, 'a.log');
      file.line();
      const shipper = world.start('ship', ['ship', '--config', config], asUnit(socket.file, 2_000));
      await says(socket, (said) => said.includes('STATUS=no connection to nats-server yet'));
      await says(socket, (said) => count(said, 'WATCHDOG=1') >= 2);
      assert.equal(count(socket.said, 'READY=1'), 0, 'not before there is a server');
      await world.restartServer();
      await says(socket, (said) => count(said, 'READY=1') === 1);
      await says(socket, (said) => said.some((each) => /^STATUS=shipping as web1: \d+ files$/.test(each)));
      world.receive();
      await assertIdentical(world, [file]);

      configure('20MB');
      const before = process.hrtime.bigint() / 1_000n;
      shipper.child.kill('SIGHUP');
      await logs(shipper, /^SIGHUP: read .* again, changed ship\.max-rate$/);
      await says(socket, (said) => count(said, 'READY=1') === 2);
      const { said } = socket;
      const at = said.indexOf('RELOADING=1');
      assert.ok(at > said.indexOf('READY=1') && at < said.lastIndexOf('READY=1'), said.join('\n'));
      const micros = BigInt(said[at + 1]?.replace('MONOTONIC_USEC=', '') ?? 0);
      assert.ok(micros >= before && micros <= process.hrtime.bigint() / 1_000n, 'the time of the reload');

      const alive = count(socket.said, 'WATCHDOG=1');
      await says(socket, (now) => count(now, 'WATCHDOG=1') > alive);
      await stops(shipper);
      await says(socket, (now) => now.join(' ').includes(' STOPPING=1 STATUS=stopping'));
      assert.equal(count(socket.said, 'READY=1'), 2);
    });
  });

  test('not alive while a part of the work is stuck', async () => {
    await withSocket('systemd-stuck', async (world, socket) => {
      const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
      const shown = new Shown<unknown>();
      shown.link = { ...link, awayAt: () => Number.NEGATIVE_INFINITY };
      let looks = 0;
      shown.waitsFor = () => {
        looks += 1;
        return undefined;
      };
      const silent = shown.pulse.begin('partition 3', performance.now() - 2 * STUCK_MS);
      const env = { ...process.env, NOTIFY_SOCKET: socket.file, WATCHDOG_USEC: '100000' };
      const systemd = tellSystemd(shown, () => 'at work', silentLogger(), env);
      // Each of which could have said it.
      assert.ok(await until(() => looks >= 6, { timeoutMs: WAIT_MS }));
      await systemd.reloading(async () => await Promise.resolve());
      await says(socket, (said) => count(said, 'READY=1') === 2);
      assert.ok(socket.said.includes('STATUS=at work'), socket.said.join('\n'));
      assert.equal(count(socket.said, 'WATCHDOG=1'), 0);
      silent.beat();
      await says(socket, (said) => count(said, 'WATCHDOG=1') >= 2);
      await systemd.stop();
      await link.close();
    });
  });

  test('what was not heard is said again', async () => {
    await World.run('systemd-late', async (world) => {
      const file = path.join(world.dir, 'notify');
      const receiver = world.receive([], world.out, asUnit(file, 2_000));
      await warns(receiver, /^cannot tell systemd .*; trying again$/);
      await logs(receiver, /^(\d+) of \1 partitions are this receiver's/);
      const socket = await NotifySocket.listen(file);
      world.atEnd(async () => {
        await Promise.resolve(socket.close());
      });
      await says(socket, (said) => count(said, 'READY=1') === 1 && said.includes('WATCHDOG=1'));
      await stops(receiver);
      await says(socket, (said) => said.includes('STOPPING=1'));
    });
  });

  test('without systemd-notify there is one warning, and the work goes on', async () => {
    await withSocket('systemd-none', async (world, socket) => {
      const empty = path.join(world.dir, 'bin');
      mkdirSync(empty);
      const receiver = world.receive([], world.out, asUnit(socket.file, 1_000, [`PATH=${empty}`]));
      const file = new Written(world, 'a.log');
      file.line();
      world.ship();
      await warns(receiver, /^cannot tell systemd .*ENOENT.*: install systemd-notify$/);
      await assertIdentical(world, [file]);
      await stops(receiver);
      assert.equal(messages(receiver, 40).filter((line) => line.includes('systemd')).length, 1);
      assert.deepEqual(socket.said, []);
    });
  });
});

test('nothing is told where systemd does not ask', async () => {
  const shown = new Shown<unknown>();
  const quiet = tellSystemd(shown, () => 'x', silentLogger(), {});
  assert.equal(await quiet.reloading(async () => await Promise.resolve(7)), 7);
  quiet.stopping();
  await quiet.stop();
});
