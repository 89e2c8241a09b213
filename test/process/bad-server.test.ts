// A server that is not there, does not want us, or is not what is needed: one clear line, and the right end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, fails, logs, messages, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

function receiver(out: string, server: string, extra: readonly string[] = []): Daemon {
  return new Daemon(['receive', '--out', out, '--server', server, ...extra], `${out}.txt`);
}

/** Asks a receiver and a shipper the same. */
async function both(
  dir: string,
  server: string,
  ask: (daemon: Daemon) => Promise<void>,
  extra: readonly string[] = [],
): Promise<void> {
  const state = path.join(dir, 'state');
  const ship = ['ship', path.join(dir, '*.log'), '--state', state, '--server', server, ...extra];
  const daemons = [receiver(path.join(dir, 'out'), server, extra), new Daemon(ship, `${state}.txt`)];
  try {
    await Promise.all(daemons.map(ask));
  } finally {
    for (const daemon of daemons) daemon.child.kill('SIGKILL');
  }
}

/** A directory for what needs no nats-server; kept when the test fails. */
async function directory(test: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'logferry-bad-server-'));
  try {
    await test(dir);
  } catch (error) {
    console.error(`# kept for inspection: ${dir}`);
    throw error;
  }
  await rm(dir, { recursive: true });
}

/** A TCP server that is no nats-server, or a strange one. */
async function listen(onConnection: (socket: Socket) => void): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { url: `nats://127.0.0.1:${address.port}`, server };
}

