// The value of --server taken apart: the client ignores a user in a URL, and would take digits of a password for the
// port, so both are taken out here. Pure.

import { LogferryError } from '../../common/runtime/errors.ts';

/** Who one is, as written in a URL. */
export interface Login {
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
}

export interface Servers {
  /** As the client takes them: separated by commas, without users. */
  readonly urls: string;
  readonly login: Login | undefined;
}

/** Reads `nats://user:password@host:4222,host2`. Throws `usage`; its message never shows a password. */
export function readServers(value: string, name: string): Servers {
  const urls: string[] = [];
  let login: Login | undefined;
  for (const part of value.split(',').map((piece) => piece.trim())) {
    const url = readUrl(part, name);
    const found = loginOf(url);
    if (found !== undefined && login !== undefined && JSON.stringify(found) !== JSON.stringify(login))
      throw new LogferryError('usage', `${name}: the URLs name different users`, 'give one user for all');
    login ??= found;
    urls.push(`${url.protocol}//${url.hostname}:${url.port === '' ? '4222' : url.port}`);
  }
  return { urls: urls.join(','), login };
}

function readUrl(part: string, name: string): URL {
  const text = part.includes('://') ? part : `nats://${part}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const scheme = url?.protocol === 'nats:' || url?.protocol === 'tls:';
  const bare = url !== undefined && (url.pathname === '' || url.pathname === '/') && url.search === '';
  // Other schemes than http leave blanks and the like in the name.
  if (!scheme || !bare || !/^(\[[0-9a-f:.]+\]|[A-Za-z0-9._-]+)$/i.test(url.hostname))
    throw new LogferryError(
      'usage',
      `${name}: ${JSON.stringify(part.replace(/^(.*\/\/)?[^/]*@/, '$1***@'))} is not the URL of a nats-server`,
      'write it like nats://host:4222 or tls://host:4222, several separated by commas',
    );
  return url;
}

function loginOf(url: URL): Login | undefined {
  if (url.username === '') return undefined;
  const user = decodeURIComponent(url.username);
  // As other NATS clients read it: a user without a password is a token.
  if (url.password === '') return { token: user };
  return { user, password: decodeURIComponent(url.password) };
}
