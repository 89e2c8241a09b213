// The last two minutes of what the sparklines show, so that a page that is opened again does not begin with empty ones.
// Pure: never looks by itself.

import type { View } from './view.ts';

/** One number for each look, the oldest first; null where it was not known. */
export interface Series {
  readonly hosts: Readonly<
    Record<string, { readonly lag: (number | null)[]; readonly rate: (number | null)[] }>
  >;
  readonly receivers: Readonly<Record<string, { readonly rate: (number | null)[] }>>;
}

interface Sample {
  readonly at: number;
  readonly lag: ReadonlyMap<string, number | null>;
  readonly rate: ReadonlyMap<string, number | null>;
  readonly received: ReadonlyMap<string, number | null>;
}

export const SAMPLES = 60;
/** After a longer pause the lines begin anew. */
const PAUSE_MS = 30_000;

export class History {
  #samples: Sample[] = [];

  add({ at, hosts, receivers }: View): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && (at - last.at > PAUSE_MS || at < last.at)) this.#samples = [];
    this.#samples.push({
      at,
      lag: new Map(hosts.map(({ host, lagBytes }) => [host, lagBytes])),
      rate: new Map(hosts.map(({ host, bytesPerSecond }) => [host, bytesPerSecond])),
      received: new Map(receivers.map(({ id, bytesPerSecond }) => [id, bytesPerSecond])),
    });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** Of those that the last sample names. */
  series(): Series {
    const last = this.#samples.at(-1);
    const of = (
      pick: (sample: Sample) => ReadonlyMap<string, number | null>,
      name: string,
    ): (number | null)[] => this.#samples.map((sample) => pick(sample).get(name) ?? null);
    const hosts = [...(last?.lag.keys() ?? [])].map((name) => [
      name,
      { lag: of(({ lag }) => lag, name), rate: of(({ rate }) => rate, name) },
    ]);
    const receivers = [...(last?.received.keys() ?? [])].map((name) => [
      name,
      { rate: of(({ received }) => received, name) },
    ]);
    // Not a plain object that is filled: a host may be called __proto__.
    return { hosts: Object.fromEntries(hosts), receivers: Object.fromEntries(receivers) };
  }
}
