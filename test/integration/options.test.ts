// The options that say which files are shipped, from where, and under which name: each compares the bytes that arrived.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink, utimes } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { Shared } from '../support/machine.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { logs, messages, stops, warns } from '../support/said.ts';
import type { Daemon } from '../support/daemon.ts';

describe('options', () => {
  const shared = new Shared('options');

  shared.check('what is left out by default, by --exclude, and by neither', async (machineOf) => {
    const machine = machineOf('exclude');
    const names = [
      'a.log',
      'a.log.1.gz',
      'b.zst',
      'a.log~',
      'c.swp',
      '#d#',
      'debug.log',
      'lastlog',
      'e.gzip',
    ];
    for (const name of names) await machine.write(`x/${name}`, `${name}\n`);
    await machine.write('x/.f.log.swp', 'hidden\n');
    const only = (...wanted: string[]): Record<string, string> =>
      Object.fromEntries(wanted.map((name) => [`x/${name}`, `${name}\n`]));
    await machine.once(['x/*', 'x/.*', '--exclude', '*debug*']);
    await machine.has(only('a.log', 'e.gzip'));
    // What is named without a wildcard is meant; what the user leaves out is left out.
    await machine.once(['x/*', 'x/b.zst', 'x/debug.log', '--exclude', '*debug*', '--exclude', 'x/#*']);
    await machine.has(only('a.log', 'e.gzip', 'b.zst'));
    await machine.once(['x/*', '--no-default-excludes', '--exclude', machine.path('x/{c,debug}.*')]);
    await machine.has(only(...names.filter((name) => name !== 'c.swp' && name !== 'debug.log')));
  });

  shared.check(
    '--from end: only what is there at the very first start, also after a kill',
    async (machineOf) => {
      const machine = machineOf('from-end');
      await machine.write('x/a.log', 'old\n');
      await machine.write('x/quiet.log', 'old\n');
      // Killed before it ever reached a server: that was not the first start yet.
      const early = machine.ship(['x/*.log', '--from', 'end', '--server', 'nats://127.0.0.1:1']);
      const isThere = async (): Promise<boolean> => {
        const names: string[] = await readdir(machine.state).catch(() => []);
        return names.includes('state.json');
      };
      assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), early.stderr);
      await early.kill();
      const shipper = machine.ship(['x/*.log', '--from', 'end']);
      await logs(shipper, /^shipping .*quiet\.log$/);
      await logs(shipper, /^shipping .*a\.log$/);
      await machine.write('x/a.log', 'new\n');
      await machine.write('x/later.log', 'from its first byte\n');
      await machine.has({ 'x/a.log': 'new\n', 'x/later.log': 'from its first byte\n' });
      await stops(shipper);
      await machine.write('x/a.log', 'while it was down\n');
      await machine.write('x/down.log', 'appeared while it was down\n');
      await machine.once(['x/*.log', '--from', 'end']);
      const now = {
        'x/a.log': 'new\nwhile it was down\n',
        'x/later.log': 'from its first byte\n',
        'x/down.log': 'appeared while it was down\n',
      };
      await machine.has(now);
      // A state that is lost: what was shipped goes on at the exact byte, what nobody knows begins at its end.
      await rm(machine.state, { recursive: true });
      await machine.write('x/a.log', 'state lost\n');
      await machine.write('x/unknown.log', 'there at what looks like the first start\n');
      await machine.once(['x/*.log', '--from', 'end']);
      await machine.write('x/unknown.log', 'and on\n');
      await machine.write('x/quiet.log', 'and on\n');
      await machine.once(['x/*.log', '--from', 'end']);
      await machine.has({
        ...now,
        'x/a.log': 'new\nwhile it was down\nstate lost\n',
        'x/unknown.log': 'and on\n',
        'x/quiet.log': 'and on\n',
      });
    },
  );

  shared.check('--from beginning: all of it, once, also with a state that is lost', async (machineOf) => {
    const machine = machineOf('from-beginning');
    await machine.write('x/a.log', 'one\n');
    await machine.once(['x/*.log']);
    await rm(machine.state, { recursive: true });
    await machine.write('x/a.log', 'two\n');
    await machine.write('x/b.log', 'three\n');
    await machine.once(['x/*.log', '--from', 'beginning']);
    await machine.has({ 'x/a.log': 'one\ntwo\n', 'x/b.log': 'three\n' });
  });

  shared.check(
    '--ignore-older: only what is added later, also after a restart; known files go on',
    async (machineOf) => {
      const machine = machineOf('ignore-older');
      const old = new Date(Date.now() - 3_600_000);
      const age = async (...names: string[]): Promise<void> => {
        for (const name of names) await utimes(machine.path(name), old, old);
      };
      const args = ['x/*.log', '--ignore-older', '10m'];
      for (const name of ['old', 'older', 'rewritten', 'shorter', 'same'])
        await machine.write(`x/${name}.log`, `${name} before\n`);
      await age(...['old', 'older', 'rewritten', 'shorter', 'same'].map((name) => `x/${name}.log`));
      await machine.write('x/fresh.log', 'fresh\n');
      const first = await machine.once(args);
      assert.match(
        messages(first).join('\n'),
        /^5 files \(\S+ for one\) were last written more than 10m ago: /m,
      );
      await machine.has({ 'x/fresh.log': 'fresh\n' });
      await machine.write('x/old.log', 'after\n');
      writeFileSync(machine.path('x/rewritten.log'), 'another file now, and a longer one than before\n');
      writeFileSync(machine.path('x/shorter.log'), 'short\n');
      await age('x/fresh.log');
      await machine.once(args);
      const then = {
        'x/fresh.log': 'fresh\n',
        'x/old.log': 'after\n',
        'x/rewritten.log': 'another file now, and a longer one than before\n',
        'x/shorter.log': 'short\n',
      };
      await machine.has(then);
      const shipper = machine.ship(args);
      await machine.write('x/older.log', 'after\n');
      await machine.write('x/fresh.log', 'and on\n');
      await machine.has({ ...then, 'x/older.log': 'after\n', 'x/fresh.log': 'fresh\nand on\n' });
      await stops(shipper);
    },
  );

  shared.check('--rotate-wait: how long a rotated file stays open', async (machineOf) => {
    const machine = machineOf('rotate-wait');
    const other = machineOf('rotate-wait-default');
    await machine.write('x/a.log', 'one\n');
    const shippers = [
      machine.ship(['x/a.log', '--rotate-wait', '1s']),
      other.ship([machine.path('x/a.log')]),
    ];
    const old = machine.path('x/a.log.1');
    const isOpen = async (shipper: Daemon | undefined): Promise<boolean> => {
      const fds = `/proc/${shipper?.child.pid}/fd`;
      const open = await Promise.all(
        (await readdir(fds)).map(async (fd) => await readlink(path.join(fds, fd)).catch(() => '')),
      );
      return open.includes(old);
    };
    await machine.has({ 'x/a.log': 'one\n' });
    await until(async () => Object.values(await other.arrived()).includes('one\n'), { timeoutMs: WAIT_MS });
    await rename(machine.path('x/a.log'), old);
    await machine.write('x/a.log', 'two\n');
    await machine.has({ 'x/a.log': 'one\ntwo\n' });
    assert.ok(
      await until(async () => !(await isOpen(shippers[0])), { timeoutMs: WAIT_MS }),
      'closed after 1s',
    );
    assert.ok(await isOpen(shippers[1]), 'open for 5 minutes');
    for (const shipper of shippers) await stops(shipper);
  });

  shared.check(
    'symbolic links: a file of several names is shipped once, under the first; or no link at all',
    async (machineOf) => {
      const machine = machineOf('links');
      await machine.write('docker/id-json.log', 'one\n');
      await machine.write('plain/b.log', 'plain\n');
      await mkdir(machine.path('pods'));
      await mkdir(machine.path('containers'));
      await symlink(machine.path('docker/id-json.log'), machine.path('pods/0.log'));
      await symlink('../pods/0.log', machine.path('containers/c.log'));
      await symlink('../docker', machine.path('containers/dir.log'));
      const strict = machineOf('no-links');
      await strict.once([machine.path('containers/*.log'), machine.path('plain/*'), '--no-follow-symlinks']);
      await strict.has({ [machine.path('plain/b.log')]: 'plain\n' });
      const args = ['containers/*.log', 'pods/*.log', 'docker/*.log'];
      const shipper = machine.ship(args);
      await machine.has({ 'containers/c.log': 'one\n' });
      await rename(machine.path('docker/id-json.log'), machine.path('docker/id-json.log.1'));
      await machine.write('docker/id-json.log', 'two\n');
      await machine.has({ 'containers/c.log': 'one\ntwo\n' });
      await stops(shipper);
      // Rotated beside the end of the chain while nobody looks.
      await machine.write('docker/id-json.log', 'three\n');
      await rename(machine.path('docker/id-json.log'), machine.path('docker/id-json.log.2'));
      await machine.write('docker/id-json.log', 'four\n');
      await machine.once(args);
      await machine.has({ 'containers/c.log': 'one\ntwo\nthree\nfour\n' });
      const turned = machineOf('links-turned');
      await turned.once(['docker/*.log', 'containers/*.log'].map((glob) => machine.path(glob)));
      await turned.has({ [machine.path('docker/id-json.log')]: 'four\n' });
    },
  );

  shared.check(
    '--path-prefix: under another name, once, whatever the prefix was before',
    async (machineOf) => {
      const machine = machineOf('prefix');
      const root = machine.path('root');
      await machine.write('root/var/log/a.log', 'one\n');
      await machine.write('outside/b.log', 'outside\n');
      await machine.once(['root/var/log/*.log', 'outside/*.log', '--path-prefix', root]);
      const first = { '/var/log/a.log': 'one\n', 'outside/b.log': 'outside\n' };
      await machine.has(first);
      // Another prefix: what comes now has another name.
      await machine.write('root/var/log/a.log', 'two\n');
      await machine.once(['root/var/log/*.log', 'outside/*.log', '--path-prefix', path.join(root, 'var')]);
      await machine.has({ ...first, '/log/a.log': 'two\n' });
      // Mounted elsewhere, under the same name again, rotated meanwhile, and with a state that is lost in between.
      await machine.write('root/var/log/a.log', 'three\n');
      await rename(root, machine.path('host'));
      await rename(machine.path('host/var/log/a.log'), machine.path('host/var/log/a.log.1'));
      await machine.write('host/var/log/a.log', 'four\n');
      const args = ['host/var/log/*.log', 'outside/*.log', '--path-prefix', machine.path('host')];
      await machine.once(args);
      const then = { ...first, '/var/log/a.log': 'one\nthree\nfour\n', '/log/a.log': 'two\n' };
      await machine.has(then);
      await rm(machine.state, { recursive: true });
      await machine.write('host/var/log/a.log', 'five\n');
      await machine.once(args);
      await machine.has({ ...then, '/var/log/a.log': 'one\nthree\nfour\nfive\n' });
    },
  );

  shared.check('--path-prefix: given while bytes are published and not committed', async (machineOf) => {
    const machine = machineOf('prefix-late');
    await machine.write('host/a.log', 'one\n');
    await machine.once(['host/*.log']);
    await shared.stopReceiving();
    await machine.write('host/a.log', 'two\n');
    const shipper = machine.ship(['host/*.log']);
    const jsm = await shared.world.jsm();
    const published = async (): Promise<number> => {
      const subject = `logs.*.${machine.host}.>`;
      const { state } = await jsm.streams.info('LOGS', { subjects_filter: subject });
      return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    };
    assert.ok(await until(async () => (await published()) === 2, { timeoutMs: WAIT_MS }), 'published');
    await shipper.kill();
    await machine.write('host/a.log', 'three\n');
    const again = machine.ship(['host/*.log', '--path-prefix', machine.path('host')]);
    await until(async () => (await published()) >= 3, { timeoutMs: WAIT_MS });
    shared.receive();
    await machine.has({ 'host/a.log': 'one\ntwo\n', '/a.log': 'three\n' });
    await stops(again);
  });

  shared.check(
    'two files that would arrive as one: the second is refused, the first goes on',
    async (machineOf) => {
      const machine = machineOf('same-name');
      const prefix = machine.path('host');
      await machine.write('same/a.log', 'first\n');
      const twin = path.join('host', machine.path('same/a.log'));
      await machine.write(twin, 'second\n');
      const shipper = machine.ship(['same/*.log', machine.path(twin), '--path-prefix', prefix]);
      const said = await warns(shipper, /would arrive as/);
      const name = machine.path('same/a.log');
      assert.equal(
        said,
        `cannot ship ${machine.path(twin)}: it would arrive as ${name}, like ${name}: leave one of them out with --exclude`,
      );
      await machine.write('same/a.log', 'and on\n');
      await machine.has({ 'same/a.log': 'first\nand on\n' });
      assert.equal(await readFile(machine.path(twin), 'utf8'), 'second\n');
      await stops(shipper);
    },
  );
});
