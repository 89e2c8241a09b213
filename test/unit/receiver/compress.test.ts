// Compression of segments stopped behind each of its steps, for real: the recovery of a start then finds every byte
// once, in the original or in the copy, and leaves nothing else behind.

import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import fc from 'fast-check';
import pino from 'pino';

import { silentLogger } from '../../../common/runtime/log.ts';
import { emptyRecord, pushHolder } from '../../../common/record/record.ts';
import { fileKey, partitionOf } from '../../../common/wire/subjects.ts';
import {
  compressSegment,
  type Job,
  listCopy,
  placeCopy,
  writeCopy,
} from '../../../receiver/upkeep/compress.ts';
import { claimsOf, type Ledger } from '../../../receiver/ledger/ledger.ts';
import { LedgerFile } from '../../../receiver/ledger/ledger-file.ts';
import {
  compressedName,
  destinationOf,
  type Encoding,
  STATE_DIRECTORY,
} from '../../../receiver/ledger/names.ts';
import { closeOutput, openOutput, recoverOutput } from '../../../receiver/output/output.ts';
import { joinSource, readDirectories, readPieces } from '../../../receiver/read/reader.ts';
import {
  COPIES_DIRECTORY,
  cutHeldElsewhere,
  dropUnlisted,
  removeFile,
  segmentsOf,
} from '../../../receiver/disk/segments.ts';
import { passOnce } from '../../../receiver/upkeep/upkeep.ts';
import { Central, scratch } from '../../support/central.ts';

const DESTINATION = destinationOf('web1', '/var/log/a.log');
/** Of 64, that of the host that everything is written for. */
const PARTITION = partitionOf('web1', 64);
const never = new AbortController().signal;

/** Two segments and an active file. */
const PARTS = ['first\n', 'second\n', 'third\n'].map((line) => line.repeat(20_000));

async function written(t: TestContext): Promise<Central> {
  const central = await Central.make(t, await scratch(t), PARTITION);
  let start = 0;
  for (const [index, data] of PARTS.entries()) {
    if (index > 0) await central.rotate();
    // In two runs, so that not every run begins at the file's first byte.
    for (const half of [data.slice(0, 1_000), data.slice(1_000)]) {
      const id = half.length === 1_000 ? 'g0' : 'g1';
      await central.write({ id, start: id === 'g0' ? index * 1_000 : start, data: half });
      if (id === 'g1') start += half.length;
    }
  }
  return central;
}

async function jobFor(central: Central, encoding: Encoding): Promise<Job> {
  const [segment] = await segmentsOf(central.out, DESTINATION);
  assert.ok(segment !== undefined && !segment.active);
  return { out: central.out, file: central.ledger, destination: DESTINATION, segment, encoding };
}

function decoded(name: string, data: Buffer): Buffer {
  if (name.endsWith('.gz')) return gunzipSync(data);
  return name.endsWith('.zst') ? zstdDecompressSync(data) : data;
}

/** What the files of the destination hold, one behind the other. */
async function contents(out: string): Promise<string> {
  const parts: Buffer[] = [];
  for (const { name } of await segmentsOf(out, DESTINATION))
    parts.push(decoded(name, await readFile(path.join(out, name))));
  return Buffer.concat(parts).toString();
}

async function files(out: string, below = ''): Promise<string[]> {
  const entries = await readdir(path.join(out, below), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(out, path.join(entry.parentPath, entry.name)));
}

/** What the ledger says without the inodes and the encodings. */
function runsOf(ledger: Ledger): unknown {
  return (ledger.destinations.get(DESTINATION) ?? []).map((run) => [
    run.file,
    run.start,
    run.end,
    run.from,
    run.to,
  ]);
}

/** The source file as `logferry cat` writes it: its first generation is the head of every part. */
async function sourceText(out: string): Promise<string> {
  const joined = joinSource(await readDirectories([out]), 'web1', '/var/log/a.log');
  assert.deepEqual([joined?.holes, joined?.removed], [[], []]);
  const parts: Buffer[] = [];
  for await (const bytes of readPieces(joined?.pieces ?? [])) parts.push(Buffer.from(bytes));
  const all = Buffer.concat(parts).toString();
  const heads = PARTS.map((_, index) => all.slice(index * 1_000, (index + 1) * 1_000));
  let at = 1_000 * PARTS.length;
  return PARTS.map((part, index) => {
    const rest = all.slice(at, (at += part.length - 1_000));
    return `${heads[index]}${rest}`;
  }).join('');
}

/** A start of a receiver, as far as it has to do with the disk; the ledger as it is then, and what was said. */
async function recovered(out: string): Promise<{ ledger: Ledger; said: string[] }> {
  const said: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => said.push(line) });
  const output = await openOutput(out, 'test', log);
  try {
    await recoverOutput(output, 64, log);
    const ledger = output.ledgers.get(PARTITION)?.ledger;
    assert.ok(ledger !== undefined);
    return { ledger, said };
  } finally {
    await closeOutput(output);
  }
}

const STEPS = ['nothing', 'a torn copy', 'the copy', 'the ledger line', 'the place', 'the end'] as const;

