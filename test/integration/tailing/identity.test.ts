// Which file is which, where the file system does not tell: no birth times, so that a number is used again by another file,
// numbers that two mounts have, or that were exchanged; and a birth that changes while a file stays the same.

import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { describe, test, type TestContext } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { mounted } from './mounts.ts';
import { compress, source } from './support.ts';

const cases = Cases.share('identity');
/** Files that are created in the search for a number. */
const TRIES = 50;

const GLOB = 'disk/*.log';

/** Logs on a disk without birth times, of which the first lines have arrived. */
async function begin(host: CaseHost, ...names: readonly string[]): Promise<Log[]> {
  const logs = names.map((name) => host.log(name));
  for (const log of logs) log.lines(5);
  host.ship(GLOB);
  await host.arrives();
  return logs;
}

function numberOf(file: string): number {
  return statSync(file).ino;
}

/** Nobody in this process has it open: its number is free when it is deleted. */
async function isLetGo(file: string): Promise<void> {
  const isOpen = (): boolean =>
    readdirSync('/proc/self/fd').some((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        // Closed by now.
        return false;
      }
    });
  assert.ok(await until(() => !isOpen(), { timeoutMs: WAIT_MS }), `${file} is open`);
}

/** A new file at the path of a log, which has this number. */
function createAs(t: TestContext, file: string, number: number): void {
  const others: string[] = [];
  for (writeFileSync(file, ''); numberOf(file) !== number && others.length < TRIES; writeFileSync(file, '')) {
    others.push(`${file}.other-${others.length}`);
    renameSync(file, others.at(-1) ?? '');
  }
  for (const other of others) rmSync(other);
  assert.equal(numberOf(file), number, `${file} has another number than the deleted file`);
  t.diagnostic(`number ${number} is ${file} by now`);
}

/** A file that no glob names, with this number. */
function createPayroll(t: TestContext, host: CaseHost, number: number): void {
  const payroll = host.file('disk/payroll.txt');
  createAs(t, payroll, number);
  appendFileSync(payroll, 'what nobody else may see\n'.repeat(50));
}

describe('numbers without births', { concurrency: 3, timeout: TEST_MS }, () => {
  for (const isDown of [false, true])
    test(`a deleted file's number is another log's by now, while the shipper ${isDown ? 'is down' : 'runs'}`, async (t) => {
      await mounted(t, cases, isDown ? 'reused-down' : 'reused', async (host, mounts) => {
        mounts.smallInodes(host.file('disk'));
        const [a, b] = [host.log('disk/a.log'), host.log('disk/b.log')];
        const ship = (): void => {
          host.ship('', { sources: [source(host, { rotateWaitMs: 500 }, GLOB)] });
        };
        for (const log of [a, b]) log.lines(5);
        ship();
        await host.arrives();
        a.rotate();
        a.lines(5);
        await host.arrives();
        await isLetGo(`${a.path}.1`);
        if (isDown) await host.stop();
        const number = numberOf(`${a.path}.1`);
        rmSync(`${a.path}.1`);
        renameSync(b.path, `${b.path}.1`);
        createAs(t, b.path, number);
        if (isDown) ship();
        b.lines(5);
        await host.arrives();
        for (const log of [a, b]) log.lines(5);
      });
    });

  test('two mounts have the same numbers', async (t) => {
    await mounted(t, cases, 'mounts', async (host, mounts) => {
      for (const disk of ['disk1', 'disk2']) mounts.smallInodes(host.file(disk));
      const logs = [host.log('disk1/app.log'), host.log('disk2/app.log')];
      const [first, second] = logs;
      assert.ok(first !== undefined && second !== undefined);
      first.lines(5);
      createAs(t, second.path, numberOf(first.path));
      second.lines(5);
      host.ship('disk*/*.log');
      await host.arrives();
      for (const log of logs) log.rotate();
      for (const log of logs) log.lines(5);
      await host.arrives();
      await host.stop();
      for (const log of logs) log.lines(5);
      host.ship('disk*/*.log');
    });
  });

  test('a file that nobody named has the number of a rotated and compressed one', async (t) => {
    await mounted(t, cases, 'payroll', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const [log] = await begin(host, 'disk/x.log');
      assert.ok(log !== undefined);
      await host.stop();
      log.lines(5);
      log.rotate();
      log.lines(5);
      const number = numberOf(`${log.path}.1`);
      compress(`${log.path}.1`);
      createPayroll(t, host, number);
      host.ship(GLOB);
      await host.arrives();
      log.lines(5);
    });
  });

  test('a file that nobody named has the number of a deleted log', async (t) => {
    await mounted(t, cases, 'unnamed', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const [log] = await begin(host, 'disk/x.log');
      assert.ok(log !== undefined);
      await host.stop();
      const number = numberOf(log.path);
      rmSync(log.path);
      createPayroll(t, host, number);
      log.lines(5);
      host.ship(GLOB);
      await host.arrives();
      log.lines(5);
    });
  });

  for (const isLonger of [false, true])
    test(`two logs whose numbers were exchanged${isLonger ? ', and both went on' : ''}`, async (t) => {
      await mounted(t, cases, isLonger ? 'exchanged-longer' : 'exchanged', async (host, mounts) => {
        mounts.smallInodes(host.file('disk'));
        const [a, b] = await begin(host, 'disk/a.log', 'disk/b.log');
        assert.ok(a !== undefined && b !== undefined);
        await host.stop();
        exchange(a, b);
        if (isLonger) for (const log of [a, b]) log.lines(5);
        host.ship(GLOB);
        await host.arrives();
        for (const log of [a, b]) log.lines(5);
      });
    });

  for (const [name, whileDown] of [
    ['one rotation', 1],
    ['three rotations', 3],
  ] as const)
    test(`several restarts with ${name} each, of which the oldest are deleted`, async (t) => {
      await mounted(t, cases, `restarts-${whileDown}`, async (host, mounts) => {
        mounts.smallInodes(host.file('disk'));
        const [log] = await begin(host, 'disk/app.log');
        assert.ok(log !== undefined);
        const rotate = (): void => {
          log.rotate();
          if (existsSync(`${log.path}.5`)) rmSync(`${log.path}.5`);
          log.lines(50);
        };
        for (let restart = 0; restart < 3; restart += 1) {
          for (let round = 0; round < 3; round += 1) {
            rotate();
            await host.arrives();
          }
          await host.stop();
          log.lines(20);
          for (let round = 0; round < whileDown; round += 1) rotate();
          host.ship(GLOB);
          await host.arrives();
        }
      });
    });

  test('several restarts with a rotation each, whose new file has the number of the one before', async (t) => {
    await mounted(t, cases, 'restarts-reused', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const [log] = await begin(host, 'disk/app.log');
      assert.ok(log !== undefined);
      for (let restart = 0; restart < 4; restart += 1) {
        log.rotate();
        log.lines(50);
        await host.arrives();
        await host.stop();
        const shipped = `${log.path}.1`;
        const number = numberOf(shipped);
        rmSync(shipped);
        log.lines(restart % 2 === 0 ? 0 : 20);
        renameSync(log.path, shipped);
        createAs(t, log.path, number);
        log.lines(100);
        host.ship(GLOB);
        await host.arrives();
      }
    });
  });
});

