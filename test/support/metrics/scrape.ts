// What a daemon answers on its metrics address, as Prometheus would read it.

import assert from 'node:assert/strict';

import { until } from '../../../common/runtime/run.ts';
import { ask } from '../http.ts';
import { WAIT_MS } from '../timeouts.ts';
import { logs } from '../said.ts';
import type { Daemon } from '../daemon.ts';

/** On any port; the log says which. */
export const METRICS = ['--metrics', '127.0.0.1:0'];

/** One scrape, taken apart. */
export class Scrape {
  readonly text: string;
  /** By the series as it stands there: `name{label="value"}`. */
  readonly values = new Map<string, number>();

  constructor(text: string) {
    this.text = text;
    for (const line of text.split('\n')) {
      if (line === '' || line.startsWith('#')) continue;
      const at = line.lastIndexOf(' ');
      this.values.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
  }

  /** The names of all series, without labels. */
  get names(): Set<string> {
    return new Set([...this.values.keys()].map((series) => series.replace(/\{.*/, '')));
  }

  /** The series of this program's own. */
  get own(): string[] {
    return [...this.values.keys()].filter((series) => series.startsWith('logferry_')).toSorted();
  }
}

/** A daemon that was started with METRICS. */
export class Scraped {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  static async of(daemon: Daemon): Promise<Scraped> {
    const line = await logs(daemon, /^metrics on http:\S+\/metrics$/);
    return new Scraped(line.replace(/^metrics on /, '').replace(/metrics$/, ''));
  }

  async scrape(): Promise<Scrape> {
    const { status, body } = await ask(`${this.url}metrics`);
    assert.equal(status, 200, body);
    return new Scrape(body);
  }

  async value(series: string): Promise<number | undefined> {
    return (await this.scrape()).values.get(series);
  }

  /** Waits until the series have these values; says which do not. */
  async shows(expected: Readonly<Record<string, number | undefined>>): Promise<void> {
    let found: Record<string, number | undefined> = {};
    const isSo = async (): Promise<boolean> => {
      const { values } = await this.scrape();
      found = Object.fromEntries(Object.keys(expected).map((series) => [series, values.get(series)]));
      return Object.entries(expected).every(([series, value]) => found[series] === value);
    };
    await until(isSo, { timeoutMs: WAIT_MS, everyMs: 100 });
    assert.deepEqual(found, expected);
  }

  /** Waits until a route answers like this: the status, and what it says. */
  async answers(route: 'healthz' | 'readyz', status: number, line: RegExp): Promise<void> {
    let last = '';
    const isSo = async (): Promise<boolean> => {
      const answer = await ask(`${this.url}${route}`);
      last = `${answer.status} ${answer.body}`;
      return answer.status === status && line.test(answer.body.trimEnd());
    };
    await until(isSo, { timeoutMs: WAIT_MS, everyMs: 50 });
    assert.match(last, new RegExp(`^${status} `));
    assert.match(last.slice(4).trimEnd(), line);
    assert.equal(last.split('\n').length, 2, 'one line');
  }
}
