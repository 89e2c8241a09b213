// What a metric is here: a name, a help, and where its value stands in what a daemon shows. Values are read when somebody
// asks, never before; no label's values depend on files or hosts.

import { Counter, Gauge, type Registry } from 'prom-client';

/** One metric; `R` is what its value is read from. */
export interface Figure<R> {
  readonly type: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  /** Undefined for one with a single value. */
  readonly label: string | undefined;
  /** By the label's value, '' without one; undefined: there is none now, and nothing is said. */
  readonly values: (reading: R) => Readonly<Record<string, number>> | undefined;
}

type Value<R> = (reading: R) => number | undefined;

/** Only ever grows while the process runs. */
export function counter<R>(name: string, help: string, value: Value<R>): Figure<R> {
  return { type: 'counter', name, help, label: undefined, values: single(value) };
}

/** The same with a value for each value of a label. */
export function counterBy<R>(
  name: string,
  label: string,
  help: string,
  values: (reading: R) => Readonly<Record<string, number>>,
): Figure<R> {
  return { type: 'counter', name, help, label, values };
}

export function gauge<R>(name: string, help: string, value: Value<R>): Figure<R> {
  return { type: 'gauge', name, help, label: undefined, values: single(value) };
}

/** One for what is true or not. */
export function flagged<R>(
  name: string,
  help: string,
  isTrue: (reading: R) => boolean | undefined,
): Figure<R> {
  return gauge(name, help, (reading) => {
    const value = isTrue(reading);
    return value === undefined ? undefined : Number(value);
  });
}

function single<R>(value: Value<R>): Figure<R>['values'] {
  return (reading) => {
    const now = value(reading);
    return now === undefined ? undefined : { '': now };
  };
}

/**
 * Adds the figures to a registry.
 *
 * @param read asked once for each figure: it gives what was read for this scrape
 */
export function addFigures<R>(
  registry: Registry,
  figures: readonly Figure<R>[],
  read: () => R | undefined,
): void {
  for (const { type, name, help, label, values } of figures) {
    const now = (): [labels: Record<string, string>, value: number][] => {
      const reading = read();
      const found = reading === undefined ? undefined : values(reading);
      return Object.entries(found ?? {}).map(([key, value]) => [
        label === undefined ? {} : { [label]: key },
        value,
      ]);
    };
    const options = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] };
    // Without labels a reset leaves a zero behind, which would be a value.
    if (type === 'counter') {
      new Counter({
        ...options,
        collect() {
          this.reset();
          if (label === undefined) this.remove();
          for (const [labels, value] of now()) this.inc(labels, value);
        },
      });
    } else {
      new Gauge({
        ...options,
        collect() {
          this.reset();
          if (label === undefined) this.remove();
          for (const [labels, value] of now()) this.set(labels, value);
        },
      });
    }
  }
}
