// What generated histories have found (test/faults/tailing/run.ts), each with as few steps as still failed. What stands
// as `todo` fails to this day.

import assert from 'node:assert/strict';
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, test } from 'node:test';

import { sleep, until } from '../../../common/runtime/run.ts';
import { central } from '../../support/central-files.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost, type Log } from '../cases/tailing.ts';
import { mounted, type Mounts } from './mounts.ts';
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

/** Compares at once when the last line has arrived. */
async function isThere(host: CaseHost, log: Log): Promise<void> {
  const last = log.written.subarray(log.written.lastIndexOf('\n', log.written.length - 2));
  const found = async (): Promise<Buffer> => await central(host.world.out, host.name, log.path);
  assert.ok(await until(async () => (await found()).includes(last), { timeoutMs: WAIT_MS }), 'the last line');
  assert.equal((await found()).toString(), log.written.toString());
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

/** A log of a lower layer has arrived, and is not copied up yet. */
async function layered(host: CaseHost, mounts: Mounts): Promise<Log> {
  const [lower, log] = [host.file('lower'), host.log('disk/app.log')];
  mkdirSync(lower);
  log.lines(PROOF_LINES, `${lower}/app.log`);
  mounts.overlay(host.file('disk'), lower);
  host.ship('disk/*.log');
  await host.arrives();
  return log;
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

  test('renewed twice before the server knows of the first', async () => {
    await cases.on('renewed-twice', async (host) => {
      const proxy = await host.proxy();
      const log = await shipped(host);
      proxy.close();
      log.rotate();
      log.lines(PROOF_LINES);
      await host.says(/connection to nats-server lost/);
      for (let round = 0; round < 2; round += 1) {
        renew(log);
        log.lines(PROOF_LINES);
        await sleep(1_000);
      }
      proxy.open();
    });
  });

  test('renewed while the shipper is down, which has seen it and shipped nothing', async () => {
    await cases.on('renewed-unread', async (host) => {
      const proxy = await host.proxy();
      // Of its own name: its lines are no other host's nearby.
      const log = await shipped(host, 'unread.log');
      proxy.close();
      log.rotate();
      log.lines(PROOF_LINES);
      await host.says(/connection to nats-server lost/);
      await sleep(1_500);
      await host.stop();
      renew(log);
      log.lines(5);
      proxy.open();
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
      const log = await layered(host, mounts);
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
        await isThere(host, log);
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
      const log = await layered(host, mounts);
      log.lines(PROOF_LINES);
      await host.arrives();
      await lost(host);
      log.lines(5);
      host.ship('disk/*.log');
    });
  });
});

describe('down meanwhile', { concurrency: 3, timeout: TEST_MS }, () => {
  test('a new log is rotated before anybody has seen it', async () => {
    await cases.on('born', async (host) => {
      await begin(host);
      await host.stop();
      const born = host.log('app_1.log');
      born.lines(PROOF_LINES);
      renameSync(born.path, `${born.path}-20261130`);
      born.lines(5);
      host.ship();
      await isThere(host, born);
    });
  });

  test('without births: a link is set back', { todo: 'all of it comes again' }, async (t) => {
    await mounted(t, cases, 'link-back', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const log = host.log('disk/app.log');
      const link = (target: string): void => {
        symlinkSync(target, host.file('disk/next'));
        renameSync(host.file('disk/next'), log.path);
      };
      const [a, b] = [host.file('disk/a.txt'), host.file('disk/b.txt')];
      log.lines(PROOF_LINES, a);
      link('a.txt');
      host.ship('disk/*.log');
      await host.arrives();
      log.lines(PROOF_LINES, b);
      link('b.txt');
      await host.arrives();
      await host.stop();
      host.ship('disk/*.log');
      log.lines(5, b);
      await host.arrives();
      link('a.txt');
      log.lines(5, a);
      await isThere(host, log);
    });
  });

  test('without births: a file is cut', async (t) => {
    await mounted(t, cases, 'cut', async (host, mounts) => {
      mounts.smallInodes(host.file('disk'));
      const log = await shipped(host, 'disk/app.log', 'disk/*.log');
      await host.stop();
      truncateSync(log.path, log.written.length - 5);
      log.append('#\n');
      log.lines(5);
      host.ship('disk/*.log');
      await isThere(host, log);
    });
  });
});
