// What a shipper must not forget: which file is which generation, and how far each is in which stream. What is committed only
// the records say. A state that does not parse is set aside, and nothing is written twice.

import { randomBytes } from 'node:crypto';
import path from 'node:path';

import { z } from 'zod';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import {
  ensureDirectory,
  lockDirectory,
  type Lock,
  readIfThere,
  setAside,
  workIn,
  writeFileDurably,
} from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { sleep } from '../../common/runtime/run.ts';
import { parseAs, parseJson, refuseNewer } from '../../common/runtime/json.ts';
import { learnBirths } from './births.ts';
import { now } from './discover.ts';
import { type GenerationState, generationSchema, offset } from './generation-state.ts';

const VERSION = 1;
const SAVE_EVERY_MS = 1_000;
/** How far the stream is known; see sentUpTo. */
const SAVE_SENT_MS = 5_000;
/** Of tens of thousands of files it takes long: then most of the time is left for something else. */
const REST = 5;
const LEAST_REST_MS = 50;
const MOST_REST_MS = 2_000;

const schema = z.object({
  version: z.literal(VERSION),
  /** Names this state directory: the holder of a host name. */
  directory: z.string(),
  host: z.string(),
  /** All that was there at the very first start has been looked at. */
  begun: z.boolean().default(true),
  /** When it was saved, in nanoseconds since 1970: what came later nobody has seen. */
  saved: z.string().default('0'),
  /** All messages up to this sequence of the stream that was created then are in the positions of the generations. */
  sent: z.object({ created: z.string(), seq: offset }).default({ created: '', seq: 0 }),
  sources: z.record(z.string(), z.array(generationSchema)),
});

export class State {
  /** Names this state directory: the holder of a host name. */
  readonly directory: string;
  /** Where it lies. */
  readonly location: string;
  readonly sources: Map<string, GenerationState[]>;
  readonly #file: string;
  readonly #host: string;
  readonly #lock: Lock;
  readonly #log: Logger;
  /** When an earlier run saved it last, in nanoseconds since 1970; 0 for none. */
  readonly savedAt: bigint;
  #sent: { readonly created: string; readonly seq: number };
  #begun: boolean;
  /** File ids of an earlier run. */
  readonly #kept = new Set<string>();
  #dirty = false;
  #writing: Promise<void> | undefined;
  /** Everybody who asks while one is being written waits for the same next one. */
  #queued: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #later: NodeJS.Timeout | undefined;
  #restMs = 0;

  private constructor(file: string, host: string, lock: Lock, log: Logger, kept: Kept | undefined) {
    this.#file = file;
    this.location = path.dirname(file);
    this.#host = host;
    this.#lock = lock;
    this.#log = log;
    this.#begun = kept?.begun ?? false;
    this.#sent = kept?.sent ?? { created: '', seq: 0 };
    this.savedAt = BigInt(kept?.saved ?? 0);
    this.directory = kept?.directory ?? randomBytes(8).toString('hex');
    this.sources = kept?.sources ?? new Map();
    for (const entries of this.sources.values()) for (const { file } of entries) this.#kept.add(file);
  }

  /** Nothing was kept from an earlier run: the stream is asked what is known. Until the first look at the globs is done. */
  get fresh(): boolean {
    return !this.#begun;
  }

  /** Whether the positions are of this stream, as far as it reaches. */
  isSentOf(created: string, lastSeq: number): boolean {
    return this.#sent.created === created && this.#sent.seq <= lastSeq;
  }

  /** The stream is another one, or has lost its last messages: what was known of them counts no more. */
  resetSent(created: string, lastSeq: number): void {
    const isSame = this.#sent.created === created;
    for (const entry of [...this.sources.values()].flat())
      if (!isSame || (entry.sent?.seq ?? 0) > lastSeq) entry.sent = null;
    if (!this.isSentOf(created, lastSeq)) this.#sent = { created: '', seq: 0 };
  }

  /** See the schema. */
  get sent(): { readonly created: string; readonly seq: number } {
    return this.#sent;
  }

