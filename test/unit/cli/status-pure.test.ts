// What a status is made of, without a server: risks, the time that is left, rates, the screen, and what a shipper of any
// size says of itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { hostRisks, receiverRisks, risksOf, streamRisks } from '../../../cli/status/risks.ts';
import { screenOf, worstHosts } from '../../../cli/status/screen.ts';
import { dropsInMs, Inflow, type Keeping } from '../../../cli/status/time-left.ts';
import type { HostRow, ReceiverRow, Status, StreamRow } from '../../../cli/status/types.ts';
import { shortened, table } from '../../../cli/terminal/table.ts';
import { MAX_STATUS_BYTES, MAX_WORST_FILES, parseAnswer } from '../../../common/fleet/daemon-status.ts';
import { LostBytes } from '../../../receiver/term/lost.ts';
import { Rate } from '../../../receiver/report/rate.ts';
import { FileSums } from '../../../shipper/report/status.ts';
import type { FileProgress } from '../../../shipper/report/reading.ts';

const NOW = Date.parse('2026-11-21T06:00:00Z');

function at(secondsAgo: number): string {
  return new Date(NOW - secondsAgo * 1_000).toISOString();
}

function host(changes: Partial<HostRow> = {}): HostRow {
  return {
    ...{ host: 'web1', machine: 'm1', partition: 32, owner: 'r1', state: 'answers' },
    ...{ lastSeen: at(0), started: at(3_600), files: 2, sizeBytes: 200, publishedBytes: 200 },
    ...{
      committedBytes: 200,
      lagBytes: 0,
      lagSeconds: 0,
      bytesPerSecond: null,
      errors: 0,
      lostBytes: 0,
      untold: 0,
    },
    ...{ worst: [], risks: [] },
    ...changes,
  };
}

function receiver(changes: Partial<ReceiverRow> = {}): ReceiverRow {
  return {
    ...{ id: 'r1', machine: 'm2', state: 'answers', lastSeen: at(0), started: at(3_600) },
    ...{ partitions: [32], bytes: 200, bytesPerSecond: 0, uncommittedMessages: 0 },
    ...{ disk: { free: 50, total: 100 }, hasRoom: true, duplicates: 0, missing: 0, foreign: 0 },
    ...{ lostBytes: 0, waitingFiles: 0, risks: [] },
    ...changes,
  };
}

function stream(changes: Partial<StreamRow> = {}): StreamRow {
  return {
    ...{ name: 'LOGS', created: at(86_400), messages: 10, bytes: 1_000, maxBytes: 100_000 },
    ...{ maxAgeSeconds: 604_800, maxMessages: null, oldest: at(7_200), bytesPerSecond: 10 },
    uncommitted: { messages: 0, oldest: null, dropsInSeconds: null },
    partitions: [],
    risks: [],
    ...changes,
  };
}

const calm = { held: false, errorLagBytes: 0, unreadable: 0, lastUntold: undefined, now: NOW };

