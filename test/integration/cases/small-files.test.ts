// Cases 1 to 10: files too small or too much alike to be told apart by their bytes, and names that are not files.

import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { HEAD_BYTES } from '../../../shipper/files/identity.ts';
import { Cases, type CaseHost, type Log } from './tailing.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';

const cases = Cases.share('small-files');

/** Everything again after a clean stop, and once more without the state: by turns each file gets more. */
async function throughRestarts(host: CaseHost, logs: readonly Log[], glob = '*.log'): Promise<void> {
  for (const restart of ['kept', 'lost']) {
    await host.stop();
    if (restart === 'lost') rmSync(host.state, { recursive: true });
    for (const log of logs) log.lines(1);
    host.ship(glob);
    for (const log of logs) log.lines(1);
    await host.arrives();
  }
}

/** Points a symbolic link at another file in one step. */
function retarget(link: string, target: string): void {
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

describe('small files and identity', { concurrency: 6, timeout: TEST_MS }, () => {
  test('case 01: an empty file gives no file at the destination until it has a byte', async (t) => {
    await cases.run(t, async (host) => {
      const [empty, other] = [host.log('empty.log'), host.log('other.log')];
      empty.append('');
      other.lines(1);
      host.ship();
      await host.arrives();
      await host.stop();
      host.ship();
      other.lines(1);
      await host.arrives();
      empty.rotate();
      empty.lines(1);
      await host.arrives();
    });
  });

  test('case 02: one byte without a newline arrives, and so does what follows on the same line', async (t) => {
    await cases.run(t, async (host) => {
      const [byte, newline] = [host.log('byte.log'), host.log('newline.log')];
      byte.append('a');
      newline.append('\n');
      host.ship();
      await host.arrives();
      byte.append('b\n');
      newline.append('\n');
      await throughRestarts(host, [byte, newline]);
    });
  });

  test('case 03: a file that grows past the bytes it is known by between two looks is the same file', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('a.log');
      log.append('short\n');
      host.ship();
      await host.arrives();
      log.append(`${'x'.repeat(2 * HEAD_BYTES)}\n`);
      await host.arrives();
      const down = host.log('b.log');
      down.append('short\n');
      await host.arrives();
      await host.stop();
      down.append(`${'x'.repeat(2 * HEAD_BYTES)}\n`);
      host.ship();
      await throughRestarts(host, [log, down]);
    });
  });

  test('case 04: two files with the same first line', async (t) => {
    await cases.run(t, async (host) => {
      const logs = [host.log('a.log'), host.log('b.log')];
      for (const log of logs) log.append('# the same first line\n');
      host.ship();
      await host.arrives();
      for (const log of logs) log.lines(3);
      await throughRestarts(host, logs);
    });
  });

  test('case 05: two files with the same first 1024 bytes', async (t) => {
    await cases.run(t, async (host) => {
      const logs = [host.log('a.log'), host.log('b.log')];
      for (const log of logs) log.append(`${'#'.repeat(HEAD_BYTES - 1)}\n`);
      host.ship();
      await host.arrives();
      logs[0]?.rotate();
      for (const log of logs) log.append(`${'#'.repeat(HEAD_BYTES - 1)}\n`);
      for (const log of logs) log.lines(3);
      await throughRestarts(host, logs);
    });
  });

  test('case 06: byte-identical files in different directories', async (t) => {
    await cases.run(t, async (host) => {
      for (const directory of ['x', 'y']) mkdirSync(host.file(directory));
      const [one, other] = [host.log('x/a.log'), host.log('y/a.log')];
      const both = async (): Promise<void> => {
        for (const log of [one, other]) log.append('the same line\n'.repeat(200));
        await host.arrives();
      };
      host.ship('*/*.log');
      await both();
      one.copyTruncate();
      // The same bytes up to the same size again would look as if nothing had happened (case 26).
      await host.says(/truncated/);
      await both();
      other.rotate();
      await both();
      await throughRestarts(host, [one, other], '*/*.log');
      rmSync(one.path);
      other.lines(1);
    });
  });

  test('case 07: a cp of a tailed file is shipped only where a glob names it, and is a file of its own', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('app.log');
      log.lines(5);
      host.ship();
      await host.arrives();
      for (const name of ['app.log.bak', 'app.log.1', 'app.log-20261121'])
        copyFileSync(log.path, host.file(name));
      log.lines(5);
      await host.arrives();
      const copy = host.log('copy.log');
      copyFileSync(log.path, copy.path);
      copy.wrote(readFileSync(copy.path));
      copy.lines(1);
      log.lines(1);
      await host.arrives();
      await host.stop();
      copyFileSync(log.path, host.file('app.log.2'));
      host.ship();
      await throughRestarts(host, [log, copy]);
    });
  });

  test('case 08: a file with two names is shipped once', async (t) => {
    await cases.run(t, async (host) => {
      const first = host.file('m.log');
      writeFileSync(first, 'one file\n');
      linkSync(first, host.file('n.log'));
      host.ship();
      await until(async () => (await host.centralNames()).length > 0, { timeoutMs: WAIT_MS });
      const [central = ''] = await host.centralNames();
      const log = host.log(path.basename(central));
      log.wrote('one file\n');
      await host.arrives();
      // A third and a fourth name, while it is read; without the state it goes on under the one that it had.
      for (const name of ['a.log', 'z.log']) linkSync(log.path, host.file(name));
      log.lines(2);
      await throughRestarts(host, [log]);
      rmSync(log.path === first ? host.file('n.log') : first);
      log.lines(1);
      await host.arrives();
      await host.stop();
      log.lines(1);
      host.ship();
    });
  });

  test('case 09: a symbolic link that points elsewhere is a rotation: the old file to its end, then the new one', async (t) => {
    await cases.run(t, async (host) => {
      const link = host.log('current.log');
      const targets = ['1.data', '2.data', '3.data'].map((name) => host.file(name));
      const [one = '', two = '', three = ''] = targets;
      link.lines(5, one);
      symlinkSync(one, link.path);
      const proxy = await host.proxy();
      host.ship();
      await host.arrives();
      // With bytes that nobody has read.
      proxy.close();
      link.lines(50, one);
      retarget(link.path, two);
      link.lines(5, two);
      proxy.open();
      await host.arrives();
      await host.stop();
      link.lines(5, two);
      retarget(link.path, three);
      link.lines(5, three);
      host.ship();
      await host.arrives();
      // Back to a file that was shipped: only what is new.
      link.lines(5, one);
      retarget(link.path, one);
      await host.arrives();
      await host.stop();
      link.lines(5, one);
      host.ship();
    });
  });

  test('case 10: a dangling link is waited for, and shipped when there is a file behind it', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('app.log');
      const target = host.file('later.data');
      symlinkSync(target, log.path);
      const other = host.log('other.log');
      other.lines(1);
      host.ship();
      await host.arrives();
      log.lines(3, target);
      await host.arrives();
      // It dangles for a while, then another file is there.
      rmSync(target);
      other.lines(1);
      await host.arrives();
      log.lines(3, target);
      await host.arrives();
    });
  });
});
