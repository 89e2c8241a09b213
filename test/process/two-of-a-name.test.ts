// Two of a name, or two on one directory: one works, the other says who has it and what to do, and takes over when the
// first is gone. Nothing is lost or doubled on the way.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { sleep } from '../../common/runtime/run.ts';
import { fails, logs, messages, stops, warns } from '../support/said.ts';
import { ENTRY } from '../support/paths.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Who holds it, until when one waits, and how to run both. */
function held(what: string, pid: number | undefined, hint: string): RegExp {
  const holder = `a process on ${escape(hostname())} \\(pid ${pid}, since \\d{4}-\\S+\\)`;
  return new RegExp(`^${what} is held by ${holder}; waiting until it is silent for 2s; ${hint}$`);
}

/** A source file as `cat` joins it from the directories. */
async function cat(world: World, file: Written, outs: readonly string[]): Promise<Buffer> {
  const args = [ENTRY, 'cat', world.host, file.file, '--out', ...outs];
  const { stdout } = await promisify(execFile)(process.execPath, args, { encoding: 'buffer' });
  return stdout;
}

describe('two of a name', { concurrency: 3 }, () => {
  test('a second shipper of a host waits, and takes over when the first is killed, or stopped', async () => {
    await World.run('two-shippers', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const first = world.ship();
      await assertIdentical(world, [file]);
      const second = world.ship(['--state', path.join(world.dir, 'state-2')]);
      await warns(
        second,
        held('the host name web1', first.child.pid, 'give this shipper another --host to run both'),
      );
      file.line();
      await assertIdentical(world, [file]);
      assert.ok(!messages(second).some((line) => line.startsWith('shipping ')));
      await first.kill();
      file.line();
      await assertIdentical(world, [file]);
      await logs(second, /^shipping /);
      const third = world.ship();
      await warns(third, held('the host name web1', second.child.pid, '.*'));
      file.rotate();
      file.line();
      await stops(second);
      file.line();
      await assertIdentical(world, [file]);
      await stops(third);
      await stops(receiver);
      file.close();
    });
  });

  test('a shipper that was frozen for longer than the lease lets go', async () => {
    await World.run('frozen-shipper', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const first = world.ship();
      await assertIdentical(world, [file]);
      const second = world.ship(['--state', path.join(world.dir, 'state-2')]);
      await warns(second, /is held by/);
      first.child.kill('SIGSTOP');
      file.line();
      await assertIdentical(world, [file]);
      first.child.kill('SIGCONT');
      await warns(
        first,
        new RegExp(
          `^the host name web1 was taken by a process on ${escape(hostname())} \\(pid ${second.child.pid}\\)$`,
        ),
      );
      await warns(first, held('the host name web1', second.child.pid, '.*'));
      file.line();
      await assertIdentical(world, [file]);
      await stops(second);
      file.line();
      await assertIdentical(world, [file]);
      await stops(first);
      await stops(receiver);
      file.close();
    });
  });

  test('the same shipper and the same receiver, killed and started again, go on at once', async () => {
    await World.run('at-once', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const patient = ['--lease', '10m'];
      let receiver = world.receive(patient);
      let shipper = world.ship(patient);
      await assertIdentical(world, [file]);
      await receiver.kill();
      await shipper.kill();
      file.line();
      receiver = world.receive(patient);
      shipper = world.ship(patient);
      await assertIdentical(world, [file]);
      for (const daemon of [shipper, receiver]) {
        await stops(daemon);
        assert.deepEqual(messages(daemon, 40), []);
      }
      file.close();
    });
  });

  test('with --once and --timeout a held name is waited for no longer: exit 1', async () => {
    await World.run('once-held', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const first = world.ship();
      await logs(first, /^shipping /);
      const once = world.ship(['--state', path.join(world.dir, 'state-2'), '--once', '--timeout', '3s']);
      await fails(
        once,
        /^logferry: the host name web1 is not free after 3s: give this shipper another --host to run both$/,
      );
      await stops(first);
      file.close();
    });
  });

  test('a second shipper on the same --state, and a second receiver on the same --out: exit 1', async () => {
    await World.run('two-on-one', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      const used = (dir: string): RegExp =>
        new RegExp(
          `^logferry: ${escape(dir)}\\S* is used by another running logferry: stop that one, or give another directory$`,
        );
      await fails(
        world.start('ship-2', [
          'ship',
          file.file,
          '--host',
          'other',
          '--state',
          world.state,
          '--server',
          world.server.url,
        ]),
        used(world.state),
      );
      await fails(
        world.start('receive-2', [
          'receive',
          '--out',
          world.out,
          '--id',
          'other',
          '--server',
          world.server.url,
        ]),
        used(world.out),
      );
      file.line();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test('a directory too deep for a lock of its own is locked as well', async () => {
    const deep = await mkdtemp(path.join(tmpdir(), `logferry-${'d'.repeat(150)}-`));
    await World.run('deep', async (world) => {
      const out = path.join(deep, 'e'.repeat(200));
      const first = world.receive([], out);
      await logs(first, /^receiving as /);
      const second = world.start('second', ['receive', '--out', out, '--server', world.server.url]);
      await fails(second, /^logferry: \S+ is used by another running logferry: /);
      await stops(first);
    });
    await rm(deep, { recursive: true });
  });

  test('two receivers of one --id: the second waits, and goes on where the first was killed', async () => {
    await World.run('two-receivers', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const shipper = world.ship();
      const first = world.receive(['--id', 'r1']);
      await assertIdentical(world, [file]);
      const other = path.join(world.dir, 'out-2');
      const second = world.receive(['--id', 'r1'], other);
      await warns(
        second,
        held('the receiver name r1', first.child.pid, 'give this one another --id to run both'),
      );
      file.line();
      await assertIdentical(world, [file]);
      await first.kill();
      file.line();
      await logs(second, /^receiving as r1 into /);
      let joined: Buffer = Buffer.alloc(0);
      for (let tries = 0; tries < 100 && joined.length < file.bytes; tries += 1) {
        await sleep(100);
        joined = await cat(world, file, [world.out, other]);
      }
      assert.ok(joined.equals(await file.truth()), `${joined.length} of ${file.bytes} bytes`);
      await stops(second);
      await stops(shipper);
      file.close();
    });
  });
});
