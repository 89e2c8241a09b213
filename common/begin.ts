// What a shipper and a receiver do alike before they begin: the stream and its buckets are there, and the records are of
// this stream's partitions.

import { isUnanswered, MustWait } from './bucket.ts';
import { oneLine } from './errors.ts';
import type { Logger } from './log.ts';
import type { Link } from './nats.ts';
import { RecordStore, refuseOtherPartitions } from './record-store.ts';
import { untilAnswered } from './run.ts';
import { ensureStream, restorer, type SetupReport } from './stream.ts';
import { DEFAULT_PARTITIONS } from './topology.ts';

export interface Begun {
  readonly report: SetupReport;
  readonly store: RecordStore;
  /** Creates the stream and the buckets again, with the configuration last seen, when they have vanished. */
  readonly restoreVanished: () => Promise<void>;
}

/**
 * Undefined when the signal fires first. Throws as ensureStream and refuseOtherPartitions do.
 *
 * @param host whom a shipper ships as: it may not be allowed to read all records
 */
export async function begin(
  link: Link,
  names: { stream: string; prefix: string },
  log: Logger,
  signal: AbortSignal,
  host?: string,
): Promise<Begun | undefined> {
  let said = false;
  const setUp = async (): Promise<SetupReport> => {
    try {
      return await ensureStream(link, names, { defaultPartitions: DEFAULT_PARTITIONS });
    } catch (error) {
      if (error instanceof MustWait && !said) log.warn(`${oneLine(error)}; waiting for it`);
      said ||= error instanceof MustWait;
      throw error;
    }
  };
  const report = await untilAnswered(setUp, isUnanswered, signal);
  if (report === undefined) return undefined;
  for (const thing of report.created) log.info(`created ${thing}`);
  const store = new RecordStore(link, names.stream, log);
  const check = async (): Promise<void> => {
    await refuseOtherPartitions(store, report.topology, host);
  };
  await untilAnswered(check, isUnanswered, signal);
  const restoreVanished = restorer(link, report, (line) => {
    log.warn(line);
  });
  return { report, store, restoreVanished };
}
