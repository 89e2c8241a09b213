// `logferry tail` as users meet it: real shippers, a real nats-server, and the lines that the process prints.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import {
  count,
  ended,
  Following,
  hostWith,
  printed,
  Publisher,
  repeatedly,
  setUp,
  shipped,
  tailed,
} from '../support/tailed.ts';
import { World } from '../support/world.ts';

test('two hosts, several files: selected, limited, as they were written', { timeout: TEST_MS }, async () => {
  await World.run('tail', async (world) => {
    const [access, errors] = await hostWith(world, 'web1', 'access.log', 'error.log');
    const [app] = await hostWith(world, 'db1', 'app.log');
    assert.ok(access !== undefined && errors !== undefined && app !== undefined);
    const all = [access, errors, app];
    for (let line = 0; line < 500; line += 1) for (const file of all) file.line(80);
    access.append('päth with ünicode\n');
    await shipped(world, all);
    // The stream is younger than that, which is said.
    const since = ['--since', '1h', '--log-level', 'error'];

    const everything = await printed(world, ...since);
    assert.equal(everything.split('\n').length - 1, 1_501);
    for (const file of all) {
      const prefix = `${file.host} ${file.file} | `;
      const lines = everything.split('\n').filter((line) => line.startsWith(prefix));
      const text = lines.map((line) => `${line.slice(prefix.length)}\n`).join('');
      assert.equal(text, (await file.truth()).toString(), file.file);
      assert.equal(
        await printed(world, ...since, '--host', file.host, '--path', file.file, '--no-prefix'),
        text,
      );
    }
    const web = await printed(world, ...since, '--host', 'w*', '--path', '*.log', '--exclude', 'err*');
    assert.equal(count(web, `web1 ${access.file} | `), 501);
    assert.equal(web.split('\n').length - 1, 501);
    assert.equal(await printed(world, ...since, '--host', 'nobody'), '');

    // The last lines of each.
    const ten = await printed(world);
    assert.equal(ten.split('\n').length - 1, 30);
    for (const file of all) {
      const lines = (await file.truth()).toString().trimEnd().split('\n').slice(-10);
      const shown = ten.split('\n').filter((line) => line.includes(` ${file.file} | `));
      assert.deepEqual(
        shown,
        lines.map((line) => `${file.host} ${file.file} | ${line}`),
      );
    }
    assert.equal((await printed(world, '-n', '2', ...since)).split('\n').length - 1, 6);
    assert.equal((await printed(world, '--lines=600', '--host', 'db1')).split('\n').length - 1, 500);
    assert.equal(await printed(world, '-n', '0'), '');

    // JSON: every line stands at its offset.
    const truth = await access.truth();
    const rows = (await printed(world, '--json', ...since, '--path', '**/access.log')).trimEnd().split('\n');
    assert.equal(rows.length, 501);
    let offset = 0;
    for (const row of rows) {
      const line = JSON.parse(row) as Record<string, unknown>;
      assert.deepEqual(Object.keys(line), ['time', 'host', 'path', 'offset', 'line']);
      assert.equal(line['offset'], offset);
      const end = truth.indexOf(10, offset);
      assert.equal(line['line'], truth.subarray(offset, end).toString());
      const age = Date.now() - Date.parse(String(line['time']));
      assert.ok(age >= 0 && age < 120_000, String(line['time']));
      offset = end + 1;
    }

    // grep.
    const grep = async (...args: string[]): Promise<number> =>
      (await printed(world, ...since, '--host', 'web1', ...args)).split('\n').length - 1;
    assert.equal(await grep('--grep', 'line 1\\d\\d '), 200);
    assert.equal(await grep('--grep', 'LINE 1\\d\\d '), 0);
    assert.equal(await grep('-i', '--grep', 'LINE 1\\d\\d '), 200);
    assert.equal(await grep('-v', '--grep', 'line 1\\d\\d '), 801);
    assert.equal(await grep('--grep', 'ünic', '--json'), 1);
  });
});

test(
  'following: lines are whole, of mixed files, rotated, and several MiB long',
  { timeout: TEST_MS },
  async () => {
    await World.run('tail-follow', async (world) => {
      const [one, other] = await hostWith(world, 'web1', 'one.log', 'other.log');
      assert.ok(one !== undefined && other !== undefined);
      one.line();
      other.line();
      await shipped(world, [one, other]);
      const following = new Following(world, '-n', '1');
      await following.prints('other.log line 1 ');
      await following.prints('one.log line 1 ');
      one.append('half a ');
      await shipped(world, [one]);
      other.line();
      await following.prints('other.log line 2 ');
      assert.ok(!following.stdout.includes('half'), 'held');
      one.append('line\n');
      await following.prints(' | half a line\n');
      const long = `${'0123456789'.repeat(500_000)}\n`;
      one.append(`begin ${long}`);
      for (let line = 0; line < 200; line += 1) other.line();
      one.line();
      one.rotate();
      one.append('after the rotation\n');
      await following.prints('after the rotation\n');
      await following.prints('other.log line 202 ');
      for (const file of [one, other]) {
        const prefix = `web1 ${file.file} | `;
        const lines = following.stdout.split('\n').filter((line) => line.startsWith(prefix));
        const text = lines.map((line) => `${line.slice(prefix.length)}\n`).join('');
        assert.ok(text === (await file.truth()).toString(), `${file.file} differs`);
      }
      assert.equal(await following.interrupt(), 0);
      assert.equal(following.stderr, '');
      // Back over the rotation and the long line.
      const four = await printed(world, '-n', '4', '--path', '**/one.log', '--no-prefix');
      const wanted = (await one.truth()).toString().trimEnd().split('\n').slice(-4).join('\n');
      assert.ok(four === `${wanted}\n`, 'the last four lines');
      assert.ok(four.startsWith('half a line\nbegin 0123'));
    });
  },
);