test('a host that answers and is up to date is no risk; each risk is one sentence', () => {
  assert.deepEqual(hostRisks(host(), calm), []);
  const silent = host({ state: 'silent', lastSeen: at(31) });
  assert.deepEqual(hostRisks(silent, calm), [`host web1 is silent since ${at(31)} (31s)`]);
  assert.deepEqual(hostRisks(host({ state: 'silent', lastSeen: at(29) }), calm), []);
  assert.deepEqual(hostRisks(host({ state: 'stopped', lastSeen: at(86_400) }), calm), []);
  assert.match(hostRisks(host(), { ...calm, held: true })[0] ?? '', /^host web1 holds back: /);
  assert.deepEqual(hostRisks(host({ lostBytes: 1_400 }), calm), ['host web1: 1400 bytes are reported lost']);
  const untold = { ...calm, lastUntold: '/var/log/a.log: nobody knows' };
  assert.deepEqual(hostRisks(host({ untold: 2 }), untold), [
    'host web1 could not tell 2 times what became of a file (/var/log/a.log: nobody knows)',
  ]);
  const file = { path: '/a', file: 'f-0', sizeBytes: 9, publishedBytes: 0, committedBytes: 0, lagBytes: 9 };
  const failing = host({ errors: 1, worst: [{ ...file, lagSeconds: 3, error: 'EACCES' }] });
  assert.deepEqual(hostRisks(failing, { ...calm, errorLagBytes: 2_048 }), [
    'host web1: a file has errors and 2.0 KiB behind (/a: EACCES)',
  ]);
  assert.deepEqual(hostRisks(failing, calm), [], 'an error with nothing behind loses nothing');
  const none = { ...file, file: '', lagBytes: 0, lagSeconds: 0, error: 'EPERM' };
  const closed = host({ errors: 2, worst: [...failing.worst, none] });
  assert.deepEqual(hostRisks(closed, { ...calm, errorLagBytes: 9, unreadable: 1 }), [
    'host web1: a file has errors and 9 B behind (/a: EACCES)',
    'host web1: a file cannot be shipped (/a: EPERM)',
  ]);
});

test('a receiver is a risk without room, with a disk nearly full, with holes, with losses of unknown hosts', () => {
  assert.deepEqual(receiverRisks(receiver(), []), []);
  assert.match(receiverRisks(receiver({ hasRoom: false }), [])[0] ?? '', /^receiver r1 has no room/);
  assert.match(
    receiverRisks(receiver({ disk: { free: 4, total: 100 } }), [])[0] ?? '',
    /4 B of 100 B free, less than 5 %/,
  );
  assert.deepEqual(receiverRisks(receiver({ disk: { free: 5, total: 100 } }), []), []);
  assert.match(
    receiverRisks(receiver({ waitingFiles: 2 }), [])[0] ?? '',
    /2 files wait for bytes that are missing/,
  );
  assert.deepEqual(receiverRisks(receiver(), [{ host: 'gone', bytes: 7 }]), [
    'receiver r1: 7 bytes of host gone are reported lost',
  ]);
});

test('uncommitted data without a living owner is a risk, but not in the moment of a handover', () => {
  const row = stream({ uncommitted: { messages: 3, oldest: at(60), dropsInSeconds: 86_400 } });
  const waits = (owner: string | null, secondsAgo: number) => [
    { partition: 32, owner, oldest: { storedAt: NOW - secondsAgo * 1_000 } },
    { partition: 33, owner: null, oldest: undefined },
  ];
  const sentence = ['partition 32 has uncommitted data and no living receiver'];
  assert.deepEqual(streamRisks(row, waits(null, 4), [receiver()], NOW), sentence);
  assert.deepEqual(streamRisks(row, waits(null, 2), [receiver()], NOW), []);
  assert.deepEqual(streamRisks(row, waits('r1', 60), [receiver()], NOW), []);
  assert.deepEqual(streamRisks(row, waits('r2', 60), [receiver()], NOW), sentence);
  const silentFor = (seconds: number) => [receiver({ state: 'silent', lastSeen: at(seconds) })];
  assert.deepEqual(streamRisks(row, waits('r1', 60), silentFor(9), NOW), []);
  assert.deepEqual(streamRisks(row, waits('r1', 60), silentFor(11), NOW), sentence);
  assert.deepEqual(streamRisks(row, waits('r1', 60), [receiver({ state: 'stopped' })], NOW), sentence);
  const many = Array.from({ length: 7 }, (_, partition) => ({ ...waits(null, 60)[0]!, partition }));
  assert.deepEqual(streamRisks(row, many, [], NOW), [
    '7 partitions (0, 1, 2, 3, 4, …) have uncommitted data and no living receiver',
  ]);
});

