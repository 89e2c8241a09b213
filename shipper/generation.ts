// One generation of a source file on its way into the stream: read forward, publish fenced, one message in flight,
// go back when bytes were lost. Never decides which file it is: source.ts does.

import { fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { constants, zstdCompress } from 'node:zlib';
import { promisify } from 'node:util';

import { headers } from '@nats-io/transport-node';

import { isUnanswered, isWrongSequence } from '../common/bucket.ts';
import { type After, type Chunk, chunkHeaders, type EndReason, TAIL_BYTES } from '../common/chunk.ts';
import { crc32, tailOf } from '../common/digest.ts';
import { messageOf } from '../common/errors.ts';
import { readFully } from '../common/files.ts';
import { type Logger, Throttle } from '../common/log.ts';
import { Bell, sleep, untilAnswered } from '../common/run.ts';
import { publishSubject } from '../common/subjects.ts';
import type { Buffers, Slot } from './buffers.ts';
import { cutPoint } from './chunker.ts';
import { type Host, type HostView, observedOf } from './host.ts';
import { headMatches, headOf, HEAD_BYTES } from './identity.ts';
import { Uncommitted } from './progress.ts';
import { afterLook, committedOffset, decideRepair, type Published, type Repair } from './repair.ts';
import type { GenerationState, State } from './state.ts';

const compress = promisify(zstdCompress);

/** What all generations of a shipper share. */
export interface ShipperContext {
  readonly host: Host;
  readonly state: State;
  readonly log: Logger;
  readonly throttle: Throttle;
  readonly buffers: Buffers;
  readonly compression: 'zstd' | 'none';
  /** Whether publishing must wait: the stream is about to drop uncommitted data, or the host's name is not ours. */
  readonly isHeld: () => boolean;
  /** Waits for its share of --max-rate. */
  readonly pace: (bytes: number, signal: AbortSignal) => Promise<void>;
  /** With --once every file ends where it ended at the start. */
  readonly once: boolean;
}

/** A partial last line is shipped after this much silence: nothing is lost by it, bytes are bytes. */
const PARTIAL_LINE_MS = 3_000;
/** Subject, headers and protocol of one message beside its payload. */
const HEADER_ROOM = 2_048;
const CHUNKS_AHEAD = 2;
const OUT_STEP = 256 * 1024;
const RETRY_MS = 250;
const PUBLISH_TIMEOUT_MS = 5_000;
/** A file that was written a moment ago is looked at again within milliseconds, an idle one hardly ever. */
const SHORTEST_LOOK_MS = 3;
const LONGEST_LOOK_MS = 10_000;

/** A chunk that is ready to be published. */
interface Prepared {
  readonly chunk: Chunk;
  readonly payload: Uint8Array;
  /** Held while the payload lies in a shared buffer. */
  readonly slot: Slot | undefined;
}

export class Generation {
  readonly source: string;
  readonly entry: GenerationState;
  readonly #context: ShipperContext;
  readonly #bell = new Bell();
  readonly #uncommitted = new Uncommitted();
  #handle: FileHandle | undefined;
  /** With --once: nothing is read beyond this. */
  #limit = Number.POSITIVE_INFINITY;

  #position = 0;
  #committed = 0;
  #expected = 0;
  #created = '';
  #ended = false;
  #publishedAt = performance.now();
  #grewAt = performance.now();
  #repair: { decision: Repair; expected: number; view: HostView } | undefined;
  #closing: EndReason | undefined;
  #truncated = false;
  #runs = false;
  #move: { handle: FileHandle | undefined; size: number } | undefined;

  /** Chunks that are being read and compressed, in order. */
  #ahead: Promise<Prepared | undefined>[] = [];
  /** Where the next chunk is read, and what must stand before it. */
  #readAt = 0;
  #readTail: string | undefined;
  /** What must stand before the position, where that is known. */
  #positionTail: string | undefined;

  readonly #onTruncated: () => void;

  constructor(
    context: ShipperContext,
    source: string,
    entry: GenerationState,
    handle: FileHandle | undefined,
    onTruncated: () => void,
  ) {
    this.#context = context;
    this.#onTruncated = onTruncated;
    this.source = source;
    this.entry = entry;
    this.#handle = handle;
  }

  get position(): number {
    return this.#position;
  }

  get committed(): number {
    return this.#committed;
  }

  get handle(): FileHandle | undefined {
    return this.#handle;
  }

  /** Everything up to the end was acknowledged by the stream, and nothing more is expected. */
  get isDrained(): boolean {
    return this.entry.closed !== null && this.#ended && this.#position >= this.entry.size;
  }

  get isCommitted(): boolean {
    return this.#committed >= this.#position && this.#position >= Math.min(this.entry.size, this.#limit);
  }

  /** The content is not what was read before: the file was truncated or written anew. */
  get isTruncated(): boolean {
    if (this.#move !== undefined) return false;
    if (this.#handle !== undefined && fstatSync(this.#handle.fd).size < this.#position)
      this.#truncated = true;
    return this.#truncated;
  }

  /** How it was told to end, undefined while it goes on. */
  get closing(): EndReason | undefined {
    return this.#closing;
  }

  get oldestUncommitted(): number | undefined {
    return this.#uncommitted.oldest;
  }

  get quietMs(): number {
    return performance.now() - this.#grewAt;
  }

  wake(): void {
    this.#bell.ring();
  }

  /** With --once: the end that counts. */
  limitTo(size: number): void {
    this.#limit = size;
  }

  /** Nothing follows once the file is read to its end: ship the last line as it is, then say so. */
  close(reason: EndReason): void {
    if (this.#closing === reason) return;
    this.#closing = reason;
    this.wake();
  }

  /**
   * Goes on, after the message that is on its way, in another file with the same content: the copy of copytruncate,
   * or undefined when there is none.
   */
  moveTo(handle: FileHandle | undefined, size: number): void {
    void this.#move?.handle?.close();
    this.#move = { handle, size };
    if (!this.#runs) void this.#applyMove();
    this.wake();
  }

  async #applyMove(): Promise<void> {
    const move = this.#move;
    if (move === undefined) return;
    await this.#dropAhead();
    this.#move = undefined;
    const before = this.#handle;
    this.#handle = move.handle;
    this.#truncated = false;
    this.entry.size = Math.max(move.size, this.#position);
    await before?.close();
  }

  /** Lets go of the descriptor of a finished generation; a repair opens it again if it still can. */
  park(): void {
    this.moveTo(undefined, this.entry.size);
  }

  async stop(): Promise<void> {
    await this.#applyMove();
    await this.#dropAhead();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  // --- where to go on -------------------------------------------------------------------------------------------

  /**
   * Design §4.6: the end of the subject's last message, else the record's offset, else where shipping began. Says
   * whether the file before that offset is the one that was shipped.
   */
  async resume(signal: AbortSignal): Promise<boolean> {
    const ask = async (): Promise<boolean> => await this.#resumeFrom(await this.#context.host.needView());
    return (await untilAnswered(ask, isUnanswered, signal)) ?? true;
  }

  async #resumeFrom(view: HostView): Promise<boolean> {
    const last = await this.#context.host.lastMessage(this.source, this.entry.file);
    const known = view.entry(this.entry.file);
    this.#created = view.created;
    this.#expected = last.seq;
    if (last.chunk?.begin !== undefined && known === undefined) this.entry.begin = last.chunk.begin;
    this.#committed = known?.offset ?? this.entry.begin;
    this.#position = last.chunk?.end ?? this.#committed;
    this.#ended = last.chunk?.kind === 'end';
    this.entry.after ??= last.chunk?.after ?? null;
    const tail =
      last.chunk?.kind === 'data' ? last.chunk.tail : known?.offset === this.#position ? known.tail : null;
    await this.#seek(tail);
    if (last.seq > 0 && this.#committed < this.#position)
      this.#uncommitted.published(this.#position, last.seq);
    this.#context.log.debug(
      {
        path: this.source,
        file: this.entry.file,
        position: this.#position,
        committed: this.#committed,
        seq: last.seq,
      },
      'resumed',
    );
    return await this.#matches(tail);
  }

  async #matches(tail: string | null): Promise<boolean> {
    if (this.#handle === undefined) return true;
    const { size } = await this.#handle.stat();
    if (size < this.#position) return false;
    const first = Buffer.alloc(Math.min(HEAD_BYTES, size));
    const head = first.subarray(0, await readFully(this.#handle, first, 0));
    if (!headMatches(this.entry.head, head)) return false;
    if (this.entry.head.length < HEAD_BYTES) this.entry.head = headOf(head);
    if (tail === null || this.#position === 0) return true;
    return tailOf(await this.#bytesBefore(this.#handle, this.#position)) === tail;
  }

  async #bytesBefore(handle: FileHandle, offset: number): Promise<Uint8Array> {
    const before = Buffer.alloc(Math.min(TAIL_BYTES, offset));
    return before.subarray(0, await readFully(handle, before, offset - before.length));
  }

  /** Goes on reading at the position; `tail` is what must stand before it, where that is known. */
  async #seek(tail: string | null | undefined): Promise<void> {
    this.#positionTail = tail ?? undefined;
    await this.#dropAhead();
  }

  /** Whether another file has the bytes that stand before the position here: a copy goes on where this one ended. */
  async isContinuedBy(handle: FileHandle): Promise<boolean> {
    // Taken together: an acknowledgement may move both while the other file is read.
    const [position, tail] = [this.#position, this.#positionTail];
    if (tail === undefined || position === 0) return true;
    return tailOf(await this.#bytesBefore(handle, position)) === tail;
  }

  // --- the loop -------------------------------------------------------------------------------------------------

  /** Publishes what the file brings until the signal fires. Resume comes first. */
  async run(signal: AbortSignal): Promise<void> {
    this.#runs = true;
    while (!signal.aborted) {
      try {
        await this.#applyMove();
        await this.#applyRepair(signal);
        if (!this.#context.isHeld() && !this.#truncated && (await this.#step(signal))) continue;
      } catch (error) {
        if (signal.aborted) return;
        this.#context.throttle.run(`${this.source}:${messageOf(error)}`, (repeated) => {
          this.#context.log.warn({ repeated }, `${this.source}: ${messageOf(error)}; trying again`);
        });
        await this.#dropAhead();
        this.#seekToPosition();
        await sleep(RETRY_MS, signal);
      }
      await this.#bell.wait(this.#lookAgainMs(), signal);
    }
  }

  #lookAgainMs(): number {
    return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, this.quietMs / 16));
  }

  #seekToPosition(): void {
    this.#readAt = this.#position;
    this.#readTail = this.#position > 0 ? this.#positionTail : undefined;
  }

  /** One message, or false when there is nothing to say now. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const prepared = await this.#nextPrepared(signal);
    if (prepared !== undefined) {
      await this.#publish(prepared, signal);
      return true;
    }
    if (this.#truncated) {
      this.#onTruncated();
      return false;
    }
    if (this.#handle === undefined && this.#position < this.entry.size) {
      await this.#publish(this.#gap(), signal);
      return true;
    }
    if (
      this.#closing !== undefined &&
      this.#position >= this.entry.size &&
      this.currentSize() <= this.#position
    ) {
      this.entry.closed = this.#closing;
      if (this.#ended) return false;
      await this.#publish(this.#end(this.#closing), signal);
      return true;
    }
    return false;
  }

  /** The file's size now; what was last seen of it when it is not open. */
  currentSize(): number {
    if (this.#handle === undefined) return this.entry.size;
    const { size } = fstatSync(this.#handle.fd);
    if (size === this.entry.size || size < this.#position) return size;
    if (size > this.entry.size) this.#grewAt = performance.now();
    this.entry.size = size;
    this.#context.state.touch();
    return size;
  }

  async #nextPrepared(signal: AbortSignal): Promise<Prepared | undefined> {
    if (this.#handle === undefined) return undefined;
    const size = this.currentSize();
    if (size < this.#position) {
      this.#truncated = true;
      return undefined;
    }
    while (this.#ahead.length > 0) {
      const ready = await this.#ahead.shift();
      if (ready !== undefined) return ready;
    }
    return await this.#prepare(this.#handle, false, signal);
  }

  /**
   * Reads the next chunk, cuts it at a line's end, compresses it. Reads on ahead only full chunks: what is there is
   * a backlog then, and waiting for more would not make it larger.
   */
  async #prepare(handle: FileHandle, ahead: boolean, signal: AbortSignal): Promise<Prepared | undefined> {
    const start = this.#readAt;
    const room = Math.min(this.#maxBytes(), this.#limit - start);
    if (room <= 0 || (!ahead && fstatSync(handle.fd).size <= start)) return undefined;
    const slot = await this.#context.buffers.take(signal);
    if (slot === undefined) return undefined;
    let keepSlot = false;
    try {
      const before = Math.min(TAIL_BYTES, start);
      const read = await readFully(handle, slot.buffer, start - before, before + room);
      if (
        read < before ||
        (this.#readTail !== undefined && tailOf(slot.buffer.subarray(0, before)) !== this.#readTail)
      ) {
        this.#truncated = true;
        return undefined;
      }
      const data = slot.buffer.subarray(before, read);
      if (start === 0 && !headMatches(this.entry.head, data)) {
        this.#truncated = true;
        return undefined;
      }
      if (ahead && data.length < room) return undefined;
      const cut = cutPoint({ data, maxBytes: room, flush: this.#mustFlush() });
      if (cut === 0) return undefined;
      if (start < HEAD_BYTES && this.entry.head.length < HEAD_BYTES)
        this.#growHead(start, data.subarray(0, cut));
      const bytes = data.subarray(0, cut);
      const tail = tailOf(slot.buffer.subarray(0, before + cut));
      this.#readAt = start + cut;
      this.#readTail = tail;
      if (data.length === room && this.#ahead.length < CHUNKS_AHEAD)
        this.#ahead.push(this.#prepare(handle, true, signal));
      const packed = await this.#pack(bytes);
      keepSlot = packed === undefined;
      const payload = packed ?? bytes;
      const encoding = packed === undefined ? 'none' : 'zstd';
      const { begin } = this.entry;
      const chunk: Chunk = {
        kind: 'data',
        start,
        end: start + cut,
        begin,
        after: this.#after(),
        tail,
        encoding,
        crc32: crc32(payload),
      };
      return { chunk, payload, slot: keepSlot ? slot : undefined };
    } finally {
      if (!keepSlot) slot.release();
    }
  }

  #growHead(start: number, data: Uint8Array): void {
    if (start === 0) this.entry.head = headOf(data);
  }

  /** Compressed, or undefined when that saves nothing. */
  async #pack(data: Uint8Array): Promise<Uint8Array | undefined> {
    if (this.#context.compression === 'none') return undefined;
    const packed = await compress(data, {
      chunkSize: OUT_STEP,
      params: { [constants.ZSTD_c_compressionLevel]: 1 },
    });
    return packed.length < data.length ? packed : undefined;
  }

  #maxBytes(): number {
    const { buffers, host } = this.#context;
    return Math.max(
      1,
      Math.min(buffers.chunkBytes, host.link.maxPayload() - HEADER_ROOM - this.source.length * 3),
    );
  }

  #mustFlush(): boolean {
    return this.#closing !== undefined || this.#context.once || this.quietMs >= PARTIAL_LINE_MS;
  }

  #after(): After | undefined {
    return this.entry.after ?? undefined;
  }

  #end(reason: EndReason): Prepared {
    const { begin } = this.entry;
    const at = this.#position;
    const chunk: Chunk = { kind: 'end', start: at, end: at, begin, after: this.#after(), reason };
    return { chunk, payload: new Uint8Array(), slot: undefined };
  }

  #gap(): Prepared {
    const { begin, size } = this.entry;
    const start = this.#position;
    this.#context.log.error(
      { path: this.source, file: this.entry.file, from: start, to: size },
      `${this.source}: bytes ${start} to ${size} are lost: the file is gone`,
    );
    const chunk: Chunk = {
      kind: 'gap',
      start,
      end: size,
      begin,
      after: this.#after(),
      reason: 'the source file is gone',
    };
    return { chunk, payload: new Uint8Array(), slot: undefined };
  }

  async #dropAhead(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = [];
    for (const result of await Promise.allSettled(ahead))
      if (result.status === 'fulfilled') result.value?.slot?.release();
    if (this.#ahead.length > 0) await this.#dropAhead();
    this.#seekToPosition();
  }

  // --- publishing -----------------------------------------------------------------------------------------------

  /** Fenced by the subject's last sequence: the stream takes every chunk exactly once (design §4.5). */
  async #publish({ chunk, payload, slot }: Prepared, signal: AbortSignal): Promise<void> {
    const { host, state } = this.#context;
    await this.#context.pace(chunk.end - chunk.start, signal);
    if (signal.aborted) return;
    const subject = publishSubject(host.topology.prefix, {
      host: host.name,
      path: this.source,
      file: this.entry.file,
    });
    const messageHeaders = headers();
    for (const [name, value] of chunkHeaders(chunk)) messageHeaders.set(name, value);
    try {
      const fence = { lastSubjectSequence: this.#expected };
      const options = { headers: messageHeaders, expect: fence, timeout: PUBLISH_TIMEOUT_MS };
      const ack = await host.link.ask(async () => await host.link.js.publish(subject, payload, options));
      slot?.release();
      this.#expected = ack.seq;
      this.#position = chunk.end;
      if (chunk.kind === 'data') this.#positionTail = chunk.tail;
      this.#ended = chunk.kind === 'end';
      this.#publishedAt = performance.now();
      this.#uncommitted.published(chunk.end, ack.seq);
      if (chunk.kind === 'gap') await this.#seek(undefined);
      if (chunk.kind === 'end') state.touch();
    } catch (error) {
      // The payload may still be on its way: its buffer is not used again.
      slot?.abandon();
      if (!isWrongSequence(error) && !isUnanswered(error)) throw error;
      this.#context.log.debug(
        { path: this.source, why: messageOf(error) },
        'publish refused or unanswered; looking',
      );
      await this.#dropAhead();
      await untilAnswered(
        async () => {
          await this.#look();
        },
        isUnanswered,
        signal,
      );
    }
  }

  /** After any doubt: what the stream holds decides. */
  async #look(): Promise<void> {
    const { host } = this.#context;
    const view = await host.needView();
    const last = await host.lastMessage(this.source, this.entry.file);
    if (last.seq === this.#expected && view.created === this.#created) await this.#dropAhead();
    else if (last.chunk === undefined) await this.#resumeFrom(view);
    else {
      this.#position = last.chunk.end;
      this.#expected = last.seq;
      this.#created = view.created;
      this.#ended = last.chunk.kind === 'end';
      await this.#seek(last.chunk.kind === 'data' ? last.chunk.tail : null);
    }
  }

  // --- progress and repair --------------------------------------------------------------------------------------

  /** What is known now; a decision about it may come later. */
  snapshot(): Published {
    return {
      position: this.#position,
      ended: this.#ended,
      lastSeq: this.#expected,
      created: this.#created,
      begin: this.entry.begin,
      quietMs: performance.now() - this.#publishedAt,
    };
  }

  /** A commit notice: only ever raises what is committed; the record is asked before anything is decided. */
  noticed(offset: number): void {
    if (offset > this.#committed && offset <= this.#position) this.#setCommitted(offset);
  }

  #setCommitted(offset: number): void {
    this.#committed = offset;
    this.#uncommitted.committed(offset);
  }

  /** The record and the stream were read after `snapshot`; a repair is made between two messages. */
  observed(snapshot: Published, view: HostView): void {
    const observed = observedOf(view, this.entry.file);
    if (snapshot.created === '') return;
    this.#setCommitted(committedOffset(this.entry, observed));
    const decision = decideRepair(snapshot, observed);
    if (decision.kind === 'none') return;
    this.#repair = { decision, expected: snapshot.lastSeq, view };
    this.wake();
  }

  async #applyRepair(signal: AbortSignal): Promise<void> {
    const repair = this.#repair;
    if (repair === undefined || signal.aborted) return;
    this.#repair = undefined;
    let { decision } = repair;
    if (this.#expected !== repair.expected && decision.kind === 'look') return;
    if (decision.kind === 'look') {
      const last = await this.#context.host.lastMessage(this.source, this.entry.file);
      decision = afterLook(
        this.snapshot(),
        observedOf(repair.view, this.entry.file),
        decision.because,
        last.seq,
      );
      if (decision.kind === 'none') this.#publishedAt = performance.now();
    }
    if (decision.kind === 'forget') {
      this.#created = repair.view.created;
      this.#expected = 0;
    }
    if (decision.kind !== 'rewind') return;
    const fresh = this.#expected === repair.expected;
    this.#context.log.info(
      {
        path: this.source,
        file: this.entry.file,
        from: this.#position,
        to: decision.to,
        reason: decision.reason,
      },
      `${this.source}: shipping again from byte ${decision.to}: ${decision.reason}`,
    );
    if (decision.expected !== undefined && fresh) this.#expected = decision.expected;
    this.#created = repair.view.created;
    this.#position = Math.min(this.#position, decision.to);
    this.#ended = false;
    this.#publishedAt = performance.now();
    this.#uncommitted.rewound();
    const entry = repair.view.entry(this.entry.file);
    await this.#seek(entry?.offset === this.#position ? entry.tail : undefined);
  }
}
