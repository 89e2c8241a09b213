// Which generations the ledger says something of, with the lines that it does not list yet: what comes before them it says
// too. Pure.

import { type Earlier, earlierThan, type Known } from '../ledger/known.ts';
import { type Ledger, says } from '../ledger/ledger.ts';

export class Said {
  readonly #ledger: Ledger;
  /** Those that have lines which the ledger does not list yet: in the group that is being committed, and in the next. */
  readonly #committing = new Set<string>();
  readonly #next = new Set<string>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /**
   * A line is written for a generation. The first time, what has to be said of those before it, which no line says yet.
   *
   * @param file its fileKey
   * @param earlier where it belongs, and what the record knows of those before it
   * @returns undefined when there is a line for it already
   */
  begin(file: string, earlier: Earlier): Known[] | undefined {
    const isSaid = this.#has(file, 0);
    this.#next.add(file);
    if (isSaid) return undefined;
    const known = earlierThan(earlier, (each, offset) => this.#has(each, offset));
    for (const each of known) this.#next.add(each.file);
    return known;
  }

  /** What this group's lines say of one of its own counts, whatever the ledger says: both are lost together. */
  #has(file: string, offset: number): boolean {
    return this.#next.has(file) || this.#committing.has(file) || says(this.#ledger, file, offset);
  }

  /** The group is handed over. */
  commits(): void {
    for (const file of this.#next) this.#committing.add(file);
    this.#next.clear();
  }

  /** The ledger lists what was handed over. */
  committed(): void {
    this.#committing.clear();
  }

  /** The lines that it does not list will not come. */
  cutBack(): void {
    this.#committing.clear();
    this.#next.clear();
  }
}