function speakNats(version: string): (socket: Socket) => void {
  return (socket) => {
    const info = { server_id: 'X', version, proto: 1, headers: true, max_payload: 1_048_576 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('data', (data) => {
      if (data.includes('PING')) socket.write('PONG\r\n');
    });
  };
}

const HERE = String.raw`nats:\/\/127\.0\.0\.1:\d+`;

describe('a server that is bad', { concurrency: 3 }, () => {
  test('is not there, with --once: exit 1 after 30 s, not before', async () => {
    const { url, server } = await listen(() => {});
    server.close();
    await directory(async (dir) => {
      const began = performance.now();
      const given = async (daemon: Daemon): Promise<void> => {
        const end = String.raw`\(.*ECONNREFUSED\S*\): start it, or give --server URL$`;
        await fails(daemon, new RegExp(`^logferry: cannot reach nats-server at ${HERE} ${end}`));
        const seconds = (performance.now() - began) / 1_000;
        assert.ok(seconds > 28, `${seconds} s`);
      };
      await both(dir, url, given, ['--once']);
    });
  });

  test('is not there: every few seconds what is tried, and then the bytes go through', async () => {
    await World.run('no-server', async (world) => {
      const written = new Written(world, 'a.log');
      written.line();
      await world.server.kill();
      const daemons = [world.receive(), world.ship()];
      const tried = new RegExp(`^cannot reach nats-server at ${HERE} \\(.*ECONNREFUSED.*\\); trying again$`);
      for (const daemon of daemons) await warns(daemon, tried);
      // With the first try that is five seconds later or more.
      for (const daemon of daemons) {
        assert.ok(await until(() => messages(daemon).length > 1, { timeoutMs: WAIT_MS }), daemon.stderr);
        assert.equal(messages(daemon).length, 2, daemon.stderr);
      }
      await world.restartServer();
      await assertIdentical(world, [written]);
      for (const daemon of daemons) await stops(daemon);
      written.close();
    });
  });

  test('is gone while running: said, and nothing is lost', async () => {
    await World.run('server-gone', async (world) => {
      const written = new Written(world, 'a.log');
      written.line();
      const daemons = [world.receive(), world.ship()];
      await assertIdentical(world, [written]);
      await world.server.kill();
      written.line();
      for (const daemon of daemons) await warns(daemon, /^connection to nats-server lost; reconnecting$/);
      await world.restartServer();
      for (const daemon of daemons) await logs(daemon, /^reconnected to nats-server$/);
      await assertIdentical(world, [written]);
      for (const daemon of daemons) await stops(daemon);
      written.close();
    });
  });

  test('is older than 2.10: exit 1', async () => {
    const { url } = await listen(speakNats('2.9.10'));
    const old = `is version 2\\.9\\.10, logferry needs 2\\.10 or newer: upgrade nats-server$`;
    await directory(async (dir) => {
      await both(dir, url, async (daemon) => {
        await fails(
          daemon,
          new RegExp(`^logferry: nats-server at (nats:\\/\\/)?127\\.0\\.0\\.1:\\d+ ${old}`),
        );
      });
    });
  });

  test('does not speak NATS, says nothing, or has a JetStream that does not answer: tried again', async () => {
    const web = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const silent = await listen(() => {});
    const mute = await listen(speakNats('2.10.0'));
    await directory(async (dir) => {
      const tried = new RegExp(`^cannot reach nats-server at ${HERE} \\(.+\\); trying again$`);
      const servers = { web, silent, mute };
      await Promise.all(
        Object.entries(servers).map(async ([name, { url }]) => {
          const daemon = receiver(path.join(dir, name), url);
          await warns(daemon, tried);
          await stops(daemon);
        }),
      );
    });
  });

  test('does not take the credentials: exit 1, without the password', async () => {
    const hint = 'check --creds, --nkey, --user and --password, or --token';
    const refused = new RegExp(
      `^logferry: nats-server at ${HERE} refuses these credentials \\(.*\\): ${hint}$`,
    );
    const config = 'authorization { user: me, password: secret }';
    await World.run(
      'credentials',
      async (world) => {
        const { dir } = world;
        const { url } = world.server;
        const clear = async (daemon: Daemon): Promise<void> => {
          assert.doesNotMatch(await fails(daemon, refused), /hunter2/);
        };
        await both(dir, url, clear);
        await both(dir, url, clear, ['--user', 'me', '--password', 'hunter2']);
        await both(dir, url.replace('//', '//hunter2@'), clear);
        const right = world.receive(['--user', 'me', '--password', 'secret', '--once']);
        assert.equal(await ended(right), 0, right.stderr);
        assertClear(right);
      },
      config,
    );
  });

  test('a credentials file that holds none: exit 2 with its name', async () => {
    await directory(async (dir) => {
      const file = path.join(dir, 'garbage');
      await writeFile(file, 'garbage\n');
      const named = async (daemon: Daemon): Promise<void> => {
        assert.ok((await fails(daemon, /^logferry: --(creds|nkey): /, 2)).includes(file));
      };
      for (const flag of ['--creds', '--nkey']) await both(dir, 'nats://127.0.0.1:4', named, [flag, file]);
    });
  });

  test('gives too few permissions: exit 1 with the subject', async () => {
    const user = '{ user: me, password: secret, permissions: { publish: "logs.web1.>" } }';
    await World.run(
      'permissions',
      async ({ dir, server }) => {
        await both(dir, server.url.replace('//', '//me:secret@'), async (daemon) => {
          await fails(
            daemon,
            new RegExp(
              `^logferry: nats-server at ${HERE} refuses: [^\n]*\\$JS\\.API\\.\\S*: give this user the permissions that logferry needs$`,
            ),
          );
        });
      },
      `authorization { users: [${user}] }`,
    );
  });

  test('has JetStream off: exit 1', async () => {
    const hint = 'start nats-server with -js, or enable JetStream for this account';
    const off = new RegExp(`^logferry: JetStream is not enabled on nats-server at ${HERE}: ${hint}$`);
    const me = 'A: { users: [{ user: me, password: secret }] }';
    const other = 'B: { jetstream: enabled, users: [{ user: b, password: b }] }';
    await World.run(
      'no-jetstream',
      async ({ dir, server }) => {
        await both(dir, server.url.replace('//', '//me:secret@'), async (daemon) => {
          await fails(daemon, off);
        });
      },
      `accounts { ${me}, ${other} }`,
    );
  });

  test('has other streams in the way: exit 1, and they are left alone', async () => {
    const transform = 'and without the subject transform of logferry, ';
    const expected = String.raw`expected \["logs\.\*\.\*"\]: give another --stream \(and --prefix\), or delete that one$`;
    const exists = (subjects: string): RegExp =>
      new RegExp(`^logferry: stream LOGS exists with subjects \\["${subjects}"\\] ${transform}${expected}`);
    await World.run('other-streams', async (world) => {
      const { streams } = await world.jsm();
      const refused = async (pattern: RegExp): Promise<void> => {
        await both(world.dir, world.server.url, async (daemon) => {
          await fails(daemon, pattern);
        });
      };
      await streams.add({ name: 'LOGS', subjects: ['orders.>'] });
      await refused(exists(String.raw`orders\.>`));
      await streams.delete('LOGS');
      await streams.add({ name: 'LOGS', subjects: ['logs.*.*'] });
      await refused(exists(String.raw`logs\.\*\.\*`));
      const { config } = await streams.info('LOGS');
      assert.deepEqual([config.subjects, config.subject_transform], [['logs.*.*'], undefined]);
      await streams.delete('LOGS');
      await streams.add({ name: 'OTHER', subjects: ['logs.>'] });
      await refused(/^logferry: stream LOGS cannot have the subjects logs\.\*\.\*: .*overlap.*--prefix/);
    });
  });

  test('has the stream of an earlier logferry: exit 1, and it is left alone', async () => {
    const pattern =
      /^logferry: stream LOGS is one of an earlier logferry, whose messages \(logs\.\*\.\*\.\*\) this one neither reads nor writes: delete it once nothing in it is needed and run logferry setup, or give another --stream and --prefix$/;
    await World.run('earlier-stream', async (world) => {
      const jsm = await world.jsm();
      const earlier = {
        subjects: ['logs.*.*.*'],
        subject_transform: {
          src: 'logs.*.*.*',
          dest: 'logs.{{partition(64,1)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}',
        },
      };
      await jsm.streams.add({ name: 'LOGS', ...earlier });
      await jsm.jetstream().publish('logs.web1.x.y', 'what is needed');
      await both(world.dir, world.server.url, async (daemon) => {
        await fails(daemon, pattern);
      });
      for (const more of [[], ['--alter', '--max-age', '3d']])
        await fails(world.start('setup', ['setup', '--server', world.server.url, ...more]), pattern);
      const { config, state } = await jsm.streams.info('LOGS');
      assert.deepEqual(
        { ...earlier, messages: state.messages },
        {
          subjects: config.subjects,
          subject_transform: config.subject_transform,
          messages: 1,
        },
      );

      // What the line says to do.
      const other = ['--stream', 'OTHER', '--prefix', 'other'];
      const server = ['--server', world.server.url];
      assert.equal(await ended(world.start('other', ['setup', ...server, ...other])), 0);
      await jsm.streams.delete('LOGS');
      assert.equal(await ended(world.start('again', ['setup', ...server])), 0);
    });
  });
});
