// The central side of an edge: what the hub's stream and its records say of this host, over a link that may be down for
// days (docs/edge.md). What was read last stays; never changes anything there.

import type { StreamInfo, StreamSourceInfo, StoredMsg } from '@nats-io/jetstream';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { isSourceIn } from '../../common/nats/domain.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { headersOf } from '../../common/wire/headers.ts';
import { lastMessageOf } from '../../common/nats/last-message.ts';
import type { Logger } from '../../common/runtime/log.ts';
import type { Link } from '../../common/nats/connection.ts';
import type { PartitionRecord, StreamPosition } from '../../common/record/record.ts';
import { RecordStore } from '../../common/record/store.ts';
import { streamInfo, topologyOf } from '../../common/stream/stream.ts';
import { partitionOf, storedSubjects } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { type Central, Forwarded } from './forwarded.ts';

/** A source that was heard of so lately is connected: an idle one sends a heartbeat each second. */
const ACTIVE_MS = 5_000;
const NANOS_IN_MS = 1_000_000;

/** Which sequence a message had in the stream that it was brought in from: `LOGS:JE7QNXai 17 > > subject`. */
const STREAM_SOURCE = 'Nats-Stream-Source';
const ORIGIN = /^\S+ (\d{1,16})( |$)/;

/** What is known of the central side, now or from when the link was last up. */
export interface CentralView {
  /** Undefined when there is none. */
  readonly record: PartitionRecord | undefined;
  /** How far its owner has processed the local stream. */
  readonly processed: StreamPosition | undefined;
  /** The link is up, all was forwarded, and the owner has processed it: what is not committed now is lost. */
  readonly isAtRest: boolean;
}

export class CentralSide {
  readonly #link: Link;
  readonly #hub: string;
  readonly #edge: string;
  readonly #topology: Topology;
  readonly #host: string;
  readonly #store: RecordStore;
  readonly #log: Logger;
  readonly #forwarded = new Forwarded();
  #record: { readonly record: PartitionRecord | undefined } | undefined;
  #said: string | undefined;

  /** @param link with the hub's JetStream on it, see inDomain */
  constructor(
    link: Link,
    domains: { readonly hub: string; readonly edge: string },
    topology: Topology,
    host: string,
    log: Logger,
  ) {
    this.#link = link;
    this.#hub = domains.hub;
    this.#edge = domains.edge;
    this.#topology = topology;
    this.#host = host;
    this.#store = new RecordStore(link, topology.stream, log, host);
    this.#log = log;
  }

  /**
   * Reads the central side, then the local stream, then puts both together. `central` is undefined when the record was
   * never read. Throws what reading the local stream throws, and `conflict` when the central one has other partitions.
   */
  async view(
    readLocal: () => Promise<StreamInfo | undefined>,
  ): Promise<{ local: StreamInfo; central: CentralView | undefined } | undefined> {
    const central = await this.#look();
    const local = await readLocal();
    if (local === undefined) return undefined;
    const { created, state } = local;
    if (central !== undefined) this.#forwarded.saw(central, { created, lastSeq: state.last_seq });
    if (this.#record === undefined) return { local, central: undefined };
    const { record } = this.#record;
    const seq = this.#forwarded.processed(record?.stream);
    const processed = seq === 0 ? undefined : { created, seq };
    const isAtRest = central?.isCaughtUp === true && hasProcessed(record?.stream, central);
    return { local, central: { record, processed, isAtRest } };
  }

  async #look(): Promise<Central | undefined> {
    const { stream, partitions } = this.#topology;
    const partition = partitionOf(this.#host, partitions);
    const subjects = storedSubjects(this.#topology, this.#host);
    // The stream before its message, and both before the record: what is not there by then is missing.
    const look = async (): Promise<Central | undefined> => {
      const info = await streamInfo(this.#link, stream);
      if (info === undefined) return undefined;
      this.#refuseOtherPartitions(info);
      const [newest, { record }] = await Promise.all([
        lastMessageOf(this.#link, stream, subjects),
        this.#store.read(partition),
      ]);
      this.#record = { record };
      return {
        created: info.created,
        lastSeq: Math.max(info.state.last_seq, newest?.seq ?? 0),
        newest: newest === null ? undefined : { seq: newest.seq, origin: originOf(newest) },
        isCaughtUp: this.#isCaughtUp(info),
      };
    };
    const central = this.#link.isConnected() ? await orNothing(look()) : undefined;
    this.#say(central);
    return central;
  }

  #isCaughtUp({ sources }: StreamInfo): boolean {
    const source = sources?.find((each) => isSourceIn(this.#edge, each as SourceInfo));
    if (source === undefined) return false;
    return source.lag === 0 && source.active >= 0 && source.active < ACTIVE_MS * NANOS_IN_MS;
  }

  /** Hosts would be in other partitions there, and nobody would write them. */
  #refuseOtherPartitions({ config }: StreamInfo): void {
    const { partitions, stream } = topologyOf(this.#topology, config);
    const missing = config.sources?.some((each) => isSourceIn(this.#edge, each)) !== true;
    if (missing)
      this.#sayOnce(
        `no source in ${stream}`,
        `stream ${stream} in domain ${this.#hub} does not have the one in domain ${this.#edge} as a source: nothing ` +
          `is forwarded; run logferry setup --source ${this.#edge} there`,
      );
    if (partitions === this.#topology.partitions) return;
    throw new LogferryError(
      'conflict',
      `stream ${stream} has ${this.#topology.partitions} partitions here and ${partitions} in domain ${this.#hub}`,
      `delete the one here and run logferry setup --edge --partitions ${partitions}`,
    );
  }

  /** Once for each time that the link goes, and when it is back. */
  #say(central: Central | undefined): void {
    if (!this.#link.isConnected()) return;
    const { stream } = this.#topology;
    if (central === undefined) {
      this.#sayOnce(
        AWAY,
        `stream ${stream} and its records in domain ${this.#hub} cannot be read; shipping to the stream in domain ` +
          `${this.#edge} meanwhile`,
      );
    } else if (this.#said === AWAY) {
      this.#said = undefined;
      this.#log.info(`stream ${stream} in domain ${this.#hub} can be read again`);
    }
  }

  #sayOnce(about: string, text: string): void {
    if (this.#said === about) return;
    this.#said = about;
    this.#log.warn(text);
  }
}

const AWAY = 'away';

/** The library's type leaves it out. */
type SourceInfo = StreamSourceInfo & { readonly external?: { readonly api: string } };

/** Undefined when nobody answered. */
async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isUnanswered(error)) return undefined;
    throw error;
  }
}

/** Whether everything of this host that is in the central stream was processed. */
function hasProcessed(position: StreamPosition | undefined, { created, newest }: Central): boolean {
  if (newest === undefined) return true;
  return position !== undefined && position.created === created && position.seq >= newest.seq;
}

function originOf(message: StoredMsg): number | undefined {
  const digits = ORIGIN.exec(headersOf(message)?.get(STREAM_SOURCE) ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}
