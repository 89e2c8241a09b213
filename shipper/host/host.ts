// What the broker says about this host: the record and the stream, read together; commit notices. Everything that a
// repair is decided on comes from here.

import type { StreamInfo } from '@nats-io/jetstream';
import { z } from 'zod';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Link } from '../../common/nats/connection.ts';
import { type FileEntry, type PartitionRecord, type StreamPosition } from '../../common/record/record.ts';
import type { RecordStore } from '../../common/record/store.ts';
import { encodeToken, fileKey, partitionOf } from '../../common/wire/subjects.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { committedSubject, receivedSubject, type Topology } from '../../common/wire/topology.ts';
import { CentralSide } from './central.ts';
import type { StreamExtent } from './holding.ts';
import { HostLanes } from './host-lanes.ts';
import { parseJson } from '../../common/runtime/json.ts';

/** The record and the stream as they were read. */
export interface HostView {
  readonly created: string;
  readonly extent: StreamExtent;
  readonly processed: { readonly created: string; readonly seq: number } | undefined;
  /** False while nobody could be asked for the record, not even once: then nothing is known of any file. */
  readonly isRecordKnown: boolean;
  /** At an edge: what is not committed now was lost behind the local stream. */
  readonly isAtRest: boolean;
  readonly entry: (file: string) => FileEntry | undefined;
  /** File ids of this host that the record knows. */
  readonly files: () => Iterable<string>;
}

/** A commit notice: offsets by file id, null when the record does not know the file. */
export interface Notice {
  readonly stream: { readonly created: string; readonly seq: number };
  readonly files: Readonly<Record<string, number | null>>;
}

const positionSchema = z.object({ created: z.string(), seq: z.int().min(0) });
const noticeSchema = z.object({
  stream: positionSchema,
  files: z.record(z.string(), z.int().min(0).nullable()),
});

const SHARED_VIEW_MS = 1_000;

export class Host {
  readonly name: string;
  readonly topology: Topology;
  readonly link: Link;
  readonly lanes: HostLanes;
  readonly #records: RecordStore | CentralSide;
  readonly #partition: number;
  #shared: Promise<HostView | undefined> | undefined;
  #sharedAt = 0;

  /** @param records where they are: beside the stream, or at an edge on the central side */
  constructor(link: Link, topology: Topology, records: RecordStore | CentralSide, name: string) {
    this.link = link;
    this.topology = topology;
    this.name = name;
    this.lanes = new HostLanes(link, topology, name);
    this.#records = records;
    this.#partition = partitionOf(name, topology.partitions);
  }

  /**
   * Reads record and stream. Undefined when there is no answer, or no stream. At an edge the record is as it was when
   * the link was last up.
   */
  async view(): Promise<HostView | undefined> {
    try {
      return this.#records instanceof CentralSide
        ? await this.#viewAtEdge(this.#records)
        : await this.#viewHere(this.#records);
    } catch (error) {
      if (isUnanswered(error)) return undefined;
      throw error;
    }
  }

  async #viewHere(store: RecordStore): Promise<HostView | undefined> {
    const { link, topology } = this;
    const info = await streamInfo(link, topology.stream);
    if (info === undefined) return undefined;
    const { record } = await store.read(this.#partition);
    return { ...this.#of(info, record), processed: record?.stream, isRecordKnown: true, isAtRest: false };
  }

  async #viewAtEdge(side: CentralSide): Promise<HostView | undefined> {
    const { link, topology } = this;
    const seen = await side.view(async () => await streamInfo(link, topology.stream));
    if (seen === undefined) return undefined;
    const { local, central } = seen;
    const { processed, isAtRest = false, record } = central ?? {};
    return { ...this.#of(local, record), processed, isRecordKnown: central !== undefined, isAtRest };
  }

  #of(
    { created, state, config }: StreamInfo,
    record: PartitionRecord | undefined,
  ): Pick<HostView, 'created' | 'extent' | 'entry' | 'files'> {
    const prefix = fileKey(this.name, '');
    return {
      created,
      extent: {
        firstSeq: state.first_seq,
        lastSeq: state.last_seq,
        bytes: state.bytes,
        maxBytes: config.max_bytes,
        messages: state.messages,
        maxMessages: config.max_msgs,
      },
      entry: (file) => record?.files.get(prefix + file),
      files: function* files() {
        for (const key of record?.files.keys() ?? [])
          if (key.startsWith(prefix)) yield key.slice(prefix.length);
      },
    };
  }

  /**
   * The same as it was at most a second ago, or `unreachable`: thousands of files that go on at once share one
   * reading. An older offset only means a chunk that the receiver has already.
   */
  async needView(): Promise<HostView> {
    if (this.#shared === undefined || performance.now() - this.#sharedAt > SHARED_VIEW_MS) {
      this.#shared = this.view();
      this.#sharedAt = performance.now();
    }
    const view = await this.#shared;
    if (view === undefined) this.#shared = undefined;
    if (view === undefined) throw new LogferryError('unreachable', 'record and stream cannot be read');
    return view;
  }

  /** Calls back for every commit notice; returns how to stop. Notices that do not parse are nobody's. */
  onCommitted(notify: (notice: Notice) => void): () => void {
    return this.#listen(committedSubject(this.topology.prefix, this.name), noticeSchema, notify);
  }

  /** The same for what a receiver has written and not committed yet. */
  onReceived(notify: (position: StreamPosition) => void): () => void {
    return this.#listen(
      receivedSubject(this.topology.prefix, encodeToken(this.name)),
      positionSchema,
      notify,
    );
  }

  #listen<T>(subject: string, schema: z.ZodType<T>, notify: (notice: T) => void): () => void {
    const subscription = this.link.nc.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return;
        const notice = parseNotice(schema, message.string());
        if (notice !== undefined) notify(notice);
      },
    });
    return () => {
      subscription.unsubscribe();
    };
  }
}

function parseNotice<T>(schema: z.ZodType<T>, text: string): T | undefined {
  try {
    return schema.safeParse(parseJson(text)).data;
  } catch (error) {
    if (error instanceof LogferryError) return undefined;
    throw error;
  }
}
