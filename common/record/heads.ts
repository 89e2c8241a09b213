// Who owns each partition and how far it has processed the stream: the heads of all records, without their files. What
// has not changed since the last look is not decoded again. Never sets anything.

import { z } from 'zod';

import { scanBucket } from '../nats/bucket-scan.ts';
import { LogferryError } from '../runtime/errors.ts';
import type { Link } from '../nats/connection.ts';
import { RECORD_VERSION } from './encoding.ts';
import { type StreamPosition } from './record.ts';
import { unpackRecord } from './store.ts';
import { partitionOfKey, partitionsBucket } from '../wire/topology.ts';
import { parseAs, parseJson, refuseNewer } from '../runtime/json.ts';

export interface RecordHead {
  /** The receiver that owns the partition, null when it was released. */
  readonly owner: string | null;
  readonly stream: StreamPosition;
}

const schema = z.object({
  owner: z.string().nullable(),
  stream: z.object({ created: z.string(), seq: z.int().min(0) }),
});

export class RecordHeads {
  readonly #known = new Map<number, { readonly revision: number; readonly head: RecordHead | undefined }>();

  /**
   * By partition; those without a record, or with one that does not parse, are left out. Throws `newer` for a record
   * of a later version, `unreachable` without an answer.
   */
  async read(link: Link, stream: string): Promise<Map<number, RecordHead>> {
    const bucket = partitionsBucket(stream);
    const heads = new Map<number, RecordHead>();
    for (const { key, data, revision } of await scanBucket(link, bucket, '*')) {
      const partition = partitionOfKey(key);
      if (partition === undefined || data === undefined) continue;
      let known = this.#known.get(partition);
      if (known?.revision !== revision) {
        known = { revision, head: headOf(data, `the record ${key} in bucket ${bucket}`) };
        this.#known.set(partition, known);
      }
      if (known.head !== undefined) heads.set(partition, known.head);
    }
    return heads;
  }
}

function headOf(data: Uint8Array, what: string): RecordHead | undefined {
  try {
    const value = parseJson(unpackRecord(data));
    refuseNewer(value, RECORD_VERSION, what);
    return parseAs(schema, value);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'newer') throw error;
    // Its owner sets it aside and makes another; until then nobody knows.
    if (error instanceof Error) return undefined;
    throw error;
  }
}
