// A dashboard from its start to its end: it listens at once, and connects in the background, so that the page can say
// what it waits for.

import type { Logger } from '../../common/runtime/log.ts';
import { type Link, openLink, type ServerOptions, withoutSecrets } from '../../common/nats/connection.ts';
import type { StatusNames } from '../status/collect.ts';
import type { Listen } from '../flags/listen.ts';
import { readPage } from './page.ts';
import { serveDashboard } from './server.ts';
import { showTail } from './tail-view.ts';
import { Watch } from './watch.ts';

export interface DashboardOptions {
  readonly server: ServerOptions;
  readonly names: StatusNames;
  readonly listen: Listen;
  readonly token: string | undefined;
  readonly log: Logger;
  /** Is told where the page is, as soon as it can be opened. */
  readonly say: (url: string) => void;
  /** After so long, a viewer that reads nothing is dropped; undefined for the default. */
  readonly dropMs?: number;
}

/** Serves until the signal fires. Throws when it cannot listen, and when nats-server refuses us. */
export async function dashboard(options: DashboardOptions, signal: AbortSignal): Promise<void> {
  const { names, listen, token, log, dropMs } = options;
  const server = withoutSecrets(options.server.server);
  let link: Link | undefined;
  const parts = { names, server, log, link: () => link };
  const watch = new Watch(parts);
  const served = await serveDashboard({
    ...{ page: await readPage(), listen, token },
    ...(dropMs === undefined ? {} : { dropMs }),
    status: async () => JSON.stringify(await watch.look()),
    watch: (viewer) => {
      watch.add(viewer);
    },
    tail: (viewer, query) => void showTail(viewer, query, parts),
  });
  try {
    options.say(served.url);
    link = await openLink(options.server, { name: 'logferry dashboard', log, signal });
    await stopped(signal);
  } finally {
    watch.close();
    await served.close();
    await link?.close();
  }
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