test('what would be dropped within an hour is a risk, unless it has only just come', () => {
  const risks = (secondsAgo: number, dropsInSeconds: number | null) =>
    streamRisks(
      stream({ uncommitted: { messages: 3, oldest: at(secondsAgo), dropsInSeconds } }),
      [],
      [],
      NOW,
    );
  assert.deepEqual(risks(600, 3_599), [
    'stream LOGS would drop data that is not committed in 59m59s (3 messages wait)',
  ]);
  assert.deepEqual(risks(600, 3_600), []);
  assert.deepEqual(risks(600, null), []);
  assert.deepEqual(risks(1, 3_000), [], 'a fast stream is no risk while it is received');
  assert.equal(risks(1, 30).length, 1);
});

test('all risks together, the stream first', () => {
  const status: Status = {
    receivers: [receiver({ risks: ['b'] })],
    hosts: [host({ risks: ['c', 'd'] })],
    stream: stream({ risks: ['a'] }),
  };
  assert.deepEqual(risksOf(status), ['a', 'b', 'c', 'd']);
});

const keeping: Keeping = {
  now: NOW,
  oldest: { seq: 1, storedAt: NOW - 3_600_000 },
  stream: { messages: 100, bytes: 1_000, firstSeq: 1, lastSeq: 100 },
  limits: { bytes: -1, messages: -1, ageMs: 0 },
  inflow: { bytesPerSecond: 10, messagesPerSecond: 1 },
};

test('the time until uncommitted data is dropped: by age, bytes or messages, whichever comes first', () => {
  const limited = (limits: Partial<Keeping['limits']>, more: Partial<Keeping> = {}) =>
    dropsInMs({ ...keeping, ...more, limits: { ...keeping.limits, ...limits } });
  assert.equal(limited({}), undefined);
  assert.equal(limited({ ageMs: 7_200_000 }), 3_600_000);
  assert.equal(limited({ bytes: 2_000 }), 100_000);
  assert.equal(limited({ messages: 150 }), 50_000);
  assert.equal(limited({ ageMs: 7_200_000, bytes: 2_000, messages: 150 }), 50_000);
  assert.equal(limited({ ageMs: 1_000 }), 0);
  assert.equal(limited({ bytes: 2_000 }, { inflow: undefined }), undefined);
  // Full, as every stream is one day: what is committed goes first.
  const half = { oldest: { seq: 51, storedAt: NOW } };
  assert.equal(limited({ bytes: 1_000 }, half), 50_000);
  assert.equal(limited({ bytes: 1_000 }), 0);
});

test('the inflow: at first over what the stream holds, then from look to look, whatever was dropped meanwhile', () => {
  const inflow = new Inflow();
  const sight = {
    created: 'a',
    messages: 100,
    bytes: 100_000,
    lastSeq: 100,
    firstAt: NOW - 100_000,
    now: NOW,
  };
  assert.deepEqual(inflow.look(sight), { bytesPerSecond: 1_000, messagesPerSecond: 1 });
  const later = { ...sight, now: NOW + 2_000, lastSeq: 120, messages: 50, bytes: 50_000 };
  assert.deepEqual(inflow.look(later), { bytesPerSecond: 10_000, messagesPerSecond: 10 });
  const anew = {
    ...later,
    created: 'b',
    now: NOW + 4_000,
    messages: 6,
    bytes: 600,
    lastSeq: 6,
    firstAt: NOW + 3_000,
  };
  assert.deepEqual(inflow.look(anew), { bytesPerSecond: 10, messagesPerSecond: 0.1 }, 'a moment is no rate');
  assert.equal(new Inflow().look({ ...sight, messages: 0, bytes: 0, firstAt: undefined }), undefined);
});

test("a receiver's rate is over the last ten seconds", () => {
  const rate = new Rate();
  assert.equal(rate.perSecond(0, 0), 0);
  for (let second = 0; second <= 30; second += 1)
    rate.note(second < 20 ? 0 : (second - 20) * 500, second * 1_000);
  assert.equal(rate.perSecond(5_000, 30_000), 500);
  assert.equal(rate.perSecond(5_000, 40_000), 250);
});

const size = { isColoured: false, now: NOW };
const unlimited = { ...size, width: Number.POSITIVE_INFINITY, height: Number.POSITIVE_INFINITY };

