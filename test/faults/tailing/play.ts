// Plays the steps of a plan against real files and a real shipper, and compares every byte that arrives with what was
// written: what somebody could read has to be there, once and in order; what nobody could read has to be reported.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { sleep, until } from '../../../common/runtime/run.ts';
import { splitFileId } from '../../../shipper/files/identity.ts';
import { WAIT_MS } from '../../support/timeouts.ts';
import { locate, type Located } from './compare.ts';
import { describe, planOf, type Step, type Style, STYLES } from './plan.ts';
import { type Generation, type Holder, RotatedLog } from './rotated-log.ts';
import { RunningShipper } from './running-shipper.ts';
import { central } from '../../support/central-files.ts';
import { random } from '../../support/seed.ts';
import type { World } from '../../support/world.ts';

const LONG_LINE = 1_500_000;
const SAID_STEPS = 40;

export type PlayOptions = {
  /** The host's. */
  readonly name: string;
  readonly styles?: readonly Style[];
  /** How long what was written may take to arrive. */
  readonly arrivesMs?: number;
} & ({ readonly seed: number; readonly steps: number } | { readonly plan: readonly Step[] });

/** Plays one host in a world in which a receiver runs. */
export async function play(world: World, options: PlayOptions): Promise<void> {
  const { name, styles = STYLES, arrivesMs = WAIT_MS } = options;
  const plan = 'plan' in options ? options.plan : planOf(random(options.seed), styles, options.steps);
  const run = await Run.begin(world, name, styles, arrivesMs);
  const done: string[] = [];
  try {
    for (const [index, step] of plan.entries()) {
      const played = await run.play(step);
      done.push(`${index}. ${describe(step)}${played === undefined ? '' : ` (${played})`}`);
      if (step.pauseMs > 0) await sleep(step.pauseMs);
    }
    await run.end();
  } catch (error) {
    console.log(`# ${name} failed; the last of ${done.length} steps:\n${done.slice(-SAID_STEPS).join('\n')}`);
    throw error;
  } finally {
    await run.stop();
  }
}

class Run {
  readonly #world: World;
  readonly #host: string;
  readonly #logs: readonly RotatedLog[];
  readonly #shipper: RunningShipper;
  readonly #arrivesMs: number;
  #serves = true;

  private constructor(
    world: World,
    host: string,
    logs: readonly RotatedLog[],
    shipper: RunningShipper,
    arrivesMs: number,
  ) {
    this.#arrivesMs = arrivesMs;
    this.#world = world;
    this.#host = host;
    this.#logs = logs;
    this.#shipper = shipper;
  }

  /** What was rotated away before the very first start is not shipped: every file has arrived once. */
  static async begin(world: World, host: string, styles: readonly Style[], arrivesMs: number): Promise<Run> {
    const directory = path.join(world.source, host);
    await mkdir(directory);
    const logs = styles.map((style) => new RotatedLog(path.join(directory, `${style}.log`)));
    const shipper = new RunningShipper(world, host, path.join(directory, '*.log'));
    const run = new Run(world, host, logs, shipper, arrivesMs);
    shipper.startInside();
    await run.#settle();
    return run;
  }

  /** Says why a step was left out. */
  async play(step: Step): Promise<string | undefined> {
    const { action, share } = step;
    const log = this.#logs[step.file];
    if (log === undefined) throw new Error('BUG: no such file');
    switch (action) {
      case 'lines':
        for (let count = share ** 6 * 2_000; count >= 0; count -= 1) await log.line(20 + share * 200);
        break;
      case 'partial':
        await log.line(10 + share * 100, false);
        break;
      case 'long':
        await log.line(LONG_LINE * share);
        break;
      case 'create':
        await log.create();
        break;
      case 'rename':
        log.rename();
        break;
      case 'chain':
        log.chain();
        break;
      case 'copytruncate':
        await log.copyTruncate();
        break;
      case 'compress':
        return await this.#compress(log, share);
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
        this.#shipper.startInside();
        break;
      case 'start a process':
        this.#shipper.startProcess();
        break;
      case 'server down':
        this.#serves = false;
        await (share < 0.5 ? this.#world.server.kill() : this.#world.server.stop());
        break;
      case 'server up':
        await this.#world.restartServer();
        this.#serves = true;
        break;
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
    if (!this.#serves) await this.#world.restartServer();
  }

  /** Stops writing, lets everything arrive, and compares. */
  async end(): Promise<void> {
    await this.#settle();
    await this.#shipper.stop();
    for (const log of this.#logs) {
      const { problem, complete, arrived } = await this.#located(log);
      assert.equal(problem, undefined, log.path);
      assert.ok(complete, log.path);
      this.#assertReported(log, arrived);
    }
  }

  // --- what nobody can read any more ----------------------------------------------------------------------------

  async #compress(log: RotatedLog, share: number): Promise<string | undefined> {
    const holder = oneOf(
      log.rotated.filter(({ compressed }) => !compressed),
      share,
    );
    if (holder === undefined) return 'no rotated file';
    await log.compress(holder);
    return undefined;
  }

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
    return await this.#shipper.holds(holder.ino);
  }

  // --- what has arrived -----------------------------------------------------------------------------------------

  async #located(log: RotatedLog): Promise<Located> {
    const found = await central(this.#world.out, this.#host, log.path);
    const wanted = log.generations.map(({ bytes, cut }) => ({ bytes, atLeast: cut?.arrived }));
    return locate(found, wanted);
  }

  async #settle(): Promise<void> {
    // Rotated files that nobody has seen are looked for when there is a file at the path again.
    for (const log of this.#logs) await log.line(100);
    for (const log of this.#logs) {
      let located: Located | undefined;
      const isThere = async (): Promise<boolean> => {
        located = await this.#located(log);
        return located.complete || located.problem !== undefined;
      };
      await until(isThere, { timeoutMs: this.#arrivesMs, everyMs: 50 });
      if (located?.problem !== undefined) assert.fail(`${log.path}: ${located.problem}`);
      if (located?.complete === true) continue;
      const short = log.generations
        .map(({ size, cut }, index) => ({ index, size, cut, arrived: located?.arrived[index] ?? 0 }))
        .filter(({ size, cut, arrived }) => cut === undefined && arrived < size)
        .map(({ index, size, arrived }) => `generation ${index}: ${arrived} of ${size} bytes`);
      assert.fail(`${log.path}: not all has arrived: ${short.join(', ')}`);
    }
  }

  /** Every report is of what is missing, and what was known to exist and is missing has one. */
  #assertReported(log: RotatedLog, arrived: readonly number[]): void {
    const reports = this.#shipper.reports.filter((report) => report.path === log.path);
    for (const [index, { bases, cut, size, number }] of log.generations.entries()) {
      const from = arrived[index] ?? 0;
      if (cut === undefined || from === size) continue;
      const at = reports.findIndex(
        (report) =>
          bases.has(splitFileId(report.file)?.base) &&
          report.from === from &&
          report.to <= size &&
          report.to >= (cut.known ?? 0),
      );
      const [report] = at < 0 ? [] : reports.splice(at, 1);
      if (from < (cut.known ?? 0) && report === undefined)
        assert.fail(
          `${log.path}: bytes ${from} to ${cut.known} of generation ${number} are missing, and not reported: ` +
            JSON.stringify(reports),
        );
    }
    assert.deepEqual(reports, [], `${log.path}: reported as lost, and not missing`);
  }
}

function oneOf<T>(all: readonly T[], share: number): T | undefined {
  return all[Math.floor(share * all.length)];
}
