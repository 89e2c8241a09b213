// `logferry doctor` against real servers and real files: what is wrong is found and said with what to do, nothing is
// changed by looking, and it ends in time however little answers.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { freePort } from '../../cli/nats-server/port.ts';
import { until } from '../../common/runtime/run.ts';
import { Authority, hasOpenssl } from '../support/certificates.ts';
import { ownAccounts, printPermissions } from '../support/own-accounts.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended, stops } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Identity } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

/** Root may read everything. */
const SOMEBODY: Identity = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

interface Found {
  readonly code: number | null;
  readonly stderr: string;
  /** By the name of the check, `level text: hint`. */
  readonly says: Readonly<Record<string, string>>;
}

const withoutOpenssl = (await hasOpenssl()) ? false : 'there is no openssl here';

let count = 0;

async function doctor(world: World, args: readonly string[]): Promise<Found> {
  count += 1;
  const server = args.includes('--server') || args.includes('--config') ? [] : ['--server', world.server.url];
  const daemon = world.start(`doctor-${count}`, ['doctor', '--json', ...server, ...args]);
  const code = await ended(daemon);
  const { checks = [] } = (daemon.stdout === '' ? {} : JSON.parse(daemon.stdout)) as {
    checks?: { name: string; level: string; says: string; hint?: string }[];
  };
  const says: Record<string, string> = {};
  for (const { name, level, says: what, hint } of checks)
    says[name] = `${level} ${what}${hint === undefined ? '' : `: ${hint}`}`;
  return { code, stderr: daemon.stderr, says };
}

/** No check but those that are named has found anything. */
function assertFinds(found: Found, expected: Readonly<Record<string, RegExp>>): void {
  for (const [name, pattern] of Object.entries(expected))
    assert.match(found.says[name] ?? `no check ${name}`, pattern);
  // What the machine of the test is like is none of its business.
  const machine = new Set(['memory', 'files', 'state space', 'out space', 'inotify', 'descriptors']);
  for (const [name, text] of Object.entries(found.says))
    if (!(name in expected) && !machine.has(name)) assert.match(text, /^ok /, name);
  const failed = Object.values(found.says).some((text) => text.startsWith('failure'));
  assert.equal(found.code, failed ? 1 : 0, found.stderr);
  assert.match(found.stderr, failed ? /^logferry: \d+ checks? of \d+ failed\n$/ : /^$/);
}

const ADMIN = '{ user: admin, password: admin }';

/** A user of nats-server's configuration with the least permissions. */
async function userOf(name: string, ...args: readonly string[]): Promise<string> {
  const stdout = await printPermissions(...args);
  return `{ user: ${name}, password: ${name}, ${stdout} }`;
}

