// A file that is shorter than what was shipped of it: the host lost its power, or a snapshot was put back, and the writer
// went on. Everything that was shipped before stays, then comes what was written after the cut, and nothing else.

import { appendFileSync, statSync, truncateSync } from 'node:fs';
import { describe, test } from 'node:test';

import { TEST_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';

const cases = Cases.share('shortened');

/** All of it has arrived when the shipper is killed, as its host is. */
async function killed(host: CaseHost, lines = 200): Promise<Log> {
  const log = host.log('app.log');
  log.lines(lines);
  const shipper = host.shipProcess();
  await host.arrives();
  await shipper.kill();
  return log;
}

/** The last bytes had not reached the disk. */
function cut(log: Log, bytes: number): void {
  truncateSync(log.path, statSync(log.path).size - bytes);
}

describe('files that are shorter than what was shipped', { concurrency: 3, timeout: TEST_MS }, () => {
  for (const [name, bytes] of [
    ['by 5 bytes', 5],
    ['by some lines', 500],
    ['by more than its fingerprint', 2_500],
  ] as const)
    test(`killed, cut ${name}, and the writer goes on`, async () => {
      await cases.on(`cut-${bytes}`, async (host) => {
        const log = await killed(host);
        cut(log, bytes);
        // Behind the rest of a line.
        log.append('\n');
        log.lines(5);
        host.shipProcess();
        await host.arrives();
        log.lines(5);
      });
    });

  test('killed, cut, and nothing is written until the shipper has looked', async () => {
    await cases.on('quiet', async (host) => {
      const log = await killed(host);
      cut(log, 5);
      host.shipProcess();
      await host.says(/"resumed"|truncated/, 2);
      await host.arrives();
      log.append('\n');
      log.lines(5);
      await host.arrives();
      log.lines(5);
    });
  });

  test('killed, cut, and what was cut is written again as it was', async () => {
    await cases.on('again', async (host) => {
      const log = await killed(host);
      const lost = log.written.subarray(-500);
      cut(log, 500);
      // The writer's own second try: the same bytes at the same place, which nobody can tell from the first ones.
      appendFileSync(log.path, lost);
      log.lines(5);
      host.shipProcess();
    });
  });

  test('killed, cut, and rotated before the shipper starts', async () => {
    await cases.on('rotated', async (host) => {
      const log = await killed(host);
      cut(log, 5);
      log.append('\n');
      log.lines(5);
      log.rotate();
      log.lines(5);
      host.shipProcess();
    });
  });

  test('killed, and two files are cut, one to nothing', async () => {
    await cases.on('two', async (host) => {
      const other = host.log('other.log');
      other.lines(100);
      const log = await killed(host);
      cut(log, 300);
      truncateSync(other.path, 0);
      for (const each of [log, other]) each.append('\nafter the cut\n');
      host.shipProcess();
    });
  });
});
