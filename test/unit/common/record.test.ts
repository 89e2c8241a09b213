// The laws of the record: nothing that changes it moves an offset back or says of a byte that two hold it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { decodeRecord, encodeRecord, RECORD_VERSION } from '../../../common/record/encoding.ts';
import {
  adoptRecord,
  commitRecord,
  emptyRecord,
  holderOf,
  lowerRecord,
  isTermOf,
  mergeRecord,
  pushHolder,
  releaseRecord,
  streamPosition,
  takeRecord,
  termOf,
  type Claim,
  type FileChange,
  type FileEntry,
  type Holder,
  type PartitionRecord,
} from '../../../common/record/record.ts';

const MAX = 40;
const offset = fc.nat(MAX);
const term = fc.constantFrom('a.1', 'a.2', 'b.1', 'b.2', 'c.1');
const key = fc.constantFrom('web1/f0-0', 'web1/f0-1', 'web2/f7-0');

/** Held as it comes about: by one push after another. */
const pushes = fc.array(fc.tuple(fc.option(term), offset), { maxLength: 8 });
const held = pushes.map((all) => all.reduce<Holder[]>((so, [who, from]) => pushHolder(so, who, from), []));

const plain = { noNullPrototype: true };

/** As it comes about: nobody holds bytes from beyond the offset on. */
const entry: fc.Arbitrary<FileEntry> = fc
  .record(
    {
      path: fc.string({ minLength: 1 }),
      offset,
      tail: fc.option(fc.string()),
      held,
      after: fc.option(fc.constantFrom('f0-0', 'f0-1')),
      final: fc.option(offset),
    },
    plain,
  )
  .map((entry) => ({ ...entry, held: entry.held.filter(([, from]) => from <= entry.offset) }));

const holes = fc
  .dictionary(key, fc.record({ path: fc.string(), seq: fc.nat(), end: fc.nat() }, plain))
  .map((found) => new Map(Object.entries(found)));

const record: fc.Arbitrary<PartitionRecord> = fc.record(
  {
    partitions: fc.integer({ min: 1, max: 64 }),
    owner: fc.option(fc.constantFrom('a', 'b')),
    term: fc.option(term),
    terms: fc.uniqueArray(term),
    archives: fc.constant([]),
    stream: fc.record({ created: fc.string(), seq: fc.nat() }, plain),
    holes,
    unnamed: fc.nat(),
    files: fc.dictionary(key, entry).map((files) => new Map(Object.entries(files))),
  },
  plain,
);

const claim: fc.Arbitrary<Claim> = fc
  .tuple(offset, fc.integer({ min: 1, max: 20 }), fc.boolean(), fc.constantFrom(null, 'f0-0'))
  .map(([start, length, elsewhere, after]) => ({
    start,
    end: start + length,
    path: '/var/log/x',
    tail: null,
    after,
    elsewhere,
  }));
const claims = fc
  .uniqueArray(fc.tuple(key, claim), { selector: ([file]) => file })
  .map((all) => new Map(all));

/** What a group of writes adds to one file: pieces that follow each other, some of them gaps. */
const changesOfOne = fc
  .tuple(
    offset,
    fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.boolean()), { minLength: 1, maxLength: 4 }),
  )
  .map(([first, pieces]): FileChange[] => {
    let end = first;
    return pieces.map(([length, gap]) => {
      const start = end;
      end += length;
      return { start, end, path: '/var/log/x', tail: null, after: null, final: null, gap };
    });
  });
const changes = fc
  .uniqueArray(fc.tuple(key, changesOfOne), { selector: ([file]) => file })
  .map((all) => new Map(all));

const stream = { created: 's1', lastSeq: 9 };

function assertOffsetsKept(before: PartitionRecord, after: PartitionRecord): void {
  for (const [file, { offset }] of before.files)
    assert.ok((after.files.get(file)?.offset ?? -1) >= offset, `the offset of ${file} went back`);
}

