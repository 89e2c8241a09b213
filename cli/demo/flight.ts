// What is on its way: published to the stream, not yet committed by a receiver. Looks at the stream and at the record
// as any other client could; never changes either.

import { Bundle, BUNDLE_HEADER, ifOurs } from '../../common/wire/bundle.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { type Link, openLink } from '../../common/nats/connection.ts';
import { RecordStore } from '../../common/record/store.ts';
import { isUnanswered } from '../../common/nats/bucket.ts';
import { type ByteRange, bytesOf, joinRanges } from '../../common/wire/ranges.ts';
import { fileKey, partitionOf, storedSubjects } from '../../common/wire/subjects.ts';
import { DEFAULT_STREAM } from '../../common/wire/topology.ts';
import { tuning } from '../../common/runtime/tuning.ts';

const PREFIX = DEFAULT_STREAM.toLowerCase();
/** More are not looked at: what is shown is to be shown soon. */
const MOST_MESSAGES = 500;

export interface Flight {
  readonly messages: number;
  readonly bytes: number;
}

/** A chunk of data that is in the stream. */
interface Published {
  readonly seq: number;
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** Follows one host, the only one of its stream. */
export class FlightWatch {
  readonly #link: Link;
  readonly #records: RecordStore;
  readonly #partition: number;
  readonly #host: string;

  private constructor(link: Link, host: string) {
    this.#link = link;
    this.#host = host;
    this.#partition = partitionOf(host, tuning.partitions);
    this.#records = new RecordStore(link, DEFAULT_STREAM, silentLogger());
  }

  static async open(server: string, host: string, signal: AbortSignal): Promise<FlightWatch> {
    return new FlightWatch(
      await openLink({ server }, { name: 'logferry demo', log: silentLogger(), signal }),
      host,
    );
  }

  /** Bytes of all files that are on a receiver's disk and in the record. 0 before there is a stream. */
  async committed(): Promise<number> {
    const { offsets } = await this.#record();
    return [...offsets.values()].reduce((sum, offset) => sum + offset, 0);
  }

  /**
   * What is published and not committed. The stream is read before the record: what is committed in between does not
   * count, so this is never more than there really is.
   */
  async inFlight(): Promise<Flight> {
    try {
      const published = await this.#publishedBehind((await this.#record()).sequence);
      const { offsets, sequence } = await this.#record();
      const ranges = new Map<string, ByteRange[]>();
      for (const { file, start, end } of published) {
        const known = ranges.get(file) ?? [];
        ranges.set(file, [...known, [Math.max(start, offsets.get(file) ?? 0), end]]);
      }
      // What was sent twice is there once.
      const bytes = [...ranges.values()].reduce((sum, of) => sum + bytesOf(joinRanges(of)), 0);
      const messages = new Set(published.map(({ seq }) => seq).filter((seq) => seq > sequence));
      return { messages: messages.size, bytes };
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      return { messages: 0, bytes: 0 };
    }
  }

  /** What the messages of the host hold that came after this one. */
  async #publishedBehind(sequence: number): Promise<Published[]> {
    const subjects = storedSubjects({ prefix: PREFIX, partitions: tuning.partitions }, this.#host);
    const published: Published[] = [];
    for (let [seq, read] = [sequence, 0]; read < MOST_MESSAGES; read += 1) {
      const query = { seq: seq + 1, next_by_subj: subjects };
      const message = await this.#link.jsm.streams.getMessage(DEFAULT_STREAM, query);
      if (message === null) break;
      ({ seq } = message);
      const bundle = ifOurs(() => new Bundle(message.header.get(BUNDLE_HEADER), message.data));
      for (const { file, chunk } of bundle?.listed ?? [])
        if (chunk.kind === 'data')
          published.push({ seq, file: fileKey(this.#host, file), start: chunk.start, end: chunk.end });
    }
    return published;
  }

  async #record(): Promise<{ offsets: Map<string, number>; sequence: number }> {
    try {
      const { record } = await this.#records.read(this.#partition);
      const files = [...(record?.files ?? [])].map(([file, { offset }]) => [file, offset] as const);
      return { offsets: new Map(files), sequence: record?.stream.seq ?? 0 };
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      return { offsets: new Map(), sequence: 0 };
    }
  }

  async close(): Promise<void> {
    await this.#link.close();
  }
}
