// The laws of the order of starts: whatever comes, comes in between and goes, each starts once, in the order of the list.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { StartOrder } from '../../../shipper/sources/start-order.ts';

const steps = fc.array(
  fc.oneof(
    { arbitrary: fc.constant({ kind: 'add' } as const), weight: 3 },
    { arbitrary: fc.constant({ kind: 'start' } as const), weight: 3 },
    { arbitrary: fc.constant({ kind: 'before' } as const), weight: 1 },
    { arbitrary: fc.record({ kind: fc.constant('remove' as const), index: fc.nat(5) }), weight: 3 },
  ),
  { maxLength: 60 },
);

test('each starts once, behind all that are before it in the list, also while others are forgotten', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const order = new StartOrder<number>();
      const started: number[] = [];
      let count = 0;
      for (const step of all) {
        if (step.kind === 'add') order.insert((count += 1), undefined);
        else if (step.kind === 'before' && order.next !== undefined) order.insert((count += 1), order.next);
        else if (step.kind === 'start' && order.next !== undefined) {
          started.push(order.next);
          order.start(order.next);
        } else if (step.kind === 'remove') {
          const one = order.all[step.index];
          if (one !== undefined)
            assert.equal(order.remove(one), started.includes(one), 'only what has started goes');
        }
        const left = started.filter((each) => order.all.includes(each));
        assert.deepEqual([...order.all.slice(0, left.length)], left, 'those that have started are the first');
        assert.equal(order.latest, left.at(-1));
        assert.equal(order.next, order.all[left.length]);
        assert.equal(order.waiting, count - started.length);
      }
    }),
  );
});

test('one that waits for others starts again, behind them', () => {
  const order = new StartOrder<string>();
  for (const one of ['first', 'second', 'third']) order.insert(one, undefined);
  order.start('first');
  order.start('second');
  order.startAgain('second');
  order.insert('copy', 'second');
  assert.deepEqual([...order.all], ['first', 'copy', 'second', 'third']);
  assert.deepEqual([order.latest, order.next], ['first', 'copy']);
});
