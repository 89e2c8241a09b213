// One term of one partition: take it, consume and commit, let it go. Every step that could lose or repeat bytes is
// in the order that the model proves; see docs/design.md.

import { randomBytes } from 'node:crypto';

import type { ConsumerConfig } from '@nats-io/jetstream';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import type { Logger, Throttle } from '../../common/runtime/log.ts';
import type { Link } from '../../common/nats/connection.ts';
import {
  type Claim,
  emptyRecord,
  type PartitionRecord,
  releaseRecord,
  type StreamPosition,
  streamPosition,
  lowerRecord,
  takeRecord,
  termOf,
} from '../../common/record/record.ts';
import type { Loop, Pulse } from '../../common/health/pulse.ts';
import type { RecordStore, StoredRecord } from '../../common/record/store.ts';
import { sleep } from '../../common/runtime/run.ts';
import { encodeToken, fileKey, hostFilter, partitionOf } from '../../common/wire/subjects.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { partitionFilter, partitionKey, receivedSubject, type Topology } from '../../common/wire/topology.ts';
import { announce, type Held, makeDurable, refresh, setRecord } from './commit.ts';
import type { ReceiverCounts } from './counts.ts';
import type { RotateOptions } from '../disk/destination.ts';
import { type Generations, PartitionGenerations } from './generations.ts';
import { claimsOf, reclaimStuck, relabelLines } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import type { Waiting } from './holes.ts';
import type { Message } from './intake.ts';
import type { LostBytes } from './lost.ts';
import type { OpenDestinations } from '../disk/open-destinations.ts';
import type { Output } from '../output/output.ts';
import { Passing } from './passing.ts';
import { Puller, type PullMemory } from '../../common/stream/pull.ts';
import { readStream } from '../../common/stream/read.ts';
import { isNoRoom } from '../output/room.ts';
import type { RoomWatch } from '../output/room-watch.ts';
import { cutHeldElsewhere } from '../disk/segments.ts';
import { type Group, type Passed, Writer } from './writer.ts';
import { type ReceiverStats } from './counts.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';

/** Everything that a receiver's partitions share. */
export interface ReceiverContext {
  readonly link: Link;
  readonly topology: Topology;
  readonly store: RecordStore;
  readonly output: Output;
  readonly rotate: RotateOptions;
  readonly open: OpenDestinations;
  readonly log: Logger;
  /** What foreign clients do is said once, not once a partition. */
  readonly throttle: Throttle;
  readonly stats: ReceiverStats;
  readonly counts: ReceiverCounts;
  readonly pulse: Pulse;
  /** Told how long each commit took, in seconds. */
  readonly onCommit: ((seconds: number) => void) | undefined;
  /** What was recorded as gone for good. */
  readonly lost: LostBytes;
  readonly memory: PullMemory;
  readonly generations: Generations;
  readonly room: RoomWatch;
  /** Bytes that stay missing for this long are given up. */
  readonly giveUpAfterMs: number;
  /** Creates the stream and the buckets again, with the configuration last seen, when they have vanished. */
  readonly restoreVanished: () => Promise<void>;
}

/** Under load a commit covers this much time, more where it takes long, or this many bytes. */
const COMMIT_EVERY_MS = 1_000;
const MOST_COMMIT_EVERY_MS = 5_000;
const LOADED_COMMITS_COST = 20;
const COMMIT_BYTES = 64 * 1024 * 1024;
/** After this time without a message a commit that is cheap need not wait; many slow files bring something more often. */
const COMMIT_QUIET_MS = 20;
const QUIET_COMMITS_COST = 40;
/** After this time hardly any need wait. */
const COMMIT_SILENT_MS = 100;
const SILENT_COMMITS_COST = 5;

const IDLE_WAIT_MS = 5_000;
/** A redelivery costs nothing but time: it is a duplicate. */
const ACK_WAIT_MS = 60_000;
const MAX_ACK_PENDING = 20_000;
/** The server forgets a consumer that nobody pulls from. */
const CONSUMER_IDLE_MS = 300_000;
const RETRY_MS = 300;
/** Of what is read again from the stream, so much is on its way or waiting here. */
const AGAIN_BYTES = 2 * 1024 * 1024;
/** A clean stop waits this long for answers; what they would have said is found again at the next start. */
const STOP_MS = 5_000;
const BACK_OFF_MS = [500, 1_000, 2_000, 5_000];

