// Everything that a shipper does while the host's name is its own: sweeps the files, watches what is committed, repairs.

import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { isUnanswered } from '../common/nats/bucket.ts';
import { isOutOfDescriptors, LogferryError, messageOf, systemCode } from '../common/runtime/errors.ts';
import { Throttle } from '../common/runtime/log.ts';
import type { Registration } from '../common/fleet/members.ts';
import type { Loop, Pulse } from '../common/health/pulse.ts';
import { Bell, sleep, untilAnswered } from '../common/runtime/run.ts';
import { Backlog } from './lane/backlog.ts';
import type { ShipperStatus } from '../common/fleet/daemon-status.ts';
import { Buffers } from './cursor/buffers.ts';
import { lookNow } from './files/discover.ts';
import { FileSystems, isRemotePath } from './files/file-systems.ts';
import type { ShipperCounts } from './report/counts.ts';
import type { Generation } from './lane/generation.ts';
import type { SharedContext } from './sources/groups.ts';
import type { Host, Notice } from './host/host.ts';
import { HeldFiles } from './files/held-files.ts';
import { KnownFiles } from './files/known-files.ts';
import { Listings } from './files/listings.ts';
import { OpenFiles } from './files/open-files.ts';
import { isAllCommitted, Once } from './once.ts';
import type { ShipLimits, ShipOptions } from './options.ts';
import { Holding } from './host/holding.ts';
import { lanesOf } from './lane/lanes-of.ts';
import { Pace } from './lane/pace.ts';
import { Notices } from './lane/notices.ts';
import { type ViewNow, ViewPace } from './host/view-pace.ts';
import type { KnownGenerations } from './host/trails.ts';
import { Packers } from './cursor/packers.ts';
import type { ShipperNow, ShipProgress, FileProgress } from './report/reading.ts';
import { Skipped } from './discovery/skipped.ts';
import type { Known } from './sources/search.ts';
import { Sources } from './sources/sources.ts';
import type { Spool } from './stdin/spool.ts';
import type { State } from './files/state.ts';
import { FileSums, lossesOf } from './report/status.ts';
import { baseOfGlob, type Watching, watchPaths, whyNotWatched } from './discovery/watch.ts';
import type { AnySource } from './lane/any-source.ts';
import { descriptorLimit } from '../common/runtime/descriptors.ts';

/** Source bytes of one chunk; the server's max_payload bounds it too. */
const CHUNK_BYTES = 1024 * 1024;
/** Chunks that are read or compressed at once, over all files: what bounds the memory. */
const BUFFERS = 12;

/** How often the registration is renewed, progress is reported and due looks are made. */
const TICK_MS = 500;
/** Files that changed lately are looked at this often, idle ones and the globs at the other pace. */
const SWEEP_MS = 1_000;
const IDLE_SWEEP_MS = 10_000;
/** So much longer than they took record and stream are not read again, up to this. */
const VIEW_MS = 1_000;
const VIEW_REST = 4;
/** An event is followed by a look after this long: several come together. */
const EVENT_MS = 20;
/** Files that are looked at before anything else gets its turn. */
const LOOKS_AT_ONCE = 100;
/** So long other sources wait for the end of files that were deleted. */
const CHANGE_MS = 60_000;

/** What outlives a session: the name may be lost, and had again. */
export interface ShipperRun {
  /** ISO 8601. */
  readonly started: string;
  readonly counts: ShipperCounts;
  readonly pulse: Pulse;
}

export class Session {
  readonly #options: ShipOptions;
  readonly #state: State;
  readonly #host: Host;
  readonly #restore: () => Promise<void>;
  readonly #registration: Registration;
  readonly #spool: Spool | undefined;
  readonly #run: ShipperRun;
  readonly #context: SharedContext;
  readonly #pace: Pace;
  #watcher: Watching | undefined;
  /** The limits that are in force here. */
  #inForce: ShipLimits;
  /** When other sources are taken at the latest. */
  #changeBy: number | undefined;
  readonly #looking: Loop;
  readonly #starter: Sources;
  readonly #sources: ReadonlyMap<string, AnySource>;
  readonly #stop = new AbortController();
  readonly #viewBell = new Bell();
  readonly #viewPace = new ViewPace();
  readonly #noticeBell = new Bell();
  readonly #sweepBell = new Bell();
  /** One for each file that waits for a receiver to come along. */
  readonly #backlogBells = new Set<Bell>();
  /** What events named, and has not been looked at since. */
  readonly #changed = new Set<string>();
  /** Something has changed that only the globs can tell. */
  #isListingDue = false;
  #isAtChanged = false;
  readonly #said = new Set<string>();
  #hasSwept = false;
  readonly #holding: Holding;
  readonly #notices = new Notices(() => this.#generations());

