// The generations of one path, oldest first, and what the state keeps of each: which one is next, which one comes
// before it, which ones are forgotten. Never opens a file.

import { randomBytes } from 'node:crypto';

import type { After } from '../../common/wire/chunk.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Generation } from '../lane/generation.ts';
import { baseOf, type FileStamp, isSameFile, splitFileId } from '../files/identity.ts';
import type { GenerationState } from '../files/generation-state.ts';
import type { Finished } from './finished.ts';
import { StartOrder } from './start-order.ts';

/** A deleted generation pins its disk space: it lets go sooner than a rotated one (rotateWaitMs). */
const PARK_DELETED_MS = 60_000;
/** Finished generations that are remembered for each path. */
const REMEMBERED = 16;

export class Lineage {
  readonly #context: ShipperContext;
  readonly #path: string;
  /** The state's own list: what of it has a generation is in the same order there. */
  readonly #entries: GenerationState[];
  readonly #order = new StartOrder<Generation>();

  constructor(context: ShipperContext, path: string) {
    this.#context = context;
    this.#path = path;
    const kept = context.state.sources.get(path);
    this.#entries = kept ?? [];
    if (kept === undefined) context.state.sources.set(path, this.#entries);
    for (const stamp of this.stamps()) context.knownFiles.add(stamp, path);
  }

  get entries(): readonly GenerationState[] {
    return this.#entries;
  }

  get generations(): readonly Generation[] {
    return this.#order.all;
  }

  /** The newest one. */
  get current(): Generation | undefined {
    return this.generations.at(-1);
  }

  /** The files of all of them, their copies included. */
  stamps(): FileStamp[] {
    return this.#entries.flatMap((entry) => (entry.copy === null ? [entry] : [entry, entry.copy]));
  }

  /** The newest entry of a file. */
  entryOf(stamp: FileStamp): GenerationState | undefined {
    return this.#entries.findLast((entry) => isSameFile(entry, stamp));
  }

  /** Undefined for one that was finished in an earlier run. */
  generationOf(entry: GenerationState | undefined): Generation | undefined {
    return this.generations.find((generation) => generation.entry === entry);
  }

  /** Those before this one. */
  before(entry: GenerationState): GenerationState[] {
    return this.#entries.slice(0, this.#entries.indexOf(entry));
  }

  // --- order ----------------------------------------------------------------------------------------------------

  get hasAllStarted(): boolean {
    return this.#order.waiting === 0;
  }

  /** The one that begins next. */
  get next(): Generation | undefined {
    return this.#order.next;
  }

  /** The one that began last. */
  get latest(): Generation | undefined {
    return this.#order.latest;
  }

  /** Whether others follow the one that begins next. */
  get hasMore(): boolean {
    return this.#order.waiting > 1;
  }

  started(generation: Generation): void {
    this.#order.start(generation);
  }

  /** The one that began last waits for others, and begins again. */
  unstarted(generation: Generation): void {
    this.#order.startAgain(generation);
  }

  /** What the next one names as the generation before it. */
  afterFor(next: Generation): After | null {
    const before = this.latest;
    if (before !== undefined) return namedAfter(before.entry, before.cursor.position);
    // Finished in an earlier run.
    const kept = this.#entries[this.#entries.indexOf(next.entry) - 1];
    return kept === undefined || kept.size === kept.begin ? null : { file: kept.file, size: kept.size };
  }

  // --- coming and going -----------------------------------------------------------------------------------------

  /** Its bytes are in this file now, and go on there. */
  becomes(entry: GenerationState, { ino, birth, device }: FileStamp): void {
    const { knownFiles, state } = this.#context;
    knownFiles.remove(entry, this.#path);
    Object.assign(entry, { ino, birth, device });
    knownFiles.add(entry, this.#path);
    state.touch();
  }

  /** One that the state knows. */
  add(generation: Generation): void {
    this.#order.insert(generation, undefined);
  }

  /** A new one, before another or as the last one. */
  insert(generation: Generation, following: Generation | undefined): void {
    const { entry } = generation;
    const entryBefore = following === undefined ? undefined : this.#entries.indexOf(following.entry);
    const newest = this.#entries.at(-1);
    // Only the newest one is asked what stood beside it.
    if (following === undefined && newest !== undefined) newest.beside = null;
    this.#entries.splice(entryBefore ?? this.#entries.length, 0, entry);
    this.#order.insert(generation, following);
    // It follows another one now.
    if (following !== undefined) following.entry.after = null;
    this.#context.knownFiles.add(entry, this.#path);
    this.#context.state.touch();
  }

  /** What the file ids of a file begin with: random, and kept, where the file system has no birth times. */
  baseOf(stamp: FileStamp): string {
    const kept = this.#entries.find((entry) => isSameFile(entry, stamp));
    return baseOf(stamp) ?? splitFileId(kept?.file ?? '')?.base ?? `r${randomBytes(8).toString('hex')}`;
  }

  /** The first number of a base, from `least` on, that no generation has here. */
  nextNumber(base: string, least: number): number {
    let number = least;
    for (const { file } of this.#entries) {
      const split = splitFileId(file);
      if (split?.base === base) number = Math.max(number, split.number + 1);
    }
    return number;
  }

  /** Finished and committed generations let go of their descriptors; the oldest of many are forgotten. */
  park(finished: Finished): void {
    for (const generation of this.generations) {
      const { entry, cursor } = generation;
      const { rotateWaitMs } = this.#context;
      const keepMs = entry.closed === 'rotated' ? rotateWaitMs : Math.min(rotateWaitMs, PARK_DELETED_MS);
      if (!generation.isDrained || !generation.isCommitted) continue;
      // One that gave up its descriptor is asked for its size like any other that is finished.
      if (cursor.isOpen && cursor.quietMs < keepMs) continue;
      // It was written to since it was read: nothing is closed before that is known.
      if (cursor.isOpen && cursor.size > cursor.position) continue;
      if (cursor.opened !== undefined) finished.closing(entry, cursor.opened);
      if (cursor.isOpen) cursor.park();
      if (!entry.done) {
        entry.done = true;
        this.losesNumber(entry);
        this.#context.state.touch();
      }
    }
    while (this.#entries.length > REMEMBERED && this.#forgetsOldest());
  }

  /** Its file is closed: without a birth its number may be any file's from now on. */
  losesNumber(entry: GenerationState): void {
    for (const stamp of [entry, entry.copy])
      if (stamp?.birth === '0') {
        this.#context.knownFiles.remove(stamp, this.#path);
        stamp.device = '';
      }
  }

  /** False when it is wanted still. */
  #forgetsOldest(): boolean {
    const [entry] = this.#entries;
    if (entry?.done !== true) return false;
    const generation = this.generationOf(entry);
    if (generation !== undefined && !this.#order.remove(generation)) return false;
    void generation?.retire();
    this.#entries.shift();
    const { knownFiles } = this.#context;
    knownFiles.remove(entry, this.#path);
    if (entry.copy !== null) knownFiles.remove(entry.copy, this.#path);
    return true;
  }
}

/** What the next generation names as the one before it: past those of which nothing was ever shipped. */
function namedAfter(before: GenerationState, size: number): After | null {
  return size === before.begin ? before.after : { file: before.file, size };
}
