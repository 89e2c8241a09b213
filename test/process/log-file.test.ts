// --log-file: rotated by size, followed when somebody moves it away, never shipped, and no reason to stop when its disk
// is full. By real daemons; what cannot be timed from outside, by the class alone.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { isRotatedLog, LogFile } from '../../common/runtime/log-file.ts';
import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended } from '../support/said.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { assertIdentical } from '../support/compare.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const WITHIN = { timeoutMs: WAIT_MS };
/** Lets everybody do everything with what does not say otherwise. */
const OPEN = ['sh', '-c', 'umask 000; exec "$@"', 'sh'];

/** The messages of a log, every line of which must be one of pino's. */
function said(...files: string[]): string[] {
  return files
    .flatMap((file) => textOf(file).split('\n'))
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
}

/** Empty where there is none: it may be renamed at this moment. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return '';
  }
}

async function says(file: string, pattern: RegExp): Promise<void> {
  const isThere = (): boolean => said(file).some((line) => pattern.test(line));
  assert.ok(
    await until(isThere, WITHIN),
    `${file} never said ${String(pattern)}, but:\n${said(file).join('\n')}`,
  );
}

async function inDirectory(run: (dir: string) => Promise<void> | void): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'logferry-log-'));
  await run(dir);
  await rm(dir, { recursive: true });
}

describe('--log-file', { concurrency: 2 }, () => {
  test('a daemon rotates it, keeps so many, and loses no line of what it keeps', async () => {
    await World.run('log-rotates', async (world) => {
      const log = path.join(world.dir, 'logs/ship.log');
      // Each is said once, in a line of some 250 bytes.
      const fifos = Array.from({ length: 1_000 }, (_, index) =>
        path.join(world.source, `${'x'.repeat(60)}-${index}.log`),
      );
      execFileSync('mkfifo', fifos);
      const flags = ['--log-file', log, '--log-size', '64KiB', '--log-keep', '2'];
      const args = ['ship', path.join(world.source, '*.log'), '--host', world.host, '--state', world.state];
      const shipper = world.start('ship', [...args, ...flags, '--server', world.server.url], OPEN);
      await says(log, new RegExp(`${path.basename(fifos.at(-1) ?? '')}: it is a FIFO`));
      assert.equal(await shipper.stop(), 0);
      assert.deepEqual((await readdir(path.dirname(log))).toSorted(), [
        'ship.log',
        'ship.log.1',
        'ship.log.2',
      ]);
      for (const name of await readdir(path.dirname(log))) {
        const { size, mode } = await stat(path.join(path.dirname(log), name));
        assert.ok(size <= 64 * 1024, `${name} has ${size} bytes`);
        assert.equal(mode & 0o777, 0o640, name);
      }
      const skipped = said(`${log}.2`, `${log}.1`, log)
        .map((line) => /-(\d+)\.log: it is a FIFO/.exec(line)?.[1])
        .filter((number) => number !== undefined);
      assert.ok(skipped.length > 300, `${skipped.length} lines`);
      assert.equal(new Set(skipped).size, skipped.length);
      assert.equal(shipper.stderr, '');
    });
  });

  test('a file that was moved away is let go: by SIGUSR2, by SIGHUP, and without either', async () => {
    await World.run('log-moved', async (world) => {
      const log = path.join(world.dir, 'receive.log');
      const config = path.join(world.dir, 'logferry.yaml');
      await writeFile(
        config,
        `log: { file: ${log} }\nserver: { url: "${world.server.url}" }\nreceive: { out: ${world.out} }\n`,
      );
      const receiver = world.start('receive', ['receive', '--config', config]);
      await says(log, /receiving as/);
      await rename(log, `${log}-a`);
      receiver.child.kill('SIGUSR2');
      await says(log, /^SIGUSR2: the log goes on here$/);
      await rename(log, `${log}-b`);
      receiver.child.kill('SIGHUP');
      await says(log, /^SIGHUP: read .* again, nothing to change$/);
      await rename(log, `${log}-c`);
      await world.server.kill();
      await says(log, /cannot look at the partitions/);
      await world.restartServer();
      await says(log, /reconnected/);
      assert.equal(await receiver.stop(), 0);
      assert.ok(!said(`${log}-a`).some((line) => line.startsWith('SIGUSR2')));
      assert.ok(said(`${log}-b`).includes('SIGUSR2: the log goes on here'));
      assert.ok(!said(`${log}-b`).some((line) => line.startsWith('SIGHUP')));
      assert.ok(said(`${log}-c`).some((line) => line.startsWith('SIGHUP')));
    });
  });

  test('SIGUSR2 ends no daemon that logs to stderr', async () => {
    await World.run('log-stderr', async (world) => {
      const receiver = world.receive();
      await until(() => receiver.stderr.includes('receiving as'), WITHIN);
      receiver.child.kill('SIGUSR2');
      await until(() => receiver.stderr.includes('SIGUSR2'), WITHIN);
      assert.equal(await receiver.stop(), 0);
    });
  });

  test('a shipper does not ship its own log, nor what rotation makes of it, nor after a restart', async () => {
    await World.run('log-own', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const log = path.join(world.source, 'own.log');
      // A slow machine fills more of them: none of them goes before it is read.
      const keep = 50;
      const flags = [
        '--log-file',
        log,
        '--log-size',
        '64KiB',
        '--log-keep',
        String(keep),
        '--log-level',
        'debug',
      ];
      const fifos = Array.from({ length: 400 }, (_, index) =>
        path.join(world.source, `${'x'.repeat(60)}-${index}`),
      );
      execFileSync('mkfifo', fifos);
      const receiver = world.receive();
      const shipper = world.ship(flags, path.join(world.source, '*'));
      await until(() => existsSync(`${log}.1`), WITHIN);
      file.line();
      await assertIdentical(world, [file]);
      assert.equal(await shipper.stop(), 0);
      const again = world.ship(flags, path.join(world.source, '*'));
      const late = new Written(world, 'late.log');
      late.line();
      await assertIdentical(world, [file, late]);
      assert.equal(await again.stop(), 0);
      assert.equal(await receiver.stop(), 0);
      const rotated = Array.from({ length: keep }, (_, index) => `${log}.${index + 1}`);
      assert.ok(said(log, ...rotated).includes(`skipping ${log}.1: it is this shipper's own log`));
    });
  });

  test('a disk that takes no line of the log stops nothing', async () => {
    await World.run('log-full', async (world) => {
      const file = new Written(world, 'a.log');
      const receiver = world.receive(['--log-file', '/dev/full']);
      const shipper = world.ship(['--log-file', '/dev/full', '--log-level', 'debug']);
      for (let count = 0; count < 100; count += 1) file.line();
      await assertIdentical(world, [file]);
      for (const daemon of [shipper, receiver]) {
        daemon.child.kill('SIGTERM');
        assert.equal(await ended(daemon), 0);
        assert.equal(daemon.stderr, '');
      }
    });
  });

  test('it goes on when there is room again, and says how many lines are missing', async (t) => {
    await inDirectory(async (dir) => {
      const disk = SmallDisk.mount(path.join(dir, 'disk'));
      if (disk === undefined) {
        t.skip('this process may not mount anything');
        return;
      }
      try {
        const file = path.join(disk.directory, 'a.log');
        const log = new LogFile({ file, maxBytes: 1e9, keep: 1 });
        await disk.leave(0);
        const line = `${JSON.stringify({ level: 30, msg: 'x'.repeat(1_000) })}\n`;
        let written = 0;
        // Until not even the rest of a page is left.
        for (let size = -1; size !== (await stat(file)).size; written += 1) {
          ({ size } = await stat(file));
          log.write(line);
        }
        for (let count = 0; count < 9; count += 1) log.write(line);
        await disk.giveBack(1024 * 1024);
        log.write('{"msg":"the last one"}\n');
        const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
        assert.equal(lines.at(-1), '{"msg":"the last one"}');
        assert.match(lines.at(-2) ?? '', /"10 lines of this log could not be written \(ENOSPC: /);
        // What was written in part does not run into what follows.
        assert.equal(lines.filter((each) => each === line.trimEnd()).length, written - 1);
      } finally {
        await disk.unmount();
      }
    });
  });

  test('two that write to one file rotate it together', async () => {
    await inDirectory(async (dir) => {
      const file = path.join(dir, 'a.log');
      const options = { file, maxBytes: 1_000, keep: 100 };
      const [one, other] = [new LogFile(options), new LogFile(options)];
      for (let count = 0; count < 200; count += 1) {
        // As if a second had passed between any two lines.
        one.write(`one ${count}\n`, count * 2_000);
        other.write(`other ${count}\n`, count * 2_000 + 1_000);
      }
      const all = await Promise.all(
        (await readdir(dir)).map(async (name) => await readFile(path.join(dir, name), 'utf8')),
      );
      for (const text of all) assert.ok(text.length <= 1_000, `${text.length} bytes`);
      const lines = all.flatMap((text) => text.trimEnd().split('\n')).toSorted();
      const expected = Array.from({ length: 200 }, (_, count) => [`one ${count}`, `other ${count}`]).flat();
      assert.deepEqual(lines, expected.toSorted());
    });
  });

  test('a rotation that fails lets it grow, says so once, and goes on', async () => {
    await inDirectory(async (dir) => {
      const file = path.join(dir, 'a.log');
      // No file can be renamed to a directory's name.
      await mkdir(path.join(dir, 'a.log.1', 'x'), { recursive: true });
      const log = new LogFile({ file, maxBytes: 100, keep: 1 });
      for (let count = 0; count < 50; count += 1) log.write(`line ${count}\n`);
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      assert.equal(lines.filter((line) => line.startsWith('line ')).length, 50);
      assert.equal(lines.filter((line) => line.includes('cannot rotate the log')).length, 1);
      await unlink(file);
      log.write('a new file\n', Number.MAX_SAFE_INTEGER);
      assert.equal(await readFile(file, 'utf8'), 'a new file\n');
    });
  });

  test('the names of rotated files', () => {
    assert.ok(isRotatedLog('/var/log/a.log.1', '/var/log/a.log'));
    assert.ok(isRotatedLog('/var/log/a.log.12', '/var/log/a.log'));
    for (const other of ['/var/log/a.log', '/var/log/a.log.', '/var/log/a.log.1x', '/var/log/a.log1'])
      assert.ok(!isRotatedLog(other, '/var/log/a.log'), other);
  });
});
