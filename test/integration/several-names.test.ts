// Paths and files that are not one to one: a file that moves from one shipped path to another, one that is rotated while
// it is begun, one that comes and goes before anybody has seen its path.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import { suite } from 'node:test';

import { sleep } from '../../common/runtime/run.ts';
import { Shared } from '../support/machine.ts';
import { stops } from '../support/said.ts';

/** As a rotator does: the compressed file has the time of the original. */
function gzip(file: string): void {
  assert.equal(spawnSync('gzip', [file]).status, 0);
}

suite('several names', { concurrency: true }, () => {
  const shared = new Shared('several-names');

  shared.check(
    'moved from one shipped path to another: shipped once, also what is added',
    async (machineOf) => {
      const machine = machineOf('moved');
      await machine.write('x/a.log', 'one\n');
      await machine.write('x/b.log', 'other\n');
      const shipper = machine.ship(['x/*.log', '--rotate-wait', '1s']);
      await machine.has({ 'x/a.log': 'one\n', 'x/b.log': 'other\n' });
      renameSync(machine.path('x/a.log'), machine.path('x/b.log'));
      await machine.write('x/b.log', 'two\n');
      await machine.has({ 'x/a.log': 'one\ntwo\n', 'x/b.log': 'other\n' });
      await sleep(6_000);
      await machine.write('x/b.log', 'three\n');
      await machine.has({ 'x/a.log': 'one\ntwo\nthree\n', 'x/b.log': 'other\n' });
      await stops(shipper);
      await machine.write('x/b.log', 'four\n');
      await machine.once(['x/*.log']);
      await machine.has({ 'x/a.log': 'one\ntwo\nthree\nfour\n', 'x/b.log': 'other\n' });
    },
  );

  shared.check('rotated while it is begun: nothing of it is left out', async (machineOf) => {
    const machine = machineOf('begun');
    await machine.write('x/first.log', 'first\n');
    const shipper = machine.ship(['x/*.log']);
    const expected: Record<string, string> = { 'x/first.log': 'first\n' };
    await machine.has(expected);
    for (let index = 0; index < 200; index += 1) {
      const name = `x/${index}.log`;
      await machine.write(name, 'one\n');
      await sleep(index % 40);
      renameSync(machine.path(name), machine.path(`${name}.1`));
      await machine.write(name, 'two\n');
      expected[name] = 'one\ntwo\n';
    }
    await machine.has(expected);
    await stops(shipper);
  });

  shared.check(
    'rotated twice while nobody looks, and no new file: all of it is shipped, also with --once',
    async (machineOf) => {
      const machine = machineOf('gone');
      await machine.write('x/a.log', 'one\n');
      await machine.once(['x/*.log']);
      await machine.write('x/a.log', 'two\n');
      for (const [index, line] of ['three\n', 'four\n'].entries()) {
        renameSync(machine.path('x/a.log'), machine.path(`x/a.log.2026112${index}`));
        await machine.write('x/a.log', line);
        await sleep(20);
      }
      renameSync(machine.path('x/a.log'), machine.path('x/a.log.20261129'));
      await machine.write('x/other.log', 'other\n');
      await machine.once(['x/*.log']);
      await machine.has({ 'x/a.log': 'one\ntwo\nthree\nfour\n', 'x/other.log': 'other\n' });
    },
  );

  shared.check(
    'behind a link, rotated and compressed while nobody looks: found by the names there',
    async (machineOf) => {
      const machine = machineOf('linked');
      await machine.write('pods/app/0.log', 'one\n');
      await mkdir(machine.path('containers'));
      await symlink('../pods/app/0.log', machine.path('containers/app.log'));
      const args = ['containers/*.log'];
      await machine.once(args);
      await machine.write('pods/app/0.log', 'two\n');
      for (const [index, line] of ['three\n', 'four\n', 'five\n'].entries()) {
        renameSync(machine.path('pods/app/0.log'), machine.path(`pods/app/0.log.2026112${index}`));
        await machine.write('pods/app/0.log', line);
      }
      gzip(machine.path('pods/app/0.log.20261120'));
      await sleep(1_500);
      await machine.once(args);
      await machine.has({ 'containers/app.log': 'one\ntwo\nthree\nfour\nfive\n' });
    },
  );

  shared.check(
    'the end of a chain of links is replaced while it is looked at: one name',
    async (machineOf) => {
      const machine = machineOf('links');
      const expected: Record<string, string> = {};
      await mkdir(machine.path('containers'), { recursive: true });
      await mkdir(machine.path('pods'));
      for (let index = 0; index < 20; index += 1) {
        await machine.write(`docker/${index}.log`, 'one\n');
        await symlink(machine.path(`docker/${index}.log`), machine.path(`pods/${index}.log`));
        await symlink(machine.path(`pods/${index}.log`), machine.path(`containers/${index}.log`));
        expected[`containers/${index}.log`] = 'one\n';
      }
      const shipper = machine.ship(['containers/*.log', 'pods/*.log', 'docker/*.log']);
      await machine.has(expected);
      for (let round = 2; round < 8; round += 1)
        for (let index = 0; index < 20; index += 1) {
          const file = machine.path(`docker/${index}.log`);
          renameSync(file, `${file}.${round}`);
          await machine.write(`docker/${index}.log`, `${round}\n`);
          expected[`containers/${index}.log`] += `${round}\n`;
          await sleep((index * 7) % 30);
        }
      await machine.has(expected);
      await stops(shipper);
    },
  );
});
