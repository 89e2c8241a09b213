// What a glob may match and nobody can ship: said in one line, once, while the neighbour's bytes arrive.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';

import { z } from 'zod';

import { until } from '../../common/runtime/run.ts';
import { type Machine, Shared } from '../support/machine.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { messages, stops } from '../support/said.ts';
import type { Daemon } from '../support/daemon.ts';
import { openIfThere } from '../../shipper/files/candidate.ts';

const INFO = 30;

/** Files that come make the shipper look at everything again; each arrives. */
async function looksAgain(machine: Machine, arrived: Record<string, string>, times = 3): Promise<void> {
  for (let time = 1; time <= times; time += 1) {
    const name = `x/again${Object.keys(arrived).length}.log`;
    await machine.write(name, 'seen\n');
    arrived[name] = 'seen\n';
    await machine.has(arrived);
  }
}

/** What was said about skipping and the like, each as often as it was said. */
function said(shipper: Daemon): string[] {
  return messages(shipper, INFO).filter((line) => /^(skipping|cannot)|matches directories/.test(line));
}

describe('bad sources', () => {
  const shared = new Shared('bad-sources');

  shared.check('directories, FIFOs, sockets, devices, circles of links', async (machineOf) => {
    const machine = machineOf('kinds');
    await machine.write('x/good.log', 'good\n');
    for (const name of ['dir.log', 'deep/er.log'])
      await mkdir(machine.path(`x/${name}`), { recursive: true });
    execFileSync('mkfifo', [machine.path('x/fifo.log')]);
    const server = createServer().listen(machine.path('x/socket.log'));
    await symlink('/dev/null', machine.path('x/device.log'));
    await symlink('loop-b.log', machine.path('x/loop-a.log'));
    await symlink('loop-a.log', machine.path('x/loop-b.log'));
    await symlink('nowhere', machine.path('x/dangling.log'));
    await symlink('.', machine.path('x/self'));
    const globs = [machine.path('x/*.log'), machine.path('x/**/*.log')];
    const named = ['x/deep', 'x/fifo.log'].map((name) => machine.path(name));
    const shipper = machine.ship([...globs, ...named]);
    const arrived = { 'x/good.log': 'good\n' };
    await machine.has(arrived);
    await looksAgain(machine, arrived);
    // Nobody has it open for reading.
    const writer = constants.O_WRONLY | constants.O_NONBLOCK;
    await assert.rejects(open(machine.path('x/fifo.log'), writer), { code: 'ENXIO' });
    await stops(shipper);
    server.close();
    const only = 'only regular files are shipped';
    const skipping = (name: string, why: string): string =>
      `skipping ${machine.path(`x/${name}`)}: it is ${why}`;
    const circle = 'a symbolic link that goes in a circle: mend or remove it';
    assert.deepEqual(
      said(shipper).toSorted(),
      [
        `${globs[0]} matches directories too, ${machine.path('x/dir.log')} for one: only files are shipped`,
        skipping('deep', `a directory: name the files in it, like '${machine.path('x/deep')}/*.log'`),
        skipping('device.log', `a device: ${only}`),
        skipping('fifo.log', `a FIFO: ${only}; read it with: logferry ship - --as <path>`),
        skipping('loop-a.log', circle),
        skipping('loop-b.log', circle),
        skipping('socket.log', `a socket: ${only}`),
      ].toSorted(),
    );
  });

  test('a FIFO that takes the place of a file is not waited for', async (t) => {
    const dir = path.join(shared.world.dir, 'race');
    await mkdir(dir);
    const fifo = path.join(dir, 'fifo');
    execFileSync('mkfifo', [fifo]);
    // Should it wait after all, a writer ends that.
    t.after(async () => {
      await (await open(fifo, constants.O_RDWR | constants.O_NONBLOCK)).close();
    });
    let isOpen = false;
    const opening = openIfThere(fifo).then((handle) => {
      isOpen = true;
      return handle;
    });
    assert.ok(await until(() => isOpen, { timeoutMs: WAIT_MS }), 'it waits for a writer');
    await (await opening)?.close();
  });

  shared.check('a file that a directory replaces, and a file again; files that vanish', async (machineOf) => {
    const machine = machineOf('replaced');
    await machine.write('x/a.log', 'one\n');
    await machine.write('x/good.log', 'good\n');
    const shipper = machine.ship(['x/*.log']);
    const arrived: Record<string, string> = { 'x/a.log': 'one\n', 'x/good.log': 'good\n' };
    await machine.has(arrived);
    for (const data of ['two\n', 'three\n']) {
      const before = said(shipper).length;
      await unlink(machine.path('x/a.log'));
      await mkdir(machine.path('x/a.log'));
      assert.ok(await until(() => said(shipper).length > before, { timeoutMs: WAIT_MS }), 'said');
      await machine.write('x/good.log', data);
      arrived['x/good.log'] += data;
      await machine.has(arrived);
      await rename(machine.path('x/a.log'), machine.path(`x/was-${data.trim()}`));
      await machine.write('x/a.log', data);
      arrived['x/a.log'] += data;
      await machine.has(arrived);
    }
    const line = `skipping ${machine.path('x/a.log')}: it is a directory: name the files in it, like '${machine.path('x/a.log')}/*.log'`;
    assert.deepEqual(said(shipper), [line, line]);
    for (let round = 0; round < 200; round += 1) {
      await writeFile(machine.path(`x/v${round % 7}.log`), '');
      if (round % 50 === 0) await machine.write('x/good.log', `${round}\n`);
      if (round % 50 === 0) arrived['x/good.log'] += `${round}\n`;
      await rm(machine.path(`x/v${round % 7}.log`));
    }
    await looksAgain(machine, arrived, 1);
    await stops(shipper);
    // Of those that vanished nothing but the number is said.
    const isCount = (message: string): boolean => / came and went before they could be opened /.test(message);
    assert.deepEqual(
      messages(shipper, 40).filter((message) => message !== line && !isCount(message)),
      [],
    );
  });

  shared.check('names with newlines arrive, names that are not UTF-8 are refused', async (machineOf) => {
    const machine = machineOf('names');
    await machine.write('x/good.log', 'good\n');
    await machine.write('x/new\nline.log', 'two lines\n');
    const bad = Buffer.concat([Buffer.from(machine.path('x/bad')), Buffer.from([0xff])]);
    await writeFile(Buffer.concat([bad, Buffer.from('.log')]), 'unnameable\n');
    await mkdir(bad);
    await writeFile(Buffer.concat([bad, Buffer.from('/below.log')]), 'below it\n');
    const shipper = machine.ship([machine.path('x/**/*.log')]);
    const arrived = { 'x/good.log': 'good\n', 'x/new%0Aline.log': 'two lines\n' };
    await machine.has(arrived);
    await looksAgain(machine, arrived);
    await stops(shipper);
    const refused = (name: string): string =>
      `cannot ship ${machine.path(name)}: its name is not valid UTF-8: rename it`;
    assert.deepEqual(
      said(shipper).toSorted(),
      [refused('x/bad\uFFFD'), refused('x/bad\uFFFD.log')].toSorted(),
    );
  });

  shared.check("a receiver's output, the shipper's own state and log", async (machineOf) => {
    const machine = machineOf('circle');
    const { out, dir } = shared.world;
    await machine.write('x/good.log', 'good\n');
    await machine.write('x/state/not-yet.log', 'another directory\n');
    await symlink(out, machine.path('x/out'));
    const log = machine.path('x/own.log');
    const stderr = path.join(dir, 'ship-circle.log');
    const shipper = machine.ship([
      ...[machine.path('x/**/*'), machine.path('x/out/**/*'), `${out}/*/**/*.log`, stderr],
      ...['--log-file', log, '--state', machine.path('x/state'), '--log-level', 'debug'],
    ]);
    const arrived = { 'x/good.log': 'good\n' };
    await machine.has(arrived);
    // Under another name it is still the file that is written to.
    await rename(log, machine.path('x/own.log.renamed'));
    await looksAgain(machine, arrived);
    shipper.child.kill('SIGTERM');
    assert.equal(await shipper.exited, 0);
    // It goes on in a new one soon.
    const logs = ['x/own.log.renamed', 'x/own.log'].map((name) => machine.path(name));
    const texts = await Promise.all(logs.map(async (name) => await readFile(name, 'utf8').catch(() => '')));
    const lines = texts.join('').trimEnd().split('\n');
    const own = lines.map((line) => z.object({ msg: z.string() }).parse(JSON.parse(line)).msg);
    const skipping = own.filter((line) => /^(skipping|cannot)/.test(line));
    const ownLog = `skipping ${log}: it is this shipper's own log`;
    // The log that it goes on in after the renaming may have been seen by then, and is skipped as well: that line alone
    // may be there twice.
    if (skipping.filter((line) => line === ownLog).length === 2) skipping.splice(skipping.indexOf(ownLog), 1);
    assert.deepEqual(
      skipping.toSorted(),
      [
        ownLog,
        `skipping ${log}.renamed: it is this shipper's own log`,
        `skipping ${stderr}: it is this shipper's own log`,
        `skipping what is below ${machine.path('x/state')}: it is this shipper's own state`,
        `skipping what is below ${out}: a receiver writes there (${out}/.logferry/directory.json), and what it writes would go in a circle`,
      ].toSorted(),
    );
  });
});