function assertNormalised(record: PartitionRecord): void {
  for (const { held } of record.files.values())
    held.forEach((holder, index) => assert.ok(index === 0 || holder[1] > held[index - 1]![1]));
}

test('a byte belongs to who claimed it last: held is a map, in strict order', () => {
  fc.assert(
    fc.property(pushes, (all) => {
      const owners = Array.from<string | null | undefined>({ length: MAX + 1 }).fill(undefined);
      let held: Holder[] = [];
      for (const [who, from] of all) {
        owners.fill(who, from);
        held = pushHolder(held, who, from);
      }
      owners.forEach((owner, byte) => assert.equal(holderOf(held, byte)?.[0], owner));
      held.forEach((holder, index) => assert.ok(index === 0 || holder[1] > held[index - 1]![1]));
    }),
  );
});

test('a record read back is the record', () => {
  fc.assert(fc.property(record, (any) => assert.deepEqual(decodeRecord(encodeRecord(any)), any)));
});

test('a record of a newer version is refused as newer, whatever else is in it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: RECORD_VERSION + 1, max: 1e6 }),
      fc.dictionary(fc.string(), fc.jsonValue()),
      (version, rest) => {
        assert.throws(
          () => decodeRecord(JSON.stringify({ ...rest, version })),
          (error) => error instanceof LogferryError && error.code === 'newer',
        );
      },
    ),
  );
});

test('anything that is not a record is refused as corrupt, never taken for an empty one', () => {
  const damage = fc.tuple(record, fc.nat(), fc.nat(20)).map(([any, at, length]) => {
    const text = encodeRecord(any);
    return text.slice(0, at % text.length) + text.slice((at % text.length) + length + 1);
  });
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), damage), (text) => {
      try {
        decodeRecord(text);
        assert.equal((JSON.parse(text) as { version: unknown }).version, RECORD_VERSION);
      } catch (error) {
        assert.ok(error instanceof LogferryError && ['corrupt', 'newer'].includes(error.code), String(error));
      }
    }),
  );
  assert.throws(() => decodeRecord('{}'), { code: 'corrupt' });
});

test('a commit never moves an offset back, and reaches what was written', () => {
  fc.assert(
    fc.property(record, term, changes, (before, term, changes) => {
      const after = commitRecord(before, {
        term,
        stream: { created: 's1', seq: 5 },
        changes,
        holes: new Map(),
      });
      assertOffsetsKept(before, after);
      assertNormalised(after);
      for (const [file, pieces] of changes) assert.ok(after.files.get(file)!.offset >= pieces.at(-1)!.end);
      assert.deepEqual(after.stream, { created: 's1', seq: 5 });
    }),
  );
});

test('after a commit, the writer holds what it wrote beyond the old offset, and nobody holds a gap', () => {
  fc.assert(
    fc.property(record, changes, (before, changes) => {
      const term = 'new.1';
      const after = commitRecord(before, { term, stream: before.stream, changes, holes: before.holes });
      for (const [file, pieces] of changes)
        for (const { start, end, gap } of pieces)
          for (let byte = Math.max(start, before.files.get(file)?.offset ?? 0); byte < end; byte += 1)
            assert.equal(holderOf(after.files.get(file)!.held, byte)?.[0], gap ? null : term);
    }),
  );
});

test('after a commit that reaches beyond the old offset, the writer holds the whole group of writes', () => {
  fc.assert(
    fc.property(record, offset, fc.integer({ min: 1, max: 20 }), (before, start, length) => {
      const end = start + length;
      const change = { start, end, path: '/x', tail: null, after: null, final: null, gap: false };
      const changes = new Map([['web1/f0-0', [change]]]);
      const { files } = commitRecord(before, {
        term: 'new.1',
        stream: before.stream,
        changes,
        holes: before.holes,
      });
      const known = before.files.get('web1/f0-0');
      const entry = files.get('web1/f0-0')!;
      if (known !== undefined && known.offset >= end) assert.equal(entry, known);
      else
        for (let byte = start; byte < end; byte += 1) assert.equal(holderOf(entry.held, byte)?.[0], 'new.1');
    }),
  );
});

