// The accounts in deploy/nats/accounts.conf: they say what `logferry permissions` prints, and two hosts ship with them.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { deployed } from './deployed.ts';
import { assertShared, STORE, World, Written } from './harness.ts';
import { printPermissions } from './own-accounts.ts';
import { TEST_MS } from './patience.ts';

const HOSTS = ['web1', 'web2'];

async function permissions(...args: readonly string[]): Promise<string[]> {
  const lines = (await printPermissions(...args)).split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** As who runs a process. */
function as(user: string): string[] {
  return ['--user', user, '--password', user];
}

test('the accounts say what logferry permissions prints', async () => {
  const text = await readFile(new URL('../deploy/nats/accounts.conf', import.meta.url), 'utf8');
  const there = text.split('\n').map((line) => line.trim());
  const printed = [await permissions('--receiver')];
  for (const host of HOSTS) printed.push(await permissions('--host', host, '--account'));
  for (const line of printed.flat()) assert.ok(there.includes(line), `accounts.conf does not say ${line}`);
});

test('two hosts ship, each in an account of its own', { timeout: TEST_MS }, async () => {
  let config = await deployed('accounts.conf', { '"/var/lib/nats"': STORE });
  for (const user of ['admin', 'central-1', ...HOSTS])
    config = config.replace(`user: "${user}", password: "change me"`, `user: "${user}", password: "${user}"`);
  assert.doesNotMatch(config, /change me/);
  await World.run(
    'accounts',
    async (world) => {
      const files: Written[] = [];
      for (const host of HOSTS) {
        await mkdir(path.join(world.source, host));
        files.push(new Written(world, `${host}/a.log`, host));
        world.start(`ship-${host}`, [
          ...['ship', path.join(world.source, host, '*.log'), '--server', world.server.url, ...as(host)],
          ...['--host', host, '--state', path.join(world.dir, `state-${host}`), '--lease', '2s'],
        ]);
      }
      for (const file of files) file.line();
      world.receive(as('central-1'));
      await assertShared(files, [world.out]);
      for (const file of files) {
        for (let line = 0; line < 500; line += 1) file.line();
        file.rotate();
        file.line();
      }
      await assertShared(files, [world.out]);
    },
    config,
  );
});