export class Partition {
  readonly partition: number;
  readonly #context: ReceiverContext;
  readonly #ledgerFile: LedgerFile;
  readonly #held: Held;
  readonly #term: string;
  readonly #writer: Writer;
  #position: StreamPosition;
  #puller: Puller | undefined;
  readonly #passing = new Passing();
  #consumer = '';
  #consumers = 0;
  #epoch = -1;
  #bucket: string | undefined;
  /** Fires when a stop has waited long enough for answers. */
  readonly #hardStop = new AbortController();
  #lastCommit = performance.now();
  #deliveredAt = this.#lastCommit;
  #committedAt = this.#lastCommit;
  /** What the last commit took. */
  #commitMs = 0;
  /** A commit has worked since the last failure. */
  #committedSince = true;

  private constructor(
    context: ReceiverContext,
    partition: number,
    ledgerFile: LedgerFile,
    held: Held,
    term: string,
  ) {
    this.#context = context;
    this.partition = partition;
    this.#ledgerFile = ledgerFile;
    this.#held = held;
    this.#term = term;
    this.#position = held.record.stream;
    const { output, topology, rotate, open, log, throttle, stats } = context;
    const options = {
      out: output.out,
      prefix: topology.prefix,
      ledgerFile,
      rotate,
      open,
      log,
      throttle,
      stats,
      isOwn: (host: string) => partitionOf(host, topology.partitions) === partition,
      generations: new PartitionGenerations(context.generations, held.record.files.keys()),
      earlier: (host: string, from: number, before: number) => this.#messagesOf(host, from, before),
    };
    this.#writer = new Writer(options, held.record, term);
  }

  /**
   * Takes the partition (design §5.2): cut what others hold, then a new term by compare-and-set, with the larger of
   * the record's offsets and the ledger's. Undefined when somebody else was faster. Throws the disk's error: then it
   * has let go again, and whoever has room may take it.
   */
  static async take(
    context: ReceiverContext,
    partition: number,
    ledgerFile: LedgerFile,
    stored: StoredRecord,
  ): Promise<Partition | undefined> {
    const { output, store, topology, log } = context;
    if (stored.record !== undefined) await cutHeldElsewhere(output.out, ledgerFile, stored.record, log);
    const claims = claimsOf(ledgerFile.ledger);
    const known = stored.record ?? emptyRecord(topology.partitions);
    const previous = ledgerFile.isNew ? known : lowerToLedger(known, output.directory, claims, log);
    const [info, archives] = await Promise.all([
      streamInfo(context.link, topology.stream),
      store.archives(partition),
    ]);
    if (info === undefined) return undefined;
    const term = termOf(output.directory, randomBytes(4).toString('hex'));
    const taken = takeRecord(previous, {
      owner: output.id,
      term,
      claims,
      stream: { created: info.created, lastSeq: info.state.last_seq },
    });
    const { record, relabels } = reclaimStuck(ledgerFile.ledger, taken, term, claims);
    const result = await store.set(partition, record, stored);
    if (typeof result !== 'object') return undefined;
    try {
      await ledgerFile.append(relabelLines(relabels, term));
    } catch (error) {
      await store.set(partition, releaseRecord(result.record), { ...stored, revision: result.revision });
      throw error;
    }
    await store.eraseUnnamed(partition, archives, result.record);
    log.debug({ partition, term }, 'took a partition');
    context.counts.terms += 1;
    const held = { record: result.record, revision: result.revision, epoch: stored.epoch };
    return new Partition(context, partition, ledgerFile, held, term);
  }

  get record(): PartitionRecord {
    return this.#held.record;
  }

  /** When a commit last worked, which says that the record is mine. */
  get committedAt(): number {
    return this.#committedAt;
  }

  /** Files that wait for missing bytes. */
  get waitingFiles(): number {
    return this.#writer.holes.count;
  }

  /** The stream sequence up to which everything is committed, and of which stream. */
  get committed(): StreamPosition {
    return this.#held.record.stream;
  }

