// What `logferry doctor` thinks of a server, a stream and a fleet that were looked at. Pure.

import type { AccountStorage } from '../../common/nats/account.ts';
import { formatBytes, formatDuration } from '../../common/text/units.ts';
import { failure, type Finding, ok, skipped, warning } from './finding.ts';

const OLDEST = [2, 10] as const;
/** The newest that the tests ran with. */
const NEWEST = [2, 15] as const;

export function judgeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isBelow = ([a, b]: readonly [number, number]): boolean => major < a || (major === a && minor < b);
  if (isBelow(OLDEST))
    return failure(`nats-server is version ${version}`, 'logferry needs 2.10 or newer: upgrade nats-server');
  if (!isBelow([NEWEST[0], NEWEST[1] + 1]))
    return ok(`nats-server ${version}, newer than what logferry was tried with (${NEWEST.join('.')})`);
  return ok(`nats-server ${version}`);
}

/** From here on each commit and each chunk of a quiet file waits noticeably. */
const SLOW_MS = 250;

export function judgeRoundTrip(ms: number): Finding {
  const says = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms there and back`;
  return ms > SLOW_MS
    ? warning(
        says,
        'every chunk of a file waits for one: a nats-server nearby (a leaf node) would answer sooner',
      )
    : ok(says);
}

/** Chunks are 1 MiB of source; smaller messages are more of them. */
const GOOD_PAYLOAD = 1024 * 1024;
/** What a status and a record without its archives take. */
const LEAST_PAYLOAD = 64 * 1024;

export function judgeMaxPayload(bytes: number): Finding {
  const says = `messages up to ${formatBytes(bytes)}`;
  const raise = 'raise max_payload of nats-server to 1MB';
  if (bytes < LEAST_PAYLOAD) return failure(says, `records do not fit: ${raise}`);
  return bytes < GOOD_PAYLOAD
    ? warning(says, `chunks are smaller than they could be, and large records may not fit: ${raise}`)
    : ok(says);
}

const GOOD_CLOCK_MS = 1_000;
const BAD_CLOCK_MS = 60_000;

/**
 * @param offsetMs by how much this machine is ahead of the server
 * @param uncertainMs how far that may be off
 */
export function judgeClock(offsetMs: number, uncertainMs: number): Finding {
  const apart = Math.abs(offsetMs);
  const by = `${formatDuration(Math.round(apart))} ± ${Math.ceil(uncertainMs)} ms`;
  const says = `this clock is ${by} ${offsetMs < 0 ? 'behind' : 'ahead of'} the server's`;
  if (apart <= GOOD_CLOCK_MS + uncertainMs) return ok(says);
  const hint = 'run NTP (chrony, systemd-timesyncd) on both';
  return apart > BAD_CLOCK_MS + uncertainMs
    ? warning(
        says,
        `times in status and in names of segments mislead, and certificates may count as expired: ${hint}`,
      )
    : warning(says, hint);
}

export function judgeAccount({ maxStorage, usedStorage, tier }: AccountStorage): Finding {
  const where = tier === undefined ? '' : ` of tier ${tier}`;
  if (maxStorage < 0) return ok(`JetStream is enabled, ${formatBytes(usedStorage)}${where} used, no limit`);
  if (maxStorage === 0)
    return warning(
      `JetStream is enabled, but this account has no file storage${where}`,
      tier === undefined
        ? 'give it some'
        : 'give it some, or have a stream with as many copies as a tier of it: logferry setup --replicas N',
    );
  const says = `JetStream is enabled, ${formatBytes(usedStorage)} of ${formatBytes(maxStorage)}${where} used`;
  return usedStorage > 0.9 * maxStorage
    ? warning(says, "give the account or the server's store (max_file_store) more room")
    : ok(says);
}

/** What counts of a stream's configuration. */
export interface StreamFacts {
  readonly name: string;
  readonly retention: string;
  readonly discard: string;
  readonly storage: string;
  readonly replicas: number;
  readonly maxAgeMs: number;
  /** -1 for no limit. */
  readonly maxBytes: number;
  readonly maxMsgs: number;
  readonly maxMsgsPerSubject: number;
  readonly maxMsgSize: number;
  readonly allowDirect: boolean;
  readonly sealed: boolean;
  /** What it holds. */
  readonly bytes: number;
  readonly messages: number;
  readonly partitions: number;
}

