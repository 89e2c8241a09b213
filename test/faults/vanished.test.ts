// Stream and buckets that vanish under running processes where creating them again is not as simple as it was: no room
// for now, or altered since. No process ends of it, and every byte arrives.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertClear, stops, warns } from '../support/said.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const DAY_MS = 86_400_000;
const MIB = 1024 ** 2;

async function setUp(world: World, extra: readonly string[]): Promise<void> {
  const setup = world.start('setup', ['setup', '--server', world.server.url, ...extra]);
  assert.equal(await setup.exited, 0, setup.stderr);
}

/** A shipper and a receiver, and the first line of a file has arrived. */
async function begin(world: World): Promise<{ file: Written; daemons: Daemon[] }> {
  const file = new Written(world, 'a.log');
  file.line();
  const daemons = [world.receive(), world.ship()];
  await assertIdentical(world, [file]);
  return { file, daemons };
}

/** Whether a process with this directory knows that messages are kept for so many days. */
async function remembers(directory: string, days: number): Promise<boolean> {
  const { maxAgeMs } = JSON.parse(await readFile(path.join(directory, 'stream.json'), 'utf8')) as {
    maxAgeMs: number;
  };
  return maxAgeMs === days * DAY_MS;
}

function assertAlive(daemons: readonly Daemon[]): void {
  for (const daemon of daemons) {
    assert.equal(daemon.child.exitCode, null, daemon.stderr);
    assertClear(daemon);
  }
}

test('no room for the stream that has vanished: it is waited for', { timeout: TEST_MS }, async () => {
  const little = `
    accounts { LITTLE { jetstream { max_file: 1GB }, users: [{ user: little, password: little }] } }
    no_auth_user: little`;
  const run = async (world: World): Promise<void> => {
    await setUp(world, ['--max-bytes', '600MiB']);
    const { file, daemons } = await begin(world);
    const jsm = await world.jsm();
    // Paused: they would be faster.
    for (const { child } of daemons) child.kill('SIGSTOP');
    file.line();
    await jsm.streams.delete('LOGS');
    await jsm.streams.add({ name: 'OTHER', subjects: ['other'], max_bytes: 600 * MIB });
    for (const { child } of daemons) child.kill('SIGCONT');
    for (const daemon of daemons)
      await warns(daemon, /^stream LOGS is not there and cannot be created \(.*waiting for it$/);
    assertAlive(daemons);
    await jsm.streams.delete('OTHER');
    await assertIdentical(world, [file]);
    assertAlive(daemons);
    assert.equal((await jsm.streams.info('LOGS')).config.max_bytes, 600 * MIB);
  };
  await World.run('no-room-again', run, little);
});

test('altered since the start: what vanishes comes back as it was last', { timeout: TEST_MS }, async () => {
  await World.run('altered', async (world) => {
    const { file, daemons } = await begin(world);
    await setUp(world, ['--max-age', '3d', '--alter']);
    // A shipper that has nothing to do looks every ten seconds.
    for (const directory of [world.state, path.join(world.out, '.logferry')])
      assert.ok(await until(async () => await remembers(directory, 3), { timeoutMs: WAIT_MS }), directory);
    const jsm = await world.jsm();
    for (const name of ['KV_LOGS_members', 'LOGS']) {
      const before = await jsm.streams.info(name);
      await jsm.streams.delete(name);
      const isBack = async (): Promise<boolean> => {
        const names = await jsm.streams.names().next();
        return names.includes(name);
      };
      assert.ok(await until(isBack, { timeoutMs: WAIT_MS }), `${name} does not come back`);
      file.line();
      await assertIdentical(world, [file]);
      const { config } = await jsm.streams.info(name);
      assert.equal(config.max_age, before.config.max_age);
    }
    assert.equal((await jsm.streams.info('LOGS')).config.max_age, 3 * DAY_MS * NANOS_PER_MS);
    assertAlive(daemons);
  });
});

test('all of it came back with other partitions: a receiver cuts its ledgers anew', async () => {
  await World.run('other-ledgers', async (world) => {
    const { file, daemons } = await begin(world);
    for (const daemon of daemons) await stops(daemon);
    const jsm = await world.jsm();
    for (const name of ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members']) await jsm.streams.delete(name);
    await setUp(world, ['--partitions', '3']);
    const again = [world.receive(), world.ship()];
    file.line();
    await assertIdentical(world, [file]);
    assertAlive(again);
  });
});
