// One generation, verified: against its source where the host still has it, else against the ledgers of those who hold
// it. Keeps count of every byte that has to be there. Never says anything.

import { bothRanges, bytesOf, type ByteRange, joinRanges, withoutRanges } from '../../common/wire/ranges.ts';
import { type CheckedStretch, type HeldFile, partsOf, SMALLEST_BLOCK } from '../../common/fleet/verify.ts';
import { compareRange, type Difference } from './compare.ts';
import { NoAnswer } from './daemons.ts';
import type { Holder, SourceSide, Wanted } from './sides.ts';
import type { Unverified, Verified } from './verified.ts';

/** A holder and what it holds of this generation. */
export interface Held {
  readonly holder: Holder;
  readonly file: HeldFile;
}

export class GenerationCheck {
  readonly wanted: Wanted;
  readonly #sources: SourceSide | undefined;
  readonly #onBytes: (bytes: number) => void;
  #byHost: ByteRange[] = [];
  #byLedger: ByteRange[] = [];
  #unknown: ByteRange[] = [];
  #removed: ByteRange[] = [];
  readonly #differs: Difference[] = [];
  readonly #unverified: Unverified[] = [];
  /** What was done, by holder. */
  readonly #done = new Map<string, ByteRange[]>();
  #isGone = false;
  /** Why the source cannot be asked; the ledgers are checked all the same. */
  #silent: string | undefined;

  /** @param sources undefined: only the ledgers' checksums count */
  constructor(wanted: Wanted, sources: SourceSide | undefined, onBytes: (bytes: number) => void) {
    this.wanted = wanted;
    this.#sources = sources;
    this.#onBytes = onBytes;
    this.#isGone = sources === undefined;
  }

