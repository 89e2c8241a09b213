// What `logferry doctor` thinks of what it has seen: what no test can set up (limits of the kernel, a wrong clock, a full
// disk, a cluster) is judged here.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { type Finding, lineOf } from '../../../cli/doctor/finding.ts';
import { type DirectoryFacts, judgeDirectory, judgeSpace } from '../../../cli/doctor/directories.ts';
import { type FilesFacts, judgeFiles } from '../../../cli/doctor/files.ts';
import { judgeDescriptors } from '../../../cli/doctor/descriptors.ts';
import { judgeInotify } from '../../../cli/doctor/inotify.ts';
import { judgeMemory, judgeNode } from '../../../cli/doctor/machine.ts';
import { judgeAccount, judgeMaxPayload, judgeRoundTrip, judgeVersion } from '../../../cli/doctor/server.ts';
import { judgeClock } from '../../../cli/doctor/clock.ts';
import { judgeFleet } from '../../../cli/doctor/fleet.ts';
import {
  judgeFullness,
  judgeLimits,
  judgeReplicas,
  judgeStream,
  type StreamFacts,
} from '../../../cli/doctor/stream.ts';
import { judgePermissions } from '../../../cli/doctor/permissions.ts';

const GIB = 1024 ** 3;

function finds(finding: Finding, level: Finding['level'], pattern: RegExp = /./): void {
  const text = `${finding.says}${finding.hint === undefined ? '' : `: ${finding.hint}`}`;
  assert.equal(finding.level, level, text);
  assert.match(text, pattern);
  // Whoever is told that something is wrong is told what to do.
  if (level === 'warning' || level === 'failure') assert.ok((finding.hint ?? '').length > 5, text);
}

const STREAM: StreamFacts = {
  name: 'LOGS',
  retention: 'limits',
  discard: 'old',
  storage: 'file',
  replicas: 1,
  maxAgeMs: 7 * 86_400_000,
  maxBytes: 50 * GIB,
  maxMsgs: -1,
  maxMsgsPerSubject: -1,
  maxMsgSize: -1,
  allowDirect: true,
  sealed: false,
  bytes: GIB,
  messages: 1_000,
  partitions: 64,
};
const ACCOUNT = { maxStorage: 100 * GIB, usedStorage: 10 * GIB, tier: undefined };

