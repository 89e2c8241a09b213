// Contexts of the nats CLI: read where it keeps them, only when one is named, beneath flags and variables.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { Command } from 'commander';
import { z } from 'zod';

import { addFlags, commandLineOf, readFlags } from '../../cli/flags/flag.ts';
import { serverFlags, serverOptions } from '../../cli/flags/options.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { ServerOptions } from '../../common/nats/connection.ts';
import { ended } from '../support/said.ts';
import { World } from '../support/world.ts';

/** As `nats context save` writes one that has nothing but a URL. */
const EMPTY = {
  ...{ description: 'production', url: 'nats://n1:4222,nats://n2', socks_proxy: '', token: '', user: '' },
  ...{ password: '', creds: '', nkey: '', cert: '', key: '', ca: '', nsc: '', jetstream_domain: '' },
  ...{ jetstream_api_prefix: '', jetstream_event_prefix: '', inbox_prefix: '', user_jwt: '' },
  ...{ color_scheme: '', tls_first: false },
};

class Home {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async with(use: (home: Home) => Promise<void>): Promise<void> {
    const home = new Home(await mkdtemp(path.join(tmpdir(), 'logferry-context-')));
    await mkdir(home.file('x').replace(/x\.json$/, ''), { recursive: true });
    await use(home);
    await rm(home.dir, { recursive: true });
  }

  file(name: string): string {
    return path.join(this.dir, '.config', 'nats', 'context', `${name}.json`);
  }

  async save(name: string, fields: object, mode = 0o600): Promise<void> {
    await rm(this.file(name), { force: true });
    await writeFile(this.file(name), JSON.stringify({ ...EMPTY, ...fields }), { mode });
  }

  /** What a command would connect with. */
  options(args: readonly string[], env: NodeJS.ProcessEnv = {}): ServerOptions {
    const schema = z.strictObject(serverFlags);
    const command = new Command('test');
    addFlags(command, schema);
    command.parse([...args], { from: 'user' });
    const all = { HOME: this.dir, ...env };
    return serverOptions(readFlags(schema, commandLineOf(command, schema), all).values, all);
  }

  /** The one line that is said, and exit 2. */
  refuses(pattern: RegExp, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
    assert.throws(
      () => this.options(args, env),
      (error) => {
        assert.ok(error instanceof LogferryError && error.code === 'usage', String(error));
        assert.match(error.message, pattern);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  }
}

/** Without what is undefined. */
function present(options: ServerOptions): object {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== false),
  );
}

