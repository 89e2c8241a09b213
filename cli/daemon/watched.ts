// A daemon as others watch it, from its start to its end: the metrics where --metrics wants them, and what systemd is told.
// Never touches what the daemon does.

import type { Logger } from '../../common/runtime/log.ts';
import { Shown } from '../../common/health/shown.ts';
import type { Listen } from '../flags/listen.ts';
import type { Figure } from './metrics/figures.ts';
import type { MetricsServer } from './metrics/server.ts';
import { type Systemd, tellSystemd } from './systemd.ts';

export interface WatchedOptions<R> {
  readonly daemon: 'ship' | 'receive';
  /** Where the metrics are asked for; undefined: nowhere. */
  readonly listen: Listen | undefined;
  /** Loaded only when they are. */
  readonly figures: () => Promise<readonly Figure<R>[]>;
  /** What it does now, in a line, from what it shows. */
  readonly status: (reading: R | undefined) => string;
  readonly log: Logger;
}

export interface Watched<R> {
  readonly shown: Shown<R>;
  /** Undefined without metrics. */
  readonly onCommit: ((seconds: number) => void) | undefined;
  /** To be used around the reading of the configuration. */
  readonly reloading: Systemd['reloading'];
  /** Runs it, and tells when it is to stop. */
  readonly run: (daemon: () => Promise<void>, signal: AbortSignal) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Throws `failed` when it cannot listen. */
export async function watched<R>(options: WatchedOptions<R>): Promise<Watched<R>> {
  const { daemon, listen, log } = options;
  const shown = new Shown<R>();
  let server: MetricsServer | undefined;
  let onCommit: Watched<R>['onCommit'];
  shown.countsLines = listen !== undefined;
  if (listen !== undefined) {
    // prom-client takes its time to load: only for those who want it.
    const [{ Metrics }, { serveMetrics }] = await Promise.all([
      import('./metrics/metrics.ts'),
      import('./metrics/server.ts'),
    ]);
    const metrics = new Metrics<R>(daemon, shown, await options.figures());
    if (daemon === 'receive') onCommit = metrics.commits();
    server = await serveMetrics(listen, {
      contentType: metrics.contentType,
      metrics: async () => await metrics.text(),
      whatIsStuck: () => shown.whatIsStuck(),
      whyNotReady: () => shown.whyNotReady(),
    });
    log.info({ url: server.url }, `metrics on ${server.url}metrics`);
  }
  const systemd = tellSystemd(shown, () => options.status(shown.read()), log);
  const onStop = (): void => {
    shown.isStopping = true;
    systemd.stopping();
  };
  return {
    ...{ shown, onCommit, reloading: systemd.reloading },
    run: async (run, signal) => {
      signal.addEventListener('abort', onStop, { once: true });
      try {
        await run();
      } finally {
        signal.removeEventListener('abort', onStop);
      }
    },
    close: async () => {
      await systemd.stop();
      await server?.close();
    },
  };
}