describe('logferry doctor', { concurrency: 2 }, () => {
  test('a healthy fleet: all OK, and nothing is changed', async () => {
    await World.run('doctor-healthy', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const [receiver, shipper] = [world.receive(), world.ship()];
      await assertIdentical(world, [file]);
      const jsm = await world.jsm();
      const before = (await jsm.streams.info('LOGS')).state;
      const records = (await jsm.streams.info('KV_LOGS_partitions')).state.messages;
      const glob = path.join(world.source, '*.log');
      const args = [glob, '--host', world.host, '--state', world.state, '--out', world.out];
      let found = await doctor(world, args);
      // Whoever answers late is silent.
      const allAnswer = async (): Promise<boolean> =>
        found.says['fleet']?.startsWith('ok') === true || ((found = await doctor(world, args)), false);
      await until(allAnswer, { timeoutMs: WAIT_MS });
      assertFinds(found, {
        state: /^ok --state .* is in use by a running logferry$/,
        out: /^ok --out .* is in use by a running logferry$/,
        stream: new RegExp(`^ok stream LOGS, ${PARTITIONS} partitions$`),
        buckets: /^ok LOGS_partitions and LOGS_members$/,
        'may ship': /^ok this user may be the shipper of web1$/,
        'may receive': /^ok this user may be a receiver$/,
        fleet: /^ok 1 receiver and 1 shipper with 1 file answer$/,
        clock: /^ok this clock is /,
      });
      assert.match(found.says['files'] ?? '', /1 file to ship, all readable/);
      const after = (await jsm.streams.info('LOGS')).state;
      assert.deepEqual([after.messages, after.last_seq], [before.messages, before.last_seq]);
      assert.ok((await jsm.streams.info('KV_LOGS_partitions')).state.messages >= records);
      file.line();
      await assertIdentical(world, [file]);
      const warned = [receiver, shipper].map((daemon) => daemon.stderr).join('');
      assert.doesNotMatch(warned, /foreign/);
      await stops(shipper);
      await stops(receiver);
      assertFinds(await doctor(world, []), { fleet: /^warning .*start logferry receive$/ });
    });
  });

  test('lines for people: words in a pipe, one line each', async () => {
    await World.run('doctor-lines', async (world) => {
      const daemon = world.start('doctor', ['doctor', '--server', world.server.url]);
      assert.equal(await ended(daemon), 0);
      const lines = daemon.stdout.trimEnd().split('\n');
      for (const line of lines) assert.match(line, /^(OK|warning|-) +[a-z ]+ {2}\S/);
      assert.ok(lines.some((line) => /^OK +version +nats-server 2\./.test(line)));
      assert.ok(lines.some((line) => /^warning +stream +there is no stream LOGS: /.test(line)));
      assert.ok(lines.some((line) => /^- +buckets +no stream$/.test(line)));
      // It looks, and makes nothing.
      assert.deepEqual(await (await world.jsm()).streams.names().next(), []);
    });
  });

  test('nobody there, half of them there, a name that does not resolve, and one that says nothing', async () => {
    await World.run('doctor-nobody', async (world) => {
      const nowhere = `nats://127.0.0.1:${await freePort()}`;
      const skipped = /^skipped /;
      const names = ['login', 'version', 'round trip', 'max payload', 'jetstream', 'stream', 'clock'];
      const rest = [...names, 'replicas', 'limits', 'fullness', 'buckets', 'may receive', 'fleet'];
      const all = Object.fromEntries(rest.map((name) => [name, skipped]));
      const refused = await doctor(world, ['--server', nowhere]);
      assertFinds(refused, {
        ...all,
        reachable: /^failure cannot reach nats:\S+ \(ECONNREFUSED\): start nats-server/,
      });
      const unknown = await doctor(world, ['--server', 'nats://nowhere.invalid']);
      assertFinds(unknown, { ...all, reachable: /^failure cannot reach nats:\S+ \(DNS: \w+\)/ });
      const half = await doctor(world, ['--server', `${nowhere},${world.server.url}`]);
      assert.match(
        half.says['reachable'] ?? '',
        /^warning .* answers; cannot reach nats:\S+ \(ECONNREFUSED\)/,
      );
      assert.match(half.says['login'] ?? '', /^ok /);
      const mute = createServer(() => {}).listen(0, '127.0.0.1');
      await once(mute, 'listening');
      world.atEnd(async () => {
        await Promise.resolve(mute.close());
      });
      const { port } = mute.address() as { port: number };
      const silent = await doctor(world, ['--server', `nats://127.0.0.1:${port}`]);
      assert.equal(silent.code, 1);
      assert.match(silent.says['reachable'] ?? '', /^ok /);
      assert.match(silent.says['login'] ?? '', /^failure /);
      assert.match(silent.says['stream'] ?? '', skipped);
    });
  });

  test('without JetStream', async () => {
    const config = 'accounts { A: { users: [{ user: a, password: a }] } }';
    await World.run(
      'doctor-no-jetstream',
      async (world) => {
        const found = await doctor(world, ['--user', 'a', '--password', 'a']);
        assert.match(found.says['login'] ?? '', /^ok connected to \S+ as a$/);
        assert.match(found.says['jetstream'] ?? '', /^failure JetStream is not enabled .*enable JetStream/);
        assert.match(found.says['stream'] ?? '', /^skipped no JetStream$/);
        assert.equal(found.code, 1);
      },
      config,
    );
  });

  test('a wrong password; a user of least permissions; one that may not', async () => {
    const host = await userOf('web1', '--host', 'web1');
    const receiver = await userOf('receiver', '--receiver');
    const config = `authorization { users: [${ADMIN}, ${host}, ${receiver}] }\nno_auth_user: admin`;
    await World.run(
      'doctor-permissions',
      async (world) => {
        const setup = world.start('setup', [
          ...['setup', '--server', world.server.url],
          ...['--user', 'admin', '--password', 'admin'],
        ]);
        assert.equal(await ended(setup), 0, setup.stderr);
        const as = (user: string, password = user): string[] => ['--user', user, '--password', password];
        const wrong = await doctor(world, as('web1', 'nonsense'));
        assert.match(wrong.says['login'] ?? '', /^failure .*refuses these credentials .*: check --creds/);
        assert.equal(wrong.code, 1);
        const right = await doctor(world, [...as('web1'), '--host', 'web1']);
        assertFinds(right, {
          'may ship': /^ok this user may be the shipper of web1$/,
          fleet: /^skipped this user may not ask who is there$/,
        });
        const other = await doctor(world, [
          ...as('web1'),
          '--host',
          'web2',
          '--inbox-prefix',
          '_INBOX_ship_web1',
        ]);
        assert.match(
          other.says['may ship'] ?? '',
          /^failure this user may not be the shipper of web2: refused publish logs\.web2\.\*, .*logferry permissions/,
        );
        const receives = await doctor(world, [...as('receiver'), '--out', world.out]);
        assert.match(receives.says['may receive'] ?? '', /^ok /);
        const ships = await doctor(world, [...as('web1'), '--out', world.out]);
        assert.equal(ships.code, 1);
      },
      config,
    );
  });

  test('a shipper in an account of its own', async () => {
    const config = await ownAccounts([ADMIN], ['web1']);
    await World.run(
      'doctor-account',
      async (world) => {
        const setup = world.start('setup', ['setup', '--server', world.server.url]);
        assert.equal(await ended(setup), 0, setup.stderr);
        const { jsm } = await world.connection();
        const before = (await jsm.streams.info('KV_LOGS_members')).state.last_seq;
        const found = await doctor(world, ['--user', 'web1', '--password', 'web1', '--host', 'web1']);
        assertFinds(found, {
          'may ship': /^ok this user may be the shipper of web1$/,
          fleet: /^skipped this user may not ask who is there$/,
        });
        assert.equal((await jsm.streams.info('KV_LOGS_members')).state.last_seq, before);
        assert.equal((await jsm.streams.info('LOGS')).state.last_seq, 0);
      },
      config,
    );
  });

  test('a certificate that is not trusted', { skip: withoutOpenssl }, async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'logferry-certificates-'));
    const authority = await Authority.create(dir);
    const { cert, key } = await authority.sign('server', 'IP:127.0.0.1');
    const files = `cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)}`;
    await World.run(
      'doctor-tls',
      async (world) => {
        const untrusted = await doctor(world, []);
        assert.match(untrusted.says['reachable'] ?? '', /^ok /);
        assert.match(untrusted.says['login'] ?? '', /^failure .*not trusted here .*: give --tls-ca /);
        const trusted = await doctor(world, ['--tls-ca', authority.cert]);
        assert.match(trusted.says['login'] ?? '', /^ok connected to \S+ without a login, encrypted$/);
      },
      `tls { ${files} }`,
    );
    await rm(dir, { recursive: true });
  });

  test('a stream that somebody made by hand, and one of another', async () => {
    await World.run('doctor-stream', async (world) => {
      const jsm = await world.jsm();
      const { wrong, transform } = {
        wrong: { retention: 'workqueue' as const, discard: 'new' as const, storage: 'memory' as const },
        transform: {
          src: 'logs.*.*',
          dest: 'logs.{{partition(8,1)}}.{{wildcard(1)}}.{{wildcard(2)}}',
        },
      };
      await jsm.streams.add({
        name: 'LOGS',
        subjects: ['logs.*.*'],
        subject_transform: transform,
        ...wrong,
      });
      const found = await doctor(world, []);
      assertFinds(found, {
        stream:
          /^failure stream LOGS: retention is workqueue, expected limits; discard is new, expected old: /,
        limits: /^warning kept for ever, no limit of size/,
        buckets: /^warning there is no bucket LOGS_partitions and LOGS_members: /,
        fleet: /./,
      });
      await jsm.streams.add({ name: 'OTHER', subjects: ['a.>'] });
      const other = await doctor(world, ['--stream', 'OTHER']);
      assert.match(other.says['stream'] ?? '', /^failure stream OTHER exists with subjects \["a\.>"\]/);
      assert.match(other.says['limits'] ?? '', /^skipped the stream is not logferry's$/);
      assert.equal(other.code, 1);
    });
  });

  test('one copy in a cluster of three', async () => {
    await World.run('doctor-cluster', async (world) => {
      const ports = [await freePort(), await freePort(), await freePort()];
      const routes = JSON.stringify(ports.map((port) => `nats://127.0.0.1:${port}`));
      const servers = await Promise.all(
        ports.map(async (port, index) => {
          const cluster = `cluster { name: test, listen: "127.0.0.1:${port}", routes: ${routes} }`;
          const config = `server_name: n${index}\n${cluster}`;
          const dir = path.join(world.dir, `n${index}`);
          const server = await startNatsServer({ dir, readyMs: WAIT_MS, say: () => {}, config });
          world.atEnd(async () => {
            await server.kill();
          });
          return server;
        }),
      );
      const urls = servers.map(({ url }) => url).join(',');
      const setup = world.start('setup', ['setup', '--server', urls]);
      assert.equal(await ended(setup), 0, setup.stderr);
      assertFinds(await doctor(world, ['--server', urls]), {
        replicas: /^warning one copy in a cluster of 3 servers: .*--replicas 3/,
        fleet: /./,
      });
    });
  });

  test('files and directories that this user may not use', async () => {
    await World.run('doctor-files', async (world) => {
      await chmod(world.dir, 0o755);
      world.identity = SOMEBODY;
      for (const name of ['a.log', 'b.log', 'c.log'])
        await writeFile(path.join(world.source, name), 'a line\n');
      await chmod(path.join(world.source, 'b.log'), 0o000);
      const glob = path.join(world.source, '*.log');
      const own = path.join(world.dir, 'own');
      await mkdir(own);
      if (SOMEBODY.uid !== undefined) await chown(own, SOMEBODY.uid, SOMEBODY.gid ?? 0);
      const unreadable = await doctor(world, [glob, '--state', path.join(own, 'state')]);
      assert.match(
        unreadable.says['files'] ?? '',
        /^failure \S+b\.log may not be read by this user: .*CAP_DAC_READ_SEARCH/,
      );
      assert.match(unreadable.says['state'] ?? '', /^ok --state \S+ will be made$/);
      assert.equal(unreadable.code, 1);
      await chmod(world.source, 0o700);
      if (SOMEBODY.uid !== undefined) {
        const closed = await doctor(world, [glob, '--state', own]);
        assert.match(closed.says['files'] ?? '', /^failure \S+source may not be listed by this user/);
      }
      await chmod(own, 0o500);
      const refused = await doctor(world, ['--state', own, '--out', path.join(own, 'a/b')]);
      assert.match(refused.says['state'] ?? '', /^failure .* is not writable \(EACCES\)/);
      assert.match(refused.says['out'] ?? '', /^failure .*own is not writable \(EACCES\)/);
      await chmod(own, 0o700);
      const file = path.join(own, 'file');
      await writeFile(file, '');
      const below = await doctor(world, ['--out', file]);
      assert.match(below.says['out'] ?? '', /^failure .* is no directory/);
      const circle = path.join(world.dir, 'circle');
      await symlink('circle', circle);
      const looped = await doctor(world, ['--out', circle]);
      assert.match(looped.says['out'] ?? '', /^failure ELOOP/);
      assert.deepEqual(await readdir(own), ['file']);
      await chmod(world.source, 0o755);
    });
  });

  test('as the daemons that have a file', async () => {
    await World.run('doctor-config', async (world) => {
      const config = path.join(world.dir, 'logferry.yaml');
      const paths = path.join(world.source, '*.log');
      const shared = `server: { url: "${world.server.url}" }\nstream: APP\n`;
      await writeFile(
        config,
        `${shared}ship: { host: app-1, state: ${world.state}, sources: [{ paths: ["${paths}"] }] }\nreceive: { out: ${world.out} }\n`,
      );
      const both = await doctor(world, ['--config', config]);
      assert.match(both.says['files'] ?? '', /^warning no file matches /);
      assert.match(both.says['stream'] ?? '', /^warning there is no stream APP/);
      assert.match(both.says['may ship'] ?? '', /the shipper of app-1$/);
      assert.ok('out' in both.says && 'state' in both.says);
      const one = await doctor(world, ['--config', config, '--for', 'receive']);
      assert.ok('out' in one.says && !('state' in one.says));
      const text = await readFile(config, 'utf8');
      await writeFile(config, text.replace('host:', 'hots:'));
      const wrong = await doctor(world, ['--config', config]);
      assert.equal(wrong.code, 2);
      assert.match(wrong.stderr, /^logferry: \S+logferry\.yaml:3:\d+: unknown key ship\.hots/);
      for (const args of [['--for', 'receive'], ['--config', '/nowhere'], ['--for', 'both'], ['']])
        assert.equal((await doctor(world, args)).code, 2, args.join(' '));
    });
  });

  test('Ctrl-C ends it while nothing answers', async () => {
    await World.run('doctor-stopped', async (world) => {
      const mute = createServer(() => {}).listen(0, '127.0.0.1');
      await once(mute, 'listening');
      world.atEnd(async () => {
        await Promise.resolve(mute.close());
      });
      const { port } = mute.address() as { port: number };
      const daemon = world.start('doctor', ['doctor', '--server', `nats://127.0.0.1:${port}`]);
      await once(mute, 'connection');
      daemon.child.kill('SIGINT');
      assert.equal(await ended(daemon), 1);
      assert.match(daemon.stderr, /^logferry: stopped before everything was checked: run it again/);
    });
  });
});
