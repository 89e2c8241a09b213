// Descriptors that cannot be read any more, as after a server of files was started anew: the file is opened again, and
// goes on at the next byte. The errors are the kernel's answers to the shipper's own calls, put there by strace.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';

import { TEST_MS } from '../../support/timeouts.ts';
import { Cases } from '../cases/tailing.ts';

const cases = Cases.share('dead-handles');
const canTrace = spawnSync('strace', ['-qq', '-o', '/dev/null', 'true']).status === 0;
const skip = canTrace ? false : 'no strace, or it may not trace';

/** The process's next few reads of a file at an offset fail like this, in each of its threads. */
async function failReads(pid: number, code: string, work: () => Promise<void>): Promise<void> {
  const inject = ['-e', 'trace=pread64', '-e', `inject=pread64:error=${code}:when=1..3`];
  const tracer = spawn('strace', ['-f', '-o', '/dev/null', ...inject, '-p', String(pid)]);
  const ended = once(tracer, 'close');
  try {
    // It says that it is attached.
    await once(tracer.stderr, 'data');
    await work();
  } finally {
    tracer.kill('SIGINT');
    await ended;
  }
}

describe('descriptors that cannot be read any more', { concurrency: 3, timeout: TEST_MS, skip }, () => {
  for (const [code, said] of [
    // Node has no name for it.
    ['ESTALE', /system error -116/],
    ['ENOTCONN', /ENOTCONN/],
    ['EIO', /EIO/],
  ] as const)
    test(`${code}: every byte, once and in order`, async () => {
      await cases.on(code.toLowerCase(), async (host) => {
        const [log, other] = [host.log('app.log'), host.log('other.log')];
        for (const each of [log, other]) each.lines(5);
        const shipper = host.shipProcess();
        await host.arrives();
        await failReads(shipper.child.pid ?? assert.fail(), code, async () => {
          log.lines(5);
          await host.says(said);
          log.lines(5);
          await host.arrives();
        });
        for (const each of [log, other]) each.lines(5);
        await host.arrives();
        // Rotated while its reads fail.
        await failReads(shipper.child.pid ?? assert.fail(), code, async () => {
          log.lines(5);
          log.rotate();
          log.lines(5);
          await host.arrives();
        });
      });
    });
});
