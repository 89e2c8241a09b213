// Which partitions this receiver writes now: the heartbeat, the plan that all receivers compute, taking what is free,
// handing over what is planned for another.

import { randomBytes } from 'node:crypto';

import type { BucketInfo } from '../../common/nats/bucket.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { Throttle } from '../../common/runtime/log.ts';
import type { Registration } from '../../common/fleet/members.ts';
import { emptyRecord, mergeRecord, releaseRecord, termOf } from '../../common/record/record.ts';
import type { StoredRecord } from '../../common/record/store.ts';
import { Bell, inParallel, sleep } from '../../common/runtime/run.ts';
import { releasedSubject } from '../../common/wire/topology.ts';
import { claimsOf, relabelLines } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import { ledgerOf } from '../output/output.ts';
import { Partition, type ReceiverContext } from '../term/partition.ts';
import { planOwners, type Receiver } from './plan.ts';
import { isNoRoom } from '../output/room.ts';
import type { Roster } from './roster.ts';
import { cutHeldElsewhere } from '../disk/segments.ts';

const VISITS_AT_ONCE = 8;
/** A visit that came to nothing is tried again after this long, unless its partition is released before. */
const RETRY_MS = 200;
/** Errors that no further try mends. */
const ENDS: ReadonlySet<string> = new Set(['lost', 'newer', 'conflict', 'usage']);
/** Handed over at once: the others go on writing until it is their turn. */
const HANDED_OVER_AT_ONCE = 4;
/** What comes within this time is looked at together. */
const TOGETHER_MS = 10;
/** An owner that has not committed looks at its record this often while anything in the bucket changes. */
const OWN_LOOK_MS = 5_000;
/** What another's record allows to be cut here is looked for at first after this long, then less and less often. */
const CUT_LOOK_MS = 1_000;
const LONGEST_CUT_LOOK_MS = 60_000;
/** What the disk had no room for is tried again after this long. */
const NO_ROOM_WAIT_MS = 5_000;

export interface OwnershipOptions {
  readonly context: ReceiverContext;
  readonly registration: Registration;
  readonly roster: Roster;
  /** What others are told of this receiver; all but its name and its share is kept here. */
  readonly self: Self;
  readonly bell: Bell;
  readonly heartbeatMs: number;
  /** Called when everything is handed over, before the name is. */
  readonly onReleasing?: () => void;
}

/** What this receiver says of itself with its heartbeat. */
export interface Self extends Receiver {
  owned: readonly number[];
  stays: boolean;
  hasRoom: boolean;
}

