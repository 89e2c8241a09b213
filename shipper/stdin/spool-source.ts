// Standard input as a source: the segments of the spool are its generations, in order. What is committed of a finished
// one is deleted. Which file is which needs no looking: its name says it.

import { LogferryError, messageOf, oneLine } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import { foundOf } from '../files/discover.ts';
import type { ShipperContext } from '../lane/context.ts';
import { Generation, type GenerationOwner } from '../lane/generation.ts';
import type { Segment, Spool } from './spool.ts';
import { type GenerationState, newGeneration } from '../files/generation-state.ts';
import type { AnySource, Kept } from '../lane/any-source.ts';
import { type Elsewhere, openIfThere } from '../files/candidate.ts';

const IDLE_MS = 10_000;
/** How often it is asked whether a finished segment is in the stream, or committed. */
const LOOK_MS = 20;
const RETRY_MS = 250;

export class SpoolSource implements AnySource {
  readonly path: string;
  readonly unreadable = undefined;
  /** Not looked at: the spool says what there is. */
  readonly device = undefined;
  readonly #context: ShipperContext;
  readonly #spool: Spool;
  readonly #signal: AbortSignal;
  readonly #onBegun: () => void;
  readonly #begun = new Map<Segment, Generation>();
  readonly #running = new Set<Promise<void>>();
  /** The last one that had bytes: the next one follows it. */
  #before: GenerationState | null = null;

  constructor(context: ShipperContext, spool: Spool, signal: AbortSignal, onBegun: () => void) {
    this.#context = context;
    this.#spool = spool;
    this.#signal = signal;
    this.#onBegun = onBegun;
    this.path = spool.name;
  }

  get signal(): AbortSignal {
    return this.#signal;
  }

  get generations(): readonly Generation[] {
    return [...this.#begun.values()];
  }

  get current(): Generation | undefined {
    return this.generations.at(-1);
  }

  get name(): string {
    return this.path;
  }

  get isCommitted(): boolean {
    return this.#spool.isDone;
  }

  /** What is committed is deleted soon. */
  async openWhole(file: string): Promise<Kept | undefined> {
    const generation = this.generations.find(({ entry }) => entry.file === file);
    const handle = await generation?.cursor.openWhole();
    return generation === undefined || handle === undefined
      ? undefined
      : { handle, entry: generation.entry, generation };
  }

  wake(): void {
    this.current?.wake();
  }

  written(): void {
    this.current?.written();
  }

  /** Whoever fills the spool says when. */
  get isRecent(): boolean {
    return false;
  }

  get isForgettable(): boolean {
    return false;
  }

  isAsSeen(): boolean {
    return true;
  }

  async look(): Promise<void> {}

  async foundElsewhere(): Promise<void> {}

  start(): void {
    this.#running.add(this.#inOrder()).add(this.#remove());
  }

  async stop(): Promise<void> {
    await Promise.allSettled([...this.#running]);
    for (const generation of this.#begun.values()) await generation.cursor.close();
  }

  /** Each segment is begun when the one before is in the stream as a whole (design §4.3). */
  async #inOrder(): Promise<void> {
    while (!this.#signal.aborted)
      try {
        await this.#step();
      } catch (error) {
        if (error instanceof LogferryError && error.code === 'newer') throw error;
        if (this.#signal.aborted) return;
        this.#context.throttle.run(`spool ${messageOf(error)}`, (repeated) => {
          this.#context.log.warn({ repeated }, `standard input: ${oneLine(error)}; trying again`);
        });
        await sleep(RETRY_MS, this.#signal);
      }
  }

  async #step(): Promise<void> {
    const { segments, changed } = this.#spool;
    const segment = segments.findLast((each) => this.#begun.has(each));
    const generation = segment === undefined ? undefined : this.#begun.get(segment);
    if (segment !== undefined && generation !== undefined && !generation.isDrained) {
      if (segment.isFinished) generation.close('rotated');
      else generation.written();
      await changed.wait(segment.isFinished ? LOOK_MS : IDLE_MS, this.#signal);
      return;
    }
    const next = segments.find((each) => !this.#begun.has(each));
    if (next === undefined || next.size === 0) await changed.wait(IDLE_MS, this.#signal);
    else await this.#begin(next);
  }

  async #begin(segment: Segment): Promise<void> {
    const opened = await open(segment);
    const entry = newGeneration(segment.file, opened.found.stamp, 0, segment.size);
    const generation = new Generation(this.#context, this.path, entry, opened.handle, this.#owner(segment));
    let matches: boolean;
    try {
      matches = await generation.resume(this.#signal);
    } catch (error) {
      await generation.cursor.close();
      throw error;
    }
    // After a power cut it may be shorter than what was shipped of it: that is not read again.
    if (!matches) generation.cursor.moveTo(undefined);
    const before = this.#before;
    if (before !== null) entry.after ??= { file: before.file, size: before.size };
    this.#before = entry;
    this.#begun.set(segment, generation);
    this.#context.log.info({ file: entry.file, from: generation.cursor.position }, `shipping ${this.path}`);
    this.#onBegun();
    const run = generation.run(this.#signal).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  #owner(segment: Segment): GenerationOwner {
    return {
      path: this.path,
      onReplaced: () => {
        this.#begun.get(segment)?.cursor.moveTo(undefined);
      },
      reopen: async ({ cursor }) => {
        const opened = await open(segment);
        if (opened.size >= cursor.position && (await cursor.isContinuedBy(opened.handle))) return opened;
        await opened.handle.close();
        return undefined;
      },
      mayBegin: async () => true,
    };
  }

  /** Deletes each segment that is in the stream as a whole and committed. */
  async #remove(): Promise<void> {
    while (!this.#signal.aborted) {
      for (const [segment, generation] of this.#begun)
        if (segment.isFinished && generation.isDrained && generation.isCommitted) {
          await generation.retire();
          await this.#spool.remove(segment);
          this.#begun.delete(segment);
        }
      await sleep(this.#hasFinished ? LOOK_MS : RETRY_MS, this.#signal);
    }
  }

  get #hasFinished(): boolean {
    return [...this.#begun.keys()].some(({ isFinished }) => isFinished);
  }
}

async function open({ path: file }: Segment): Promise<Elsewhere> {
  const handle = await openIfThere(file);
  if (handle === undefined) throw new LogferryError('failed', `${file} is gone from the spool`);
  const found = foundOf(file, await handle.stat({ bigint: true }));
  return { handle, found, size: found.size, from: 0 };
}
