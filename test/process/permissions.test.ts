// With no more permissions than `logferry permissions` prints, everything works, a lost stream included; and what a
// host's credentials do not allow is tried, and refused. The server's own log says that nothing else was wanted.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { connect, headers, type NatsConnection } from '@nats-io/transport-node';

import { until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { ownAccounts, printPermissions } from '../support/own-accounts.ts';
import { ANSWER_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, fails, logs, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const ADMIN = '{ user: admin, password: admin }';

/** As who runs a process. */
function as(user: string): string[] {
  return ['--user', user, '--password', user];
}

/** Whom the server has refused what, once each. */
async function refusals(world: World): Promise<string[]> {
  const log = await readFile(path.join(world.dir, 'nats', 'nats-server.log'), 'utf8');
  const lines = log.split('\n').filter((line) => line.includes('Violation'));
  return [...new Set(lines.map((line) => line.replace(/^.*? - /, '')))];
}

/** What becomes of attempts: those of which neither the server nor the client says that they are refused. */
class Attacker {
  readonly nc: NatsConnection;
  readonly #refused = new Set<string>();

  private constructor(nc: NatsConnection) {
    this.nc = nc;
    void this.#watch();
  }

  static async enter(world: World, user: string): Promise<Attacker> {
    const nc = await connect({
      servers: world.server.url,
      ...{ user, pass: user, inboxPrefix: `_INBOX_ship_${user}`, noAsyncTraces: true },
    });
    world.atEnd(async () => {
      await nc.close();
    });
    return new Attacker(nc);
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status())
      if (status.type === 'error') this.#refused.add(status.error.message);
  }

  async #isRefused(pattern: string): Promise<boolean> {
    await this.nc.flush();
    return await until(() => [...this.#refused].some((text) => text.includes(pattern)), {
      timeoutMs: WAIT_MS,
    });
  }

  async mayNotPublish(subject: string, data = ''): Promise<void> {
    this.nc.publish(subject, data);
    assert.ok(await this.#isRefused(`Publish to "${subject}"`), `may publish to ${subject}`);
  }

  async mayNotSubscribe(subject: string): Promise<void> {
    this.nc.subscribe(subject, { callback: () => {} });
    assert.ok(await this.#isRefused(`Subscription to "${subject}"`), `may subscribe to ${subject}`);
  }
}

/** What no host may do, whatever its account is like. */
async function assertBounded(attacker: Attacker, own: number, other: number): Promise<void> {
  const api = '$JS.API';
  for (const subject of ['logs.web2.0', 'logs.web1', 'logs.32.web1.0', 'logs.web1.0.x', 'logs.web1.x.y'])
    await attacker.mayNotPublish(subject, 'forged');
  for (const stream of ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members']) {
    for (const what of ['DELETE', 'PURGE', 'UPDATE', 'CREATE', 'MSG.DELETE', 'SNAPSHOT', 'RESTORE'])
      await attacker.mayNotPublish(`${api}.STREAM.${what}.${stream}`);
    await attacker.mayNotPublish(`${api}.DIRECT.GET.${stream}`, '{"seq":1}');
    await attacker.mayNotPublish(`${api}.CONSUMER.CREATE.${stream}`, '{}');
    await attacker.mayNotPublish(`${api}.CONSUMER.CREATE.${stream}.name.logs.25.web2.*`, '{}');
  }
  for (const key of [`p${own}`, `p${other}`, `p${own}.archive.x`, `p${own}.corrupt.1`])
    await attacker.mayNotPublish(`$KV.LOGS_partitions.${key}`, '{}');
  for (const key of ['shipper.web2', 'receiver.r1'])
    await attacker.mayNotPublish(`$KV.LOGS_members.${key}`, '{}');
  for (const subject of ['committed.logs.web1', 'committed.logs.web2', 'received.logs.web2', 'released.logs'])
    await attacker.mayNotPublish(`logferry.${subject}`, '{}');
  await attacker.mayNotPublish(`$JS.ACK.LOGS.p${other}.1.1.1.1.0`, '+ACK');
  for (const subject of [
    'logs.>',
    '>',
    '_INBOX.>',
    '_INBOX_receive.>',
    '_INBOX_ship_web2.>',
    '$KV.>',
    '$JS.>',
  ])
    await attacker.mayNotSubscribe(subject);
  await attacker.mayNotSubscribe('logferry.committed.logs.web2');
}

describe('least permissions', { concurrency: 2 }, () => {
  test('in one account: all of it works, a lost stream included, and nothing else is allowed', async () => {
    const users = await Promise.all(
      [
        ['web1', '--host', 'web1'],
        ['web2', '--host', 'web2'],
        ['r1', '--receiver'],
      ].map(
        async ([user = '', ...args]) =>
          `{ user: ${user}, password: ${user}, ${await printPermissions(...args)} }`,
      ),
    );
    const config = `authorization { users: [${[ADMIN, ...users].join(',\n')}] }\nno_auth_user: admin`;
    await World.run(
      'permissions-one',
      async (world) => {
        const files = [new Written(world, 'a.log'), new Written(world, 'b.log')];
        for (const file of files) file.line();
        // Nobody has created anything, and a shipper may not.
        const shipper = world.ship(as('web1'));
        await warns(
          shipper,
          /^stream LOGS is not there, and this user may not create it: start a receiver .*; waiting for it$/,
        );
        const receiver = world.receive([...as('r1'), '--rotate-size', '100KiB']);
        await assertIdentical(world, files);
        for (const file of files) for (let count = 0; count < 2_000; count += 1) file.line();
        await assertIdentical(world, files);

        // Restarted: where to go on is read from the stream.
        await stops(shipper);
        for (const file of files) file.rotate();
        for (const file of files) file.line();
        const again = world.ship(as('web1'));
        await assertIdentical(world, files);

        // Lost: whoever may creates it again.
        await stops(receiver);
        const { streams } = await world.jsm();
        for (const stream of ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members']) await streams.delete(stream);
        for (const file of files) file.line();
        await warns(again, /^stream LOGS is not there, and this user may not create it: .*; waiting for it$/);
        const next = world.receive(as('r1'));
        await logs(next, /^created again what had vanished: stream LOGS, .*, with 1 replica as before$/);
        await assertIdentical(world, files);
        await logs(again, /^what had vanished is there again$/);
        await streams.delete('LOGS');
        await logs(next, /^created again what had vanished: stream LOGS/);
        for (const file of files) file.line();
        await assertIdentical(world, files);
        await stops(again);

        // All of it is committed, as the host is told.
        const once = world.ship([...as('web1'), '--once', '--timeout', '2m']);
        assert.equal(await ended(once), 0, once.stderr);
        await stops(next);
        // To create a stream is all that a shipper ever wanted and was refused.
        const wanted = (await refusals(world)).filter((line) => !/"\$JS\.API\.STREAM\.CREATE\./.test(line));
        assert.deepEqual(wanted, []);

        const attacker = await Attacker.enter(world, 'web1');
        const before = await streams.info('LOGS');
        const [own, other] = [partitionOf('web1', PARTITIONS), partitionOf('web2', PARTITIONS)];
        await assertBounded(attacker, own, other);
        assert.ok((await refusals(world)).some((line) => line.includes('"logs.web2.0"')));
        // What it may read by its own subjects it could have sent to anybody: `$JS.API.STREAM.DELETE.LOGS`.
        await attacker.mayNotPublish(`$JS.API.DIRECT.GET.LOGS.logs.${own}.web1.0`);
        // A header that removes all other keys of a bucket.
        const rollup = headers();
        rollup.set('Nats-Rollup', 'all');
        const answer = await attacker.nc.request('$KV.LOGS_members.shipper.web1', '{}', {
          headers: rollup,
          timeout: ANSWER_MS,
        });
        assert.match(answer.string(), /rollup/);
        // Answers of the server can be sent anywhere; what they say is not the host's to choose.
        for (const subject of ['STREAM.DELETE.LOGS', 'STREAM.PURGE.LOGS', 'STREAM.UPDATE.LOGS'])
          for (const ask of ['$JS.API.INFO', '$JS.API.STREAM.INFO.LOGS', '$JS.API.STREAM.MSG.GET.LOGS'])
            attacker.nc.publish(ask, ask.includes('GET') ? '{"seq":1}' : '', { reply: `$JS.API.${subject}` });
        await attacker.nc.flush();
        const after = await streams.info('LOGS');
        assert.equal(after.created, before.created);
        assert.deepEqual(after.state, before.state);
        assert.deepEqual(after.config, before.config);
        for (const file of files) file.close();
      },
      config,
    );
  });

  test('in accounts of their own: hosts read nothing of each other, and answers reach nobody else', async () => {
    const receiving = await printPermissions('--receiver');
    const users = [ADMIN, `{ user: r1, password: r1, ${receiving} }`];
    const config = await ownAccounts(users, ['web1', 'web2']);
    await World.run(
      'permissions-accounts',
      async (world) => {
        const file = new Written(world, 'a.log');
        file.line();
        const receiver = world.receive(as('r1'));
        let shipper = world.ship(as('web1'));
        await assertIdentical(world, [file]);
        for (let count = 0; count < 2_000; count += 1) file.line();
        await assertIdentical(world, [file]);
        await shipper.kill();
        file.rotate();
        file.line();
        shipper = world.ship(as('web1'));
        await assertIdentical(world, [file]);
        const { streams } = await world.jsm();
        await streams.delete('LOGS');
        await logs(receiver, /^created again what had vanished: stream LOGS/);
        file.line();
        await assertIdentical(world, [file]);
        await stops(shipper);
        const once = world.ship([...as('web1'), '--once', '--timeout', '2m']);
        assert.equal(await ended(once), 0, once.stderr);
        assertClear(once);
        // Before its own record is there, it looks whether it may read another's.
        const expected = /"\$JS\.API\.(STREAM\.(CREATE|MSG\.GET)|DIRECT\.GET\.KV_LOGS_partitions)\./;
        const wanted = (await refusals(world)).filter((line) => !expected.test(line));
        assert.deepEqual(wanted, []);

        const attacker = await Attacker.enter(world, 'web1');
        const [own, other] = [partitionOf('web1', PARTITIONS), partitionOf('web2', PARTITIONS)];
        await assertBounded(attacker, own, other);
        assert.ok((await refusals(world)).some((line) => line.includes('"logs.web2.0"')));
        for (const stream of ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members'])
          await attacker.mayNotPublish(`$JS.API.STREAM.MSG.GET.${stream}`, '{"seq":1}');
        const by = '$JS.API.DIRECT.GET';
        await attacker.mayNotPublish(`${by}.LOGS.logs.${other}.web2.0`);
        await attacker.mayNotPublish(`${by}.KV_LOGS_partitions.$KV.LOGS_partitions.p${other}`);
        await attacker.mayNotPublish(`${by}.KV_LOGS_members.$KV.LOGS_members.shipper.web2`);
        // It publishes what is a request, and has it sent where requests are answered.
        const before = await streams.info('LOGS');
        const request = 'logs.web1.0';
        await attacker.nc.request(request, '', { timeout: ANSWER_MS });
        for (const subject of ['$JS.API.STREAM.DELETE.LOGS', 'logs.web2.0', `$KV.LOGS_partitions.p${other}`])
          attacker.nc.publish(`${by}.LOGS.logs.${own}.${request.slice('logs.'.length)}`, '', {
            reply: subject,
          });
        await attacker.nc.flush();
        const mine = await attacker.nc.request(
          `${by}.LOGS.logs.${own}.${request.slice('logs.'.length)}`,
          '',
          {
            timeout: ANSWER_MS,
          },
        );
        assert.equal(mine.headers?.get('Nats-Stream'), 'LOGS');
        const after = await streams.info('LOGS', { subjects_filter: 'logs.*.web2.>' });
        assert.equal(after.created, before.created);
        assert.equal(after.state.messages, before.state.messages + 1);
        assert.equal(after.state.subjects, undefined);
        await stops(receiver);
        file.close();
      },
      config,
    );
  });

  test('who reads the fleet may have an inbox of their own, and listens nowhere else', async () => {
    const operator =
      '{ user: op, password: op, permissions: { publish: ">", subscribe: ["_INBOX_op.>", "logs.>"] } }';
    // As docs/status.md has them, and no more.
    const api = ['STREAM.INFO', 'STREAM.MSG.GET', 'CONSUMER.CREATE', 'CONSUMER.MSG.NEXT', 'CONSUMER.DELETE'];
    const asks = [
      ...['$JS.API.INFO', '$SRV.STATS.logferry-shipper', '$SRV.STATS.logferry-receiver'],
      'logferry.status.logs.shipper.*',
      ...api.flatMap((what) =>
        ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members'].flatMap((stream) => [
          `$JS.API.${what}.${stream}`,
          `$JS.API.${what}.${stream}.>`,
        ]),
      ),
    ];
    const watcher = `{ user: watcher, password: watcher, permissions: { publish: ${JSON.stringify(asks)}, subscribe: ["_INBOX_op.>"] } }`;
    const config = `authorization { users: [${ADMIN},\n${operator},\n${watcher}] }\nno_auth_user: admin`;
    await World.run(
      'permissions-inbox',
      async (world) => {
        const file = new Written(world, 'a.log');
        for (let count = 0; count < 100; count += 1) file.line();
        world.receive();
        world.ship();
        await assertIdentical(world, [file]);
        const inbox = [...as('op'), '--inbox-prefix', '_INBOX_op'];
        for (const args of [
          ['status'],
          ['verify'],
          ['tail', '-n', '3', '--no-follow'],
          ['replay', '--out', path.join(world.dir, 'again')],
          ['doctor'],
        ]) {
          const reads = world.start(args[0] ?? '', [...args, '--server', world.server.url, ...inbox]);
          assert.equal(await ended(reads), 0, `${args.join(' ')}: ${reads.stdout}${reads.stderr}`);
        }
        const least = [...as('watcher'), '--inbox-prefix', '_INBOX_op'];
        const watched = world.start('watched', ['status', '--server', world.server.url, ...least]);
        assert.equal(await ended(watched), 0, watched.stderr);
        assert.match(watched.stdout, /^web1 /m);
        // Doctor asks what else this user may.
        const elsewhere = async (): Promise<string[]> =>
          (await refusals(world)).filter((line) => line.includes('"_INBOX.'));
        assert.deepEqual(await elsewhere(), []);

        const deaf = world.start('deaf', ['status', '--server', world.server.url, ...as('op')]);
        await fails(deaf, /^logferry: .*_INBOX\./);
        assert.equal((await elsewhere()).length, 1);
        file.close();
      },
      config,
    );
  });

  test('as JSON and for nsc; contradictions are refused', async () => {
    const permissions: unknown = JSON.parse(
      await printPermissions('--host', 'web.1', '--json', '--stream', 'APP', '--prefix', 'a.b'),
    );
    assert.ok(typeof permissions === 'object' && permissions !== null && 'publish' in permissions);
    assert.ok(Array.isArray(permissions.publish));
    assert.equal(permissions.publish[0], 'a.b.web%2E1.*');
    assert.ok(permissions.publish.includes('$KV.APP_members.shipper.web=2E1'));
    const own = JSON.parse(await printPermissions('--host', 'web.1', '--account', '--json')) as object;
    assert.ok('exports' in own);
    assert.deepEqual(own.exports, [
      'logferry.status.logs.shipper.web%2E1',
      'logferry.verify.logs.shipper.web%2E1',
    ]);
    assert.match(
      await printPermissions('--receiver', '--nsc'),
      /^--allow-pub \$JS\.API\.INFO\n[^"]*--allow-pub-response=1\n/,
    );
    await World.run('permissions-usage', async (world) => {
      const wrong = async (pattern: RegExp, ...args: readonly string[]): Promise<void> => {
        await fails(world.start('permissions', ['permissions', ...args]), pattern, 2);
      };
      await wrong(/^logferry: one of --host and --receiver is needed: /);
      await wrong(/^logferry: one of --host and --receiver is needed: /, '--host', 'a', '--receiver');
      await wrong(/^logferry: --json and --nsc contradict each other: /, '--receiver', '--json', '--nsc');
      await wrong(/^logferry: --account is for --host, without --nsc: /, '--receiver', '--account');
    });
  });
});