  /** With the heartbeat: look whether the record is still mine, at the next opportunity. */
  lookAtRecord(bucket: string): void {
    this.#bucket = bucket;
    this.#puller?.wake();
  }

  /**
   * Consumes until the signal fires, then commits and releases. Throws `lost` when another's term took over.
   *
   * @param onReleased called when the record names nobody, before this term's files and consumer are closed
   */
  async run(signal: AbortSignal, onReleased: () => void): Promise<void> {
    const stop = (): void => {
      this.#puller?.wake();
      setTimeout(() => {
        this.#hardStop.abort();
      }, STOP_MS).unref();
    };
    const { abandoned } = this.#context.link;
    const stopHard = (): void => {
      this.#hardStop.abort();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    abandoned.addEventListener('abort', stopHard, { once: true });
    if (abandoned.aborted) stopHard();
    try {
      await this.#consume(signal);
      await this.#commitLast();
      await setRecord(this.#context.store, this.partition, this.#held, releaseRecord, this.#hardStop.signal);
      onReleased();
    } catch (error) {
      // What the ledger does not list will be written by whoever has the partition now.
      await this.#writer.cutBack();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      abandoned.removeEventListener('abort', stopHard);
      this.#puller?.close();
      this.#context.memory.forget(this.partition);
      await this.#writer.close();
      await this.#deleteConsumer();
    }
  }

  async #consume(signal: AbortSignal): Promise<void> {
    const going = this.#context.pulse.begin(`partition ${this.partition}`);
    try {
      await this.#consumeOn(signal, going);
    } finally {
      going.end();
    }
  }

  async #consumeOn(signal: AbortSignal, going: Loop): Promise<void> {
    const { counts } = this.#context;
    let failures = 0;
    while (!signal.aborted) {
      going.beat();
      try {
        if (
          this.#puller === undefined ||
          this.#puller.failure !== undefined ||
          this.#epoch !== this.#context.link.epoch()
        )
          await this.#renew(signal);
        else if (this.#bucket !== undefined) await this.#checkRecord(this.#bucket);
        else await this.#step(this.#puller, going, signal);
        if (this.#committedSince) failures = 0;
      } catch (error) {
        if (error instanceof LogferryError && (error.code === 'lost' || error.code === 'newer')) throw error;
        if (isUnanswered(error)) counts.unanswered += 1;
        else await this.#afterWriteError(error, failures);
        this.#committedSince = false;
        failures += 1;
        this.#dropPuller();
        await sleep(BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] ?? RETRY_MS, signal);
      }
    }
  }

  /** What the disk does not take any more is written by whoever has the partition next: letting go needs no room. */
  async #commitLast(): Promise<void> {
    try {
      await this.#commit();
    } catch (error) {
      if (error instanceof LogferryError) throw error;
      await this.#afterWriteError(error, 0);
    }
  }

