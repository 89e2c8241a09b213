// All metrics of one daemon, as text for Prometheus. They are read at once for each scrape, and at most once in a fraction
// of a second, however many ask.

import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

import type { Shown } from '../../../common/health/shown.ts';
import { packageVersion } from '../../../common/runtime/version.ts';
import { addFigures, counter, type Figure, flagged, gauge } from './figures.ts';
import { openDescriptors } from '../../../common/runtime/descriptors.ts';

/** Whoever asks again within this time gets the same answer. */
const FRESH_MS = 200;
/** Of the timer that measures the event loop: at 10 ms it costs an idle process half a percent of a core, at 100 a tenth of that. */
const LOOP_PRECISION_MS = 100;
const GC_SECONDS = [0.01, 0.1, 1];
/** From a commit of a few bytes on a fast disk to one that a busy disk holds up. */
const COMMIT_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/**
 * Of what prom-client measures by itself: counts of handles, by type, and of heap spaces, which are 40 series and say
 * little; and of descriptors, which it lists.
 */
const LEFT_OUT = [
  'process_open_fds',
  ...['nodejs_active_resources', 'nodejs_active_handles', 'nodejs_active_requests'].flatMap((name) => [
    name,
    `${name}_total`,
  ]),
  ...['total', 'used', 'available'].map((which) => `nodejs_heap_space_size_${which}_bytes`),
];

/** Of both daemons. */
const sharedFigures: readonly Figure<Shown<unknown>>[] = [
  flagged(
    'logferry_ready',
    '1 while it does its work; what /readyz says.',
    (shown) => shown.whyNotReady() === undefined,
  ),
  flagged(
    'logferry_healthy',
    '0 when a part of its work does not go on; what /healthz says.',
    (shown) => shown.whatIsStuck() === undefined,
  ),
  flagged(
    'logferry_connected',
    '1 while there is a connection to nats-server.',
    (shown) => shown.isConnected,
  ),
  counter(
    'logferry_disconnects_total',
    'Connections to nats-server that were lost.',
    ({ link }) => link?.epoch() ?? 0,
  ),
  gauge('process_open_fds', 'Number of open file descriptors.', openDescriptors),
];

export class Metrics<R> {
  readonly contentType: string;
  readonly #registry: Registry;
  readonly #shown: Shown<R>;
  #reading: R | undefined;
  #text: Promise<string> | undefined;
  #textAt = 0;

  constructor(daemon: 'ship' | 'receive', shown: Shown<R>, figures: readonly Figure<R>[]) {
    const registry = new Registry();
    this.#registry = registry;
    this.#shown = shown;
    this.contentType = registry.contentType;
    collectDefaultMetrics({
      register: registry,
      eventLoopMonitoringPrecision: LOOP_PRECISION_MS,
      gcDurationBuckets: GC_SECONDS,
    });
    for (const name of LEFT_OUT) registry.removeSingleMetric(name);
    new Gauge({
      name: 'logferry_build_info',
      help: 'Which logferry this is; always 1.',
      labelNames: ['version', 'daemon'],
      registers: [registry],
    }).set({ version: packageVersion(), daemon }, 1);
    addFigures(registry, sharedFigures, () => shown);
    addFigures(registry, figures, () => this.#reading);
  }

  /** Adds a histogram of the seconds that commits take; returns how one is told. */
  commits(): (seconds: number) => void {
    const histogram = new Histogram({
      name: 'logferry_receiver_commit_duration_seconds',
      help: 'How long commits took: data and ledger on disk, then the record.',
      buckets: COMMIT_SECONDS,
      registers: [this.#registry],
    });
    return (seconds) => {
      histogram.observe(seconds);
    };
  }

  async text(): Promise<string> {
    const now = performance.now();
    if (this.#text === undefined || now - this.#textAt > FRESH_MS) {
      this.#textAt = now;
      this.#reading = this.#shown.read();
      this.#text = this.#registry.metrics();
    }
    return await this.#text;
  }
}
