// One source path and its generations, oldest first: notices rotation, truncation and deletion, finds where the old
// bytes went, and lets a generation follow only when the one before is in the stream.

import type { FileHandle } from '../files/disk.ts';
import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import { tuning } from '../../common/runtime/tuning.ts';
import { Arrivals } from './arrivals.ts';
import { Becoming } from './becoming.ts';
import { Clock } from './clock.ts';
import { sayNowhere } from './continued.ts';
import { type Found, now } from '../files/discover.ts';
import type { ShipperContext } from '../lane/context.ts';
import { Generation, type GenerationOwner } from '../lane/generation.ts';
import { type FileStamp, isSameFile } from '../files/identity.ts';
import { Finished } from './finished.ts';
import { Lineage } from './lineage.ts';
import { Naming } from './naming.ts';
import { Order } from './order.ts';
import { Reopening } from './reopening.ts';
import type { Beside } from '../files/rotation-times.ts';
import { type Known, Search } from './search.ts';
import { type GenerationState } from '../files/generation-state.ts';
import type { Kept } from '../lane/any-source.ts';
import { type Candidate, candidateOf, type Elsewhere, openStill, statOf } from '../files/candidate.ts';

/** A deleted file is finished when nobody has written to it for this long. */
const DELETED_MS = 2_000;
/** A new file is there soon after a rotation: for so long what is rotated meanwhile is looked for. */
const REPLACED_MS = 60_000;
const RETRY_MS = 250;

/** Of a path that nothing is known of. */
export interface Fresh {
  /** What was at it when it was listed. */
  readonly listed: Found | undefined;
  /** Where what was listed begins; undefined for its beginning, with no need to ask anybody what is shipped already. */
  readonly at: ((found: Found) => number) | undefined;
  /** From this moment on whatever is there is new, also what was rotated away already (nanoseconds since 1970). */
  readonly since: bigint;
}

const NOT_THERE = 'it is not there, and has bytes that were not shipped';