test('the order in which the changes of a file are given does not matter, its end marker included', () => {
  const shuffled = changesOfOne.chain((pieces) => {
    const { end } = pieces.at(-1)!;
    const all = [...pieces, { ...pieces.at(-1)!, start: end, final: end, gap: false }];
    return fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }));
  });
  fc.assert(
    fc.property(record, shuffled, (before, [all, shuffled]) => {
      const commit = (changes: FileChange[]): PartitionRecord =>
        commitRecord(before, {
          term: 'new.1',
          stream: before.stream,
          changes: new Map([['web1/f0-0', changes]]),
          holes: before.holes,
        });
      assert.deepEqual(commit(shuffled), commit(all));
    }),
  );
});

test('setting the same commit again changes nothing', () => {
  fc.assert(
    fc.property(record, term, changes, (before, term, changes) => {
      const commit = { term, stream: before.stream, changes, holes: before.holes };
      const once = commitRecord(before, commit);
      assert.deepEqual(commitRecord(once, commit), once);
    }),
  );
});

test('a final size is recorded only when every byte before it is committed', () => {
  const change = (end: number): Map<string, FileChange[]> =>
    new Map([['h/f-0', [{ start: end, end, path: '/x', tail: null, after: null, final: end, gap: false }]]]);
  const commit = (record: PartitionRecord, end: number): number | null | undefined =>
    commitRecord(record, {
      term: 'a.1',
      stream: record.stream,
      changes: change(end),
      holes: record.holes,
    }).files.get('h/f-0')?.final;
  const at = (offset: number): PartitionRecord => ({
    ...emptyRecord(1),
    files: new Map([['h/f-0', { path: '/x', offset, tail: null, held: [], after: null, final: null }]]),
  });
  assert.equal(commit(at(10), 10), 10);
  assert.equal(commit(at(11), 10), null);
  assert.equal(commit(emptyRecord(1), 0), 0);
});

test('a take never moves an offset back, and takes what the ledger claims beyond it', () => {
  fc.assert(
    fc.property(record, claims, (before, claims) => {
      const take = { owner: 'new', term: 'new.1', claims, stream };
      const { record: after, relabels } = takeRecord(before, take);
      assertOffsetsKept(before, after);
      assertNormalised(after);
      assert.equal(after.owner, 'new');
      assert.equal(after.term, 'new.1');
      assert.equal(after.terms.at(-1), 'new.1');
      for (const [file, claim] of claims) {
        const known = before.files.get(file);
        const entry = after.files.get(file)!;
        const relabel = relabels.filter((each) => each.file === file);
        if (known !== undefined && known.offset >= claim.end) {
          assert.deepEqual(entry, { ...known, after: known.after ?? claim.after });
          assert.deepEqual(relabel, []);
          continue;
        }
        assert.equal(entry.offset, claim.end);
        assert.deepEqual(relabel, claim.elsewhere ? [] : [{ file, start: claim.start }]);
        for (let byte = Math.min(known?.offset ?? 0, claim.start); byte < claim.end; byte += 1) {
          const holder = holderOf(entry.held, byte)?.[0];
          if (!claim.elsewhere && byte >= claim.start) assert.equal(holder, 'new.1');
          else if (byte >= (known?.offset ?? 0)) assert.equal(holder, null);
          else assert.equal(holder, holderOf(known!.held, byte)?.[0]);
        }
      }
    }),
  );
});

