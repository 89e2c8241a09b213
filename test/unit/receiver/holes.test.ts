// What waits for missing bytes: it is known by the first message that was not written, and ends when it goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { emptyRecord, MAX_HOLES, takeRecord } from '../../../common/record/record.ts';
import { Holes } from '../../../receiver/term/holes.ts';

const source = (file: string) => ({ host: 'web1', path: '/a.log', file });

test('of several messages the first is where it is looked from, and the furthest end says when it is over', () => {
  const holes = new Holes(new Map());
  holes.met(source('f-0'), 7, 200);
  holes.met(source('f-0'), 9, 400);
  holes.met(source('f-0'), 8, 300);
  assert.deepEqual([...holes.known.holes], [['web1/f-0', { path: '/a.log', seq: 7, end: 400 }]]);
  holes.end(source('f-0'), 300);
  assert.equal(holes.count, 1, 'what lies behind was not written');
  holes.end(source('f-0'), 400);
  assert.equal(holes.count, 0);
});

test('the next term knows them, and counts the time anew', () => {
  const known = new Map([['web1/f-0', { path: '/a.log', seq: 7, end: 400 }]]);
  const holes = new Holes(known);
  assert.deepEqual(holes.known, { holes: known, unnamed: 0 });
  assert.deepEqual(holes.of(source('f-0'))?.source, source('f-0'));
  assert.equal(holes.overdue(60_000).length, 0);
  assert.equal(holes.overdue(0).length, 1);
});

test('looked through up to a message, it is looked through from there the next time', () => {
  const holes = new Holes(new Map());
  holes.met(source('f-0'), 7, 200);
  const waiting = holes.of(source('f-0'));
  assert.ok(waiting !== undefined);
  holes.looked(waiting, 20);
  assert.equal(holes.of(source('f-0'))?.seq, 20);
  holes.readAgain();
  assert.equal(holes.of(source('f-0'))?.seq, 1);
  holes.end(source('f-0'));
  holes.looked(waiting, 30);
  assert.equal(holes.count, 0);
});

test('a record names so many, and no more', () => {
  const holes = new Holes(new Map());
  for (let number = 0; number < MAX_HOLES + 10; number += 1)
    holes.met(source(`f-${number}`), 100 + number, 1);
  const { known } = holes;
  assert.equal(holes.count, MAX_HOLES + 10);
  assert.ok(known.holes.size <= MAX_HOLES && known.holes.size > 100);
  assert.equal(known.unnamed, 100 + known.holes.size, 'the next term reads from there');
  const long = new Holes(new Map());
  const path = '/x'.repeat(2_000);
  for (let number = 0; number < 100; number += 1) long.met({ ...source(`f-${number}`), path }, 1, 1);
  assert.ok(JSON.stringify([...long.known.holes]).length < 64 * 1024);
});

test('a take drops those that its ledger fills, and all of them where the stream is read from its beginning', () => {
  const holes = new Map([
    ['web1/f-0', { path: '/a.log', seq: 7, end: 100 }],
    ['web1/f-1', { path: '/b.log', seq: 8, end: 101 }],
  ]);
  const claim = (path: string) => ({ start: 0, end: 100, path, tail: null, after: null, elsewhere: false });
  const claims = new Map([
    ['web1/f-0', claim('/a.log')],
    ['web1/f-1', claim('/b.log')],
  ]);
  const previous = { ...emptyRecord(4), stream: { created: 's1', seq: 9 }, holes };
  const take = { owner: 'r', term: 'd.1', claims };
  const kept = takeRecord(previous, { ...take, stream: { created: 's1', lastSeq: 9 } }).record;
  assert.deepEqual([...kept.holes.keys()], ['web1/f-1']);
  const anew = takeRecord(previous, { ...take, stream: { created: 's2', lastSeq: 9 } }).record;
  assert.equal(anew.holes.size, 0);
});

test('a take reads from where a record has more than it names', () => {
  const previous = { ...emptyRecord(4), stream: { created: 's1', seq: 90 }, unnamed: 40 };
  const take = { owner: 'r', term: 'd.1', claims: new Map() };
  const { record } = takeRecord(previous, { ...take, stream: { created: 's1', lastSeq: 95 } });
  assert.deepEqual([record.stream.seq, record.unnamed], [39, 0]);
});