test('the screen fits the terminal, worst first, with what is left out counted', () => {
  const hosts = Array.from({ length: 1_000 }, (_, index) =>
    host({ host: `web${index}`, lagBytes: index === 7 ? 5_000 : 0, lagSeconds: index % 3 }),
  );
  hosts[8] = host({ host: 'gone', state: 'silent', lastSeen: at(100), risks: ['host gone is silent'] });
  const status = { receivers: [receiver()], hosts, stream: stream({ risks: [] }) };
  for (const [width, height] of [
    [80, 24],
    [120, 50],
    [40, 16],
  ] as const) {
    const lines = screenOf(status, { ...size, width, height });
    assert.ok(lines.length <= height, `${lines.length} lines on ${height}`);
    for (const line of lines) assert.ok(line.length <= width, line);
  }
  const lines = screenOf(status, { ...size, width: 100, height: 24 });
  assert.equal(lines[0], '1 risk: data may be lost');
  assert.equal(lines[1], '  host gone is silent');
  assert.ok(lines.includes('1,000 hosts: 999 answer, 1 silent'), lines.join('\n'));
  assert.match(lines.at(-1) ?? '', /^… and 98\d more hosts, all within 2s$/);
  assert.ok(
    lines.some((line) => /^gone .* silent 1m40s$/.test(line)),
    lines.join('\n'),
  );
  const names = lines
    .slice(lines.findIndex((line) => line.startsWith('HOST')) + 1, -1)
    .map((line) => line.split(' ')[0]);
  assert.deepEqual(names.slice(0, 2), ['gone', 'web7']);
  assert.equal(screenOf(status, unlimited).filter((line) => line.startsWith('web')).length, 999);
});

