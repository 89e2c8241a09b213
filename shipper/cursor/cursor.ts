// A cursor over one file: its descriptor from the first to the last, what is read from it, whether it still is the file
// that was read; moves on to a copy, rests, is opened again. Never knows where its bytes go, nor decides how far they are.

import type { FileHandle } from '../files/disk.ts';
import { type Elsewhere, openAgain, type Opened, type Seen } from '../files/candidate.ts';
import type { Content } from '../files/examine.ts';
import { standsBefore } from '../files/fingerprint.ts';
import { isSameFile } from '../files/identity.ts';
import type { OpenFile } from '../files/open-files.ts';
import type { GenerationState } from '../files/generation-state.ts';
import type { State } from '../files/state.ts';
import type { CursorContext, CursorFile, CursorReader } from './context.ts';
import { Moves } from './moves.ts';
import type { Piece } from './piece.ts';
import { Tailer, type TailerOptions } from './tailer.ts';
import type { Touch } from './touches.ts';

/** For so long after the last byte its reader looks, and so often that telling is of no use; then the sweep does. */
const POLLED_MS = 4_000;
/** For so long the sweep looks at it each second. */
const RECENT_MS = 30_000;
/** A writer has left a finished file when it was silent for this long. */
const LEFT_MS = 2_000;

export class Cursor implements OpenFile {
  readonly #name: string;
  readonly #state: State;
  readonly #entry: GenerationState;
  readonly #reader: CursorReader;
  readonly #tailer: Tailer;
  readonly #moves: Moves;
  /** End of what was taken, and what must stand before it where that is known. */
  #position = 0;
  #tail: string | undefined;
  #isEndKnown = true;

