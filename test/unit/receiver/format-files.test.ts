// Files of frames on disk, beside what their ledger says: read, cut and kept frame by frame, and never another's.

import assert from 'node:assert/strict';
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { pino } from 'pino';

import { silentLogger } from '../../../common/runtime/log.ts';
import {
  emptyRecord,
  pushHolder,
  type FileEntry,
  type PartitionRecord,
} from '../../../common/record/record.ts';
import { fileKey } from '../../../common/wire/subjects.ts';
import { activesOf, listedBytes } from '../../../receiver/ledger/ledger.ts';
import { LedgerFile } from '../../../receiver/ledger/ledger-file.ts';
import { destinationOf } from '../../../receiver/ledger/names.ts';
import { joinSource, listRuns, readDirectories, readPieces } from '../../../receiver/read/reader.ts';
import { cutHeldElsewhere, dropUnlisted, segmentsOf } from '../../../receiver/disk/segments.ts';
import { passOnce } from '../../../receiver/upkeep/upkeep.ts';
import { Central, scratch } from '../../support/central.ts';
import { unzstd } from '../../support/central-files.ts';

const SOURCE = '/var/log/a.log';
const DESTINATION = destinationOf('web1', SOURCE);
const PARTS = ['one\n', 'two\n', 'three\n', 'four\n', 'five\n'].map((line) => line.repeat(300));

async function written(central: Central, parts: readonly string[] = PARTS): Promise<void> {
  central.format = 'zstd';
  let start = 0;
  for (const data of parts) {
    await central.write({ id: 'g0', start, data });
    start += data.length;
  }
}

/** What is there, and how many holes it has. */
async function read(out: string, source = SOURCE): Promise<{ text: string; holes: number }> {
  const joined = joinSource(await readDirectories([out]), 'web1', source)!;
  let text = '';
  for await (const bytes of readPieces(joined.pieces)) text += Buffer.from(bytes).toString();
  return { text, holes: joined.holes.length };
}

async function reopened(central: Central): Promise<void> {
  await central.ledger.close();
  central.ledger = await LedgerFile.open(central.out, path.basename(central.out), 7, silentLogger());
}

test('several segments, from any byte on, plain ones between them', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central, PARTS.slice(0, 2));
  await central.rotate();
  await central.write({ id: 'g0', start: 2_400, data: PARTS[2]! });
  await central.rotate();
  central.format = 'plain';
  await central.write({ id: 'g0', start: 4_200, data: PARTS[3]! });
  await central.rotate();
  central.format = 'zstd';
  await central.write({ id: 'g0', start: 5_700, data: PARTS[4]! });
  assert.deepEqual(await read(central.out), { text: PARTS.join(''), holes: 0 });
  const rows = listRuns(await readDirectories([central.out]));
  assert.deepEqual(
    rows.map(({ format, disk }) => [format, path.extname(disk!)]),
    [
      ['zstd', '.zst'],
      ['zstd', '.zst'],
      [undefined, path.extname(rows[2]!.disk!)],
      ['zstd', '.zst'],
    ],
  );
  for (const { disk, from, to, start, end, format } of rows) {
    const bytes = (await readFile(disk!)).subarray(from!, to!);
    const content = format === undefined ? bytes : unzstd(bytes);
    assert.equal(content.toString(), PARTS.join('').slice(start, end));
  }
});

test('what is not listed is cut behind the last listed frame', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  const [active] = await segmentsOf(central.out, DESTINATION);
  const file = path.join(central.out, active!.name);
  for (const junk of ['\x28\xb5\x2f\xfdhalf a frame', 'x', PARTS[0]!]) {
    await appendFile(file, Buffer.from(junk, 'latin1'));
    await reopened(central);
    await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
    assert.equal((await stat(file)).size, active!.size);
    assert.equal(unzstd(await readFile(file)).toString(), PARTS.join(''));
  }
});

test('of a file that was shortened, whole frames are left and the rest is said to be gone', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  const [active] = await segmentsOf(central.out, DESTINATION);
  const file = path.join(central.out, active!.name);
  const said: string[] = [];
  const log = pino({ level: 'error' }, { write: (line) => said.push(line) });
  let left = PARTS.length;
  for (const share of [0.9, 0.7, 0.3, 0.05]) {
    await truncate(file, Math.floor((active?.size ?? 0) * share));
    // Already before anybody has repaired it.
    const { text, holes } = await read(central.out);
    left = PARTS.findIndex((_, index) => PARTS.slice(0, index + 1).join('').length > text.length);
    assert.equal(text, PARTS.slice(0, left).join(''));
    assert.equal(holes, 1);
    await reopened(central);
    await dropUnlisted(central.out, central.ledger, DESTINATION, log);
    await reopened(central);
    assert.equal(unzstd(await readFile(file)).toString(), text);
    assert.equal(listedBytes(central.ledger.ledger, DESTINATION, active!.inode), (await stat(file)).size);
  }
  assert.equal(left, 0);
  assert.equal(said.length, 4);
  assert.match(said[0]!, /bytes shorter than was committed/);
});

