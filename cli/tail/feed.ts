// Deliveries of a stream as blocks of lines: what is selected, decompressed and checked, each byte once. What is no chunk
// or is damaged is skipped, and said. Never reads or writes by itself.

import { type Chunk, type DataChunk, parseChunk } from '../../common/wire/chunk.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { Throttle } from '../../common/runtime/log.ts';
import type { Selection } from '../../common/fleet/selection.ts';
import { parseStoredSubject, type SourceName } from '../../common/wire/subjects.ts';
import { decode } from '../../common/wire/decode.ts';
import { type Delivery, storedAt } from '../../common/stream/pull.ts';
import { printable } from '../terminal/printable.ts';
import { type Block, LineKeeper } from './lines.ts';

export interface FeedOptions {
  /** What stored subjects begin with. */
  readonly prefix: string;
  readonly selection: Selection;
  readonly log: Logger;
}

interface Parsed {
  readonly delivery: Delivery;
  readonly source: SourceName;
  readonly chunk: Chunk;
  data: Promise<Uint8Array | undefined> | undefined;
}

/** Chunks that are decompressed ahead. */
const AHEAD = 3;
/** Subjects whose source is remembered: most messages are of a few. */
const MOST_SUBJECTS = 50_000;

export class Feed {
  readonly #options: FeedOptions;
  readonly #throttle = new Throttle();
  /** Undefined for those that are not selected, and for foreign ones. */
  readonly #sources = new Map<string, SourceName | undefined>();
  readonly lines: LineKeeper;

  constructor(options: FeedOptions, lines = new LineKeeper()) {
    this.#options = options;
    this.lines = lines;
  }

  /** The lines that are complete with each of the deliveries, in their order. */
  async *blocks(
    deliveries: readonly Delivery[],
  ): AsyncGenerator<{ delivery: Delivery; blocks: Block[] }, void> {
    const parsed = deliveries.map((delivery) => this.#parse(delivery)).filter((one) => one !== undefined);
    let ahead = 0;
    for (const [index, item] of parsed.entries()) {
      for (; ahead < parsed.length && ahead <= index + AHEAD; ahead += 1) this.#startDecoding(parsed[ahead]);
      yield { delivery: item.delivery, blocks: await this.#blocksOf(item) };
      item.data = undefined;
    }
  }

  /** What the subject names, if that is selected. */
  sourceOf(subject: string): SourceName | undefined {
    if (this.#sources.has(subject)) return this.#sources.get(subject);
    if (this.#sources.size > MOST_SUBJECTS) this.#sources.clear();
    const { prefix, selection } = this.#options;
    const source = parseStoredSubject(prefix, subject);
    const isSelected = source !== undefined && selection.matches(source.host, source.path);
    const known = isSelected ? source : undefined;
    this.#sources.set(subject, known);
    return known;
  }

  #parse(delivery: Delivery): Parsed | undefined {
    const source = this.sourceOf(delivery.subject);
    if (source === undefined) return undefined;
    try {
      const chunk = parseChunk(delivery.header, delivery.data.length);
      return { delivery, source, chunk, data: undefined };
    } catch (error) {
      if (!(error instanceof LogferryError)) throw error;
      this.#skipped('foreign', delivery, `that logferry did not write: ${error.message}`);
      return undefined;
    }
  }

  #startDecoding(item: Parsed | undefined): void {
    if (item?.chunk.kind === 'data' && this.lines.wants(item.source, item.chunk))
      item.data = decode(item.chunk, item.delivery.data);
  }

  async #blocksOf(item: Parsed): Promise<Block[]> {
    const { source, chunk } = item;
    switch (chunk.kind) {
      case 'data':
        return await this.#linesOf(item, chunk);
      case 'end':
        return this.lines.end(source);
      case 'gap': {
        const blocks = this.lines.skip(source, chunk);
        if (blocks !== undefined)
          this.#options.log.warn(
            `${nameOf(source)}: bytes ${chunk.start} to ${chunk.end} are lost (${printable(chunk.reason)})`,
          );
        return blocks ?? [];
      }
    }
  }

  async #linesOf({ source, delivery, data }: Parsed, chunk: DataChunk): Promise<Block[]> {
    if (!this.lines.wants(source, chunk)) return [];
    const bytes = await (data ?? decode(chunk, delivery.data));
    if (bytes !== undefined)
      return this.lines.take(source, chunk, bytes, storedAt(delivery), performance.now());
    this.#skipped('damaged', delivery, `of ${nameOf(source)} that does not match its checksum`);
    return [];
  }

  #skipped(kind: string, delivery: Delivery, what: string): void {
    this.#throttle.run(kind, (held) => {
      const before = held === 0 ? '' : ` (and ${held} more before)`;
      this.#options.log.warn({ seq: delivery.seq }, `skipped a message ${what}${before}`);
    });
  }
}

function nameOf({ host, path }: SourceName): string {
  return `${printable(host)}: ${printable(path)}`;
}
