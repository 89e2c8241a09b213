// Where the bytes of one path's generations are when they are not, or not only, in the file at the path: its rotated
// names, copies and compressed files. Looks, and opens what it found; which generation it becomes others decide.

import path from 'node:path';

import type { Arrivals } from './arrivals.ts';
import type { Found } from '../files/discover.ts';
import type { ShipperContext } from '../lane/context.ts';
import { sayUntold } from '../report/untold.ts';
import type { Kept } from '../lane/any-source.ts';
import type { Generation } from '../lane/generation.ts';
import {
  baseOf,
  fileIdOf,
  type FileStamp,
  HEAD_BYTES,
  headOf,
  isSameFile,
  keyOf,
  splitFileId,
  stampOf,
} from '../files/identity.ts';
import type { Lineage } from './lineage.ts';
import type { Beside } from '../files/rotation-times.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { bytesOf, holds } from '../files/contents.ts';
import { Surroundings } from '../files/surroundings.ts';
import { Unseen } from './between.ts';
import { wholeOf } from './continued.ts';
import { seenOf } from './copies.ts';
import { BIRTH_LATE_NS } from './window.ts';
import { firstBytes } from '../files/fingerprint.ts';
import {
  type Between,
  type Candidate,
  type Elsewhere,
  inOrder,
  type Opened,
  type Seen,
  type Shipped,
  type Window,
} from '../files/candidate.ts';
import { type Content, contentOf, examine } from '../files/examine.ts';

/** For a shipper without state: what stream or record know for a file's base. */
export type Known = (base: string) => { readonly number: number; readonly path: string } | undefined;

export class Search {
  readonly #context: ShipperContext;
  readonly #path: string;
  readonly #around: Surroundings;
  readonly #unseen: Unseen;
  readonly #lineage: Lineage;
  /** Files of which it was said that they are not shipped. */
  readonly #said = new Set<string>();
  readonly #arrivals: Arrivals;

  constructor(context: ShipperContext, path: string, lineage: Lineage, arrivals: Arrivals) {
    this.#context = context;
    this.#path = path;
    const { listings, state, isNamed } = context;
    this.#around = new Surroundings(path, listings);
    this.#unseen = new Unseen(path, this.#around, state.location, isNamed);
    this.#lineage = lineage;
    this.#arrivals = arrivals;
  }

  /** The file itself, whatever it is called now. */
  async file(stamp: FileStamp): Promise<Opened | undefined> {
    return await this.#around.find(stamp);
  }

