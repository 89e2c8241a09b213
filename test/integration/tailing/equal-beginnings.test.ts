// Generations that all begin with the same line, which is written and flushed alone: a CSV file with its header, the slow
// log of a database. What begins alike is not the same.

import { renameSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { TEST_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { compress } from './support.ts';

const cases = Cases.share('equal-beginnings');

const HEADER = 'time,level,what\n';

/** The header has arrived alone, then some lines. */
async function begin(host: CaseHost): Promise<Log> {
  const log = host.log('app.log');
  log.append(HEADER);
  host.ship();
  await host.arrives();
  log.lines(20);
  await host.arrives();
  return log;
}

/** Rotated as `.1`, compressed, the next one begins; older ones move on. */
function rotate(log: Log, { compressed = true, lines = 20, name = '' } = {}): void {
  log.rotate();
  if (name !== '') renameSync(`${log.path}.1`, `${log.path}${name}`);
  if (compressed) compress(`${log.path}${name === '' ? '.1' : name}`);
  log.append(HEADER);
  log.lines(lines);
}

/** `.1.gz` becomes `.2.gz`, as the next rotation does it. */
function moveOn(log: Log, last: number): void {
  for (let number = last; number >= 1; number -= 1)
    renameSync(`${log.path}.${number}.gz`, `${log.path}.${number + 1}.gz`);
}

describe('generations that begin alike', { concurrency: 6, timeout: TEST_MS }, () => {
  test('two rotations with compression while the shipper is down', async () => {
    await cases.on('two', async (host) => {
      const log = await begin(host);
      await host.stop();
      log.lines(5);
      rotate(log);
      moveOn(log, 1);
      rotate(log);
      host.ship();
    });
  });

  test('three rotations while the shipper is down, by names with their times', async () => {
    await cases.on('times', async (host) => {
      const log = await begin(host);
      await host.stop();
      log.lines(5);
      for (const hour of ['01', '02', '03']) rotate(log, { name: `-20261130-${hour}0000`, lines: 30 });
      host.ship();
    });
  });

  test('all was shipped before the shipper went down, then two rotations with compression', async () => {
    await cases.on('shipped', async (host) => {
      const log = await begin(host);
      await host.stop();
      rotate(log, { lines: 40 });
      moveOn(log, 1);
      rotate(log);
      host.ship();
    });
  });

  test('two rotations while the shipper is down, nothing compressed', async () => {
    await cases.on('plain', async (host) => {
      const log = await begin(host);
      await host.stop();
      log.lines(5);
      for (let round = 0; round < 2; round += 1) rotate(log, { compressed: false });
      host.ship();
    });
  });

  test('rotated with compression again and again while the shipper runs: nothing twice', async () => {
    await cases.on('running', async (host) => {
      const log = await begin(host);
      for (let round = 0; round < 3; round += 1) {
        moveOn(log, round);
        rotate(log);
        await host.arrives();
      }
      await host.stop();
      log.lines(5);
      host.ship();
    });
  });

  test('copied and truncated twice while the shipper is down', async () => {
    await cases.on('copytruncate', async (host) => {
      const log = await begin(host);
      await host.stop();
      for (let round = 0; round < 2; round += 1) {
        log.lines(5);
        log.copyTruncate();
        log.append(HEADER);
        log.lines(20 + 10 * round);
      }
      host.ship();
    });
  });

  test('a shorter generation, which is all that a longer one begins with', async () => {
    await cases.on('shorter', async (host) => {
      const log = host.log('app.log');
      log.append(HEADER);
      host.ship();
      await host.arrives();
      await host.stop();
      // The known one stays at its header; the next one is a header and more, the last one a header again.
      rotate(log, { lines: 10 });
      moveOn(log, 1);
      rotate(log, { lines: 0 });
      host.ship();
      await host.arrives();
      log.lines(5);
    });
  });

  test('another log that begins alike comes into the directory', async () => {
    await cases.on('another', async (host) => {
      const log = await begin(host);
      await host.stop();
      const other = host.log('other.log');
      other.append(HEADER);
      other.lines(40);
      // Nobody's: no glob names it, and it is no rotated name.
      writeFileSync(host.file('export.csv'), `${HEADER}nobody ships this\n`);
      log.lines(5);
      rotate(log);
      host.ship();
    });
  });
});
