// A process that may not call statx, as in a container with an old seccomp profile: Node gives the time of the last change
// for the birth of a file. strace refuses the call here.

import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';

import { TEST_MS } from '../../support/timeouts.ts';
import { Cases } from '../cases/tailing.ts';

const cases = Cases.share('no-statx');
const REFUSED = ['-e', 'trace=statx', '-e', 'inject=statx:error=EPERM'];
const THROUGH = ['strace', '-D', '-f', '--seccomp-bpf', '-qq', '-o', '/dev/null', ...REFUSED];
const canTrace = spawnSync(THROUGH[0] ?? '', [...THROUGH.slice(1), 'true']).status === 0;
const skip = canTrace ? false : 'no strace, or it may not trace';

describe('a process that may not call statx', { timeout: TEST_MS, skip }, () => {
  test('appends, rotations and restarts: every byte, once and in order', async () => {
    await cases.on('refused', async (host) => {
      const log = host.log('app.log');
      log.lines(20);
      for (let start = 0; start < 3; start += 1) {
        const shipper = host.shipProcess('*.log', THROUGH);
        await host.says(/does not tell when files were born/, start + 1);
        await host.arrives();
        for (let round = 0; round < 3; round += 1) {
          log.lines(20);
          await host.arrives();
        }
        log.rotate();
        log.lines(20);
        await host.arrives();
        await shipper.stop();
        log.lines(20);
      }
      host.shipProcess('*.log', THROUGH);
    });
  });
});
