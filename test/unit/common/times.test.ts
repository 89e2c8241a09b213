// Points in time as people write them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { parseTime } from '../../../common/text/times.ts';

const NOW = new Date(2026, 10, 21, 9, 15, 30, 250);
const parse = (text: string): Date => parseTime(text, '--since', NOW);

test('RFC 3339, with its zone', () => {
  assert.equal(parse('2026-11-21T06:00:00Z').toISOString(), '2026-11-21T06:00:00.000Z');
  assert.equal(parse('2026-11-21t06:00:00.123456z').toISOString(), '2026-11-21T06:00:00.123Z');
  assert.equal(parse('2026-11-21T06:00:00+02:00').toISOString(), '2026-11-21T04:00:00.000Z');
  assert.equal(parse('2026-11-21 06:00 -0530').toISOString(), '2026-11-21T11:30:00.000Z');
});

test('without a zone it is the time of this machine', () => {
  assert.deepEqual(parse('2026-11-21 06:07'), new Date(2026, 10, 21, 6, 7));
  assert.deepEqual(parse('2026-02-01'), new Date(2026, 1, 1));
});

test('relative to now', () => {
  assert.equal(parse('2h').getTime(), NOW.getTime() - 7_200_000);
  assert.equal(parse('1d12h').getTime(), NOW.getTime() - 129_600_000);
  assert.equal(parse('90s ago').getTime(), NOW.getTime() - 90_000);
  assert.deepEqual(parse('now'), NOW);
  assert.deepEqual(parse('today'), new Date(2026, 10, 21));
  assert.deepEqual(parse('yesterday'), new Date(2026, 10, 20));
  assert.deepEqual(parse('yesterday 14:00'), new Date(2026, 10, 20, 14));
  assert.deepEqual(parse('08:30:15'), new Date(2026, 10, 21, 8, 30, 15));
});

for (const text of [
  '',
  'noon',
  '2026-13-01',
  '2026-02-30',
  '25:00',
  'yesterday 9',
  '2',
  '2 parsecs',
  'now 3',
  '2026-11-21T06:00:00+2',
])
  test(`${JSON.stringify(text)} is no time: one line says so, with an example`, () => {
    assert.throws(
      () => parse(text),
      (error) =>
        error instanceof LogferryError &&
        error.code === 'usage' &&
        error.message.startsWith(`--since: ${JSON.stringify(text)} is not a time`) &&
        error.hint?.includes('yesterday 14:00') === true,
    );
  });
