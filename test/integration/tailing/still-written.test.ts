// Files that are still written when another is at their path, or nothing: renamed, deleted, linked no longer. The writer
// pauses for longer than a shipper looks at a quiet file by itself, then goes on where it was.

import {
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { describe, test } from 'node:test';

import { sleep } from '../../../common/runtime/run.ts';
import { TEST_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { begin, PAUSE_MS, source } from './support.ts';

const cases = Cases.share('still-written');

/** So few that 16 files may be open. */
const FEW = ['sh', '-c', 'ulimit -n 112 && exec "$0" "$@"'];
const MORE_FILES = 30;

/** The writer pauses, then goes on in a file that has another name by now. */
async function goesOn(host: CaseHost, log: Log, file: string, times = 1): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    await sleep(PAUSE_MS);
    log.lines(3, file);
    await host.arrives();
  }
}

/** Where a link leads from now on, as deployments switch it: never without one. */
function link(log: Log, target: string): void {
  symlinkSync(target, `${log.path}-next`);
  renameSync(`${log.path}-next`, log.path);
}

describe('files that are still written', { concurrency: 6, timeout: TEST_MS }, () => {
  test('renamed, and the writer goes on after a pause', async () => {
    await cases.on('renamed', async (host) => {
      const log = await begin(host);
      log.rotate();
      log.lines(5);
      await host.arrives();
      await goesOn(host, log, `${log.path}.1`, 2);
      // And the new file, after it.
      log.lines(5);
    });
  });

  test('renamed, and the new file stays empty', async () => {
    await cases.on('empty', async (host) => {
      const log = await begin(host);
      log.rotate();
      await goesOn(host, log, `${log.path}.1`);
      // It reopens in the end.
      log.lines(5);
    });
  });

  test('renamed twice, and the writer goes on in the oldest one after a pause', async () => {
    await cases.on('oldest', async (host) => {
      const log = await begin(host);
      for (let round = 0; round < 2; round += 1) {
        log.rotate();
        log.lines(5);
        await host.arrives();
      }
      await goesOn(host, log, `${log.path}.2`);
    });
  });

  test('moved to another directory, and nothing is at the path', async () => {
    await cases.on('moved', async (host) => {
      const log = await begin(host);
      mkdirSync(host.file('old'));
      renameSync(log.path, host.file('old/app.log-20261130'));
      await goesOn(host, log, host.file('old/app.log-20261130'));
    });
  });

  test('moved to another directory, and another is at the path', async () => {
    await cases.on('replaced', async (host) => {
      const log = await begin(host);
      mkdirSync(host.file('old'));
      renameSync(log.path, host.file('old/app.log-20261130'));
      log.lines(5);
      await host.arrives();
      await goesOn(host, log, host.file('old/app.log-20261130'));
    });
  });

  test('renamed, and the writer goes on after --rotate-wait', async () => {
    await cases.on('rotate-wait', async (host) => {
      const log = host.log('app.log');
      log.lines(5);
      host.ship('', { sources: [source(host, { rotateWaitMs: 500 })] });
      await host.arrives();
      log.rotate();
      log.lines(5);
      await host.arrives();
      await goesOn(host, log, `${log.path}.1`);
    });
  });

  test('renamed, and the writer goes on while the shipper is down', async () => {
    await cases.on('down', async (host) => {
      const log = await begin(host);
      log.rotate();
      log.lines(5);
      await host.arrives();
      await host.stop();
      log.lines(5, `${log.path}.1`);
      host.ship();
      await host.arrives();
      await goesOn(host, log, `${log.path}.1`);
    });
  });

  test('renamed, and the writer goes on after --rotate-wait while the shipper is down', async () => {
    await cases.on('rotate-wait-down', async (host) => {
      const log = host.log('app.log');
      const ship = (): void => {
        host.ship('', { sources: [source(host, { rotateWaitMs: 500 })] });
      };
      log.lines(5);
      ship();
      await host.arrives();
      log.rotate();
      log.lines(5);
      await host.arrives();
      // Long enough for it to be let go.
      await sleep(PAUSE_MS);
      await host.stop();
      log.lines(5, `${log.path}.1`);
      ship();
    });
  });

  for (const [isReplaced, name] of [
    [false, 'deleted, and its writer holds it'],
    [true, 'deleted and created anew, and a writer holds the old one'],
  ] as const)
    test(name, async () => {
      await cases.on(isReplaced ? 'recreated' : 'deleted', async (host) => {
        const log = await begin(host);
        const held = openSync(log.path, 'a');
        rmSync(log.path);
        if (isReplaced) {
          log.lines(5);
          await host.arrives();
        }
        await sleep(PAUSE_MS);
        log.wrote('late\n');
        writeSync(held, 'late\n');
        await host.arrives();
        closeSync(held);
      });
    });

  test('a link switched from A to B and back: A goes on, and after it B', async () => {
    await cases.on('link', async (host) => {
      const log = host.log('app.log');
      const [a, b] = [host.file('a.txt'), host.file('b.txt')];
      writeFileSync(b, '');
      log.lines(5, a);
      link(log, 'a.txt');
      host.ship();
      await host.arrives();
      link(log, 'b.txt');
      log.lines(5, b);
      await host.arrives();
      link(log, 'a.txt');
      log.lines(5, a);
      await host.arrives();
      await goesOn(host, log, a);
      await goesOn(host, log, b);
    });
  });

  test('renamed, and its descriptor rests', async () => {
    await cases.on('resting', async (host) => {
      const log = host.log('app.log');
      log.lines(5);
      host.shipProcess('*.log', FEW);
      await host.arrives();
      log.rotate();
      log.lines(5);
      await host.arrives();
      for (let count = 0; count < MORE_FILES; count += 1) host.log(`other${count}x.log`).lines(1);
      await host.says(/raise it with ulimit -n/);
      await host.arrives();
      await goesOn(host, log, `${log.path}.1`);
    });
  });
});
