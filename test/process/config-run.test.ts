// Shipper and receiver with configuration files: several sources with options of their own, and what SIGHUP changes while
// lines are written. Every byte that arrived is compared with what was written.

import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { Machine, Shared } from '../support/machine.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, fails, logs, messages, stops, warns } from '../support/said.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const ERROR = 50;

/** A shipper that is configured by a file beside its sources. */
class Configured extends Machine {
  get config(): string {
    return path.join(this.world.dir, `${this.host}.yaml`);
  }

  /** Writes the file anew; `sources` is YAML, `more` other keys of the section ship. */
  async configure(sources: readonly string[], more: readonly string[] = []): Promise<void> {
    const lines = [
      `server: {url: "${this.world.server.url}"}`,
      'ship:',
      `  host: ${this.host}`,
      `  state: ${this.state}`,
      '  lease: 2s',
      ...more.map((line) => `  ${line}`),
      '  sources:',
      ...sources.map((source) => `    - ${source}`),
    ];
    await writeFile(this.config, `${lines.join('\n')}\n`);
  }

  start(args: readonly string[] = []): Daemon {
    return this.world.start(`ship-${this.host}`, ['ship', '--config', this.config, ...args]);
  }

  /** Sends SIGHUP and waits for what it says of it. */
  async reload(shipper: Daemon, pattern: RegExp): Promise<void> {
    const count = (): number => messages(shipper).filter((line) => pattern.test(line)).length;
    const before = count();
    shipper.child.kill('SIGHUP');
    assert.ok(await until(() => count() > before, { timeoutMs: WAIT_MS }), shipper.stderr);
  }
}

const shared = new Shared('config');

shared.check(
  'several sources, each with options of its own; the first that names a path has it',
  async (machineOf) => {
    const { world, host } = machineOf('sources');
    const machine = new Configured(world, host);
    await machine.write('a/old.log', 'before\n');
    await machine.write('a/debug.log', 'left out of the first, and in the second\n');
    await machine.write('a/x.log', 'of the first\n');
    await machine.write('b/c/deep.log', 'under another name\n');
    await machine.configure([
      `{paths: '${machine.path('a/*.log')}', exclude: '*debug*'}`,
      `{paths: ['${machine.path('[ab]/**/*.log')}'], path-prefix: '${machine.path('b')}'}`,
    ]);
    const once = machine.start(['--once', '--timeout', '2m']);
    assert.equal(await ended(once), 0, once.stderr);
    assertClear(once);
    await machine.has({
      'a/old.log': 'before\n',
      'a/debug.log': 'left out of the first, and in the second\n',
      'a/x.log': 'of the first\n',
      '/c/deep.log': 'under another name\n',
    });
  },
);

shared.check('SIGHUP adds a source, takes one away and back, and loses no byte of any', async (machineOf) => {
  const { world, host } = machineOf('reload');
  const machine = new Configured(world, host);
  const a = `{paths: '${machine.path('a/*.log')}'}`;
  const b = `{paths: '${machine.path('b/*.log')}'}`;
  const c = `{paths: '${machine.path('c/*.log')}', from: end}`;
  await machine.write('a/a.log', 'a1\n');
  await machine.write('b/b.log', 'b1\n');
  await machine.write('c/c.log', 'there before its source\n');
  await machine.configure([a]);
  const shipper = machine.start();
  await machine.has({ 'a/a.log': 'a1\n' });

  await machine.configure([a, b, c]);
  await machine.reload(shipper, /^SIGHUP: read .* changed ship\.sources\[1\]\.paths/);
  await logs(shipper, /^shipping .*c\.log$/);
  await machine.write('c/c.log', 'c1\n');
  await machine.write('c/later.log', 'c2\n');
  await machine.has({ 'a/a.log': 'a1\n', 'b/b.log': 'b1\n', 'c/c.log': 'c1\n', 'c/later.log': 'c2\n' });

  await machine.configure([a, c]);
  await machine.reload(shipper, /^SIGHUP: read .* changed/);
  await logs(shipper, /b\/b\.log: shipped before, named by no source now/);
  await machine.write('b/b.log', 'while it was away\n');
  await machine.write('a/a.log', 'a2\n');
  const away = { 'a/a.log': 'a1\na2\n', 'b/b.log': 'b1\n', 'c/c.log': 'c1\n', 'c/later.log': 'c2\n' };
  await machine.has(away);
  // Also a start does not read what no source names.
  await stops(shipper);
  const again = machine.start();
  await logs(again, /b\/b\.log: shipped before, named by no source now/);
  await machine.write('a/a.log', 'a3\n');
  await machine.has({ ...away, 'a/a.log': 'a1\na2\na3\n' });

  await machine.configure([b, a, c]);
  await machine.reload(again, /^SIGHUP: read .* changed/);
  await machine.write('b/b.log', 'b2\n');
  await machine.has({
    ...away,
    'a/a.log': 'a1\na2\na3\n',
    'b/b.log': 'b1\nwhile it was away\nb2\n',
  });
  await stops(again);
});

