// The laws of retention: never an active or an unfinished file, always the oldest first, no more than the limits ask
// for, and after it they hold.

import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';
import pino from 'pino';

import { silentLogger } from '../../../common/runtime/log.ts';
import {
  emptyRecord,
  lowerRecord,
  mergeRecord,
  type PartitionRecord,
} from '../../../common/record/record.ts';
import { fileKey } from '../../../common/wire/subjects.ts';
import { claimsOf } from '../../../receiver/ledger/ledger.ts';
import { LedgerFile } from '../../../receiver/ledger/ledger-file.ts';
import { destinationOf, STATE_DIRECTORY } from '../../../receiver/ledger/names.ts';
import { type Limits, type Stored, toRemove } from '../../../receiver/upkeep/retention.ts';
import { dropUnlisted, segmentsOf } from '../../../receiver/disk/segments.ts';
import { Complaints, passOnce } from '../../../receiver/upkeep/upkeep.ts';
import { Central, scratch } from '../../support/central.ts';

const NOW = 1_000;
const DESTINATIONS = ['a', 'b', 'c'];
const never = new AbortController().signal;

interface Numbered extends Stored {
  readonly number: number;
  /** The latest time so far: a clock that went back makes no segment older than the one before it. */
  readonly sinceMs: number;
}

/** Each destination's segments, then perhaps one that is not finished, then its active file. */
const stored: fc.Arbitrary<Numbered[]> = fc
  .tuple(
    ...DESTINATIONS.map((destination) =>
      fc
        .tuple(
          fc.array(fc.record({ size: fc.nat(50), writtenMs: fc.nat(NOW + 10) }), { maxLength: 6 }),
          fc.boolean(),
          fc.boolean(),
        )
        .map(([files, inOrder, hasUnfinished]) => {
          const times = files.map(({ writtenMs }) => writtenMs);
          if (inOrder) times.sort((a, b) => a - b);
          const last = files.length - 1;
          return files.map(({ size }, index) => ({
            destination,
            size,
            writtenMs: times[index]!,
            sinceMs: Math.max(...times.slice(0, index + 1)),
            finished: index < last - (hasUnfinished ? 1 : 0),
          }));
        }),
    ),
  )
  .map((all) => all.flat().map((one, number) => ({ ...one, number })));

const limit = (most: number): fc.Arbitrary<number | undefined> => fc.option(fc.nat(most), { nil: undefined });
const limits: fc.Arbitrary<Limits> = fc.record({
  ageMs: limit(NOW),
  count: limit(6),
  sizeBytes: limit(200),
  totalBytes: limit(500),
});

