// Cases 22 to 29: files that are truncated, written anew, or deleted and created again, until the same inode comes
// back. What stands between two awaits is done between two looks of the shipper.

import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, test, type TestContext } from 'node:test';

import { TAIL_BYTES } from '../../../common/wire/chunk.ts';
import { HEAD_BYTES } from '../../../shipper/files/identity.ts';
import { Cases, type CaseHost, type Log } from './tailing.ts';
import { TEST_MS } from '../../support/timeouts.ts';

const cases = Cases.share('copytruncate');

/** Files that are created in the search for an inode. */
const TRIES = 200;

/** A file whose first lines have arrived, with a way to the server that can be closed. */
async function begin(host: CaseHost, lines = 20): Promise<Log> {
  const log = host.log('app.log');
  log.lines(lines);
  await host.proxy();
  host.ship();
  await host.arrives();
  return log;
}

/** Cut off behind so many bytes, in place. */
function truncate(log: Log, size: number): void {
  const fd = openSync(log.path, 'r+');
  ftruncateSync(fd, size);
  closeSync(fd);
}

/** So many bytes, of which no two calls return the same; the last one is a newline. */
function distinct(length: number): string {
  made += 1;
  return `${`made ${made} `.repeat(length).slice(0, length - 1)}\n`;
}
let made = 0;

/**
 * Deletes the file and creates it until it has its inode again, with this content. A file system may give it to
 * somebody else first: then it is any new file.
 */
function recreate(t: TestContext, log: Log, content: string): void {
  const { ino } = statSync(log.path);
  rmSync(log.path);
  const others: string[] = [];
  for (let tries = 0; tries < TRIES; tries += 1) {
    writeFileSync(log.path, '');
    if (statSync(log.path).ino === ino) break;
    const other = `${log.path}-other-${tries}`;
    writeFileSync(other, '');
    others.push(other);
    rmSync(log.path);
  }
  for (const other of others) rmSync(other);
  t.diagnostic(`the same inode: ${String(statSync(log.path, { throwIfNoEntry: false })?.ino === ino)}`);
  log.append(content);
}

/** While it runs it holds the file open, and no other file gets the inode: so it is down meanwhile. */
async function createdAgain(t: TestContext, factor: number): Promise<void> {
  await cases.run(t, async (host) => {
    const log = await begin(host, 200);
    const head = distinct(HEAD_BYTES);
    for (const begins of ['', head, head]) {
      await host.stop();
      const { size } = statSync(log.path);
      recreate(t, log, begins + distinct(Math.floor(size * factor) - begins.length));
      host.ship();
      await host.arrives();
      log.lines(1);
      await host.arrives();
    }
  });
}

describe('files that are truncated or created again', { concurrency: 6, timeout: TEST_MS }, () => {
  test('case 22: copied and truncated while the shipper runs', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (let round = 0; round < 3; round += 1) {
        log.copyTruncate();
        await host.arrives();
        log.lines(5);
        await host.arrives();
      }
      // With bytes that only the copy has by then.
      log.lines(500);
      log.copyTruncate();
      await host.says(/truncated/, 4);
      log.lines(5);
      await host.arrives();
      const proxy = await host.proxy();
      proxy.close();
      log.lines(500);
      log.copyTruncate();
      await host.says(/truncated/, 5);
      log.lines(5);
      proxy.open();
    });
  });

  test('case 23: copied, truncated and larger than before at the next look', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const unread of [0, 50, 0]) {
        log.lines(unread);
        log.copyTruncate();
        log.lines(100 + 2 * unread);
        await host.arrives();
      }
      // While it cannot publish, and twice before it looks.
      const proxy = await host.proxy();
      proxy.close();
      await host.says(/connection to nats-server lost/);
      log.lines(50);
      log.copyTruncate();
      log.lines(500);
      log.copyTruncate();
      log.lines(1_000);
      proxy.open();
    });
  });

  test('case 24: copied, truncated and of the same size at the next look', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const size of [1, 100, 5_000]) {
        log.append(distinct(size));
        await host.arrives();
        const before = statSync(log.path).size;
        log.copyTruncate();
        log.append(distinct(before));
        await host.arrives();
      }
      // The same with bytes that nobody has read.
      log.append(distinct(5_000));
      const before = statSync(log.path).size;
      log.copyTruncate();
      log.append(distinct(before));
    });
  });

  test('case 25: copied and truncated while the shipper is down', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const [unread, after] of [
        [0, 0],
        [0, 5],
        [500, 5],
        [5, 500],
      ] as const) {
        await host.stop();
        log.lines(unread);
        log.copyTruncate();
        log.lines(after);
        host.ship();
        await host.arrives();
      }
      // Twice: the first copy is found by its bytes, the second by its age.
      await host.stop();
      log.lines(50);
      log.copyTruncate();
      log.lines(50);
      log.copyTruncate();
      log.lines(5);
      host.ship();
    });
  });

  test('case 26: truncated to nothing and the same head written again', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('app.log');
      const head = distinct(HEAD_BYTES);
      log.append(head);
      log.lines(20);
      host.ship();
      await host.arrives();
      // Shorter than what was read, then longer with other bytes before the position: written again, shipped again.
      truncateSync(log.path, 0);
      log.append(head);
      log.lines(1);
      await host.arrives();
      log.lines(50);
      await host.arrives();
      truncateSync(log.path, 0);
      log.append(head);
      log.lines(100);
      await host.arrives();
      await host.stop();
      truncateSync(log.path, 0);
      log.append(head);
      log.lines(200);
      host.ship();
      await host.arrives();
      // What no reader can see: the same head and the same bytes before the position. Only what is behind arrives.
      const same = host.log('same.log');
      same.append(head);
      same.lines(100);
      await host.arrives();
      const before = readFileSync(same.path);
      before.fill('?', HEAD_BYTES, before.length - TAIL_BYTES);
      truncateSync(same.path, 0);
      writeFileSync(same.path, before);
      same.lines(5);
    });
  });

  test('case 27: truncated to the middle: what is left is read again, as nobody can tell it from new bytes', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host, 100);
      for (const running of [true, false]) {
        if (!running) await host.stop();
        const { size } = statSync(log.path);
        truncate(log, Math.floor(size / 2));
        log.wrote(readFileSync(log.path));
        // The rest of the line that was cut.
        log.append('\n');
        log.lines(5);
        if (!running) host.ship();
        await host.arrives();
      }
    });
  });

  test('case 28: deleted and created again with the same inode, shorter', async (t) => {
    await createdAgain(t, 0.5);
  });

  test('case 29: deleted and created again with the same inode, longer than what was read', async (t) => {
    await createdAgain(t, 2);
  });
});
