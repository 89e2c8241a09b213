// The sources of a shipper: which of the paths that the globs match become one, under which name, and where it begins.
// Never looks again at one that has begun: session.ts does.

import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError, oneLine } from '../common/errors.ts';
import { inParallel } from '../common/run.ts';
import { formatDuration } from '../common/units.ts';
import { Circle } from './circle.ts';
import { type Found, inspect, linksFrom, now } from './discover.ts';
import { expand, type Matched } from './expand.ts';
import type { Generation, ShipperContext } from './generation.ts';
import { baseOf, type FileStamp, isRotationOf, isSameFile } from './identity.ts';
import { finishedAtItsEnd, isOlder } from './old-files.ts';
import { findMoved } from './moved.ts';
import type { ShipOptions } from './options.ts';
import type { Skipped } from './skipped.ts';
import type { Known } from './search.ts';
import { type Fresh, Source } from './source.ts';
import { SpoolSource } from './spool-source.ts';
import type { Spool } from './spool.ts';
import type { GenerationState } from './state.ts';

const FILES_AT_ONCE = 16;
/** A rotation creates the new file soon after it has renamed the old one. */
const VANISHED_NS = 60_000_000_000n;

/** Where a path begins that nothing is known of. */
type Begin = Pick<Fresh, 'at' | 'since'>;

/** A generation, open to be read by somebody else. */
export interface Kept {
  readonly handle: FileHandle;
  /** Undefined where nothing is kept of it: it ended long ago. */
  readonly entry: GenerationState | undefined;
  readonly generation: Generation | undefined;
}

