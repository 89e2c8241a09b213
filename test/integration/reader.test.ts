// A source file again from output directories: whatever was shared, rotated, repeated or lost, each byte comes once
// and in order, and what is missing is named.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { silentLogger } from '../../common/runtime/log.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { joinRuns, type PresentRun } from '../../receiver/read/join.ts';
import { compressedName, destinationOf, type Encoding } from '../../receiver/ledger/names.ts';
import { ledgerPath, LedgerFile } from '../../receiver/ledger/ledger-file.ts';
import {
  joinSource,
  listRuns,
  readContents,
  readDirectories,
  readPieces,
} from '../../receiver/read/reader.ts';
import { passOnce } from '../../receiver/upkeep/upkeep.ts';
import { Central, scratch } from '../support/central.ts';
import { ENTRY } from '../support/paths.ts';

async function text(outs: readonly string[], host = 'web1', source = '/var/log/a.log'): Promise<string> {
  const joined = joinSource(await readDirectories(outs), host, source);
  assert.ok(joined !== undefined, 'nothing is known of it');
  assert.deepEqual(joined.holes, []);
  let all = '';
  for await (const bytes of readPieces(joined.pieces)) all += Buffer.from(bytes).toString('latin1');
  return all;
}

async function logferry(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return await new Promise((resolve) => {
    const child = execFile(process.execPath, [ENTRY, ...args], (_error, stdout, stderr) => {
      assert.doesNotMatch(stderr, /^\s+at /m);
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

test('one generation over several segments', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  await central.write({ id: 'g0', start: 4, data: 'two\n' });
  await central.rotate();
  await central.write({ id: 'g0', start: 8, data: 'three\n' });
  await central.rotate();
  await central.write({ id: 'g0', start: 14, data: 'four\n' });
  assert.equal(await text([central.out]), 'one\ntwo\nthree\nfour\n');
});

test('bytes that two directories hold come once', async (t) => {
  const directory = await scratch(t);
  const a = await Central.make(t, path.join(directory, 'a'));
  const b = await Central.make(t, path.join(directory, 'b'));
  await a.write({ id: 'g0', start: 0, data: '0123456789' });
  await b.write({ id: 'g0', start: 6, data: '6789abcd' });
  await b.write({ id: 'g0', start: 2, data: '234567' });
  await a.write({ id: 'g0', start: 14, data: 'ef' });
  for (const outs of [
    [a.out, b.out],
    [b.out, a.out],
    [a.out, b.out, `${a.out}/`],
  ])
    assert.equal(await text(outs), '0123456789abcdef');
});

test('generations follow each other by their links, not by their place', async (t) => {
  const directory = await scratch(t);
  const a = await Central.make(t, path.join(directory, 'a'));
  const b = await Central.make(t, path.join(directory, 'b'));
  const key = (id: string): string => fileKey('web1', id);
  await b.write({
    id: 'g2',
    start: 0,
    data: 'third\n',
    after: { file: 'g1', size: 7 },
    before: { [key('g1')]: 7, [key('g0')]: 6 },
  });
  await b.write({ id: 'g0', start: 0, data: 'first\n' });
  await a.write({ id: 'g3', start: 0, data: 'fourth\n', after: { file: 'g2', size: 6 } });
  await a.write({ id: 'g1', start: 0, data: 'second\n', after: { file: 'g0', size: 6 } });
  assert.equal(await text([a.out, b.out]), 'first\nsecond\nthird\nfourth\n');
  assert.equal(await text([b.out, a.out]), 'first\nsecond\nthird\nfourth\n');
  const order = listRuns(await readDirectories([a.out, b.out])).map(({ file }) => file);
  assert.deepEqual(order, ['g0', 'g1', 'g2', 'g3']);
});

test('without links the ledger tells the order', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'z', start: 0, data: 'first\n' });
  await central.write({ id: 'a', start: 0, data: 'second\n' });
  assert.equal(await text([central.out]), 'first\nsecond\n');
});

test('other hosts and paths stay out, whatever they are called', async (t) => {
  const central = await Central.make(t, await scratch(t));
  for (const host of ['web1', 'web1/x', 'we', '..'])
    for (const source of ['/var/log/a.log', '/var/log/a.log.1'])
      await central.write({
        host,
        path: source,
        id: `g${source.length}`,
        start: 0,
        data: `${host} ${source}\n`,
      });
  for (const host of ['web1', 'web1/x', 'we', '..'])
    for (const source of ['/var/log/a.log', '/var/log/a.log.1'])
      assert.equal(await text([central.out], host, source), `${host} ${source}\n`);
});

test('several partitions of one directory', async (t) => {
  const directory = await scratch(t);
  const one = await Central.make(t, directory, 1);
  const two = await Central.make(t, directory, 63);
  await one.write({ host: 'h1', id: 'g0', start: 0, data: 'one' });
  await two.write({ host: 'h2', id: 'g0', start: 0, data: 'two' });
  assert.equal(await text([directory], 'h1'), 'one');
  assert.equal(await text([directory], 'h2'), 'two');
});

test('a segment renamed between the listing and the reading is found again', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  const joined = joinSource(await readDirectories([central.out]), 'web1', '/var/log/a.log');
  await central.rotate();
  await central.write({ id: 'g0', start: 4, data: 'another file under the old name\n' });
  let all = '';
  for await (const bytes of readPieces(joined?.pieces ?? [])) all += Buffer.from(bytes).toString();
  assert.equal(all, 'one\n');
});