test('-n 0 is what comes from now on; what is repeated is not printed again, and gaps are said', async () => {
  await World.run('tail-now', async (world) => {
    await setUp(world);
    const file = new Publisher(world, 'web1', '/a.log');
    await file.data(0, 'old\n');
    const following = new Following(world, '-n', '0', '--no-prefix');
    // Until it listens, nothing says that it does.
    const waiting = new Publisher(world, 'web1', '/begin.log', 'b-0');
    let size = 0;
    const begun = async (): Promise<boolean> => {
      await waiting.data(size, 'begin\n');
      size += 6;
      return following.stdout.includes('begin');
    };
    assert.ok(await until(begun, { timeoutMs: WAIT_MS, everyMs: 100 }));
    await file.data(4, 'a\nb\n');
    await file.data(0, 'old\na\nb\nc\n');
    await file.data(4, 'a\nb\n');
    await file.data(10, 'par');
    await file.gap(13, 20, 'the source\u001B file is gone');
    await file.data(20, 'after\n');
    await file.foreign();
    await file.data(26, 'damaged\n', { isDamaged: true });
    await file.data(34, 'behind\nunfinished');
    await file.data(26, 'repaired\n'.slice(1));
    await file.end(51);
    await following.prints('unfinished\n');
    const shown = following.stdout.replaceAll('begin\n', '');
    assert.equal(shown, 'a\nb\nc\npar\nafter\nbehind\nepaired\nunfinished\n');
    await following.says('web1: /a.log: bytes 13 to 20 are lost (the source\\\\x1b file is gone)');
    await following.says('skipped a message that logferry did not write');
    await following.says('skipped a message of web1: /a.log that does not match its checksum');
    assert.equal(await following.interrupt(), 0);
    assert.equal(
      await printed(world, '--path', '/a.log', '--no-prefix', '-n', '2', '--log-level', 'error'),
      'epaired\nunfinished\n',
    );
  });
});

test('--since starts at a time, says where the stream begins, and refuses what is to come', async () => {
  await World.run('tail-since', async (world) => {
    await setUp(world);
    const file = new Publisher(world, 'web1', '/a.log');
    await file.data(0, 'one\n');
    const isLater = async (): Promise<boolean> => {
      const last = await (await world.jsm()).streams.getMessage('LOGS', { seq: 1 });
      return Date.now() > (last?.time.getTime() ?? Infinity) + 1_500;
    };
    assert.ok(await until(isLater, { timeoutMs: WAIT_MS }));
    const between = new Date(Date.now() - 500).toISOString();
    await file.data(4, 'two\n');
    assert.equal(await printed(world, '--since', between, '--no-prefix'), 'two\n');
    assert.equal(await printed(world, '--since', between, '--no-prefix', '-n', '5'), 'two\n');
    const { code, stdout, stderr } = await tailed(world, '--no-follow', '--since', '2h', '--no-prefix');
    assert.deepEqual([code, stdout], [0, 'one\ntwo\n']);
    assert.match(stderr, /stream LOGS begins at 20\d\d-/);
    const following = new Following(world, '--since', between, '--no-prefix');
    await following.prints('two\n');
    await file.data(8, 'three\n');
    await following.prints('two\nthree\n');
    assert.equal(await following.interrupt(), 0);
  });
});

test(
  'no stream yet: it waits, and says so; --no-follow fails; the server may go and come',
  { timeout: TEST_MS },
  async () => {
    await World.run('tail-server', async (world) => {
      const failed = await tailed(world, '--no-follow');
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, /^logferry: there is no stream LOGS at \S+: check --stream[^\n]*\n$/);
      const following = new Following(world, '--no-prefix');
      await following.says('there is no stream LOGS yet; waiting for it');
      await setUp(world);
      const file = new Publisher(world, 'web1', '/a.log');
      await file.data(0, 'one\n');
      await following.prints('one\n');
      await world.server.kill();
      await following.says('connection to nats-server lost');
      await world.restartServer();
      await repeatedly(async () => await file.data(4, 'two\n'));
      await following.prints('one\ntwo\n');
      assert.equal(count(following.stdout, 'one'), 1);
      assert.equal(count(following.stderr, 'waiting for it'), 1);
      assert.equal(await following.interrupt(), 0);
    });
  },
);

test('a stream that is none of logferry, and a server that is not there, are one line', async () => {
  await World.run('tail-wrong', async (world) => {
    await (await world.jsm()).streams.add({ name: 'OTHER', subjects: ['other.>'] });
    const other = await tailed(world, '--stream', 'OTHER');
    assert.equal(other.code, 1);
    assert.match(other.stderr, /^logferry: stream OTHER exists with subjects [^\n]+\n$/);
    const nobody = await ended(['tail', '--server', 'nats://127.0.0.1:1', '--log-level', 'error']);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /^logferry: cannot reach nats-server at [^\n]+\n$/);
  });
});
