// How to reach the servers and who one is there, as the client takes it. What cannot work is refused here, before
// anything is tried: the client would call it a failed connection, and try for ever.

import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext } from 'node:tls';

import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
} from '@nats-io/transport-node';

import { LogferryError, messageOf, systemCode } from '../runtime/errors.ts';

/** How to reach the servers and who one is there. */
export interface ServerOptions {
  /** Several separated by commas; with `tls://` nothing is said before the connection is encrypted. */
  readonly server: string;
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** The server wants the handshake before it says anything. */
  readonly tlsFirst?: boolean | undefined;
  /** What the subjects of answers begin with; undefined for `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;

/** Whoever is neither the owner nor in the group of a file. */
const OTHERS = 0o007;

/**
 * Throws `usage`, naming the flag and the file, for files that are missing, that hold something else or a certificate
 * that has expired, and for secrets that everybody on the machine may read.
 */
export function connectionOptions(server: ServerOptions, name: string): ConnectionOptions {
  const options: ConnectionOptions = {
    servers: server.server.split(',').map((url) => url.trim()),
    name,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    ignoreAuthErrorAbort: true,
    pingInterval: 10_000,
    maxPingOut: 2,
    noAsyncTraces: true,
  };
  if (server.user !== undefined) options.user = server.user;
  if (server.password !== undefined) options.pass = server.password;
  if (server.token !== undefined) options.token = server.token;
  if (server.inboxPrefix !== undefined) options.inboxPrefix = server.inboxPrefix;
  const { creds, nkey } = server;
  if (creds !== undefined) options.authenticator = authenticator('--creds', creds, credsAuthenticator);
  if (nkey !== undefined) options.authenticator = authenticator('--nkey', nkey, nkeyAuthenticator);
  const tls = tlsOptions(server);
  if (tls !== undefined) options.tls = tls;
  return options;
}

/** Reads the file with every login, so that renewed credentials count from the next connection on. */
function authenticator(
  flag: string,
  file: string,
  make: (secret: Uint8Array) => Authenticator,
): Authenticator {
  const read = (): Authenticator => {
    const made = make(secretIn(file, flag));
    try {
      // Otherwise it is read at the first challenge.
      made('challenge');
    } catch (error) {
      throw holdsNo(flag, file, 'credentials', error);
    }
    return made;
  };
  let last = read();
  return (nonce) => {
    last = orBefore(read, last);
    return last(nonce);
  };
}

/** What it holds now; while it is being replaced, what it held before. */
function orBefore(read: () => Authenticator, before: Authenticator): Authenticator {
  try {
    return read();
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'usage') return before;
    throw error;
  }
}

function tlsOptions(server: ServerOptions): ConnectionOptions['tls'] | undefined {
  const { tlsCa, tlsCert, tlsKey } = server;
  // By the client itself, a server that does not offer TLS is spoken to without, and gets the password.
  const isAsked = server.tlsFirst === true || /(^|,)\s*tls:/.test(server.server);
  if (!isAsked && tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCa !== undefined) certificateIn(tlsCa, '--tls-ca');
  if (tlsCert !== undefined) refuseExpired(certificateIn(tlsCert, '--tls-cert'), tlsCert);
  if (tlsCert !== undefined && tlsKey !== undefined) refuseMismatch(tlsCert, tlsKey);
  // Read with every connection: renewed certificates count from the next one on.
  return {
    ...(tlsCa === undefined ? {} : { caFile: tlsCa }),
    ...(tlsCert === undefined ? {} : { certFile: tlsCert }),
    ...(tlsKey === undefined ? {} : { keyFile: tlsKey }),
    ...(server.tlsFirst === true ? { handshakeFirst: true } : {}),
    ...{ checkServerIdentity: identityCheck(server.server) },
  };
}

/**
 * For an address in a URL the client names no host, and Node then checks for localhost: the certificate of whoever is
 * that would do, and the right one would not.
 */
function identityCheck(servers: string): typeof checkServerIdentity {
  const hosts = servers.split(',').map((url) => hostOf(url.trim()));
  const addresses = hosts.filter((host) => isIP(host) !== 0);
  return (name, certificate) => {
    const names = name === NO_NAME && !hosts.includes(name) ? addresses : [name];
    const failures = names.map((each) => checkServerIdentity(each, certificate));
    return failures.includes(undefined) ? undefined : failures[0];
  };
}

/** What Node checks for when no host is named. */
const NO_NAME = 'localhost';

function hostOf(url: string): string {
  return new URL(url.includes('://') ? url : `nats://${url}`).hostname.replaceAll(/[[\]]/g, '');
}

function certificateIn(file: string, flag: string): X509Certificate {
  const data = contentOf(file, flag);
  try {
    return new X509Certificate(data);
  } catch (error) {
    throw holdsNo(flag, file, 'certificate', error);
  }
}

function refuseExpired({ validTo }: X509Certificate, file: string): void {
  if (Date.parse(validTo) < Date.now())
    throw new LogferryError(
      'usage',
      `--tls-cert: the certificate in ${file} has expired (${validTo})`,
      'give a new one',
    );
}

function refuseMismatch(tlsCert: string, tlsKey: string): void {
  const key = secretIn(tlsKey, '--tls-key');
  try {
    createSecureContext({ cert: readFileSync(tlsCert), key });
  } catch (error) {
    const what = `--tls-cert ${tlsCert} and --tls-key ${tlsKey} are no certificate and its key (${messageOf(error)})`;
    throw new LogferryError('usage', what, 'check the files', { cause: error });
  }
}

function holdsNo(flag: string, file: string, what: string, cause: unknown): LogferryError {
  const message = `${flag}: ${file} holds no ${what} (${messageOf(cause)})`;
  return new LogferryError('usage', message, 'check the file', { cause });
}

/** What only its owner, and the owner's group, may read. */
function secretIn(file: string, flag: string): Buffer {
  const data = contentOf(file, flag);
  refuseOpenToOthers(file, flag);
  return data;
}

/** Throws `usage` for a file that everybody on the machine may do something with. */
export function refuseOpenToOthers(file: string, flag: string): void {
  const mode = statSync(file).mode & 0o777;
  if ((mode & OTHERS) === 0) return;
  const what = `${flag}: ${file} holds a secret and is open to everybody here (mode ${mode.toString(8).padStart(4, '0')})`;
  throw new LogferryError('usage', what, `run chmod o= ${file}`);
}

function contentOf(file: string, flag: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    if (systemCode(error) === 'ENOENT')
      throw new LogferryError('usage', `${flag}: there is no file ${file}`, 'check the path', {
        cause: error,
      });
    throw new LogferryError('usage', `${flag}: cannot read ${file} (${messageOf(error)})`, 'check the file', {
      cause: error,
    });
  }
}