test('bytes behind what the ledger lists are not read', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'committed\n' });
  await appendFile(path.join(central.out, destinationOf('web1', '/var/log/a.log')), 'not committed\n');
  assert.equal(await text([central.out]), 'committed\n');
});

test('cat refuses a hole before it writes anything, and skips it when told to', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  await central.write({ id: 'g0', start: 8, data: 'three\n' });
  const refused = await logferry('cat', 'web1', '/var/log/a.log', '--out', central.out);
  assert.deepEqual([refused.code, refused.stdout], [1, '']);
  assert.match(
    refused.stderr,
    /^logferry: web1: \/var\/log\/a\.log: bytes 4 to 8 [^\n]+--skip-holes[^\n]*\n$/,
  );
  const skipped = await logferry('cat', 'web1', '/var/log/a.log', '--skip-holes', '--out', central.out);
  assert.deepEqual([skipped.code, skipped.stdout], [0, 'one\nthree\n']);
  assert.match(skipped.stderr, /^logferry: [^\n]*bytes 4 to 8 [^\n]*left out\n$/);
});

test('cat misses what only a link names: the rest of the generation before, or all of it', async (t) => {
  const directory = await scratch(t);
  const a = await Central.make(t, path.join(directory, 'a'));
  const b = await Central.make(t, path.join(directory, 'b'));
  await a.write({ id: 'g0', start: 0, data: 'one\n' });
  await b.write({ id: 'g0', start: 4, data: 'two\n' });
  await b.write({ id: 'g1', start: 0, data: 'three\n', after: { file: 'g0', size: 8 } });
  await a.write({ id: 'g2', start: 0, data: 'four\n', after: { file: 'g1', size: 6 } });
  const args = ['cat', 'web1', '/var/log/a.log', '--out'];
  const half = await logferry(...args, a.out);
  assert.deepEqual([half.code, half.stdout], [1, '']);
  assert.match(half.stderr, /bytes 0 to 6 of its generation g1/);
  const both = await logferry(...args, a.out, b.out);
  assert.deepEqual([both.code, both.stdout, both.stderr], [0, 'one\ntwo\nthree\nfour\n', '']);
});

test('cat says where a file begins that was shipped from its end', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 100, data: 'later\n' });
  const { code, stdout, stderr } = await logferry('cat', 'web1', '/var/log/a.log', '--out', central.out);
  assert.deepEqual([code, stdout], [0, 'later\n']);
  assert.match(stderr, /begins at byte 100/);
});

test('cat names the nearest hosts and paths it knows', async (t) => {
  const central = await Central.make(t, await scratch(t));
  for (const source of ['/var/log/syslog', '/var/log/auth.log', '/srv/app/out.log'])
    await central.write({ path: source, id: `g${source.length}`, start: 0, data: 'x\n' });
  const path_ = await logferry('cat', 'web1', '/var/log/sylog', '--out', central.out);
  assert.deepEqual([path_.code, path_.stdout], [1, '']);
  assert.match(
    path_.stderr,
    /^logferry: web1 has no \/var\/log\/sylog [^\n]*: there is \/var\/log\/syslog, [^\n]+\n$/,
  );
  const host = await logferry('cat', 'web2', '/var/log/syslog', '--out', central.out);
  assert.deepEqual([host.code, host.stdout], [1, '']);
  assert.match(host.stderr, /^logferry: nothing of host web2 [^\n]*: there is web1\n$/);
});

