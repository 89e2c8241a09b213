// The laws of names on the wire: whatever a host or a path is called, its token stands for it alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  decodeKeyToken,
  decodeToken,
  encodeToken,
  FILE_ID,
  fileKey,
  hostFilter,
  isPath,
  keyToken,
  MAX_PATH_BYTES,
  parseStoredSubject,
  partitionOf,
  publishSubject,
  sourceOf,
  storedSubject,
  storedSubjects,
  type SourceName,
} from '../../../common/wire/subjects.ts';

/** Any well-formed name, and often one of those that are trouble in subjects, keys and paths. */
const name = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  fc.stringMatching(/^[.*> ~!'()%=/\\\n\t\0é]{1,12}$/),
);
const file = fc.stringMatching(/^[a-z0-9-]{1,80}$/);
const lane = fc.nat(7);
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

test('a stored subject parses back to its host, its lane and its partition', () => {
  fc.assert(
    fc.property(name, lane, fc.integer({ min: 1, max: 65_536 }), (host, lane, partitions) => {
      const subject = storedSubject({ prefix: 'logs', partitions }, host, lane);
      const partition = partitionOf(host, partitions);
      assert.deepEqual(parseStoredSubject('logs', subject), { partition, host, lane });
      assert.equal(subject.split('.').length, 4);
    }),
  );
});

test('a stored subject is the published one with the partition behind the prefix', () => {
  assert.equal(publishSubject('logs', 'web 1.example', 3), 'logs.web%201%2Eexample.3');
  assert.equal(
    storedSubject({ prefix: 'logs', partitions: 1 }, 'web 1.example', 3),
    'logs.0.web%201%2Eexample.3',
  );
});

test("a host's filters pass its own subjects, and no other's", () => {
  const passes = (filter: string, subject: string): boolean => {
    const [wanted, tokens] = [filter.split('.'), subject.split('.')];
    return wanted.length === tokens.length && wanted.every((one, at) => one === '*' || one === tokens[at]);
  };
  const count = fc.integer({ min: 1, max: 65_536 });
  fc.assert(
    fc.property(name, name, lane, count, count, (host, other, lane, partitions, before) => {
      const names = { prefix: 'my.logs', partitions };
      const own = [storedSubjects(names, host), hostFilter(names.prefix, host)];
      for (const filter of own) {
        assert.ok(passes(filter, storedSubject(names, host, lane)));
        assert.equal(passes(filter, storedSubject(names, other, lane)), host === other);
      }
      assert.ok(passes(own[1] ?? '', storedSubject({ ...names, partitions: before }, host, lane)));
    }),
  );
});

test('any other subject is none of ours: it parses to nothing, or names host and lane as we would have', () => {
  const part = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('logs', '7', 'web1', '%2Fx', 'f0-0'));
  const subject = fc.array(part, { maxLength: 7 }).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(subject, (subject) => {
      const parsed = parseStoredSubject('logs', subject);
      if (parsed === undefined) return;
      const [prefix, partition, token, lane, ...rest] = subject.split('.');
      assert.deepEqual([prefix, token, rest.length], ['logs', encodeToken(parsed.host), 0]);
      assert.deepEqual([Number(partition), Number(lane)], [parsed.partition, parsed.lane]);
      assert.match(`${partition}${lane}`, /^[0-9]+$/);
    }),
    { numRuns: 1000 },
  );
  const foreign = [
    ...['logs.7.web1', 'logs.7.web1.0.more', 'other.7.web1.0', 'logs.x.web1.0', 'logs.7.web1.x'],
    ...['logs.7.web1.-1', 'logs.7.web1.1e1', 'logs.7.web1.٣', 'logs.7.web1.', 'logs.7..0', 'logs..web1.0'],
    ...['logs.7.web%31.0', 'logs.7.web~1.0', 'logs.7.%2f.0', 'logs.7.%FF.0', 'logs.7.é.0', 'logs.7.%.0'],
    // As files had them, before there were lanes.
    ...['logs.7.web1.%2Fx.f0-0', 'logs.7.web1.1000', 'logs.123456.web1.0'],
  ];
  for (const subject of foreign) assert.equal(parseStoredSubject('logs', subject), undefined, subject);
});

test('a path is well-formed, and no longer than what is shipped', () => {
  fc.assert(
    fc.property(name, (name) => {
      assert.equal(isPath(name), Buffer.byteLength(name) <= MAX_PATH_BYTES);
    }),
  );
  assert.ok(isPath('/'.repeat(MAX_PATH_BYTES)));
  for (const path of ['', '/\uD800', '/'.repeat(MAX_PATH_BYTES + 1), `/${'é'.repeat(MAX_PATH_BYTES / 2)}`])
    assert.ok(!isPath(path), path.slice(0, 10));
});

test('a file id is of few letters, on one line', () => {
  for (const id of ['1jhut-dn0nz030bvbu-0', '0', 'a'.repeat(80)]) assert.match(id, FILE_ID);
  for (const id of ['', 'F0', 'f/0', 'f 0', '../x', 'f0\n', 'a'.repeat(81)]) assert.doesNotMatch(id, FILE_ID);
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
      assert.deepEqual(sourceOf(fileKey(a.host, a.file)), { host: a.host, id: a.file });
    }),
  );
  assert.notEqual(fileKey('web', 'a'), fileKey('web/a', 'a'));
});
