// One source path and its generations, oldest first: notices rotation, truncation and deletion, finds where the old
// bytes went, and lets a generation follow only when the one before is in the stream.

import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';

import type { After } from '../common/chunk.ts';
import { messageOf, systemCode } from '../common/errors.ts';
import { readFully } from '../common/files.ts';
import { Bell } from '../common/run.ts';
import { type Found, foundOf, look } from './discover.ts';
import { Generation, type ShipperContext } from './generation.ts';
import {
  baseOf,
  fileIdOf,
  type FileStamp,
  headMatches,
  headOf,
  HEAD_BYTES,
  isRotationOf,
  isSameFile,
  splitFileId,
} from './identity.ts';
import type { GenerationState } from './state.ts';

/** How long a finished generation keeps its descriptor: it may still be written to, or have to be sent again. */
const PARK_MS = 60_000;
/** A deleted file is finished when nobody has written to it for this long. */
const DELETED_QUIET_MS = 2_000;
/** Finished generations that are remembered for each path. */
const REMEMBERED = 16;

/** What is known of a file before its generation is chosen. */
interface Candidate {
  readonly handle: FileHandle | undefined;
  readonly found: Found;
}

/** For a shipper without state: what stream or record know for a file's base. */
export type Known = (base: string) => { readonly number: number; readonly path: string } | undefined;

export class Source {
  readonly path: string;
  readonly #context: ShipperContext;
  readonly #signal: AbortSignal;
  readonly #entries: GenerationState[];
  readonly #generations: Generation[] = [];
  readonly #running: Promise<void>[] = [];
  readonly #bell = new Bell();
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

  get current(): Generation | undefined {
    return this.#generations.at(-1);
  }

  /** Whether this file is one of mine, whatever it is called now. */
  owns(stamp: FileStamp): boolean {
    return this.#entries.some((entry) => isSameFile(entry, stamp));
  }

  /** Everything that was found is in the stream and committed. */
  get isCommitted(): boolean {
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
    await this.#adopt(found, begin, known);
    this.#running.push(this.#inOrder());
  }

  /** Looks at the path again; one look at a time. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(async () => {
      const found = await look(this.path);
      await this.#handleTruncation();
      await this.#adopt(found, fromBeginning, nothingKnown);
      await this.#closeWhatIsGone(found);
      await this.#park();
    });
    await this.#looking;
  }

  async stop(): Promise<void> {
    this.wake();
    await Promise.allSettled([this.#looking]);
    await Promise.allSettled(this.#running);
    for (const generation of this.#generations) await generation.stop();
  }

  // --- generations ----------------------------------------------------------------------------------------------

  /** A generation of an earlier run: found again by its stamp, at the path or beside it under a rotated name. */
  async #reopen(entry: GenerationState): Promise<void> {
    const candidate = await this.#find(entry);
    const generation = this.#add(entry, candidate?.handle);
    if (entry.closed !== null) generation.close(entry.closed);
    if (await generation.resume(this.#signal)) return;
    await this.#finishElsewhere(generation);
  }

  /** Truncated: the old bytes are in the copy beside it, or gone; the file itself goes on as another generation. */
  async #finishElsewhere(generation: Generation): Promise<void> {
    const copy = await this.#findCopy(generation);
    await generation.moveTo(copy?.handle, copy?.found.size ?? generation.entry.size);
    generation.close('truncated');
  }

  async #handleTruncation(): Promise<void> {
    for (const generation of [...this.#generations]) {
      if (!generation.isTruncated) continue;
      const again = generation.entry.closed !== null;
      this.#context.log.info({ path: this.path, at: generation.position }, `${this.path}: truncated`);
      if (again) await generation.moveTo(undefined, generation.entry.size);
      else await this.#finishElsewhere(generation);
    }
  }