  constructor(
    context: CursorContext,
    file: CursorFile,
    handle: FileHandle | undefined,
    reader: CursorReader,
    options: Pick<TailerOptions, 'maxBytes' | 'countsLines'>,
  ) {
    [this.#name, this.#entry] = [file.name, file.entry];
    [this.#state, this.#reader] = [context.state, reader];
    const { buffers, packers, fileSystems, once } = context;
    const hasEnded = (): boolean => reader.closing !== undefined || once;
    const shared = { buffers, packers, hasEnded, isRemote: (device: bigint) => fileSystems.isRemote(device) };
    this.#tailer = new Tailer({ ...shared, ...options }, file.entry, handle);
    this.#moves = new Moves(context, file, this.#tailer, this);
  }

  get position(): number {
    return this.#position;
  }

  /** Goes on reading at the position; `tail` is what must stand before it, where that is known. */
  async seek(position: number, tail: string | null | undefined): Promise<void> {
    [this.#position, this.#tail] = [position, tail ?? undefined];
    await this.readAgain();
  }

  /** What was read and not taken is read once more. */
  async readAgain(): Promise<void> {
    await this.#tailer.seek(this.#position, this.#tail);
  }

  /** What was read was taken up to there, and `tail` stands before it. */
  taken(position: number, tail: string | undefined = this.#tail): void {
    [this.#position, this.#tail] = [position, tail];
  }

  /** The next piece; undefined when there is none now. */
  async next(): Promise<Piece | undefined> {
    const piece = this.#tailer.isReplaced(this.#position) ? undefined : await this.#tailer.next();
    if (this.#tailer.noteSize()) this.#state.touch();
    return piece;
  }

  get isBacklog(): boolean {
    return this.#tailer.isBacklog;
  }

  limitTo(size: number): void {
    this.#tailer.limitTo(size);
  }

  // --- what is known of the file --------------------------------------------------------------------------------

  get isOpen(): boolean {
    return this.#tailer.handle !== undefined;
  }

  /** The file's size now, or what was last seen of it when it is not open. */
  get size(): number {
    return this.#tailer.size();
  }

  /** Asks for the size of a file on a disk that may not answer; any other is asked when its size is wanted. */
  async askSize(): Promise<void> {
    await this.#tailer.refresh();
  }

  get quietMs(): number {
    return this.#tailer.quietMs;
  }

  get isRecent(): boolean {
    return this.isOpen && this.quietMs < RECENT_MS;
  }

  /** Whether its reader looks by itself: for a while after the last byte. Then the sweep wakes it. */
  get isPolled(): boolean {
    return this.isOpen && (this.quietMs < POLLED_MS || this.#tailer.touches.mayFollow);
  }

  /** All that was seen of it was taken. */
  get isTaken(): boolean {
    return this.#position >= this.#entry.size;
  }

  /** The same with --once, where only so much counts; and nothing is missing that was not seen. */
  get isAllTaken(): boolean {
    return this.#isEndKnown && this.#position >= Math.min(this.#entry.size, this.#tailer.limit);
  }

  /** Taken to its very end. A move brings what may have been written since it was closed. */
  get isAtEnd(): boolean {
    return this.isTaken && this.size <= this.#position && !this.#moves.isDue;
  }

  /** It has, or may have, bytes that were not taken, and is not open. */
  get isWanted(): boolean {
    return !this.isOpen && (!this.isTaken || !this.#isEndKnown);
  }

  /** The same, and it stands as it was read, as far as can be told on the spot; false where it is not known. */
  get isUntouched(): boolean {
    return this.isTaken && this.#tailer.standsAsRead(this.#position, this.#tail);
  }

  /** Whether all of it was taken, and it was not written to since: one question instead of several. */
  async isAsItWas(): Promise<boolean> {
    await this.#tailer.refresh();
    return this.isTaken && this.#tailer.isAsItWas(this.#position);
  }

  /** It has nothing more, and was written to since it was looked into: perhaps by who began it again. */
  touch(): Touch | undefined {
    return this.size === this.#position ? this.#tailer.touch() : undefined;
  }

  /** The content is not what was read before: the file was truncated or written anew. */
  get isReplaced(): boolean {
    return !this.#moves.isDue && this.#tailer.isReplaced(this.#position);
  }

  /** The same of what is open now, where it may be about to move; compares the bytes after a change. */
  async hasOtherBytes(touch: Touch | 'any' | undefined): Promise<boolean> {
    if (touch !== undefined) await this.#tailer.check(this.#position, this.#tail);
    if (typeof touch === 'object') this.#tailer.touches.lookedInto(touch);
    return this.#tailer.isReplaced(this.#position);
  }

  /** Whether the file is the one that the head and the bytes before the position were taken from. */
  async matches(): Promise<boolean> {
    return await this.#tailer.matches(this.#position, this.#tail);
  }

  /** Whether another file has the bytes that stand before the position here: a copy goes on where this one ended. */
  async isContinuedBy(handle: FileHandle): Promise<boolean> {
    return await standsBefore(handle, this.#position, this.#tail);
  }

  get content(): Content {
    const { head, sums } = this.#entry;
    return { head, sums, position: this.#position, tail: this.#tail };
  }

  /** The same, with the file where one is open that has all of them. */
  get seen(): Seen {
    const { size } = this.#entry;
    const handle = this.#moves.isWhole && !this.#moves.isDue ? this.#tailer.handle : undefined;
    const modified = handle && this.#tailer.modified();
    return { content: this.content, size, handle, isFound: this.#isEndKnown, modified };
  }

  /** What is open, or will be when it has moved. */
  get opened(): FileHandle | undefined {
    return this.#moves.isDue ? this.#moves.next : this.#tailer.handle;
  }

  // --- the descriptor -------------------------------------------------------------------------------------------

  /** Another descriptor of its file, if it is open. */
  async openAgain(): Promise<Opened | undefined> {
    const { handle } = this.#tailer;
    return handle === undefined ? undefined : await openAgain(handle, this.#name);
  }

  /** The same of a file that has all its bytes: its own, or its copy. */
  async openWhole(): Promise<FileHandle | undefined> {
    if (!this.#moves.isWhole || this.#moves.isDue) return undefined;
    const opened = await this.openAgain();
    if (opened === undefined) return undefined;
    const mine = [this.#entry, this.#entry.copy ?? this.#entry];
    // Closed meanwhile, its number may be another file's; and what was unpacked is not what is on the host.
    if (mine.some((stamp) => isSameFile(stamp, opened.found.stamp))) return opened.handle;
    await opened.handle.close();
    return undefined;
  }

  /** Gives back the descriptor that it was made with: another cursor has it. */
  disown(): void {
    this.#moves.disown();
  }

  /** From now on it moves when `move` is called, between two pieces. */
  lead(): void {
    this.#moves.lead();
  }

  /**
   * Goes on, between two pieces, in another file with the same content: the copy of copytruncate, or undefined when
   * there is none. Ends with as many bytes as the other one has, or at `size`.
   */
  moveTo(to: Elsewhere | undefined, size = to?.size ?? this.#entry.size): void {
    this.#moves.to(to, size);
    this.#reader.wake();
  }

  /** Moves if it was told to. */
  async move(): Promise<void> {
    await this.#moves.make();
  }

  /** Before it goes back: a copy that has no bytes from there on is let go of, and looked for anew. */
  leaveFor(position: number): void {
    if (this.#moves.lacks(position)) this.moveTo(undefined);
  }

  /** All that there is of it was seen, or is open. */
  get isEndKnown(): boolean {
    return this.#isEndKnown;
  }

  /** There may be more of it than was seen, in a file that is not ready: looked for before it counts as finished. */
  lookLater(): void {
    this.#isEndKnown = false;
  }

  /** It was looked for, as its bytes are wanted. */
  lookedFor(elsewhere: Elsewhere | undefined): void {
    const wasEndKnown = this.#isEndKnown;
    this.#isEndKnown = true;
    if (elsewhere !== undefined) this.moveTo(elsewhere, wasEndKnown ? this.#entry.size : elsewhere.size);
  }

  /** Its file is at the path and may have more than was seen: its reader opens it to go on, where it is not open. */
  foundAgain(size: number): void {
    if (this.#reader.closing === 'truncated') return;
    if (!this.isOpen && size > this.#entry.size) {
      this.#entry.size = size;
      this.#entry.done = false;
    }
    this.#reader.wake();
  }

  /** Lets go of a finished file; it is opened again, if it still can be, when its bytes are wanted. */
  park(): void {
    this.moveTo(undefined);
  }

  /** All of it was taken; closed, nothing is missed but what comes, which the sweep sees. */
  get mayRest(): boolean {
    if (!this.isOpen || this.#moves.isDue || !this.#reader.hasBegun) return false;
    // Nobody looks at a finished one again: the writer must have left it.
    const hasLeft = this.#reader.isDrained && this.quietMs >= LEFT_MS;
    if (this.#reader.closing !== undefined && !hasLeft) return false;
    return !this.isReplaced && this.isTaken && this.size === this.#position;
  }

  get isCommitted(): boolean {
    return this.#reader.isCommitted;
  }

  rest(): void {
    if (this.#reader.closing === undefined) this.#moves.rests();
    this.park();
  }

  /** When its file was written to last, in nanoseconds since 1970, if it gave up its descriptor; see Moves. */
  get restedAt(): bigint | undefined {
    return this.#moves.restedAt;
  }

  async close(): Promise<void> {
    await this.#moves.close();
  }
}
