// Which partitions this receiver writes now: the heartbeat, looking at records, taking what is free, letting go.

import { randomBytes } from 'node:crypto';

import type { BucketInfo } from '../common/bucket.ts';
import { LogferryError, messageOf } from '../common/errors.ts';
import { Throttle } from '../common/log.ts';
import type { Registration, Roster } from '../common/members.ts';
import { emptyRecord, mergeRecord, termOf } from '../common/record.ts';
import type { StoredRecord } from '../common/record-store.ts';
import { inParallel, sleep } from '../common/run.ts';
import { receiverKey } from '../common/topology.ts';
import { claimsOf, relabelLines } from './ledger.ts';
import type { LedgerFile } from './ledger-file.ts';
import { ledgerOf } from './output.ts';
import { Partition, type ReceiverContext } from './partition.ts';
import { cutHeldElsewhere } from './segments.ts';

const PARTITIONS_AT_ONCE = 8;

export interface OwnershipOptions {
  readonly context: ReceiverContext;
  readonly registration: Registration;
  readonly roster: Roster;
  readonly heartbeatMs: number;
}

interface Running {
  readonly partition: Partition;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #running = new Map<number, Running>();
  readonly #throttle = new Throttle();
  #bucket: BucketInfo | undefined;
  /** Partitions that are another's, and the bucket's state in which that was seen. */
  readonly #settled = new Map<number, { bucket: BucketInfo; stored: StoredRecord }>();

  constructor(options: OwnershipOptions) {
    this.#options = options;
  }

  /** The partitions that are being written now. */
  owned(): ReadonlyMap<number, Partition> {
    return new Map([...this.#running].map(([number, running]) => [number, running.partition]));
  }

  /** Beats, looks and takes until the signal fires, then hands everything back. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        const began = performance.now();
        await this.#beat(signal);
        await sleep(Math.max(0, this.#options.heartbeatMs - (performance.now() - began)), signal);
      }
    } finally {
      await this.#stopAll();
      await this.#options.registration.release();
    }
  }

  async #beat(signal: AbortSignal): Promise<void> {
    const { context, registration } = this.#options;
    try {
      await registration.beat();
      await this.#look(signal);
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'lost') throw error;
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      this.#throttle.run(messageOf(error), () => {
        context.log.warn(`cannot look at the partitions (${messageOf(error)}); trying again`);
      });
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { context } = this.#options;
    const { store, topology, link, log } = context;
    await context.restoreVanished();
    const bucket = await store.info();
    if (bucket === undefined) return;
    const changed = this.#bucket?.created !== bucket.created || this.#bucket.lastSeq !== bucket.lastSeq;
    this.#bucket = bucket;
    const numbers = Array.from({ length: topology.partitions }, (_, number) => number);
    await inParallel(numbers, PARTITIONS_AT_ONCE, async (number) => {
      if (signal.aborted || !link.isConnected()) return;
      const running = this.#running.get(number);
      if (running !== undefined) {
        if (changed) running.partition.lookAtRecord(bucket.created);
        return;
      }
      const settled = this.#settled.get(number);
      const same = settled?.bucket.created === bucket.created && settled.bucket.lastSeq === bucket.lastSeq;
      const unchanged = same && settled.stored.epoch === link.epoch();
      const stored = unchanged ? settled.stored : await store.read(number);
      const ledgerFile = context.output.ledgers.get(number);
      if (!unchanged && ledgerFile !== undefined) {
        if (await this.#mergeAfterLoss(number, ledgerFile, stored, bucket.created)) return;
        if (stored.record !== undefined)
          await cutHeldElsewhere(context.output.out, ledgerFile, stored.record, log);
      }
      this.#settled.set(number, { bucket, stored });
      if (await this.#isFree(stored)) await this.#take(number, stored, bucket.created, signal);
    });
  }

  async #isFree(stored: StoredRecord): Promise<boolean> {
    const owner = stored.record?.owner;
    const { context, roster } = this.#options;
    if (owner === undefined || owner === null || owner === context.output.id) return true;
    return !(await roster.isAlive(receiverKey(owner)));
  }

  /** The bucket is another one than the ledger last knew: what the ledger proves goes in, under a token of its own. */
  async #mergeAfterLoss(
    number: number,
    file: LedgerFile,
    stored: StoredRecord,
    created: string,
  ): Promise<boolean> {
    const { output, store, topology, log } = this.#options.context;
    const { bucket } = file.ledger;
    if (bucket === created) return false;
    if (bucket !== undefined) {
      const term = termOf(output.directory, `m${randomBytes(4).toString('hex')}`);
      const previous = stored.record ?? emptyRecord(topology.partitions);
      const merged = mergeRecord(previous, { term, claims: claimsOf(file.ledger) });
      if (merged !== undefined) {
        const result = await store.set(number, merged.record, stored);
        if (typeof result !== 'object') return true;
        await file.append(relabelLines(merged.relabels, term));
        log.warn(
          { partition: number },
          `the bucket was lost; partition ${number} is rebuilt from this ledger`,
        );
      }
    }
    await file.append([{ bucket: created }]);
    return true;
  }

  async #take(number: number, stored: StoredRecord, bucket: string, signal: AbortSignal): Promise<void> {
    const { context } = this.#options;
    const file = await ledgerOf(context.output, number, context.log);
    if (file.ledger.bucket === undefined) await file.append([{ bucket }]);
    const partition = await Partition.take(context, number, file, stored);
    if (partition === undefined || signal.aborted || this.#running.has(number)) return;
    const stop = new AbortController();
    const done = this.#follow(number, partition, stop.signal);
    this.#running.set(number, { partition, stop, done });
  }

  async #follow(number: number, partition: Partition, signal: AbortSignal): Promise<void> {
    const { log } = this.#options.context;
    try {
      await partition.run(signal);
    } catch (error) {
      log.warn({ partition: number }, `let go of partition ${number}: ${messageOf(error)}`);
    } finally {
      if (this.#running.get(number)?.partition === partition) this.#running.delete(number);
      this.#settled.delete(number);
    }
  }

  async #stopAll(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { stop } of running) stop.abort();
    await Promise.all(running.map(async ({ done }) => await done));
  }
}
