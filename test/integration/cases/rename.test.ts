// Cases 11 to 19: files that are renamed, by a rotation or by somebody else, while the shipper runs, is behind, or is
// down. What stands between two awaits is done between two of its looks.

import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';

import { Cases, type CaseHost, type Log } from './tailing.ts';
import { TEST_MS } from '../../support/timeouts.ts';
import { plainSource } from '../../support/in-process.ts';

const cases = Cases.share('rename');

/** A file whose first lines have arrived, with a way to the server that can be closed. */
async function begin(host: CaseHost, glob = '*.log'): Promise<Log> {
  const log = host.log('app.log');
  log.lines(5);
  await host.proxy();
  host.ship(glob);
  await host.arrives();
  return log;
}

describe('files that are renamed', { concurrency: 6, timeout: TEST_MS }, () => {
  test('case 11: renamed and created anew while all was shipped', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (let round = 0; round < 3; round += 1) {
        log.rotate();
        await host.arrives();
        log.lines(5);
        await host.arrives();
      }
      // The new file has its bytes at once.
      log.rotate();
      log.lines(5);
    });
  });

  test('case 12: renamed and created anew with a backlog', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const proxy = await host.proxy();
      proxy.close();
      log.lines(20_000);
      log.rotate();
      log.lines(20_000);
      proxy.open();
      await host.arrives();
      // The same while it publishes.
      log.lines(20_000);
      const before = await host.lastSeq();
      while ((await host.lastSeq()) === before) log.lines(10);
      log.rotate();
      log.lines(10);
    });
  });

  test('case 13: two rotations during one backlog', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const proxy = await host.proxy();
      for (const pause of [true, false]) {
        proxy.close();
        log.lines(2_000);
        log.rotate();
        if (pause) await host.says(/connection to nats-server lost/);
        log.lines(2_000);
        log.rotate();
        log.lines(2_000);
        proxy.open();
        await host.arrives();
      }
    });
  });

  test('case 14: a chain .1, .2, .3, whether a glob names them or not', async (t) => {
    await cases.run(t, async (host) => {
      for (const directory of ['one', 'all', 'old']) mkdirSync(host.file(directory));
      const [one, all, old] = ['one', 'all', 'old'].map((directory) => host.log(`${directory}/app.log`));
      // Rotated away before the very first start: a file of its own where a glob names it.
      const before = host.log('old/app.log.1');
      const start = (): void => {
        const globs = ['one/*.log', 'all/app.log*', 'old/app.log*'];
        host.ship('', { sources: [plainSource(globs.map((glob) => host.file(glob)))] });
      };
      const rotate = (...logs: (Log | undefined)[]): void => {
        for (const log of logs) {
          log?.rotate();
          log?.lines(3);
        }
      };
      for (const log of [one, all, old, before]) log?.lines(3);
      start();
      await host.arrives();
      for (let round = 0; round < 3; round += 1) {
        rotate(one, all, old);
        await host.arrives();
      }
      // Several at once, then while it is down.
      for (let round = 0; round < 3; round += 1) rotate(one, all);
      await host.arrives();
      await host.stop();
      for (let round = 0; round < 3; round += 1) rotate(one, all);
      rotate(old);
      start();
    });
  });

  test('case 15: renamed to a name that no glob and no rotation has', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const proxy = await host.proxy();
      const away = host.file('taken-away');
      proxy.close();
      log.lines(500);
      renameSync(log.path, away);
      proxy.open();
      await host.arrives();
      // Nothing is at the path; the writer goes on where it was.
      log.lines(5, away);
      await host.arrives();
      log.lines(5);
      await host.arrives();
      // Down, it is found in the same directory.
      await host.stop();
      log.lines(5);
      renameSync(log.path, `${away}-too`);
      log.lines(5);
      host.ship();
    });
  });

  test('case 16: moved to another directory while the shipper runs', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const proxy = await host.proxy();
      mkdirSync(host.file('old'));
      proxy.close();
      log.lines(500);
      renameSync(log.path, host.file('old/app.log'));
      log.lines(5, host.file('old/app.log'));
      proxy.open();
      await host.arrives();
      log.lines(5);
      await host.arrives();
      renameSync(log.path, host.file('old/app.log'));
      log.lines(5);
    });
  });

  test('case 17: a writer that goes on in the renamed file', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      log.rotate();
      // Before the new file has a byte: in the order of the writing.
      log.lines(5, `${log.path}.1`);
      await host.arrives();
      log.lines(5, `${log.path}.1`);
      log.lines(5);
      await host.arrives();
      // After that: behind what the new file had by then.
      log.lines(5, `${log.path}.1`);
      await host.arrives();
      log.lines(5);
      await host.arrives();
      // A second writer keeps the old one open for two rotations.
      const old = openSync(log.path, 'a');
      for (let round = 0; round < 2; round += 1) {
        log.rotate();
        log.lines(5);
        await host.arrives();
        writeSync(old, `late ${round}\n`);
        log.wrote(`late ${round}\n`);
        await host.arrives();
      }
      closeSync(old);
    });
  });

  test('case 18: rotated while the shipper is down', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const unread of [0, 500]) {
        await host.stop();
        log.lines(unread);
        log.rotate();
        log.lines(5);
        host.ship();
        await host.arrives();
      }
      // And nothing is written for a while.
      await host.stop();
      log.lines(5);
      log.rotate();
      host.ship();
      await host.arrives();
      log.lines(5);
    });
  });

  test('case 19: rotated twice while the shipper is down', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const unread of [0, 500]) {
        await host.stop();
        log.lines(unread);
        log.rotate();
        log.lines(500);
        log.rotate();
        log.lines(5);
        host.ship();
        await host.arrives();
      }
      // The one in between is empty.
      await host.stop();
      log.rotate();
      log.rotate();
      log.lines(5);
      host.ship();
      await host.arrives();
    });
  });
});