/** What is shipped as one path. */
export interface AnySource {
  readonly path: string;
  /** The path under which it is shipped. */
  readonly name: string;
  readonly generations: readonly Generation[];
  readonly current: Generation | undefined;
  readonly isUnreadable: boolean;
  readonly isCommitted: boolean;
  /** The device that its file is on, where it is known and there is reason to look. */
  readonly device: bigint | undefined;
  readonly isAsSeen: (found: Found) => boolean;
  readonly foundElsewhere: (found: Found) => Promise<void>;
  /**
   * All bytes of a generation through a descriptor of its own, wherever they are now; undefined when they are nowhere, or
   * only compressed. Whether the file is still what was read is for the caller to see, who closes it.
   */
  readonly openWhole: (file: string) => Promise<Kept | undefined>;
  readonly wake: () => void;
  readonly look: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export class Sources {
  /** By path. */
  readonly all = new Map<string, AnySource>();
  readonly #options: ShipOptions;
  readonly #context: ShipperContext;
  readonly #skipped: Skipped;
  readonly #signal: AbortSignal;
  readonly #lookAtShipped: () => Promise<void>;
  readonly #onBegun: () => void;
  /** When the globs were last asked. */
  #listedAt = now();
  /** The time before: a name that is renamed while its directory is listed may be missing in one listing, not in two. */
  #newSince = now();
  /** Files that could not be begun and are tried again, and where they begin then. */
  readonly #failed = new Map<string, Begin>();
  readonly #beginning = new Set<string>();
  readonly #circle: Promise<Circle>;
  /** Paths that were listed and had nothing at them a moment later, and since when what is there is new. */
  readonly #vanished = new Map<string, bigint>();
  /** The path that is shipped, by where its links led when it was begun. */
  readonly #ends = new Map<string, string>();
  /** Whose path is shipped under a name. */
  readonly #named = new Map<string, string>();

  constructor(
    options: ShipOptions,
    context: ShipperContext,
    skipped: Skipped,
    signal: AbortSignal,
    lookAtShipped: () => Promise<void>,
    onBegun: () => void,
  ) {
    this.#options = options;
    this.#context = context;
    this.#skipped = skipped;
    this.#signal = signal;
    this.#lookAtShipped = lookAtShipped;
    this.#onBegun = onBegun;
    this.#circle = Circle.of(context.state.location, options.ownLogs);
    // Whoever looks at files gets the error.
    this.#circle.catch(() => {});
  }

  /** Paths that should be shipped and could not be begun. */
  get failed(): string[] {
    return [...this.#failed.keys()];
  }

  /** Whether it should be shipped and could not be begun. */
  hasFailed(file: string): boolean {
    return this.#failed.has(file);
  }

  /** The file of one path is at another: whoever ships it looks there whether it goes on. */
  tell(owner: string, found: Found): void {
    this.all
      .get(owner)
      ?.foundElsewhere(found)
      .catch((error: unknown) => {
        this.#context.log.warn(`cannot look at ${found.path} (${oneLine(error)}); trying again`);
      });
  }

  /** What the state knows, and what the globs match now. `known` is for a shipper that has no state. */
  async first(known: Known | undefined): Promise<void> {
    const { state } = this.#context;
    // Only what is there at the very first start may begin at its end.
    const at = state.fresh && this.#options.from === 'end' ? atEnd : atBeginning;
    const begin = { at, since: now() };
    [this.#listedAt, this.#newSince] = [begin.since, begin.since];
    const found = await this.#lookAround(await this.#matched());
    if (!state.fresh) await this.#adoptMoved(found);
    await inParallel(state.sources.keys(), FILES_AT_ONCE, async (file) => {
      await this.#begin(file, found.get(file), begin, known);
    });
    await this.#beginNew(found, begin, known);
    await state.begun();
  }

  /** Standard input. */
  fromSpool(spool: Spool): void {
    const source = new SpoolSource(this.#context, spool, this.#signal, this.#onBegun);
    this.all.set(source.path, source);
    source.start();
  }

  /** What the globs match by now. */
  async more(): Promise<void> {
    (await this.#circle).lookAgain();
    const begin = this.#later;
    const listedAt = now();
    const found = await this.#lookAround(await this.#matched());
    [this.#newSince, this.#listedAt] = [this.#listedAt, listedAt];
    // It may be the next file of one that is shipped under another of its names.
    const isNew = ({ stamp }: Found): boolean => !this.#context.knownFiles.has(stamp);
    if ([...found.values()].some((each) => isNew(each))) await this.#lookAtShipped();
    await this.#beginNew(found, begin, undefined);
  }

  /** Tries again what could not be begun. */
  async retry(): Promise<void> {
    const { state } = this.#context;
    const failed = [...this.#failed.keys()];
    const isKnown = (file: string): boolean => state.sources.has(file);
    const begin = this.#later;
    await inParallel(failed.filter(isKnown), FILES_AT_ONCE, async (file) => {
      await this.#begin(file, undefined, begin, undefined);
    });
    const others = failed.filter((file) => !isKnown(file));
    const named = new Map(others.map((file) => [file, { by: file, isLiteral: true }]));
    await this.#beginNew(await this.#lookAround(named), begin, undefined);
  }

  /** Links lead from here to where those of a shipped path lead: that one sees what comes there. */
  async #isOtherName({ path: file, stamp }: Found): Promise<boolean> {
    if (this.#context.state.sources.has(file) || this.#context.knownFiles.has(stamp)) return false;
    const end = endOf(await linksFrom(file));
    const shipped = this.#ends.get(end);
    return shipped !== undefined && this.all.has(shipped) && endOf(await linksFrom(shipped)) === end;
  }

  /** What comes after the very first look. */
  get #later(): Begin {
    return { at: atBeginning, since: this.#newSince };
  }

  /** Whether it would ship itself; what is shipped already, by an earlier run, goes on. */
  async #isInCircle(file: string, stamp: FileStamp | undefined): Promise<boolean> {
    if (this.#context.state.sources.has(file)) return false;
    const refusal = await (await this.#circle).refusal(file, stamp);
    if (refusal === undefined) return false;
    this.#skipped.say(refusal.about, refusal.text);
    return true;
  }

  /** The paths that the globs match and that are not shipped yet. */
  async #matched(): Promise<ReadonlyMap<string, Matched>> {
    return new Map([...(await expand(this.#options))].filter(([file]) => !this.all.has(file)));
  }

  /** The files among the paths, in the same order. */
  async #lookAround(matched: ReadonlyMap<string, Matched>): Promise<ReadonlyMap<string, Found>> {
    const found = new Map<string, Found | undefined>();
    for (const file of matched.keys()) found.set(file, undefined);
    await inParallel(matched, FILES_AT_ONCE, async ([file, match]) => {
      try {
        found.set(file, await this.#lookAt(file, match));
      } catch (error) {
        this.#tryAgain(file, error);
      }
    });
    return new Map([...found].flatMap(([file, one]) => (one === undefined ? [] : [[file, one]])));
  }

  async #lookAt(file: string, { isLiteral, by }: Matched): Promise<Found | undefined> {
    const sight = await inspect(file, this.#options.followSymlinks);
    const found = sight.kind === 'file' ? sight.found : undefined;
    if (sight.kind !== 'nothing' && (await this.#isInCircle(file, found?.stamp))) return undefined;
    if (sight.kind === 'nothing' && !isLiteral && !this.#vanished.has(file))
      this.#vanished.set(file, this.#newSince);
    if (found !== undefined && (await this.#isOtherName(found))) return undefined;
    this.#skipped.sight(file, sight, isLiteral ? undefined : by);
    if (sight.kind === 'unnameable') this.#tryLater(file);
    else if (sight.kind !== 'file') this.#failed.delete(file);
    return found;
  }

  async #adoptMoved(found: ReadonlyMap<string, Found>): Promise<void> {
    const { state, nameOf, log } = this.#context;
    for (const { from, to } of await findMoved(state.sources, found, nameOf)) {
      state.move(from, to);
      log.info({ path: to }, `${to} goes on where ${from} ended`);
    }
  }

  /** Of several names of one file the first counts. */
  async #beginNew(found: ReadonlyMap<string, Found>, begin: Begin, known: Known | undefined): Promise<void> {
    const { state, knownFiles } = this.#context;
    const claimed: Found[] = [];
    const files = [...found].filter(([file, one]) => {
      if (knownFiles.has(one.stamp)) return state.sources.has(file);
      knownFiles.add(one.stamp, file);
      claimed.push(one);
      return true;
    });
    const old: string[] = [];
    await inParallel(files, FILES_AT_ONCE, async ([file, one]) => {
      const isNew = !state.sources.has(file) && known?.(baseOf(one.stamp) ?? '') === undefined;
      if (isNew && isOlder(one, this.#options.ignoreOlderMs, Date.now())) {
        if (await this.#beginOld(file, one)) old.push(file);
      } else {
        const since = this.#vanished.get(file) ?? begin.since;
        await this.#begin(file, one, this.#failed.get(file) ?? { ...begin, since }, known);
      }
    });
    for (const one of claimed) knownFiles.remove(one.stamp, one.path);
    for (const [file, since] of this.#vanished)
      if (this.all.has(file) || now() - since > VANISHED_NS) this.#vanished.delete(file);
    this.#sayOld(old);
  }

  /** Remembers the file as shipped up to its end. */
  async #beginOld(file: string, found: Found): Promise<boolean> {
    const { state } = this.#context;
    try {
      const entry = await finishedAtItsEnd(found);
      if (entry === undefined) return false;
      state.sources.set(file, [entry]);
      state.touch();
    } catch (error) {
      this.#tryAgain(file, error);
      return false;
    }
    await this.#begin(file, found, this.#later, undefined);
    return true;
  }

  #sayOld(old: readonly string[]): void {
    const [first] = old;
    const { ignoreOlderMs } = this.#options;
    if (first === undefined || ignoreOlderMs === undefined) return;
    const which = old.length === 1 ? `${first} was` : `${old.length} files (${first} for one) were`;
    const rest = 'what is added later is shipped';
    this.#context.log.info(
      `${which} last written more than ${formatDuration(ignoreOlderMs)} ago: not shipped; ${rest}`,
    );
  }

  async #begin(
    file: string,
    found: Found | undefined,
    begin: Begin,
    known: Known | undefined,
  ): Promise<void> {
    if (this.all.has(file) || this.#beginning.has(file) || this.#signal.aborted) return;
    const { state, nameOf } = this.#context;
    const name = nameOf(file);
    if (!this.#mayBeNamed(file, name)) return;
    this.#named.set(name, file);
    this.#beginning.add(file);
    let source: Source | undefined;
    try {
      const earlier = state.sources.has(file) ? undefined : await this.#shippedAs(file, found, known);
      if (found !== undefined && earlier !== undefined) {
        this.#context.knownFiles.add(found.stamp, earlier);
        await this.#begin(earlier, await this.#context.look(earlier), begin, known);
        this.#context.knownFiles.remove(found.stamp, earlier);
        return;
      }
      source = new Source(this.#context, file, this.#signal);
      // It may have been rotated since it was listed.
      const there = await this.#context.look(file);
      const isAny = await source.start(there, { ...begin, listed: found }, known ?? (() => undefined));
      this.#failed.delete(file);
      if (!isAny) {
        await source.stop();
        state.sources.delete(file);
        return;
      }
      this.#ends.set(endOf(await linksFrom(file)), file);
      this.all.set(file, source);
      if (this.#options.once)
        for (const generation of source.generations) generation.limitTo(generation.size);
      this.#onBegun();
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      await source?.stop();
      const at = found === undefined ? 0 : begin.at(found);
      this.#tryAgain(file, error, { at: () => at, since: begin.since });
    } finally {
      this.#beginning.delete(file);
      if (!this.all.has(file)) this.#named.delete(name);
    }
  }

  /** Without state: the path that a file was shipped under, before a rotation or under another of its names. */
  async #shippedAs(
    file: string,
    found: Found | undefined,
    known: Known | undefined,
  ): Promise<string | undefined> {
    const { nameOf, look } = this.#context;
    const was = (found === undefined ? undefined : known?.(baseOf(found.stamp) ?? '')?.path) ?? '';
    const beside = was !== '' && path.dirname(was) === path.dirname(nameOf(file)) && was !== nameOf(file);
    if (!beside || found === undefined) return undefined;
    const earlier = path.join(path.dirname(file), path.basename(was));
    if (isRotationOf(path.basename(was), path.basename(file))) return earlier;
    const there = await look(earlier);
    return there !== undefined && isSameFile(there.stamp, found.stamp) ? earlier : undefined;
  }

  /** Two files never arrive as one. */
  #mayBeNamed(file: string, name: string): boolean {
    const other = this.#named.get(name);
    if (other === undefined || other === file) return true;
    this.#skipped.say(
      file,
      `cannot ship ${file}: it would arrive as ${name}, like ${other}: leave one of them out with --exclude`,
    );
    this.#tryLater(file);
    return false;
  }

  #tryLater(file: string, begin: Begin = this.#later): void {
    if (!this.#failed.has(file)) this.#failed.set(file, begin);
  }

  #tryAgain(file: string, error: unknown, begin?: Begin): void {
    this.#tryLater(file, begin);
    this.#context.throttle.run(`begin ${file}`, (repeated) => {
      this.#context.log.warn({ repeated }, `cannot ship ${file} (${oneLine(error)}); trying again`);
    });
  }
}

function endOf(links: readonly string[]): string {
  return links.at(-1) ?? '';
}

const atBeginning = (): number => 0;
const atEnd = ({ size }: Found): number => size;
