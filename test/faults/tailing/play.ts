// Plays the steps of a plan against real files and a real shipper, and compares every byte that arrives with what was
// written: what somebody could read has to be there, once and in order; what nobody could read has to be reported.

import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';

import { sleep, until } from '../../../common/runtime/run.ts';
import { WAIT_MS } from '../../support/timeouts.ts';
import type { Located } from './compare.ts';
import * as deeds from './deeds.ts';
import { type LeftOut, Link, oneOf } from './deeds.ts';
import type { Generation, Holder } from './generation.ts';
import { assertNothingElse, assertSaid, find, saidIn } from './oracle.ts';
import { describe, planOf, type Step, type Style, STYLES } from './plan.ts';
import { RotatedLog } from './rotated-log.ts';
import { RunningShipper } from './running-shipper.ts';
import { central, centralFiles } from '../../support/central-files.ts';
import { Proxy } from '../../support/proxy.ts';
import { random } from '../../support/seed.ts';
import type { World } from '../../support/world.ts';

const LONG_LINE = 1_500_000;
const SAID_STEPS = 40;
/** Several hosts at once, over whatever disks: their lines are not that long. */
const HISTORY_LONG_LINE = 200_000;
const PAUSE_MS = 6_000;
/** For so long somebody who looks has the time to see a file before it goes, where only that makes it known. */
const SEEN_MS = 1_000;

/** What begins alike for less than 512 bytes may be two files with one header (docs/tailing.md): not where there are copies. */
const COPIED: readonly Style[] = ['copied', 'renewed'];
const PROOF_BYTES = 600;

/** Where the files of a host are. */
export interface Place {
  readonly directory: string;
  /** Without births a file that nobody has seen is not found when it was rotated. */
  readonly hasBirths: boolean;
}

export type PlayOptions = {
  /** The host's. */
  readonly name: string;
  readonly styles?: readonly Style[];
  /** How long what was written may take to arrive. */
  readonly arrivesMs?: number;
  /** A history: other hosts are in the same world, with which it shares the server. */
  readonly place?: Place;
} & ({ readonly seed: number; readonly steps: number } | { readonly plan: readonly Step[] });

/** Plays one host in a world in which a receiver runs. */
export async function play(world: World, options: PlayOptions): Promise<void> {
  const { styles = STYLES } = options;
  const plan = 'plan' in options ? options.plan : planOf(random(options.seed), styles, options.steps);
  const run = await Run.begin(world, styles, options);
  const done: string[] = [];
  try {
    for (const [index, step] of plan.entries()) {
      const played = await run.play(step);
      done.push(`${index}. ${describe(step)}${played === undefined ? '' : ` (${played})`}`);
      if (step.pauseMs > 0) await sleep(step.pauseMs);
    }
    await run.end();
  } catch (error) {
    if (options.place === undefined)
      console.log(
        `# ${options.name} failed; the last of ${done.length} steps:\n${done.slice(-SAID_STEPS).join('\n')}`,
      );
    throw error;
  } finally {
    await run.stop();
  }
}

class Run {
  readonly #world: World;
  readonly #host: string;
  readonly #logs: RotatedLog[];
  /** Those of the plan; the others are neighbours of theirs. */
  readonly #main: readonly RotatedLog[];
  readonly #neighbours = new Map<RotatedLog, RotatedLog[]>();
  readonly #links = new Map<RotatedLog, Link>();
  readonly #shipper: RunningShipper;
  readonly #arrivesMs: number;
  readonly #place: Place | undefined;
  readonly #proxy: Proxy | undefined;
  #serves = true;
  #hasLostState = false;

  private constructor(
    world: World,
    options: PlayOptions,
    logs: readonly RotatedLog[],
    directory: string,
    proxy: Proxy | undefined,
  ) {
    this.#world = world;
    this.#host = options.name;
    this.#arrivesMs = options.arrivesMs ?? WAIT_MS;
    this.#place = options.place;
    this.#main = logs;
    this.#logs = [...logs];
    this.#proxy = proxy;
    for (const log of logs) if (path.basename(log.path) === 'link.log') this.#links.set(log, new Link(log));
    const url = (): string => proxy?.url ?? world.server.url;
    this.#shipper = new RunningShipper(world, options.name, path.join(directory, '*.log'), url);
  }

