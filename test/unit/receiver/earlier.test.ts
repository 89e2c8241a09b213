// The laws of what a ledger says of generations that others have written: enough to keep the order when the bucket is lost,
// and each of them once.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { emptyRecord, mergeRecord } from '../../../common/record/record.ts';
import { earlierThan, type Known } from '../../../receiver/ledger/known.ts';
import { applyLine, claimsOf, emptyLedger, type Ledger } from '../../../receiver/ledger/ledger.ts';
import { Said } from '../../../receiver/term/said.ts';

const SOURCE = { host: 'web1', path: '/var/log/x.log' };
const key = (number: number): string => `web1/f-${number}`;

/** One generation after the other of one path, each written by one of several directories. */
class Path {
  readonly #sizes: number[] = [];
  readonly #said = new Map<Ledger, number>();

  recorded = (file: string): { offset: number; after: string | null } | undefined => {
    const number = Number(file.split('-')[1]);
    const offset = this.#sizes[number];
    return offset === undefined ? undefined : { offset, after: number === 0 ? null : `f-${number - 1}` };
  };

  get count(): number {
    return this.#sizes.length;
  }

  /** How many generations a ledger says something of that it does not list. */
  saidIn(ledger: Ledger): number {
    return this.#said.get(ledger) ?? 0;
  }

  write(ledger: Ledger, size: number): void {
    const number = this.#sizes.length;
    const after = number === 0 ? undefined : { file: `f-${number - 1}`, size: this.#sizes[number - 1]! };
    const said = new Said(ledger);
    const from = { ...SOURCE, after: after?.file ?? null, recorded: this.recorded };
    for (const known of said.begin(key(number), from) ?? assert.fail('begun before')) {
      this.#said.set(ledger, this.saidIn(ledger) + 1);
      applyLine(ledger, { known });
    }
    const { to = 0 } = ledger.destinations.get('web1/x.log')?.at(-1) ?? {};
    applyLine(ledger, {
      ...{ term: 'here.1', file: key(number), path: SOURCE.path, start: 0, end: size, tail: '' },
      ...{ destination: 'web1/x.log', inode: '1', from: to, to: to + size, checksum: '0badcafe', after },
    });
    this.#sizes.push(size);
  }
}

const writes = fc.array(fc.record({ by: fc.nat(2), size: fc.integer({ min: 1, max: 99 }) }), {
  minLength: 1,
  maxLength: 30,
});

test('the order of all generations survives a lost bucket in any ledger that has the last one', () => {
  fc.assert(
    fc.property(writes, (all) => {
      const ledgers = [0, 1, 2].map((number) => emptyLedger(`d${number}`, 7));
      const path = new Path();
      for (const { by, size } of all) {
        path.write(ledgers[by]!, size);
        const { files } = mergeRecord(emptyRecord(64), {
          term: 'd.2',
          claims: claimsOf(ledgers[by]!),
        })!.record;
        for (let number = 0; number < path.count; number += 1) {
          const { offset, after } = files.get(key(number)) ?? {};
          assert.deepEqual({ offset, after }, path.recorded(key(number)));
        }
      }
      for (const ledger of ledgers) {
        const listed = [...ledger.files.keys()].length;
        assert.ok(path.saidIn(ledger) + listed <= path.count, 'a generation was said twice');
      }
    }),
  );
});

test('what is said ends where a generation is unknown, is said already, or follows itself', () => {
  const table: Record<string, { offset: number; after: string | null }> = {
    'web1/c': { offset: 30, after: 'b' },
    'web1/b': { offset: 20, after: 'a' },
    'web1/a': { offset: 10, after: 'c' },
    'other/a': { offset: 99, after: null },
  };
  const asked = (
    after: string | null,
    isSaid: (file: string, offset: number) => boolean,
  ): [string, number][] =>
    earlierThan({ ...SOURCE, after, recorded: (file) => table[file] }, isSaid).map(({ file, end }: Known) => [
      file,
      end,
    ]);
  const all = [
    ['web1/c', 30],
    ['web1/b', 20],
    ['web1/a', 10],
  ];
  assert.deepEqual(
    asked('c', () => false),
    all,
  );
  assert.deepEqual(
    asked('c', (file) => file === 'web1/a'),
    all.slice(0, 2),
  );
  assert.deepEqual(
    asked('c', (file, offset) => file === 'web1/b' && offset > 20),
    all,
  );
  assert.deepEqual(
    asked('d', () => false),
    [],
  );
  assert.deepEqual(
    asked(null, () => false),
    [],
  );
});