describe('contexts of the nats CLI', () => {
  test('everything that a connection needs is taken', async () => {
    await Home.with(async (home) => {
      await home.save('prod', {
        ...{ creds: '~/prod.creds', ca: '/etc/ca.crt', cert: '/etc/me.crt', key: '/etc/me.key' },
        ...{ tls_first: true, inbox_prefix: '_INBOX_me' },
      });
      assert.deepEqual(present(home.options(['--context', 'prod'])), {
        server: 'nats://n1:4222,nats://n2:4222',
        creds: path.join(home.dir, 'prod.creds'),
        ...{ tlsCa: '/etc/ca.crt', tlsCert: '/etc/me.crt', tlsKey: '/etc/me.key' },
        ...{ tlsFirst: true, inboxPrefix: '_INBOX_me' },
      });
      await home.save('user', { user: 'me', password: 'hunter2' });
      assert.deepEqual(present(home.options([], { NATS_CONTEXT: 'user' })), {
        ...{ server: 'nats://n1:4222,nats://n2:4222', user: 'me', password: 'hunter2' },
      });
      await home.save('url', { url: 'nats://t0ken@n3' });
      assert.deepEqual(present(home.options(['--context', 'url'])), {
        server: 'nats://n3:4222',
        token: 't0ken',
      });
      const elsewhere = { XDG_CONFIG_HOME: path.join(home.dir, '.config'), HOME: '/nowhere' };
      assert.equal(home.options(['--context', 'user'], elsewhere).user, 'me');
    });
  });

  test('flags and variables come first; a login replaces the login as a whole; unnamed, none is taken', async () => {
    await Home.with(async (home) => {
      await home.save('user', { user: 'me', password: 'hunter2', ca: '/etc/ca.crt' });
      await writeFile(path.join(home.dir, '.config', 'nats', 'context.txt'), 'user');
      assert.deepEqual(present(home.options([])), { server: 'nats://127.0.0.1:4222' });
      const named = ['--context', 'user'];
      const rest = { server: 'nats://n1:4222,nats://n2:4222', tlsCa: '/etc/ca.crt' };
      assert.deepEqual(present(home.options([...named, '--creds', '/c'])), { ...rest, creds: '/c' });
      assert.deepEqual(present(home.options(named, { NATS_TOKEN: 't' })), { ...rest, token: 't' });
      const there = present(home.options([...named, '--server', 'nats://a:b@n9', '--tls-ca', '/x']));
      assert.deepEqual(there, { server: 'nats://n9:4222', user: 'a', password: 'b', tlsCa: '/x' });
      const same = present(home.options(named, { NATS_URL: 'n8' }));
      assert.deepEqual(same, { ...rest, server: 'nats://n8:4222', user: 'me', password: 'hunter2' });
    });
  });

  test('what cannot be used is one line', async () => {
    await Home.with(async (home) => {
      const use = ['--context', 'bad'];
      home.refuses(/^there is no context "bad" of the nats CLI \(\/.*\/nats\/context\/bad\.json\)$/, use);
      home.refuses(/^--context is "\.\.\/x", expected a name$/, ['--context', '../x']);
      const refuses = async (pattern: RegExp, fields: object, mode?: number): Promise<void> => {
        await home.save('bad', fields, mode);
        home.refuses(pattern, use);
      };
      const file = String.raw`^cannot use the context \/.*\/bad\.json: `;
      await refuses(new RegExp(`${file}it has "nsc", which logferry does not know`), { nsc: 'nsc://o/a/u' });
      await refuses(new RegExp(`${file}it has "jetstream_domain", which`), { jetstream_domain: 'hub' });
      await refuses(new RegExp(`${file}it has "new_thing", which`), { new_thing: ['x'] });
      await refuses(new RegExp(`${file}"creds" is no path`), { creds: 'op://vault/item' });
      await refuses(new RegExp(`${file}it has one of "user" and "password"`), { user: 'me' });
      await refuses(new RegExp(`${file}"url": `), { url: 7 });
      await refuses(/^--context: "http:\/\/x" is not the URL of a nats-server$/, { url: 'http://x' });
      await refuses(/^inbox_prefix in --context is "a\.\*", expected /, { inbox_prefix: 'a.*' });
      await refuses(/^--creds and --token contradict each other$/, { creds: '/c', token: 'hunter2' });
      await refuses(/^--tls-cert needs --tls-key$/, { cert: '/c' });
      const open = /^--context: \/.*\/bad\.json holds a secret and is open to everybody here \(mode 0644\)$/;
      await refuses(open, { token: 'hunter2' }, 0o644);
      await writeFile(home.file('bad'), 'garbage');
      home.refuses(new RegExp(`${file}it is no JSON$`), use);
      await writeFile(home.file('bad'), '[]');
      home.refuses(new RegExp(`${file}`), use);
    });
  });

  test('a command logs in with one', async () => {
    await Home.with(async (home) => {
      await World.run(
        'context',
        async (world) => {
          await home.save('here', { url: world.server.url, user: 'me', password: 'hunter2' });
          const through = ['env', `XDG_CONFIG_HOME=${path.join(home.dir, '.config')}`];
          const daemon = world.start('setup', ['setup', '--context', 'here'], through);
          assert.equal(await ended(daemon), 0, daemon.stderr);
          assert.match(daemon.stdout, /^created stream LOGS$/m);
        },
        'authorization { user: me, password: hunter2 }',
      );
    });
  });
});