for (const encoding of ['gzip', 'zstd'] as const)
  for (const [stop, step] of STEPS.entries())
    test(`${encoding}, stopped behind ${step}: a start finds every byte once, and nothing else`, async (t) => {
      const central = await written(t);
      const job = await jobFor(central, encoding);
      const before = runsOf(central.ledger.ledger);
      const claims = claimsOf(central.ledger.ledger);
      const original = path.join(central.out, job.segment.name);
      if (stop >= 1) {
        const copy = await writeCopy(job, never);
        assert.ok(copy !== undefined);
        if (stop === 1) await truncate(copy.temporary, Math.floor(copy.size / 2));
        if (stop >= 3) await listCopy(job, copy);
        if (stop >= 4) await placeCopy(copy);
        if (stop >= 5) await removeFile(original);
      }
      assert.equal(
        await sourceText(central.out),
        PARTS.join(''),
        'a reader finds every byte before the start, too',
      );
      await central.ledger.close();
      const { ledger, said } = await recovered(central.out);
      assert.deepEqual(said, []);
      assert.equal(await contents(central.out), PARTS.join(''));
      assert.deepEqual(runsOf(ledger), before);
      assert.deepEqual(claimsOf(ledger), claims);
      const names = (await segmentsOf(central.out, DESTINATION)).map(({ name }) =>
        path.join(central.out, name),
      );
      assert.equal(names.length, PARTS.length);
      assert.equal(names[0], stop >= 3 ? compressedName(original, encoding) : original);
      assert.deepEqual(
        (await files(central.out)).filter((name) => !name.startsWith(`${STATE_DIRECTORY}/`)).length,
        PARTS.length,
      );
      assert.deepEqual(await readdir(path.join(central.out, COPIES_DIRECTORY)).catch(() => []), []);
      assert.deepEqual(await readdir(path.join(central.out, STATE_DIRECTORY, 'aside')).catch(() => []), []);
      const again = await recovered(central.out);
      assert.deepEqual([again.said, runsOf(again.ledger)], [[], before]);
      central.ledger = await LedgerFile.open(central.out, 'x', PARTITION, silentLogger());
    });

test('a pass compresses every finished segment and never the active file; mode and time stay', async (t) => {
  const central = await written(t);
  const before = await Promise.all(
    (await segmentsOf(central.out, DESTINATION)).map(
      async ({ name }) => await stat(path.join(central.out, name)),
    ),
  );
  const context = {
    out: central.out,
    ledgers: new Map([[PARTITION, central.ledger]]),
    compress: 'zstd' as const,
    keep: {},
    log: silentLogger(),
  };
  assert.equal(await passOnce(context, never), true);
  const after = await segmentsOf(central.out, DESTINATION);
  assert.deepEqual(
    after.map(({ name }) => path.extname(name)),
    ['.zst', '.zst', '.log'],
  );
  for (const [index, { name }] of after.entries()) {
    const stats = await stat(path.join(central.out, name));
    assert.deepEqual([stats.mode, stats.uid], [before[index]!.mode, before[index]!.uid]);
    assert.ok(Math.abs(stats.mtimeMs - before[index]!.mtimeMs) < 1);
  }
  assert.equal(await contents(central.out), PARTS.join(''));
});

test('a segment with bytes that are not committed yet stays as it is, and the next pass is told', async (t) => {
  const central = await written(t);
  const [first] = await segmentsOf(central.out, DESTINATION);
  await appendFile(path.join(central.out, first!.name), 'not listed');
  const context = {
    out: central.out,
    ledgers: new Map([[PARTITION, central.ledger]]),
    compress: 'gzip' as const,
    keep: { ageMs: 0, count: 0 },
    log: silentLogger(),
  };
  assert.equal(await passOnce(context, never), false);
  assert.equal((await segmentsOf(central.out, DESTINATION))[0]?.name, first!.name);
});

test('a reader that listed the segments before they were compressed reads every byte', async (t) => {
  const central = await written(t);
  const joined = joinSource(await readDirectories([central.out]), 'web1', '/var/log/a.log');
  const context = {
    out: central.out,
    ledgers: new Map([[PARTITION, central.ledger]]),
    compress: 'gzip' as const,
    keep: {},
    log: silentLogger(),
  };
  let all = '';
  let compressing: Promise<boolean> | undefined;
  for await (const bytes of readPieces(joined?.pieces ?? [])) {
    all += Buffer.from(bytes).toString();
    compressing ??= passOnce(context, never);
  }
  await compressing;
  const heads = PARTS.map((part) => part.slice(0, 1_000));
  assert.equal(all, [...heads, ...PARTS.map((part) => part.slice(1_000))].join(''));
});