  /**
   * The bytes of a generation that is not in its own file any more: in a copy of it, or in a compressed one; of several
   * that have all that is known of it, the oldest, or one that goes on where that ends. Throws `busy` when one is
   * still being written.
   *
   * Beyond the directories where its rotated files are known to lie, a file of this name may be another log's that
   * begins alike: looked at only for bytes that are known to be missing, and with a whole head to go by.
   */
  async bytesOf({ entry, cursor }: Generation): Promise<Elsewhere | undefined> {
    const isMine = ({ stamp }: Found): boolean =>
      isSameFile(entry, stamp) || (entry.copy !== null && isSameFile(entry.copy, stamp));
    const mayBeIt = (found: Found): boolean => isMine(found) || !this.#context.knownFiles.has(found.stamp);
    const { content } = cursor;
    await this.#around.followLinks();
    // Far from it a head alone proves nothing: some of it has to have been read.
    const isFarSearched =
      !cursor.isTaken && content.sums.marks.length > 0 && content.head.length === HEAD_BYTES;
    for (const isFar of isFarSearched ? [false, true] : [false]) {
      const directories = isFar ? await this.#around.everywhere() : this.#around.directories;
      const whole = await this.#wholeHolder(content, directories, mayBeIt);
      if (whole === undefined) continue;
      this.#around.learn(path.dirname(whole.found.path));
      return await bytesOf(whole, content.position, this.#context.state.location);
    }
    return undefined;
  }

  async #wholeHolder(
    content: Content,
    directories: ReadonlySet<string>,
    mayBe: (found: Found) => boolean,
  ): Promise<Opened | undefined> {
    const holders: Opened[] = [];
    try {
      for await (const opened of this.#around.rotated(directories, mayBe))
        if (await holds(opened, content)) holders.push(opened);
        else await opened.handle.close();
    } catch (error) {
      for (const { handle } of holders) await handle.close();
      throw error;
    }
    const whole = await wholeOf(holders.toSorted(inOrder));
    for (const other of holders) if (other !== whole) await other.handle.close();
    return whole;
  }

  /** What came and went in between. */
  async between(
    window: Pick<Window, 'after' | 'seen' | 'before' | 'next' | 'beside'>,
  ): Promise<Pick<Between, 'candidates' | 'own'>> {
    let shipped: Promise<Shipped[]> | undefined;
    const between = await this.#unseen.between({
      ...window,
      isKnown: ({ stamp }) => this.#context.knownFiles.has(stamp),
      lost: this.#lineage.entries
        .filter(({ closed, copy }) => closed === 'truncated' && copy === null)
        .map((entry) => this.#seen(entry)),
      finished: await this.#finished(window.before !== undefined),
      laterShipped: async () => await (shipped ??= this.#laterShipped()),
    });
    for (const found of this.#unsaid(between.unplaced))
      sayUntold(
        this.#context,
        { path: this.#path, file: found.path },
        `${this.#path}: ${found.path} is not shipped: it was rotated and compressed between two looks, and neither its name nor its times tell its place`,
      );
    for (const found of this.#unsaid(between.grown))
      sayUntold(
        this.#context,
        { path: this.#path, file: found.path },
        `${this.#path}: ${found.path} is not shipped: it begins as a file that was shipped, and nothing tells whether it goes on with that one, is a copy, or another`,
      );
    return between;
  }

  /** Those of which it was not said yet that they are not shipped. */
  #unsaid(files: readonly Found[]): Found[] {
    const news = files.filter(({ stamp }) => !this.#said.has(keyOf(stamp)));
    for (const { stamp } of news) this.#said.add(keyOf(stamp));
    return news;
  }

  /** What stands beside the path while this file is there; undefined when it is there no longer. */
  async beside(stamp: FileStamp): Promise<Beside | undefined> {
    return await this.#around.beside(stamp, (found) => this.#context.knownFiles.has(found.stamp));
  }

  /** An older state was put back: stream and record know generations that came after its newest one. */
  async #laterShipped(): Promise<Shipped[]> {
    const { host, trails, nameOf } = this.#context;
    const newest = this.#lineage.entries.at(-1);
    if (newest === undefined) return [];
    const name = nameOf(this.#path);
    const view = await host.needView();
    const known = await trails.known(view);
    const shipped: Shipped[] = [];
    for (const [base, { number, path }] of known) {
      const file = fileIdOf(base, number);
      if (path !== '' && path !== name) continue;
      const isLater = BigInt(stampOf(file)?.birth ?? 0) + BIRTH_LATE_NS >= BigInt(newest.since);
      if (!isLater && base !== splitFileId(newest.file)?.base) continue;
      if (this.#lineage.entries.some((entry) => entry.file === file)) continue;
      const last = (await trails.of(view, file))?.last;
      const entry = view.entry(file);
      const offset = last?.end ?? entry?.offset ?? 0;
      const recorded = entry?.offset === offset ? (entry.tail ?? undefined) : undefined;
      if (offset > 0) shipped.push({ base, offset, tail: last?.tail ?? recorded });
    }
    return shipped;
  }

  /**
   * Whether a file that was found beside the path holds a generation that stream or record know, and an older state that was put
   * back does not. Its own id would tell if it were that one's file: it is a copy, or was compressed. Asks the server.
   */
  async wasShipped({ found, handle, size, from, wasAtPath }: Candidate): Promise<boolean> {
    if (wasAtPath || from > 0) return false;
    // At an edge without its hub nobody can tell; what has just come is shipped there all the same.
    if (!(await this.#context.host.needView()).isRecordKnown) return false;
    const same = (await this.#laterShipped()).filter(
      ({ offset, tail, base }) => offset === size && tail !== undefined && base !== baseOf(found.stamp),
    );
    if (same.length === 0) return false;
    const asked = same.map(({ offset, tail }) => ({ content: contentOf({ position: offset, tail }) }));
    // Unpacked by now, where it was compressed.
    const { held } = await examine({ handle, found: { path: '' } }, asked);
    return held.some(({ isWhole }) => isWhole);
  }

  /** What may be copied or compressed by now: whatever was seen, once another file is at the path. */
  async #finished(hasMoved: boolean): Promise<Seen[]> {
    const finished: Seen[] = [];
    for (const entry of this.#lineage.entries)
      if (hasMoved || entry.closed !== null) finished.push(this.#seen(entry));
    for (const { handle, head, size } of this.#arrivals.queue) {
      const known = head.length > 0 ? head : headOf(await firstBytes(handle));
      finished.push(seenOf({ head: known, size, handle }));
    }
    return finished;
  }

  #seen(entry: GenerationState): Seen {
    const generation = this.#lineage.generationOf(entry);
    if (generation !== undefined) return generation.cursor.seen;
    const { head, sums, size } = entry;
    return { content: contentOf({ head, sums }), size, isFound: true };
  }

  /** Rotated files beside the path that stream or record know under this name, oldest first. */
  async rotatedAndKnown(name: string, known: Known): Promise<Candidate[]> {
    return await this.#around.candidates(({ stamp }) => {
      const of = known(baseOf(stamp) ?? '');
      return of !== undefined && (of.path === '' || of.path === name);
    });
  }

  /** What is at the path, and all rotated files. */
  async all(): Promise<Found[]> {
    return await this.#around.all();
  }

  /** See AnySource. */
  async openWhole(file: string): Promise<Kept | undefined> {
    const generation = this.#lineage.generations.find((each) => each.entry.file === file);
    const entry = generation?.entry ?? this.#lineage.entries.find((each) => each.file === file);
    const open = await generation?.cursor.openWhole();
    if (open !== undefined) return { handle: open, entry, generation };
    // Truncated in place, the file is a later generation's.
    const isOver = entry?.closed === 'truncated' || generation?.closing === 'truncated';
    const own = isOver ? undefined : (entry ?? stampOf(file));
    for (const stamp of [own, entry?.copy ?? undefined]) {
      const opened = stamp === undefined ? undefined : await this.file(stamp);
      if (opened !== undefined) return { handle: opened.handle, entry, generation };
    }
    return undefined;
  }

  /** Whether there is any rotated file. */
  async hasRotated(): Promise<boolean> {
    return await this.#around.hasRotated();
  }

  /** The path led there once. */
  learn(directory: string): void {
    this.#around.learn(directory);
  }

  /** Where the newest file is, others may be. */
  async learnPlace(generation: Generation | undefined): Promise<void> {
    const handle = generation?.cursor.opened;
    if (handle !== undefined) await this.#around.learnFrom(handle);
  }
}