shared.check('SIGHUP while it writes: options change, a path passes to another source', async (machineOf) => {
  const { world, host } = machineOf('moving');
  const machine = new Configured(world, host);
  const all = `'${machine.path('a/*.log')}'`;
  const one = `'${machine.path('a/1.log')}'`;
  const turns = [
    [`{paths: ${all}}`],
    [`{paths: ${all}, rotate-wait: 1s}`],
    [`{paths: ${one}}`, `{paths: ${all}, rotate-wait: 1s}`],
    [`{paths: ${all}, exclude: '2.log'}`],
    [`{paths: ${all}, ignore-older: 1h}`],
  ];
  const written: Record<string, string> = { 'a/1.log': '', 'a/2.log': '', 'a/3.log': '' };
  const write = async (lines: number): Promise<void> => {
    for (let line = 0; line < lines; line += 1)
      for (const name of Object.keys(written)) {
        const text = `${name} ${String(written[name]?.length)} ${'x'.repeat(50)}\n`;
        written[name] += text;
        await machine.write(name, text);
      }
  };
  await write(200);
  await machine.configure(turns[0] ?? []);
  const shipper = machine.start();
  await logs(shipper, /^shipping/);
  for (const turn of turns.slice(1)) {
    await write(200);
    await machine.configure(turn);
    await machine.reload(shipper, /^SIGHUP: read .* changed/);
    await write(200);
  }
  await machine.has(written);
  await stops(shipper);
});

shared.check('SIGHUP with other options: a deleted file stays open to its end', async (machineOf) => {
  const { world, host } = machineOf('deleted');
  const machine = new Configured(world, host);
  const paths = `paths: '${machine.path('a/*.log')}'`;
  let text = '';
  for (let line = 0; text.length < 6_000_000; line += 1) text += `line ${line} ${'x'.repeat(100)}\n`;
  await machine.write('a/a.log', text);
  // A minute at this rate.
  await machine.configure([`{${paths}}`], ['max-rate: 100kB']);
  const shipper = machine.start();
  await logs(shipper, /^shipping .*a\.log$/);
  await rm(machine.path('a/a.log'));
  const others = [
    `{paths: '${machine.path('b/*.log')}'}`,
    `{${paths}, rotate-wait: 2s, exclude: y, ignore-older: 1h}`,
  ];
  await machine.configure(others, ['max-rate: 500MB']);
  await machine.reload(shipper, /^SIGHUP: read .* changed/);
  await machine.write('b/b.log', 'b\n');
  await machine.has({ 'a/a.log': text, 'b/b.log': 'b\n' });
  await stops(shipper);
});

