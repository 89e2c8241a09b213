// New files that events name: opened at once, and begun without a look at anything but what they may belong to. What came
// and went before it could be opened is counted.

import path from 'node:path';

import { expandAmong, type Matched } from '../discovery/expand.ts';
import { Unopened } from '../discovery/unopened.ts';
import type { Found } from '../files/discover.ts';
import { basesOf, keyOf } from '../files/identity.ts';
import type { AnySource } from '../lane/any-source.ts';
import { concernedBy } from './concerned.ts';
import { type Group, type Listed, ownerOf, type SharedContext } from './groups.ts';

/** What it needs of those who know the paths. */
interface Paths {
  readonly groups: () => readonly Group[];
  /** Whether nobody ships it, and nobody is about to stop. */
  readonly isFree: (file: string) => boolean;
  readonly isBeginning: (file: string) => boolean;
  readonly lookAround: (matched: ReadonlyMap<string, Matched<Group>>) => Promise<ReadonlyMap<string, Listed>>;
  /** Whether it would ship itself, or another path that leads there ships it. */
  readonly isNotToBegin: (found: Found) => Promise<boolean>;
  /** Undefined for all of them. */
  readonly lookAtShipped: (files: readonly string[] | undefined) => Promise<void>;
  readonly begin: (listed: ReadonlyMap<string, Listed>) => Promise<void>;
}

export class Announced {
  readonly #context: Pick<SharedContext, 'held' | 'knownFiles' | 'fileSystems' | 'state'>;
  readonly #shipped: ReadonlyMap<string, AnySource>;
  readonly #ends: ReadonlyMap<string, string>;
  readonly #paths: Paths;
  readonly #unopened: Unopened;

  /**
   * @param shipped by path
   * @param ends the shipped paths, by where their links lead
   */
  constructor(
    context: Pick<SharedContext, 'held' | 'knownFiles' | 'fileSystems' | 'log' | 'state'>,
    shipped: ReadonlyMap<string, AnySource>,
    ends: ReadonlyMap<string, string>,
    paths: Paths,
  ) {
    this.#context = context;
    this.#shipped = shipped;
    this.#ends = ends;
    this.#paths = paths;
    this.#unopened = new Unopened(context.log);
  }

  /** Something happened to a path that is not shipped: what is there is open when this returns, and is begun in `begin`. */
  async hold(file: string): Promise<void> {
    const group = ownerOf(this.#paths.groups(), file);
    if (group === undefined) return;
    const isThere = await this.#context.held.hold(file, group.followSymlinks);
    // What is rotated away from a path that is known, its source looks for.
    if (isThere || this.#context.state.sources.has(file)) this.#unopened.somethingAt(file);
    else this.#unopened.nothingAt(file, () => this.#isRotated(file));
  }

  /** Whether a rotation of a shipped path beside it would make this name. */
  #isRotated(file: string): boolean {
    const directory = path.dirname(file);
    return basesOf(path.basename(file)).some((base) => this.#shipped.has(path.join(directory, base)));
  }

  /** Begins what is at these paths, or was when an event came. False where only all globs can tell what is named. */
  async begin(files: readonly string[]): Promise<boolean> {
    const { held, knownFiles } = this.#context;
    if (files.length === 0) return true;
    try {
      const free = files.filter((file) => this.#paths.isFree(file));
      const { matched, unsure } = await expandAmong(this.#paths.groups(), free);
      const listed = await this.#listed(matched);
      const news = [...listed.values()].map(({ found }) => found);
      const unknown = news.filter(({ stamp }) => !knownFiles.has(stamp));
      if (unknown.length > 0) await this.#paths.lookAtShipped(this.#concernedBy(unknown));
      await this.#paths.begin(listed);
      return unsure.length === 0;
    } finally {
      // What is being begun takes what was at its path.
      await held.release(new Set(files.filter((file) => !this.#paths.isBeginning(file))));
    }
  }

  /** What is there; and where nothing is any more, what was, unless it is at another of these paths now. */
  async #listed(matched: ReadonlyMap<string, Matched<Group>>): Promise<ReadonlyMap<string, Listed>> {
    const listed = new Map(await this.#paths.lookAround(matched));
    const there = new Set([...listed.values()].map(({ found }) => keyOf(found.stamp)));
    for (const [file, { source: group }] of matched) {
      if (listed.has(file)) continue;
      const [found] = await this.#context.held.at(file);
      if (found === undefined || there.has(keyOf(found.stamp))) continue;
      if (!(await this.#paths.isNotToBegin(found))) listed.set(file, { found, group });
    }
    return listed;
  }

  #concernedBy(news: readonly Found[]): readonly string[] | undefined {
    return concernedBy(news, this.#shipped, this.#ends, (file) => {
      const device = this.#shipped.get(file)?.device;
      return device !== undefined && !this.#context.fileSystems.isRemote(device);
    });
  }

  /** Says, once in a while, how many files came and went. */
  say(): void {
    this.#unopened.say(false);
  }

  async end(): Promise<void> {
    await this.#context.held.release();
    this.#unopened.say(true);
  }
}