  async #step(puller: Puller, going: Loop, signal: AbortSignal): Promise<void> {
    const group = this.#writer.group;
    const idle = isEmpty(group);
    const deliveries = await puller.next(
      idle ? IDLE_WAIT_MS : COMMIT_QUIET_MS,
      this.#context.memory.share(this.partition, !idle),
      signal,
    );
    if (deliveries.length > 0) {
      this.#deliveredAt = performance.now();
      await this.#writer.process(deliveries, (passed) => {
        going.beat();
        this.#tellReceived(passed);
      });
    }
    if (this.#commitIsDue(deliveries.length === 0)) await this.#commit();
    if (isEmpty(this.#writer.group)) await this.#writer.rest();
    const overdue = this.#writer.holes.overdue(this.#context.giveUpAfterMs);
    for (const [host, waiting] of Map.groupBy(overdue, ({ source }) => source.host))
      await this.#giveUp(host, waiting, going, signal);
  }

  /** A shipper with a backlog sends no more of it than can be written soon (design §4.10). */
  #tellReceived({ seq, host, bytes }: Passed): void {
    if (host === undefined || !this.#passing.add(host, bytes)) return;
    const { link, topology } = this.#context;
    const position: StreamPosition = { created: this.#position.created, seq };
    link.nc.publish(receivedSubject(topology.prefix, encodeToken(host)), JSON.stringify(position));
  }

  /** Its shipper is gone for good: what the stream still holds of these is written, with the gaps reported. */
  async #giveUp(host: string, overdue: readonly Waiting[], going: Loop, signal: AbortSignal): Promise<void> {
    const { link, topology, log } = this.#context;
    const { holes } = this.#writer;
    for (const { source } of overdue)
      log.error({ ...source }, `${host}: ${source.path}: giving up waiting for missing bytes`);
    const files = new Set(overdue.map(({ source }) => fileKey(host, source.file)));
    const first = overdue.reduce((least, { seq }) => Math.min(least, seq), Number.POSITIVE_INFINITY);
    const info = await streamInfo(link, topology.stream);
    for await (const message of this.#messagesOf(host, first, (info?.state.last_seq ?? 0) + 1)) {
      if (signal.aborted) return;
      going.beat();
      await this.#writer.rescue(message, files);
      if (this.#writer.group.bytes >= COMMIT_BYTES) await this.#commit();
    }
    for (const { source } of overdue) holes.end(source);
    await this.#commit();
  }

  /** What the stream holds of a host now, from one sequence up to another. */
  async *#messagesOf(host: string, from: number, before: number): AsyncGenerator<Message> {
    const { link, topology } = this.#context;
    const subjects = [hostFilter(topology.prefix, host)];
    const reading = { stream: topology.stream, subjects, from, until: before - 1, bytes: AGAIN_BYTES };
    const { signal } = this.#hardStop;
    for await (const messages of readStream(link, reading, signal)) yield* messages;
    // What was read until then is not all of it.
    if (signal.aborted) throw new LogferryError('unreachable', 'stopped while the stream was read');
  }

  #commitIsDue(quiet: boolean): boolean {
    const { group } = this.#writer;
    if (isEmpty(group)) return false;
    const since = performance.now() - this.#lastCommit;
    const isSilent = performance.now() - this.#deliveredAt >= COMMIT_SILENT_MS;
    const cost = isSilent ? SILENT_COMMITS_COST : QUIET_COMMITS_COST;
    return (
      (quiet && since >= this.#commitMs * cost) ||
      group.bytes >= COMMIT_BYTES ||
      since >= Math.min(MOST_COMMIT_EVERY_MS, Math.max(COMMIT_EVERY_MS, this.#commitMs * LOADED_COMMITS_COST))
    );
  }

  async #commit(): Promise<void> {
    const group = this.#writer.takeGroup();
    this.#lastCommit = performance.now();
    if (isEmpty(group)) return;
    try {
      await this.#commitGroup(group);
    } catch (error) {
      this.#context.counts.commitFailures += 1;
      throw error;
    }
    for (const [host, bytes] of group.lost) this.#context.lost.add(host, bytes);
    this.#committedAt = performance.now();
    this.#commitMs = this.#committedAt - this.#lastCommit;
    this.#context.onCommit?.(this.#commitMs / 1_000);
    this.#committedSince = true;
    this.#writer.record = this.#held.record;
    this.#position = this.#held.record.stream;
  }

  /** Before the ledger says so, a failure is undone; after it, only a new take knows what counts. */
  async #commitGroup(group: Group): Promise<void> {
    const { link, store, topology } = this.#context;
    try {
      await makeDurable(this.#ledgerFile, group);
    } catch (error) {
      await this.#writer.cutBack(group);
      throw error;
    }
    if (group.lines.length > 0) this.#context.room.worked(this.partition);
    const options = {
      link,
      store,
      prefix: topology.prefix,
      partition: this.partition,
      signal: this.#hardStop.signal,
    };
    const position = { created: this.#position.created, seq: Math.max(group.seq, this.#position.seq) };
    try {
      await announce(options, this.#held, position, group);
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'lost') throw error;
      throw new LogferryError(
        'lost',
        `partition ${this.partition}: cannot commit (${messageOf(error)})`,
        undefined,
        {
          cause: error,
        },
      );
    }
  }

  /** A disk that is full, or any other write error: back to what the ledger lists, then from the record on again. */
  async #afterWriteError(error: unknown, failures: number): Promise<void> {
    this.#context.counts.diskFailures += 1;
    if (failures === 0) this.#sayCannotWrite(error);
    try {
      await this.#writer.cutBack();
    } finally {
      await this.#context.room.failed(this.partition, error);
    }
  }

  /** A full disk fails all partitions alike: said once. */
  #sayCannotWrite(error: unknown): void {
    const { log, throttle, output } = this.#context;
    const { partition } = this;
    const what = `cannot write (${messageOf(error)}); cut back to what is committed, trying again`;
    if (!isNoRoom(error)) log.error({ partition }, `partition ${partition}: ${what}`);
    else
      throttle.run('no room', (repeated) => {
        log.error({ partition, out: output.out, repeated }, `${output.out}: ${what}; make room there`);
      });
  }

  async #checkRecord(bucket: string): Promise<void> {
    this.#bucket = undefined;
    await this.#confirmRecord();
    if (this.#ledgerFile.ledger.bucket !== bucket) await this.#ledgerFile.append([{ bucket }]);
  }

  /** Reads the record; when the bucket was lost or rolled back, says again what stood there. Throws `lost`. */
  async #confirmRecord(): Promise<void> {
    const { store } = this.#context;
    const { revision } = this.#held;
    await refresh(store, this.partition, this.#held, this.#hardStop.signal);
    this.#writer.record = this.#held.record;
    if (this.#held.revision !== revision)
      await setRecord(store, this.partition, this.#held, (record) => record, this.#hardStop.signal);
  }

  /** A consumer of my own under a fresh name, from where the record says; after every reconnect too. */
  async #renew(signal: AbortSignal): Promise<void> {
    const { link, topology } = this.#context;
    if (this.#epoch >= 0) {
      await this.#commit();
      await this.#confirmRecord();
    }
    this.#dropPuller();
    // Not waited for: nobody answers for a consumer whose server is gone.
    void this.#deleteConsumer();
    const epoch = link.epoch();
    const info = await streamInfo(link, topology.stream);
    if (info === undefined) {
      await sleep(RETRY_MS, signal);
      return;
    }
    this.#position = streamPosition(this.#held.record.stream, {
      created: info.created,
      lastSeq: info.state.last_seq,
    });
    if (this.#position.seq === 0) this.#writer.holes.readAgain();
    this.#consumers += 1;
    const name = `${partitionKey(this.partition)}-${this.#term.replace('.', '-')}-${this.#consumers}`;
    const config: Partial<ConsumerConfig> = {
      name,
      filter_subject: partitionFilter(topology, this.partition),
      deliver_policy: 'by_start_sequence',
      opt_start_seq: this.#position.seq + 1,
      ack_policy: 'explicit',
      ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
      max_ack_pending: MAX_ACK_PENDING,
      max_deliver: -1,
      inactive_threshold: CONSUMER_IDLE_MS * NANOS_PER_MS,
      num_replicas: 1,
    };
    await link.ask(async () => await link.jsm.consumers.add(topology.stream, config));
    this.#consumer = name;
    this.#puller = new Puller(link, topology.stream, name);
    this.#epoch = epoch;
    if (signal.aborted) this.#puller.wake();
  }

  #dropPuller(): void {
    this.#puller?.close();
    this.#puller = undefined;
  }

  async #deleteConsumer(): Promise<void> {
    const { link, topology } = this.#context;
    if (this.#consumer === '' || !link.isConnected()) return;
    const name = this.#consumer;
    this.#consumer = '';
    try {
      await link.ask(async () => await link.jsm.consumers.delete(topology.stream, name));
    } catch (error) {
      // The server drops an idle consumer by itself.
      this.#context.log.debug({ consumer: name }, `could not delete a consumer: ${messageOf(error)}`);
    }
  }
}

/** The ledger has lost lines: what it does not list is not here, whatever the record says. */
function lowerToLedger(
  record: PartitionRecord,
  directory: string,
  claims: ReadonlyMap<string, Claim>,
  log: Logger,
): PartitionRecord {
  const result = lowerRecord(record, directory, claims);
  if (result === undefined) return record;
  for (const [file, { from, to }] of result.lowered)
    log.error(
      { file, from, to },
      `${record.files.get(file)?.path ?? file}: bytes ${from} to ${to} were committed here and the ledger does not know them; taken from the stream or the source again`,
    );
  return result.record;
}

function isEmpty(group: Group): boolean {
  return group.replies.length === 0 && group.changes.size === 0;
}
