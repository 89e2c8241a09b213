// Files that live for a moment: each is opened as soon as its directory tells of it, whatever else is known, and one that
// could not be is counted and named.

import assert from 'node:assert/strict';
import { symlinkSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { sleep, until } from '../../../common/runtime/run.ts';
import { central } from '../../support/central-files.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { CaseHost, Cases } from '../cases/tailing.ts';
import { begin } from './support.ts';

const cases = Cases.share('short-lived');

const LIVES_MS = 1_000;
const EVERY_MS = 50;
const KNOWN = 2_000;

/** So many files, one after the other, each of which lives for a second. */
async function liveShortly(host: CaseHost, count: number, everyMs = EVERY_MS): Promise<void> {
  const lives: Promise<void>[] = [];
  for (let number = 0; number < count; number += 1) {
    const log = host.log(`short-${number}-x.log`);
    log.lines(3);
    lives.push(
      sleep(LIVES_MS).then(() => {
        log.lines(2);
        rmSync(log.path);
      }),
    );
    await sleep(everyMs);
  }
  await Promise.all(lives);
}

/** What was said of files that came and went. */
function saidOfUnopened(host: CaseHost): string[] {
  return readFileSync(host.logFile, 'utf8')
    .split('\n')
    .filter((line) => line.includes('came and went'))
    .map((line) => String((JSON.parse(line) as { msg: unknown }).msg));
}

/** Its birth is another one, and the watch has told of what came before. */
const SOON_MS = 300;

describe('files that live for one second', { concurrency: 1, timeout: TEST_MS }, () => {
  test('arrive whole beside 2,000 others that are known', async () => {
    const host = new CaseHost(cases.world, 'many');
    mkdirSync(host.dir);
    for (let number = 0; number < KNOWN; number += 1)
      writeFileSync(host.file(`known-${number}-x.log`), `the only line of ${number}\n`);
    const shipper = host.ship();
    const have = async (count: number): Promise<void> => {
      const isThere = async (): Promise<boolean> => (await host.centralNames()).length >= count;
      await until(isThere, { timeoutMs: WAIT_MS * 3, everyMs: 200 });
    };
    await have(KNOWN);
    await liveShortly(host, 60);
    await have(KNOWN + 60);
    // What is written last may come a moment later.
    for (let number = 0; number < 60; number += 1) {
      const log = host.log(`short-${number}-x.log`);
      const get = async (): Promise<Buffer> => await central(cases.world.out, host.name, log.path);
      await until(async () => (await get()).equals(log.written), { timeoutMs: WAIT_MS });
      assert.equal(String(await get()), String(log.written), log.path);
    }
    await shipper.stop();
    assert.deepEqual(saidOfUnopened(host), []);
  });

  test('arrive when the server is away all the time that they live', async () => {
    await cases.on('away', async (host) => {
      const proxy = await host.proxy();
      await begin(host);
      proxy.close();
      await host.says(/connection to nats-server lost/);
      await liveShortly(host, 10);
      proxy.open();
      await host.arrives();
    });
  });

  test('arrive under the name that they had, also when they got one that no glob names', async () => {
    await cases.on('renamed', async (host) => {
      await begin(host);
      const log = host.log('job.log');
      log.lines(3);
      await sleep(SOON_MS);
      renameSync(log.path, host.file('job.done'));
      log.lines(3, host.file('job.done'));
      await host.arrives();
    });
  });

  test('come one after the other at one path', async () => {
    await cases.on('again', async (host) => {
      await begin(host);
      for (let round = 0; round < 4; round += 1) {
        const log = host.log('again.log');
        log.lines(3);
        await sleep(SOON_MS);
        rmSync(log.path);
      }
    });
  });
});

describe('files that came and went before they could be opened', { concurrency: 3, timeout: TEST_MS }, () => {
  test('are counted and named', async () => {
    await cases.on('unopened', async (host) => {
      await begin(host);
      for (let number = 0; number < 20; number += 1) {
        writeFileSync(host.file(`gone-${number}-x.log`), 'nobody reads this\n');
        rmSync(host.file(`gone-${number}-x.log`));
      }
      await host.says(/20 files came and went before they could be opened/);
      await host.stop();
      const [said = '', ...more] = saidOfUnopened(host);
      assert.deepEqual(more, []);
      assert.match(said, /gone-\d+-x\.log for one/);
    });
  });

  test('under one name, too', async () => {
    await cases.on('unopened-name', async (host) => {
      await begin(host);
      for (let number = 0; number < 20; number += 1) {
        writeFileSync(host.file('gone.log'), 'nobody reads this\n');
        rmSync(host.file('gone.log'));
      }
      await host.says(/20 files came and went before they could be opened/);
    });
  });

  test('are none that no glob names, or that an exclude leaves out', async () => {
    await cases.on('unnamed', async (host) => {
      await begin(host);
      for (const name of ['gone.txt', 'gone.log.swp', 'gone.log~']) {
        writeFileSync(host.file(name), 'nobody wants this\n');
        rmSync(host.file(name));
      }
      await sleep(SOON_MS);
      await host.stop();
      assert.deepEqual(saidOfUnopened(host), []);
    });
  });

  test('are none that were shipped, were rotated, or are known under another name', async () => {
    await cases.on('known', async (host) => {
      const log = await begin(host, 'app.log', '*.log*');
      const other = host.log('other.log');
      other.lines(3);
      await host.arrives();
      for (let round = 0; round < 3; round += 1) {
        log.lines(3);
        log.rotate();
        log.lines(3);
        await host.arrives();
      }
      for (let number = 1; number <= 3; number += 1) rmSync(`${log.path}.${number}`);
      rmSync(other.path);
      await sleep(SOON_MS);
      await host.stop();
      assert.deepEqual(saidOfUnopened(host), []);
    });
  });
});

describe('a new name of a file that is known', { concurrency: 3, timeout: TEST_MS }, () => {
  test('begins nothing', async () => {
    await cases.on('moved', async (host) => {
      const log = await begin(host);
      log.lines(3);
      renameSync(log.path, host.file('elsewhere.log'));
      log.lines(3, host.file('elsewhere.log'));
      await host.arrives();
      await sleep(SOON_MS);
      log.lines(3, host.file('elsewhere.log'));
    });
  });

  test('begins nothing where a file took its place and was rotated at once', async () => {
    await cases.on('between', async (host) => {
      const log = await begin(host, 'app.log', '*');
      for (let round = 0; round < 3; round += 1) {
        for (let rotation = 0; rotation < 2; rotation += 1) {
          log.rotate();
          log.lines(3);
        }
        await host.arrives();
      }
    });
  });

  test('begins nothing in another directory that the globs name', async () => {
    await cases.on('old-directory', async (host) => {
      mkdirSync(host.file('old'));
      const log = await begin(host, 'app.log', '**/*');
      for (let round = 1; round <= 3; round += 1) {
        log.lines(3);
        renameSync(log.path, host.file(`old/app.log.${round}`));
        log.lines(3);
        await host.arrives();
      }
    });
  });
});

test(
  'what is behind a link to a directory that a wildcard matches stays there',
  { timeout: TEST_MS },
  async () => {
    await cases.on('behind', async (host) => {
      mkdirSync(host.file('real'));
      const log = await begin(host, 'real/app.log', '*/*.log');
      symlinkSync('real', host.file('link'));
      await sleep(SOON_MS);
      const next = host.log('real/next.log');
      next.lines(3);
      await host.arrives();
      log.lines(3);
      assert.ok(existsSync(host.file('link/next.log')));
    });
  },
);