shared.check(
  'SIGHUP that closes the files of a source waits for the end of a deleted one',
  async (machineOf) => {
    const { world, host } = machineOf('closing');
    const machine = new Configured(world, host);
    const paths = `paths: '${machine.path('a/*.log')}'`;
    let text = '';
    for (let line = 0; text.length < 6_000_000; line += 1) text += `line ${line} ${'x'.repeat(100)}\n`;
    await machine.write('a/left-out.log', 'before\n');
    await machine.configure([`{${paths}}`], ['max-rate: 1MB']);
    const shipper = machine.start();
    await machine.has({ 'a/left-out.log': 'before\n' });
    await machine.write('a/deleted.log', text);
    await logs(shipper, /^shipping .*deleted\.log$/);
    await rm(machine.path('a/deleted.log'));
    await machine.configure([`{${paths}, exclude: left-out.log}`], ['max-rate: 1MB']);
    await machine.reload(shipper, /^SIGHUP: read .* changed/);
    await logs(shipper, /left-out\.log: shipped before, named by no source now/);
    await machine.write('a/left-out.log', 'after\n');
    await machine.write('a/new.log', 'new\n');
    await machine.has({ 'a/left-out.log': 'before\n', 'a/deleted.log': text, 'a/new.log': 'new\n' });
    await stops(shipper);
  },
);

shared.check('SIGHUP: a rotation while its source was away', async (machineOf) => {
  const { world, host } = machineOf('away');
  const machine = new Configured(world, host);
  const file = new Written(world, `${host}.log`, host);
  const a = `{paths: '${file.file}'}`;
  const b = `{paths: '${machine.path('b/*.log')}'}`;
  file.line();
  await machine.configure([a]);
  const shipper = machine.start();
  const has = async (): Promise<void> => {
    const want = await file.truth();
    const isThere = async (): Promise<boolean> => (await central(world.out, host, file.file)).equals(want);
    assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), shipper.stderr);
  };
  await has();
  await machine.configure([b]);
  await machine.reload(shipper, /^SIGHUP: read .* changed/);
  await logs(shipper, /shipped before, named by no source now/);
  file.line();
  file.rotate();
  file.line();
  await machine.configure([a, b]);
  await machine.reload(shipper, /^SIGHUP: read .* changed/);
  await has();
  file.close();
  await stops(shipper);
});

shared.check(
  'SIGHUP: max-rate changes; what cannot is said; a broken file changes nothing',
  async (machineOf) => {
    const { world, host } = machineOf('rate');
    const machine = new Configured(world, host);
    const a = `{paths: '${machine.path('a/*.log')}'}`;
    await machine.write('a/a.log', '');
    await machine.configure([a], ['max-rate: 1kB']);
    const shipper = machine.start();
    await logs(shipper, /^shipping .*a\.log$/);
    const text = `${'0123456789abcdef'.repeat(4_096 * 16)}\n`;
    // At 1 kB/s it would take a quarter of an hour.
    await machine.configure([a], ['max-rate: 100MB', 'compression: none']);
    await machine.reload(shipper, /^SIGHUP: read .* changed ship\.max-rate$/);
    await warns(shipper, /^SIGHUP: ship\.compression changed in .*: needs a restart, stays as it was/);
    await machine.write('a/a.log', text);
    await machine.has({ 'a/a.log': text });

    await writeFile(machine.config, 'ship:\n  sources: [{paths: x}]\n  max-rte: 5MB\n');
    const refused =
      /^SIGHUP: \S+:3:3: unknown key ship\.max-rte: did you mean ship\.max-rate\?; what was in force stays$/;
    await machine.reload(shipper, refused);
    assert.equal(messages(shipper, ERROR).length, 1);
    await machine.write('a/a.log', 'and on\n');
    await machine.has({ 'a/a.log': `${text}and on\n` });
    await stops(shipper);
  },
);

test('SIGHUP while there is no server: what changes waits for it, and nothing is lost', async () => {
  await World.run('reload-away', async (world) => {
    const receiver = world.receive();
    const machine = new Configured(world, world.host);
    const a = `paths: '${machine.path('a/*.log')}'`;
    await machine.write('a/1.log', 'one\n');
    await machine.write('a/2.log', 'two\n');
    await machine.configure([`{${a}}`]);
    const shipper = machine.start();
    await machine.has({ 'a/1.log': 'one\n', 'a/2.log': 'two\n' });
    await world.server.kill();
    await warns(shipper, /^connection to nats-server lost/);
    // Written and deleted while nobody can ship it: its descriptor must not be closed before it is in the stream.
    await machine.write('a/1.log', 'three\n');
    await machine.configure([`{${a}, exclude: '2.log'}`, `{paths: '${machine.path('b/*.log')}'}`]);
    await machine.reload(shipper, /^SIGHUP: read .* changed/);
    await machine.write('b/b.log', 'b\n');
    await rm(machine.path('a/1.log'));
    await world.restartServer();
    await machine.has({ 'a/1.log': 'one\nthree\n', 'a/2.log': 'two\n', 'b/b.log': 'b\n' });
    await stops(shipper);
    await stops(receiver);
  });
});