interface Running {
  readonly partition: Partition;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** When its record was last looked at, or committed to. */
  lookedAt: number;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #running = new Map<number, Running>();
  readonly #handingOver = new Set<number>();
  /** Partitions that are looked at now, which may become mine. */
  readonly #visits = new Map<number, Promise<void>>();
  /** When a partition was last visited; forgotten when it is released, so that it is visited again at once. */
  readonly #visitedAt = new Map<number, number>();
  #failure: LogferryError | undefined;
  readonly #throttle = new Throttle();
  #bucket: BucketInfo | undefined;
  #beatAt = Number.NEGATIVE_INFINITY;
  #said = '';
  #told = '';
  /** Partitions whose record may name this receiver though it does not write them: all, before they were read. */
  readonly #maybeMine = new Set<number>();
  /** When to read the record again of a partition that is planned for me and was another's. */
  readonly #waits = new Map<number, number>();
  /** When to look next for bytes that may be cut, and how long to wait after that. */
  readonly #cutLooks = new Map<number, { at: number; waitMs: number }>();

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { partitions } = options.context.topology;
    for (let number = 0; number < partitions; number += 1) this.#maybeMine.add(number);
  }

  /** Beats, looks and takes until the signal fires, then hands everything back. Throws `lost` with the name. */
  async run(signal: AbortSignal): Promise<void> {
    const { context, registration, roster, self, bell, heartbeatMs } = this.#options;
    const wake = (): void => {
      bell.ring();
    };
    const stopListening = [roster.listen(), this.#listenForReleases(), context.room.listen(wake)];
    signal.addEventListener('abort', wake, { once: true });
    const going = context.pulse.begin('looking at the partitions');
    try {
      while (!signal.aborted) {
        going.beat();
        await this.#beatAndLook(signal);
        const nextBeat = this.#beatAt + heartbeatMs - performance.now();
        await bell.wait(Math.max(1, Math.min(nextBeat, roster.nextExpiryMs())), signal);
        await sleep(TOGETHER_MS, signal);
      }
    } finally {
      going.end();
      signal.removeEventListener('abort', wake);
      self.stays = false;
      for (const stop of stopListening) stop();
      await Promise.all(this.#visits.values());
      if (context.link.isConnected()) await registration.beat().catch(() => {});
      await inParallel([...this.#running.keys()], HANDED_OVER_AT_ONCE, async (number) => {
        await this.#handOver(number);
      });
      this.#options.onReleasing?.();
      await registration.release();
    }
  }

  /** Files that wait for missing bytes, in all partitions. */
  get waitingFiles(): number {
    let files = 0;
    for (const { partition } of this.#running.values()) files += partition.waitingFiles;
    return files;
  }

  #listenForReleases(): () => void {
    const { context, bell } = this.#options;
    const subscription = context.link.nc.subscribe(releasedSubject(context.topology.prefix), {
      callback: (error, message) => {
        if (error !== null) return;
        const number = Number(message.string());
        this.#waits.delete(number);
        this.#visitedAt.delete(number);
        bell.ring();
      },
    });
    return () => {
      subscription.unsubscribe();
    };
  }

  async #beatAndLook(signal: AbortSignal): Promise<void> {
    const { heartbeatMs } = this.#options;
    try {
      const isDue = performance.now() - this.#beatAt >= heartbeatMs;
      await this.#beat(isDue);
      await this.#look(isDue, signal);
      await this.#beat(false);
    } catch (error) {
      this.#complain(error);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** The heartbeat, when it is due or says something new. */
  async #beat(isDue: boolean): Promise<void> {
    const { registration, self, context } = this.#options;
    self.hasRoom = context.room.hasRoom;
    self.owned = [...this.#running.keys()].toSorted((a, b) => a - b);
    const said = JSON.stringify(self);
    if (!isDue && said === this.#said) return;
    if (isDue) this.#beatAt = performance.now();
    await registration.beat();
    this.#said = said;
  }

  async #look(isDue: boolean, signal: AbortSignal): Promise<void> {
    const { context, roster, self, registration } = this.#options;
    const { store, topology, link } = context;
    if (isDue || this.#bucket === undefined) {
      await context.restoreVanished();
      const bucket = await store.info();
      if (bucket === undefined) return;
      this.#lookAtOwn(bucket);
      this.#bucket = bucket;
    }
    const { created } = this.#bucket;
    await roster.refresh();
    const others = roster.others(registration.run);
    const plan = planOwners(topology.partitions, [self, ...others]);
    this.#tell(plan, others);
    for (const number of this.#running.keys())
      if (plan[number] !== self.id && plan[number] !== null && this.#handingOver.size < HANDED_OVER_AT_ONCE)
        void this.#handOver(number);
    const due = Array.from({ length: topology.partitions }, (_, number) => number).filter(
      (number) => !this.#running.has(number) && this.#isDue(number, plan[number] === self.id, created),
    );
    if (signal.aborted || !link.isConnected()) return;
    for (const number of due) {
      if (this.#visits.size >= VISITS_AT_ONCE) break;
      if (this.#visits.has(number)) continue;
      this.#visitedAt.set(number, performance.now());
      this.#visits.set(number, this.#visitApart(number, plan[number] === self.id, created, signal));
    }
  }

  /** Beside the looks: neither the heartbeat nor a partition that has just been released waits for a slow take. */
  async #visitApart(number: number, isPlanned: boolean, created: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#visit(number, isPlanned, created, signal);
    } catch (error) {
      this.#complain(error);
      this.#waits.set(number, performance.now() + this.#options.heartbeatMs);
    } finally {
      this.#visits.delete(number);
      this.#options.bell.ring();
    }
  }

  /** Keeps what ends the receiver for the loop; anything else is said, and tried again. */
  #complain(error: unknown): void {
    if (error instanceof LogferryError && ENDS.has(error.code)) this.#failure = error;
    else
      this.#throttle.run(messageOf(error), () => {
        const { log } = this.#options.context;
        log.warn(`cannot look at the partitions (${messageOf(error)}); trying again`);
      });
  }

  /** An owner whose bucket has changed looks at its record, unless it has just committed to it. */
  #lookAtOwn(bucket: BucketInfo): void {
    const isAnother = this.#bucket?.created !== bucket.created;
    const hasChanged = isAnother || this.#bucket?.lastSeq !== bucket.lastSeq;
    const now = performance.now();
    for (const running of this.#running.values()) {
      running.lookedAt = Math.max(running.lookedAt, running.partition.committedAt);
      if (!isAnother && (!hasChanged || now - running.lookedAt < OWN_LOOK_MS)) continue;
      running.lookedAt = now;
      running.partition.lookAtRecord(bucket.created);
    }
  }

  /** Whether the record of a partition that I do not write has to be read now. */
  #isDue(number: number, isPlanned: boolean, created: string): boolean {
    if (performance.now() - (this.#visitedAt.get(number) ?? Number.NEGATIVE_INFINITY) < RETRY_MS)
      return false;
    if (isPlanned) return performance.now() >= (this.#waits.get(number) ?? 0);
    if (this.#maybeMine.has(number)) return true;
    const ledger = this.#options.context.output.ledgers.get(number)?.ledger;
    if (ledger === undefined) return false;
    if (ledger.bucket !== created) return true;
    return ledger.destinations.size > 0 && performance.now() >= (this.#cutLooks.get(number)?.at ?? 0);
  }

  /** Looks at a partition that I do not write: merges, cuts, takes or releases, as its record says. */
  async #visit(number: number, isPlanned: boolean, created: string, signal: AbortSignal): Promise<void> {
    const { context, self, heartbeatMs } = this.#options;
    const { store, room } = context;
    const stored = await store.read(number);
    const owner = stored.record?.owner ?? null;
    if (owner !== self.id) {
      this.#maybeMine.delete(number);
      room.forget(number);
    }
    try {
      if (await this.#tidy(number, stored, created)) return;
      if (isPlanned && (await this.#isFree(owner))) await this.#take(number, stored, created, signal);
      else if (isPlanned) {
        // Released since it was read: looked at again at once.
        if (this.#visitedAt.has(number)) this.#waits.set(number, performance.now() + heartbeatMs);
        // Made before it is let go, so that the take need not wait for it.
        await this.#ledgerFor(number, created);
      }
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      await this.#hadNoRoom(number, error);
    }
    if (!isPlanned && stored.record !== undefined && owner === self.id) {
      const result = await store.set(number, releaseRecord(stored.record), stored);
      if (typeof result === 'object') this.#released(number);
    }
  }

  /** Merges and cuts, as the record of a partition that I do not write allows. True when it has to be read again. */
  async #tidy(number: number, stored: StoredRecord, created: string): Promise<boolean> {
    const { output, log } = this.#options.context;
    const ledgerFile = output.ledgers.get(number);
    if (ledgerFile === undefined) return false;
    if (await this.#mergeAfterLoss(number, ledgerFile, stored, created)) {
      this.#options.bell.ring();
      return true;
    }
    if (stored.record !== undefined) {
      const cuts = await cutHeldElsewhere(output.out, ledgerFile, stored.record, log);
      this.#lookForCutsLater(number, cuts.length > 0);
    }
    return false;
  }

  /** The disk did not take what has to be written before a partition can be. */
  async #hadNoRoom(number: number, error: unknown): Promise<void> {
    const { room, log, output } = this.#options.context;
    this.#waits.set(number, performance.now() + NO_ROOM_WAIT_MS);
    this.#lookForCutsLater(number, false);
    this.#throttle.run('no room', (repeated) => {
      const what = `cannot take partition ${number} (${messageOf(error)}); trying again`;
      log.warn({ partition: number, repeated }, `${output.out}: ${what}; make room there`);
    });
    await room.refused(number, error);
  }

  #lookForCutsLater(number: number, hasCut: boolean): void {
    const last = this.#cutLooks.get(number);
    const waitMs =
      hasCut || last === undefined ? CUT_LOOK_MS : Math.min(last.waitMs * 2, LONGEST_CUT_LOOK_MS);
    this.#cutLooks.set(number, { at: performance.now() + waitMs, waitMs });
  }

  async #isFree(owner: string | null): Promise<boolean> {
    const { roster, self } = this.#options;
    return owner === null || owner === self.id || !(await roster.isAlive(owner));
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

  async #ledgerFor(number: number, bucket: string): Promise<LedgerFile> {
    const { output, log } = this.#options.context;
    const file = await ledgerOf(output, number, log);
    if (file.ledger.bucket === undefined) await file.append([{ bucket }]);
    return file;
  }

  async #take(number: number, stored: StoredRecord, bucket: string, signal: AbortSignal): Promise<void> {
    const { context } = this.#options;
    const file = await this.#ledgerFor(number, bucket);
    // Also when it fails half way.
    this.#maybeMine.add(number);
    const partition = await Partition.take(context, number, file, stored);
    if (partition === undefined || this.#running.has(number)) return;
    if (signal.aborted) return;
    const stop = new AbortController();
    const done = this.#follow(number, partition, stop.signal);
    this.#running.set(number, { partition, stop, done, lookedAt: performance.now() });
  }

  async #follow(number: number, partition: Partition, signal: AbortSignal): Promise<void> {
    const { context, bell } = this.#options;
    try {
      await partition.run(signal, () => {
        this.#released(number);
      });
    } catch (error) {
      context.counts.termsLost += 1;
      context.log.warn({ partition: number }, `let go of partition ${number}: ${messageOf(error)}`);
    } finally {
      if (this.#running.get(number)?.partition === partition) this.#running.delete(number);
      this.#cutLooks.delete(number);
      bell.ring();
    }
  }

  /** Its record names nobody now: whoever it is planned for should look at once. */
  #released(number: number): void {
    const { link, topology } = this.#options.context;
    this.#maybeMine.delete(number);
    this.#options.context.room.forget(number);
    if (link.isConnected()) link.nc.publish(releasedSubject(topology.prefix), String(number));
  }

  /** Commits what is written, releases, and says so. */
  async #handOver(number: number): Promise<void> {
    const running = this.#running.get(number);
    if (running === undefined) return;
    this.#handingOver.add(number);
    running.stop.abort();
    await running.done;
    this.#handingOver.delete(number);
  }

  /** How the partitions are shared, whenever that changes. */
  #tell(plan: readonly (string | null)[], others: readonly Receiver[]): void {
    const { self, context } = this.#options;
    const mine = plan.filter((owner) => owner === self.id).length;
    const told = JSON.stringify([mine, others.map(({ id }) => id).toSorted()]);
    if (told === this.#told || !self.stays) return;
    this.#told = told;
    this.#waits.clear();
    for (const other of others) this.#tellOverlap(other, plan);
    const count = others.length + 1;
    const text =
      mine === 0 && count > plan.length
        ? `nothing to do: ${count} receivers share ${plan.length} partitions; waiting until one of them goes`
        : `${mine} of ${plan.length} partitions are this receiver's${count > 1 ? `; ${count} receivers share them` : ''}`;
    context.log.info({ partitions: mine, receivers: count }, text);
  }

  /** Two shares given by hand have partitions in common: one of the two has them, and the other waits. */
  #tellOverlap(other: Receiver, plan: readonly (string | null)[]): void {
    const { self, context } = this.#options;
    const both = other.fixed?.filter((number) => self.fixed?.includes(number)) ?? [];
    if (both.length === 0) return;
    const owners = [...new Set(both.map((number) => plan[number] ?? 'nobody'))].join(' and ');
    context.log.error(
      { partitions: both, other: other.id },
      `${both.length} partitions (${both.slice(0, 5).join(', ')}${both.length > 5 ? ', …' : ''}) are in the shares of ` +
        `${self.id} and ${other.id}; ${owners} has them; give shares that do not overlap (--own, --index)`,
    );
  }
}