export class Source {
  readonly path: string;
  /** The path under which it is shipped. */
  readonly name: string;
  readonly #context: ShipperContext;
  readonly signal: AbortSignal;
  /** Fires when it is stopped, too. */
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;
  readonly #search: Search;
  readonly #naming: Naming;
  readonly #order: Order;
  readonly #running = new Set<Promise<void>>();
  readonly #finished = new Finished();
  readonly #becoming: Becoming;
  readonly #reopening: Reopening;
  readonly #owner: GenerationOwner;
  readonly #clock = new Clock();
  #since = now();
  #unreadable: string | undefined;
  /** When the file at the path had been written to at the last look, and where it was. */
  #seen: bigint | undefined;
  #thereAt = performance.now();
  #device: bigint | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(context: ShipperContext, file: string, signal: AbortSignal) {
    this.#context = context;
    this.path = file;
    this.name = context.nameOf(file);
    this.signal = signal;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#owner = {
      path: file,
      onReplaced: () => void this.#lookSoon(),
      reopen: async (generation) => await this.#reopenFor(generation),
      mayBegin: async (generation, readAt) => await this.#order.mayBegin(generation, readAt),
    };
    this.#lineage = new Lineage(context, file);
    this.#arrivals = new Arrivals(context, file);
    this.#search = new Search(context, file, this.#lineage, this.#arrivals);
    const [lineage, arrivals, search] = [this.#lineage, this.#arrivals, this.#search];
    // Of an earlier run, and not found at the start of this one.
    const nowhere = new Set<Generation>();
    const becoming = new Becoming(context, file, { lineage, arrivals, search }, nowhere);
    this.#becoming = becoming;
    const add = (entry: GenerationState, handle: FileHandle | undefined): Generation =>
      this.#add(entry, handle);
    const parts = { lineage, arrivals, search, becoming };
    this.#reopening = new Reopening(context, file, parts, nowhere, add, this.#signal);
    const named = { name: this.name, owner: this.#owner, signal: this.#signal };
    const finish = async (generation: Generation): Promise<Found | undefined> =>
      await this.#reopening.finishElsewhere(generation);
    this.#naming = new Naming(context, lineage, named, () => this.#order.ring(), finish);
    this.#order = new Order(context, { lineage, arrivals, search, naming: this.#naming }, this.#signal, {
      alone: async (work) => await this.#alone(work),
      openAgain: async (generation) => await this.#openAgain(generation),
      warn: (error) => {
        this.#warn(error);
      },
    });
  }

  get generations(): readonly Generation[] {
    return this.#lineage.generations;
  }

  /** Why there is a file that cannot be opened, or one that has to be there and is not. */
  get unreadable(): string | undefined {
    return this.#unreadable;
  }

  get current(): Generation | undefined {
    return this.#lineage.current;
  }

  /** Whether this file is one of mine, whatever it is called now. */
  #owns(stamp: FileStamp): boolean {
    return this.#context.knownFiles.isOf(stamp, this.path);
  }

  /**
   * Whether a look would find nothing to do: what is at the path is the newest generation, which is being read, or was
   * not written to since the last look.
   */
  isAsSeen({ stamp, size, modified }: Found): boolean {
    const { current } = this;
    if (current === undefined || current.closing !== undefined || !isSameFile(current.entry, stamp))
      return false;
    const isSettled =
      this.#unreadable === undefined &&
      this.#arrivals.isEmpty &&
      this.#lineage.hasAllStarted &&
      this.#lineage.entries.every((entry) => entry === current.entry || this.#finished.isLeft(entry));
    if (!isSettled) return false;
    current.entry.seen = String(now());
    const { isPolled, position, restedAt } = current.cursor;
    return isPolled ? size >= position : size === current.entry.size && modified === (restedAt ?? this.#seen);
  }

  /**
   * Nothing was at the path for a while, and nothing of its files is anywhere: what is shipped of them others know. Where
   * there are no births a file that came back would not be known.
   */
  get isForgettable(): boolean {
    if (this.#goneMs < tuning.forgetMs || this.#unreadable !== undefined) return false;
    if (!this.#arrivals.isEmpty || !this.#lineage.hasAllStarted) return false;
    return this.#lineage.entries.every((entry) => entry.birth !== '0' && this.#finished.isGone(entry));
  }

  /** Its file was on this device when it was last looked at, undefined when it was not there. */
  get device(): bigint | undefined {
    return this.#device;
  }

  /** Everything that was found is in the stream and committed. */
  get isCommitted(): boolean {
    if (this.#unreadable !== undefined) return false;
    return this.#lineage.hasAllStarted && this.generations.every((generation) => generation.isCommitted);
  }

  wake(): void {
    for (const generation of this.generations) if (generation.cursor.isOpen) generation.wake();
    this.#order.ring();
  }

  /** One of its files was written to. */
  written(): void {
    for (const generation of this.generations) if (generation.cursor.isOpen) generation.written();
  }

  /** Whether one of its files was written to lately. */
  get isRecent(): boolean {
    return this.generations.some((generation) => generation.cursor.isRecent);
  }

  /**
   * Opens what the state knows and what is at the path now: false when there is nothing, also to be tried again. Throws when a file that is there
   * cannot be read: then nothing was started, and it can be tried again.
   */
  async start(found: Found | undefined, { listed, at, since }: Fresh, known: Known): Promise<boolean> {
    const begin = (each: Found): number =>
      listed !== undefined && isSameFile(each.stamp, listed.stamp) ? (at?.(each) ?? 0) : 0;
    this.#since = since;
    await this.#note(found);
    const { entries } = this.#lineage;
    for (const { directory } of entries) if (directory !== null) this.#search.learn(directory);
    for (const entry of entries.filter(({ done }) => !done)) await this.#reopening.reopen(entry);
    if (entries.length === 0 && at !== undefined)
      for (const candidate of await this.#search.rotatedAndKnown(this.name, known))
        await this.#naming.append({ ...candidate, beside: STATE_LOST }, begin, known);
    for (const each of await this.#context.held.at(this.path)) await this.#discover(each);
    if (entries.length === 0) await this.#findListed(listed, found);
    // To find out where to go on may have taken long.
    const there = entries.length === 0 ? found : await this.#context.look(this.path).catch(() => found);
    await this.#discover(there);
    await this.#context.held.release(new Set([this.path]));
    // Nobody may make a new one for a while, and with --once nobody looks again.
    if (there === undefined) await this.#discoverRotatedAway();
    for (const arrival of at === undefined ? [] : [...this.#arrivals.queue])
      await this.#settle(arrival, begin, known);
    if (entries.length === 0 && this.#arrivals.isEmpty && this.#unreadable === undefined) return false;
    await this.#noteBeside(there);
    await this.#reopening.sayNowhere();
    this.#running.add(this.#identify()).add(this.#order.run());
    return true;
  }

  /** Rotated since it was listed: it comes before what is at the path now. */
  async #findListed(listed: Found | undefined, found: Found | undefined): Promise<void> {
    if (!this.#arrivals.isEmpty || listed === undefined) return;
    if (found !== undefined && isSameFile(listed.stamp, found.stamp)) return;
    // Without a birth its number may be another file's already.
    if (listed.stamp.birth === '0') return;
    const opened = await this.#search.file(listed.stamp);
    if (opened !== undefined) this.#arrivals.add(await candidateOf(opened, now()));
  }

  /** A file of this source is at another path now, where it may be written to. */
  async foundElsewhere(found: Found): Promise<void> {
    await this.#alone(async () => {
      if (!this.#signal.aborted) await this.#isBack(found);
    });
  }

  /** Looks at the path again; one look at a time. Needs no broker: what has arrived is held open until there is one. */
  async look(): Promise<void> {
    try {
      await this.#alone(async () => {
        if (!this.#signal.aborted) await this.#lookNow();
      });
    } catch (error) {
      // What is stopped has no answer.
      if (!this.#signal.aborted) throw error;
    }
  }

  async #lookNow(): Promise<void> {
    const found = await this.#context.look(this.path);
    await this.#note(found);
    if (this.#clock.setBack(this.#lineage.entries)) this.#context.state.touch();
    if (found !== undefined) await this.#openResting(found);
    await this.#reopening.askTruncated(found);
    await this.#discover(found);
    if (found === undefined && this.#goneMs < REPLACED_MS) await this.#discoverRotatedAway();
    await this.#noteBeside(found);
    await this.#askFinished(found);
    await this.#reopening.sayNowhere();
    await this.#closeWhatIsGone(found);
    this.#lineage.park(this.#finished);
    this.wake();
  }

  /** A finished file that still has a name may be written to: it is asked for its size as long as it is there. */
  async #askFinished(atPath: Found | undefined): Promise<void> {
    const { entries } = this.#lineage;
    const current = atPath === undefined ? undefined : this.current?.entry;
    const grown = await this.#finished.grown(entries, current, async () => await this.#search.all());
    for (const [entry, size] of grown) await this.#goOnWith(entry, size);
  }

  /** A finished file is longer than what was read of it. */
  async #goOnWith(entry: GenerationState, size: number): Promise<void> {
    const generation = this.#lineage.generationOf(entry);
    if (generation === undefined) await this.#goOn(entry);
    else generation.cursor.foundAgain(size);
  }

  /** One at a time: what is found and is nobody's belongs to whoever found it first. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const working = this.#looking.then(work);
    this.#looking = working.then(
      () => {},
      () => {},
    );
    return await working;
  }

  /** It was closed because there are too few descriptors, and has changed, or another has taken its place. */
  async #openResting({ stamp, size, modified }: Found): Promise<void> {
    const { current } = this;
    if (current?.cursor.restedAt === undefined) return;
    const isAsItWas = size === current.entry.size && modified === current.cursor.restedAt;
    if (isAsItWas && isSameFile(current.entry, stamp)) return;
    await this.#openAgain(current);
  }

  /** One that gave up its descriptor: its file, or another with its bytes. */
  async #openAgain(generation: Generation): Promise<void> {
    const bytes = await this.#reopenFor(generation);
    if (bytes !== undefined) generation.cursor.moveTo(bytes);
  }

  async #note(found: Found | undefined): Promise<void> {
    if (found !== undefined) await this.#context.fileSystems.learn(found);
    this.#seen = found?.modified;
    this.#device = found?.device;
    if (found !== undefined) this.#thereAt = performance.now();
  }

  /** For how long nothing has been at the path, as far as anybody looked. */
  get #goneMs(): number {
    return performance.now() - this.#thereAt;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.wake();
    this.#arrivals.wake();
    await Promise.allSettled([this.#looking]);
    await Promise.allSettled([...this.#running]);
    for (const generation of this.generations) await generation.cursor.close();
    for (const stamp of this.#lineage.stamps()) this.#context.knownFiles.remove(stamp, this.path);
    await this.#arrivals.close();
  }

  // --- generations ----------------------------------------------------------------------------------------------

  /** What is at the path now: the newest file that is known, or others after it. */
  async #discover(found: Found | undefined): Promise<void> {
    if (found !== undefined && (await this.#hasToOpen(found))) {
      const arrival = await this.#openCurrent(found);
      if (arrival !== undefined) this.#arrivals.add(arrival);
    } else if (this.#unreadable !== NOT_THERE) this.#unreadable = undefined;
  }

  /** Whether it arrives, after those that came before it; what is known of it is told to its generation. */
  async #hasToOpen(found: Found): Promise<boolean> {
    const newest = this.#newest;
    if (newest !== undefined && isSameFile(newest, found.stamp)) {
      const last = this.#lineage.entries.at(-1);
      if (!this.#arrivals.isEmpty || last === undefined) return false;
      last.seen = String(now());
      const isTruncated = (): boolean => last.closed === 'truncated' || this.current?.closing === 'truncated';
      if (last.done && !isTruncated() && found.size !== last.size) await this.#goOn(last);
      // It was not there when this run began: there is more to ship, so it is opened.
      if (this.current?.entry === last) this.current.cursor.foundAgain(found.size);
      // Truncated, it goes on as another: from its descriptor, or from the path when it was not open.
      return isTruncated() && this.#arrivals.isEmpty;
    }
    if (await this.#becoming.isStill(found)) return false;
    if ((await this.#isBack(found)) || (await this.#isOfAnother(found))) return false;
    await this.#discoverRotated(found.stamp);
    // The newest one may go on in it, as was seen while others were looked for.
    return this.#lineage.entryOf(found.stamp) === undefined;
  }

  /** The newest file that is known. */
  get #newest(): FileStamp | undefined {
    return this.#arrivals.queue.at(-1)?.found.stamp ?? this.#lineage.entries.at(-1);
  }

  /** What was at the path after the newest file that is known, and was rotated away again before this one came. */
  async #discoverRotated(before: FileStamp): Promise<void> {
    await this.#search.learnPlace(this.current);
    await this.#reopening.findWanted();
    if (this.#arrivals.isEmpty) await this.#reopening.followDeleted();
    const last = this.#arrivals.queue.at(-1) ?? this.#lineage.entries.at(-1);
    const { candidates } = await this.#search.between({
      ...{ after: this.#firstSeen(), seen: this.#lastSeen(), before, next: undefined },
      beside: last === undefined ? undefined : (last.beside ?? null),
    });
    for (const rotated of candidates) this.#arrivals.add(rotated);
  }

  /** Notes what stands beside the newest file while that is at the path: what has later names came after it. */
  async #noteBeside(found: Found | undefined): Promise<void> {
    const arrival = this.#arrivals.queue.at(-1);
    const entry = this.#lineage.entries.at(-1);
    const last = arrival?.found.stamp ?? entry;
    if (found === undefined || last === undefined || !isSameFile(last, found.stamp)) return;
    if ((arrival ?? entry)?.beside != null) return;
    const beside = await this.#search.beside(found.stamp);
    if (beside === undefined) return;
    if (arrival !== undefined) arrival.beside = beside;
    // It may have got its generation meanwhile.
    const its = this.#lineage.entries.at(-1);
    if (its !== undefined && isSameFile(its, found.stamp)) its.beside ??= beside;
    this.#context.state.touch();
  }

  /** The same while nothing is at the path. */
  async #discoverRotatedAway(): Promise<void> {
    if (this.#lineage.entries.length > 0) await this.#discoverRotated({ ...NO_FILE, birth: String(now()) });
  }

  /** Another source ships this file, under the path that it had before, or another of its names. */
  async #isOfAnother(found: Found): Promise<boolean> {
    const owner = this.#context.knownFiles.ownerOf(found.stamp);
    if (owner === undefined || this.#owns(found.stamp)) return false;
    return await this.#context.tellOwner(owner, found);
  }

  /**
   * When the newest file was seen at the path, as an earlier generation if it was truncated and renamed since; before
   * the first, the moment from which on whatever is there is new.
   */
  #firstSeen(): bigint {
    const known = [
      ...this.#lineage.entries.map((entry) => ({ stamp: entry, since: BigInt(entry.since) })),
      ...this.#arrivals.queue.map(({ found, since }) => ({ stamp: found.stamp, since })),
    ];
    const newest = known.pop();
    if (newest === undefined) return this.#since;
    return known.findLast(({ stamp }) => isSameFile(stamp, newest.stamp))?.since ?? newest.since;
  }

  /** When the newest file was last seen at the path. */
  #lastSeen(): bigint {
    const newest = this.#newest;
    const its = this.#lineage.entries.filter((entry) => newest !== undefined && isSameFile(entry, newest));
    return its.reduce((last, { seen }) => (BigInt(seen) > last ? BigInt(seen) : last), 0n);
  }

  /** A file that was there before the newest one, as when a link is set back: its own generation goes on. */
  async #isBack({ path: file, stamp, size }: Found): Promise<boolean> {
    if (this.#arrivals.queue.some(({ found }) => isSameFile(found.stamp, stamp))) return true;
    const entry = this.#lineage.entryOf(stamp);
    const generation = this.#lineage.generationOf(entry);
    // Without a birth a number counts while the file is open.
    const own = stamp.birth === '0' ? await statOf(generation?.cursor.opened, file) : undefined;
    if (stamp.birth === '0' && (own === undefined || !isSameFile(own.stamp, stamp))) return false;
    if (entry === undefined || entry.closed === 'truncated' || generation?.closing === 'truncated')
      return false;
    if (generation !== undefined) generation.cursor.foundAgain(size);
    else if (entry.done && size !== entry.size) await this.#goOn(entry);
    return true;
  }

  async #openCurrent(found: Found): Promise<Candidate | undefined> {
    try {
      const since = now();
      await this.#context.openFiles.makeRoom(this.#signal);
      const held = await this.#context.held.take(found);
      const opened = held ?? (await openStill(found));
      this.#unreadable = undefined;
      return opened === undefined ? undefined : await candidateOf(opened, held?.since ?? since);
    } catch (error) {
      const why = systemCode(error) ?? messageOf(error);
      this.#unreadable = why;
      this.#context.throttle.run(`open ${this.path}`, (repeated) => {
        this.#context.log.warn({ repeated }, `cannot read ${this.path} (${why}); trying again`);
      });
      return undefined;
    }
  }

  /** Gives each file that has arrived its generation, in order. */
  async #identify(): Promise<void> {
    while (!this.#signal.aborted) {
      const [arrival] = this.#arrivals.queue;
      if (arrival === undefined) await this.#arrivals.wait(this.#signal);
      else await this.#identifyOne(arrival);
    }
  }

  /** It is known already, one that is known goes on in it, or it becomes one of its own. */
  async #settle(
    arrival: Candidate,
    ...how: [begin?: (found: Found) => number, known?: Known]
  ): Promise<void> {
    if (await this.#search.wasShipped(arrival)) await arrival.handle.close();
    else if (!(await this.#reopening.takes(arrival)) && !(await this.#becoming.goesOnWith(arrival)))
      await this.#naming.append(arrival, ...how);
    this.#arrivals.settled(arrival);
  }

  async #identifyOne(arrival: Candidate): Promise<void> {
    try {
      await this.#settle(arrival);
      await this.#reopening.sayNowhere();
    } catch (error) {
      this.#warn(error);
      await sleep(RETRY_MS, this.#signal);
    }
  }

  /** A finished file is written to after all. */
  async #goOn(entry: GenerationState): Promise<void> {
    if (this.#lineage.generationOf(entry) !== undefined) return;
    entry.done = false;
    entry.closed = null;
    await this.#reopening.reopen(entry);
  }

  #add(entry: GenerationState, handle: FileHandle | undefined): Generation {
    const generation = new Generation(this.#context, this.name, entry, handle, this.#owner);
    this.#lineage.add(generation);
    this.#order.ring();
    return generation;
  }

  async #lookSoon(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      this.#warn(error);
    }
  }

  #warn(error: unknown): void {
    if (this.#signal.aborted) return;
    this.#context.throttle.run(`${this.path}: ${messageOf(error)}`, (repeated) => {
      this.#context.log.warn({ repeated }, `${this.path}: ${messageOf(error)}; trying again`);
    });
  }

  async #closeWhatIsGone(found: Found | undefined): Promise<void> {
    const { current } = this;
    if (current?.cursor.isOpen !== true || found !== undefined) return;
    const own = await statOf(current.cursor.opened, this.path);
    if (own?.links === 0 && current.cursor.quietMs >= DELETED_MS) current.close('deleted');
  }

  /** Something of a generation is wanted again that is not open: its file, or another with its bytes. */
  async #reopenFor(generation: Generation): Promise<Elsewhere | undefined> {
    const { entry } = generation;
    await this.#context.openFiles.makeRoom(this.#signal);
    // Asked before it is looked for: what holds it may come back in between.
    const mayComeBack = await this.#reopening.mayComeBack(generation);
    const opened = generation.closing === 'truncated' ? undefined : await this.#search.file(entry);
    const bytes =
      opened === undefined
        ? await this.#search.bytesOf(generation)
        : { ...opened, size: opened.found.size, from: 0 };
    const { isTaken, isEndKnown } = generation.cursor;
    // One that was rotated and read to its end may be removed: no more of it is waited for.
    const isWhole = isTaken && (isEndKnown || entry.closed !== null);
    const isMissing = bytes === undefined && !isWhole;
    this.#unreadable = isMissing && mayComeBack ? NOT_THERE : undefined;
    if (this.#unreadable !== undefined) throw new LogferryError('failed', this.#unreadable);
    if (isMissing && isTaken) sayNowhere(this.#context, this.path, generation);
    return bytes;
  }

  /** See AnySource. */
  async openWhole(file: string): Promise<Kept | undefined> {
    return await this.#search.openWhole(file);
  }
}

/** Nobody knows which of the compressed files were shipped. */
const STATE_LOST: Beside = { strangers: true, latest: {} };
const NO_FILE: FileStamp = { ino: '', birth: '0', device: '' };
