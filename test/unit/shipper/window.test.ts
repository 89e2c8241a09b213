// The laws of which files may have come and gone between two looks, by their times alone: none that did is passed over,
// whatever a clock's tick makes of its birth, and none that is known counts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { Found } from '../../../shipper/files/discover.ts';
import { isBornAfter, mayBeBetween, mayBeUntimed } from '../../../shipper/sources/window.ts';

const MS = 1_000_000n;
const TICK_NS = 10n * MS;
/** Some 20 ticks from the beginning on. */
const moment = fc.bigInt({ min: 1n, max: 200n }).map((ms) => 1_000_000n * MS + ms * MS);
/** By so much a birth or a time of the last write is late. */
const late = fc.bigInt({ min: 0n, max: TICK_NS });
const never = (): boolean => false;

function found(name: string, birth: bigint, modified: bigint, ino = '7'): Found {
  const stamp = { ino, birth: String(birth), device: birth === 0n ? '5' : '' };
  return { path: `/var/log/${name}`, stamp, size: 1, links: 1, modified, device: 5n };
}

const name = fc.constantFrom('app.log.1', 'app.log-20261130', 'app.log.1.gz', 'app.log.2.zst');
const births = fc.oneof(moment, fc.constant(0n));

test('no known file counts, and not what is at the path', () => {
  fc.assert(
    fc.property(name, births, moment, moment, moment, (name, birth, modified, after, seen) => {
      const file = found(name, birth, modified);
      const known = { after, seen, before: undefined, isKnown: (each: Found): boolean => each === file };
      assert.ok(!mayBeBetween(file, known) && !mayBeUntimed(file, known));
      assert.ok(!mayBeBetween(file, { after, seen, before: file.stamp, isKnown: never }));
    }),
  );
});

test('what was born since the newest was seen, and before what is at the path, may be one: also by a late clock', () => {
  let [may, mayNot] = [0, 0];
  fc.assert(
    fc.property(moment, late, moment, moment, moment, (born, by, modified, after, next) => {
      const file = found('app.log.1', born - by, modified);
      const before = found('app.log', next, next, '8').stamp;
      const is = mayBeBetween(file, { after, seen: after, before, isKnown: never });
      if (born >= after && born <= next) assert.ok(is);
      if (born - by > next || born + TICK_NS < after) assert.ok(!is);
      if (is) may += 1;
      else mayNot += 1;
      // Truncated in place, there is no other file.
      const limits = { after, seen: after, before: undefined, isKnown: never };
      if (born >= after) assert.ok(mayBeBetween(file, limits));
    }),
    { numRuns: 1_000 },
  );
  assert.ok(may > 50 && mayNot > 50);
});

test('a compressed file with the time of its original counts with that', () => {
  fc.assert(
    fc.property(moment, moment, moment, fc.constantFrom('.gz', '.zst'), (modified, birth, after, packing) => {
      fc.pre(modified < birth);
      const file = found(`app.log.1${packing}`, birth, modified);
      assert.equal(
        mayBeBetween(file, { after, seen: after, before: undefined, isKnown: never }),
        modified >= after,
      );
      assert.ok(!mayBeUntimed(file, { after, seen: after, isKnown: never }));
    }),
  );
});

/** It was compressed since, and may hold what was written since: it is one, or may be one and is named. Never both. */
function isAskedFor(file: Found, after: bigint): boolean {
  const limits = { after, seen: after, before: undefined, isKnown: never };
  const is = [mayBeBetween(file, limits), mayBeUntimed(file, limits)];
  assert.ok(!is.every(Boolean), 'it is either');
  return is.some(Boolean);
}

test('none that was compressed since, and was written to since, is passed over', () => {
  fc.assert(
    fc.property(moment, late, moment, moment, (born, by, modified, after) => {
      fc.pre(born >= after && modified >= after);
      assert.ok(isAskedFor(found('app.log.1.gz', born - by, modified), after));
    }),
  );
});

test('nor one on a file system without births', () => {
  fc.assert(
    fc.property(moment, moment, (modified, after) => {
      fc.pre(modified >= after);
      assert.ok(isAskedFor(found('app.log.1.gz', 0n, modified), after));
    }),
  );
});

test('without births a plain file counts that was written to since, by a clock that counts seconds', () => {
  fc.assert(
    fc.property(moment, moment, moment, (written, after, seen) => {
      const limits = { after, seen, before: undefined, isKnown: never };
      const second = 1_000n * MS;
      const isLater = written >= after && written >= seen;
      if (isLater) assert.ok(mayBeBetween(found('app.log.1', 0n, (written / second) * second), limits));
      assert.ok(!mayBeBetween(found('app.log.1', 0n, after - second - 1n), limits));
    }),
  );
});

test('what came after the next one was found is told by its birth, late or not', () => {
  fc.assert(
    fc.property(moment, late, moment, (born, by, next) => {
      const is = isBornAfter({ found: found('app.log.1', born - by, born) }, { found: next });
      if (born >= next) assert.ok(is);
      if (born + TICK_NS < next) assert.ok(!is);
    }),
  );
});
