// The HTTP side of the metrics: three routes to be read, bounded in everything, for Prometheus and for probes. Knows nothing
// of what they say; never logs a request.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { messageOf } from '../../../common/runtime/errors.ts';
import { type Listen, urlOf } from '../../flags/listen.ts';
import { listenOn } from '../../flags/listen-on.ts';
import { printable } from '../../terminal/printable.ts';

export interface Routes {
  readonly contentType: string;
  readonly metrics: () => Promise<string>;
  /** Why not, in a line; undefined when all is well. */
  readonly whatIsStuck: () => string | undefined;
  readonly whyNotReady: () => string | undefined;
}

export interface MetricsServer {
  /** Ends with a slash. */
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Several scrapers and probes, each with a connection or two. */
const MOST_CONNECTIONS = 32;
const MOST_HEADER_BYTES = 8 * 1024;
/** For the whole of a request; and so long a connection may be idle, which is longer than most pause between scrapes. */
const REQUEST_MS = 5_000;
const IDLE_MS = 65_000;

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

/** Listens when it resolves. Throws `failed` when it cannot. */
export async function serveMetrics(listen: Listen, routes: Routes): Promise<MetricsServer> {
  const server = createServer({
    maxHeaderSize: MOST_HEADER_BYTES,
    headersTimeout: REQUEST_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: IDLE_MS,
  });
  server.maxConnections = MOST_CONNECTIONS;
  // Whoever does not read an answer is not waited for.
  server.timeout = IDLE_MS + REQUEST_MS;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, routes).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else plain(response, 500, messageOf(error));
    });
  });
  const port = await listenOn(server, listen, '--metrics');
  return {
    url: urlOf(listen.host, port),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, routes: Routes): Promise<void> {
  const { method, url = '' } = request;
  if (method !== 'GET' && method !== 'HEAD') {
    // What it may still send is not read.
    response.setHeader('Allow', 'GET, HEAD').setHeader('Connection', 'close');
    plain(response, 405, 'only GET and HEAD');
    return;
  }
  const [route = ''] = url.split('?', 1);
  switch (route) {
    case '/metrics': {
      const text = await routes.metrics();
      send(response, 200, routes.contentType, text);
      return;
    }
    case '/healthz':
      judge(response, routes.whatIsStuck());
      return;
    case '/readyz':
      judge(response, routes.whyNotReady());
      return;
    case '/':
      plain(response, 200, 'logferry: /metrics, /healthz, /readyz');
      return;
    default:
      plain(response, 404, 'there are /metrics, /healthz and /readyz');
  }
}

function judge(response: ServerResponse, why: string | undefined): void {
  plain(response, why === undefined ? 200 : 503, why ?? 'ok');
}

function plain(response: ServerResponse, status: number, line: string): void {
  send(response, status, 'text/plain; charset=utf-8', `${printable(line)}\n`);
}

/** To HEAD, Node sends the headers alone. */
function send(response: ServerResponse, status: number, type: string, text: string): void {
  const body = Buffer.from(text);
  response.writeHead(status, { ...HEADERS, 'Content-Type': type, 'Content-Length': body.length }).end(body);
}
