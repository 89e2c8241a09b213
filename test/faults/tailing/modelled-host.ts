// A host of the model: its files, its shipper, and what of its files has arrived; with what nobody can read any more.

import assert from 'node:assert/strict';
import path from 'node:path';

import { until } from '../../../common/runtime/run.ts';
import { WAIT_MS } from '../../support/timeouts.ts';
import type { Located } from './compare.ts';
import { type LeftOut, Link } from './deeds.ts';
import type { Generation, Holder } from './generation.ts';
import { assertNothingElse, assertSaid, find, type Said } from './oracle.ts';
import type { Style } from './plan.ts';
import { RotatedLog } from './rotated-log.ts';
import type { HostShipper, Site } from './site.ts';

const LONG_LINE = 1_500_000;
/** Several hosts at once, over whatever disks: their lines are not that long. */
const SHARED_LONG_LINE = 200_000;
/** For so long somebody who looks has the time to see a file before it goes, where only that makes it known. */
const SEEN_MS = 1_000;
/** Looks after which a difference is one. */
const PROBLEMS = 8;

/** What begins alike for less than 512 bytes may be two files with one header (docs/tailing.md): not where there are copies. */
const COPIED: readonly Style[] = ['copied', 'renewed', 'changed'];
const PROOF_BYTES = 600;

export class ModelledHost {
  readonly #site: Site;
  readonly logs: RotatedLog[];
  /** Those of the plan; the others are neighbours of theirs. */
  readonly main: readonly RotatedLog[];
  readonly neighbours = new Map<RotatedLog, RotatedLog[]>();
  readonly links = new Map<RotatedLog, Link>();
  readonly #arrivesMs: number;
  serves = true;
  /** A file has got another inode since a state was kept. */
  isRenewed = false;
  /** The state is lost, or an older one, and no shipper has begun with it yet. */
  hasLostState = false;

  private constructor(site: Site, logs: readonly RotatedLog[], arrivesMs: number) {
    this.#site = site;
    this.#arrivesMs = arrivesMs;
    this.main = logs;
    this.logs = [...logs];
    for (const log of logs) if (path.basename(log.path) === 'link.log') this.links.set(log, new Link(log));
  }

  get shipper(): HostShipper {
    return this.#site.shipper;
  }

  /** The longest that is written to a file at once. */
  get longLine(): number {
    return this.#site.isShared ? SHARED_LONG_LINE : LONG_LINE;
  }

  /**
   * What was rotated away before the very first start is not shipped: every file has arrived once.
   *
   * @param arrivesMs how long what was written may take to arrive
   */
  static async begin(site: Site, styles: readonly Style[], arrivesMs = WAIT_MS): Promise<ModelledHost> {
    const logs = styles.map(
      (style) =>
        new RotatedLog(path.join(site.directory, `${style}.log`), COPIED.includes(style) ? PROOF_BYTES : 0),
    );
    const host = new ModelledHost(site, logs, arrivesMs);
    const isTaken = logs.filter((log) => log.takeOver()).length > 0;
    host.shipper.startInside();
    if (isTaken) await host.#arrive();
    await host.settle();
    return host;
  }

  /** Whether what is written may arrive now. */
  get ships(): boolean {
    return this.shipper.runs && this.serves;
  }

  async stop(): Promise<void> {
    await this.shipper.stop();
    for (const log of this.logs) log.close();
    await this.serve();
    this.#site.end();
  }

  async start(inProcess: boolean): Promise<LeftOut> {
    if (this.shipper.runs) return 'it runs';
    // Without a state nobody looks for what was compressed meanwhile, nor where a link led before (docs/tailing.md).
    if (this.hasLostState)
      for (const log of this.logs) {
        const isLeft = ({ holder }: Generation): boolean =>
          this.links.has(log) && holder !== log.current?.holder;
        await this.cut(log, (generation) => generation.holder.compressed || isLeft(generation));
      }
    this.hasLostState = false;
    if (inProcess) this.shipper.startProcess();
    else this.shipper.startInside();
    return undefined;
  }

  /** @param isKilled only where nobody else has the server */
  async disconnect(isKilled: boolean): Promise<void> {
    this.serves = false;
    await this.#site.disconnect(isKilled);
  }

  async serve(): Promise<void> {
    if (this.serves) return;
    await this.#site.serve();
    this.serves = true;
  }

  /** Stops writing, lets everything arrive, and compares. */
  async end(): Promise<void> {
    await this.serve();
    if (!this.shipper.runs) await this.start(false);
    await this.settle();
    await this.shipper.stop();
    const said = this.shipper.said();
    for (const log of this.logs) {
      const { problem, complete, arrived } = await this.#located(log);
      assert.equal(problem, undefined, log.path);
      assert.ok(complete, log.path);
      assertSaid(log, arrived, said);
    }
    assertNothingElse(this.logs, said);
    assert.deepEqual(
      await this.#site.strangers(this.logs.map((log) => log.path)),
      [],
      'files at the destination',
    );
  }

