// The names that derive from a stream's: what is published is what the stream takes, and what it stores is what is read.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { hostFilter, partitionOf, publishSubject, storedSubject } from '../../../common/wire/subjects.ts';
import {
  archiveKey,
  memberOfKey,
  partitionFilter,
  partitionKey,
  partitionOfKey,
  partitionsOfTransform,
  publishedSubjects,
  receiverKey,
  shipperKey,
  stagedKey,
  stagedOfKey,
  subjectTransform,
} from '../../../common/wire/topology.ts';

const prefix = fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8})?$/);
const host = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
const partitions = fc.integer({ min: 1, max: 4_096 });

/** What nats-server does: `*` is any token. */
function passes(filter: string, subject: string): boolean {
  const [wanted, tokens] = [filter.split('.'), subject.split('.')];
  return wanted.length === tokens.length && wanted.every((one, at) => one === '*' || one === tokens[at]);
}

/** What nats-server makes of a subject. */
function transformed(
  { src, dest }: { src: string; dest: string },
  subject: string,
  partition: number,
): string {
  assert.ok(passes(src, subject));
  const wild = subject.split('.').filter((_, at) => src.split('.')[at] === '*');
  return dest
    .replace(/\{\{partition\(\d+,1\)\}\}/, String(partition))
    .replaceAll(/\{\{wildcard\((\d+)\)\}\}/g, (_, at) => wild[Number(at) - 1] ?? '');
}

test('what is published is stored in the partition of its host, and passes its filters', () => {
  fc.assert(
    fc.property(prefix, host, partitions, fc.nat(7), (prefix, host, partitions, lane) => {
      const topology = { stream: 'LOGS', prefix, partitions };
      const published = publishSubject(prefix, host, lane);
      const partition = partitionOf(host, partitions);
      const stored = storedSubject(topology, host, lane);
      assert.ok(passes(publishedSubjects(prefix), published));
      assert.equal(transformed(subjectTransform(topology), published, partition), stored);
      assert.ok(passes(partitionFilter(topology, partition), stored));
      assert.ok(passes(hostFilter(prefix, host), stored));
      assert.ok(!passes(publishedSubjects(prefix), stored), 'it would be stored again');
    }),
  );
});

test('the number of partitions is read back from the transform, and from no other', () => {
  fc.assert(
    fc.property(prefix, partitions, (prefix, partitions) => {
      const { dest } = subjectTransform({ stream: 'LOGS', prefix, partitions });
      assert.equal(partitionsOfTransform(prefix, dest), partitions);
      assert.equal(partitionsOfTransform(`${prefix}x`, dest), undefined);
    }),
  );
  for (const dest of [
    '',
    'logs.{{partition(0,1)}}.{{wildcard(1)}}.{{wildcard(2)}}',
    'logs.{{partition(8,1)}}.{{wildcard(2)}}.{{wildcard(1)}}',
    'logs.{{partition(8,1)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}',
  ])
    assert.equal(partitionsOfTransform('logs', dest), undefined, dest);
});

test('keys tell what they are of', () => {
  fc.assert(
    fc.property(fc.nat(4_095), partitions, host, (partition, count, name) => {
      assert.equal(partitionOfKey(partitionKey(partition)), partition);
      assert.equal(stagedOfKey(stagedKey(partition, count)), partition);
      for (const key of [archiveKey(partition, 'x'), stagedKey(partition, count), shipperKey(name)])
        assert.equal(partitionOfKey(key), undefined);
      assert.deepEqual(memberOfKey(shipperKey(name)), { kind: 'shipper', name });
      assert.deepEqual(memberOfKey(receiverKey(name)), { kind: 'receiver', name });
    }),
  );
});
