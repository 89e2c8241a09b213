// Everything that a shipper does while the host's name is its own: sweeps the files, watches what is committed, repairs.

import path from 'node:path';

import type { FSWatcher } from 'chokidar';

import { isUnanswered } from '../common/bucket.ts';
import { LogferryError, messageOf, oneLine } from '../common/errors.ts';
import { Throttle } from '../common/log.ts';
import type { Registration } from '../common/members.ts';
import { Bell, inParallel, sleep, untilAnswered } from '../common/run.ts';
import { formatBytes, formatDuration } from '../common/units.ts';
import { Buffers } from './buffers.ts';
import { expand, type Found, look, watchPaths } from './discover.ts';
import type { Generation, ShipperContext } from './generation.ts';
import type { Host, HostView, Notice } from './host.ts';
import { baseOf, isRotationOf } from './identity.ts';
import type { ShipOptions, ShipProgress } from './options.ts';
import { shouldHoldBack } from './progress.ts';
import { type Known, Source } from './source.ts';
import type { State } from './state.ts';

/** Source bytes of one chunk; the server's max_payload bounds it too. */
const CHUNK_BYTES = 1024 * 1024;
/** Chunks that are read or compressed at once, over all files: what bounds the memory. */
const BUFFERS = 12;

/** How often the registration is renewed, progress is reported and due looks are made. */
const TICK_MS = 500;
/** Files that changed lately are looked at this often, idle ones and the globs at the other pace. */
const SWEEP_MS = 1_000;
const IDLE_SWEEP_MS = 10_000;
/** A file counts as idle after this long. */
const IDLE_MS = 30_000;
/** How often record and stream are read while something is not committed, and while all is. */
const VIEW_MS = 1_000;
const IDLE_VIEW_MS = 10_000;
/** An event is followed by a look after this long: several come together. */
const EVENT_MS = 20;
const FILES_AT_ONCE = 16;
const SAY_EVERY_MS = 10_000;

export class Session {
  readonly #options: ShipOptions;
  readonly #state: State;
  readonly #host: Host;
  readonly #restore: () => Promise<void>;
  readonly #registration: Registration;
  readonly #context: ShipperContext;
  readonly #sources = new Map<string, Source>();
  readonly #stop = new AbortController();
  readonly #viewBell = new Bell();
  readonly #noticeBell = new Bell();
  readonly #sweepBell = new Bell();
  readonly #changed = new Set<string>();
  /** Files that could not be begun, and are tried again. */
  readonly #failed = new Set<string>();
  /** Files that are being begun, by inode and birth: two names of one file are one. */
  readonly #claimed = new Set<string>();
  readonly #beginning = new Set<string>();
  #hasSwept = false;
  #held = false;
  #files = new Map<string, Generation>();