test('cat misses a file that is gone, or shorter than was committed', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  const segment = await central.rotate();
  await central.write({ id: 'g0', start: 4, data: 'two\n' });
  await truncate(segment, 2);
  const args = ['cat', 'web1', '/var/log/a.log', '--out', central.out];
  assert.match((await logferry(...args)).stderr, /bytes 2 to 4 /);
  await rm(segment);
  const { code, stdout, stderr } = await logferry(...args);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /bytes 0 to 4 /);
  const listed = await logferry('segments', '--out', central.out);
  assert.match(listed.stdout, /\(gone\)/);
});

test('a directory that is none of a receiver is one line and exit 1', async (t) => {
  const directory = await scratch(t);
  for (const out of [directory, path.join(directory, 'nothing'), ENTRY])
    for (const args of [['segments'], ['cat', 'web1', '/x']]) {
      const { code, stdout, stderr } = await logferry(...args, '--out', out);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /^logferry: [^\n]+ is not an output directory of logferry: [^\n]+\n$/);
    }
});

/** Makes one line of a ledger one that does not parse. Returns the ledger's path. */
async function breakLine(out: string, isWanted: (line: string) => boolean): Promise<string> {
  const ledger = ledgerPath(out, 7);
  const lines = (await readFile(ledger, 'utf8')).split('\n');
  const at = lines.findIndex(isWanted);
  assert.ok(at >= 0);
  await writeFile(ledger, lines.with(at, (lines[at] ?? '').replace('"start"', '"stort"')).join('\n'));
  return ledger;
}

test('a ledger that has lost a line: who reads it says so, writes what is left, and exits with 1', async (t) => {
  const central = await Central.make(t, await scratch(t));
  for (const name of ['a', 'b', 'c'])
    await central.write({ path: `/var/log/${name}.log`, id: `g${name}`, start: 0, data: `${name}\n` });
  const cat = async (name: string): ReturnType<typeof logferry> =>
    await logferry('cat', 'web1', `/var/log/${name}.log`, '--out', central.out);
  const ledger = await breakLine(central.out, (line) => line.includes('"path":"/var/log/b.log"'));
  const said = `logferry: ${ledger} is damaged, and what its lost lines listed is not read: start the receiver in that directory, it mends its ledger\n`;
  const all = `${said}logferry: 1 partition could not be read: the lines before this one say which\n`;
  assert.deepEqual(await cat('a'), { code: 1, stdout: 'a\n', stderr: all });
  const unknown = await cat('b');
  assert.deepEqual([unknown.code, unknown.stdout], [1, '']);
  assert.ok(unknown.stderr.startsWith(`${said}logferry: web1 has no /var/log/b.log`), unknown.stderr);
  const listed = await logferry('segments', '--json', '--out', central.out);
  assert.deepEqual([listed.code, listed.stderr], [1, all]);
  assert.equal(listed.stdout.trimEnd().split('\n').length, 2);
  const verified = await logferry('verify', '--offline', '--out', central.out);
  assert.deepEqual([verified.code, verified.stderr], [1, all]);
  assert.match(verified.stdout, /^2 generations, 4 B; none differs, 1 partition could not be read: /);
  const json = await logferry('verify', '--offline', '--json', '--out', central.out);
  assert.deepEqual([json.code, json.stderr], [1, all]);
  assert.match(json.stdout, /"partitionsUnread":1/);
  // As a receiver does at its start.
  await (await LedgerFile.open(central.out, '', 7, silentLogger())).close();
  assert.deepEqual(await cat('a'), { code: 0, stdout: 'a\n', stderr: '' });
});

