// What one partition's term writes: decides by accept, appends to destinations, and gathers what a commit must say.
// Nothing that it wrote counts before commit.ts has said so.

import path from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { isUnanswered } from '../../common/nats/bucket.ts';
import type { Chunk, DataChunk } from '../../common/wire/chunk.ts';
import { crc32, hex32 } from '../../common/wire/digest.ts';
import { linesIn } from '../../common/wire/lines.ts';
import { chunkDone, giveBack } from '../../common/runtime/memory.ts';
import { type FileChange, type Hole, type PartitionRecord } from '../../common/record/record.ts';
import { fileKey, type SourceName, sourceOf } from '../../common/wire/subjects.ts';
import { accept, type Verdict } from './accept.ts';
import { Destination, type RotateOptions } from '../disk/destination.ts';
import { isPlaceTaken, type Place } from '../disk/places.ts';
import type { PartitionGenerations } from './generations.ts';
import { Holes } from './holes.ts';
import type { ReceiverStats } from './counts.ts';
import type { Resolver } from './resolver.ts';
import { Said } from './said.ts';
import { type IntakeOptions, type Message, open, type Opened, type Taken } from './intake.ts';
import type { Known } from '../ledger/known.ts';
import { isOthers, listedBytes, openLines, type RunLine } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import { activeName, destinationOf, flatDestinationOf, type Format, FORMATS } from '../ledger/names.ts';
import type { OpenDestinations } from '../disk/open-destinations.ts';
import { type Piece, type Stored, storedFrames, storedPlain } from '../disk/stored.ts';
import type { Delivery } from '../../common/stream/pull.ts';
import { dropUnlisted, statIfThere } from '../disk/segments.ts';

/** Small chunks of one destination are joined up to about this before they are written; a large one is not copied. */
const JOIN_BYTES = 256 * 1024;

/** Chunks that are decompressed ahead of the one being written. */
const AHEAD = 2;

/** Source bytes, and chunks, of the messages that are taken apart at once; of one more where one alone has as many. */
const MOST_BYTES = 8 * 1024 * 1024;
const MOST_CHUNKS = 8_192;

/** What was written, or decided, since the last commit. */
export interface Group {
  /** Highest stream sequence processed. */
  seq: number;
  readonly replies: string[];
  readonly changes: Map<string, FileChange[]>;
  /** What comes before generations that the ledger says nothing of. */
  readonly earlier: Known[];
  readonly lines: RunLine[];
  /** By destination, where its last line is among them. */
  readonly lastLines: Map<string, number>;
  readonly destinations: Set<Destination>;
  /** By host: the file ids whose shipper wants to know. */
  readonly touched: Map<string, Set<string>>;
  /** By host: bytes that are gone for good. */
  readonly lost: Map<string, number>;
  /** What waits for missing bytes when the group is handed over. */
  holes: ReadonlyMap<string, Hole>;
  unnamed: number;
  bytes: number;
}

export interface WriterOptions extends IntakeOptions {
  readonly out: string;
  readonly ledgerFile: LedgerFile;
  readonly rotate: RotateOptions;
  readonly open: OpenDestinations;
  readonly stats: ReceiverStats;
  readonly resolver?: Resolver;
  /** Undefined: whoever asks for all of it gets it. */
  readonly generations?: PartitionGenerations;
  /** What the stream still holds of a host from one sequence up to another, in its order. Throws when there is no answer. */
  readonly earlier?: (host: string, from: number, before: number) => AsyncIterable<Message>;
}

/** A message that was processed: of which host, and how many source bytes it holds; nothing where it is not one of ours. */
export interface Passed {
  readonly seq: number;
  readonly host: string | undefined;
  readonly bytes: number;
}

/** Bytes of one destination that wait to be joined into one write. */
interface Joined {
  readonly source: SourceName;
  readonly pieces: Piece[];
  bytes: number;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #term: string;
  #record: PartitionRecord;
  /** Offsets beyond the record's: written or decided, not yet committed. */
  readonly #pending = new Map<string, { offset: number; after: string | null }>();
  /** New generations that are counted, and that no commit has made known yet. */
  readonly #counted = new Set<string>();
  readonly #said: Said;
  readonly #destinations = new Map<string, Destination>();
  /** The same by host and path: what they are called costs more than to look here. */
  readonly #byPath = new Map<string, Destination>();
  readonly #joined = new Map<string, Joined>();
  /** What waits for missing bytes. */
  readonly holes: Holes;
  #group: Group = emptyGroup();
  /** How many destinations had been closed when it was last asked. */
  #closed = 0;

