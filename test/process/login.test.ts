// Every way to log in, against a server that demands it, and one clear line for each way to get it wrong.

import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { createUser } from '@nats-io/nkeys';

import { Authority, type Certificate, hasOpenssl } from '../support/certificates.ts';
import { Operator } from '../support/credentials.ts';
import { ended, fails, logs, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const REFUSED = /^logferry: nats-server at \S+ refuses these credentials \(.*\): check --creds, --nkey, /;

/** Sets up the stream as this user, with secrets in the environment. */
async function setUp(
  world: World,
  flags: readonly string[],
  env: Readonly<Record<string, string>> = {},
  server = world.server.url,
): Promise<ReturnType<World['start']>> {
  const through = ['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const daemon = world.start('setup', ['setup', '--server', server, '--json', ...flags], through);
  await ended(daemon);
  return daemon;
}

async function works(...args: Parameters<typeof setUp>): Promise<void> {
  const daemon = await setUp(...args);
  assert.equal(daemon.child.exitCode, 0, daemon.stderr);
  assert.match(daemon.stdout, /"stream":"LOGS"/);
}

/** One line with exit 1, or 2 where the usage is wrong. */
async function refuses(pattern: RegExp, code: number, ...args: Parameters<typeof setUp>): Promise<void> {
  await fails(await setUp(...args), pattern, code);
}

/** A file that only its owner may read. */
async function secret(world: World, name: string, text: string): Promise<string> {
  const file = path.join(world.dir, name);
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

/** A secret file that is not there, holds something else, or is open to everybody, is named with what to do. */
async function refusesFiles(world: World, flag: string, right: string): Promise<void> {
  const absent = path.join(world.dir, 'absent');
  await refuses(new RegExp(`^logferry: ${flag}: there is no file ${absent}: check the path$`), 2, world, [
    flag,
    absent,
  ]);
  const garbage = await secret(world, 'garbage', 'garbage\n');
  await refuses(new RegExp(`^logferry: ${flag}: ${garbage} holds no credentials \\(`), 2, world, [
    flag,
    garbage,
  ]);
  await refuses(new RegExp(`^logferry: ${flag}: cannot read ${world.dir} \\(EISDIR`), 2, world, [
    flag,
    world.dir,
  ]);
  await chmod(right, 0o644);
  await refuses(
    new RegExp(
      `^logferry: ${flag}: ${right} holds a secret and is open to everybody here \\(mode 0644\\): run chmod o= `,
    ),
    2,
    world,
    [flag, right],
  );
  await chmod(right, 0o640);
  await works(world, [flag, right]);
}

describe('who may log in', { concurrency: 2 }, () => {
  test('user and password, in flags, in the environment, in the URL', async () => {
    const config = 'authorization { user: me, password: "s3 cret" }';
    await World.run(
      'login-user',
      async (world) => {
        const { url } = world.server;
        await works(world, ['--user', 'me', '--password', 's3 cret']);
        await works(world, [], { NATS_USER: 'me', NATS_PASSWORD: 's3 cret' });
        await works(world, ['--user', 'me'], { NATS_USER: 'other', NATS_PASSWORD: 's3 cret' });
        await works(world, [], {}, url.replace('//', '//me:s3%20cret@'));
        await refuses(REFUSED, 1, world, []);
        await refuses(REFUSED, 1, world, ['--user', 'me', '--password', 'other']);
        await refuses(REFUSED, 1, world, [], { NATS_USER: 'me', NATS_PASSWORD: 'other' });
      },
      config,
    );
  });

  test('a token, in a flag and in the environment', async () => {
    await World.run(
      'login-token',
      async (world) => {
        await works(world, ['--token', 't0ken']);
        await works(world, [], { NATS_TOKEN: 't0ken' });
        await refuses(REFUSED, 1, world, ['--token', 'other']);
      },
      'authorization { token: t0ken }',
    );
  });

  test('an NKey', async () => {
    const user = createUser();
    await World.run(
      'login-nkey',
      async (world) => {
        const seed = await secret(world, 'seed.nk', new TextDecoder().decode(user.getSeed()));
        await works(world, ['--nkey', seed]);
        await works(world, [], { NATS_NKEY: seed });
        const other = await secret(world, 'other.nk', new TextDecoder().decode(createUser().getSeed()));
        await refuses(REFUSED, 1, world, ['--nkey', other]);
        await refusesFiles(world, '--nkey', seed);
      },
      `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`,
    );
  });

  test('a credentials file of an account whose JetStream the operator allows', async () => {
    const operator = await Operator.create();
    await World.run(
      'login-creds',
      async (world) => {
        const right = await secret(world, 'me.creds', await operator.credentials('me'));
        await works(world, ['--creds', right]);
        await works(world, [], { NATS_CREDS: right });
        const old = await secret(
          world,
          'old.creds',
          await operator.credentials('old', { expires: 1_000_000_000 }),
        );
        await refuses(REFUSED, 1, world, ['--creds', old]);
        const foreign = await (await Operator.create()).credentials('me');
        await refuses(REFUSED, 1, world, ['--creds', await secret(world, 'foreign.creds', foreign)]);
        await refusesFiles(world, '--creds', right);
      },
      operator.config,
    );
  });
});

const withoutOpenssl = (await hasOpenssl()) ? false : 'there is no openssl here';

describe('credentials that expire', () => {
  test('are read again: a daemon goes on with those that have taken their place', async () => {
    const operator = await Operator.create();
    await World.run(
      'login-expires',
      async (world) => {
        const soon = Math.floor(Date.now() / 1_000) + 30;
        const file = await secret(world, 'me.creds', await operator.credentials('me', { expires: soon }));
        const written = new Written(world, 'a.log');
        written.line();
        const receiver = world.receive(['--creds', file]);
        const shipper = world.ship(['--creds', file]);
        await assertIdentical(world, [written]);
        // A daemon that logs in meanwhile finds nothing usable, and goes on with what it has.
        await writeFile(file, '');
        await writeFile(file, await operator.credentials('me'));
        for (const daemon of [receiver, shipper]) await logs(daemon, /^reconnected to nats-server$/);
        written.line();
        await assertIdentical(world, [written]);
        await stops(shipper);
        await stops(receiver);
        written.close();
      },
      operator.config,
    );
  });
});

describe('TLS', { concurrency: 2, skip: withoutOpenssl }, () => {
  /** A server's configuration. */
  const tls = ({ cert, key }: Certificate, authority: Authority, more = ''): string =>
    `tls { cert_file: ${JSON.stringify(cert)}, key_file: ${JSON.stringify(key)}, ca_file: ${JSON.stringify(authority.cert)} ${more} }`;

  const inDirectory = async (use: (dir: string) => Promise<void>): Promise<void> => {
    const dir = await mkdtemp(path.join(tmpdir(), 'logferry-certificates-'));
    await use(dir);
    await rm(dir, { recursive: true });
  };

  test('the server is who it should be, by name and by address', async () => {
    await inDirectory(async (dir) => {
      const authority = await Authority.create(path.join(dir, 'ours'));
      const other = await Authority.create(path.join(dir, 'other'));
      const trusting = ['--tls-ca', authority.cert];
      const there = await authority.sign('server', 'IP:127.0.0.1,DNS:localhost');
      await World.run(
        'tls',
        async (world) => {
          const { url, port } = world.server;
          await works(world, trusting);
          await works(world, [], { NATS_CA: authority.cert });
          await works(world, trusting, {}, `tls://localhost:${port}`);
          await works(world, trusting, {}, `tls://127.0.0.1:${port},tls://localhost:${port}`);
          const untrusted =
            /^logferry: nats-server at \S+ shows a certificate of an authority that is not trusted here \(\w+\): give --tls-ca /;
          await refuses(untrusted, 1, world, []);
          await refuses(untrusted, 1, world, ['--tls-ca', other.cert]);
          await refuses(untrusted, 1, world, [], {}, url.replace(/^(nats:\/\/)?/, 'tls://'));
          await refuses(
            /^logferry: nats-server at \S+ does not begin with the TLS handshake \(\w+\): leave out --tls-first$/,
            1,
            world,
            [...trusting, '--tls-first'],
          );
          const garbage = await secret(world, 'garbage', 'garbage\n');
          await refuses(/^logferry: --tls-ca: \S+ holds no certificate \(/, 2, world, ['--tls-ca', garbage]);
          await refuses(/^logferry: --tls-ca: there is no file /, 2, world, ['--tls-ca', `${garbage}-not`]);
        },
        tls(there, authority),
      );
      const otherName =
        /^logferry: nats-server at \S+ shows a certificate for another host \(ERR_TLS_CERT_ALTNAME_INVALID\): connect by /;
      // Node would check for localhost where there is an address.
      for (const names of ['DNS:elsewhere.example', 'DNS:localhost', 'IP:127.0.0.2'])
        await World.run(
          'tls-name',
          async (world) => {
            await refuses(otherName, 1, world, trusting);
          },
          tls(await authority.sign('wrong', names), authority),
        );
      await World.run(
        'tls-expired',
        async (world) => {
          await refuses(
            /^logferry: nats-server at \S+ shows a certificate that is not valid now \(CERT_HAS_EXPIRED\): renew /,
            1,
            world,
            trusting,
          );
        },
        tls(await authority.sign('expired', 'IP:127.0.0.1', -1), authority),
      );
      await World.run(
        'tls-first',
        async (world) => {
          await works(world, [...trusting, '--tls-first']);
        },
        tls(there, authority, ', handshake_first: true'),
      );
    });
  });

  test('tls:// says nothing to a server that does not encrypt', async () => {
    await World.run('tls-plain', async (world) => {
      const url = `tls://127.0.0.1:${world.server.port}`;
      const daemon = world.start('out', [
        'receive',
        '--out',
        world.out,
        '--server',
        url,
        '--token',
        'secret',
      ]);
      await warns(
        daemon,
        /^cannot reach nats-server at tls:\S+ \(server does not support 'tls'\); trying again$/,
      );
      await stops(daemon);
    });
  });

  test('the client is who it should be: bytes arrive with both certificates, and without one nothing does', async () => {
    await inDirectory(async (dir) => {
      const authority = await Authority.create(path.join(dir, 'ours'));
      const other = await Authority.create(path.join(dir, 'other'));
      const there = await authority.sign('server', 'IP:127.0.0.1');
      const trusting = ['--tls-ca', authority.cert];
      const showing = ({ cert, key }: Certificate): string[] => [
        ...trusting,
        '--tls-cert',
        cert,
        '--tls-key',
        key,
      ];
      const mine = await authority.sign('client', 'DNS:web1');
      const refused =
        /^logferry: nats-server at \S+ does not take this client's certificate \(ERR_SSL_\w+\): give --tls-cert and --tls-key /;
      await World.run(
        'tls-mutual',
        async (world) => {
          const written = new Written(world, 'a.log');
          written.line();
          const shipper = world.ship(showing(mine));
          const receiver = world.receive(showing(mine));
          await assertIdentical(world, [written]);
          await stops(shipper);
          await stops(receiver);
          written.close();
          await works(world, trusting, { NATS_CERT: mine.cert, NATS_KEY: mine.key });
          await refuses(refused, 1, world, trusting);
          await refuses(refused, 1, world, showing(await other.sign('client', 'DNS:web1')));
          const old = await authority.sign('old', 'DNS:web1', -1);
          await refuses(
            /^logferry: --tls-cert: the certificate in \S+ has expired \(/,
            2,
            world,
            showing(old),
          );
          await refuses(
            /^logferry: --tls-cert \S+ and --tls-key \S+ are no certificate and its key \(/,
            2,
            world,
            showing({ cert: mine.cert, key: there.key }),
          );
          await chmod(mine.key, 0o644);
          await refuses(
            /^logferry: --tls-key: \S+ holds a secret and is open to everybody here /,
            2,
            world,
            showing(mine),
          );
          await refuses(/^logferry: --tls-cert needs --tls-key: /, 2, world, ['--tls-cert', mine.cert]);
        },
        tls(there, authority, ', verify: true'),
      );
    });
  });
});
