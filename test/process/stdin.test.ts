// `ship -`: what a pipe brings arrives byte for byte, whoever is killed, and whoever writes waits when it must.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { type Machine, Shared } from '../support/machine.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, logs, messages, stops, warns } from '../support/said.ts';
import type { Daemon } from '../support/daemon.ts';

const AS = '/var/log/app.log';
const MIB = 1024 * 1024;

/** Lines that are all different. */
function lines(from: number, count: number): string {
  return Array.from({ length: count }, (_, index) => `line ${from + index} ${'x'.repeat(80)}\n`).join('');
}

/** Bytes in the spool of a state directory. */
async function spooled(machine: Machine): Promise<number> {
  const all = await readdir(path.join(machine.state, 'spool'), {
    recursive: true,
    withFileTypes: true,
  }).catch(() => []);
  const files = all.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(file).catch(() => undefined))?.size ?? 0),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function hasSpooled(machine: Machine, bytes: number): Promise<void> {
  const isThere = async (): Promise<boolean> => (await spooled(machine)) >= bytes;
  assert.ok(
    await until(isThere, { timeoutMs: WAIT_MS }),
    `${await spooled(machine)} of ${bytes} are spooled`,
  );
}

/** Its input is at its end: everything is committed, nothing is left in the spool. */
async function endsByItself(shipper: Daemon, machine: Machine): Promise<void> {
  assert.equal(await ended(shipper), 0, shipper.stderr);
  assertClear(shipper);
  assert.equal(await spooled(machine), 0);
}

describe('ship -', () => {
  const shared = new Shared('stdin');

  shared.check('to its end: every byte arrives, then exit 0', async (machineOf) => {
    const machine = machineOf('whole');
    const text = `${lines(0, 20_000)}no newline at the end`;
    const shipper = machine.ship(['-', '--as', AS, '--spool-size', '1MiB'], 'pipe');
    shipper.child.stdin?.end(text);
    await endsByItself(shipper, machine);
    assert.equal((await machine.arrived())[AS], text);
    const empty = machine.ship(['-', '--as', AS]);
    await endsByItself(empty, machine);
    assert.deepEqual(await machine.arrived(), { [AS]: text });
  });

  shared.check(
    'SIGKILL: what was spooled arrives once, and what was in the pipe after it',
    async (machineOf) => {
      const machine = machineOf('killed');
      await shared.stopReceiving();
      const fifo = path.join(shared.world.dir, 'fifo');
      execFileSync('mkfifo', [fifo]);
      // Opened for both, it never ends, and keeps what nobody has read.
      const pipe = openSync(fifo, constants.O_RDWR);
      const start = (): Daemon => {
        const reading = openSync(fifo, constants.O_RDONLY);
        const shipper = machine.ship(['-', '--as', AS], reading);
        closeSync(reading);
        return shipper;
      };
      let written = '';
      const write = (text: string): void => {
        writeSync(pipe, text);
        written += text;
      };
      for (let kill = 0; kill < 3; kill += 1) {
        const shipper = start();
        write(lines(kill * 1_000, 300));
        // Once it is in the stream and not committed, otherwise wherever it is.
        if (kill > 0) await logs(shipper, new RegExp(`^shipping ${AS}$`));
        await hasSpooled(machine, written.length);
        if (kill === 2) shared.receive();
        await shipper.kill();
        write(`not read by anybody ${kill}`);
      }
      const last = start();
      await machine.has({ [AS]: written });
      write(lines(9_000, 10));
      await machine.has({ [AS]: written });
      closeSync(pipe);
      await endsByItself(last, machine);
      assert.deepEqual(await machine.arrived(), { [AS]: written });
    },
  );

  shared.check(
    'no server: it reads up to --spool-size, the writer waits, nothing is lost',
    async (machineOf) => {
      const machine = machineOf('full');
      await shared.world.server.kill();
      const text = lines(0, 60_000);
      const shipper = machine.ship(['-', '--as', AS, '--spool-size', '1MiB'], 'pipe');
      let isWritten = false;
      shipper.child.stdin?.end(text, () => {
        isWritten = true;
      });
      await hasSpooled(machine, MIB);
      assert.ok(!isWritten, 'the writer waits');
      await shared.world.restartServer();
      const most = { bytes: 0 };
      const isOver = async (): Promise<boolean> => {
        // One sum of sizes may have a segment that is deleted and the one that takes its place: two have not.
        const sums = [await spooled(machine), await spooled(machine)];
        most.bytes = Math.max(most.bytes, Math.min(...sums));
        return shipper.child.exitCode !== null;
      };
      assert.ok(await until(isOver, { timeoutMs: WAIT_MS }), shipper.stderr);
      await endsByItself(shipper, machine);
      // The limit, and the read that reached it.
      assert.ok(most.bytes <= MIB + 64 * 1024, `${most.bytes} bytes were spooled`);
      const arrived = (await machine.arrived())[AS] ?? '';
      assert.ok(arrived === text, `${arrived.length} of ${text.length} bytes, or others, have arrived`);
    },
  );

  shared.check(
    'SIGTERM: what is in the pipe is still taken, and shipped by the next start',
    async (machineOf) => {
      const machine = machineOf('stopped');
      await shared.stopReceiving();
      const shipper = machine.ship(['-', '--as', AS], 'pipe');
      const text = lines(0, 5_000);
      shipper.child.stdin?.write(text);
      await hasSpooled(machine, 1);
      await stops(shipper);
      assert.equal(await spooled(machine), text.length);
      assert.ok(messages(shipper).some((line) => /stay in the spool: the next start ships them$/.test(line)));
      const other = machine.ship(['-', '--as', '/other.log'], 'pipe');
      await warns(other, /^standard input of an earlier run as \/var\/log\/app\.log is still in the spool: /);
      other.child.stdin?.end();
      await endsOther(other);
      shared.receive();
      await endsByItself(machine.ship(['-', '--as', AS]), machine);
      assert.deepEqual(await machine.arrived(), { [AS]: text });
    },
  );
});

async function endsOther(shipper: Daemon): Promise<void> {
  assert.equal(await ended(shipper), 0, shipper.stderr);
  assertClear(shipper);
}