  /** What is at the path now: the current generation, or new ones after it. */
  async #adopt(found: Found | undefined, begin: (found: Found) => number, known: Known): Promise<void> {
    if (found === undefined) return;
    const last = this.#entries.at(-1);
    if (last !== undefined && isSameFile(last, found.stamp)) {
      if (last.done && last.closed !== 'truncated') {
        if (found.size > last.size) await this.#goOn(last);
        return;
      }
      if (last.closed !== 'truncated' && this.current?.closing !== 'truncated') return;
    } else for (const between of await this.#between(last, found)) await this.#append(between, begin, known);
    const handle = await this.#open(this.path);
    if (handle === undefined) return;
    const now = foundOf(this.path, await handle.stat({ bigint: true }));
    if (isSameFile(now.stamp, found.stamp)) await this.#append({ handle, found: now }, begin, known);
    else await handle.close();
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
  async #append({ handle, found }: Candidate, begin: (found: Found) => number, known: Known): Promise<void> {
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
        head: headOf(new Uint8Array()),
        begin: begin(found),
        after: null,
        size: found.size,
        closed: null,
        done: false,
      };
      const generation = new Generation(this.#context, this.path, entry, handle, () => void this.#lookSoon());
      if (!(await generation.resume(this.#signal))) continue;
      this.#entries.push(entry);
      this.#generations.push(generation);
      this.#context.state.touch();
      this.#context.log.info(
        { path: this.path, file: entry.file, from: generation.position },
        `shipping ${this.path}`,
      );
      this.#bell.ring();
      return;
    }
  }

  #randomBase(stamp: FileStamp): string {
    const kept = this.#entries.find((entry) => isSameFile(entry, stamp));
    return splitFileId(kept?.file ?? '')?.base ?? `r${randomBytes(8).toString('hex')}`;
  }

  #add(entry: GenerationState, handle: FileHandle | undefined): Generation {
    const generation = new Generation(this.#context, this.path, entry, handle, () => void this.#lookSoon());
    this.#generations.push(generation);
    this.#bell.ring();
    return generation;
  }

