// An account that has a limit of storage for each number of copies, as hosted NATS gives them: `setup` goes by the one of
// the stream, `doctor` says how much is left of that, and hosts ship.

import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, credsAuthenticator } from '@nats-io/transport-node';

import { Operator } from '../support/credentials.ts';
import { ended, fails } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const MIB = 1024 ** 2;

/** Runs the test as a user of such an account, which has logged in with these flags. */
async function inTiers(
  name: string,
  tiers: { R1?: number; R3?: number },
  test: (world: World, login: readonly string[], credentials: string) => Promise<void>,
): Promise<void> {
  const operator = await Operator.create(tiers);
  await World.run(
    name,
    async (world) => {
      const credentials = await operator.credentials('me');
      const file = path.join(world.dir, 'me.creds');
      await writeFile(file, credentials);
      await chmod(file, 0o600);
      await test(world, ['--creds', file], credentials);
    },
    operator.config,
  );
}

/** What doctor says of a check. */
async function doctorOf(world: World, check: string, login: readonly string[]): Promise<string> {
  const daemon = world.start('doctor', ['doctor', '--json', '--server', world.server.url, ...login]);
  assert.equal(await ended(daemon), 0, daemon.stderr);
  const { checks } = JSON.parse(daemon.stdout) as {
    checks: { name: string; level: string; says: string; hint?: string }[];
  };
  const { level, says, hint } = checks.find(({ name }) => name === check)!;
  return `${level} ${says}${hint === undefined ? '' : `: ${hint}`}`;
}

test('a stream has 80 % of what its tier has left, and doctor looks at that tier', async () => {
  await inTiers('tiers', { R1: 100 * MIB, R3: -1 }, async (world, login, credentials) => {
    assert.match(await doctorOf(world, 'jetstream', login), /^ok .* 0 B of 100\.0 MiB of tier R1 used$/);
    const setup = world.start('setup', ['setup', '--server', world.server.url, ...login]);
    assert.equal(await ended(setup), 0, setup.stderr);
    assert.match(setup.stdout, /at most 80\.0 MiB$/m);
    assert.match(await doctorOf(world, 'limits', login), /^ok kept for 7d, at most 80\.0 MiB$/);

    const file = new Written(world, 'a.log');
    file.line();
    world.receive(login);
    world.ship(login);
    await assertIdentical(world, [file]);

    const authenticator = credsAuthenticator(new TextEncoder().encode(credentials));
    const nc = await connect({ servers: world.server.url, authenticator });
    world.atEnd(async () => {
      await nc.close();
    });
    await (await jetstreamManager(nc)).streams.add({ name: 'OTHER', subjects: ['other'] });
    const data = new Uint8Array(MIB - 1_024);
    for (let count = 0; count < 30; count += 1) await jetstream(nc).publish('other', data);
    assert.match(
      await doctorOf(world, 'limits', login),
      /^warning .* at most 80\.0 MiB, but the account has only (69|70)\.\d MiB left: /,
    );
  });
});

test('without a tier for one copy', async () => {
  await inTiers('tiers-none', { R3: 100 * MIB }, async (world, login) => {
    assert.match(
      await doctorOf(world, 'jetstream', login),
      /^warning .* no file storage of tier R1: .*setup --replicas N$/,
    );
    await fails(
      world.start('setup', ['setup', '--server', world.server.url, ...login]),
      /^logferry: JetStream at \S+ refuses: no JetStream default or applicable tiered limit present/,
    );
  });
});