test('SIGHUP without --config ends it, as when a terminal is closed', async () => {
  await World.run('hangup', async (world) => {
    const shipper = world.ship(['--server', 'nats://127.0.0.1:1']);
    await warns(shipper, /./);
    shipper.child.kill('SIGHUP');
    await shipper.exited;
    assert.equal(shipper.child.signalCode, 'SIGHUP');
  });
});

test('a receiver by a file: SIGHUP changes retention and rotation', async () => {
  await World.run('receive-config', async (world) => {
    const config = path.join(world.dir, 'receive.yaml');
    const configure = async (more: readonly string[]): Promise<void> => {
      const lines = ['receive:', `  out: ${world.out}`, '  lease: 2s', ...more.map((line) => `  ${line}`)];
      await writeFile(config, `server: {url: "${world.server.url}"}\n${lines.join('\n')}\n`);
    };
    await configure(['rotate-size: off', 'rotate-interval: off']);
    const receiver = world.start('receive', ['receive', '--config', config]);
    const shipper = world.ship();
    const file = new Written(world, 'app.log');
    const arrived = async (): Promise<void> => {
      const want = await file.truth();
      const isThere = async (): Promise<boolean> =>
        (await central(world.out, world.host, file.file)).equals(want);
      assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), receiver.stderr);
    };
    const segments = async (): Promise<string[]> => {
      const names = await readdir(path.dirname(path.join(world.out, world.host, file.file)));
      return names.filter((name) => name !== 'app.log');
    };
    for (let line = 0; line < 100; line += 1) file.line(1_000);
    await arrived();
    assert.deepEqual(await segments(), []);

    await configure(['rotate-size: 20kB', 'rotate-interval: off', 'id: other']);
    receiver.child.kill('SIGHUP');
    await logs(receiver, /^SIGHUP: read .* changed receive\.rotate-size$/);
    await warns(receiver, /^SIGHUP: receive\.id changed in .* needs a restart/);
    const rotated = async (): Promise<boolean> => {
      file.line(1_000);
      return (await segments()).length >= 3;
    };
    assert.ok(await until(rotated, { timeoutMs: WAIT_MS, everyMs: 50 }), receiver.stderr);
    await arrived();

    await configure(['rotate-size: off', 'rotate-interval: off', 'keep-count: 1']);
    receiver.child.kill('SIGHUP');
    await logs(receiver, /^SIGHUP: read .* changed receive\.rotate-size, receive\.keep-count$/);
    const isKept = async (): Promise<boolean> => (await segments()).length === 1;
    assert.ok(await until(isKept, { timeoutMs: WAIT_MS }), receiver.stderr);
    file.close();
    await stops(shipper);
    await stops(receiver);
  });
});

test('what a daemon refuses is one line and exit 2', async () => {
  await World.run('refused', async (world) => {
    const config = path.join(world.dir, 'x.yaml');
    const refuses = async (text: string, args: readonly string[], pattern: RegExp): Promise<void> => {
      await writeFile(config, text);
      await fails(world.start('refused', [...args, '--config', config]), pattern, 2);
    };
    await refuses('ship: {sources: [{paths: x}]}', ['ship', 'y'], /y on the command line and ship\.sources/);
    await refuses('ship: {}', ['ship'], /has no ship\.sources, and no glob is given/);
    await refuses(
      'receive: {}',
      ['receive'],
      /receive\.out is missing in \S+x\.yaml: give it there, or --out/,
    );
    await refuses(
      'server: {creds: /no/such}\nreceive: {out: x}',
      ['receive'],
      /server\.creds \(\S+:1:10\): there is no file/,
    );
  });
});
