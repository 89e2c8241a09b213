// Which rotated names tell a time, and that those of one path sort by it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { latestTimes, timedName } from '../../../shipper/files/rotation-times.ts';

const BASES = ['app.log', '0.log'];

test('names with the time of the rotation', () => {
  for (const [name, family, time] of [
    ['0.log.20260101-000000', '0.log.00000000-000000', '.20260101-000000'],
    ['app.log-20261121', 'app.log-00000000', '-20261121'],
    ['app.log.2026-11-21', 'app.log.0000-00-00', '.2026-11-21'],
    ['app-2026-01-01T00-00-00.000.log', 'app-0000-00-00T00-00-00.000.log', '-2026-01-01T00-00-00.000'],
    ['app.log.2026-01-01T23:59:59Z', 'app.log.0000-00-00T00:00:00Z', '.2026-01-01T23:59:59Z'],
    ['app.log-20261121235959', 'app.log-00000000000000', '-20261121235959'],
  ] as const)
    assert.deepEqual(timedName(BASES, name), { family, time }, name);
});

test('counts, counts behind a date, other logs and what is no time', () => {
  for (const name of [
    ...[
      'app.log',
      'app.log.1',
      'app.1.log',
      'app.log-20261121.1',
      'app.2026-11-21.1.log',
      'app.log.1767225600',
    ],
    ...['app.log-20261321', 'app.log-20261232', 'app.log-20261121-24', 'app.log-20261121-240000'],
    ...['app.log.20260101-000000.tmp', 'app.log.20260101-000000.gz', 'other.log.20260101-000000'],
    ...['app.log-2026-1121', 'app.log-20261121-00-0000', 'app.err.20260101-000000.log'],
  ])
    assert.equal(timedName(BASES, name), undefined, name);
});

test('the latest of each family', () => {
  const names = [
    '0.log.20260101-000009',
    '0.log.20260101-000010',
    '0.log.20251231-235959',
    'app.log-20261121',
  ];
  const timed = names.flatMap((name) => timedName(BASES, name) ?? []);
  assert.equal(timed.length, names.length);
  assert.deepEqual(latestTimes(timed), {
    '0.log.00000000-000000': '.20260101-000010',
    'app.log-00000000': '-20261121',
  });
  assert.deepEqual(latestTimes([]), {});
});