test('a ledger without a whole line is damaged, too', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  for (const content of ['', '\u0000'.repeat(500)]) {
    await writeFile(ledgerPath(central.out, 7), content);
    const { code, stderr } = await logferry('verify', '--offline', '--out', central.out);
    assert.equal(code, 1);
    assert.ok(stderr.startsWith(`logferry: ${ledgerPath(central.out, 7)} is damaged`), stderr);
  }
});

test('a lost line in the middle of a file is a hole, and skipped when told to', async (t) => {
  const central = await Central.make(t, await scratch(t));
  for (const [index, data] of ['one\n', 'two\n', 'six\n'].entries())
    await central.write({ id: 'g0', start: index * 4, data });
  const ledger = await breakLine(central.out, (line) => line.includes('"start":4'));
  const args = ['cat', 'web1', '/var/log/a.log', '--out', central.out];
  const refused = await logferry(...args);
  assert.deepEqual([refused.code, refused.stdout], [1, '']);
  assert.ok(refused.stderr.startsWith(`logferry: ${ledger} is damaged`), refused.stderr);
  assert.match(refused.stderr, /bytes 4 to 8 /);
  const skipped = await logferry(...args, '--skip-holes');
  assert.deepEqual([skipped.code, skipped.stdout], [1, 'one\nsix\n']);
});

test('a torn last line is no damage, nor is what is being written', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  const good = await readFile(ledgerPath(central.out, 7), 'utf8');
  await writeFile(ledgerPath(central.out, 7), `${good}{"term":"torn by a crash`);
  const args = ['--out', central.out];
  assert.deepEqual(await logferry('cat', 'web1', '/var/log/a.log', ...args), {
    code: 0,
    stdout: 'one\n',
    stderr: '',
  });
  assert.deepEqual((await logferry('verify', '--offline', ...args)).stderr, '');
  await writeFile(ledgerPath(central.out, 7), good);
  let isDone = false;
  const written = async (): Promise<void> => {
    for (let at = 4; at < 400; at += 4) await central.write({ id: 'g0', start: at, data: 'two\n' });
    isDone = true;
  };
  const read = async (): Promise<void> => {
    while (!isDone) assert.deepEqual((await readContents([central.out])).damaged, []);
  };
  await Promise.all([written(), read()]);
});

test('segments as a table and as JSON', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  const segment = await central.rotate();
  await central.write({ id: 'g0', start: 4, data: 'two\n' });
  await central.write({ host: 'a\u001B[31m', path: '/b', id: 'g9', start: 0, data: 'x' });
  const table = await logferry('segments', '--out', central.out);
  const [header = '', first = '', second = '', third = ''] = table.stdout.split('\n');
  assert.match(header, /^HOST +PATH +FILE +START +END +DISK +FROM +TO$/);
  assert.match(first, /^a\\x1b\[31m +\/b +g9 +0 +1 /);
  assert.ok(second.includes(segment) && /^web1 +\/var\/log\/a\.log +g0 +0 +4 .* 0 +4$/.test(second), second);
  assert.match(third, /^web1 +\/var\/log\/a\.log +g0 +4 +8 .*\/web1\/var\/log\/a\.log +0 +4$/);
  const json = await logferry('segments', '--json', '--out', central.out);
  const rows = json.stdout
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
  assert.equal(rows.length, 3);
  assert.deepEqual(rows[1], {
    host: 'web1',
    path: '/var/log/a.log',
    file: 'g0',
    start: 0,
    end: 4,
    disk: segment,
    from: 0,
    to: 4,
  });
});

/** Compresses every segment of a directory, as a receiver does in the background. */
async function compress(central: Central, encoding: Encoding): Promise<void> {
  const { out, ledger } = central;
  const ledgers = new Map([[ledger.ledger.partition, ledger]]);
  await passOnce(
    { out, ledgers, compress: encoding, keep: {}, log: silentLogger() },
    new AbortController().signal,
  );
}

/** Removes the oldest segments, as retention does. */
async function keepOnly(central: Central, count: number): Promise<void> {
  const { out, ledger } = central;
  const ledgers = new Map([[ledger.ledger.partition, ledger]]);
  const context = { out, ledgers, compress: undefined, keep: { count }, log: silentLogger() };
  await passOnce(context, new AbortController().signal);
}

