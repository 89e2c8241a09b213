// The paths of a shipper: which of those that the sources' globs match are shipped, under which name, and where each
// begins. Never looks again at one that has begun: shipper/session.ts does.

import { LogferryError, oneLine, systemCode } from '../../common/runtime/errors.ts';
import { inParallel, sleep } from '../../common/runtime/run.ts';
import { ClosedDirectories } from '../discovery/closed.ts';
import { Circle } from '../discovery/circle.ts';
import { type Found, inspect, now } from '../files/discover.ts';
import { expand, type Matched } from '../discovery/expand.ts';
import { Announced } from './announced.ts';
import {
  contextOf,
  type Group,
  groupOf,
  isAdded,
  isFileOf,
  type Listed,
  ownerOf,
  regroup,
  type SharedContext,
  shippedAs,
} from './groups.ts';
import { statOf } from '../files/candidate.ts';
import { baseOf, keyOf } from '../files/identity.ts';
import { finishedAtItsEnd, isOlder, whyNotOlder } from '../discovery/old-files.ts';
import { findMoved } from '../discovery/moved.ts';
import type { ShipOptions, SourceOptions } from '../options.ts';
import type { Skipped } from '../discovery/skipped.ts';
import { Names } from '../discovery/shipped-names.ts';
import type { Known } from './search.ts';
import { type Fresh, Source } from './source.ts';
import { SpoolSource } from '../stdin/spool-source.ts';
import type { Spool } from '../stdin/spool.ts';
import type { AnySource } from '../lane/any-source.ts';

const FILES_AT_ONCE = 16;
/** A rotation creates the new file soon after it has renamed the old one. */
const VANISHED_NS = 60_000_000_000n;

/** So long is waited for what is no longer shipped; a file system that does not answer holds up nothing else. */
const STOP_MS = 5_000;

/** Where a path begins that nothing is known of. */
type Begin = Pick<Fresh, 'at' | 'since'>;

export class Sources {
  /** By path. */
  readonly all = new Map<string, AnySource>();
  readonly #options: ShipOptions;
  readonly #context: SharedContext;
  readonly #skipped: Skipped;
  readonly #signal: AbortSignal;
  readonly #lookAtShipped: (files: readonly string[] | undefined) => Promise<void>;
  readonly #onBegun: () => void;
  /** When the globs were last asked. */
  #listedAt = now();
  /** The time before: a name that is renamed while its directory is listed may be missing in one listing, not in two. */
  #newSince = now();
  #groups: readonly Group[];
  /** Paths that are no longer shipped, until they have come to rest. */
  readonly #stopping = new Map<string, Promise<void>>();
  /** Files that could not be begun and are tried again, for whom, why, and where they begin then. */
  readonly #failed = new Map<
    string,
    { readonly group: Group; readonly why: string; readonly begin: Begin }
  >();
  readonly #closed: ClosedDirectories;
  /** New files that events named. */
  readonly announced: Announced;
  readonly #beginning = new Set<string>();
  readonly #circle: Promise<Circle>;
  /** Paths that were listed and had nothing at them a moment later, and since when what is there is new. */
  readonly #vanished = new Map<string, bigint>();
  readonly #names = new Names();

  constructor(
    options: ShipOptions,
    context: SharedContext,
    skipped: Skipped,
    signal: AbortSignal,
    lookAtShipped: (files: readonly string[] | undefined) => Promise<void>,
    onBegun: () => void,
  ) {
    this.#options = options;
    this.#context = context;
    this.#skipped = skipped;
    this.#signal = signal;
    this.#lookAtShipped = lookAtShipped;
    this.#onBegun = onBegun;
    this.#closed = new ClosedDirectories(skipped);
    const { sources } = options.changes?.value ?? options;
    this.#groups = sources.map((source) => groupOf(context, source, skipped, signal));
    this.#circle = Circle.of(context.state.location, options.ownLogs);
    // Whoever looks at files gets the error.
    this.#circle.catch(() => {});
    this.announced = new Announced(context, this.all, this.#names.ends, {
      groups: () => this.#groups,
      isFree: (file) => this.#isFree(file),
      isBeginning: (file) => this.#beginning.has(file),
      lookAround: async (matched) => {
        await (await this.#circle).lookAgain();
        return await this.#lookAround(matched);
      },
      isNotToBegin: async (found) => await this.#isNotToBegin(found.path, found),
      lookAtShipped,
      begin: async (listed) => await this.#beginNew(listed, () => this.#later, undefined),
    });
  }