function bytes(files: readonly Stored[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Whether a destination's files keep its own limits. */
function holds(files: readonly Numbered[], { ageMs, count, sizeBytes }: Limits): boolean {
  const finished = files.filter((one) => one.finished);
  if (ageMs !== undefined && finished[0] !== undefined && NOW - finished[0].sinceMs > ageMs) return false;
  if (count !== undefined && finished.length > count) return false;
  return sizeBytes === undefined || bytes(files) <= sizeBytes;
}

test('only finished segments go, of each destination the oldest', () => {
  fc.assert(
    fc.property(stored, limits, (all, keep) => {
      const goes = new Set(toRemove(all, keep, NOW));
      for (const destination of DESTINATIONS) {
        const own = all.filter((one) => one.destination === destination);
        const count = own.filter((one) => goes.has(one)).length;
        for (const one of own.slice(0, count)) assert.ok(goes.has(one) && one.finished);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('afterwards every limit holds, or nothing is left that may go', () => {
  fc.assert(
    fc.property(stored, limits, (all, keep) => {
      const goes = new Set(toRemove(all, keep, NOW));
      const left = all.filter((one) => !goes.has(one));
      for (const destination of DESTINATIONS) {
        const own = left.filter((one) => one.destination === destination);
        assert.ok(holds(own, keep) || own[0]?.finished !== true);
      }
      const mayGo = DESTINATIONS.some(
        (destination) => left.find((one) => one.destination === destination)?.finished === true,
      );
      assert.ok(bytes(left) <= (keep.totalBytes ?? Infinity) || !mayGo);
    }),
    { numRuns: 2_000 },
  );
});

test('no more goes than the limits ask for: with the last one of a destination put back, one of them is broken', () => {
  let removed = 0;
  fc.assert(
    fc.property(stored, limits, (all, keep) => {
      const goes = toRemove(all, keep, NOW);
      removed += goes.length;
      for (const destination of DESTINATIONS) {
        const back = goes.findLast((one) => one.destination === destination);
        if (back === undefined) continue;
        const left = all.filter((one) => one === back || !goes.includes(one));
        const own = left.filter((one) => one.destination === destination);
        const own_ = holds(own, keep);
        // What goes for the total went when it was still above it.
        const before = all.filter(
          (one) => goes.indexOf(one) === -1 || goes.indexOf(one) >= goes.indexOf(back),
        );
        assert.ok(!own_ || bytes(before) > (keep.totalBytes ?? Infinity), `${destination} ${back.number}`);
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(removed > 0);
  assert.deepEqual(
    fc.sample(stored, 50).flatMap((all) => toRemove(all, {}, NOW)),
    [],
  );
});

test('for the total, the segment that was written to first goes first, whichever file it is of', () => {
  const file = (destination: string, writtenMs: number, finished = true): Stored => ({
    destination,
    size: 10,
    writtenMs,
    finished,
  });
  const all = [
    file('a', 1),
    file('a', 4),
    file('a', 9, false),
    file('b', 2),
    file('b', 3),
    file('b', 8, false),
  ];
  const times = (totalBytes: number): number[] =>
    toRemove(all, { totalBytes }, NOW).map((one) => one.writtenMs);
  assert.deepEqual(times(60), []);
  assert.deepEqual(times(30), [1, 2, 3]);
  assert.deepEqual(times(0), [1, 2, 3, 4]);
});

const DESTINATION = destinationOf('web1', '/var/log/a.log');
const KEY = fileKey('web1', 'g0');

/** Three segments of four bytes and an active file. */
async function written(central: Central): Promise<void> {
  for (let index = 0; index < 4; index += 1) {
    if (index > 0) await central.rotate();
    await central.write({ id: 'g0', start: index * 4, data: `${index}..\n` });
  }
}

async function keep(central: Central, limits: Limits): Promise<void> {
  const ledgers = new Map([[7, central.ledger]]);
  const context = { out: central.out, ledgers, compress: undefined, keep: limits, log: silentLogger() };
  await passOnce(context, never);
}

test('by age, count and size on disk', async (t) => {
  for (const [limits, left] of [
    [{ ageMs: 3_600_000 }, 3],
    [{ count: 2 }, 3],
    [{ count: 0 }, 1],
    [{ sizeBytes: 11 }, 2],
    [{ totalBytes: 4 }, 1],
    [{ totalBytes: 1 }, 1],
    [{}, 4],
  ] as const) {
    const central = await Central.make(t, await scratch(t));
    await written(central);
    const [oldest] = await segmentsOf(central.out, DESTINATION);
    const dayBefore = new Date(Date.now() - 86_400_000);
    await utimes(path.join(central.out, oldest!.name), dayBefore, dayBefore);
    await keep(central, limits);
    const files = await segmentsOf(central.out, DESTINATION);
    assert.deepEqual([files.length, files.at(-1)?.active], [left, true], JSON.stringify(limits));
  }
});

test('what was removed stays committed: the record is not lowered, and a lost bucket gets it back', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  const directory = path.basename(central.out);
  const before = claimsOf(central.ledger.ledger);
  const record: PartitionRecord = mergeRecord(emptyRecord(64), {
    term: `${directory}.t1`,
    claims: before,
  })!.record;
  await keep(central, { count: 1 });
  const check = (claims: typeof before): void => {
    assert.equal(claims.get(KEY)?.end, 16);
    assert.equal(lowerRecord(record, directory, claims), undefined);
    assert.equal(mergeRecord(record, { term: `${directory}.m1`, claims }), undefined);
    const anew = mergeRecord(emptyRecord(64), { term: `${directory}.m1`, claims })!.record.files.get(KEY);
    assert.equal(anew?.offset, 16);
    // Nobody is said to hold what is gone: another directory must not cut its own copy for it.
    assert.deepEqual(anew.held[0], [null, 0]);
  };
  check(claimsOf(central.ledger.ledger));
  await central.ledger.close();
  central.ledger = await LedgerFile.open(central.out, directory, 7, silentLogger());
  check(claimsOf(central.ledger.ledger));
  await dropUnlisted(central.out, central.ledger, DESTINATION, silentLogger());
  assert.equal((await segmentsOf(central.out, DESTINATION)).length, 2);
});

test('stopped between the ledger line and the deletion, the next start deletes the file', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  const [oldest] = await segmentsOf(central.out, DESTINATION);
  await central.ledger.append([{ dropped: DESTINATION, inode: oldest!.inode }]);
  await central.ledger.close();
  central.ledger = await LedgerFile.open(central.out, path.basename(central.out), 7, silentLogger());
  const said: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => said.push(line) });
  await dropUnlisted(central.out, central.ledger, DESTINATION, log);
  const names = (await segmentsOf(central.out, DESTINATION)).map(({ name }) => name);
  assert.equal(names.length, 3);
  assert.ok(!names.includes(oldest!.name));
  assert.deepEqual(said, []);
  assert.deepEqual(await readdir(path.join(central.out, STATE_DIRECTORY)), ['p07.ledger']);
});

test('a failure is said once for each cause, and again when it has been well in between', async () => {
  const said: string[] = [];
  const complaints = new Complaints(pino({ level: 'warn' }, { write: (line) => said.push(line) }));
  const pass = async (...codes: string[]): Promise<void> => {
    complaints.begin();
    for (const code of codes)
      await complaints.about('compress x', async () => {
        await Promise.reject(Object.assign(new Error(`${code}: no`), { code }));
      });
    complaints.end();
  };
  await pass('EIO', 'EIO', 'ENOSPC');
  assert.equal(said.length, 2);
  assert.equal(complaints.isFull, true);
  await pass('EIO');
  assert.equal(said.length, 2);
  await pass();
  await pass('EIO');
  assert.equal(said.length, 3);
});

test('when nothing can be compressed, it is said once, every segment stays, and retention goes on', async (t) => {
  const central = await Central.make(t, await scratch(t));
  await written(central);
  // The directory of the copies is taken by a file.
  await writeFile(path.join(central.out, STATE_DIRECTORY, 'compress'), '');
  const said: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => said.push(line) });
  const ledgers = new Map([[7, central.ledger]]);
  await passOnce({ out: central.out, ledgers, compress: 'gzip', keep: { sizeBytes: 12 }, log }, never);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /cannot compress .*a\.log\.\d+T\d+Z \(.*trying again each minute/);
  const names = (await segmentsOf(central.out, DESTINATION)).map(({ name }) => name);
  assert.equal(names.length, 3);
  assert.ok(names.every((name) => !name.endsWith('.gz')));
});
