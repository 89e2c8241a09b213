// The laws of turns: whatever comes, comes in between and goes, each has its turn once, in the order of the list.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { Turns } from '../../../shipper/sources/turns.ts';

const steps = fc.array(
  fc.oneof(
    { arbitrary: fc.constant({ kind: 'add' } as const), weight: 3 },
    { arbitrary: fc.constant({ kind: 'begin' } as const), weight: 3 },
    { arbitrary: fc.constant({ kind: 'before' } as const), weight: 1 },
    { arbitrary: fc.record({ kind: fc.constant('remove' as const), index: fc.nat(5) }), weight: 3 },
  ),
  { maxLength: 60 },
);

test('each begins once, behind all that are before it in the list, also while others are forgotten', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const turns = new Turns<number>();
      const begun: number[] = [];
      let count = 0;
      for (const step of all) {
        if (step.kind === 'add') turns.insert((count += 1), undefined);
        else if (step.kind === 'before' && turns.next !== undefined) turns.insert((count += 1), turns.next);
        else if (step.kind === 'begin' && turns.next !== undefined) {
          begun.push(turns.next);
          turns.begin(turns.next);
        } else if (step.kind === 'remove') {
          const one = turns.all[step.index];
          if (one !== undefined)
            assert.equal(turns.remove(one), begun.includes(one), 'only what has begun goes');
        }
        const left = begun.filter((each) => turns.all.includes(each));
        assert.deepEqual([...turns.all.slice(0, left.length)], left, 'those that have begun are the first');
        assert.equal(turns.latest, left.at(-1));
        assert.equal(turns.next, turns.all[left.length]);
        assert.equal(turns.waiting, count - begun.length);
      }
    }),
  );
});

test('one that waits for others begins again, behind them', () => {
  const turns = new Turns<string>();
  for (const one of ['first', 'second', 'third']) turns.insert(one, undefined);
  turns.begin('first');
  turns.begin('second');
  turns.beginAgain('second');
  turns.insert('copy', 'second');
  assert.deepEqual([...turns.all], ['first', 'copy', 'second', 'third']);
  assert.deepEqual([turns.latest, turns.next], ['first', 'copy']);
});