  /** Verifies what these hold and is not done yet. */
  async verify(all: readonly Held[]): Promise<void> {
    const { committed } = this.wanted;
    for (const { file } of all) this.#removed = joinRanges([...this.#removed, ...file.removed]);
    for (const { holder, file } of all) {
      const held = bothRanges(file.held, [[0, committed]]);
      const left = withoutRanges(held, this.#done.get(holder.name) ?? []);
      try {
        await this.#probe(left);
        for (const range of left)
          for (const part of partsOf(range)) if (!this.#isGone) await this.#compare(holder, part);
        if (this.#isGone) await this.#check(holder, withoutRanges(left, this.#done.get(holder.name) ?? []));
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        for (const [start, end] of withoutRanges(left, this.#done.get(holder.name) ?? []))
          this.#unverified.push({ start, end, why: error.message });
        this.#finish(holder, left);
      }
    }
  }

  /** Asked for a little first: a holder need not read what the host has nothing to compare with. */
  async #probe([range]: readonly ByteRange[]): Promise<void> {
    if (range === undefined || this.#isGone || this.#done.size > 0) return;
    const [start, end] = range;
    const blocks = { start, end: Math.min(end, start + SMALLEST_BLOCK), block: SMALLEST_BLOCK };
    const { state } = await this.#askSource(this.#sources, [this.wanted, blocks]);
    this.#isGone = state === 'gone';
  }

  async #compare(holder: Holder, part: ByteRange): Promise<void> {
    const { wanted } = this;
    if (this.#sources === undefined) return;
    const sources: SourceSide = {
      hash: async (...question) => await this.#askSource(this.#sources, question),
    };
    const compared = await compareRange(sources, holder, wanted, part);
    if (compared === undefined) {
      this.#isGone = true;
      return;
    }
    this.#differs.push(...compared.differs);
    const wrong = [
      ...compared.differs.map(({ start, end }): ByteRange => [start, end]),
      ...compared.unlisted,
    ];
    this.#byHost = joinRanges([...this.#byHost, ...withoutRanges([part], wrong)]);
    // What it does not list any more is missing, unless it is found elsewhere.
    this.#finish(holder, withoutRanges([part], compared.unlisted));
  }

  /** A shipper that does not answer is as good as a source that is gone, but what is there is not verified. */
  async #askSource(
    sources: SourceSide | undefined,
    [wanted, blocks]: Parameters<SourceSide['hash']>,
  ): ReturnType<SourceSide['hash']> {
    try {
      if (sources !== undefined) return await sources.hash(wanted, blocks);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      this.#silent = error.message;
    }
    return { state: 'gone', why: '' };
  }

  async #check(holder: Holder, left: readonly ByteRange[]): Promise<void> {
    const { host, file } = this.wanted;
    const first = left[0]?.[0];
    if (first === undefined) return;
    // A stretch that begins before is asked for as well.
    for (let from: number | null = 0; from !== null && from < (left.at(-1)?.[1] ?? 0);) {
      const { stretches, next } = await holder.check(host, file, from);
      for (const stretch of stretches) this.#note(holder, stretch, left);
      from = next !== null && next > from ? next : null;
    }
  }

  #note(holder: Holder, stretch: CheckedStretch, left: readonly ByteRange[]): void {
    const own = bothRanges(left, [[stretch.start, stretch.end]]);
    if (own.length === 0) return;
    if (stretch.result === 'same') {
      if (this.#silent === undefined) this.#byLedger = joinRanges([...this.#byLedger, ...own]);
      else this.#addUnverified(own, `${this.#silent} (what is there is what was written)`);
    } else if (stretch.result === 'unknown') {
      if (this.#silent === undefined) this.#unknown = joinRanges([...this.#unknown, ...own]);
      else this.#addUnverified(own, this.#silent);
    } else {
      const { start, end, why } = stretch;
      const by =
        stretch.result === 'unreadable'
          ? why
          : 'not the bytes that were written, by the checksum in the ledger';
      this.#differs.push({ start, end, holder: holder.name, place: stretch, why: by });
    }
    this.#finish(holder, own);
  }

  #addUnverified(ranges: readonly ByteRange[], why: string): void {
    for (const [start, end] of ranges) {
      const last = this.#unverified.at(-1);
      if (last?.end === start && last.why === why)
        this.#unverified[this.#unverified.length - 1] = { ...last, end };
      else this.#unverified.push({ start, end, why });
    }
  }

  #finish(holder: Holder, ranges: readonly ByteRange[]): void {
    const before = this.#done.get(holder.name) ?? [];
    this.#onBytes(bytesOf(withoutRanges(ranges, before)));
    this.#done.set(holder.name, joinRanges([...before, ...ranges]));
  }

  /** What has to be there and was neither looked at nor removed. */
  get missing(): ByteRange[] {
    const { expected, mayBeginLater } = this.wanted;
    const seen = [...[...this.#done.values()].flat(), ...this.#removed];
    const missing = withoutRanges(expected, seen);
    const [first] = missing;
    const isBegin = mayBeginLater && first?.[0] === expected[0]?.[0] && first?.[1] !== expected.at(-1)?.[1];
    return isBegin ? missing.slice(1) : missing;
  }

  /** @param whyAway why nothing is known of a directory, when its receiver does not answer */
  result(whyAway: (directory: string) => string | undefined): Verified {
    const missing: ByteRange[] = [];
    const unverified = [...this.#unverified];
    for (const { range, directory } of this.#byDirectory(this.missing)) {
      const why = directory === undefined ? undefined : whyAway(directory);
      if (why === undefined) missing.push(range);
      else unverified.push({ start: range[0], end: range[1], why });
    }
    const wrong = this.#differs.map(({ start, end }): ByteRange => [start, end]);
    const byHost = withoutRanges(this.#byHost, wrong);
    const byLedger = withoutRanges(this.#byLedger, [...wrong, ...byHost]);
    const unknown = withoutRanges(this.#unknown, [...wrong, ...byHost, ...byLedger]);
    const seen = [...byHost, ...byLedger, ...unknown, ...wrong];
    const { expected } = this.wanted;
    const removed = withoutRanges(bothRanges(this.#removed, expected), seen);
    return {
      wanted: this.wanted,
      byHost,
      byLedger,
      unknown,
      removed,
      missing,
      differs: this.#differs,
      unverified,
    };
  }

  /** Cut where another directory has to hold what follows. */
  #byDirectory(ranges: readonly ByteRange[]): { range: ByteRange; directory: string | undefined }[] {
    const { directories } = this.wanted;
    if (directories.length === 0) return ranges.map((range) => ({ range, directory: undefined }));
    return directories.flatMap(([directory, from], index) => {
      const own: ByteRange = [from, directories[index + 1]?.[1] ?? Number.POSITIVE_INFINITY];
      return bothRanges(ranges, [own]).map((range) => ({ range, directory }));
    });
  }
}
