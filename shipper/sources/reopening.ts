// Where the bytes of a generation are when its file is not what it was: found again after a restart, in a copy, in a compressed
// file, or behind bytes that are others now. What is nowhere is named. Never decides what is new.

import { isForbidden, LogferryError } from '../../common/runtime/errors.ts';
import { type Candidate, candidateOf, type Elsewhere, type Opened } from '../files/candidate.ts';
import { isBeginningOf } from '../files/contents.ts';
import type { FileHandle } from '../files/disk.ts';
import { isSameFile } from '../files/identity.ts';
import { type Found, now } from '../files/discover.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { endOfSums } from '../files/sums.ts';
import { openQuietly } from '../files/surroundings.ts';
import { packingOf } from '../files/unpack.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Generation } from '../lane/generation.ts';
import { sayUntold } from '../report/untold.ts';
import type { Arrivals } from './arrivals.ts';
import type { Becoming } from './becoming.ts';
import { goesOnIn, sameUpTo, sayNowhere, wholeOf } from './continued.ts';
import { LEAST_PROOF_BYTES } from './copies.ts';
import type { Lineage } from './lineage.ts';
import type { Search } from './search.ts';

/** A file of an earlier run that is nowhere counts as lost only when it has not come back for this long. */
const LOST_AFTER_MS = 3_600_000;

/** Of one path. */
interface Parts {
  readonly lineage: Lineage;
  readonly arrivals: Arrivals;
  readonly search: Search;
  readonly becoming: Becoming;
}

export class Reopening {
  readonly #context: ShipperContext;
  readonly #path: string;
  readonly #signal: AbortSignal;
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;
  readonly #search: Search;
  readonly #becoming: Becoming;
  readonly #nowhere: Set<Generation>;
  readonly #add: (entry: GenerationState, handle: FileHandle | undefined) => Generation;
  readonly #begunAt = performance.now();

  /**
   * @param nowhere those whose file was not found
   * @param add makes the generation of an entry that the state has kept
   */
  constructor(
    context: ShipperContext,
    path: string,
    parts: Parts,
    nowhere: Set<Generation>,
    add: (entry: GenerationState, handle: FileHandle | undefined) => Generation,
    signal: AbortSignal,
  ) {
    this.#context = context;
    this.#path = path;
    this.#lineage = parts.lineage;
    this.#arrivals = parts.arrivals;
    this.#search = parts.search;
    this.#becoming = parts.becoming;
    this.#nowhere = nowhere;
    this.#add = add;
    this.#signal = signal;
  }