test('law: from segments of any encoding, in one directory or two, each byte comes once and in order', async (t) => {
  const how = fc.constantFrom<(Encoding | undefined)[]>(undefined, 'gzip', 'zstd');
  const write = fc.record({
    length: fc.integer({ min: 1, max: 60 }),
    back: fc.nat(30),
    second: fc.boolean(),
    rotate: fc.boolean(),
  });
  const directory = await scratch(t);
  let number = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { minLength: 1, maxLength: 12 }),
      how,
      how,
      async (writes, first, second) => {
        number += 1;
        const a = await Central.make(t, path.join(directory, `${number}a`));
        const b = await Central.make(t, path.join(directory, `${number}b`));
        let expected = '';
        for (const { length, back, second: inB, rotate } of writes) {
          const central = inB ? b : a;
          const from = Math.max(0, expected.length - back);
          const more = Array.from({ length }, (_, index) => String((expected.length + index) % 10)).join('');
          const data = expected.slice(from) + more;
          await central.write({ id: 'g0', start: from, data });
          if (rotate) await central.rotate();
          expected += more;
        }
        if (first !== undefined) await compress(a, first);
        if (second !== undefined) await compress(b, second);
        assert.equal(await text([a.out, b.out]), expected);
      },
    ),
    { numRuns: 40 },
  );
});

test('segments says how a file is compressed, cat reads it', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  const segment = await central.rotate();
  await central.write({ id: 'g0', start: 4, data: 'two\n' });
  await compress(central, 'zstd');
  const { stdout } = await logferry('cat', 'web1', '/var/log/a.log', '--out', central.out);
  assert.equal(stdout, 'one\ntwo\n');
  const table = (await logferry('segments', '--out', central.out)).stdout.split('\n');
  assert.match(table[0] ?? '', / FROM +TO +ENCODING$/);
  assert.match(table[1] ?? '', / 0 +4 +zstd$/);
  assert.match(table[2] ?? '', / 0 +4$/);
  const json = (await logferry('segments', '--json', '--out', central.out)).stdout.split('\n');
  const row = JSON.parse(json[0] ?? '') as Record<string, unknown>;
  assert.deepEqual([row['encoding'], row['disk']], ['zstd', `${segment}.zst`]);
  assert.ok(!('encoding' in (JSON.parse(json[1] ?? '') as object)));
});

test('a compressed file that is damaged is one line and exit 1', async (t) => {
  for (const encoding of ['gzip', 'zstd'] as const) {
    const central = await Central.make(t, await scratch(t));
    await central.write({ id: 'g0', start: 0, data: 'one\n'.repeat(10_000) });
    const segment = compressedName(await central.rotate(), encoding);
    await compress(central, encoding);
    await truncate(segment, Math.floor((await stat(segment)).size / 2));
    const { code, stderr } = await logferry('cat', 'web1', '/var/log/a.log', '--out', central.out);
    assert.equal(code, 1);
    assert.match(stderr, /^logferry: [^\n]+\.(gz|zst) does not decompress \([^\n]+\): [^\n]+\n$/);
  }
});

test('what retention removed is named, and no error; another directory that has it gives it', async (t) => {
  const directory = await scratch(t);
  const a = await Central.make(t, path.join(directory, 'a'));
  const b = await Central.make(t, path.join(directory, 'b'));
  await a.write({ id: 'g0', start: 0, data: 'one\n' });
  await b.write({ id: 'g0', start: 0, data: 'one\n' });
  await a.rotate();
  await a.write({ id: 'g0', start: 4, data: 'two\n' });
  await a.write({ id: 'g1', start: 0, data: 'three\n', after: { file: 'g0', size: 8 } });
  await a.rotate();
  await a.write({ id: 'g1', start: 6, data: 'four\n' });
  await keepOnly(a, 1);
  const args = ['cat', 'web1', '/var/log/a.log', '--out', a.out];
  const one = await logferry(...args);
  assert.deepEqual([one.code, one.stdout], [0, 'two\nthree\nfour\n']);
  assert.match(
    one.stderr,
    /^logferry: [^\n]*bytes 0 to 4 of its generation g0 are left out: retention removed them\n$/,
  );
  const both = await logferry(...args, b.out);
  assert.deepEqual([both.code, both.stdout, both.stderr], [0, 'one\ntwo\nthree\nfour\n', '']);
  const rows = (await logferry('segments', '--json', '--out', a.out)).stdout.trimEnd().split('\n');
  assert.equal(rows.length, 4);
  assert.deepEqual(JSON.parse(rows[0] ?? ''), {
    host: 'web1',
    path: '/var/log/a.log',
    file: 'g0',
    start: 0,
    end: 4,
    disk: null,
    from: null,
    to: null,
    removed: true,
  });
  await keepOnly(a, 0);
  const rest = await logferry(...args);
  assert.deepEqual([rest.code, rest.stdout], [0, 'four\n']);
  assert.match(rest.stderr, /bytes 0 to 8 of its generation g0 \(and 1 more\) are left out/);
  const table = await logferry('segments', '--out', a.out);
  assert.match(table.stdout, /g0 +0 +8 +\(removed\) +- +-\n.*g1 +0 +6 +\(removed\)/);
});

