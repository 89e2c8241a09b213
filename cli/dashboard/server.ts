// The HTTP side: which route answers what, to whom, under which headers. Knows nothing of NATS; never logs a request.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { LogferryError, messageOf, oneLine } from '../../common/runtime/errors.ts';
import { Access } from './access.ts';
import { type Listen, urlOf } from '../flags/listen.ts';
import { listenOn } from '../flags/listen-on.ts';
import { askForToken, type Page } from './page.ts';
import { readTailQuery, type TailQuery } from './tail-query.ts';
import { Viewer } from './viewer.ts';

export interface ServerParts {
  readonly page: Page;
  readonly listen: Listen;
  readonly token: string | undefined;
  /** How it is now, as JSON. Throws what the answer is to say. */
  readonly status: () => Promise<string>;
  readonly watch: (viewer: Viewer) => void;
  readonly tail: (viewer: Viewer, query: TailQuery) => void;
  /** After so long, a viewer that reads nothing is dropped. */
  readonly dropMs?: number;
}

export interface Dashboard {
  readonly url: string;
  /** Ends it with all that is open. */
  readonly close: () => Promise<void>;
}

/** Open pages, and of them with a tail: each tail reads the stream for itself. */
export const MOST_PAGES = 64;
export const MOST_TAILS = 8;
const MOST_CONNECTIONS = 256;

const HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

const NOTHING = "default-src 'none'; frame-ancestors 'none'";

/** Listens when it resolves. Throws `failed` when it cannot. */
export async function serveDashboard(parts: ServerParts): Promise<Dashboard> {
  const server = createServer();
  server.maxConnections = MOST_CONNECTIONS;
  const port = await listenOn(server, parts.listen, '--listen');
  const access = new Access(parts.listen, port, parts.token);
  const open = { pages: 0, tails: 0 };
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, parts, access, open).catch((error: unknown) => {
      if (!response.headersSent) plain(response, 500, messageOf(error));
      else response.destroy();
    });
  });
  return {
    url: urlOf(parts.listen.host, port),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

const ROUTES: readonly string[] = ['/', '/events', '/tail', '/status.json'];

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  parts: ServerParts,
  access: Access,
  open: { pages: number; tails: number },
): Promise<void> {
  // Not as a URL: `//events` would name a host.
  const [route = '', ...queries] = (request.url ?? '').split('?');
  const query = new URLSearchParams(queries.join('?'));
  if (!ROUTES.includes(route)) {
    plain(response, 404, 'there is nothing here');
    return;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD');
    plain(response, 405, 'only GET and HEAD');
    return;
  }
  const isData = route !== '/';
  const verdict = access.judge({ isData, token: query.get('token'), headers: request.headers });
  if (verdict.kind === 'out') {
    if (verdict.status === 401 && !isData) html(response, 401, askForToken(verdict.why));
    else plain(response, verdict.status, verdict.why);
    return;
  }
  if (verdict.setCookie !== undefined) response.setHeader('Set-Cookie', verdict.setCookie);
  if (route === '/') {
    html(response, 200, parts.page);
    return;
  }
  if (route === '/status.json') {
    await sendStatus(response, parts);
    return;
  }
  const kind = route === '/tail' ? 'tails' : 'pages';
  const search = kind === 'tails' ? readQuery(query, response) : undefined;
  if (kind === 'tails' && search === undefined) return;
  if (open[kind] >= (kind === 'tails' ? MOST_TAILS : MOST_PAGES)) {
    plain(response, 503, `there are ${open[kind]} ${kind} open, and no more are served: close one`);
    return;
  }
  const headers = { ...HEADERS, 'Content-Security-Policy': NOTHING };
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream; charset=utf-8' }).end();
    return;
  }
  const viewer = new Viewer(response, headers, parts.dropMs);
  open[kind] += 1;
  viewer.gone.addEventListener('abort', () => (open[kind] -= 1));
  if (search === undefined) parts.watch(viewer);
  else parts.tail(viewer, search);
}

/** Answers by itself when it is none. */
function readQuery(query: URLSearchParams, response: ServerResponse): TailQuery | undefined {
  try {
    return readTailQuery(query);
  } catch (error) {
    if (!(error instanceof LogferryError)) throw error;
    plain(response, 400, oneLine(error));
    return undefined;
  }
}

async function sendStatus(response: ServerResponse, parts: ServerParts): Promise<void> {
  let [status, body] = [200, ''];
  try {
    body = await parts.status();
  } catch (error) {
    if (!(error instanceof LogferryError)) throw error;
    [status, body] = [503, JSON.stringify({ error: oneLine(error) })];
  }
  response.writeHead(status, {
    ...HEADERS,
    'Content-Security-Policy': NOTHING,
    'Content-Type': 'application/json; charset=utf-8',
  });
  response.end(`${body}\n`);
}

function html(response: ServerResponse, status: number, page: Page): void {
  response.writeHead(status, {
    ...HEADERS,
    'Content-Security-Policy': page.policy,
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': page.html.length,
  });
  response.end(page.html);
}

function plain(response: ServerResponse, status: number, text: string): void {
  const authenticate = status === 401 ? { 'WWW-Authenticate': 'Bearer realm="logferry"' } : {};
  response.writeHead(status, {
    ...HEADERS,
    ...authenticate,
    'Content-Security-Policy': NOTHING,
    'Content-Type': 'text/plain; charset=utf-8',
  });
  response.end(`${text}\n`);
}
