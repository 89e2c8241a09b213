// What a shipper and a receiver do alike before they begin: the stream and its buckets are there, and the records are of
// this stream's partitions.

import { isUnanswered, MustWait } from '../nats/bucket.ts';
import { messageOf, oneLine } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import type { Link } from '../nats/connection.ts';
import { RecordStore, refuseOtherPartitions } from './store.ts';
import { untilAnswered } from '../runtime/run.ts';
import { createdAgain, ensureStream, restorer, type SetupReport } from '../stream/stream.ts';
import { StreamMemory } from '../stream/memory.ts';
import { tuning } from '../runtime/tuning.ts';

export interface Begun {
  readonly report: SetupReport;
  readonly store: RecordStore;
  /** Creates the stream and the buckets again, with the configuration last seen, when they have vanished. */
  readonly restoreVanished: () => Promise<void>;
}

/** Who begins. */
export interface Beginner {
  /** Where it keeps what the stream was like. */
  readonly directory: string;
  /** Whom a shipper ships as: it may not be allowed to read all records. Undefined for a receiver. */
  readonly host?: string;
  /** At a leaf node, whose stream is brought into the central one: there are no records here. */
  readonly edge?: boolean;
}

/**
 * Undefined when the signal fires first. Throws as ensureStream and refuseOtherPartitions do. A stream that is missing
 * is created as it was when it was seen last from here; what cannot be created now is waited for.
 */
export async function begin(
  link: Link,
  names: { stream: string; prefix: string },
  { directory, host, edge = false }: Beginner,
  log: Logger,
  signal: AbortSignal,
): Promise<Begun | undefined> {
  const memory = await StreamMemory.open(directory, names.stream, log);
  const before = memory.likeness;
  const wishes = { defaultPartitions: tuning.partitions, before, edge };
  let said = false;
  const setUp = async (): Promise<SetupReport> => {
    try {
      return await ensureStream(link, names, wishes);
    } catch (error) {
      const mustWait = error instanceof MustWait;
      const what = mustWait ? oneLine(error) : `no answer about stream ${names.stream} (${messageOf(error)})`;
      if (isUnanswered(error) && !said) log.warn(`${what}; waiting for it`);
      said ||= isUnanswered(error);
      throw error;
    }
  };
  const report = await untilAnswered(setUp, isUnanswered, signal);
  if (report === undefined) return undefined;
  const { created, likeness, topology } = report;
  if (created.length > 0 && before !== undefined) log.warn(createdAgain(created, likeness));
  else for (const thing of created) log.info(`created ${thing}`);
  const store = new RecordStore(link, names.stream, log, host);
  const check = async (): Promise<void> => {
    await refuseOtherPartitions(store, topology, host);
  };
  if (!edge) await untilAnswered(check, isUnanswered, signal);
  await memory.remember(likeness);
  const restoreVanished = restorer(link, report, memory, (line) => {
    log.warn(line);
  });
  return { report, store, restoreVanished };
}
