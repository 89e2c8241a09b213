// The accounts in deploy/nats/accounts.conf: they say what `logferry permissions` prints, two hosts ship with them, and are
// seen from the stream's account; nobody else answers in their name.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { connect, errors } from '@nats-io/transport-node';

import type { HostRow, Status } from '../../cli/status/types.ts';
import { until } from '../../common/runtime/run.ts';
import { deployed } from '../support/deployed.ts';
import { printPermissions } from '../support/own-accounts.ts';
import { ANSWER_MS, TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { fails, stops } from '../support/said.ts';
import { assertShared } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { STORE, World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const HOSTS = ['web1', 'web2'];
/** The partitions that accounts.conf was printed for. */
const DEPLOYED = '64';

async function permissions(...args: readonly string[]): Promise<string[]> {
  const lines = (await printPermissions(...args, '--partitions', DEPLOYED))
    .split('\n')
    .map((line) => line.trim());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** As who runs a process. */
function as(user: string): string[] {
  return ['--user', user, '--password', user];
}

test('the accounts say what logferry permissions prints', async () => {
  const text = await readFile(new URL('../../deploy/nats/accounts.conf', import.meta.url), 'utf8');
  const there = text.split('\n').map((line) => line.trim());
  const printed = [await permissions('--receiver')];
  for (const host of HOSTS) printed.push(await permissions('--host', host, '--account'));
  for (const line of printed.flat()) assert.ok(there.includes(line), `accounts.conf does not say ${line}`);
});

/** The server of accounts.conf, where every password is its user's name; `web2` lets somebody else in, unbounded. */
async function inAccounts(name: string, run: (world: World) => Promise<void>): Promise<void> {
  let config = await deployed('accounts.conf', { '"/var/lib/nats"': STORE });
  for (const user of ['admin', 'central-1', ...HOSTS])
    config = config.replace(`user: "${user}", password: "change me"`, `user: "${user}", password: "${user}"`);
  assert.doesNotMatch(config, /change me/);
  const own = /users: \[(?=\{\s+user: "web2")/;
  assert.match(config, own);
  config = config.replace(own, '$&{ user: intruder, password: intruder }, ');
  await World.run(
    name,
    async (world) => {
      await world.setUp(Number(DEPLOYED), as('admin'));
      await run(world);
    },
    config,
  );
}

interface Fleet {
  /** A file and a shipper of each of HOSTS. */
  readonly files: readonly Written[];
  readonly shippers: readonly Daemon[];
  readonly receiver: Daemon;
}

/** Both hosts ship to a receiver, which has their first lines. */
async function startFleet(world: World): Promise<Fleet> {
  const files: Written[] = [];
  const shippers: Daemon[] = [];
  for (const host of HOSTS) {
    await mkdir(path.join(world.source, host));
    const file = new Written(world, `${host}/a.log`, host);
    file.line();
    files.push(file);
    shippers.push(
      world.start(`ship-${host}`, [
        ...['ship', path.join(world.source, host, '*.log'), '--server', world.server.url, ...as(host)],
        ...['--host', host, '--state', path.join(world.dir, `state-${host}`), '--lease', '2s'],
      ]),
    );
  }
  const receiver = world.receive(as('central-1'));
  await assertShared(files, [world.out]);
  return { files, shippers, receiver };
}

let commands = 0;

/** The lines that a command prints for who looks after the stream. */
async function asAdmin(world: World, command: string): Promise<unknown[]> {
  commands += 1;
  const server = ['--server', world.server.url, ...as('admin')];
  const ran = world.start(`${command}-${commands}`, [command, '--json', ...server]);
  await ran.exited;
  const lines = ran.stdout.split('\n').filter((line) => line !== '');
  assert.ok(lines.length > 0, ran.stderr);
  return lines.map((line): unknown => JSON.parse(line));
}

/** How status sees the hosts, as soon as it is as expected. */
async function hostsUntil(
  world: World,
  isIt: (rows: readonly HostRow[]) => boolean,
): Promise<readonly HostRow[]> {
  let rows: readonly HostRow[] = [];
  await until(
    async () => {
      rows = ((await asAdmin(world, 'status')) as [Status])[0].hosts;
      return isIt(rows);
    },
    { timeoutMs: WAIT_MS, everyMs: 100 },
  );
  assert.ok(isIt(rows), JSON.stringify(rows, null, 1));
  return rows;
}

/** How much of each host verify has compared with what is there. */
async function verifiedByHost(world: World): Promise<Record<string, number>> {
  const lines = (await asAdmin(world, 'verify')) as { host: string; byHost: number }[];
  return Object.fromEntries(lines.slice(0, -1).map(({ host, byHost }) => [host, byHost]));
}

test('two hosts ship, each in an account of its own', { timeout: TEST_MS }, async () => {
  await inAccounts('accounts', async (world) => {
    const { files } = await startFleet(world);
    for (const file of files) {
      for (let line = 0; line < 500; line += 1) file.line();
      file.rotate();
      file.line();
    }
    await assertShared(files, [world.out]);
  });
});

test(
  'status and verify ask a host in its account, and nobody else can answer',
  { timeout: TEST_MS },
  async () => {
    await inAccounts('accounts-asked', async (world) => {
      const { files, shippers, receiver } = await startFleet(world);
      const [first] = files;
      assert.ok(first !== undefined);
      const rows = await hostsUntil(world, (now) =>
        files.every(({ bytes }, at) => now[at]?.committedBytes === bytes),
      );
      for (const { state, machine, lagBytes } of rows)
        assert.deepEqual(
          { state, machine, lagBytes },
          { state: 'answers', machine: hostname(), lagBytes: 0 },
        );
      const all = Object.fromEntries(files.map(({ host, bytes }) => [host, bytes]));
      assert.deepEqual(await verifiedByHost(world), all);
      const forget = ['status', '--forget', 'web1', '--server', world.server.url, ...as('admin')];
      await fails(world.start('forget', forget), /^logferry: host web1 answers: /);
      await stops(receiver);
      const before = first.bytes;
      first.line();
      const lag = first.bytes - before;
      await hostsUntil(world, ([one, two]) => one?.lagBytes === lag && two?.lagBytes === 0);
      world.receive(as('central-1'));
      await assertShared(files, [world.out]);

      // In the account of web2, whose host is not web2's any more.
      const nc = await connect({ servers: world.server.url, user: 'intruder', pass: 'intruder' });
      world.atEnd(async () => {
        await nc.close();
      });
      await assert.rejects(
        nc.request('logferry.status.logs.shipper.web1'),
        (error) => error instanceof errors.RequestError && error.isNoResponders(),
      );
      const truth = await nc.request('logferry.status.logs.shipper.web2', '', { timeout: ANSWER_MS });
      const forged = JSON.stringify({ ...truth.json<object>(), lagBytes: 12_345 });
      for (const shipper of shippers) await shipper.kill();
      const asked = new Set<string>();
      nc.subscribe('>', {
        callback: (error, message) => {
          assert.equal(error, null);
          if (message.respond(forged)) asked.add(message.subject);
        },
      });
      await nc.flush();
      const [one, two] = await hostsUntil(world, (now) => now[1]?.lagBytes === 12_345);
      assert.equal(two?.state, 'answers');
      assert.equal(one?.state, 'silent');
      assert.equal(one.lagBytes, null);
      assert.deepEqual(await verifiedByHost(world), { web1: 0, web2: 0 });
      assert.deepEqual([...asked].toSorted(), [
        'logferry.status.logs.shipper.web2',
        'logferry.verify.logs.shipper.web2',
      ]);
    });
  },
);
