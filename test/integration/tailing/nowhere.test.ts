// A file with bytes that were not shipped is at its path no longer when the shipper starts: under any other name, in a
// full directory, or behind a directory link that leads elsewhere by now. They arrive, or it is said which ones do not.

import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { central } from '../../support/central-files.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { begin } from './support.ts';

const cases = Cases.share('nowhere');

/** More than what a directory has of a log's own. */
const OTHERS = 2_500;

/** Files that nobody ships. */
function fill(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (let number = 0; number < OTHERS; number += 1)
    writeFileSync(`${directory}/a-${number}.txt`, 'nobody\n');
}

/** Stopped with bytes that were not shipped. */
async function stopped(host: CaseHost, name = 'app.log', glob = '*.log'): Promise<Log> {
  const log = await begin(host, name, glob);
  await host.stop();
  log.lines(5);
  return log;
}

/** Where a directory link leads from now on. */
function link(host: CaseHost, target: string): void {
  symlinkSync(target, host.file('next'));
  renameSync(host.file('next'), host.file('current'));
}

describe('a known file that is nowhere at a start', { concurrency: 4, timeout: TEST_MS }, () => {
  for (const [name, isFollowed] of [
    ['renamed beside 2,500 other files', false],
    ['renamed beside 2,500 other files, and followed by another', true],
  ] as const)
    test(name, async () => {
      await cases.on(isFollowed ? 'followed' : 'full', async (host) => {
        const log = await stopped(host);
        fill(host.dir);
        renameSync(log.path, host.file('zz-taken-away'));
        if (isFollowed) log.lines(5);
        host.ship();
        await host.arrives();
        log.lines(5);
      });
    });

  test('moved to another directory with 2,500 other files', async () => {
    await cases.on('beside', async (host) => {
      const log = await stopped(host);
      fill(host.file('old'));
      renameSync(log.path, host.file('old/zz-taken-away'));
      log.lines(5);
      host.ship();
    });
  });

  test('renamed beside a few other files', async () => {
    await cases.on('few', async (host) => {
      const log = await stopped(host);
      renameSync(log.path, host.file('zz-taken-away'));
      log.lines(5);
      host.ship();
    });
  });

  for (const isRenamed of [false, true]) {
    const also = isRenamed ? ', and the file is renamed, too' : '';

    test(`behind a directory link that was switched${also}`, async () => {
      await cases.on(isRenamed ? 'link-renamed' : 'link', async (host) => {
        for (const directory of ['release-1', 'release-2']) mkdirSync(host.file(directory));
        link(host, 'release-1');
        const log = await stopped(host, 'current/app.log', 'current/*.log');
        if (isRenamed) renameSync(log.path, host.file('release-1/app.log.1'));
        link(host, 'release-2');
        log.lines(5);
        host.ship('current/*.log');
        await host.arrives();
        log.lines(5);
      });
    });

    test(`behind a directory link that leads far away by now${also}`, async () => {
      await cases.on(isRenamed ? 'far-renamed' : 'far', async (host) => {
        // From the one nobody finds the other by looking around.
        const [first, second] = ['one/deep/release', 'other/deep/release'];
        for (const directory of [first, second]) mkdirSync(host.file(directory), { recursive: true });
        link(host, first);
        const log = await begin(host, 'current/app.log', 'current/*.log');
        await host.stop();
        const [rest, next] = ['the rest of the old file\n', 'the new file\n'];
        appendFileSync(log.path, rest);
        if (isRenamed) renameSync(log.path, host.file(`${first}/app.log.1`));
        link(host, second);
        appendFileSync(log.path, next);
        host.ship('current/*.log');
        let arrived = '';
        const isThere = async (): Promise<boolean> => {
          arrived = (await central(host.world.out, host.name, log.path)).toString();
          return arrived.includes(next);
        };
        assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), 'the new file');
        // Found, or named.
        if (arrived.includes(rest)) log.wrote(rest);
        else await host.says(new RegExp(`"level":50.*${log.path}`));
        log.wrote(next);
        await host.arrives();
        log.lines(5);
      });
    });
  }

  test('behind a directory link that was switched while the shipper runs', async () => {
    await cases.on('running', async (host) => {
      for (const directory of ['one', 'two']) mkdirSync(host.file(directory));
      link(host, 'one');
      const log = await begin(host, 'current/app.log', 'current/*.log');
      log.lines(5);
      link(host, 'two');
      log.lines(5);
      await host.arrives();
    });
  });
});

describe('a known file that is gone', { concurrency: 2, timeout: TEST_MS }, () => {
  test('bytes that were seen, not shipped, and deleted while the shipper is down are named', async () => {
    await cases.on('deleted', async (host) => {
      const proxy = await host.proxy();
      const log = await begin(host);
      proxy.close();
      const from = log.written.length;
      // Seen by it, and forgotten here: nobody has them.
      const unread = 'seen, and never shipped\n'.repeat(20);
      writeFileSync(log.path, unread, { flag: 'a' });
      await host.says(/connection to nats-server lost/);
      await host.stop();
      const state = readFileSync(`${host.state}/state.json`, 'utf8');
      assert.ok(state.includes(`"size":${from + unread.length}`), state);
      rmSync(log.path);
      log.lines(5);
      proxy.open();
      host.ship();
      await host.says(new RegExp(`"level":50.*bytes ${from} to ${from + unread.length} are lost`));
      await host.arrives();
    });
  });
});