  constructor(
    options: ShipOptions,
    state: State,
    host: Host,
    restore: () => Promise<void>,
    registration: Registration,
  ) {
    this.#options = options;
    this.#state = state;
    this.#host = host;
    this.#restore = restore;
    this.#registration = registration;
    this.#context = {
      host,
      state,
      log: options.log,
      throttle: new Throttle(),
      buffers: new Buffers(CHUNK_BYTES, BUFFERS),
      compression: options.compression,
      isHeld: () => this.#held,
      pace: pacer(options.maxRate),
      once: options.once,
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => {
      this.#finish();
    };
    if (signal.aborted) return;
    signal.addEventListener('abort', stop, { once: true });
    const unsubscribe = this.#host.onCommitted((notice) => {
      this.#noticed(notice);
    });
    const watcher = this.#options.once ? undefined : this.#watch();
    try {
      await (this.#options.once ? this.#untilCommitted() : this.#forever());
    } finally {
      unsubscribe();
      await watcher?.close();
      signal.removeEventListener('abort', stop);
    }
  }

  /** Stop reading, wait for what is in flight, save. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([...this.#sources.values()].map(async (source) => await source.stop()));
    await this.#state.save();
  }

  // --- files ----------------------------------------------------------------------------------------------------

  async #firstSweep(): Promise<void> {
    const { log, globs, once, from } = this.#options;
    const known = this.#state.fresh ? await this.#known() : undefined;
    // Only what is there at the very first start may begin at its end.
    const begin = (found: Found): number => (this.#state.fresh && from === 'end' ? found.size : 0);
    await inParallel(this.#state.sources.keys(), FILES_AT_ONCE, async (file) => {
      await this.#begin(file, begin, known);
    });
    const files = await expand(globs, this.#options.exclude);
    await inParallel(files, FILES_AT_ONCE, async (file) => {
      await this.#begin(file, begin, known);
    });
    this.#hasSwept = true;
    if (this.#sources.size > 0) return;
    const what = `no file matches ${globs.join(' ')}`;
    if (once)
      throw new LogferryError(
        'failed',
        what,
        'check the path, and quote the glob so that the shell leaves it alone',
      );
    log.warn(`${what}; waiting for one`);
  }

  /** What stream and record know of this host, for a shipper that has lost its state. */
  async #known(): Promise<Known> {
    const ask = async (): Promise<Map<string, { number: number; path: string }>> => {
      return await this.#host.knownGenerations(await this.#host.needView());
    };
    const known = await untilAnswered(ask, isUnanswered, this.#stop.signal);
    return (base) => known?.get(base);
  }

  async #begin(file: string, begin: (found: Found) => number, known: Known | undefined): Promise<void> {
    if (this.#sources.has(file) || this.#beginning.has(file) || this.#stop.signal.aborted) return;
    this.#beginning.add(file);
    let claimed: string | undefined;
    let source: Source | undefined;
    try {
      const found = await look(file);
      if (found === undefined && file.includes('\uFFFD'))
        throw new LogferryError('failed', 'its name is not valid UTF-8', 'rename it');
      if (found !== undefined && !this.#state.sources.has(file)) {
        if ([...this.#sources.values()].some((source) => source.owns(found.stamp))) return;
        const claim = `${found.stamp.ino}-${found.stamp.birth}`;
        if (this.#claimed.has(claim)) return;
        this.#claimed.add(claim);
        claimed = claim;
        const elsewhere = known?.(baseOf(found.stamp) ?? '')?.path ?? file;
        const rotated = elsewhere !== '' && path.dirname(elsewhere) === path.dirname(file);
        if (rotated && isRotationOf(path.basename(elsewhere), path.basename(file))) {
          await this.#begin(elsewhere, begin, known);
          return;
        }
      }
      if (found === undefined && !this.#state.sources.has(file) && known === undefined) return;
      source = new Source(this.#context, file, this.#stop.signal);
      await source.start(found, begin, known ?? (() => undefined));
      this.#sources.set(file, source);
      this.#failed.delete(file);
      if (this.#options.once)
        for (const generation of source.generations) generation.limitTo(generation.size);
      this.#viewBell.ring();
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      this.#failed.add(file);
      await source?.stop();
      this.#context.throttle.run(`begin ${file}`, (repeated) => {
        this.#options.log.warn({ repeated }, `cannot ship ${file} (${oneLine(error)}); trying again`);
      });
    } finally {
      this.#beginning.delete(file);
      if (claimed !== undefined) this.#claimed.delete(claimed);
    }
  }

  #watch(): FSWatcher {
    return watchPaths(
      this.#options.globs,
      (file) => {
        this.#sources.get(file)?.wake();
        this.#changed.add(file);
        this.#sweepBell.ring();
      },
      (error) => {
        this.#context.throttle.run('watch', () => {
          this.#options.log.warn(
            `cannot watch for changes (${messageOf(error)}); looking at the files instead`,
          );
        });
      },
    );
  }

  async #sweep(everything: boolean): Promise<void> {
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const file of changed) if (this.#sources.has(file)) await this.#lookAt(file);
    for (const [file, source] of this.#sources)
      if (everything || (source.current?.quietMs ?? 0) < IDLE_MS) await this.#lookAt(file);
    if (!everything && changed.every((file) => this.#sources.has(file))) return;
    const files = await expand(this.#options.globs, this.#options.exclude);
    await inParallel(files, FILES_AT_ONCE, async (file) => {
      await this.#begin(file, () => 0, undefined);
    });
  }

  async #lookAt(file: string): Promise<void> {
    try {
      await this.#sources.get(file)?.look();
    } catch (error) {
      this.#context.throttle.run(`look ${file}`, (repeated) => {
        this.#options.log.warn({ repeated }, `cannot look at ${file} (${messageOf(error)}); trying again`);
      });
    }
  }

  // --- the broker -----------------------------------------------------------------------------------------------

  #generations(): Generation[] {
    return [...this.#sources.values()].flatMap((source) => [...source.generations]);
  }

  #noticed(notice: Notice): void {
    for (const [file, offset] of Object.entries(notice.files)) {
      const generation = this.#files.get(file) ?? this.#fileOf(file);
      if (generation === undefined || offset === null) continue;
      generation.noticed(offset);
      const { position, lastSeq, created } = generation.snapshot();
      const passed = notice.stream.created === created && notice.stream.seq >= lastSeq;
      if (passed && offset < position) this.#viewBell.ring();
    }
    this.#noticeBell.ring();
  }

  #fileOf(file: string): Generation | undefined {
    this.#files = new Map(this.#generations().map((generation) => [generation.entry.file, generation]));
    return this.#files.get(file);
  }

  /** Record and stream are read after what every generation knew: a decision about that is never premature. */
  async #observe(): Promise<void> {
    try {
      await this.#restore();
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      return;
    }
    const generations = this.#generations();
    const snapshots = generations.map((generation) => generation.snapshot());
    const view = await this.#host.view();
    if (view === undefined) return;
    generations.forEach((generation, index) => {
      const snapshot = snapshots[index];
      if (snapshot !== undefined) generation.observed(snapshot, view);
    });
    this.#holdBack(generations, view);
  }

  #holdBack(generations: readonly Generation[], view: HostView): void {
    let oldest: number | undefined;
    for (const { oldestUncommitted: seq } of generations)
      if (seq !== undefined && seq >= view.extent.firstSeq && (oldest === undefined || seq < oldest))
        oldest = seq;
    const held = shouldHoldBack(view.extent, oldest);
    if (held !== this.#held) {
      const { bytes, maxBytes } = view.extent;
      const full = `the stream is nearly full (${formatBytes(bytes)} of ${formatBytes(maxBytes)})`;
      if (held) this.#options.log.warn(`${full} and would drop what no receiver has committed: holding back`);
      else this.#options.log.info('publishing again');
    }
    this.#held = held;
    if (!held) for (const generation of generations) generation.wake();
  }

  get #progress(): ShipProgress {
    const generations = this.#generations();
    const sum = (of: (generation: Generation) => number): number =>
      generations.reduce((total, generation) => total + of(generation), 0);
    return {
      files: this.#sources.size,
      size: sum(({ entry }) => entry.size),
      published: sum(({ position }) => position),
      committed: sum(({ committed }) => committed),
    };
  }

  /** Beats, looks at the broker, and sweeps, each at its own pace: none waits for another. Until `finished` or stopped. */
  async #work(finished: () => boolean): Promise<void> {
    const { signal } = this.#stop;
    const loop = async (ms: () => number, bell: Bell, work: () => Promise<void>): Promise<void> => {
      while (!signal.aborted) {
        await work();
        if (finished()) this.#finish();
        await bell.wait(ms(), signal);
      }
    };
    const tasks = [
      loop(
        () => TICK_MS,
        this.#noticeBell,
        async () => {
          await this.#registration.beatWhenDue();
          this.#options.onProgress?.(this.#progress);
        },
      ),
      loop(
        () => (this.#isBehind() ? VIEW_MS : IDLE_VIEW_MS),
        this.#viewBell,
        async () => {
          await this.#observe();
        },
      ),
    ];
    tasks.push(this.#sweepForever());
    try {
      await Promise.all(tasks);
    } catch (error) {
      this.#finish();
      await Promise.allSettled(tasks);
      throw error;
    }
  }

  #finish(): void {
    this.#stop.abort();
  }

  #isBehind(): boolean {
    return this.#held || this.#generations().some((generation) => !generation.isCommitted);
  }

  async #sweepForever(): Promise<void> {
    const { signal } = this.#stop;
    await this.#firstSweep();
    this.#noticeBell.ring();
    let everythingAt = 0;
    if (this.#options.once) return;
    while (!signal.aborted) {
      const now = performance.now();
      const everything = now >= everythingAt;
      if (everything) everythingAt = now + IDLE_SWEEP_MS;
      await this.#sweep(everything);
      await this.#sweepBell.wait(SWEEP_MS, signal);
      if (this.#changed.size > 0) await sleep(EVENT_MS, signal);
    }
  }

  async #forever(): Promise<void> {
    await this.#work(() => false);
  }

  /** With --once: until every source is committed to where it ended at the start. */
  /** Throws when what is left cannot be read: with --once nobody tries again. */
  #isAllCommitted(): boolean {
    const sources = [...this.#sources.values()];
    if (!sources.every((source) => source.isCommitted || source.isUnreadable)) return false;
    const unreadable = [
      ...this.#failed,
      ...sources.filter((source) => source.isUnreadable).map(({ path: file }) => file),
    ];
    if (unreadable.length === 0) return true;
    const what = `cannot ship ${unreadable.slice(0, 5).join(', ')}${unreadable.length > 5 ? ', …' : ''}`;
    throw new LogferryError(
      'failed',
      what,
      'everything else is committed; make them readable and run it again',
    );
  }

  async #untilCommitted(): Promise<void> {
    const began = performance.now();
    let saidAt = began;
    const { timeoutMs, log } = this.#options;
    await this.#work(() => {
      if (this.#hasSwept && this.#isAllCommitted()) return true;
      const now = performance.now();
      if (timeoutMs !== undefined && now - began > timeoutMs) {
        const { committed, size } = this.#progress;
        const what = `${formatBytes(committed)} of ${formatBytes(size)} are committed after ${formatDuration(timeoutMs)}`;
        throw new LogferryError(
          'failed',
          what,
          'is a receiver running? It goes on where it stopped when started again',
        );
      }
      if (now - saidAt > SAY_EVERY_MS) {
        saidAt = now;
        const { committed, published } = this.#progress;
        if (committed < published)
          log.warn(
            `${formatBytes(published - committed)} are in the stream and wait for a receiver to commit them`,
          );
      }
      return false;
    });
  }
}

/** At most so many bytes a second, with at most a second's worth at once. */
function pacer(maxRate: number | undefined): ShipperContext['pace'] {
  if (maxRate === undefined) return async () => {};
  let freeAt = performance.now();
  return async (bytes, signal) => {
    const now = performance.now();
    freeAt = Math.max(freeAt, now - 1_000) + (bytes / maxRate) * 1_000;
    if (freeAt > now) await sleep(freeAt - now, signal);
  };
}
