// The laws of names on the wire: whatever a host or a path is called, its token stands for it alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { LogferryError } from '../../../common/runtime/errors.ts';
import {
  decodeKeyToken,
  decodeToken,
  encodeToken,
  fileKey,
  keyToken,
  parseStoredSubject,
  partitionOf,
  publishSubject,
  storedSubject,
  type SourceName,
} from '../../../common/wire/subjects.ts';

/** Any well-formed name, and often one of those that are trouble in subjects, keys and paths. */
const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  fc.stringMatching(/^[.*> ~!'()%=/\\\n\t\0é]{1,12}$/),
);
const file = fc.stringMatching(/^[a-z0-9-]{1,80}$/);
const source: fc.Arbitrary<SourceName> = fc
  .tuple(name, name, file)
  .map(([host, path, file]) => ({ host, path, file }));

test('a token decodes to the name that it was made from', () => {
  fc.assert(
    fc.property(name, (name) => {
      assert.equal(decodeToken(encodeToken(name)), name);
    }),
  );
});

test('a token is a single one: no dots, no wildcards, no blanks, nothing but ASCII', () => {
  fc.assert(
    fc.property(name, (name) => {
      assert.match(encodeToken(name), /^[A-Za-z0-9%_-]+$/);
    }),
  );
});

test('a token that is not the canonical one of its name is refused, so no two tokens are one name', () => {
  const token = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[aA0%2eEfF._~-]{0,9}$/),
    name.map((name) => encodeToken(name).toLowerCase()),
    name.map((name) => encodeURIComponent(name)),
  );
  fc.assert(
    fc.property(token, (token) => {
      const name = decodeToken(token);
      if (name !== undefined) assert.equal(encodeToken(name), token);
    }),
    { numRuns: 1000 },
  );
  for (const token of ['', 'a.b', 'web~1', '%41', '%2f', '%', '%ZZ', '%C3', 'a b', 'é'])
    assert.equal(decodeToken(token), undefined, token);
});

test('an empty name and a lone surrogate are refused', () => {
  assert.throws(() => encodeToken(''), { code: 'corrupt' });
  assert.throws(() => encodeToken('web\uD800'), { code: 'corrupt' });
});

test('a key token decodes to its name, and has only what a key may have', () => {
  fc.assert(
    fc.property(name, (name) => {
      assert.match(keyToken(name), /^[A-Za-z0-9=_-]+$/);
      assert.equal(decodeKeyToken(keyToken(name)), name);
    }),
  );
});

test('a stored subject parses back to its source and its partition', () => {
  fc.assert(
    fc.property(source, fc.integer({ min: 1, max: 65_536 }), (source, partitions) => {
      const subject = storedSubject('logs', partitions, source);
      const partition = partitionOf(source.host, partitions);
      assert.deepEqual(parseStoredSubject('logs', subject), { ...source, partition });
      assert.equal(subject.split('.').length, 5);
    }),
  );
});

test('a stored subject is the published one with the partition behind the prefix', () => {
  const source = { host: 'web1', path: '/var/log/a b.log', file: 'f0-1' };
  assert.equal(publishSubject('logs', source), 'logs.web1.%2Fvar%2Flog%2Fa%20b%2Elog.f0-1');
  assert.equal(storedSubject('logs', 1, source), 'logs.0.web1.%2Fvar%2Flog%2Fa%20b%2Elog.f0-1');
});

test('any other subject is none of ours: it parses to nothing, or is exactly the one we would have used', () => {
  const part = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('logs', '7', 'web1', '%2Fx', 'f0-0'));
  const subject = fc.array(part, { maxLength: 7 }).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(subject, (subject) => {
      const parsed = parseStoredSubject('logs', subject);
      if (parsed === undefined) return;
      const published = publishSubject('logs', parsed).slice('logs.'.length);
      assert.ok(subject.startsWith('logs.') && subject.endsWith(`.${published}`));
    }),
    { numRuns: 1000 },
  );
  const foreign = [
    'logs.7.web1.%2Fx',
    'logs.7.web1.%2Fx.f0-0.more',
    'other.7.web1.%2Fx.f0-0',
    'logs.x.web1.%2Fx.f0-0',
  ];
  for (const subject of [...foreign, 'logs.7.web1.%2Fx.F0', 'logs.7.web1./x.f0-0', 'logs.7..%2Fx.f0-0'])
    assert.equal(parseStoredSubject('logs', subject), undefined, subject);
});

test('a subject that the server would refuse for its length is refused here, with the path', () => {
  const path = `/${'é'.repeat(1000)}`;
  assert.throws(
    () => publishSubject('logs', { host: 'web1', path, file: 'f0-0' }),
    (error) => error instanceof LogferryError && error.message.includes(path),
  );
});

test('a partition is the 32-bit FNV-1a of the token, modulo their number', () => {
  // Published vectors: draft-eastlake-fnv.
  assert.equal(partitionOf('a', 65_536), 0xe40c292c % 65_536);
  assert.equal(partitionOf('foobar', 65_536), 0xbf9cf968 % 65_536);
  fc.assert(
    fc.property(name, fc.integer({ min: 1, max: 65_536 }), (host, partitions) => {
      let hash = 0x811c9dc5n;
      for (const byte of Buffer.from(encodeToken(host)))
        hash = ((hash ^ BigInt(byte)) * 0x01000193n) % 2n ** 32n;
      assert.equal(partitionOf(host, partitions), Number(hash % BigInt(partitions)));
    }),
  );
});

test('two generations have two keys, whatever their hosts are called', () => {
  fc.assert(
    fc.property(source, source, (a, b) => {
      const same = a.host === b.host && a.file === b.file;
      assert.equal(fileKey(a.host, a.file) === fileKey(b.host, b.file), same);
    }),
  );
  assert.notEqual(fileKey('web', 'a'), fileKey('web/a', 'a'));
});
