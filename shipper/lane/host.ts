// What the broker says about this host: the record and the stream, read together; commit notices; the last message of
// a subject. Everything that a repair is decided on comes from here.

import type { StreamInfo } from '@nats-io/jetstream';
import { z } from 'zod';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { type Chunk, parseChunk } from '../../common/wire/chunk.ts';
import { crc32 } from '../../common/wire/digest.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { headersOf } from '../../common/wire/headers.ts';
import { lastMessageOf } from '../../common/nats/last-message.ts';
import type { Link } from '../../common/nats/connection.ts';
import { type FileEntry, type PartitionRecord, type StreamPosition } from '../../common/record/record.ts';
import type { RecordStore } from '../../common/record/store.ts';
import {
  encodeToken,
  fileKey,
  parseStoredSubject,
  partitionOf,
  storedSubject,
} from '../../common/wire/subjects.ts';
import { decompressFrame } from '../../common/wire/zstd.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { committedSubject, receivedSubject, type Topology } from '../../common/wire/topology.ts';
import { CentralSide } from './central.ts';
import { splitFileId } from '../files/identity.ts';
import type { StreamExtent } from './progress.ts';
import type { CentralLook, Observed } from './repair.ts';
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

/** The last message of a generation's subject. */
export interface LastMessage {
  /** 0 when there is none. */
  readonly seq: number;
  /** Undefined when there is none, when it is not one of ours, or damaged. */
  readonly chunk: Chunk | undefined;
  /** As it was sent. */
  readonly payload: Uint8Array;
  /** When the server stored it, in milliseconds since 1970. */
  readonly storedAt: number | undefined;
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
  readonly #records: RecordStore | CentralSide;
  readonly #partition: number;
  #shared: Promise<HostView | undefined> | undefined;
  #sharedAt = 0;

  /** @param records where they are: beside the stream, or at an edge on the central side */
  constructor(link: Link, topology: Topology, records: RecordStore | CentralSide, name: string) {
    this.link = link;
    this.topology = topology;
    this.name = name;
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

  /** The newest message of a generation. Throws when there is no answer. */
  async lastMessage(source: string, file: string): Promise<LastMessage> {
    const { topology, name } = this;
    const subject = storedSubject(topology.prefix, topology.partitions, { host: name, path: source, file });
    const message = await lastMessageOf(this.link, topology.stream, subject);
    if (message === null) return { seq: 0, chunk: undefined, payload: new Uint8Array(), storedAt: undefined };
    const storedAt = message.time.getTime();
    const sent = headersOf(message);
    try {
      const chunk = parseChunk((header) => sent?.get(header), message.data.length);
      // A receiver takes this for missing; where it says that it ends is no place to go on from.
      const damaged = chunk.kind === 'data' && crc32(message.data) !== chunk.crc32;
      return { seq: message.seq, chunk: damaged ? undefined : chunk, payload: message.data, storedAt };
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'corrupt')
        return { seq: message.seq, chunk: undefined, payload: message.data, storedAt };
      throw error;
    }
  }

  /** The bytes of the newest message of a generation, where they begin; undefined when it has none, or is damaged. */
  async lastBytes(
    source: string,
    file: string,
  ): Promise<{ readonly start: number; readonly bytes: Uint8Array } | undefined> {
    const { chunk, payload } = await this.lastMessage(source, file);
    if (chunk?.kind !== 'data') return undefined;
    const { start, end, encoding } = chunk;
    return { start, bytes: encoding === 'zstd' ? await decompressFrame(payload, end - start) : payload };
  }

  /** At an edge: the newest message of a generation in the central stream. Undefined elsewhere, and without an answer. */
  async lastCentralMessage(source: string, file: string): Promise<Omit<CentralLook, 'isAtRest'> | undefined> {
    if (!(this.#records instanceof CentralSide)) return undefined;
    return await this.#records.lastMessage({ host: this.name, path: source, file });
  }

  /**
   * The generations that stream and record know of this host: for a shipper that has lost its state. By base; a
   * path is only known from the stream, or from the record's entry. Throws `unreachable` while the record is not known.
   */
  async knownGenerations(view: HostView): Promise<Map<string, { number: number; path: string }>> {
    if (!view.isRecordKnown) throw new LogferryError('unreachable', 'the record was never read');
    const known = new Map<string, { number: number; path: string }>();
    const add = (file: string, path: string): void => {
      const split = splitFileId(file);
      if (split === undefined) return;
      const before = known.get(split.base);
      if (before === undefined || before.number < split.number)
        known.set(split.base, { number: split.number, path });
    };
    for (const file of view.files()) add(file, view.entry(file)?.path ?? '');
    const { prefix, stream } = this.topology;
    const filter = `${prefix}.${this.#partition}.${encodeToken(this.name)}.>`;
    const info = await this.link.jsm.streams.info(stream, { subjects_filter: filter });
    for (const subject of Object.keys(info.state.subjects ?? {})) {
      const source = parseStoredSubject(prefix, subject);
      if (source !== undefined) add(source.file, source.path);
    }
    return known;
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

/** What decideRepair needs of a view, for one file. */
export function observedOf(view: HostView, file: string): Observed {
  return {
    offset: view.entry(file)?.offset,
    processed: view.processed,
    stream: { created: view.created, lastSeq: view.extent.lastSeq },
  };
}