  constructor(
    options: ShipOptions,
    state: State,
    host: Host,
    restore: () => Promise<void>,
    registration: Registration,
    spool: Spool | undefined,
    run: ShipperRun,
  ) {
    this.#options = options;
    this.#state = state;
    this.#host = host;
    this.#restore = restore;
    this.#registration = registration;
    this.#spool = spool;
    this.#run = run;
    this.#looking = run.pulse.begin('looking at the files');
    const skipped = new Skipped(options.log);
    this.#holding = new Holding(options.log);
    this.#inForce = this.#limits;
    this.#pace = new Pace(this.#inForce.maxRate);
    const knownFiles = new KnownFiles();
    const openFiles = new OpenFiles(descriptorLimit(), (most) => {
      this.#sayOnce(
        'descriptors',
        `no more than ${most} files are kept open (limit of descriptors: ${descriptorLimit()}): the least recently written ones are closed until they change; raise it with ulimit -n, or LimitNOFILE= of the service`,
      );
    });
    this.#context = {
      host,
      ...lanesOf(host, state, {
        compress: options.compression === 'zstd',
        counts: run.counts,
        log: options.log,
        stop: this.#stop.signal,
      }),
      state,
      log: options.log,
      throttle: new Throttle(),
      buffers: new Buffers(CHUNK_BYTES, BUFFERS),
      packers: options.compression === 'zstd' ? new Packers() : undefined,
      counts: run.counts,
      isHeld: () => this.#holding.isHeld,
      backlog: new Backlog(),
      holdBacklog: async (signal) => await this.#holdBacklog(signal),
      pace: async (bytes, signal) => await this.#pace.take(bytes, signal),
      once: options.once,
      listings: new Listings(),
      tellOwner: async (owner, found) => await this.#starter.tell(owner, found),
      fileSystems: new FileSystems(),
      knownFiles,
      openFiles,
      held: new HeldFiles(knownFiles, openFiles),
      isNamed: (file) => this.#starter.isNamed(file),
    };
    this.#starter = new Sources(
      options,
      this.#context,
      skipped,
      this.#stop.signal,
      async (files) => {
        if (files === undefined) await this.#lookAtAll(() => true);
        else for (const file of files) await this.#lookAt(file);
      },
      () => {
        this.#looking.beat();
        this.#lookAtBroker();
      },
    );
    this.#sources = this.#starter.all;
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => {
      this.#stop.abort();
    };
    if (signal.aborted) return;
    signal.addEventListener('abort', stop, { once: true });
    const unsubscribe = this.#host.onCommitted((notice) => {
      this.#noticed(notice);
    });
    const unsubscribeReceived = this.#host.onReceived(({ created, seq }) => {
      this.#context.backlog.received(created, seq, performance.now());
      for (const bell of this.#backlogBells) bell.ring();
    });
    const isWatched = !this.#options.once && this.#spool === undefined;
    if (isWatched) this.#watcher = await this.#watch();
    const unlisten = this.#options.changes?.listen(() => {
      this.#pace.change(this.#limits.maxRate);
      this.#sweepBell.ring();
    });
    try {
      await (this.#options.once ? this.#untilCommitted() : this.#forever());
    } finally {
      unsubscribe();
      unsubscribeReceived();
      unlisten?.();
      await this.#watcher?.close();
      signal.removeEventListener('abort', stop);
    }
  }

  /** Stop reading, wait for what is in flight, save. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#looking.end();
    await Promise.all([...this.#sources.values()].map(async (source) => await source.stop()));
    await this.#starter.stopped();
    await this.#state.save();
  }

  /** What is shipped; undefined before all files were looked at for the first time. */
  sources(): Iterable<AnySource> | undefined {
    return this.#hasSwept || this.#spool !== undefined ? this.#sources.values() : undefined;
  }

  get #limits(): ShipLimits {
    return this.#options.changes?.value ?? this.#options;
  }

  // --- files ----------------------------------------------------------------------------------------------------

  async #firstSweep(): Promise<void> {
    const { log, once } = this.#options;
    if (this.#spool !== undefined) {
      this.#starter.fromSpool(this.#spool);
      return;
    }
    await this.#starter.first(this.#state.fresh ? await this.#known() : undefined);
    this.#hasSwept = true;
    if (this.#sources.size > 0) return;
    const what = `no file matches ${this.#globs.join(' ')}`;
    if (once)
      throw new LogferryError(
        'failed',
        what,
        'check the path, and quote the glob so that the shell leaves it alone',
      );
    log.warn(`${what}; waiting for one`);
  }

  get #globs(): string[] {
    return this.#limits.sources.flatMap(({ globs }) => globs);
  }

  /** Other sources from now on; those that stay as they are notice nothing. */
  async #takeChanges(): Promise<void> {
    const limits = this.#limits;
    const { sources } = this.#inForce;
    this.#pace.change(limits.maxRate);
    if (this.#spool !== undefined || isDeepStrictEqual(limits.sources, sources)) {
      this.#inForce = limits;
      return;
    }
    // Without a server a file that is closed could not be begun again before it is there.
    if (!this.#host.link.isConnected()) return;
    this.#changeBy ??= performance.now() + CHANGE_MS;
    if (performance.now() < this.#changeBy && (await this.#starter.wouldLose(limits.sources))) return;
    this.#inForce = limits;
    this.#changeBy = undefined;
    await this.#starter.change(limits.sources);
    // A notice finds those that have begun since.
    this.#notices.forget();
    const before = this.#watcher;
    this.#watcher = await this.#watch();
    await before?.close();
  }

  /** What stream and record know of this host, for a shipper that has lost its state. */
  async #known(): Promise<Known> {
    const ask = async (): Promise<KnownGenerations> => {
      return await this.#context.trails.known(await this.#host.needView());
    };
    const known = await untilAnswered(ask, isUnanswered, this.#stop.signal);
    return (base) => known?.get(base);
  }

  /** What lies elsewhere is not watched: nothing tells here when it changes there. */
  async #watch(): Promise<Watching | undefined> {
    const globs: string[] = [];
    for (const glob of this.#globs) if (!(await isRemotePath(baseOfGlob(glob)))) globs.push(glob);
    if (globs.length === 0) return undefined;
    return watchPaths({
      globs,
      isRemote: (device) => this.#context.fileSystems.isKnownRemote(device),
      isShipped: (file) => this.#sources.has(file),
      onWritten: (file) => {
        const its = this.#sources.get(file);
        if (its?.current?.cursor.isOpen === true && its.unreadable === undefined) its.written();
        else if (its !== undefined || this.#starter.hasFailed(file)) this.#lookSoon(file);
      },
      onNamed: (file) => {
        this.#lookSoon(file);
        if (!this.#sources.has(file)) void this.#starter.announced.hold(file);
      },
      onChange: (file) => {
        this.#isListingDue ||= !this.#sources.has(file);
        this.#lookSoon(file);
      },
      onError: (error) => {
        // A symbolic link that goes in a circle: said where it is looked at.
        if (systemCode(error) === 'ELOOP') return;
        const why = whyNotWatched(error);
        this.#sayOnce(
          why,
          `cannot watch for changes: ${why}; looking at the files every few seconds instead`,
        );
      },
    });
  }

  #lookSoon(file: string): void {
    this.#sources.get(file)?.wake();
    this.#changed.add(file);
    this.#sweepBell.ring();
  }

  async #sweep(everything: boolean): Promise<void> {
    if (this.#limits !== this.#inForce) await this.#takeChanges();
    await this.#lookAtChanged();
    await this.#lookAtAll((source) => everything || source.isRecent);
    await this.#starter.retry();
    this.#starter.announced.say();
    if (!everything && !this.#isListingDue) return;
    this.#isListingDue = false;
    await this.#starter.more();
  }

  /** Also while others are looked at, of which there may be many: a look at all of them takes its time. */
  async #lookAtChanged(): Promise<void> {
    if (this.#changed.size === 0 || this.#isAtChanged) return;
    this.#isAtChanged = true;
    try {
      const changed = [...this.#changed];
      this.#changed.clear();
      for (const file of changed) if (this.#sources.has(file)) await this.#lookAt(file);
      const others = changed.filter((file) => !this.#sources.has(file));
      if (!(await this.#starter.announced.begin(others))) this.#isListingDue = true;
    } finally {
      this.#isAtChanged = false;
    }
  }

  async #lookAtAll(isDue: (source: AnySource) => boolean): Promise<void> {
    let looks = 0;
    for (const [file, source] of this.#sources) {
      if (!isDue(source)) continue;
      looks += 1;
      this.#looking.beat();
      if (looks % LOOKS_AT_ONCE === 0) {
        await setImmediate();
        await this.#lookAtChanged();
      }
      if (this.#stop.signal.aborted) return;
      if (this.#isAsSeen(source)) continue;
      await this.#lookAt(file);
      if (this.#starter.forgetIfGone(file, source)) this.#notices.forget();
      source.wake();
    }
  }

  /** Without descriptors nothing can be listed or opened for a while: then later. */
  async #sweepWhatMayBe(everything: boolean): Promise<void> {
    try {
      await this.#sweep(everything);
    } catch (error) {
      if (!isOutOfDescriptors(error)) throw error;
      this.#context.throttle.run('sweep', (repeated) => {
        this.#options.log.warn({ repeated }, `cannot look at the files (${messageOf(error)}); trying again`);
      });
    }
  }

  #sayOnce(about: string, text: string): void {
    if (!this.#said.has(about)) this.#options.log.warn(text);
    this.#said.add(about);
  }

  /** A look without a thread costs a tenth; but one that does not come back would stop everything. */
  #isAsSeen(source: AnySource): boolean {
    if (source.device === undefined || this.#context.fileSystems.isRemote(source.device)) return false;
    const found = lookNow(source.path);
    return found !== undefined && source.isAsSeen(found);
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
    const all: Generation[] = [];
    for (const source of this.#sources.values()) for (const each of source.generations) all.push(each);
    return all;
  }

  #noticed(notice: Notice): void {
    this.#viewPace.noticed(performance.now());
    if (this.#notices.take(notice)) this.#lookAtBroker();
    this.#noticeBell.ring();
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
    const { sent } = this.#state;
    const now = this.#viewNow;
    const view = await this.#host.view();
    if (view === undefined) return;
    this.#viewPace.viewed(now, view.extent.maxBytes);
    this.#context.trails.changed(sent, view);
    for (const [index, generation] of generations.entries()) {
      const snapshot = snapshots[index];
      if (snapshot !== undefined) generation.observed(snapshot, view);
    }
    if (this.#holding.judge(generations, view)) for (const generation of generations) generation.wake();
  }

  #lookAtBroker(): void {
    this.#viewPace.want();
    this.#viewBell.ring();
  }

  get #viewNow(): ViewNow {
    return {
      ms: performance.now(),
      isBehind: () => this.#isBehind(),
      isHeld: this.#holding.isHeld,
      epoch: this.#host.link.epoch(),
      published: this.#run.counts.publishedBytes,
    };
  }

  async #holdBacklog(signal: AbortSignal): Promise<boolean> {
    const ms = this.#context.backlog.waitMs(performance.now());
    if (ms <= 0) return false;
    const bell = new Bell();
    this.#backlogBells.add(bell);
    await bell.wait(ms, signal);
    this.#backlogBells.delete(bell);
    return true;
  }

  /** Where each generation of each file is. */
  files(): FileProgress[] {
    return this.#generations().map((generation) => generation.progress());
  }

  /** What it answers when it is asked how far it is. */
  status(): ShipperStatus {
    const files = new FileSums();
    const now = performance.now();
    for (const source of this.#sources.values())
      for (const generation of source.generations) generation.addTo(files, now);
    for (const [file, why] of this.#unreadable()) {
      const isSaid = this.#sources.get(file)?.generations.some(({ hasError }) => hasError) === true;
      if (!isSaid) files.addUnreadable(file, why);
    }
    return {
      started: this.#run.started,
      files: this.#sources.size,
      ...files.sums,
      ...lossesOf(this.#run.counts),
      held: this.#holding.isHeld,
    };
  }

  /** The same with what nobody else asks for. */
  get now(): ShipperNow {
    const unreadableFiles = this.#unreadable().size;
    return { status: this.status(), openFiles: this.#context.openFiles.count, unreadableFiles };
  }

  /** By path, why what should be shipped cannot be read. */
  #unreadable(): ReadonlyMap<string, string> {
    const paths = new Map(this.#starter.failed);
    for (const [file, { unreadable }] of this.#sources)
      if (unreadable !== undefined) paths.set(file, unreadable);
    return paths;
  }

  get #progress(): ShipProgress {
    const files = this.files();
    const sum = (of: (file: FileProgress) => number): number =>
      files.reduce((total, file) => total + of(file), 0);
    return {
      files: this.#sources.size,
      size: sum(({ size }) => size),
      published: sum(({ published }) => published),
      committed: sum(({ committed }) => committed),
      each: () => files,
    };
  }

  /** Beats, looks at the broker, and sweeps, each at its own pace: none waits for another. Until `finished` or stopped. */
  async #work(finished: () => boolean): Promise<void> {
    const { signal } = this.#stop;
    const loop = async (
      what: string,
      ms: () => number,
      bell: Bell,
      work: () => Promise<void>,
    ): Promise<void> => {
      const going = this.#run.pulse.begin(what);
      try {
        while (!signal.aborted) {
          going.beat();
          await work();
          if (finished()) this.#stop.abort();
          await bell.wait(ms(), signal);
        }
      } finally {
        going.end();
      }
    };
    const tasks = [
      loop(
        "the heartbeat of the host's name",
        () => TICK_MS,
        this.#noticeBell,
        async () => {
          await this.#registration.beatWhenDue();
          this.#options.onProgress?.(this.#progress);
        },
      ),
      loop(
        'reading what is committed',
        () => TICK_MS,
        this.#viewBell,
        async () => {
          if (!this.#viewPace.isDue(this.#viewNow)) return;
          const began = performance.now();
          await this.#observe();
          // Asked for with each file that is begun: of tens of thousands most of the time is left for something else.
          await sleep(Math.min(VIEW_MS, (performance.now() - began) * VIEW_REST), signal);
        },
      ),
    ];
    tasks.push(this.#sweepForever());
    try {
      await Promise.all(tasks);
    } catch (error) {
      this.#stop.abort();
      await Promise.allSettled(tasks);
      throw error;
    }
  }

  #isBehind(): boolean {
    if (this.#holding.isHeld) return true;
    for (const source of this.#sources.values())
      for (const generation of source.generations) if (!generation.isCommitted) return true;
    return false;
  }

  async #sweepForever(): Promise<void> {
    try {
      await this.#firstSweep();
      this.#noticeBell.ring();
      if (!this.#options.once) await this.#sweepAgain();
    } finally {
      this.#looking.end();
    }
  }

  async #sweepAgain(): Promise<void> {
    const { signal } = this.#stop;
    let everythingAt = 0;
    while (!signal.aborted) {
      this.#looking.beat();
      const now = performance.now();
      const everything = now >= everythingAt;
      if (everything) everythingAt = now + IDLE_SWEEP_MS;
      await this.#sweepWhatMayBe(everything);
      await this.#sweepBell.wait(SWEEP_MS, signal);
      if (this.#changed.size > 0) await sleep(EVENT_MS, signal);
    }
  }

  async #forever(): Promise<void> {
    // The end of standard input is the only one.
    await this.#work(() => this.#spool?.isDone === true);
  }

  /** With --once: until every source is committed to where it ended at the start. */
  async #untilCommitted(): Promise<void> {
    const once = new Once(this.#options);
    await this.#work(() => {
      if (this.#hasSwept && isAllCommitted(this.#sources.values(), () => this.#unreadable())) return true;
      once.wait(() => this.#progress);
      return false;
    });
  }
}