  async #lookSoon(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      this.#context.log.warn(`${this.path}: ${messageOf(error)}`);
    }
  }

  // --- order ----------------------------------------------------------------------------------------------------

  /** Starts each generation when the one before is in the stream as a whole (design §4.3). */
  async #inOrder(): Promise<void> {
    while (!this.#signal.aborted) {
      const next = this.#generations[this.#started];
      const before = this.#generations[this.#started - 1];
      if (next === undefined) await this.#bell.wait(10_000, this.#signal);
      else if (before === undefined || before.isDrained) {
        next.entry.after ??= before === undefined ? this.#afterKept(next) : afterOf(before);
        await this.#context.state.save();
        this.#started += 1;
        this.#running.push(next.run(this.#signal));
      } else {
        // A single writer has left the old file once the new one has bytes.
        const left = next.currentSize() > 0 || this.#started + 1 < this.#generations.length;
        if (left || this.#context.once) before.close('rotated');
        await this.#bell.wait(20, this.#signal);
      }
    }
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
    if (current?.handle === undefined || found !== undefined) return;
    const stats = await current.handle.stat();
    if (stats.nlink === 0 && current.quietMs >= DELETED_QUIET_MS) current.close('deleted');
  }

  /** Finished and committed generations let go of their descriptors, and are forgotten when their file is gone. */
  async #park(): Promise<void> {
    for (const generation of this.#generations) {
      const { entry } = generation;
      if (!generation.isDrained || !generation.isCommitted || generation.quietMs < PARK_MS) continue;
      if (generation.handle !== undefined) await generation.park();
      if (!entry.done) {
        entry.done = true;
        this.#context.state.touch();
      }
    }
    while (this.#entries.length > REMEMBERED && this.#entries[0]?.done === true) {
      const entry = this.#entries.shift();
      const index = this.#generations.findIndex((generation) => generation.entry === entry);
      if (index >= 0) {
        this.#generations.splice(index, 1);
        this.#started -= 1;
      }
    }
  }

  // --- files beside it ------------------------------------------------------------------------------------------

  async #open(file: string): Promise<FileHandle | undefined> {
    try {
      return await open(file, 'r');
    } catch (error) {
      const code = systemCode(error);
      if (code === 'ENOENT') return undefined;
      this.#context.throttle.run(`open ${file}`, (repeated) => {
        this.#context.log.warn(
          { repeated },
          `cannot read ${file} (${code ?? messageOf(error)}); trying again`,
        );
      });
      return undefined;
    }
  }

  /** The file of a generation: at the path, or under any name in its directory. */
  async #find(stamp: FileStamp): Promise<Candidate | undefined> {
    for (const name of [path.basename(this.path), ...(await this.#siblings(() => true))]) {
      const file = path.join(path.dirname(this.path), name);
      const found = await this.#lookAt(file);
      if (found === undefined || !isSameFile(found.stamp, stamp)) continue;
      const handle = await open(file, 'r');
      const now = foundOf(file, await handle.stat({ bigint: true }));
      if (isSameFile(now.stamp, stamp)) return { handle, found: now };
      await handle.close();
    }
    return undefined;
  }

  /** The copy that copytruncate left: a rotated name, long enough, with the same head and the same bytes before the position. */
  async #findCopy(generation: Generation): Promise<Candidate | undefined> {
    const base = path.basename(this.path);
    for (const name of await this.#siblings((sibling) => isRotationOf(base, sibling))) {
      const file = path.join(path.dirname(this.path), name);
      const found = await this.#lookAt(file);
      if (found === undefined || found.size < generation.position || this.owns(found.stamp)) continue;
      const handle = await this.#open(file);
      if (handle === undefined) continue;
      if (await isCopy(handle, generation)) return { handle, found };
      await handle.close();
    }
    return undefined;
  }

  /** Generations that came and were rotated away between two looks: born after the last one and before the one that is there now. */
  async #between(last: GenerationState | undefined, now: Found): Promise<Candidate[]> {
    if (last === undefined || last.birth === '0' || now.stamp.birth === '0') return [];
    const base = path.basename(this.path);
    const between: Candidate[] = [];
    for (const name of await this.#siblings((sibling) => isRotationOf(base, sibling))) {
      const found = await this.#lookAt(path.join(path.dirname(this.path), name));
      if (found === undefined || this.owns(found.stamp)) continue;
      const birth = BigInt(found.stamp.birth);
      if (birth <= BigInt(last.birth) || birth >= BigInt(now.stamp.birth)) continue;
      if (await this.#isCopyOfMine(found)) continue;
      const handle = await this.#open(found.path);
      if (handle !== undefined) between.push({ handle, found });
    }
    return between.toSorted(byBirth);
  }

  /** A copy of a generation that is shipped already is not another generation. */
  async #isCopyOfMine(found: Found): Promise<boolean> {
    const handle = await this.#open(found.path);
    if (handle === undefined) return true;
    try {
      const first = Buffer.alloc(HEAD_BYTES);
      const head = first.subarray(0, await readFully(handle, first, 0));
      return this.#entries.some(({ head: mine }) => mine.length >= 64 && headMatches(mine, head));
    } finally {
      await handle.close();
    }
  }

  /** Without state: rotated files beside the path that stream or record know, oldest first. */
  async #rotatedAndKnown(known: Known): Promise<Candidate[]> {
    const base = path.basename(this.path);
    const candidates: Candidate[] = [];
    for (const name of await this.#siblings((sibling) => isRotationOf(base, sibling))) {
      const found = await this.#lookAt(path.join(path.dirname(this.path), name));
      const of = found === undefined ? undefined : known(baseOf(found.stamp) ?? '');
      if (found === undefined || of === undefined || (of.path !== '' && of.path !== this.path)) continue;
      const handle = await this.#open(found.path);
      if (handle !== undefined) candidates.push({ handle, found });
    }
    return candidates.toSorted(byBirth);
  }

  async #siblings(wanted: (name: string) => boolean): Promise<string[]> {
    try {
      return (await readdir(path.dirname(this.path))).filter((name) => wanted(name));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  async #lookAt(file: string): Promise<Found | undefined> {
    try {
      return await look(file);
    } catch (error) {
      if (systemCode(error) === 'EACCES') return undefined;
      throw error;
    }
  }
}

const fromBeginning = (): number => 0;
const nothingKnown: Known = () => undefined;

function byBirth(a: Candidate, b: Candidate): number {
  return BigInt(a.found.stamp.birth) < BigInt(b.found.stamp.birth) ? -1 : 1;
}

/** What the next generation names as the one before it; nothing when nothing of that was ever shipped. */
function afterOf(before: Generation): After | null {
  const { file, begin } = before.entry;
  return before.position === begin ? null : { file, size: before.position };
}

async function isCopy(handle: FileHandle, generation: Generation): Promise<boolean> {
  const first = Buffer.alloc(HEAD_BYTES);
  const head = first.subarray(0, await readFully(handle, first, 0));
  return headMatches(generation.entry.head, head) && (await generation.isContinuedBy(handle));
}
