// What a stream holds that no record says is committed, by the last message of each generation. Never writes.

import { parseChunk } from '../../common/wire/chunk.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Link } from '../../common/nats/connection.ts';
import type { FileEntry } from '../../common/record/record.ts';
import { fileKey, parseStoredSubject } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { readStream } from '../../common/stream/read.ts';

/** Messages without their payloads. */
const SCAN_BYTES = 1024 * 1024;
/** How many bytes a message has that came without them. */
const SIZE_HEADER = 'Nats-Msg-Size';

export interface Uncommitted {
  readonly host: string;
  readonly path: string;
  /** Source bytes; 0 when only the end of the file is not known. */
  readonly bytes: number;
}

/**
 * Generations of which a message up to `lastSeq` says more than the records do. Throws the signal's reason.
 *
 * @param entryOf what the records say of a fileKey
 */
export async function uncommittedIn(
  link: Link,
  { stream, prefix }: Topology,
  lastSeq: number,
  entryOf: (key: string) => FileEntry | undefined,
  signal: AbortSignal,
): Promise<Uncommitted[]> {
  const found = new Map<string, Uncommitted>();
  const options = { stream, subjects: [`${prefix}.>`], until: lastSeq, bytes: SCAN_BYTES, headersOnly: true };
  for await (const deliveries of readStream(link, { ...options, from: 'last of each' }, signal))
    for (const { subject, header } of deliveries) {
      const source = parseStoredSubject(prefix, subject);
      if (source === undefined) continue;
      const key = fileKey(source.host, source.file);
      const entry = entryOf(key);
      try {
        const { kind, begin, end } = parseChunk(header, Number(header(SIZE_HEADER)));
        const bytes = end - (entry?.offset ?? begin);
        const isEndUnknown = kind === 'end' && entry?.final === null;
        if (bytes > 0 || isEndUnknown)
          found.set(key, { host: source.host, path: source.path, bytes: Math.max(0, bytes) });
      } catch (error) {
        // A foreign client's: nobody will ever write it.
        if (!(error instanceof LogferryError) || error.code !== 'corrupt') throw error;
      }
    }
  signal.throwIfAborted();
  return [...found.values()];
}