test('silent and stopped hosts say since when; foreign names cannot act on the terminal', () => {
  const lines = screenOf(
    {
      receivers: [receiver({ id: 'r\u001B[2J', hasRoom: false })],
      hosts: [
        host({
          host: 'a\u001B[31m\nb',
          state: 'silent',
          lastSeen: at(130),
          files: null,
          lagBytes: null,
          risks: ['x\u0007y'],
        }),
        host({ host: 'c', state: 'stopped', lastSeen: at(86_400) }),
      ],
      stream: stream(),
    },
    unlimited,
  );
  const text = lines.join('\n');
  assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
  assert.match(text, /x\\x07y/);
  assert.match(text, /a\\x1b\[31m\\x0ab .*silent since 2026-11-21T05:57:50Z \(2m10s\)/);
  assert.match(text, /^c .*stopped 2026-11-20T06:00:00Z \(1d\)$/m);
  assert.match(text, /no room: /);
  assert.match(text, /^2 hosts: 1 silent, 1 stopped$/m);
});

test('colours only where they are asked for', () => {
  const status = { receivers: [], hosts: [], stream: stream({ risks: ['a'] }) };
  assert.equal(screenOf(status, unlimited).join('\n').includes('\u001B'), false);
  assert.ok(
    screenOf(status, { ...unlimited, isColoured: true })
      .join('\n')
      .includes('\u001B[31m'),
  );
  assert.match(screenOf(status, unlimited).join('\n'), /no host is registered/);
});

test('the order of hosts: risks, silent, furthest behind, stopped', () => {
  const order = worstHosts([
    host({ host: 'stopped', state: 'stopped' }),
    host({ host: 'fine' }),
    host({ host: 'behind', lagBytes: 10 }),
    host({ host: 'further', lagBytes: 100 }),
    host({ host: 'silent', state: 'silent' }),
    host({ host: 'risk', risks: ['x'] }),
  ]).map((row) => row.host);
  assert.deepEqual(order, ['risk', 'silent', 'further', 'behind', 'fine', 'stopped']);
});

test('a table is as wide as its cells, or cut to a width, long columns first', () => {
  const columns = [
    { heading: 'NAME', isLong: true },
    { heading: 'N', isNumber: true },
  ];
  assert.deepEqual(
    table(columns, [
      ['a', '10'],
      ['bcd', '7'],
    ]),
    ['NAME   N', 'a     10', 'bcd    7'],
  );
  assert.deepEqual(table(columns, [['a-name-that-is-rather-long', '10']], 20), [
    'NAME               N',
    'a-name-that-is-…  10',
  ]);
  assert.equal(shortened('abc', 3), 'abc');
  assert.equal(shortened('abcd', 3), 'ab…');
});

function sumUp(each: Iterable<FileProgress>): FileSums['sums'] {
  const files = new FileSums();
  for (const one of each)
    files.add(one.size, one.published, one.committed, one.lagMs, one.error !== undefined, {
      progress: () => one,
    });
  return files.sums;
}

function* progress(count: number, pathLength: number): Generator<FileProgress> {
  for (let index = 0; index < count; index += 1)
    yield {
      path: `/${String(index).padStart(pathLength, 'ä')}`,
      file: `f${index}-0`,
      size: 1_000,
      published: 900,
      committed: 1_000 - (index % 1_000),
      lagBytes: index % 1_000,
      lagMs: index % 1_000,
      error: index === 5 ? 'E'.repeat(10_000) : undefined,
    };
}

test('50,000 files make a short answer: sums, and the worst, those with errors first', () => {
  const { worst, ...sums } = sumUp(progress(50_000, 100));
  assert.deepEqual(sums, {
    sizeBytes: 50_000_000,
    publishedBytes: 45_000_000,
    committedBytes: 50_000_000 - 50 * 499_500,
    lagBytes: 50 * 499_500,
    lagMs: 999,
    errors: 1,
    errorLagBytes: 5,
    unreadable: 0,
  });
  assert.equal(worst.length, MAX_WORST_FILES);
  assert.equal(worst[0]?.file, 'f5-0');
  assert.ok(worst.slice(1).every(({ lagBytes }) => lagBytes === 999));
});

test('whatever the length of paths, an answer is at most 64 KiB, and parses', () => {
  const { worst, ...sums } = sumUp(progress(100, 3_000));
  assert.ok(worst.length > 5 && worst.length < MAX_WORST_FILES);
  const status = { started: at(0), files: 100, ...sums, lostBytes: 0, held: false, worst };
  assert.ok(Buffer.byteLength(JSON.stringify(status)) <= MAX_STATUS_BYTES);
  const answer = {
    name: 'logferry-shipper',
    metadata: { host: 'web1', stream: 'LOGS', prefix: 'logs', machine: 'm' },
    endpoints: [{ name: 'status', data: status }],
  };
  const names = { stream: 'LOGS', prefix: 'logs' };
  const parsed = parseAnswer(JSON.parse(JSON.stringify(answer)), names);
  assert.equal(parsed?.kind === 'shipper' && parsed.metadata.host, 'web1');
  assert.equal(parseAnswer(answer, { stream: 'LOGS', prefix: 'other' }), undefined);
  for (const wrong of [
    null,
    { ...answer, name: 'logferry-receiver' },
    { ...answer, endpoints: [] },
    { ...answer, endpoints: [{ name: 'status', data: { ...status, files: -1 } }] },
    { ...answer, endpoints: [{ name: 'status', data: { ...status, lagMs: Number.NaN } }] },
    { ...answer, endpoints: [{ name: 'status', data: { ...status, worst: Array(21).fill(worst[0]) } }] },
  ])
    assert.equal(parseAnswer(wrong, names), undefined);
});

test('a receiver names at most 100 hosts with what is lost, those with most first', () => {
  const lost = new LostBytes();
  for (let index = 0; index < 20_000; index += 1) lost.add(`web${index}`, index);
  lost.add('web3', 1_000_000);
  assert.equal(lost.total, 1_000_000 + (20_000 * 19_999) / 2);
  const most = lost.most();
  assert.equal(most.length, 100);
  assert.deepEqual(most[0], { host: 'web3', bytes: 1_000_003 });
});