  constructor(options: WriterOptions, record: PartitionRecord, term: string) {
    this.#options = options;
    this.#record = record;
    this.#term = term;
    this.holes = new Holes(record.holes);
    this.#said = new Said(options.ledgerFile.ledger);
  }

  get group(): Group {
    return this.#group;
  }

  /** The record that offsets are measured against, after a commit or a new look at it. */
  set record(record: PartitionRecord) {
    this.#record = record;
    this.#counted.clear();
    for (const [file, pending] of this.#pending)
      if ((record.files.get(file)?.offset ?? 0) >= pending.offset) this.#pending.delete(file);
  }

  /**
   * Processes deliveries in order and writes what they bring. Throws the disk's error: then call cutBack.
   *
   * @param onPassed called with each one as soon as it is processed; the last bytes of it may not be written yet
   * @param isWanted which files are written; undefined for all
   */
  async process(
    deliveries: readonly Delivery[],
    onPassed: (passed: Passed) => void = () => {},
    isWanted?: (source: SourceName) => boolean,
  ): Promise<void> {
    for (let at = 0; at < deliveries.length;) {
      const some: [Delivery, Opened | undefined][] = [];
      // A few bytes may say that they are many: no more is unpacked at once, whatever was pulled.
      for (let [bytes, chunks] = [0, 0]; bytes < MOST_BYTES && chunks < MOST_CHUNKS; at += 1) {
        const delivery = deliveries[at];
        if (delivery === undefined) break;
        const message = open(this.#options, delivery);
        some.push([delivery, message]);
        bytes += message?.bytes ?? 0;
        chunks += 1 + (message?.chunks.length ?? 0);
      }
      await this.#processSome(some, onPassed, isWanted);
      if (at < deliveries.length) await setImmediate();
    }
  }

  async #processSome(
    some: readonly [Delivery, Opened | undefined][],
    onPassed: (passed: Passed) => void,
    isWanted?: (source: SourceName) => boolean,
  ): Promise<void> {
    const all = some.flatMap(([, message]) => message?.chunks ?? []);
    let [ahead, at] = [0, 0];
    for (const [{ seq, reply }, message] of some) {
      this.#group.seq = Math.max(this.#group.seq, seq);
      this.#group.replies.push(reply);
      for (const item of message?.chunks ?? []) {
        for (; ahead < all.length && ahead <= at + AHEAD; ahead += 1)
          this.#startDecoding(all[ahead], isWanted);
        if (isWanted?.(item.source) !== false) await this.#apply(item);
        item.data = undefined;
        at += 1;
      }
      onPassed({ seq, host: message?.host, bytes: message?.bytes ?? 0 });
    }
    await this.#flushAll();
  }

  /** Decompresses ahead, but only what will be needed: a duplicate costs nothing. */
  #startDecoding(item: Taken | undefined, isWanted?: (source: SourceName) => boolean): void {
    if (item === undefined || item.chunk.kind !== 'data' || isWanted?.(item.source) === false) return;
    const { chunk, bundle, index, source } = item;
    if (chunk.end <= (this.#offsetOf(fileKey(source.host, source.file))?.offset ?? 0)) return;
    item.data = bundle.bytesOf(index);
  }

  #offsetOf(file: string): { offset: number; after: string | null } | undefined {
    return this.#pending.get(file) ?? this.#record.files.get(file);
  }

  async #apply(item: Taken): Promise<void> {
    const { source, seq } = item;
    const { stats, log, resolver } = this.#options;
    const file = fileKey(source.host, source.file);
    let { chunk } = item;
    let { known, before, verdict } = this.#judge(source, chunk);
    if (verdict.kind === 'missing' && resolver !== undefined) {
      chunk = await this.#resolve(source, chunk, known, before, resolver);
      ({ known, before, verdict } = this.#judge(source, chunk));
    }
    const after = chunk.after?.file ?? null;
    if (verdict.kind !== 'duplicate' && verdict.kind !== 'missing' && !this.#mayBegin(source.host, file))
      return;
    switch (verdict.kind) {
      case 'duplicate':
        this.holes.end(source, known);
        stats.duplicates += 1;
        return;
      case 'missing':
        this.#missing(item, chunk, known);
        return;
      case 'end':
        this.holes.end(source, chunk.end);
        await this.#flushSource(source);
        this.#change(file, {
          start: chunk.end,
          end: chunk.end,
          path: source.path,
          tail: null,
          after,
          final: chunk.end,
          gap: false,
        });
        return;
      case 'gap': {
        const why = chunk.kind === 'gap' ? chunk.reason : '';
        if (!(await this.#rescueBefore(item, why))) {
          // Its shipper sees that it was not counted, and sends it again.
          this.#missing(item, chunk, known);
          return;
        }
        ({ known, verdict } = this.#judge(source, chunk));
        if (verdict.kind === 'gap') await this.#gap(source, file, verdict.from, verdict.to, after, why);
        return;
      }
      case 'write': {
        if (chunk.kind !== 'data') throw new Error('BUG: only data is written');
        const data = await (item.data ?? item.bundle.bytesOf(item.index));
        if (data === undefined) {
          this.#options.throttle.run('damaged', (held) => {
            log.warn(
              { ...source, seq, repeated: held },
              'a message does not match its checksum; waiting for it to be sent again',
            );
          });
          resolver?.damaged(source, chunk, seq);
          this.#missing(item, chunk, known);
          return;
        }
        await this.#join(source, file, chunk, verdict.from, data, item.bundle.frameOf(item.index));
      }
    }
  }

