// Files of one path that were found and opened, and have no generation yet: nobody else may take them meanwhile.

import { Bell } from '../../common/runtime/run.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Candidate } from '../files/candidate.ts';

export class Arrivals {
  readonly #context: Pick<ShipperContext, 'knownFiles' | 'openFiles'>;
  readonly #path: string;
  /** Those at the end of the path's generations, oldest first. */
  readonly #queue: Candidate[] = [];
  /** Those whose place is before a generation that waits for them. */
  readonly #claimed = new Set<Candidate>();
  readonly #bell = new Bell();

  constructor(context: Pick<ShipperContext, 'knownFiles' | 'openFiles'>, path: string) {
    this.#context = context;
    this.#path = path;
  }

  get queue(): readonly Candidate[] {
    return this.#queue;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** It comes after all that are known. */
  add(candidate: Candidate): void {
    this.#queue.push(candidate);
    this.#hold(candidate);
    this.#bell.ring();
  }

  /** It comes before a generation that is known. */
  claim(candidate: Candidate): void {
    this.#claimed.add(candidate);
    this.#hold(candidate);
  }

  /** It has a generation. */
  settled(candidate: Candidate): void {
    const index = this.#queue.indexOf(candidate);
    if (index >= 0) this.#queue.splice(index, 1);
    this.#claimed.delete(candidate);
    this.#context.knownFiles.remove(candidate.found.stamp, this.#path);
    this.#context.openFiles.arrived(-1);
  }

  #hold({ found }: Candidate): void {
    this.#context.knownFiles.add(found.stamp, this.#path);
    this.#context.openFiles.arrived(1);
  }

  /** Waits for one to come, or for a ring. */
  async wait(signal: AbortSignal): Promise<void> {
    await this.#bell.wait(Number.POSITIVE_INFINITY, signal);
  }

  wake(): void {
    this.#bell.ring();
  }

  async close(): Promise<void> {
    for (const candidate of [...this.#queue, ...this.#claimed]) {
      this.settled(candidate);
      await candidate.handle.close();
    }
  }
}