  /** The generations know of all messages up to this one. Saved within some seconds: a start reads what came since. */
  sentUpTo(seq: number, created = this.#sent.created): void {
    this.#sent = { created, seq };
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      this.touch();
    }, SAVE_SENT_MS);
  }

  /** A generation that has come since the start, so that nobody has heard of it. */
  isNew(file: string): boolean {
    return this.#begun && !this.#kept.has(file);
  }

  /** All that is there at the very first start has been looked at: what comes later is new. Durable at return. */
  async begun(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    await this.save();
  }

  /** Nothing is known of the path any more. */
  forget(file: string): void {
    this.sources.delete(file);
    this.touch();
  }

  /** The file is at another path now. */
  move(from: string, to: string): void {
    const entries = this.sources.get(from);
    if (entries === undefined) return;
    this.sources.delete(from);
    this.sources.set(to, entries);
    this.touch();
  }

  /**
   * Opens (or creates) a state directory and locks it. Throws `busy` when another shipper has it, `newer` for a later
   * version's state.
   */
  static async open(directory: string, host: string, log: Logger): Promise<State> {
    await ensureDirectory(directory, '--state');
    return await workIn(directory, '--state', async () => await State.#openLocked(directory, host, log));
  }

  static async #openLocked(directory: string, host: string, log: Logger): Promise<State> {
    const lock = await lockDirectory(directory, 'lock');
    try {
      if (!(await learnBirths(directory)))
        log.warn(
          'the system does not tell when files were born: they are known by number, device and content; allow statx to this process',
        );
      const file = path.join(directory, 'state.json');
      const state = new State(file, host, lock, log, await load(file, host, log));
      if (state.fresh) await state.save();
      return state;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Something changed: saved within about a second. */
  touch(): void {
    this.#dirty = true;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.#dirty) return;
      this.save().catch((error: unknown) => {
        this.#log.warn(`cannot save the state (${messageOf(error)}); trying again`);
        this.touch();
      });
    }, SAVE_EVERY_MS);
  }

  /** Resolves when everything that was known at the call is durable; callers at once share one fsync. */
  async save(): Promise<void> {
    this.#dirty = true;
    await (this.#queued ??= this.#writeNext());
  }

  /** After the one that is going on: it may have been begun before something became known. */
  async #writeNext(): Promise<void> {
    await Promise.allSettled([this.#writing]);
    if (this.#restMs >= LEAST_REST_MS) await sleep(Math.min(this.#restMs, MOST_REST_MS));
    this.#queued = undefined;
    this.#writing = this.#write();
    await this.#writing;
  }

  async #write(): Promise<void> {
    this.#dirty = false;
    const { directory } = this;
    const sources = Object.fromEntries(this.sources);
    try {
      const began = performance.now();
      const data = JSON.stringify({
        version: VERSION,
        directory,
        host: this.#host,
        begun: this.#begun,
        saved: String(now()),
        sent: this.#sent,
        sources,
      });
      this.#restMs = (performance.now() - began) * REST;
      await writeFileDurably(this.#file, `${data}\n`);
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#later);
    await this.save();
    await this.#lock.release();
  }
}

interface Kept {
  readonly directory: string;
  readonly begun: boolean;
  readonly saved: string;
  readonly sent: { readonly created: string; readonly seq: number };
  readonly sources: Map<string, GenerationState[]>;
}

async function load(file: string, host: string, log: Logger): Promise<Kept | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const value = parseJson(text);
    refuseNewer(value, VERSION, file);
    const kept = parseAs(schema, value);
    if (kept.host !== host)
      throw new LogferryError('corrupt', `it belongs to host ${kept.host}, this one ships as ${host}`);
    return {
      directory: kept.directory,
      begun: kept.begun,
      saved: kept.saved,
      sent: kept.sent,
      sources: new Map(Object.entries(kept.sources)),
    };
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'newer') throw error;
    const aside = await setAside(file);
    log.error(
      { file: aside },
      `${file} cannot be used (${messageOf(error)}); set aside, rebuilt from the stream and the records`,
    );
    return undefined;
  }
}
