// Who may see the page: the token, and where a request may come from. Never keeps or says the token itself.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { LogferryError } from '../../common/runtime/errors.ts';
import { isLoopbackName, type Listen } from '../flags/listen.ts';

/** Whether a request is let in, and what its answer sets. */
export type Verdict =
  | { readonly kind: 'in'; readonly setCookie: string | undefined }
  | { readonly kind: 'out'; readonly status: 401 | 403; readonly why: string };

export interface Asked {
  /** Whether data is asked for, not the page: no other site has a reason to make a browser ask for that. */
  readonly isData: boolean;
  /** What the URL gives as the token. */
  readonly token: string | null;
  readonly headers: IncomingHttpHeaders;
}

const LEAST_TOKEN = 16;
/** What can stand in a header and in a URL. */
const TOKEN = /^[\x21-\x7E]{16,500}$/;
const COOKIE_SECONDS = 365 * 86_400;

/** Throws `usage` for a token that does not do, and for an address that needs one. */
export function checkToken(token: string | undefined, listen: Listen): void {
  const make = 'make one: export LOGFERRY_DASHBOARD_TOKEN=$(openssl rand -hex 16)';
  if (token !== undefined && !TOKEN.test(token))
    throw new LogferryError(
      'usage',
      `the token of the dashboard has ${token.length} characters or others than printable ASCII, expected at least ${LEAST_TOKEN}`,
      make,
    );
  if (token === undefined && !listen.isLoopback)
    throw new LogferryError(
      'usage',
      `--listen ${listen.host} is reachable from other machines, so a token of at least ${LEAST_TOKEN} characters is needed`,
      make,
    );
}

export class Access {
  readonly #isLoopback: boolean;
  /** Of the token; undefined when none is asked for. */
  readonly #token: Buffer | undefined;
  readonly #cookieName: string;
  readonly #cookieValue: string;

  /** @param port cookies are kept for a host, whatever the port: two dashboards would take each other's */
  constructor(listen: Listen, port: number, token: string | undefined) {
    this.#isLoopback = listen.isLoopback;
    this.#token = token === undefined ? undefined : digest(token);
    this.#cookieName = `logferry_${port}`;
    // Not the token: who sees the cookie cannot use it as one. The same after a restart: the page goes on.
    this.#cookieValue = createHmac('sha256', token ?? '')
      .update('logferry dashboard cookie 1')
      .digest('hex');
  }

  judge({ isData, token, headers }: Asked): Verdict {
    const out = (status: 401 | 403, why: string): Verdict => ({ kind: 'out', status, why });
    if (this.#isLoopback && !isLoopbackName(headers.host))
      return out(403, 'the Host header does not name this machine; open it as 127.0.0.1 or localhost');
    const site = headers['sec-fetch-site'];
    if (isData && site !== undefined && site !== 'same-origin' && site !== 'none')
      return out(403, 'data is for the page of this server alone');
    if (this.#token === undefined) return { kind: 'in', setCookie: undefined };
    if (token !== null) {
      if (!this.#isToken(token)) return out(401, 'this is not the token');
      const attributes = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${COOKIE_SECONDS}`;
      return { kind: 'in', setCookie: `${this.#cookieName}=${this.#cookieValue}; ${attributes}` };
    }
    const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
    if (bearer !== undefined)
      return this.#isToken(bearer) ? { kind: 'in', setCookie: undefined } : out(401, 'this is not the token');
    const cookie = cookieOf(headers.cookie, this.#cookieName);
    if (cookie !== undefined && timingSafeEqual(digest(cookie), digest(this.#cookieValue)))
      return { kind: 'in', setCookie: undefined };
    return out(401, 'the token is missing');
  }

  #isToken(given: string): boolean {
    return this.#token !== undefined && timingSafeEqual(digest(given), this.#token);
  }
}

/** Of the same length whatever was given. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function cookieOf(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const [key, value] = part.trim().split('=', 2);
    if (key === name) return value;
  }
  return undefined;
}
