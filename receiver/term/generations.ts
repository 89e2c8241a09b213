// How many generations of source files a receiver has in memory, and whose they are. Each costs memory for as long as
// the record knows it, so a host that makes up file ids could end the receiver of all hosts. Pure.

import { sourceOf } from '../../common/wire/subjects.ts';

/**
 * What a generation takes in its owner's record and ledger. Measured: 0.6 KiB each for 200,000 of one path, 1.7 for 60,000
 * of a path of their own.
 */
const BYTES_PER_GENERATION = 1_024;
/** Of the heap, what Node 24 keeps for objects that have just been made. */
const YOUNG_BYTES = 192 * 1024 ** 2;
/** The rest of the heap is for everything else, and for garbage that is not collected yet. */
const SHARE_OF_HEAP = 0.5;
/** Beyond the limit by this factor not even a host without any may begin one: host names can be made up as well. */
const LAST = 1.25;

/** @param heapBytes what Node's heap may grow to, `heap_size_limit` of V8 */
export function mostGenerations(heapBytes: number): number {
  const old = Math.max(heapBytes - YOUNG_BYTES, heapBytes / 4);
  return Math.floor((old * SHARE_OF_HEAP) / BYTES_PER_GENERATION);
}

/** Of all partitions together. */
export class Generations {
  readonly most: number;
  readonly #hosts = new Map<string, number>();
  #count = 0;

  /** @param most from here on, hosts that have more than others begin no new ones */
  constructor(most: number) {
    this.most = most;
  }

  get count(): number {
    return this.#count;
  }

  /** Of a host, and of all of them. */
  counts(host: string): { own: number; all: number } {
    return { own: this.#hosts.get(host) ?? 0, all: this.#count };
  }

  /** Whether a host may begin another one: when there are too many, only one that has fewer than the average. */
  mayBegin(host: string): boolean {
    const { own, all } = this.counts(host);
    return all < this.most || (all < this.most * LAST && own * this.#hosts.size < all);
  }

  /** @param more how many; negative when a partition is let go */
  add(host: string, more: number): void {
    const { own, all } = this.counts(host);
    this.#count = all + more;
    if (own + more > 0) this.#hosts.set(host, own + more);
    else this.#hosts.delete(host);
  }
}

/** Of one partition, from its take until it is let go. */
export class PartitionGenerations {
  readonly #all: Generations;
  readonly #hosts = new Map<string, number>();

  /** @param files the keys of its record's files */
  constructor(all: Generations, files: Iterable<string>) {
    this.#all = all;
    for (const file of files) this.began(sourceOf(file).host);
  }

  mayBegin(host: string): boolean {
    return this.#all.mayBegin(host);
  }

  /** See Generations. */
  counts(host: string): { own: number; all: number } {
    return this.#all.counts(host);
  }

  began(host: string): void {
    this.#hosts.set(host, (this.#hosts.get(host) ?? 0) + 1);
    this.#all.add(host, 1);
  }

  /** What was begun and not committed is forgotten: counted anew. */
  recount(files: Iterable<string>): void {
    this.letGo();
    for (const file of files) this.began(sourceOf(file).host);
  }

  letGo(): void {
    for (const [host, count] of this.#hosts) this.#all.add(host, -count);
    this.#hosts.clear();
  }
}
