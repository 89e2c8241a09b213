// Files and directories that are missing or closed to us: said in one line, the others go on, and what opens later is
// shipped. What a shipper with --once could not ship it ends with.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended, fails, stops, warns } from '../support/said.ts';
import { ENTRY } from '../support/paths.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon, Identity } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** Root reads everything: then the processes run as somebody else. */
const SOMEBODY: Identity = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Whether that somebody can run the program at all; a checkout may be closed to others. */
function canRun(t: TestContext): boolean {
  const { status } = spawnSync(process.execPath, [ENTRY, '--version'], SOMEBODY);
  if (status !== 0) t.skip('another user cannot read this checkout');
  return status === 0;
}

/** A world whose processes run as somebody for whom a mode counts. */
async function asSomebody(world: World): Promise<void> {
  const { uid, gid } = SOMEBODY;
  await chmod(world.dir, 0o755);
  for (const dir of [world.out, world.state]) {
    await mkdir(dir);
    if (uid !== undefined && gid !== undefined) await chown(dir, uid, gid);
  }
  world.identity = SOMEBODY;
}

/** A line in each of two files, of which that somebody may read one. */
async function withOneClosed(world: World): Promise<{ open: Written; closed: Written }> {
  await asSomebody(world);
  const open = new Written(world, 'a.log');
  const closed = new Written(world, 'b.log');
  for (const file of [open, closed]) file.line();
  await chmod(closed.file, 0o000);
  return { open, closed };
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

describe('files that are missing or closed', { concurrency: 3 }, () => {
  test('no file matches: said and waited for; with --once exit 1', async () => {
    await World.run('no-match', async (world) => {
      const glob = path.join(world.source, '*.log');
      const once = world.ship(['--once']);
      const hint = 'check the path, and quote the glob so that the shell leaves it alone';
      await fails(once, new RegExp(`^logferry: no file matches ${escape(glob)}: ${hint}$`));
      const receiver = world.receive();
      const shipper = world.ship();
      await warns(shipper, new RegExp(`^no file matches ${escape(glob)}; waiting for one$`));
      const file = new Written(world, 'a.log');
      file.line();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test('not even the directory is there: said, and shipped when it is', async () => {
    await World.run('no-directory', async (world) => {
      const receiver = world.receive();
      const shipper = world.ship([], path.join(world.source, 'later', '*.log'));
      await warns(shipper, /^no file matches .*\/later\/\*\.log; waiting for one$/);
      await mkdir(path.join(world.source, 'later'));
      const file = new Written(world, 'later/a.log');
      file.line();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test('a file that cannot be read: the others go on, and it is shipped once it can be', async (t) => {
    if (!canRun(t)) return;
    await World.run('closed-file', async (world) => {
      const { open, closed } = await withOneClosed(world);
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [open]);
      await warns(shipper, new RegExp(`^cannot read ${escape(closed.file)} \\(EACCES\\); trying again$`));
      await chmod(closed.file, 0o644);
      await assertIdentical(world, [open, closed]);
      await stops(shipper);
      for (const file of [open, closed]) file.line();
      await chmod(closed.file, 0o000);
      const again = world.ship();
      await warns(again, new RegExp(`${escape(closed.file)}.*EACCES.*; trying again$`));
      open.line();
      await chmod(closed.file, 0o644);
      await assertIdentical(world, [open, closed]);
      await stops(again);
      await stops(receiver);
      for (const file of [open, closed]) file.close();
    });
  });

  test('a file that cannot be read is at risk, says status, for as long as it cannot be', async (t) => {
    if (!canRun(t)) return;
    await World.run('closed-status', async (world) => {
      const { open, closed } = await withOneClosed(world);
      const receiver = world.receive();
      const shipper = world.ship();
      const status = async (): Promise<Daemon> => {
        const command = world.start('status', ['status', '--server', world.server.url]);
        await command.exited;
        return command;
      };
      let looked = await status();
      const says = async (code: number): Promise<boolean> =>
        await until(async () => (looked = await status()).child.exitCode === code, { timeoutMs: WAIT_MS });
      await assertIdentical(world, [open]);
      assert.ok(await says(3), looked.stdout);
      assert.match(
        looked.stderr,
        new RegExp(`host web1: a file cannot be shipped \\(${escape(closed.file)}: EACCES\\)\n$`),
      );
      await chmod(closed.file, 0o644);
      await assertIdentical(world, [open, closed]);
      assert.ok(await says(0), looked.stdout);
      const passing = path.join(world.source, 'c.log');
      await writeFile(passing, 'nobody reads this\n', { mode: 0o000 });
      assert.ok(await says(3), looked.stdout);
      await rm(passing);
      assert.ok(await says(0), `${looked.stdout}: of a file that is gone`);
      // In the place of a file that comes back.
      await rename(open.file, path.join(world.dir, 'away'));
      await writeFile(open.file, 'nobody reads this\n', { mode: 0o000 });
      assert.ok(await says(3), looked.stdout);
      await rename(path.join(world.dir, 'away'), open.file);
      assert.ok(await says(0), `${looked.stdout}: of a file that is back`);
      await stops(shipper);
      await stops(receiver);
      for (const file of [open, closed]) file.close();
    });
  });

  test('a file that cannot be read, with --once: the others arrive, then exit 1 with its name', async (t) => {
    if (!canRun(t)) return;
    await World.run('closed-once', async (world) => {
      const { open, closed } = await withOneClosed(world);
      const receiver = world.receive();
      const refused = new RegExp(`^logferry: cannot ship ${escape(closed.file)}: .*run it again$`);
      await fails(world.ship(['--once']), refused);
      await assertIdentical(world, [open]);
      await chmod(closed.file, 0o644);
      const again = world.ship(['--once']);
      assert.equal(await ended(again), 0, again.stderr);
      await assertIdentical(world, [open, closed]);
      await stops(receiver);
      for (const file of [open, closed]) file.close();
    });
  });

  test('a directory that cannot be read: said, and its files are shipped once it can be', async (t) => {
    if (!canRun(t)) return;
    await World.run('closed-directory', async (world) => {
      await asSomebody(world);
      for (const name of ['x', 'y']) await mkdir(path.join(world.source, name));
      const open = new Written(world, 'x/a.log');
      const closed = new Written(world, 'y/a.log');
      for (const file of [open, closed]) file.line();
      await chmod(path.dirname(closed.file), 0o000);
      const receiver = world.receive();
      const shipper = world.ship([], path.join(world.source, '*', '*.log'));
      await assertIdentical(world, [open]);
      const directory = path.dirname(closed.file);
      await warns(shipper, new RegExp(`^cannot look into ${escape(directory)} \\(EACCES\\): `));
      await chmod(directory, 0o755);
      await assertIdentical(world, [open, closed]);
      // Closed while it is down, with bytes that it has seen and not shipped: not there is not gone.
      await world.server.kill();
      closed.line();
      const stateFile = path.join(world.state, 'state.json');
      await until(async () => (await readFile(stateFile, 'utf8')).includes(`"size":${closed.bytes}`), {
        timeoutMs: WAIT_MS,
      });
      await shipper.kill();
      await chmod(path.dirname(closed.file), 0o000);
      await world.restartServer();
      const again = world.ship([], path.join(world.source, '*', '*.log'));
      await warns(again, new RegExp(`^cannot ship ${escape(closed.file)} \\(EACCES.*\\); trying again$`));
      open.line();
      await chmod(path.dirname(closed.file), 0o755);
      await assertIdentical(world, [open, closed]);
      await stops(again);
      await stops(receiver);
      for (const file of [open, closed]) file.close();
    });
  });

  test('a directory that cannot be read, with --once: exit 1 with its name, unless it is excluded', async (t) => {
    if (!canRun(t)) return;
    await World.run('closed-directory-once', async (world) => {
      await asSomebody(world);
      for (const name of ['x', 'y', 'y/z']) await mkdir(path.join(world.source, name));
      const open = new Written(world, 'x/a.log');
      const closed = new Written(world, 'y/z/a.log');
      for (const file of [open, closed]) file.line();
      const directory = path.join(world.source, 'y');
      await chmod(directory, 0o000);
      const receiver = world.receive();
      const glob = path.join(world.source, '**', '*.log');
      const refused = new RegExp(`^logferry: cannot ship ${escape(directory)}: .*run it again$`);
      await fails(world.ship(['--once'], glob), refused);
      await assertIdentical(world, [open]);
      const doctor = world.start('doctor', ['doctor', glob, '--server', world.server.url]);
      assert.equal(await ended(doctor), 1, doctor.stdout);
      assert.match(doctor.stdout, new RegExp(`^FAILURE +files +${escape(directory)} may not be listed`, 'm'));
      for (const exclude of [directory, `${directory}/**`]) {
        const excluded = world.ship(['--once', '--exclude', exclude], glob);
        assert.equal(await ended(excluded), 0, excluded.stderr);
      }
      // Nothing that the globs lead to: hidden directories below **, and one whose files are named.
      await mkdir(path.join(world.source, '.hidden'), { mode: 0o700 });
      await chmod(path.dirname(open.file), 0o711);
      const unlisted = world.ship(['--once', '--exclude', directory], path.join(world.source, '*', 'a.log'));
      assert.equal(await ended(unlisted), 0, unlisted.stderr);
      await chmod(path.dirname(open.file), 0o755);
      await chmod(directory, 0o755);
      const again = world.ship(['--once'], glob);
      assert.equal(await ended(again), 0, again.stderr);
      await assertIdentical(world, [open, closed]);
      await stops(receiver);
      for (const file of [open, closed]) file.close();
    });
  });

  test('an output or state directory that cannot be used: exit 1', async (t) => {
    await World.run('directories', async (world) => {
      const refused = async (out: string, why: string): Promise<void> => {
        const end = (flag: string): RegExp =>
          new RegExp(
            `^logferry: cannot use ${escape(out)}.*: .*${why}.*: give another ${flag}, or make it writable for this user$`,
          );
        await fails(world.receive([], out), end('--out'));
        await fails(world.ship(['--state', out]), end('--state'));
      };
      const file = path.join(world.dir, 'file');
      await writeFile(file, 'not a directory');
      await refused(path.join(file, 'x'), 'ENOTDIR');
      await refused(file, 'EEXIST|ENOTDIR');
      await refused('/proc/logferry', 'ENOENT');
      assert.equal(await readFile(file, 'utf8'), 'not a directory');
      if (!canRun(t)) return;
      await asSomebody(world);
      const closed = path.join(world.dir, 'closed');
      await mkdir(closed, 0o755);
      if (SOMEBODY.uid === undefined) await chmod(closed, 0o555);
      await refused(closed, 'EACCES');
      await refused(path.join(closed, 'below'), 'EACCES');
    });
  });

  test("a directory with another user's state: exit 1", async (t) => {
    if (SOMEBODY.uid === undefined || !canRun(t)) return;
    await World.run('other-user', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      await chmod(world.dir, 0o755);
      for (const dir of [world.out, path.join(world.out, '.logferry'), world.state]) await chmod(dir, 0o777);
      world.identity = SOMEBODY;
      await fails(
        world.receive(),
        /^logferry: cannot use \S+: EACCES.*\/\.logferry\/.*: give another --out, or make it writable for this user$/,
      );
      await fails(
        world.ship(),
        /^logferry: cannot use \S+: EACCES.*state.json.*: give another --state, or make it writable for this user$/,
      );
      file.close();
    });
  });

  test('an output directory that is missing is created', async () => {
    await World.run('no-out', async (world) => {
      const receiver = world.receive(['--once'], path.join(world.dir, 'far', 'away', 'out'));
      assert.equal(await ended(receiver), 0, receiver.stderr);
      assert.ok((await stat(path.join(world.dir, 'far', 'away', 'out', '.logferry'))).isDirectory());
    });
  });
});