  /** What was rotated away before the very first start is not shipped: every file has arrived once. */
  static async begin(world: World, styles: readonly Style[], options: PlayOptions): Promise<Run> {
    const { place, name } = options;
    const directory = place?.directory ?? path.join(world.source, name);
    await mkdir(directory, { recursive: true });
    const proxy = place === undefined ? undefined : await Proxy.start(world.server.port);
    const logs = styles.map(
      (style) =>
        new RotatedLog(path.join(directory, `${style}.log`), COPIED.includes(style) ? PROOF_BYTES : 0),
    );
    const run = new Run(world, options, logs, directory, proxy);
    const isTaken = logs.filter((log) => log.takeOver()).length > 0;
    run.#shipper.startInside();
    if (isTaken) await run.#arrive();
    await run.#settle();
    return run;
  }

  /** Says why a step was left out. */
  async play(step: Step): Promise<string | undefined> {
    const { action, share } = step;
    const log = this.#main[step.file];
    if (log === undefined) throw new Error('BUG: no such file');
    switch (action) {
      case 'lines':
        for (let count = share ** 6 * 2_000; count >= 0; count -= 1) await log.line(20 + share * 200);
        break;
      case 'partial':
        await log.line(10 + share * 100, false);
        break;
      case 'long':
        await log.line((this.#place === undefined ? LONG_LINE : HISTORY_LONG_LINE) * share);
        break;
      case 'create':
        await log.create();
        break;
      case 'rename':
        await this.#seen(log);
        log.rename();
        break;
      case 'chain':
        await this.#seen(log);
        log.chain();
        break;
      case 'copytruncate':
        await this.#seen(log);
        await log.copyTruncate();
        break;
      case 'compress':
        return await deeds.compress(log, share);
      case 'compress untimed':
        return await deeds.compressUntimed(log, share);
      case 'copy':
      case 'copy dated':
        return deeds.copy(log, share, action === 'copy dated');
      case 'late':
        return deeds.late(log, share);
      case 'switch':
        return await this.#switch(log);
      case 'neighbour':
        return await this.#bear(log);
      case 'neighbour lines':
        return await this.#neighbourLine(log, share);
      case 'rotate together':
        return await this.#rotateTogether(log);
      case 'renew':
        return deeds.renew(log, share);
      case 'shorten':
        return await this.#shorten(log, share);
      case 'overwrite':
        return await this.#overwrite(log, share);
      case 'remove':
        return await this.#remove(log, share);
      case 'delete':
        return await this.#delete(log);
      case 'truncate':
        return await this.#truncate(log);
      case 'stop':
        await this.#shipper.stop();
        await this.#closed();
        break;
      case 'kill':
        await this.#shipper.kill();
        await this.#closed();
        break;
      case 'start':
      case 'start a process':
        return await this.#start(action === 'start a process');
      case 'server down':
        this.#serves = false;
        if (this.#proxy !== undefined) this.#proxy.close();
        else await (share < 0.5 ? this.#world.server.kill() : this.#world.server.stop());
        break;
      case 'server up':
        await this.#serve();
        break;
      case 'pause':
        await sleep(share * PAUSE_MS);
        break;
      case 'keep state':
        if (this.#shipper.runs) return 'it runs';
        await this.#shipper.keepState();
        break;
      case 'older state':
      case 'state lost':
        return await this.#loseState(action === 'older state');
      case 'settle':
        if (!this.#shipper.runs || !this.#serves) return 'nobody ships';
        await this.#settle();
        break;
      case 'wait':
        break;
    }
    return undefined;
  }

  async stop(): Promise<void> {
    await this.#shipper.stop();
    for (const log of this.#logs) log.close();
    await this.#serve();
    this.#proxy?.end();
  }

  async #start(inProcess: boolean): Promise<LeftOut> {
    if (this.#shipper.runs) return 'it runs';
    // Without a state nobody looks for what was compressed meanwhile (docs/tailing.md).
    if (this.#hasLostState)
      for (const log of this.#logs) await this.#cut(log, (generation) => generation.holder.compressed);
    this.#hasLostState = false;
    if (inProcess) this.#shipper.startProcess();
    else this.#shipper.startInside();
    return undefined;
  }

  async #serve(): Promise<void> {
    if (this.#serves) return;
    if (this.#proxy !== undefined) this.#proxy.open();
    else await this.#world.restartServer();
    this.#serves = true;
  }

  /** Stops writing, lets everything arrive, and compares. */
  async end(): Promise<void> {
    await this.#serve();
    if (!this.#shipper.runs) await this.#start(false);
    await this.#settle();
    await this.#shipper.stop();
    const said = saidIn(this.#shipper.logFile);
    const expected: string[] = [];
    for (const log of this.#logs) {
      const { problem, complete, arrived } = await this.#located(log);
      assert.equal(problem, undefined, log.path);
      assert.ok(complete, log.path);
      assertSaid(log, arrived, said);
      expected.push(...(await centralFiles(this.#world.out, this.#host, log.path)));
    }
    assertNothingElse(this.#logs, said);
    const root = path.join(this.#world.out, this.#host);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const names = entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
    assert.deepEqual(names.toSorted(), expected.toSorted(), 'files at the destination');
  }

  // --- steps of several parts -----------------------------------------------------------------------------------

  async #switch(log: RotatedLog): Promise<LeftOut> {
    const link = this.#links.get(log);
    if (link === undefined) throw new Error('BUG: no link');
    if (link.isUnseen && this.#ships) await this.#settle();
    return link.switch();
  }

  get #ships(): boolean {
    return this.#shipper.runs && this.#serves;
  }

  async #bear(log: RotatedLog): Promise<LeftOut> {
    const others = this.#neighbours.get(log) ?? [];
    const name = ['_1.log', '-2.log'][others.length];
    if (name === undefined) return 'they are all there';
    const born = new RotatedLog(log.path.replace(/\.log$/, name));
    this.#neighbours.set(log, [...others, born]);
    this.#logs.push(born);
    await born.line(100);
    return undefined;
  }

  async #neighbourLine(log: RotatedLog, share: number): Promise<LeftOut> {
    const other = oneOf(this.#neighbours.get(log) ?? [], share);
    if (other === undefined) return 'no neighbour';
    await other.line(20 + share * 200);
    return undefined;
  }

  /** As one command renames all files that it names, and then creates them anew. */
  async #rotateTogether(log: RotatedLog): Promise<LeftOut> {
    const all = [log, ...(this.#neighbours.get(log) ?? [])];
    for (const each of all) {
      await each.create();
      await this.#seen(each);
    }
    for (const each of all) each.rename();
    for (const each of all) each.createNow();
    return undefined;
  }

  async #shorten(log: RotatedLog, share: number): Promise<LeftOut> {
    if (!this.#ships) return 'nobody ships';
    await this.#settle();
    await this.#shipper.kill();
    await this.#closed();
    const leftOut = await deeds.shorten(log, share);
    await this.#start(false);
    await this.#settle();
    return leftOut;
  }

  async #overwrite(log: RotatedLog, share: number): Promise<LeftOut> {
    if (!this.#ships) return 'nobody ships';
    await this.#settle();
    const leftOut = deeds.overwrite(log, share);
    await this.#settle();
    return leftOut;
  }

  /** What was said of it before is not known any more. */
  async #loseState(isOlder: boolean): Promise<LeftOut> {
    if (this.#shipper.runs) return 'it runs';
    // Random file ids are nowhere else.
    if (this.#place?.hasBirths === false) return 'no births';
    if (!isOlder) await this.#shipper.loseState();
    else if (!(await this.#shipper.putBackState())) return 'there is none';
    this.#hasLostState = true;
    for (const { generations } of this.#logs)
      for (const generation of generations)
        if (generation.cut !== undefined) generation.cut = { ...generation.cut, known: undefined };
    return undefined;
  }

  /** Without births, what is rotated before anybody has seen it is not found (docs/tailing.md). */
  async #seen(log: RotatedLog): Promise<void> {
    const { current } = log;
    if (this.#place?.hasBirths !== false || current === undefined || current.isSeen) return;
    const index = log.generations.indexOf(current);
    const isSeen = async (): Promise<boolean> => {
      const { arrived } = await this.#located(log);
      return (arrived[index] ?? 0) > 0;
    };
    current.isSeen = await (this.#ships ? until(isSeen, { timeoutMs: SEEN_MS, everyMs: 50 }) : isSeen());
    if (!current.isSeen) current.cut ??= { arrived: 0, known: undefined };
  }

  // --- what nobody can read any more ----------------------------------------------------------------------------

  /** A shipper that holds it open reads it to its end. */
  async #remove(log: RotatedLog, share: number): Promise<string | undefined> {
    const holder = oneOf(log.rotated, share);
    if (holder === undefined) return 'no rotated file';
    const held = await this.#isHeld(holder);
    log.remove(holder);
    if (held) return 'held open';
    await this.#cut(log, (generation) => generation.holder === holder);
    return undefined;
  }

  async #delete(log: RotatedLog): Promise<string | undefined> {
    const generation = log.current;
    if (generation === undefined) return 'no file';
    const held = await this.#isHeld(generation.holder);
    log.delete();
    if (held) return 'held open';
    await this.#cut(log, (other) => other === generation);
    return undefined;
  }

  async #truncate(log: RotatedLog): Promise<string | undefined> {
    const { current } = log;
    if (current === undefined) return 'no file';
    await this.#cut(log, (generation) => generation === current);
    log.truncate();
    return undefined;
  }

  /** The shipper is gone, and with it what it held open. */
  async #closed(): Promise<void> {
    for (const log of this.#logs) await this.#cut(log, (generation) => !generation.isReadable);
  }

  async #cut(log: RotatedLog, isGone: (generation: Generation) => boolean): Promise<void> {
    if (!log.generations.some((generation) => generation.cut === undefined && isGone(generation))) return;
    const { arrived } = await this.#located(log);
    for (const [index, generation] of log.generations.entries()) {
      if (!isGone(generation) || generation.cut !== undefined) continue;
      const { holder } = generation;
      // Of an inode that has had several generations the state's entry may be another's.
      const known = holder.generations === 1 ? await this.#shipper.knownSize(log.path, holder) : undefined;
      generation.cut = { arrived: arrived[index] ?? 0, known };
    }
  }

  async #isHeld(holder: Holder): Promise<boolean> {
    return holder.name !== undefined && (await this.#shipper.holds(holder.name));
  }

  // --- what has arrived -----------------------------------------------------------------------------------------

  async #located(log: RotatedLog): Promise<Located> {
    const found = await central(this.#world.out, this.#host, log.path);
    const hasNamed = log.generations.some(({ named }) => named.size > 0);
    return find(found, log, hasNamed ? saidIn(this.#shipper.logFile) : []);
  }

  async #settle(): Promise<void> {
    // Rotated files that nobody has seen are looked for when there is a file at the path again.
    for (const log of this.#logs) await log.line(100);
    await this.#arrive();
  }

  async #arrive(): Promise<void> {
    for (const log of this.#logs) {
      let located: Located | undefined;
      const isThere = async (): Promise<boolean> => {
        located = await this.#located(log);
        return located.complete || located.problem !== undefined;
      };
      await until(isThere, { timeoutMs: this.#arrivesMs, everyMs: this.#place === undefined ? 50 : 150 });
      if (located?.problem !== undefined) assert.fail(`${log.path}: ${located.problem}`);
      if (located?.complete === true) {
        for (const generation of log.generations) generation.isSeen = true;
        const link = this.#links.get(log);
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