  #judge(
    source: SourceName,
    chunk: Chunk,
  ): { known: number | undefined; before: number | undefined; verdict: Verdict } {
    const known = this.#offsetOf(fileKey(source.host, source.file))?.offset;
    const before =
      chunk.after === undefined ? undefined : this.#offsetOf(fileKey(source.host, chunk.after.file))?.offset;
    return { known, before, verdict: accept(chunk, known, before) };
  }

  /** Whether there is memory for a generation, should nothing be known of it yet; then it is counted, once. */
  #mayBegin(host: string, file: string): boolean {
    const { generations, throttle, log } = this.#options;
    if (generations === undefined || this.#offsetOf(file) !== undefined || this.#counted.has(file))
      return true;
    const mayBegin = generations.mayBegin(host);
    if (mayBegin) {
      generations.began(host);
      this.#counted.add(file);
    } else
      throttle.run(`generations ${host}`, (repeated) => {
        const { own, all } = generations.counts(host);
        log.error(
          { host, repeated },
          `${host}: files that are new are not written: ${all} generations are all that this receiver has memory ` +
            `for, ${own} of them of this host; give it more (NODE_OPTIONS=--max-old-space-size=MiB)`,
        );
      });
    return mayBegin;
  }

  /** Passes over what is lost; the chunk as it is to be judged then. */
  async #resolve(
    source: SourceName,
    chunk: Chunk,
    offset: number | undefined,
    before: number | undefined,
    resolver: Resolver,
  ): Promise<Chunk> {
    const isBegun = this.#isBegun(source);
    const resolution = await resolver.resolve({ source, chunk, offset, before, isBegun });
    if (resolution === undefined) return chunk;
    const resolved = resolution.isFirst ? { ...chunk, after: undefined } : chunk;
    for (const { file: id, from, to } of resolution.lost) {
      await this.#flushSource(source);
      const file = fileKey(source.host, id);
      const after =
        id === source.file ? (resolved.after?.file ?? null) : (this.#offsetOf(file)?.after ?? null);
      this.#pending.set(file, { offset: to, after });
      const { path } = source;
      this.#change(file, { start: from, end: to, path, tail: null, after, final: null, gap: true });
    }
    return resolved;
  }

  #isBegun({ host, path }: SourceName): boolean {
    const { ledger } = this.#options.ledgerFile;
    return (
      this.#joined.has(JSON.stringify([host, path])) ||
      [destinationOf(host, path), flatDestinationOf(host, path)].some(
        (name) => ledger.destinations.has(name) || this.#group.lastLines.has(name),
      )
    );
  }

  /** Bytes that are gone for good: said loudly, held by nobody, and the file goes on behind them. */
  async #gap(
    source: SourceName,
    file: string,
    start: number,
    end: number,
    after: string | null,
    reason: string,
  ): Promise<void> {
    const { host, path } = source;
    this.#options.log.error(
      { host, path, from: start, to: end, reason },
      `${host}: ${path}: bytes ${start} to ${end} are lost (${reason})`,
    );
    await this.#flushSource(source);
    this.#group.lost.set(host, (this.#group.lost.get(host) ?? 0) + end - start);
    const generation = { host, path, file: sourceOf(file).id };
    this.holes.end(generation, end);
    this.#pending.set(file, { offset: end, after });
    this.#change(file, { start, end, path, tail: null, after, final: null, gap: true });
    this.#touch(generation);
  }

  /**
   * Writes what a message, read again from the stream, holds of generations that were given up: what is missing before it counts
   * as lost (design §5.4). What has nothing new changes nothing.
   *
   * @param files their fileKeys
   */
  async rescue(
    message: Message,
    files: ReadonlySet<string>,
    kinds: readonly Chunk['kind'][] = ['data', 'end', 'gap'],
    reason = 'waited in vain for them to be sent again',
  ): Promise<void> {
    for (const item of open(this.#options, message, true)?.chunks ?? []) {
      const { host, file } = item.source;
      if (files.has(fileKey(host, file)) && kinds.includes(item.chunk.kind))
        await this.#rescueChunk(item, reason);
    }
    await this.#flushAll();
  }

  async #rescueChunk(item: Taken, reason: string): Promise<void> {
    const { chunk, source } = item;
    const { after } = chunk;
    const before = after === undefined ? undefined : fileKey(source.host, after.file);
    const known = before === undefined ? undefined : this.#offsetOf(before);
    const file = fileKey(source.host, source.file);
    if (!this.#mayBegin(source.host, file)) return;
    if (after !== undefined && before !== undefined && (known?.offset ?? 0) < after.size) {
      if (!this.#mayBegin(source.host, before)) return;
      await this.#gap(source, before, known?.offset ?? 0, after.size, known?.after ?? null, reason);
    }
    const offset = this.#offsetOf(file)?.offset ?? chunk.begin;
    if (chunk.start > offset) await this.#gap(source, file, offset, chunk.start, after?.file ?? null, reason);
    await this.#apply(item);
  }

  /**
   * The host has these bytes no more, but messages that were not written for what was missing before them may be in the
   * stream still. False when there was no answer.
   */
  async #rescueBefore({ source, seq, bundle }: Taken, reason: string): Promise<boolean> {
    const { earlier } = this.#options;
    if (earlier === undefined || (this.holes.of(source)?.seq ?? seq) >= seq) return true;
    const { host } = source;
    // Of all gaps in the message together: many cost no more than one.
    const waiting = bundle.listed.flatMap(({ path: name, file, chunk }) => {
      const own = { host, path: name, file };
      const found = chunk.kind === 'gap' ? this.holes.of(own) : undefined;
      return found !== undefined && this.#judge(own, chunk).verdict.kind === 'gap' ? [found] : [];
    });
    const first = Math.min(...waiting.map((one) => one.seq));
    const files = new Set(waiting.map((one) => fileKey(host, one.source.file)));
    try {
      for await (const message of earlier(host, first, seq))
        await this.rescue(message, files, ['data'], reason);
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      return false;
    }
    for (const one of waiting) this.holes.looked(one, seq);
    return true;
  }

  #missing({ source, seq }: Taken, chunk: Chunk, known: number | undefined): void {
    this.holes.met(source, seq, chunk.end);
    this.#options.stats.missing += 1;
    this.#touch(source);
    this.#options.log.debug(
      { ...source, start: chunk.start, end: chunk.end, known },
      'bytes before this chunk are missing',
    );
  }

  #touch(source: SourceName): void {
    const files = this.#group.touched.get(source.host);
    if (files === undefined) this.#group.touched.set(source.host, new Set([source.file]));
    else files.add(source.file);
  }

  #change(file: string, change: FileChange): void {
    const changes = this.#group.changes.get(file);
    const last = changes?.at(-1);
    if (changes === undefined) this.#group.changes.set(file, [change]);
    else if (
      last !== undefined &&
      last.gap === change.gap &&
      last.end === change.start &&
      change.end > change.start
    )
      changes[changes.length - 1] = { ...change, start: last.start };
    else changes.push(change);
  }

  async #join(
    source: SourceName,
    file: string,
    chunk: DataChunk,
    from: number,
    data: Uint8Array,
    frame: Uint8Array | undefined,
  ): Promise<void> {
    const key = JSON.stringify([source.host, source.path]);
    let joined = this.#joined.get(key);
    if (joined === undefined) this.#joined.set(key, (joined = { source, pieces: [], bytes: 0 }));
    const isWhole = from === chunk.start;
    joined.pieces.push({
      file,
      start: from,
      end: chunk.end,
      tail: chunk.tail,
      after: chunk.after,
      data: isWhole ? data : data.subarray(from - chunk.start),
      decoded: frame === undefined ? undefined : data,
      payload: isWhole ? frame : undefined,
    });
    joined.bytes += chunk.end - from;
    this.#pending.set(file, { offset: chunk.end, after: chunk.after?.file ?? null });
    this.holes.end(source, chunk.end);
    if (joined.bytes >= JOIN_BYTES) await this.#flushSource(source);
  }

  async #flushAll(): Promise<void> {
    for (const { source } of [...this.#joined.values()]) await this.#flushSource(source);
  }

  async #flushSource(source: SourceName): Promise<void> {
    const key = JSON.stringify([source.host, source.path]);
    const joined = this.#joined.get(key);
    if (joined === undefined) return;
    this.#joined.delete(key);
    const stored = this.#format === 'plain' ? storedPlain(joined.pieces) : await storedFrames(joined.pieces);
    let destination = this.#byPath.get(key) ?? (await this.#open(source));
    // Another partition may have made room while this one was opened; from here to the write nobody else runs.
    while (destination.isRetired) destination = await this.#open(source);
    this.#byPath.set(key, destination);
    this.#group.destinations.add(destination);
    const [first] = stored;
    const isOne = stored.length === 1 && first !== undefined;
    const place = await this.#write(
      destination,
      isOne ? first.bytes : Buffer.concat(stored.map(({ bytes }) => bytes)),
    );
    this.#count(joined);
    this.#group.bytes += joined.bytes;
    let from = place.from;
    for (const piece of stored) {
      const { file, start, end, tail } = piece;
      this.#touch({ ...source, file: file.slice(file.lastIndexOf('/') + 1) });
      const after = piece.after?.file ?? null;
      this.#change(file, { start, end, path: source.path, tail, after, final: null, gap: false });
      this.#line(source, piece, destination.destination, place.inode, from);
      from += piece.bytes.length;
    }
    for (const { decoded } of joined.pieces) if (decoded !== undefined) giveBack(decoded);
    chunkDone(joined.bytes);
  }

  #count({ bytes, pieces }: Joined): void {
    const { stats } = this.#options;
    stats.bytes += bytes;
    stats.chunks += pieces.length;
    if (stats.lines !== undefined) for (const { data } of pieces) stats.lines += linesIn(data);
  }

  get #format(): Format {
    return this.#options.rotate.format ?? 'plain';
  }

  /** Lengthens the group's last line of the destination where it goes on, or begins one. */
  #line(source: SourceName, piece: Stored, destination: string, inode: string, from: number): void {
    const { file, bytes } = piece;
    const { lines, lastLines } = this.#group;
    const index = lastLines.get(destination) ?? -1;
    const last = lines[index];
    const to = from + bytes.length;
    if (last?.file === file && last.inode === inode && last.end === piece.start && last.to === from) {
      const checksum = hex32(crc32(bytes, Number.parseInt(last.checksum, 16)));
      lines[index] = { ...last, end: piece.end, to, tail: piece.tail, checksum };
      return;
    }
    const after = piece.after?.file ?? this.#record.files.get(file)?.after ?? null;
    const earlier = this.#said.begin(file, { ...source, after, recorded: (key) => this.#offsetOf(key) });
    if (earlier !== undefined) this.#group.earlier.push(...earlier);
    lastLines.set(destination, lines.length);
    lines.push({
      term: this.#term,
      file,
      path: source.path,
      start: piece.start,
      end: piece.end,
      destination,
      inode,
      ...(this.#format === 'plain' ? {} : { format: this.#format }),
      from,
      to,
      tail: piece.tail,
      checksum: hex32(crc32(bytes)),
      ...(piece.after === undefined || earlier === undefined ? {} : { after: piece.after }),
    });
  }

  async #write(destination: Destination, data: Uint8Array): Promise<Place> {
    this.#options.open.use(destination);
    return await destination.busy(async () => await destination.write(data));
  }

  async #open(source: SourceName): Promise<Destination> {
    const plain = destinationOf(source.host, source.path);
    const there = this.#destinations.get(plain);
    if (there?.isRetired === false) return there;
    const flat = flatDestinationOf(source.host, source.path);
    const known = there ?? this.#destinations.get(flat);
    if (known?.isRetired === false) return known;
    if (known !== undefined) {
      await known.retire();
      return await this.#openAt(known.destination);
    }
    const { ledger } = this.#options.ledgerFile;
    if (ledger.opened.has(flat) || (await this.#isTaken(plain))) return await this.#openAt(flat);
    try {
      return await this.#openAt(plain);
    } catch (error) {
      if (!isPlaceTaken(error)) throw error;
      return await this.#openAt(flat);
    }
  }

  /** Another destination has the file that this one would be written to, or it is somebody else's. */
  async #isTaken(destination: string): Promise<boolean> {
    const { out, ledgerFile } = this.#options;
    const { ledger } = ledgerFile;
    if (isOthers(ledger, destination, this.#format)) return true;
    const name = activeName(destination, this.#format);
    // Frames behind something else could not be read.
    if (this.#format === 'plain' || ledger.actives.has(name)) return false;
    const stats = await statIfThere(path.join(out, name));
    return stats?.isFile() === true && stats.size > 0n;
  }

  async #openAt(destination: string): Promise<Destination> {
    const { out, ledgerFile, log, rotate, open } = this.#options;
    const { ledger, unlisted } = ledgerFile;
    const isKnown = ledger.opened.has(destination);
    const finished = FORMATS.find(
      (format) =>
        format !== this.#format && ledger.actives.get(activeName(destination, format)) === destination,
    );
    // What this term has not committed yet stays, when it comes back to a destination that was closed to make room.
    if (!this.#destinations.has(destination) && (unlisted.has(destination) || (!isKnown && ledger.damaged)))
      await dropUnlisted(out, ledgerFile, destination, log);
    unlisted.add(destination);
    for (const line of openLines(ledger, destination, this.#format)) await ledgerFile.note(line);
    const opened = await open.open(async () => await Destination.open(out, destination, rotate, finished));
    this.#destinations.set(destination, opened);
    return opened;
  }

  /** Hands over the group for a commit; what is written from now on belongs to the next. */
  takeGroup(): Group {
    const group = this.#group;
    this.#group = emptyGroup();
    this.#said.commits();
    Object.assign(group, this.holes.known);
    return group;
  }

  /** With nothing to commit: the ledger lists all that was written, so of destinations that are closed nothing is kept. */
  async rest(): Promise<void> {
    const { open, ledgerFile } = this.#options;
    this.#said.committed();
    await open.closeIdle();
    if (open.closed === this.#closed) return;
    this.#closed = open.closed;
    for (const [key, { isClosed }] of this.#byPath) if (isClosed) this.#byPath.delete(key);
    for (const [name, { isClosed }] of this.#destinations)
      if (isClosed && this.#destinations.delete(name)) ledgerFile.unlisted.delete(name);
  }

  /** After a write error: everything that the ledger does not list goes, and nothing of the group is remembered. */
  async cutBack(group?: Group): Promise<void> {
    const { ledgerFile, out, log, open } = this.#options;
    const { ledger, unlisted } = ledgerFile;
    const written = new Set([...this.#destinations.values(), ...(group ?? this.#group).destinations]);
    this.#joined.clear();
    this.#pending.clear();
    this.#said.cutBack();
    this.#destinations.clear();
    this.#byPath.clear();
    this.#counted.clear();
    this.#options.generations?.recount(this.#record.files.keys());
    this.#group = emptyGroup();
    for (const destination of written) {
      if (destination.isRetired) await destination.retire();
      else await destination.cutBack((inode) => listedBytes(ledger, destination.destination, inode));
      open.remove(destination);
    }
    for (const { isOutOfReach, destination } of written)
      if (isOutOfReach) await dropUnlisted(out, ledgerFile, destination, log);
    // After an error they are all looked at before they are opened again.
    for (const { destination } of written) unlisted.delete(destination);
  }

  /** Closes the destinations. What could not be cut back is cut before they are opened again. */
  async close(): Promise<void> {
    this.#options.generations?.letGo();
    for (const destination of this.#destinations.values()) {
      if (destination.isRetired) await destination.retire();
      else await destination.close();
      this.#options.open.remove(destination);
    }
    for (const destination of this.#destinations.keys())
      this.#options.ledgerFile.unlisted.delete(destination);
    this.#destinations.clear();
    this.#byPath.clear();
  }
}

function emptyGroup(): Group {
  return {
    seq: 0,
    replies: [],
    changes: new Map(),
    earlier: [],
    lines: [],
    lastLines: new Map(),
    destinations: new Set(),
    touched: new Map(),
    lost: new Map(),
    holes: new Map(),
    unnamed: 0,
    bytes: 0,
  };
}
