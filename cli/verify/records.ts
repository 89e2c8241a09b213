// What has to be verified by what the records say: every generation that is committed, and who has to hold its bytes.
// Writes nothing but a copy of a record that does not parse, as everybody does who finds one.

import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import type { Link } from '../../common/nats/connection.ts';
import type { ByteRange } from '../../common/wire/ranges.ts';
import type { FileEntry } from '../../common/record/record.ts';
import { RecordStore } from '../../common/record/store.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { sourceOf } from '../../common/wire/subjects.ts';
import { partitionOfKey } from '../../common/wire/topology.ts';
import type { Wanted } from './sides.ts';

export interface Committed {
  /** By host and path. */
  readonly wanted: readonly Wanted[];
  /** The records that nobody can read, one for each partition. */
  readonly unread: readonly LogferryError[];
}

/** Throws `failed` when nothing is committed, though something was shipped. */
export async function wantedByRecords(
  link: Link,
  stream: string,
  log: Logger,
  isSelected: (host: string, path: string) => boolean,
): Promise<Committed> {
  const store = new RecordStore(link, stream, log);
  const { name: bucket } = store.bucket;
  if ((await store.info()) === undefined)
    throw new LogferryError(
      'failed',
      `there is no bucket ${bucket}: nothing was ever committed`,
      'check --stream and --server',
    );
  const wanted: Wanted[] = [];
  const unread: LogferryError[] = [];
  let generations = 0;
  for (const key of await store.bucket.keys('*')) {
    const partition = partitionOfKey(key);
    if (partition === undefined) continue;
    const { record } = await store.read(partition);
    if (record === undefined) unread.push(unreadRecord(key, bucket));
    for (const [file, entry] of record?.files ?? []) {
      const { host, id } = sourceOf(file);
      generations += 1;
      if (isSelected(host, entry.path)) wanted.push(wantedOf(host, id, entry));
    }
  }
  if (generations === 0 && unread.length === 0) await refuseLoss(link, stream, bucket);
  return { wanted: wanted.toSorted((a, b) => compare(a.host, b.host) || compare(a.path, b.path)), unread };
}

function unreadRecord(key: string, bucket: string): LogferryError {
  return new LogferryError(
    'failed',
    `the record ${key} in bucket ${bucket} was deleted or does not parse: what is committed of its hosts is not verified`,
    'start the receivers, they rebuild it from their ledgers',
  );
}

/** That nothing is committed is as it should be only where nothing was ever shipped. */
async function refuseLoss(link: Link, stream: string, bucket: string): Promise<void> {
  const last = (await streamInfo(link, stream))?.state.last_seq;
  if (last === 0) return;
  const had = last === undefined ? 'is not there' : `had ${last} messages`;
  throw new LogferryError(
    'failed',
    `nothing was verified: bucket ${bucket} names no committed file, and stream ${stream} ${had}`,
    'start the receivers, they commit what they have and what comes',
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function wantedOf(host: string, file: string, entry: FileEntry): Wanted {
  const { path, offset, tail, held, after } = entry;
  // Before the first holder nothing was ever shipped.
  const begin = held[0]?.[1] ?? offset;
  return {
    ...{ host, path, file, tail, committed: offset },
    expected: begin < offset ? [[begin, offset] satisfies ByteRange] : [],
    mayBeginLater: after === null && held[0]?.[0] === null,
    directories: held.map(([term, from]) => [term?.split('.')[0], from]),
  };
}
