// One source path and its generations, oldest first: notices rotation, truncation and deletion, finds where the old
// bytes went, and lets a generation follow only when the one before is in the stream.

import { randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';

import type { After } from '../common/chunk.ts';
import { LogferryError, messageOf, systemCode } from '../common/errors.ts';
import { Bell, sleep } from '../common/run.ts';
import { type Found, look } from './discover.ts';
import { Generation, type GenerationOwner, type ShipperContext } from './generation.ts';
import { baseOf, fileIdOf, type FileStamp, headMatches, isSameFile, splitFileId } from './identity.ts';
import {
  type Candidate,
  candidateOf,
  findFile,
  findRotated,
  hasRotated,
  openStill,
  type Opened,
  rotatedBetween,
  rotatedFiles,
} from './siblings.ts';
import type { GenerationState } from './state.ts';
import { firstBytes } from './tailer.ts';

/** How long a finished generation keeps its descriptor: it may still be written to, or have to be sent again. */
const PARK_MS = 300_000;
/** A deleted one pins its disk space: it lets go sooner. */
const PARK_DELETED_MS = 60_000;
/** A deleted file is finished when nobody has written to it for this long. */
const DELETED_QUIET_MS = 2_000;
/** Finished generations that are remembered for each path. */
const REMEMBERED = 16;
/** A file of an earlier run that is nowhere counts as lost only when it has not come back for this long. */
const LOST_AFTER_MS = 3_600_000;
const IDLE_MS = 10_000;
/** How often it is asked whether the next generation may begin. */
const ORDER_LOOK_MS = 20;
const RETRY_MS = 250;

/** For a shipper without state: what stream or record know for a file's base. */
export type Known = (base: string) => { readonly number: number; readonly path: string } | undefined;

export class Source {
  readonly path: string;
  readonly #context: ShipperContext;
  readonly #signal: AbortSignal;
  readonly #entries: GenerationState[];
  readonly #generations: Generation[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #bell = new Bell();
  /** Files that were found and opened, and have no generation yet. */
  readonly #arrivals: Candidate[] = [];
  readonly #arrived = new Bell();
  readonly #owner: GenerationOwner = {
    onReplaced: () => void this.#lookSoon(),
    reopen: async (generation) => await this.#reopenFor(generation),
  };
  readonly #begunAt = performance.now();
  #unreadable = false;
  #started = 0;
  #looking: Promise<void> = Promise.resolve();

  constructor(context: ShipperContext, file: string, signal: AbortSignal) {
    this.#context = context;
    this.path = file;
    this.#signal = signal;
    const kept = context.state.sources.get(file);
    this.#entries = kept ?? [];
    if (kept === undefined) context.state.sources.set(file, this.#entries);
  }

  get generations(): readonly Generation[] {
    return this.#generations;
  }

  /** There is a file that cannot be opened, or has to be there and is not. */
  get isUnreadable(): boolean {
    return this.#unreadable;
  }

  get current(): Generation | undefined {
    return this.#generations.at(-1);
  }

  /** Whether this file is one of mine, whatever it is called now. */
  owns(stamp: FileStamp): boolean {
    const arrived = this.#arrivals.some(({ found }) => isSameFile(found.stamp, stamp));
    return arrived || this.#entries.some((entry) => isSameFile(entry, stamp));
  }

  /** Everything that was found is in the stream and committed. */
  get isCommitted(): boolean {
    if (this.#unreadable) return false;
    return (
      this.#started === this.#generations.length &&
      this.#generations.every((generation) => generation.isCommitted)
    );
  }

  wake(): void {
    this.current?.wake();
    this.#bell.ring();
  }

  /**
   * Opens what the state knows and what is at the path now. Throws when a file that is there cannot be read: then
   * nothing was started, and it can be tried again.
   */
  async start(found: Found | undefined, begin: (found: Found) => number, known: Known): Promise<void> {
    for (const entry of this.#entries.filter(({ done }) => !done)) await this.#reopen(entry);
    if (this.#entries.length === 0)
      for (const candidate of await this.#rotatedAndKnown(known)) await this.#append(candidate, begin, known);
    await this.#discover(found);
    for (const arrival of this.#arrivals.splice(0)) await this.#append(arrival, begin, known);
    this.#running.add(this.#identify()).add(this.#inOrder());
  }

  /** Looks at the path again; one look at a time. Needs no broker: what has arrived is held open until there is one. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(async () => {
      if (this.#signal.aborted) return;
      const found = await look(this.path);
      await this.#handleTruncation();
      await this.#discover(found);
      await this.#closeWhatIsGone(found);
      await this.#park();
    });
    const looking = this.#looking;
    this.#looking = looking.catch(() => {});
    await looking;
  }

  async stop(): Promise<void> {
    this.wake();
    this.#arrived.ring();
    await Promise.allSettled([this.#looking]);
    await Promise.allSettled([...this.#running]);
    for (const generation of this.#generations) await generation.stop();
  }

  // --- generations ----------------------------------------------------------------------------------------------

  /** A generation of an earlier run: found again by its stamp, at the path or beside it under a rotated name. */
  async #reopen(entry: GenerationState): Promise<void> {
    const generation = this.#add(entry, await findFile(this.path, entry));
    if (entry.closed !== null) generation.close(entry.closed);
    if (await generation.resume(this.#signal)) return;
    await this.#finishElsewhere(generation);
  }

  /** Truncated: the old bytes are in the copy beside it, or gone; the file itself goes on as another generation. */
  async #finishElsewhere(generation: Generation): Promise<void> {
    const copy = await this.#findCopy(generation);
    generation.moveTo(copy?.handle, copy?.found.size ?? generation.entry.size);
    generation.close('truncated');
  }

  async #handleTruncation(): Promise<void> {
    for (const generation of [...this.#generations]) {
      if (!generation.isReplaced) continue;
      const again = generation.entry.closed !== null;
      this.#context.log.info({ path: this.path, at: generation.position }, `${this.path}: truncated`);
      if (again) generation.moveTo(undefined, generation.entry.size);
      else await this.#finishElsewhere(generation);
    }
  }

  /** What is at the path now: the newest file that is known, or others after it. */
  async #discover(found: Found | undefined): Promise<void> {
    if (found === undefined) return;
    const newest = this.#arrivals.at(-1)?.found.stamp ?? this.#entries.at(-1);
    if (newest !== undefined && isSameFile(newest, found.stamp)) {
      const last = this.#entries.at(-1);
      if (this.#arrivals.length > 0 || last === undefined) return;
      const truncated = last.closed === 'truncated' || this.current?.closing === 'truncated';
      if (last.done && !truncated && found.size > last.size) await this.#goOn(last);
      // It was not there when this run began: there is more to ship, so it is opened.
      if (this.current?.entry === last) this.current.foundAgain(found.size);
      if (!truncated) return;
    } else if (newest !== undefined && newest.birth !== '0' && found.stamp.birth !== '0')
      for (const rotated of await this.#between(BigInt(newest.birth), found.stamp)) this.#arrive(rotated);
    const arrival = await this.#openCurrent(found);
    if (arrival !== undefined) this.#arrive(arrival);
  }

  async #openCurrent(found: Found): Promise<Candidate | undefined> {
    try {
      const opened = await openStill(found);
      this.#unreadable = false;
      return opened === undefined ? undefined : await candidateOf(opened);
    } catch (error) {
      this.#unreadable = true;
      this.#context.throttle.run(`open ${this.path}`, (repeated) => {
        const why = systemCode(error) ?? messageOf(error);
        this.#context.log.warn({ repeated }, `cannot read ${this.path} (${why}); trying again`);
      });
      return undefined;
    }
  }

  #arrive(candidate: Candidate): void {
    this.#arrivals.push(candidate);
    this.#arrived.ring();
  }

  /** Gives each file that has arrived its generation, in order. */
  async #identify(): Promise<void> {
    while (!this.#signal.aborted) {
      const arrival = this.#arrivals[0];
      if (arrival === undefined) await this.#arrived.wait(IDLE_MS, this.#signal);
      else {
        await this.#identifyOne(arrival);
      }
    }
    for (const { handle } of this.#arrivals) await handle.close();
  }

  async #identifyOne(arrival: Candidate): Promise<void> {
    try {
      await this.#append(arrival, fromBeginning, nothingKnown);
      this.#arrivals.shift();
    } catch (error) {
      this.#warn(error);
      await sleep(RETRY_MS, this.#signal);
    }
  }

  /** A finished file is written to after all. */
  async #goOn(entry: GenerationState): Promise<void> {
    const index = this.#generations.findIndex((generation) => generation.entry === entry);
    if (index >= 0) return;
    entry.done = false;
    entry.closed = null;
    await this.#reopen(entry);
  }

  /** Chooses the generation of a file: the first number whose bytes in the stream are this file's. */
  async #append(
    { handle, found, head }: Candidate,
    begin: (found: Found) => number,
    known: Known,
    following?: Generation,
  ): Promise<void> {
    const base = baseOf(found.stamp) ?? this.#randomBase(found.stamp);
    let number = known(base)?.number ?? 0;
    for (const entry of this.#entries) {
      const split = splitFileId(entry.file);
      if (split?.base === base) number = Math.max(number, split.number + 1);
    }
    for (; ; number += 1) {
      const entry: GenerationState = {
        file: fileIdOf(base, number),
        ino: found.stamp.ino,
        birth: found.stamp.birth,
        since: String(BigInt(Date.now()) * 1_000_000n),
        head,
        begin: begin(found),
        after: null,
        size: found.size,
        closed: null,
        done: false,
      };
      const generation = new Generation(this.#context, this.path, entry, handle, this.#owner);
      const matches = await generation.resume(this.#signal);
      if (!matches && generation.position > entry.begin) continue;
      this.#entries.splice(
        following === undefined ? this.#entries.length : this.#entries.indexOf(following.entry),
        0,
        entry,
      );
      this.#generations.splice(
        following === undefined ? this.#generations.length : this.#generations.indexOf(following),
        0,
        generation,
      );
      this.#context.state.touch();
      this.#context.log.info(
        { path: this.path, file: entry.file, from: generation.position },
        `shipping ${this.path}`,
      );
      if (!matches) await this.#finishElsewhere(generation);
      this.#bell.ring();
      return;
    }
  }

  #randomBase(stamp: FileStamp): string {
    const kept = this.#entries.find((entry) => isSameFile(entry, stamp));
    return splitFileId(kept?.file ?? '')?.base ?? `r${randomBytes(8).toString('hex')}`;
  }

  #add(entry: GenerationState, handle: FileHandle | undefined): Generation {
    const generation = new Generation(this.#context, this.path, entry, handle, this.#owner);
    this.#generations.push(generation);
    this.#bell.ring();
    return generation;
  }

  async #lookSoon(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      this.#warn(error);
    }
  }

  // --- order ----------------------------------------------------------------------------------------------------

  /** Starts each generation when the one before is in the stream as a whole (design §4.3). */
  async #inOrder(): Promise<void> {
    while (!this.#signal.aborted)
      try {
        await this.#startNext();
      } catch (error) {
        this.#warn(error);
        await sleep(RETRY_MS, this.#signal);
      }
  }

  async #startNext(): Promise<void> {
    const next = this.#generations[this.#started];
    const before = this.#generations[this.#started - 1];
    if (next === undefined) await this.#bell.wait(IDLE_MS, this.#signal);
    else if (before === undefined || before.isDrained) {
      if (before !== undefined && (await this.#insertCopies(before, next))) return;
      next.entry.after ??=
        before === undefined ? this.#afterKept(next) : namedAfter(before.entry, before.position);
      await this.#context.state.save();
      this.#started += 1;
      const run = next.run(this.#signal).finally(() => this.#running.delete(run));
      this.#running.add(run);
    } else {
      // A single writer has left the old file once the new one has bytes.
      const more = this.#started + 1 < this.#generations.length || this.#arrivals.length > 0;
      if (next.size > 0 || more || this.#context.once) before.close('rotated');
      await this.#bell.wait(ORDER_LOOK_MS, this.#signal);
    }
  }

  #warn(error: unknown): void {
    this.#context.throttle.run(`${this.path}: ${messageOf(error)}`, (repeated) => {
      this.#context.log.warn({ repeated }, `${this.path}: ${messageOf(error)}; trying again`);
    });
  }

  /**
   * A file that was truncated may have been written to, copied and truncated again before anybody read it: those
   * copies come first. Asked right before the first read, when nothing more can come between.
   */
  async #insertCopies(before: Generation, next: Generation): Promise<boolean> {
    if (!isSameFile(before.entry, next.entry) || next.position > next.entry.begin) return false;
    const copies = await this.#between(BigInt(before.entry.since), undefined);
    for (const copy of copies) await this.#append(copy, fromBeginning, nothingKnown, next);
    return copies.length > 0;
  }

  /** The generation before the first one that runs, when it was finished in an earlier run. */
  #afterKept(next: Generation): After | null {
    const index = this.#entries.indexOf(next.entry);
    const before = this.#entries[index - 1];
    return before === undefined || before.size === before.begin
      ? null
      : { file: before.file, size: before.size };
  }

  async #closeWhatIsGone(found: Found | undefined): Promise<void> {
    const { current } = this;
    if (current?.isOpen !== true || found !== undefined) return;
    if ((await current.isUnlinked()) && current.quietMs >= DELETED_QUIET_MS) current.close('deleted');
  }

  /** Finished and committed generations let go of their descriptors, and are forgotten when their file is gone. */
  async #park(): Promise<void> {
    for (const generation of this.#generations) {
      const { entry } = generation;
      const keepMs = entry.closed === 'rotated' ? PARK_MS : PARK_DELETED_MS;
      if (!generation.isDrained || !generation.isCommitted || generation.quietMs < keepMs) continue;
      if (generation.isOpen) generation.park();
      if (!entry.done) {
        entry.done = true;
        this.#context.state.touch();
      }
    }
    while (this.#entries.length > REMEMBERED && this.#entries[0]?.done === true) {
      const entry = this.#entries.shift();
      const index = this.#generations.findIndex((generation) => generation.entry === entry);
      if (index >= 0) {
        for (const forgotten of this.#generations.splice(index, 1)) void forgotten.retire();
        this.#started -= 1;
      }
    }
  }

  /** Something of a generation is wanted again that is not open: its file, or the copy of a truncated one. */
  async #reopenFor(generation: Generation): Promise<FileHandle | undefined> {
    const handle =
      generation.closing === 'truncated'
        ? (await this.#findCopy(generation))?.handle
        : await findFile(this.path, generation.entry);
    this.#unreadable = handle === undefined && (await this.#mayComeBack(generation));
    if (this.#unreadable)
      throw new LogferryError('failed', 'it is not there, and has bytes that were not shipped');
    return handle;
  }

  /**
   * Nothing is there, not even a later generation: what holds it may not be mounted yet. Waiting holds nothing up
   * then; when it is there again, or never was, is only known after a while.
   */
  async #mayComeBack(generation: Generation): Promise<boolean> {
    if (performance.now() - this.#begunAt >= LOST_AFTER_MS || this.current !== generation) return false;
    return (await look(this.path)) === undefined && !(await hasRotated(this.path));
  }

  async #findCopy(generation: Generation): Promise<Opened | undefined> {
    const wanted = async ({ handle, found }: Opened): Promise<boolean> =>
      found.size >= generation.position &&
      headMatches(generation.entry.head, await firstBytes(handle)) &&
      (await generation.isContinuedBy(handle));
    return await findRotated(this.path, (found) => !this.owns(found.stamp), wanted);
  }

  /** Rotated files beside the path that are generations between two that are known; see rotatedBetween. */
  async #between(after: bigint, before: FileStamp | undefined): Promise<Candidate[]> {
    const known = this.#entries.map(({ head }) => head);
    return await rotatedBetween(this.path, {
      after,
      before,
      isKnown: (stamp) => this.owns(stamp),
      heads: known,
    });
  }

  /** Without state: rotated files beside the path that stream or record know, oldest first. */
  async #rotatedAndKnown(known: Known): Promise<Candidate[]> {
    return await rotatedFiles(this.path, ({ stamp }) => {
      const of = known(baseOf(stamp) ?? '');
      return of !== undefined && (of.path === '' || of.path === this.path);
    });
  }
}

const fromBeginning = (): number => 0;
const nothingKnown: Known = () => undefined;

/** What the next generation names as the one before it: past those of which nothing was ever shipped. */
function namedAfter(before: GenerationState, size: number): After | null {
  return size === before.begin ? before.after : { file: before.file, size };
}