  /** Why paths that should be shipped could not be begun, and directories not be looked into. */
  get failed(): ReadonlyMap<string, string> {
    const files = [...this.#failed].map(([file, { why }]): [string, string] => [file, why]);
    return new Map([...files, ...this.#closed.all]);
  }

  /** Whether a glob names it. */
  isNamed(file: string): boolean {
    return ownerOf(this.#groups, file) !== undefined;
  }

  /** Whether it should be shipped and could not be begun. */
  hasFailed(file: string): boolean {
    return this.#failed.has(file);
  }

  /** The file of one path is at another: whoever ships it looks there whether it goes on. False if it is not its file. */
  async tell(owner: string, found: Found): Promise<boolean> {
    const source = this.all.get(owner);
    if (!(await isFileOf(source, found))) return false;
    source?.foundElsewhere(found).catch((error: unknown) => {
      if (this.#signal.aborted) return;
      this.#context.log.warn(`cannot look at ${found.path} (${oneLine(error)}); trying again`);
    });
    return true;
  }

  /** What the state knows, and what the globs match now. `known` is for a shipper that has no state. */
  async first(known: Known | undefined): Promise<void> {
    const { state } = this.#context;
    const since = now();
    [this.#listedAt, this.#newSince] = [since, since];
    // Only what is there at the very first start may begin at its end; later all that came since the last run is new.
    const begin = (group: Group): Begin => ({
      at: state.fresh && group.from === 'end' ? atEnd : atBeginning,
      since: state.fresh || state.savedAt === 0n || state.savedAt > since ? since : state.savedAt,
    });
    const listed = await this.#lookAround(await this.#matched());
    if (!state.fresh) await this.#adoptMoved(listed);
    await this.#beginKnown(listed, begin, known);
    await this.#beginNew(listed, begin, known);
    await state.begun();
    await this.#closed.look(this.#groups, false);
  }

  /**
   * Other sources from now on. What no source names any more is shipped as far as it was read, and its place is kept;
   * what belongs to another source now, or to one with other options, goes on there.
   */
  async change(sources: readonly SourceOptions[]): Promise<void> {
    const before = this.#groups;
    const added = sources.filter((options) => isAdded(before, options));
    this.#groups = this.#regrouped(sources);
    const goOn = new Set(this.#groups.map(({ signal }) => signal));
    for (const group of before) if (!goOn.has(group.signal)) group.stop();
    for (const [file, { group, ...failed }] of [...this.#failed]) {
      const still = this.#groups.find(({ signal, names }) => signal === group.signal && names(file));
      if (still === undefined) this.#failed.delete(file);
      else this.#failed.set(file, { ...failed, group: still });
    }
    for (const [file, source] of [...this.all]) if (source.signal.aborted) this.#drop(file, source);
    this.#names.keep((file) => this.all.has(file));
    await Promise.race([Promise.all(this.#stopping.values()), sleep(STOP_MS, this.#signal)]);
    const since = now();
    const later = this.#later;
    const begin = ({ options, from }: Group): Begin =>
      added.includes(options) ? { at: from === 'end' ? atEnd : atBeginning, since } : later;
    const listed = await this.#lookAround(await this.#matched());
    await this.#beginKnown(listed, begin, undefined);
    await this.#lookAtShipped(undefined);
    await this.#beginNew(listed, begin, undefined);
    await this.#closed.look(this.#groups, true);
  }

  /**
   * Whether a file would be closed for these sources, to go on with another, that was deleted and has bytes that are not
   * in the stream: nobody could open it again.
   */
  async wouldLose(sources: readonly SourceOptions[]): Promise<boolean> {
    const next = this.#regrouped(sources);
    const goOn = new Set(next.map(({ signal }) => signal));
    for (const [file, { signal, generations }] of this.all) {
      if (goOn.has(signal) || ownerOf(next, file) === undefined) continue;
      for (const generation of generations)
        if (
          generation.cursor.isOpen &&
          !generation.isDrained &&
          (await statOf(generation.cursor.opened, file))?.links === 0
        )
          return true;
    }
    return false;
  }

  #regrouped(sources: readonly SourceOptions[]): Group[] {
    return regroup(this.#groups, sources, this.all, (options) =>
      groupOf(this.#context, options, this.#skipped, this.#signal),
    );
  }

  /** Stops reading; what is in flight is waited for. */
  #drop(file: string, source: AnySource): void {
    this.all.delete(file);
    const stopped = source
      .stop()
      .catch((error: unknown) => {
        this.#context.log.warn(`cannot stop shipping ${file} (${oneLine(error)})`);
      })
      .then(() => {
        this.#stopping.delete(file);
      });
    this.#stopping.set(file, stopped);
  }

  /** Forgets a path at which nothing is, when all that was is committed: what comes there one day is new. */
  forgetIfGone(file: string, source: AnySource): boolean {
    if (!source.isForgettable) return false;
    this.#drop(file, source);
    this.#context.state.forget(file);
    this.#names.forget(source.name, file);
    return true;
  }

  /** Resolves when everything that is no longer shipped has come to rest. */
  async stopped(): Promise<void> {
    await Promise.all(this.#stopping.values());
    await this.announced.end();
  }

  /** What the state knows of and a source names. */
  async #beginKnown(
    listed: ReadonlyMap<string, Listed>,
    begin: (group: Group) => Begin,
    known: Known | undefined,
  ): Promise<void> {
    const { state } = this.#context;
    const groupOfKnown = this.#ownersOfKnown(listed);
    const files = [...state.sources.keys()].filter(
      (file) => !this.all.has(file) && !this.#stopping.has(file),
    );
    const unnamed: string[] = [];
    await inParallel(files, FILES_AT_ONCE, async (file) => {
      const group = groupOfKnown(file);
      if (group === undefined) unnamed.push(file);
      else await this.#begin(file, listed.get(file)?.found, group, begin(group), known);
    });
    const [first] = unnamed;
    if (first === undefined) return;
    const which = unnamed.length === 1 ? first : `${unnamed.length} files (${first} for one)`;
    this.#context.log.info(
      `${which}: shipped before, named by no source now: not read; goes on where it ended when one names it`,
    );
  }

  /** Whose a path of the state is: who names it, or names its file where that is called something else now. */
  #ownersOfKnown(listed: ReadonlyMap<string, Listed>): (file: string) => Group | undefined {
    const { state } = this.#context;
    const byStamp = new Map<string, Group>();
    for (const [file, { found, group }] of listed)
      if (!state.sources.has(file)) byStamp.set(keyOf(found.stamp), group);
    const renamed = (file: string): Group | undefined =>
      state.sources
        .get(file)
        ?.map((entry) => byStamp.get(keyOf(entry)))
        .find((group) => group !== undefined);
    return (file) => listed.get(file)?.group ?? ownerOf(this.#groups, file) ?? renamed(file);
  }

  /** Standard input. */
  fromSpool(spool: Spool): void {
    const context = contextOf(this.#context, STDIN, this.#skipped, () => 0);
    const source = new SpoolSource(context, spool, this.#signal, this.#onBegun);
    this.all.set(source.path, source);
    source.start();
  }

  /** What the globs match by now. */
  async more(): Promise<void> {
    await (await this.#circle).lookAgain();
    const later = this.#later;
    const listedAt = now();
    const listed = await this.#lookAround(await this.#matched());
    [this.#newSince, this.#listedAt] = [this.#listedAt, listedAt];
    // It may be the next file of one that is shipped under another of its names.
    const isNew = ({ found }: Listed): boolean => !this.#context.knownFiles.has(found.stamp);
    if ([...listed.values()].some((each) => isNew(each))) await this.#lookAtShipped(undefined);
    await this.#beginNew(listed, () => later, undefined);
    await this.#closed.look(this.#groups, false);
  }

  /** Tries again what could not be begun. */
  async retry(): Promise<void> {
    const { state } = this.#context;
    const failed = [...this.#failed];
    const later = this.#later;
    const isKnown = (file: string): boolean => state.sources.has(file);
    const again = failed.filter(([file]) => isKnown(file));
    await inParallel(again, FILES_AT_ONCE, async ([file, { group }]) => {
      await this.#begin(file, undefined, group, later, undefined);
    });
    const others = failed.filter(([file]) => !isKnown(file));
    const named = new Map(
      others.map(([file, { group }]) => [file, { source: group, by: file, isLiteral: true }]),
    );
    await this.#beginNew(await this.#lookAround(named), () => later, undefined);
  }

  /** Links lead from here to where those of a shipped path lead: that one sees what comes there. */
  async #isOtherName({ path: file, stamp }: Found): Promise<boolean> {
    if (this.#context.knownFiles.has(stamp)) return false;
    const shipped = await this.#names.sameAs(file);
    return shipped !== undefined && this.all.has(shipped);
  }

  /** What comes after the very first look. */
  get #later(): Begin {
    return { at: undefined, since: this.#newSince };
  }

  /** It would ship itself, or has another name that is shipped; what is shipped already, by an earlier run, goes on. */
  async #isNotToBegin(file: string, found: Found | undefined): Promise<boolean> {
    if (this.#context.state.sources.has(file)) return false;
    const refusal = await (await this.#circle).refusal(file, found?.stamp);
    if (refusal === undefined) return found !== undefined && (await this.#isOtherName(found));
    this.#skipped.say(refusal.about, refusal.text);
    return true;
  }

  /** The paths that the globs match and that are not shipped yet. */
  async #matched(): Promise<ReadonlyMap<string, Matched<Group>>> {
    return new Map([...(await expand(this.#groups))].filter(([file]) => this.#isFree(file)));
  }

  #isFree(file: string): boolean {
    return !this.all.has(file) && !this.#stopping.has(file);
  }

  /** The files among the paths, in the same order. */
  async #lookAround(matched: ReadonlyMap<string, Matched<Group>>): Promise<ReadonlyMap<string, Listed>> {
    const listed = new Map<string, Listed | undefined>();
    for (const file of matched.keys()) listed.set(file, undefined);
    await inParallel(matched, FILES_AT_ONCE, async ([file, match]) => {
      const group = match.source;
      try {
        const found = await this.#lookAt(file, match);
        if (found !== undefined) listed.set(file, { found, group });
      } catch (error) {
        this.#tryAgain(file, group, error);
      }
    });
    return new Map([...listed].flatMap(([file, one]) => (one === undefined ? [] : [[file, one]])));
  }

  async #lookAt(file: string, { source: group, isLiteral, by }: Matched<Group>): Promise<Found | undefined> {
    const sight = await inspect(file, group.followSymlinks);
    const found = sight.kind === 'file' ? sight.found : undefined;
    if (sight.kind !== 'nothing' && (await this.#isNotToBegin(file, found))) return undefined;
    if (sight.kind === 'nothing' && !isLiteral && !this.#vanished.has(file))
      this.#vanished.set(file, this.#newSince);
    this.#skipped.sight(file, sight, isLiteral ? undefined : by);
    if (sight.kind === 'unnameable') this.#tryLater(file, group, 'its name is not UTF-8');
    else if (sight.kind !== 'file') this.#failed.delete(file);
    return found;
  }

  async #adoptMoved(listed: ReadonlyMap<string, Listed>): Promise<void> {
    const { state, log } = this.#context;
    const nameOf = (file: string): string =>
      (listed.get(file)?.group ?? ownerOf(this.#groups, file))?.context.nameOf(file) ?? file;
    const files = new Map([...listed].map(([file, { found }]) => [file, found]));
    for (const { from, to } of await findMoved(state.sources, files, nameOf)) {
      state.move(from, to);
      log.info({ path: to }, `${to} goes on where ${from} ended`);
    }
  }

  /** Of several names of one file the first counts. */
  async #beginNew(
    listed: ReadonlyMap<string, Listed>,
    begin: (group: Group) => Begin,
    known: Known | undefined,
  ): Promise<void> {
    const { state, knownFiles } = this.#context;
    const claimed: Found[] = [];
    const used = new Set<Found>();
    for (const { found } of listed.values())
      if (!(await isFileOf(this.all.get(knownFiles.ownerOf(found.stamp) ?? ''), found))) used.add(found);
    const files = [...listed].filter(([file, { found }]) => {
      if (knownFiles.has(found.stamp) && !used.has(found)) {
        const isShipped = state.sources.has(file);
        // Under another of its names.
        if (!isShipped) this.#failed.delete(file);
        return isShipped;
      }
      // The source of a path that is known has to find what was there itself.
      if (state.sources.has(file)) return true;
      knownFiles.add(found.stamp, file);
      claimed.push(found);
      return true;
    });
    const old: { file: string; ageMs: number }[] = [];
    await inParallel(files, FILES_AT_ONCE, async ([file, { found, group }]) => {
      const isNew = !state.sources.has(file) && known?.(baseOf(found.stamp) ?? '') === undefined;
      if (isNew && isOlder(found, group.ignoreOlderMs, Date.now())) {
        if (await this.#beginOld(file, found, group)) old.push({ file, ageMs: group.ignoreOlderMs ?? 0 });
      } else {
        const first = begin(group);
        const since = this.#vanished.get(file) ?? first.since;
        await this.#begin(file, found, group, this.#failed.get(file)?.begin ?? { ...first, since }, known);
      }
    });
    for (const one of claimed) knownFiles.remove(one.stamp, one.path);
    for (const [file, since] of this.#vanished)
      if (this.all.has(file) || now() - since > VANISHED_NS) this.#vanished.delete(file);
    for (const [ageMs, some] of Map.groupBy(old, (one) => one.ageMs))
      this.#context.log.info(whyNotOlder(some, ageMs));
  }

  /** Remembers the file as shipped up to its end. */
  async #beginOld(file: string, found: Found, group: Group): Promise<boolean> {
    const { state } = this.#context;
    try {
      const entry = await finishedAtItsEnd(found);
      if (entry === undefined) return false;
      state.sources.set(file, [entry]);
      state.touch();
    } catch (error) {
      this.#tryAgain(file, group, error);
      return false;
    }
    await this.#begin(file, found, group, this.#later, undefined);
    return true;
  }

  async #begin(
    file: string,
    found: Found | undefined,
    group: Group,
    begin: Begin,
    known: Known | undefined,
  ): Promise<void> {
    if (this.all.has(file) || this.#beginning.has(file) || group.signal.aborted) return;
    const { state, nameOf, look } = group.context;
    const name = nameOf(file);
    if (!this.#mayBeNamed(file, group, name)) return;
    this.#beginning.add(file);
    let source: Source | undefined;
    try {
      const earlier = state.sources.has(file)
        ? undefined
        : await shippedAs(file, found, group.context, known);
      if (found !== undefined && earlier !== undefined) {
        this.#context.knownFiles.add(found.stamp, earlier);
        await this.#begin(earlier, await look(earlier), group, begin, known);
        this.#context.knownFiles.remove(found.stamp, earlier);
        return;
      }
      source = new Source(group.context, file, group.signal);
      // It may have been rotated since it was listed.
      const there = await look(file);
      const isAny = await source.start(there, { ...begin, listed: found }, known ?? (() => undefined));
      this.#failed.delete(file);
      if (!isAny) {
        await source.stop();
        state.sources.delete(file);
        return;
      }
      await this.#names.begun(file);
      this.all.set(file, source);
      if (this.#options.once) for (const { cursor } of source.generations) cursor.limitTo(cursor.size);
      this.#onBegun();
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      await source?.stop();
      if (group.signal.aborted) return;
      const at = found === undefined ? undefined : begin.at?.(found);
      this.#tryAgain(file, group, error, { ...begin, at: at === undefined ? undefined : () => at });
    } finally {
      this.#beginning.delete(file);
      if (!this.all.has(file)) this.#names.giveBack(name, file);
    }
  }

  /** Two files never arrive as one. */
  #mayBeNamed(file: string, group: Group, name: string): boolean {
    const other = this.#names.take(name, file);
    if (other === undefined) return true;
    this.#skipped.say(
      file,
      `cannot ship ${file}: it would arrive as ${name}, like ${other}: leave one of them out with --exclude`,
    );
    this.#tryLater(file, group, `it would arrive like ${other}`);
    return false;
  }

  #tryLater(file: string, group: Group, why: string, begin: Begin = this.#later): void {
    const before = this.#failed.get(file);
    this.#failed.set(file, { group, begin, ...before, why });
  }

  #tryAgain(file: string, group: Group, error: unknown, begin?: Begin): void {
    this.#tryLater(file, group, systemCode(error) ?? oneLine(error), begin);
    this.#context.throttle.run(`begin ${file}`, (repeated) => {
      this.#context.log.warn({ repeated }, `cannot ship ${file} (${oneLine(error)}); trying again`);
    });
  }
}

const STDIN = { followSymlinks: true, pathPrefix: undefined };
const atBeginning = (): number => 0;
const atEnd = ({ size }: Found): number => size;