/** Whether it is as `logferry setup` makes it; its subjects are. */
export function judgeStream(stream: StreamFacts): Finding {
  const remake = 'change it with nats stream edit, or make another with logferry setup --stream NAME';
  const wrong: string[] = [];
  if (stream.retention !== 'limits') wrong.push(`retention is ${stream.retention}, expected limits`);
  if (stream.discard !== 'old') wrong.push(`discard is ${stream.discard}, expected old`);
  if (stream.sealed) wrong.push('it is sealed, and takes nothing');
  if (stream.maxMsgsPerSubject > 0)
    wrong.push(`it keeps ${stream.maxMsgsPerSubject} messages of a subject, expected no limit`);
  if (stream.maxMsgSize > 0 && stream.maxMsgSize < GOOD_PAYLOAD)
    wrong.push(`its messages end at ${formatBytes(stream.maxMsgSize)}, expected no limit`);
  if (wrong.length > 0) return failure(`stream ${stream.name}: ${wrong.join('; ')}`, remake);
  const says = `stream ${stream.name}, ${stream.partitions} partitions`;
  if (stream.storage !== 'file')
    return warning(
      `${says}, in memory`,
      'a restart of nats-server loses it; what the files still hold is sent again',
    );
  if (!stream.allowDirect)
    return warning(
      `${says}, without allow_direct`,
      'a shipper in an account of its own cannot read it: set it with nats stream edit',
    );
  return ok(says);
}

/** @param servers of the cluster that this one knows, itself included */
export function judgeReplicas(replicas: number, servers: number, missing: readonly string[]): Finding {
  if (missing.length > 0)
    return warning(`replicas that are offline or behind: ${missing.join(', ')}`, 'look at those servers');
  if (replicas > 1 || servers < 3)
    return ok(
      `${replicas === 1 ? 'one copy' : `${replicas} copies`} on ${servers === 1 ? 'one server' : `${servers} servers`}`,
    );
  return warning(
    `one copy in a cluster of ${servers} servers`,
    'while its server is away nothing is shipped: logferry setup --replicas 3 --alter',
  );
}

const SHORT_AGE_MS = 86_400_000;

export function judgeLimits({ maxBytes, maxAgeMs, bytes }: StreamFacts, account: AccountStorage): Finding {
  const free = account.maxStorage < 0 ? Number.POSITIVE_INFINITY : account.maxStorage - account.usedStorage;
  const age = maxAgeMs === 0 ? 'for ever' : `for ${formatDuration(maxAgeMs)}`;
  const most = maxBytes < 0 ? 'no limit of size' : `at most ${formatBytes(maxBytes)}`;
  const says = `kept ${age}, ${most}`;
  if (maxBytes < 0)
    return warning(says, 'it may fill the disk of nats-server: logferry setup --max-bytes SIZE --alter');
  if (maxBytes - bytes > free)
    return warning(
      `${says}, but the account has only ${formatBytes(Math.max(0, free))} left`,
      'make room there, or logferry setup --max-bytes SIZE --alter',
    );
  if (maxAgeMs > 0 && maxAgeMs < SHORT_AGE_MS)
    return warning(
      says,
      'a receiver that is away for longer misses messages, and shippers send them again: logferry setup --max-age 7d --alter',
    );
  return ok(says);
}

const NEARLY_FULL = 0.8;

export function judgeFullness({ bytes, maxBytes, messages, maxMsgs }: StreamFacts): Finding {
  const share = Math.max(maxBytes > 0 ? bytes / maxBytes : 0, maxMsgs > 0 ? messages / maxMsgs : 0);
  const says = `holds ${formatBytes(bytes)} in ${messages} messages, ${Math.round(share * 100)} % of what it may`;
  return share > NEARLY_FULL
    ? warning(
        says,
        'it drops its oldest messages when full, and shippers hold back before: logferry status says who waits',
      )
    : ok(says);
}

export interface FleetFacts {
  readonly shippers: number;
  readonly receivers: number;
  readonly silent: readonly string[];
  /** Source files of all shippers that answer. */
  readonly files: number;
}

export function judgeFleet({ shippers, receivers, silent, files }: FleetFacts): Finding {
  const says = `${counted(receivers, 'receiver')} and ${counted(shippers, 'shipper')} with ${counted(files, 'file')} answer`;
  if (silent.length > 0) {
    const some = `${silent.slice(0, 5).join(', ')}${silent.length > 5 ? ', …' : ''}`;
    return warning(
      `${says}; silent: ${some}`,
      'look at those machines; logferry status --forget HOST for what is gone for good',
    );
  }
  if (receivers === 0) return warning(says, 'what is shipped waits in the stream: start logferry receive');
  if (shippers === 0) return warning(says, 'nothing is shipped: start logferry ship');
  return ok(says);
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** @param refused subjects that this user may not use, as `publish <subject>` */
export function judgePermissions(role: string, refused: readonly string[], isWanted: boolean): Finding {
  if (refused.length === 0) return ok(`this user may be ${role}`);
  const some = `${refused.slice(0, 4).join(', ')}${refused.length > 4 ? ` and ${refused.length - 4} more` : ''}`;
  const says = `this user may not be ${role}: refused ${some}`;
  return isWanted
    ? failure(says, 'logferry permissions prints what it needs')
    : skipped(`this user may not be ${role}; as whom it may ship, --host asks`);
}