test('a ledger that has lost lines lowers its own files only, to what it proves, and only their ends', () => {
  fc.assert(
    fc.property(record, claims, fc.constantFrom('a', 'b'), (before, given, directory) => {
      const claims: ReadonlyMap<string, Claim> = given;
      const result = lowerRecord(before, directory, claims);
      for (const [file, entry] of before.files) {
        const after = result?.record.files.get(file) ?? entry;
        assert.ok(after.offset <= entry.offset);
        assert.equal(result?.lowered.has(file) ?? false, after.offset < entry.offset);
        for (let byte = 0; byte < after.offset; byte += 1)
          assert.deepEqual(holderOf(after.held, byte), holderOf(entry.held, byte));
        for (let byte = after.offset; byte < entry.offset; byte += 1) {
          assert.ok(isTermOf(directory, holderOf(entry.held, byte)?.[0] ?? ''), 'what others hold stays');
          assert.ok(byte >= (claims.get(file)?.end ?? 0), 'what the ledger proves stays');
        }
        const last = holderOf(after.held, after.offset - 1)?.[0] ?? '';
        if (after.offset > (claims.get(file)?.end ?? 0) && after.offset > 0)
          assert.equal(isTermOf(directory, last), false);
      }
      if (result !== undefined) assert.equal(result.record.stream.seq, 0, 'the stream is read again');
    }),
  );
});

test('a merge raises the same, owns nothing, and once merged says nothing more', () => {
  fc.assert(
    fc.property(record, claims, (before, claims) => {
      const merged = mergeRecord(before, { term: 'm.1', claims });
      const taken = takeRecord(before, { owner: 'm', term: 'm.1', claims, stream });
      if (merged === undefined) {
        assert.deepEqual(taken.record.files, before.files);
        assert.deepEqual(taken.relabels, []);
        return;
      }
      assert.deepEqual(merged.record.files, taken.record.files);
      assert.deepEqual(merged.relabels, taken.relabels);
      const { owner, term, stream: position } = before;
      assert.deepEqual(
        { owner: merged.record.owner, term: merged.record.term, position: merged.record.stream },
        { owner, term, position },
      );
      assert.equal(mergeRecord(merged.record, { term: 'm.2', claims }), undefined);
    }),
  );
});

test('of two records of one term the larger offset wins for every file, and no term is forgotten', () => {
  fc.assert(
    fc.property(record, record, (mine, theirs) => {
      const adopted = adoptRecord(mine, theirs);
      for (const file of new Set([...mine.files.keys(), ...theirs.files.keys()])) {
        const entries = [mine.files.get(file), theirs.files.get(file)].filter((one) => one !== undefined);
        assert.equal(adopted.files.get(file)!.offset, Math.max(...entries.map((one) => one.offset)));
        assert.ok(entries.includes(adopted.files.get(file)!));
      }
      assert.deepEqual(new Set(adopted.terms), new Set([...mine.terms, ...theirs.terms]));
      assert.deepEqual(adopted.terms.slice(0, theirs.terms.length), theirs.terms);
      assert.equal(adopted.terms.length, new Set(adopted.terms).size);
      assert.equal(adopted.term, mine.term);
    }),
  );
});

test('a release frees the partition and changes nothing else', () => {
  fc.assert(
    fc.property(record, (mine) => {
      assert.deepEqual(releaseRecord(mine), { ...mine, owner: null });
    }),
  );
});

test('a position counts only for the same stream, and only while the stream reaches that far', () => {
  fc.assert(
    fc.property(fc.constantFrom('s1', 's2'), fc.nat(20), fc.nat(20), (created, seq, lastSeq) => {
      const position = streamPosition({ created, seq }, { created: 's1', lastSeq });
      assert.deepEqual(position, { created: 's1', seq: created === 's1' && seq <= lastSeq ? seq : 0 });
    }),
  );
});

test('a term belongs to the directory that it is named for, whatever other directories are called', () => {
  assert.ok(isTermOf('a', termOf('a', 'x1')));
  assert.ok(!isTermOf('a', termOf('ab', 'x1')));
  assert.ok(!isTermOf('ab', termOf('a', 'b')));
});