describe('what doctor thinks of a server', () => {
  test('version, round trip, max payload, clock', () => {
    finds(judgeVersion('2.9.25'), 'failure', /2\.10 or newer/);
    finds(judgeVersion('1.4.1'), 'failure');
    finds(judgeVersion('2.10.0'), 'ok');
    finds(judgeVersion('2.15.1-beta.2'), 'ok', /^nats-server 2\.15\.1-beta\.2$/);
    finds(judgeVersion('3.0.0'), 'ok', /newer than/);
    finds(judgeRoundTrip(0.3), 'ok', /^0\.3 ms/);
    finds(judgeRoundTrip(400), 'warning', /^400 ms/);
    finds(judgeMaxPayload(1_048_576), 'ok');
    finds(judgeMaxPayload(65_536), 'warning');
    finds(judgeMaxPayload(4_096), 'failure');
    finds(judgeClock(3, 1), 'ok', /ahead of/);
    finds(judgeClock(-900, 1), 'ok', /behind/);
    finds(judgeClock(-5_000, 1), 'warning', /5s ± 1 ms behind the server's: run NTP/);
    finds(judgeClock(5_000, 6_000), 'ok');
    finds(judgeClock(3_600_000, 10), 'warning', /certificates/);
  });

  test('account, limits, fullness', () => {
    finds(judgeAccount(ACCOUNT), 'ok');
    finds(judgeAccount({ ...ACCOUNT, maxStorage: -1, usedStorage: 0 }), 'ok', /no limit/);
    finds(judgeAccount({ ...ACCOUNT, maxStorage: 10, usedStorage: 10 }), 'warning', /max_file_store/);
    finds(judgeAccount({ ...ACCOUNT, tier: 'R3' }), 'ok', /10\.0 GiB of 100\.0 GiB of tier R3 used/);
    finds(judgeAccount({ ...ACCOUNT, maxStorage: 0, tier: 'R1' }), 'warning', /no file storage of tier R1/);
    finds(judgeAccount({ ...ACCOUNT, maxStorage: 0 }), 'warning', /no file storage: give/);
    finds(judgeLimits(STREAM, ACCOUNT), 'ok', /7d.*50\.0 GiB/);
    finds(judgeLimits({ ...STREAM, maxBytes: -1 }, ACCOUNT), 'warning', /may fill the disk/);
    finds(
      judgeLimits(STREAM, { ...ACCOUNT, maxStorage: 20 * GIB, usedStorage: 10 * GIB }),
      'warning',
      /only 10\.0 GiB left/,
    );
    // What it holds is counted in what is used.
    finds(
      judgeLimits(
        { ...STREAM, bytes: 45 * GIB },
        { ...ACCOUNT, maxStorage: 60 * GIB, usedStorage: 50 * GIB },
      ),
      'ok',
    );
    finds(judgeLimits({ ...STREAM, maxAgeMs: 3_600_000 }, ACCOUNT), 'warning', /1h/);
    finds(judgeLimits({ ...STREAM, maxAgeMs: 0 }, ACCOUNT), 'ok', /for ever/);
    finds(judgeFullness(STREAM), 'ok', /2 % of what it may/);
    finds(judgeFullness({ ...STREAM, bytes: 45 * GIB }), 'warning', /90 %/);
    finds(judgeFullness({ ...STREAM, maxMsgs: 1_000 }), 'warning', /100 %/);
    finds(judgeFullness({ ...STREAM, maxBytes: -1 }), 'ok', /0 %/);
  });

  test('a stream that is not as setup makes it', () => {
    finds(judgeStream(STREAM), 'ok', /64 partitions/);
    finds(judgeStream({ ...STREAM, retention: 'workqueue' }), 'failure', /retention is workqueue/);
    finds(judgeStream({ ...STREAM, discard: 'new' }), 'failure', /discard is new/);
    finds(judgeStream({ ...STREAM, sealed: true }), 'failure', /sealed/);
    finds(judgeStream({ ...STREAM, maxMsgsPerSubject: 1 }), 'failure', /1 messages of a subject/);
    finds(judgeStream({ ...STREAM, maxMsgSize: 1_000 }), 'failure', /1000 B/);
    finds(judgeStream({ ...STREAM, storage: 'memory' }), 'warning', /in memory/);
    finds(judgeStream({ ...STREAM, allowDirect: false }), 'warning', /allow_direct/);
  });

  test('replicas, permissions, the fleet', () => {
    finds(judgeReplicas(1, 1, []), 'ok', /one copy on one server/);
    finds(judgeReplicas(1, 3, []), 'warning', /setup --replicas 3 --alter/);
    finds(judgeReplicas(3, 3, []), 'ok');
    finds(judgeReplicas(3, 3, ['n2']), 'warning', /n2/);
    finds(judgePermissions('a receiver', [], true), 'ok');
    finds(
      judgePermissions('a receiver', ['publish a', 'publish b'], true),
      'failure',
      /refused publish a, publish b/,
    );
    finds(judgePermissions('a receiver', ['1', '2', '3', '4', '5', '6'], true), 'failure', /4 and 2 more/);
    finds(judgePermissions('a receiver', ['publish a'], false), 'skipped');
    const fleet = { shippers: 2, receivers: 1, silent: [], files: 7 };
    finds(judgeFleet(fleet), 'ok', /^1 receiver and 2 shippers with 7 files answer$/);
    finds(judgeFleet({ ...fleet, receivers: 0 }), 'warning', /start logferry receive/);
    finds(judgeFleet({ ...fleet, shippers: 0 }), 'warning', /start logferry ship/);
    finds(judgeFleet({ ...fleet, silent: ['web7'] }), 'warning', /silent: web7/);
  });
});

const DIRECTORY: DirectoryFacts = {
  wanted: '/var/lib/x',
  found: '/var/lib/x',
  isDirectory: true,
  refusal: undefined,
  uid: 1_000,
  ownUid: 1_000,
  mode: 0o700,
  isRemote: false,
  hasBirthTimes: true,
  freeBytes: 50 * GIB,
  totalBytes: 100 * GIB,
  freeInodes: 1_000_000,
  totalInodes: 2_000_000,
  isInUse: false,
};
const FILES: FilesFacts = {
  globs: ['/var/log/*.log'],
  files: 3,
  unreadable: [],
  others: 0,
  closed: [],
  hasBirthTimes: true,
  remote: [],
};

describe('what doctor thinks of a machine', () => {
  test('Node and memory', () => {
    finds(judgeNode('24.1.0'), 'ok');
    finds(judgeNode('22.22.0'), 'ok');
    finds(judgeNode('22.21.9'), 'failure', /22\.22 or newer/);
    finds(judgeMemory(GIB, undefined), 'ok');
    finds(judgeMemory(GIB / 8, undefined), 'warning');
    finds(judgeMemory(GIB, GIB / 8), 'warning', /limited to 128\.0 MiB/);
  });

  test('directories and their room', () => {
    finds(judgeDirectory('--out', DIRECTORY), 'ok', /^--out \/var\/lib\/x is writable$/);
    finds(judgeDirectory('--out', { ...DIRECTORY, isInUse: true }), 'ok', /in use by a running logferry/);
    finds(
      judgeDirectory('--out', { ...DIRECTORY, found: '/var/lib', uid: 0, mode: 0o755 }),
      'ok',
      /will be made/,
    );
    finds(judgeDirectory('--out', { ...DIRECTORY, isDirectory: false }), 'failure', /no directory/);
    finds(judgeDirectory('--out', { ...DIRECTORY, refusal: 'EROFS' }), 'failure', /EROFS/);
    finds(judgeDirectory('--out', { ...DIRECTORY, isRemote: true }), 'warning', /local disk/);
    finds(judgeDirectory('--out', { ...DIRECTORY, uid: 0 }), 'warning', /belongs to user 0, this is 1000/);
    finds(judgeDirectory('--out', { ...DIRECTORY, mode: 0o777 }), 'warning', /chmod o-w/);
    finds(judgeSpace('--out', DIRECTORY), 'ok');
    finds(judgeSpace('--out', { ...DIRECTORY, freeBytes: 1_000 }), 'failure', /make room/);
    finds(judgeSpace('--out', { ...DIRECTORY, freeBytes: 4 * GIB }), 'warning', /--keep-total/);
    finds(judgeSpace('--out', { ...DIRECTORY, freeInodes: 0 }), 'failure', /no inode/);
    finds(judgeSpace('--out', { ...DIRECTORY, freeInodes: 1_000 }), 'warning', /1000 inodes/);
    // btrfs has no fixed number.
    finds(judgeSpace('--out', { ...DIRECTORY, freeInodes: 0, totalInodes: 0 }), 'ok');
  });

  test('files', () => {
    finds(judgeFiles(FILES), 'ok', /^3 files to ship, all readable$/);
    finds(judgeFiles({ ...FILES, files: 0 }), 'warning', /no file matches \/var\/log\/\*\.log/);
    const unreadable = [
      { path: '/var/log/syslog', group: 'adm' },
      { path: '/var/log/b', group: undefined },
    ];
    finds(
      judgeFiles({ ...FILES, unreadable }),
      'failure',
      /^\/var\/log\/syslog and 1 more may not be read.*group adm, or give the daemon CAP_DAC_READ_SEARCH/,
    );
    finds(judgeFiles({ ...FILES, closed: ['/srv/app'] }), 'failure', /^\/srv\/app may not be listed/);
    finds(judgeFiles({ ...FILES, remote: ['/mnt'] }), 'warning', /remote/);
    finds(judgeFiles({ ...FILES, hasBirthTimes: false }), 'warning', /birth times/);
  });

  test('limits of the system', () => {
    const inotify = { maxWatches: 8_192, maxInstances: 128, directories: 10, instances: 3 };
    finds(judgeInotify(inotify), 'ok', /^10 directories to watch, 8192 may be$/);
    finds(judgeInotify({ ...inotify, directories: 1 }), 'ok', /^one directory/);
    finds(judgeInotify({ ...inotify, directories: 9_000 }), 'warning', /max_user_watches=32768/);
    finds(judgeInotify({ ...inotify, instances: 128 }), 'warning', /max_user_instances=256/);
    finds(judgeDescriptors(1_024, undefined, undefined), 'ok');
    finds(judgeDescriptors(1_024, 900, undefined), 'ok');
    finds(judgeDescriptors(1_024, 1_000, undefined), 'warning', /LimitNOFILE=/);
    finds(judgeDescriptors(1_024, undefined, 1_000), 'warning', /1000 destinations/);
    finds(judgeDescriptors(Number.POSITIVE_INFINITY, 1e6, 1e6), 'ok', /any number/);
  });

  test('a line reads in a pipe, and is one whatever is in it', () => {
    const finding = { level: 'failure' as const, says: 'a\u001B[2Jb\nc', hint: 'do it' };
    assert.equal(lineOf('x', 3, finding, false), String.raw`FAILURE  x    a\x1b[2Jb\x0ac: do it`);
    assert.ok(lineOf('x', 3, finding, true).startsWith('\u001B[1;31mFAILURE '));
  });
});