test('readers while segments are compressed one after the other', async (t) => {
  const central = await Central.make(t, await scratch(t), PARTITION);
  let expected = '';
  for (let index = 0; index < 40; index += 1) {
    const data = `${index} `.repeat(3_000);
    await central.write({ id: 'g0', start: expected.length, data });
    await central.rotate();
    expected += data;
  }
  const context = {
    out: central.out,
    ledgers: new Map([[PARTITION, central.ledger]]),
    compress: 'zstd' as const,
    keep: {},
    log: silentLogger(),
  };
  let reads = 0;
  const compressing = { done: false };
  const pass = passOnce(context, never).finally(() => (compressing.done = true));
  while (!compressing.done) {
    const joined = joinSource(await readDirectories([central.out]), 'web1', '/var/log/a.log');
    assert.deepEqual(joined?.holes, []);
    let all = '';
    for await (const bytes of readPieces(joined.pieces)) all += Buffer.from(bytes).toString();
    assert.equal(all, expected);
    reads += 1;
  }
  await pass;
  assert.ok(reads > 1, 'nothing was read meanwhile');
});

test('stopped by the signal, compression changes nothing', async (t) => {
  const central = await written(t);
  const job = await jobFor(central, 'gzip');
  const stop = new AbortController();
  const working = compressSegment(job, stop.signal);
  stop.abort();
  assert.equal(await working, undefined);
  assert.deepEqual(await readdir(path.join(central.out, COPIES_DIRECTORY)).catch(() => []), []);
  assert.equal(await contents(central.out), PARTS.join(''));
});

test('a segment that is cut while its copy is written keeps its cut, and the copy goes', async (t) => {
  const central = await written(t);
  const job = await jobFor(central, 'gzip');
  const working = compressSegment(job, never);
  const cut = { cut: DESTINATION, inode: job.segment.inode, to: 500 };
  await central.ledger.append([cut]);
  await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
  assert.equal(await working, undefined);
  assert.equal((await stat(path.join(central.out, job.segment.name))).size, 500);
  assert.deepEqual(await readdir(path.join(central.out, COPIES_DIRECTORY)), []);
});

test('a name that is taken already is left alone', async (t) => {
  const central = await written(t);
  const job = await jobFor(central, 'gzip');
  const taken = path.join(central.out, compressedName(job.segment.name, 'gzip'));
  await writeFile(taken, 'of before the clock went back');
  const copy = await compressSegment(job, never);
  assert.ok(copy !== undefined && copy.place !== taken);
  assert.equal(await readFile(taken, 'utf8'), 'of before the clock went back');
  await removeFile(taken);
  assert.equal(await contents(central.out), PARTS.join(''));
});

test('of a compressed segment that another directory holds, all is removed or nothing', async (t) => {
  for (const [offset, left] of [
    [1_000_000, 0],
    // Only the last bytes of the first segment are held elsewhere.
    [PARTS[0]!.length - 1_000 - 10, 1],
  ] as const) {
    const central = await written(t);
    assert.ok((await compressSegment(await jobFor(central, 'gzip'), never)) !== undefined);
    const here = `${path.basename(central.out)}.t1`;
    const elsewhere = offset === 1_000_000 ? 0 : offset;
    const entry = (from: number): object => ({
      path: '/var/log/a.log',
      offset: 1_000_000,
      tail: null,
      held: pushHolder([[here, 0]], 'there.1', from),
      after: null,
      final: null,
    });
    const record = {
      ...emptyRecord(64),
      terms: [here, 'there.1'],
      archives: [],
      files: new Map([
        [fileKey('web1', 'g0'), entry(0)],
        [fileKey('web1', 'g1'), entry(elsewhere)],
      ]),
    } as Parameters<typeof cutHeldElsewhere>[2];
    await cutHeldElsewhere(central.out, central.ledger, record, silentLogger());
    const files = await segmentsOf(central.out, DESTINATION);
    assert.equal(files.length, left);
    if (left > 0) assert.equal(await contents(central.out), PARTS[0]);
    await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
    assert.equal((await segmentsOf(central.out, DESTINATION)).length, left);
  }
});

test('two callers append to one ledger at the same time: every line is there, whole', async (t) => {
  const central = await Central.make(t, await scratch(t), PARTITION);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 30 }), async (lengths) => {
      const names = lengths.map((length, index) => `${index} ${'x'.repeat(length)}`);
      await Promise.all(
        names.map(async (open, index) =>
          index % 2 === 0 ? await central.ledger.append([{ open }]) : await central.ledger.note({ open }),
        ),
      );
      const again = await LedgerFile.open(central.out, path.basename(central.out), PARTITION, silentLogger());
      assert.equal(again.damaged, false);
      for (const name of names) assert.ok(again.ledger.opened.has(name));
      await again.close();
    }),
    { numRuns: 20 },
  );
});

test('a listed copy that could not be put in its place is no reason to set the original aside', async (t) => {
  const central = await written(t);
  const job = await jobFor(central, 'gzip');
  const copy = await writeCopy(job, never);
  await listCopy(job, copy!);
  await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
  assert.deepEqual(await readdir(path.join(central.out, STATE_DIRECTORY, 'aside')).catch(() => []), []);
  const context = {
    out: central.out,
    ledgers: new Map([[PARTITION, central.ledger]]),
    compress: 'gzip' as const,
    keep: {},
    log: silentLogger(),
  };
  await passOnce(context, never);
  assert.equal(await contents(central.out), PARTS.join(''));
  assert.deepEqual(await readdir(path.join(central.out, COPIES_DIRECTORY)), []);
});
