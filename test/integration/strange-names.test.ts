// Host names and paths of every kind, end to end: each byte arrives, below the output directory, in a file of its own.
// A name that cannot be shipped is said, and holds up nobody.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { destinationOf } from '../../receiver/ledger/names.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, fails, messages, stops, warns } from '../support/said.ts';
import { joinedOf } from '../support/chunks.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const LONGEST = 255;

const HOSTS = [
  'web.1.example.com',
  'my host',
  'hôst-漢字-🚢',
  'a*b>c',
  '*',
  '>',
  '.',
  '..',
  '.logferry',
  'a/b',
  '/',
  '../../escaped',
  '%2E%2E',
  'line\nbreak\ttab',
  "it's (a) ~host!",
  '-dash',
  'h'.repeat(LONGEST),
  '漢'.repeat(LONGEST / 3),
];

const NAMES = [
  'a.b.c.log',
  'two words.log',
  'ünï-漢字-🚢.log',
  'star*.log',
  '>.log',
  '..log',
  '...log',
  '.logferry.log',
  'back\\slash.log',
  'line\nbreak.log',
  '"quoted".log',
  "it's (a) ~file!.log",
  '%2F.log',
  '-dash.log',
  '{a,b}[c]?!.log',
  'combining-e\u0301.log',
  'composed-\u00e9.log',
  'x.20260101T000000000Z.log',
  '.log',
  ' .log',
  `${'x'.repeat(LONGEST - 4)}.log`,
  `${'漢'.repeat(83)}xx.log`,
];

/** What the central file of a host's file holds, undefined when there is none. */
async function centralText(out: string, host: string, source: string): Promise<string | undefined> {
  return await readFile(path.join(out, destinationOf(host, source)), 'utf8').catch(() => undefined);
}

/** All files with data below an output directory. */
async function dataFiles(out: string): Promise<string[]> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => !file.startsWith(`${path.join(out, '.logferry')}/`));
}

/** PATH_MAX of Linux, less the byte that ends it. */
const LONGEST_PATH = 4_095;

describe('names', { concurrency: 3 }, () => {
  test('hosts: each has files of its own, below the output directory', async () => {
    await World.run('hosts', async (world) => {
      const source = path.join(world.source, 'a.log');
      const receiver = world.receive();
      const waiting = [...HOSTS.entries()];
      const ship = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const [index, host] = next;
          const file = path.join(world.source, `${index}`, 'a.log');
          await mkdir(path.dirname(file));
          await writeFile(file, `${JSON.stringify(host)}\n`);
          const args = ['--once', '--timeout', '2m', '--state', path.join(world.dir, `state-${index}`)];
          const common = ['--server', world.server.url, `--host=${host}`];
          const shipper = world.start(`ship-${index}`, ['ship', file, ...args, ...common]);
          assert.equal(await ended(shipper), 0, shipper.stderr);
          assertClear(shipper);
          assert.equal(await centralText(world.out, host, file), `${JSON.stringify(host)}\n`, host);
        }
      };
      await Promise.all([ship(), ship(), ship()]);
      await stops(receiver);
      assert.equal((await dataFiles(world.out)).length, HOSTS.length);
      assert.deepEqual(
        (await readdir(world.dir)).filter((name) => /escaped|passwd/.test(name)),
        [],
      );
      assert.deepEqual(await readdir(path.dirname(source)), [...HOSTS.keys()].map(String).toSorted());
    });
  });

  test('files: each has one of its own, named after it where a file system can', async () => {
    await World.run('files', async (world) => {
      const dirs = ['...', '..hidden', 'dot.dir', ' ', 'd*r', '漢'.repeat(85)];
      const files = [...NAMES, ...dirs.map((dir) => path.join(dir, 'a.log'))].map((name) =>
        path.join(world.source, name),
      );
      for (const file of files) {
        await mkdir(path.dirname(file), { recursive: true });
        await writeFile(file, `${JSON.stringify(file)}\n`);
      }
      const receiver = world.receive();
      // As in a shell, a wildcard does not match a leading dot.
      const hidden = files.filter((file) => file.slice(world.source.length).includes('/.'));
      const shipper = world.ship(hidden, path.join(world.source, '**', '*.log'));
      for (const file of files) {
        let text: string | undefined;
        // A file that was made, and not yet written to, is there already.
        await until(
          async () => (text = await centralText(world.out, world.host, file)) !== undefined && text !== '',
          {
            timeoutMs: WAIT_MS,
          },
        );
        assert.equal(text, `${JSON.stringify(file)}\n`, file);
      }
      assert.equal((await dataFiles(world.out)).length, files.length);
      await stops(shipper);
      await stops(receiver);
      assert.deepEqual(messages(shipper, 40), []);
      // Named one by one, what looks like a glob is the file of that name.
      const once = world.start('named', [
        'ship',
        ...files,
        '--host',
        world.host,
        '--state',
        world.state,
        '--server',
        world.server.url,
        '--once',
        '--timeout',
        '2m',
      ]);
      assert.equal(await ended(once), 0, once.stderr);
    });
  });

  test('a path as long as the system takes: identical, as the others', async () => {
    await World.run('long-path', async (world) => {
      const room = LONGEST_PATH - Buffer.byteLength(world.source) - '/a.log'.length;
      const depth = Math.floor(room / ('漢'.length * 3 * 80 + 1));
      const dir = Array.from({ length: depth }, () => '漢'.repeat(80)).join('/');
      await mkdir(path.join(world.source, dir), { recursive: true });
      const long = path.join(world.source, dir, 'a.log');
      const lines = 'far down\nand further\n';
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship([], path.join(world.source, '**', '*.log'));
      await assertIdentical(world, [file]);
      await writeFile(long, lines);
      const arrived = async (): Promise<boolean> => {
        const { data } = await joinedOf(world.out, { host: world.host, path: long });
        return data.toString() === lines;
      };
      assert.ok(await until(arrived, { timeoutMs: WAIT_MS }), 'the long path');
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test('a file name that is not valid UTF-8: said with what to do, and the others go on', async () => {
    const bytes = Buffer.from([0x61, 0xff, 0xfe, 0x2e, 0x6c, 0x6f, 0x67]);
    await World.run('not-utf8', async (world) => {
      await writeFile(Buffer.concat([Buffer.from(`${world.source}/`), bytes]), 'nobody can say my name\n');
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      const said = await warns(shipper, /not valid UTF-8/);
      assert.match(said, /^cannot ship \/.*\/a\uFFFD\uFFFD\.log: its name is not valid UTF-8: rename it$/);
      await stops(shipper);
      await fails(world.ship(['--once']), /^logferry: cannot ship \/.*\/a\uFFFD\uFFFD\.log: /);
      await stops(receiver);
      file.close();
    });
  });

  test('an output directory with a strange name, and a state directory', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'logferry strange *ünï [x] '));
    await World.run('strange-dirs', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const out = path.join(dir, 'o\nut');
      const receiver = world.receive([], out);
      const shipper = world.ship(['--state', path.join(dir, 's>tate'), '--once']);
      assert.equal(await ended(shipper), 0, shipper.stderr);
      assert.equal(await centralText(out, world.host, file.file), (await file.truth()).toString());
      await stops(receiver);
      file.close();
    });
    await rm(dir, { recursive: true });
  });
});
