// What generated histories have found (test/faults/tailing/run.ts), each with as few steps as still failed. What stands
// as `todo` fails to this day.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { sleep } from '../../../common/runtime/run.ts';
import { central } from '../../support/central-files.ts';
import { TEST_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { mounted } from './mounts.ts';
import { begin, compress } from './support.ts';

const cases = Cases.share('found');

/** More than what a header may be: fewer bytes prove nothing. */
const PROOF_LINES = 40;

async function shipped(host: CaseHost, name = 'app.log', glob = '*.log'): Promise<Log> {
  const log = host.log(name);
  log.lines(PROOF_LINES);
  host.ship(glob);
  await host.arrives();
  return log;
}

/** As `cp` makes it. */
function copy(log: Log, name = '.20261130'): void {
  copyFileSync(log.path, `${log.path}${name}`);
}

/** As an editor does it. */
function renew(log: Log): void {
  writeFileSync(`${log.path}.tmp`, readFileSync(log.path));
  renameSync(`${log.path}.tmp`, log.path);
}

describe('copies made by hand', { concurrency: 4, timeout: TEST_MS }, () => {
  test('copied, then written to, rotated and compressed while the shipper is down', async () => {
    await cases.on('compressed', async (host) => {
      const log = await shipped(host);
      copy(log);
      await host.stop();
      log.lines(500);
      log.rotate();
      log.lines(5);
      compress(`${log.path}.1`);
      host.ship();
    });
  });

  for (const [number, isRenewed] of [false, true].entries())
    test(`${isRenewed ? 'renewed' : 'created'}, copied and rotated while the shipper is down`, async () => {
      await cases.on(`unseen-${number}`, async (host) => {
        const log = await shipped(host);
        await host.stop();
        log.rotate();
        log.lines(PROOF_LINES);
        copy(log, '.20261129');
        log.lines(PROOF_LINES);
        copy(log);
        if (isRenewed) renew(log);
        log.lines(PROOF_LINES);
        log.rotate();
        log.lines(5);
        host.ship();
      });
    });

  test('copied and renewed while the shipper is down', async () => {
    await cases.on('renewed', async (host) => {
      const log = await shipped(host);
      await host.stop();
      copy(log);
      renew(log);
      log.lines(5);
      host.ship();
    });
  });

  test('copied where there are no births, and the shipper starts again', async (t) => {
    await mounted(t, cases, 'no-births', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const log = await shipped(host, 'disk/app.log', 'disk/*.log');
      copy(log);
      await host.stop();
      host.ship('disk/*.log');
      log.lines(5);
      await host.arrives();
    });
  });

  test('a file of a lower layer, written to, and copied while the shipper is down', async (t) => {
    await mounted(t, cases, 'layers', async (host, mounts) => {
      const [lower, log] = [host.file('lower'), host.log('disk/app.log')];
      mkdirSync(lower);
      log.lines(PROOF_LINES, `${lower}/app.log`);
      mounts.overlay(host.file('disk'), lower);
      host.ship('disk/*.log');
      await host.arrives();
      for (let round = 0; round < 20; round += 1) {
        log.lines(PROOF_LINES);
        await host.arrives();
      }
      await host.stop();
      copy(log);
      log.lines(5);
      host.ship('disk/*.log');
    });
  });
});

describe('the state is lost', { concurrency: 4, timeout: TEST_MS }, () => {
  /** Down, and without its state. */
  async function lost(host: CaseHost): Promise<void> {
    await host.stop();
    rmSync(host.state, { recursive: true });
  }

  test(
    'what was rotated before anybody read of it',
    { todo: 'it is not shipped, and nothing says so' },
    async () => {
      await cases.on('lost-unseen', async (host) => {
        const log = await begin(host);
        log.rotate();
        log.lines(5);
        await host.arrives();
        compress(`${log.path}.1`);
        await lost(host);
        renameSync(log.path, `${log.path}.0`);
        rmSync(`${log.path}.0`);
        log.lines(20);
        log.rotate();
        log.lines(5);
        host.ship();
      });
    },
  );

  test(
    'after the file was renewed',
    { todo: 'all of it comes again: its id is of the old inode' },
    async () => {
      await cases.on('lost-renewed', async (host) => {
        const log = await shipped(host);
        renew(log);
        log.lines(5);
        await host.arrives();
        await lost(host);
        log.lines(5);
        host.ship();
      });
    },
  );

  test('over layers', { todo: 'all of it comes again: its id is of the lower layer' }, async (t) => {
    await mounted(t, cases, 'lost-layers', async (host, mounts) => {
      const [lower, log] = [host.file('lower'), host.log('disk/app.log')];
      mkdirSync(lower);
      log.lines(PROOF_LINES, `${lower}/app.log`);
      mounts.overlay(host.file('disk'), lower);
      host.ship('disk/*.log');
      await host.arrives();
      log.lines(PROOF_LINES);
      await host.arrives();
      await lost(host);
      log.lines(5);
      host.ship('disk/*.log');
    });
  });
});