test('a hole beside what retention removed is still a hole', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'one\n' });
  await central.rotate();
  await central.write({ id: 'g0', start: 8, data: 'three\n' });
  await keepOnly(central, 0);
  const { code, stderr } = await logferry('cat', 'web1', '/var/log/a.log', '--out', central.out);
  assert.equal(code, 1);
  assert.match(stderr, /bytes 4 to 8 of its generation g0 are not in /);
});

test('a large file keeps its bytes, and a reader that goes away ends it quietly', async (t) => {
  const central = await Central.make(t, await scratch(t));
  const line = `${'x'.repeat(98)}\n`;
  const data = line.repeat(40_000);
  await central.write({ id: 'g0', start: 0, data });
  assert.equal(await text([central.out]), data);
  const child = spawn('sh', [
    '-c',
    '"$0" "$1" cat web1 /var/log/a.log --out "$2" | head -n 1',
    process.execPath,
    ENTRY,
    central.out,
  ]);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  await once(child, 'close');
  assert.deepEqual([stdout, stderr], [line, '']);
});

/** Runs over one file of two generations, at random, some of them lost. */
const runs = fc.array(
  fc.record({
    generation: fc.nat(1),
    start: fc.nat(30),
    length: fc.integer({ min: 1, max: 20 }),
    lost: fc.nat(20),
  }),
  { minLength: 1, maxLength: 12 },
);

test('law: every byte that is there comes once and in order, every other one below the end is in a hole', () => {
  fc.assert(
    fc.property(runs, (made) => {
      const present = made.map(({ generation, start, length, lost }): PresentRun => {
        const end = start + length;
        const after = generation === 0 ? {} : { after: { file: 'g0', size: 25 } };
        const place = { destination: 'd', inode: 'i', from: start, to: end, tail: '', term: 't', sums: [] };
        const run = { file: `h/g${generation}`, path: '/p', start, end, ...place, ...after };
        return { run, there: Math.max(start, end - lost) };
      });
      const joined = joinRuns(present);
      const linked = made.some(({ generation }) => generation === 1);
      const seen: string[] = [];
      for (const { from, start, end } of joined.pieces) {
        assert.ok(from.run.start <= start && end <= from.there && start < end);
        for (let at = start; at < end; at += 1) seen.push(`${from.run.file} ${at}`);
      }
      const missing = joined.holes.flatMap(({ file, start, end }) =>
        Array.from({ length: end - start }, (_, index) => `${file} ${start + index}`),
      );
      const expected: string[] = [];
      const expectedMissing: string[] = [];
      for (const file of ['h/g0', 'h/g1']) {
        const own = present.filter(({ run }) => run.file === file);
        if (own.length === 0 && !(file === 'h/g0' && linked)) continue;
        const begin = file === 'h/g1' || own.length === 0 ? 0 : Math.min(...own.map(({ run }) => run.start));
        const end = Math.max(file === 'h/g0' && linked ? 25 : 0, ...own.map(({ run }) => run.end));
        for (let at = begin; at < end; at += 1) {
          const there = own.some(({ run, there: to }) => run.start <= at && at < to);
          (there ? expected : expectedMissing).push(`${file} ${at}`);
        }
      }
      assert.deepEqual(seen, expected);
      assert.deepEqual(missing, expectedMissing);
    }),
    { numRuns: 2_000 },
  );
});