  /** What was said of it before is not known any more. */
  async loseState(isOlder: boolean): Promise<LeftOut> {
    if (this.shipper.runs) return 'it runs';
    // Random file ids are nowhere else.
    if (!this.#site.hasBirths) return 'no births';
    // It may come again (docs/tailing.md).
    if (this.isRenewed) return 'a file has another inode since';
    if (!isOlder) await this.shipper.loseState();
    else if (!(await this.shipper.putBackState())) return 'there is none';
    this.hasLostState = true;
    for (const { generations } of this.logs)
      for (const generation of generations)
        if (generation.cut !== undefined) generation.cut = { ...generation.cut, known: undefined };
    return undefined;
  }

  /** Without births, what is rotated before anybody has seen it is not found (docs/tailing.md). */
  async seen(log: RotatedLog): Promise<void> {
    const { current } = log;
    if (this.#site.hasBirths || current === undefined || current.isSeen) return;
    const index = log.generations.indexOf(current);
    const isSeen = async (): Promise<boolean> => {
      const { arrived } = await this.#located(log);
      return (arrived[index] ?? 0) > 0;
    };
    current.isSeen = await (this.ships ? until(isSeen, { timeoutMs: SEEN_MS, everyMs: 50 }) : isSeen());
    if (!current.isSeen) current.cut ??= { arrived: 0, known: undefined };
  }

  /** The shipper is gone, and with it what it held open. */
  async closed(): Promise<void> {
    for (const log of this.logs) await this.cut(log, (generation) => !generation.isReadable);
  }

  async cut(log: RotatedLog, isGone: (generation: Generation) => boolean): Promise<void> {
    if (!log.generations.some((generation) => generation.cut === undefined && isGone(generation))) return;
    const { arrived } = await this.#located(log);
    for (const [index, generation] of log.generations.entries()) {
      if (!isGone(generation) || generation.cut !== undefined) continue;
      const { holder } = generation;
      // Of an inode that has had several generations the state's entry may be another's.
      const known = holder.generations === 1 ? await this.shipper.knownSize(log.path, holder) : undefined;
      generation.cut = { arrived: arrived[index] ?? 0, known };
    }
  }

  async isHeld(holder: Holder): Promise<boolean> {
    return holder.name !== undefined && (await this.shipper.holds(holder.name));
  }

  // --- what has arrived -----------------------------------------------------------------------------------------

  async #located(log: RotatedLog): Promise<Located> {
    return find(await this.#site.arrived(log.path), log, this.#saidOf(log));
  }

  /** What has to be known to say where its generations are. */
  #saidOf(log: RotatedLog): Said[] {
    const hasNamed = log.generations.some(
      ({ named, bases, holder }) => named.size > 0 || bases.has(undefined) || holder.compressed,
    );
    return hasNamed ? this.shipper.said() : [];
  }

  async settle(): Promise<void> {
    // Rotated files that nobody has seen are looked for when there is a file at the path again.
    for (const log of this.logs) await log.line(100);
    await this.#arrive();
  }

  async #arrive(): Promise<void> {
    for (const log of this.logs) {
      let located: Located | undefined;
      let problems = 0;
      let seen: string | undefined;
      const isThere = async (): Promise<boolean> => {
        const [found, said] = [await this.#site.arrived(log.path), this.#saidOf(log)];
        const sight = `${found.length} ${said.length}`;
        // Nothing has come since it was looked at, and nothing more was said.
        if (sight === seen && problems === 0) return false;
        seen = sight;
        located = find(found, log, said);
        // What comes again behind bytes that were changed is understood when all of it is there.
        problems = located.problem === undefined ? 0 : problems + 1;
        return located.complete || problems === PROBLEMS;
      };
      await until(isThere, { timeoutMs: this.#arrivesMs, everyMs: this.#site.isShared ? 150 : 50 });
      if (located?.problem !== undefined) assert.fail(`${log.path}: ${located.problem}`);
      if (located?.complete === true) {
        for (const generation of log.generations) generation.isSeen = true;
        const link = this.links.get(log);
        if (link !== undefined) link.isUnseen = false;
        continue;
      }
      const short = log.generations
        .map(({ size, cut }, index) => ({ index, size, cut, arrived: located?.arrived[index] ?? 0 }))
        .filter(({ size, cut, arrived }) => cut === undefined && arrived < size)
        .map(({ index, size, arrived }) => `generation ${index}: ${arrived} of ${size} bytes`);
      assert.fail(`${log.path}: not all has arrived: ${short.join(', ')}`);
    }
  }
}
