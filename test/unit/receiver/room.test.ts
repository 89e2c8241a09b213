// Which errors mean that the disk takes nothing more, and how much has to be free before it is believed again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isDiskFull, LogferryError } from '../../../common/runtime/errors.ts';
import { hasGained, isMeasurable, isNoRoom, overdueInMs } from '../../../receiver/output/room.ts';

function failed(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test('errors of the whole disk, not those of one file', () => {
  for (const code of ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO']) assert.ok(isNoRoom(failed(code)), code);
  for (const code of ['EACCES', 'EFBIG', 'ENAMETOOLONG', 'ENOENT', 'EMFILE'])
    assert.ok(!isNoRoom(failed(code)), code);
  for (const code of ['ENOSPC', 'EDQUOT']) assert.ok(isDiskFull(failed(code)), code);
  for (const code of ['EROFS', 'EIO']) assert.ok(!isDiskFull(failed(code)), code);
  assert.ok(isMeasurable(failed('ENOSPC')) && !isMeasurable(failed('EDQUOT')));
});

test('an error says what its cause says', () => {
  const wrapped = new LogferryError('failed', 'cannot use out', undefined, { cause: failed('ENOSPC') });
  assert.ok(isNoRoom(wrapped) && isDiskFull(wrapped));
  assert.ok(!isNoRoom(new LogferryError('lost', 'taken over')));
  assert.ok(!isNoRoom('ENOSPC'));
});

test('room counts when it is a twentieth of the disk, or 1 GiB, more than when it was full', () => {
  const gib = 1024 ** 3;
  assert.ok(!hasGained({ free: 104, total: 100 }, 100));
  assert.ok(hasGained({ free: 105, total: 100 }, 100));
  assert.ok(!hasGained({ free: 2 * gib, total: 1_000 * gib }, gib + 1));
  assert.ok(hasGained({ free: 2 * gib, total: 1_000 * gib }, gib));
});

test('overdue with the first that has failed for so long', () => {
  assert.equal(overdueInMs([], 1_000, 5_000), Number.POSITIVE_INFINITY);
  assert.equal(overdueInMs([4_900, 4_500], 1_000, 5_000), 500);
  assert.ok(overdueInMs([4_900, Number.NEGATIVE_INFINITY], 1_000, 5_000) < 0);
});
