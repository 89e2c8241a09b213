// A dashboard process over a fleet, and its answers taken apart.

import assert from 'node:assert/strict';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from './timeouts.ts';
import type { Daemon } from './daemon.ts';
import type { World } from './world.ts';

/** On a free port unless `extra` says another; resolves when it listens. */
export async function startDashboard(
  world: World,
  extra: readonly string[] = [],
): Promise<{ daemon: Daemon; url: string }> {
  const listen = extra.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
  const daemon = world.start('dashboard', ['dashboard', '--server', world.server.url, ...listen, ...extra]);
  await until(() => daemon.stdout.includes('\n') || daemon.child.exitCode !== null, { timeoutMs: WAIT_MS });
  assert.match(daemon.stdout, /^http:\/\//, daemon.stderr);
  return { daemon, url: daemon.stdout.trim() };
}

export interface ServerEvent {
  readonly event: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- what a test expects of it, it says
  readonly data: any;
}

/** Reads events until one is what is wanted, and leaves. Fails after 60 seconds. */
export async function untilEvent(
  url: string,
  isWanted: (event: ServerEvent) => boolean,
  headers: Readonly<Record<string, string>> = {},
): Promise<ServerEvent> {
  const leave = new AbortController();
  const timer = setTimeout(() => leave.abort(new Error(`no such event from ${url}`)), 60_000);
  try {
    const response = await fetch(url, { signal: leave.signal, headers });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
    for await (const event of eventsOf(response)) if (isWanted(event)) return event;
    throw new Error(`${url} ended`);
  } finally {
    clearTimeout(timer);
    leave.abort();
  }
}

async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  let rest = '';
  assert.ok(response.body);
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
    rest += part;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(rest.slice(0, end)) ?? [];
      rest = rest.slice(end + 2);
      if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) as unknown };
    }
  }
}
