// What is on its way: published to the stream, not yet committed by a receiver. Looks at the stream and at the record
// as any other client could; never changes either.

import { HEADER } from '../../common/wire/chunk.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { type Link, openLink } from '../../common/nats/connection.ts';
import { RecordStore } from '../../common/record/store.ts';
import { isUnanswered } from '../../common/nats/bucket.ts';
import { encodeToken, fileKey, parseStoredSubject, partitionOf } from '../../common/wire/subjects.ts';
import { DEFAULT_STREAM } from '../../common/wire/topology.ts';
import { tuning } from '../../common/runtime/tuning.ts';

const PREFIX = DEFAULT_STREAM.toLowerCase();

export interface Flight {
  readonly messages: number;
  readonly bytes: number;
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
   * What is published and not committed. The stream is read first: what is committed in between does not count, so
   * this is never more than there really is.
   */
  async inFlight(): Promise<Flight> {
    try {
      const published = new Map<string, number>();
      const filter = `${PREFIX}.${this.#partition}.${encodeToken(this.#host)}.>`;
      const { state } = await this.#link.jsm.streams.info(DEFAULT_STREAM, { subjects_filter: filter });
      let newest = state.last_seq;
      for (const subject of Object.keys(state.subjects ?? {})) {
        const source = parseStoredSubject(PREFIX, subject);
        const last = await this.#link.jsm.streams.getMessage(DEFAULT_STREAM, { last_by_subj: subject });
        newest = Math.max(newest, last?.seq ?? 0);
        const end = /-(\d+)$/.exec(last?.header.get(HEADER.range) ?? '')?.[1];
        if (source !== undefined && end !== undefined)
          published.set(fileKey(source.host, source.file), Number(end));
      }
      const { offsets, sequence } = await this.#record();
      let bytes = 0;
      for (const [file, end] of published) bytes += Math.max(0, end - (offsets.get(file) ?? 0));
      return { messages: Math.max(0, newest - sequence), bytes };
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      return { messages: 0, bytes: 0 };
    }
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
