// How to reach the servers and who one is there, as the client takes it. What cannot work is refused here, before
// anything is tried: the client would call it a failed connection, and try for ever.

import { existsSync, readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
} from '@nats-io/transport-node';

import { LogferryError, messageOf } from './errors.ts';

/** How to reach the servers and who one is there. */
export interface ServerOptions {
  /** Several separated by commas. */
  readonly server: string;
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}

/** Between two attempts to connect. */
export const RECONNECT_WAIT_MS = 500;

const CONNECT_TIMEOUT_MS = 5_000;

/** Throws `usage`, naming the flag and the file, for files that are missing or hold something else. */
export function connectionOptions(server: ServerOptions, name: string): ConnectionOptions {
  const options: ConnectionOptions = {
    servers: server.server.split(',').map((url) => url.trim()),
    name,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_WAIT_MS,
    ignoreAuthErrorAbort: true,
    pingInterval: 10_000,
    maxPingOut: 2,
    noAsyncTraces: true,
  };
  if (server.user !== undefined) options.user = server.user;
  if (server.password !== undefined) options.pass = server.password;
  if (server.token !== undefined) options.token = server.token;
  const { creds, nkey } = server;
  if (creds !== undefined) options.authenticator = authenticator('--creds', creds, credsAuthenticator);
  if (nkey !== undefined) options.authenticator = authenticator('--nkey', nkey, nkeyAuthenticator);
  const tls = tlsOptions(server);
  if (tls !== undefined) options.tls = tls;
  return options;
}

function authenticator(
  flag: string,
  file: string,
  make: (secret: Uint8Array) => Authenticator,
): Authenticator {
  const made = make(readFileSync(present(file, flag)));
  try {
    // Otherwise it is read at the first challenge.
    made('challenge');
  } catch (error) {
    throw new LogferryError(
      'usage',
      `${flag}: ${file} holds no credentials (${messageOf(error)})`,
      'check the file',
      {
        cause: error,
      },
    );
  }
  return made;
}

function tlsOptions({ tlsCa, tlsCert, tlsKey }: ServerOptions): ConnectionOptions['tls'] | undefined {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  const files = {
    ...(tlsCa === undefined ? {} : { caFile: present(tlsCa, '--tls-ca') }),
    ...(tlsCert === undefined ? {} : { certFile: present(tlsCert, '--tls-cert') }),
    ...(tlsKey === undefined ? {} : { keyFile: present(tlsKey, '--tls-key') }),
  };
  try {
    if (tlsCert !== undefined && tlsKey !== undefined)
      createSecureContext({ cert: readFileSync(tlsCert), key: readFileSync(tlsKey) });
  } catch (error) {
    const what = `--tls-cert ${tlsCert} and --tls-key ${tlsKey} are no certificate and its key (${messageOf(error)})`;
    throw new LogferryError('usage', what, 'check the files', { cause: error });
  }
  return files;
}

function present(file: string, flag: string): string {
  if (!existsSync(file))
    throw new LogferryError('usage', `${flag}: there is no file ${file}`, 'check the path');
  return file;
}