/** Another directory's later term holds the file from a byte on. */
function heldFrom(out: string, from: number): PartitionRecord {
  const here = `${path.basename(out)}.t1`;
  const entry: FileEntry = {
    ...{ path: SOURCE, offset: 1_000_000, tail: null, after: null, final: null },
    held: pushHolder([[here, 0]], 'there.1', from),
  };
  const files = new Map([[fileKey('web1', 'g0'), entry]]);
  return { ...emptyRecord(64), terms: [here, 'there.1'], files };
}

test('what another holds is cut at a frame', async (t) => {
  const ends = PARTS.map((_, index) => PARTS.slice(0, index + 1).join('').length);
  for (const from of [0, 1, ends[0]!, ends[1]! - 1, ends[1]!, ends[1]! + 1, ends[4]! - 1, ends[4]!]) {
    const central = await Central.make(t, await scratch(t));
    await written(central);
    await reopened(central);
    const record = heldFrom(central.out, from);
    const cuts = await cutHeldElsewhere(central.out, central.ledger, record, silentLogger());
    const kept = from === 0 ? 0 : ends.findIndex((end) => end >= from) + 1;
    assert.equal(cuts.length, kept === PARTS.length ? 0 : 1);
    // It has come to rest.
    assert.deepEqual(await cutHeldElsewhere(central.out, central.ledger, record, silentLogger()), []);
    await reopened(central);
    await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
    const files = await segmentsOf(central.out, DESTINATION);
    assert.equal(files.length, kept === 0 ? 0 : 1);
    if (kept > 0) assert.equal((await read(central.out)).text, PARTS.slice(0, kept).join(''));
    for (const { name } of files)
      assert.equal(
        unzstd(await readFile(path.join(central.out, name))).toString(),
        PARTS.slice(0, kept).join(''),
      );
  }
});

test('a damaged file is not cut within a run: nobody knows where', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  const [active] = await segmentsOf(central.out, DESTINATION);
  const file = path.join(central.out, active!.name);
  const data = await readFile(file);
  data[0]! ^= 1;
  await writeFile(file, data);
  const record = heldFrom(central.out, 1_500);
  assert.deepEqual(await cutHeldElsewhere(central.out, central.ledger, record, silentLogger()), []);
  assert.equal((await stat(file)).size, active!.size);
  assert.ok(
    (await cutHeldElsewhere(central.out, central.ledger, heldFrom(central.out, 0), silentLogger())).length >
      0,
  );
});

test('segments of frames are kept as they are by --compress, and removed by retention', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central, PARTS.slice(0, 1));
  const segment = await central.rotate();
  await central.write({ id: 'g0', start: 1_200, data: PARTS[1]! });
  const before = await stat(segment, { bigint: true });
  const context = { out: central.out, ledgers: new Map([[7, central.ledger]]), log: silentLogger() };
  await passOnce({ ...context, compress: 'gzip', keep: {} }, new AbortController().signal);
  assert.deepEqual((await stat(segment, { bigint: true })).ino, before.ino);
  await passOnce({ ...context, compress: undefined, keep: { count: 0 } }, new AbortController().signal);
  await assert.rejects(stat(segment), { code: 'ENOENT' });
  assert.equal(unzstd(await readFile(path.join(central.out, `${DESTINATION}.zst`))).toString(), PARTS[1]);
});

test("a file that is called as another's frames would be is not touched", async (t) => {
  const central = await Central.make(t, await scratch(t));
  await central.write({ id: 'g0', start: 0, data: 'plain\n' });
  await central.write({ path: `${SOURCE}.zst`, id: 'g1', start: 0, data: 'of another\n' });
  const mine = path.join(central.out, DESTINATION);
  await appendFile(mine, 'not listed');
  await appendFile(`${mine}.zst`, 'not listed');
  for (const destination of [DESTINATION, `${DESTINATION}.zst`]) {
    await reopened(central);
    await dropUnlisted(central.out, central.ledger, destination, silentLogger());
  }
  assert.equal(await readFile(mine, 'utf8'), 'plain\n');
  assert.equal(await readFile(`${mine}.zst`, 'utf8'), 'of another\n');
  assert.deepEqual(activesOf(central.ledger.ledger, DESTINATION), [DESTINATION]);
});
