// Deliveries of a stream as blocks of lines: what is selected, decompressed and checked, each byte once. What is no bundle
// or is damaged is skipped, and said. Never reads or writes by itself.

import { type Bundle, bundleIn } from '../../common/wire/bundle.ts';
import type { Chunk, DataChunk } from '../../common/wire/chunk.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { Throttle } from '../../common/runtime/log.ts';
import type { Selection } from '../../common/fleet/selection.ts';
import type { SourceName } from '../../common/wire/subjects.ts';
import { type Delivery, storedAt } from '../../common/stream/pull.ts';
import { printable } from '../terminal/printable.ts';
import { type Block, LineKeeper } from './lines.ts';

export interface FeedOptions {
  /** What stored subjects begin with. */
  readonly prefix: string;
  readonly selection: Selection;
  readonly log: Logger;
}

/** A chunk that is selected. */
export interface Selected {
  readonly source: SourceName;
  readonly chunk: Chunk;
}

/** A delivery of which something is selected. */
export interface Fed {
  readonly delivery: Delivery;
  readonly selected: readonly Selected[];
  /** The lines that are complete with it. */
  readonly blocks: Block[];
}

interface Item extends Selected {
  /** In its bundle. */
  readonly index: number;
  readonly data: Promise<Uint8Array | undefined> | undefined;
}

interface Opened {
  readonly delivery: Delivery;
  readonly bundle: Bundle;
  readonly items: readonly Item[];
}

/** Bundles that are decompressed ahead. */
const AHEAD = 3;
/** Paths of hosts of which is remembered whether they are selected. */
const MOST_PATHS = 50_000;

export class Feed {
  readonly #options: FeedOptions;
  readonly #throttle = new Throttle();
  readonly #isSelected = new Map<string, boolean>();
  readonly lines: LineKeeper;

  constructor(options: FeedOptions, lines = new LineKeeper()) {
    this.#options = options;
    this.lines = lines;
  }

  /** Those deliveries of which something is selected, in their order. */
  async *blocks(deliveries: readonly Delivery[]): AsyncGenerator<Fed, void> {
    // No more than these: what is unpacked is many times as long as what was delivered.
    const opened: Opened[] = [];
    const waiting = deliveries.values();
    for (let next = waiting.next(); ;) {
      for (; next.done !== true && opened.length <= AHEAD; next = waiting.next())
        opened.push(...this.#open(next.value));
      const first = opened.shift();
      if (first === undefined) return;
      yield { delivery: first.delivery, selected: first.items, blocks: await this.#blocksOf(first) };
    }
  }

  /** Nothing when none of it is selected, or it cannot be read. */
  #open(delivery: Delivery): Opened[] {
    const { prefix } = this.#options;
    try {
      const { host, bundle } = bundleIn(prefix, delivery);
      const items: Item[] = [];
      for (const [index, { path, file, chunk }] of bundle.listed.entries()) {
        if (!this.#selects(host, path)) continue;
        const source = { host, path, file };
        const isWanted = chunk.kind === 'data' && this.lines.wants(source, chunk);
        items.push({ index, source, chunk, data: isWanted ? bundle.bytesOf(index) : undefined });
      }
      return items.length === 0 ? [] : [{ delivery, bundle, items }];
    } catch (error) {
      if (!(error instanceof LogferryError)) throw error;
      this.#skipped('foreign', delivery, `that logferry did not write: ${error.message}`);
      return [];
    }
  }

  #selects(host: string, path: string): boolean {
    const key = pathKey({ host, path });
    const known = this.#isSelected.get(key);
    if (known !== undefined) return known;
    if (this.#isSelected.size >= MOST_PATHS) this.#isSelected.clear();
    const isSelected = this.#options.selection.matches(host, path);
    this.#isSelected.set(key, isSelected);
    return isSelected;
  }

  async #blocksOf(opened: Opened): Promise<Block[]> {
    const blocks: Block[] = [];
    let damaged: SourceName | undefined;
    for (const item of opened.items) {
      const { source, chunk } = item;
      if (chunk.kind === 'end') blocks.push(...this.lines.end(source));
      else if (chunk.kind === 'gap') {
        const before = this.lines.skip(source, chunk);
        if (before === undefined) continue;
        blocks.push(...before);
        this.#options.log.warn(
          `${nameOf(source)}: bytes ${chunk.start} to ${chunk.end} are lost (${printable(chunk.reason)})`,
        );
      } else {
        const lines = await this.#linesOf(opened, item, chunk);
        if (lines === undefined) damaged ??= source;
        else blocks.push(...lines);
      }
    }
    // Once for a message, whatever is in it.
    if (damaged !== undefined)
      this.#skipped('damaged', opened.delivery, `of ${nameOf(damaged)} that does not match its checksum`);
    return blocks;
  }

  /** Undefined when the bytes are not those that were sent. */
  async #linesOf(
    { bundle, delivery }: Opened,
    { source, index, data }: Item,
    chunk: DataChunk,
  ): Promise<Block[] | undefined> {
    // Another chunk may have brought the same bytes since.
    if (!this.lines.wants(source, chunk)) return [];
    const bytes = await (data ?? bundle.bytesOf(index));
    if (bytes === undefined) return undefined;
    return this.lines.take(source, chunk, bytes, storedAt(delivery), performance.now());
  }

  #skipped(kind: string, delivery: Delivery, what: string): void {
    this.#throttle.run(kind, (held) => {
      const before = held === 0 ? '' : ` (and ${held} more before)`;
      this.#options.log.warn({ seq: delivery.seq }, `skipped a message ${what}${before}`);
    });
  }
}

/** A file across its generations. */
export function pathKey({ host, path }: { readonly host: string; readonly path: string }): string {
  return JSON.stringify([host, path]);
}

function nameOf({ host, path }: SourceName): string {
  return `${printable(host)}: ${printable(path)}`;
}