  /** A generation of an earlier run: found again by its stamp, or its bytes in a copy or a compressed file. */
  async reopen(entry: GenerationState): Promise<void> {
    // Truncated in place, the file is a later generation's, also where its bytes look the same.
    const isOthers = (this.#lineage.entryOf(entry) ?? entry) !== entry;
    const isOver = isOthers || entry.closed === 'truncated';
    await this.#context.openFiles.makeRoom(this.#signal);
    const opened = isOver ? undefined : await this.#findAgain(entry);
    const generation = this.#add(entry, opened?.handle);
    if (entry.closed !== null) generation.close(entry.closed);
    const matches = await generation.resume(this.#signal);
    if (!matches) await this.truncated(generation, false);
    else if (isOthers && entry.closed === null) await this.finishElsewhere(generation);
    // Compressed meanwhile, or without a birth: only its bytes tell where it is, and whether it has more.
    else if (opened === undefined && entry.closed === 'rotated') await this.#moveElsewhere(generation);
    // It may have been written to before it went: its size is not known until its bytes are found.
    else if (opened === undefined && entry.closed === null) {
      this.#nowhere.add(generation);
      if (await this.#goesOnAtPath(generation)) return;
      await this.#moveElsewhere(generation);
      if (this.#nowhere.has(generation)) await this.#goesOnCut(generation);
    }
  }

  /** What is at the path and may be the newest generation's: no source knows it. */
  async #unknownAtPath(generation: Generation): Promise<Found | undefined> {
    if (generation.entry !== this.#lineage.entries.at(-1)) return undefined;
    const found = await this.#context.look(this.#path);
    return found === undefined || this.#context.knownFiles.has(found.stamp) ? undefined : found;
  }

  /** What is at the path has most of it: it was cut, and nothing but its bytes tells that it is the same. */
  async #goesOnCut(generation: Generation): Promise<void> {
    const found = await this.#unknownAtPath(generation);
    const opened = found && (await openQuietly(found));
    if (opened === undefined) return;
    const { shipped } = await sameUpTo(generation, opened, false);
    if (shipped === undefined) await opened.handle.close();
    else {
      this.#nowhere.delete(generation);
      this.#cut(generation, endOfSums(shipped));
      this.#arrivals.add({ ...(await candidateOf(opened, now())), shipped });
    }
  }

  /** What is at the path has all of it, and is no later one: what else has it is a copy that was made by hand. */
  async #goesOnAtPath(generation: Generation): Promise<boolean> {
    const found = await this.#unknownAtPath(generation);
    const there = found && (await this.#becoming.bytesAt(found, generation));
    if (there === undefined) return false;
    let elsewhere: Elsewhere | undefined;
    try {
      elsewhere = await this.#search.bytesOf(generation);
      if (elsewhere === undefined) return true;
      // Of two that hold the same, the copy is the one that was written later.
      const isCopy = elsewhere.size === there.size && elsewhere.found.modified > there.found.modified;
      return isCopy || (await wholeOf([elsewhere, there])) === there;
    } catch (error) {
      if (!(error instanceof LogferryError && error.code === 'busy')) throw error;
      return false;
    } finally {
      await there.handle.close();
      await elsewhere?.handle.close();
    }
  }

  /** Goes on in a copy or a compressed file. When that is still being written, later: its end is not known till then. */
  async #moveElsewhere(generation: Generation): Promise<Found | undefined> {
    try {
      const bytes = await this.#search.bytesOf(generation);
      generation.cursor.moveTo(bytes);
      if (bytes !== undefined) this.#nowhere.delete(generation);
      return bytes?.found;
    } catch (error) {
      this.#nowhere.delete(generation);
      if (!(error instanceof LogferryError && error.code === 'busy')) throw error;
      generation.cursor.moveTo(undefined);
      generation.cursor.lookLater();
      return undefined;
    }
  }

  /**
   * What is wanted and may be in a file that nothing is known of is looked for before that counts as a new one. Throws `busy`
   * while it may be in one that is still being compressed: nothing new could be shipped before it anyway.
   */
  async findWanted(): Promise<void> {
    for (const generation of this.#lineage.generations) {
      if (!generation.hasBegun || !generation.cursor.isWanted) continue;
      const bytes = await this.#search.bytesOf(generation);
      if (bytes !== undefined) generation.cursor.lookedFor(bytes);
    }
  }

  /** Whether one that was nowhere goes on in it: it may have been copied or renamed while it was looked for. */
  async takes(arrival: Candidate): Promise<boolean> {
    const { handle, size, found, from, wasAtPath } = arrival;
    if (wasAtPath || from > 0) return false;
    for (const generation of this.#nowhere) {
      // Of one that was empty any may be the next.
      if (generation.cursor.content.head.length === 0) continue;
      // Unpacked by now, where it was compressed.
      const bytes = await goesOnIn(generation, { handle, found: { ...found, size, path: '' } });
      if (bytes === undefined) continue;
      this.#nowhere.delete(generation);
      generation.cursor.moveTo(arrival);
      return true;
    }
    return false;
  }

  /**
   * The newest one, whose own file was deleted, and which another may have gone on with: an editor has saved it, and the new
   * one was rotated. Throws `busy` while that may be in one that is still being compressed.
   */
  async followDeleted(): Promise<void> {
    const { current } = this.#lineage;
    const own = current?.closing === undefined ? current?.cursor.opened : undefined;
    if (current?.entry.copy !== null || own === undefined) return;
    const { size, nlink } = await own.stat();
    const { position } = current.cursor;
    if (nlink > 0 || size < LEAST_PROOF_BYTES) return;
    const bytes = await this.#search.bytesOf(current);
    if (bytes === undefined) return;
    // Also what was not read yet.
    if (!(await isBeginningOf({ handle: own, size }, bytes.handle, position))) await bytes.handle.close();
    else {
      // What is compressed does not go on, and without a birth the old number may be any file's from now on.
      if (packingOf(bytes.found.path).packing === undefined)
        this.#lineage.becomes(current.entry, bytes.found.stamp);
      else this.#lineage.losesNumber(current.entry);
      current.cursor.moveTo(bytes);
    }
  }

  /** One that ended may not be read by now, and holds nothing up: it is looked for again if its bytes are wanted. */
  async #findAgain(entry: GenerationState): Promise<Opened | undefined> {
    try {
      return await this.#search.file(entry);
    } catch (error) {
      if (entry.closed === null || !isForbidden(error)) throw error;
      return undefined;
    }
  }

  /** Truncated: the old bytes are in the copy beside it, or gone; the file itself goes on as another generation. */
  async finishElsewhere(generation: Generation): Promise<Found | undefined> {
    const found = await this.#moveElsewhere(generation);
    generation.close('truncated');
    return found;
  }

  /** Those whose files have other bytes than were read; what the newest one has comes before what is at the path now. */
  async askTruncated(atPath: Found | undefined): Promise<void> {
    const { current, generations } = this.#lineage;
    const isAtPath = atPath !== undefined && current !== undefined && isSameFile(current.entry, atPath.stamp);
    // Also while it is not being read.
    if (!isAtPath && current?.closing === undefined) await current?.cursor.hasOtherBytes('any');
    for (const generation of [...generations]) {
      if (!generation.cursor.isReplaced) continue;
      const again = generation.entry.closed !== null;
      this.#context.log.info(
        { path: this.#path, at: generation.cursor.position },
        `${this.#path}: truncated`,
      );
      if (again) generation.cursor.moveTo(undefined);
      else await this.truncated(generation, true);
    }
  }

  /** The file itself arrives as the next generation, from the descriptor: it may not be at the path any more. */
  async truncated(generation: Generation, isRunning: boolean): Promise<void> {
    const own = await generation.cursor.openAgain();
    if (own === undefined) {
      await this.finishElsewhere(generation);
      return;
    }
    const { upTo, shipped } = await sameUpTo(generation, own, isRunning);
    if (shipped !== undefined) this.#cut(generation, endOfSums(shipped));
    else if ((await this.finishElsewhere(generation)) === undefined) this.#sayAlike(generation, upTo);
    // From the moment at which its first bytes are read: it may have been truncated again meanwhile.
    const arrival = await candidateOf(own, now());
    this.#arrivals.add(shipped === undefined ? arrival : { ...arrival, shipped });
  }

  /** It ends with what was shipped of it; what its file has behind `begin` is the next one. */
  #cut(generation: Generation, begin: number): void {
    const { position } = generation.cursor;
    generation.cursor.moveTo(undefined, position);
    generation.close('truncated');
    sayUntold(
      this.#context,
      { path: this.#path, file: generation.entry.file, from: begin, to: position },
      `${this.#path}: bytes ${begin} to ${position} are others than were shipped: what is there now comes behind them; if all of it was written anew, its first ${begin} bytes do not come again`,
    );
  }

  /** Cut, or written again with the same first lines: nothing tells which. */
  #sayAlike({ entry, cursor: { position } }: Generation, upTo: number): void {
    if (upTo < LEAST_PROOF_BYTES || upTo >= position) return;
    sayUntold(
      this.#context,
      { path: this.#path, file: entry.file, from: 0, to: position },
      `${this.#path}: bytes ${upTo} to ${position} are others than were shipped: all that is there now comes behind them, its first ${upTo} bytes again; if it was written anew, that is right`,
    );
  }

  /** As soon as it is known that none of them goes on in what is at the path. */
  async sayNowhere(): Promise<void> {
    if (this.#nowhere.size === 0 || !this.#arrivals.isEmpty) return;
    const found = await this.#context.look(this.#path);
    if (found !== undefined && !this.#context.knownFiles.has(found.stamp)) return;
    for (const generation of [...this.#nowhere]) {
      // It may have been rotated while it was looked for.
      await this.#moveElsewhere(generation);
      if (this.#nowhere.delete(generation) && !(await this.mayComeBack(generation)))
        sayNowhere(this.#context, this.#path, generation);
    }
  }

  /**
   * Nothing is there, not even a later generation: what holds it may not be mounted yet. Waiting holds nothing up
   * then; when it is there again, or never was, is only known after a while.
   */
  async mayComeBack(generation: Generation): Promise<boolean> {
    if (performance.now() - this.#begunAt >= LOST_AFTER_MS || this.#lineage.current !== generation)
      return false;
    return (await this.#context.look(this.#path)) === undefined && !(await this.#search.hasRotated());
  }
}
