// What has to be verified by what the records say: every generation that is committed, and who has to hold its bytes.
// Never writes.

import { LogferryError } from '../common/errors.ts';
import type { ByteRange } from '../common/ranges.ts';
import type { FileEntry } from '../common/record.ts';
import type { RecordStore } from '../common/record-store.ts';
import { sourceOf } from '../common/subjects.ts';
import { partitionOfKey } from '../common/topology.ts';
import type { Wanted } from './verify-sides.ts';

/** By host and path. Throws `failed` when there are no records at all. */
export async function wantedByRecords(
  store: RecordStore,
  isSelected: (host: string, path: string) => boolean,
): Promise<Wanted[]> {
  if ((await store.info()) === undefined)
    throw new LogferryError(
      'failed',
      `there is no bucket ${store.bucket.name}: nothing was ever committed`,
      'check --stream and --server',
    );
  const wanted: Wanted[] = [];
  for (const key of await store.bucket.keys('*')) {
    const partition = partitionOfKey(key);
    if (partition === undefined) continue;
    const { record } = await store.read(partition);
    for (const [file, entry] of record?.files ?? []) {
      const { host, id } = sourceOf(file);
      if (isSelected(host, entry.path)) wanted.push(wantedOf(host, id, entry));
    }
  }
  return wanted.toSorted((a, b) => compare(a.host, b.host) || compare(a.path, b.path));
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
