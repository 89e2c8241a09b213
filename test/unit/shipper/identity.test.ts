// Which names a rotation gives, which a neighbour may have, and which are other logs; which stamps are one file's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  type FileStamp,
  hasIdentity,
  isRotationOf,
  isSameFile,
  keyOf,
  rotationOf,
  rotationPrefix,
} from '../../../shipper/files/identity.ts';

const ROTATIONS: Record<string, readonly string[]> = {
  'app.log': [
    'app.log.1',
    'app.log.10',
    'app.log-20261121',
    'app.log-20261121-1795219200',
    'app.log.2026-11-21',
    'app.log.2026-11-21_06-10-21',
    'app-2026-11-21.log',
    'app-2026-11-21T06-10-21Z.log',
    'app.1.log',
    'app_1.log',
    'app.20261121-0610-01.log',
  ],
  messages: ['messages.1', 'messages-20261121'],
};

const OTHERS: Record<string, readonly string[]> = {
  'app.log': [
    'app.log',
    'app.log.err',
    'app-error.log',
    'app.log.bak',
    'app2.log',
    'apple.log',
    'app.log.1.err',
    'a.log.1',
  ],
  '3.log': ['360.log', '31.log', '4.log'],
  messages: ['messages-old', 'messages2'],
};

test('what a rotation makes of a name', () => {
  for (const [base, names] of Object.entries(ROTATIONS))
    for (const name of names) {
      assert.ok(isRotationOf(base, name), `${name} of ${base}`);
      assert.ok(name.startsWith(rotationPrefix(base)), name);
    }
});

test('names of other logs', () => {
  for (const [base, names] of Object.entries(OTHERS))
    for (const name of names) assert.ok(!isRotationOf(base, name), `${name} of ${base}`);
});

/** Words as logs are called, with dots, dashes and digits of their own. */
const word = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(?:[-_.][a-z0-9]{1,4})?$/);
const log = fc.tuple(word, fc.constantFrom('.log', '.txt', '.json')).map((parts) => parts.join(''));
const separator = fc.constantFrom('-', '_', '.');
/** What counts have: no more digits than a neighbour's name. */
const count = fc.integer({ min: 0, max: 99_999 }).map(String);
const day = fc
  .date({ min: new Date('1970-01-01'), max: new Date('2099-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString());

/** A day, and perhaps a time, as rotators write them. */
const dated = fc
  .tuple(day, fc.constantFrom('-', '_', '.', ''), fc.constantFrom(0, 2, 4, 6), separator)
  .map(([iso, between, digits, before]) => {
    const date = iso.slice(0, 10).replaceAll('-', between);
    const time = iso.slice(11, 19).replaceAll(':', '').slice(0, digits);
    return digits === 0 ? date : `${date}${between === '' ? '' : before}${time}`;
  });

function inside(base: string, before: string, what: string): string {
  const dot = base.lastIndexOf('.');
  return `${base.slice(0, dot)}${before}${what}${base.slice(dot)}`;
}

test('a count in a name may be a neighbour’s: app_1.log, app-2.log, worker.1.log', () => {
  for (const name of ['app_1.log', 'app-2.log', 'app.1.log', 'app-2026.log', 'app-1795219200.log'])
    assert.equal(rotationOf('app.log', name), 'counted', name);
  for (const name of [
    'app-20261321.log',
    'app-20261232.log',
    'app-2011122333444.log',
    'app-20261121246060.log',
    'app-20261121061021123.log',
  ])
    assert.equal(rotationOf('app.log', name), 'counted', `${name}: no day of a month`);
  fc.assert(
    fc.property(log, separator, count, (base, before, number) => {
      assert.equal(rotationOf(base, inside(base, before, number)), 'counted');
    }),
  );
});

test('a day in a name is a rotation’s, with a time of the day or without', () => {
  for (const time of ['20261121', '2026112106', '202611210610', '20261121061021', '2026-11-21T06:10:21Z'])
    assert.equal(rotationOf('app.log', `app-${time}.log`), 'dated', time);
  fc.assert(
    fc.property(log, separator, dated, (base, before, time) => {
      assert.equal(rotationOf(base, inside(base, before, time)), 'dated');
    }),
    { numRuns: 2_000 },
  );
});

test('whatever stands behind the whole name is nobody’s own log: app.log.1, app.log-20261121', () => {
  const any = fc.oneof(count, dated);
  fc.assert(
    fc.property(fc.oneof(log, word), separator, any, (base, before, stamp) => {
      assert.equal(rotationOf(base, `${base}${before}${stamp}`), 'behind');
    }),
  );
});

test('no log is a rotation of itself, or of one that is called otherwise', () => {
  fc.assert(
    fc.property(log, log, separator, fc.oneof(count, dated), (base, other, before, stamp) => {
      assert.equal(rotationOf(base, base), undefined);
      if (base === other) return;
      // Only names that begin with its own, up to the extension.
      const stem = base.slice(0, base.lastIndexOf('.'));
      for (const name of [inside(other, before, stamp), `${other}${before}${stamp}`])
        if (!name.startsWith(stem)) assert.equal(rotationOf(base, name), undefined);
      for (const name of [`${base}.err`, `${base}${before}${stamp}.err`, `${base}${before}old`, `${base}1`])
        assert.equal(rotationOf(base, name), undefined, name);
    }),
  );
});

/** Few, so that many are the same. */
const number = fc.integer({ min: 1, max: 3 }).map(String);
const born: fc.Arbitrary<FileStamp> = fc.record({ ino: number, birth: number, device: fc.constant('') });
const unborn: fc.Arbitrary<FileStamp> = fc.record({ ino: number, birth: fc.constant('0'), device: number });

test('inode and birth are one file’s; without a birth inode and device, and nothing after a restart', () => {
  const stamp = fc.oneof(born, unborn);
  fc.assert(
    fc.property(stamp, stamp, (a, b) => {
      const isSame = a.ino === b.ino && a.birth === b.birth && a.device === b.device;
      assert.equal(isSameFile(a, b), isSame);
      assert.equal(isSameFile(b, a), isSame);
      assert.equal(keyOf(a) === keyOf(b), isSame);
      assert.ok(hasIdentity(a));
      // A device may have another number after a restart.
      const restarted = { ...a, device: '' };
      assert.equal(isSameFile(restarted, b), isSame && a.birth !== '0');
      assert.equal(isSameFile(b, restarted), isSame && a.birth !== '0');
      assert.equal(isSameFile(restarted, restarted), a.birth !== '0');
      assert.equal(hasIdentity(restarted), a.birth !== '0');
    }),
    { numRuns: 1_000 },
  );
});

test('where there are births, the number of the device says nothing', () => {
  fc.assert(
    fc.property(born, number, number, (stamp, one, other) => {
      assert.ok(isSameFile({ ...stamp, device: one }, { ...stamp, device: other }));
    }),
  );
});