/** As a mount that counts its files anew: each path has its content, and the number that the other had. */
function exchange(one: Log, other: Log): void {
  const [first, second] = [one, other].map(({ path }) => ({
    ...{ path, content: readFileSync(path), number: numberOf(path) },
    modified: statSync(path).mtime,
  }));
  assert.ok(first !== undefined && second !== undefined);
  renameSync(first.path, `${first.path}-away`);
  renameSync(second.path, first.path);
  renameSync(`${first.path}-away`, second.path);
  for (const { path, content, modified } of [first, second]) {
    writeFileSync(path, content);
    utimesSync(path, modified, modified);
  }
  assert.deepEqual([numberOf(first.path), numberOf(second.path)], [second.number, first.number]);
}

describe('a birth that changes', { concurrency: 3, timeout: TEST_MS }, () => {
  for (const [name, isDown] of [
    ['while the shipper runs', false],
    ['while the shipper is down', true],
  ] as const)
    test(`a file of a lower layer is written to ${name}`, async (t) => {
      await mounted(t, cases, isDown ? 'layer-down' : 'layer', async (host, mounts) => {
        const [lower, log] = [host.file('lower'), host.log('disk/app.log')];
        mkdirSync(lower);
        log.lines(20, `${lower}/app.log`);
        mounts.overlay(host.file('disk'), lower);
        host.ship(GLOB);
        await host.arrives();
        if (isDown) await host.stop();
        const { birthtimeMs } = statSync(log.path);
        log.lines(5);
        assert.notEqual(statSync(log.path).birthtimeMs, birthtimeMs);
        if (isDown) host.ship(GLOB);
        await host.arrives();
        log.lines(5);
        await host.arrives();
        log.rotate();
        log.lines(5);
      });
    });

  test('a file of a lower layer is rotated, then written to', async (t) => {
    await mounted(t, cases, 'layer-rotated', async (host, mounts) => {
      const [lower, log] = [host.file('lower'), host.log('disk/app.log')];
      mkdirSync(lower);
      log.lines(20, `${lower}/app.log`);
      mounts.overlay(host.file('disk'), lower);
      host.ship(GLOB);
      await host.arrives();
      log.rotate();
      log.lines(5, `${log.path}.1`);
      await host.arrives();
      log.lines(5);
    });
  });
});
