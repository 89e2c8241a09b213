// Live logs whose names look like what a rotation makes of each other: `app_1.log` beside `app.log`. Each is its own log,
// whatever is rotated when; and a file that a rotation did make is found all the same.

import { renameSync } from 'node:fs';
import { describe, test } from 'node:test';

import { TEST_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { begin } from './support.ts';

const cases = Cases.share('neighbours');

const ROUNDS = 3;

async function beginAll(host: CaseHost, names: readonly string[]): Promise<Log[]> {
  const logs = names.map((name) => host.log(name));
  for (const log of logs) log.lines(5);
  host.ship();
  await host.arrives();
  return logs;
}

/** Renamed all together, then created all together, as one command does it for all that it names. */
function rotate(logs: readonly Log[], number: number): void {
  for (const log of logs) renameSync(log.path, `${log.path}.${number}`);
  for (const log of logs) log.lines(5);
}

for (const [host, names] of [
  ['underscore', ['app.log', 'app_1.log', 'app_2.log']],
  ['hyphen', ['app.log', 'app-2.log', 'app-7.log']],
  ['dot', ['worker.log', 'worker.1.log', 'worker.2.log']],
  ['mixed', ['app_1.log', 'app.log', 'app-2.log', 'app.3.log']],
] as const)
  describe(`neighbours: ${names.join(', ')}`, { concurrency: 3, timeout: TEST_MS }, () => {
    test('rotated together while the shipper runs', async () => {
      await cases.on(`${host}-running`, async (at) => {
        const logs = await beginAll(at, names);
        for (let round = 1; round <= ROUNDS; round += 1) {
          rotate(logs, round);
          await at.arrives();
          for (const log of logs) log.lines(5);
          await at.arrives();
        }
      });
    });

    test('rotated together while the shipper is down', async () => {
      await cases.on(`${host}-down`, async (at) => {
        const logs = await beginAll(at, names);
        await at.stop();
        for (const log of logs) log.lines(5);
        rotate(logs, 1);
        at.ship();
        await at.arrives();
        for (const log of logs) log.lines(5);
      });
    });

    test('one is new, and its neighbour rotates, while the shipper is down', async () => {
      await cases.on(`${host}-new`, async (at) => {
        const [first = '', ...others] = names;
        const [log] = await beginAll(at, [first]);
        await at.stop();
        const news = others.map((name) => at.log(name));
        for (const each of news) each.lines(5);
        log?.lines(5);
        log?.rotate();
        log?.lines(5);
        at.ship();
        await at.arrives();
        for (const each of [...news, log]) each?.lines(5);
      });
    });
  });

describe('neighbours that come and go', { concurrency: 4, timeout: TEST_MS }, () => {
  test('one is new in the moment in which the other rotates', async () => {
    await cases.on('born', async (host) => {
      const log = await begin(host);
      for (const name of ['app_1.log', 'app-2.log', 'app.3.log']) {
        const born = host.log(name);
        born.lines(5);
        log.rotate();
        log.lines(5);
        await host.arrives();
        born.lines(5);
        await host.arrives();
      }
    });
  });

  test('one is new while the other is away', async () => {
    await cases.on('away', async (host) => {
      const log = await begin(host);
      renameSync(log.path, `${log.path}.1`);
      const born = host.log('app_1.log');
      born.lines(5);
      await host.arrives();
      log.lines(5);
      await host.arrives();
      born.lines(5);
    });
  });

  test('a rotation that keeps the extension: app.1.log of app.log, which a glob names, too', async () => {
    await cases.on('extension', async (host) => {
      const log = await begin(host);
      for (const isDown of [false, true]) {
        if (isDown) await host.stop();
        log.lines(5);
        renameSync(log.path, host.file(isDown ? 'app.2.log' : 'app.1.log'));
        log.lines(5);
        if (isDown) host.ship();
        await host.arrives();
      }
    });
  });
});
