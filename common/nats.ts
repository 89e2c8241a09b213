// The connection to NATS: connecting with patience, telling what failed in one line, and knowing in which epoch an
// answer was read. Never retries an operation: whoever asked knows what repeating means.

import { existsSync, readFileSync } from 'node:fs';

import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
  nkeyAuthenticator,
} from '@nats-io/transport-node';
import {
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
import { jserrors } from '@nats-io/jetstream/internal';

import { LogferryError, messageOf, systemCode } from './errors.ts';
import type { Logger } from './log.ts';
import { sleep } from './run.ts';

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

export const DEFAULT_SERVER = 'nats://127.0.0.1:4222';

/** Subject transforms in streams came with 2.10. */
const OLDEST_SERVER = [2, 10] as const;

/** How long any one request waits for its answer. */
export const REQUEST_TIMEOUT_MS = 5_000;

const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_WAIT_MS = 500;
const SAY_EVERY_MS = 5_000;

/** A connection with JetStream on it. */
export interface Link {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Grows with every disconnect: what was read in another epoch may be from before a rolled-back server. */
  readonly epoch: () => number;
  readonly isConnected: () => boolean;
  /**
   * Runs one request. Throws `unreachable` at once while there is no connection, and when it is lost before the
   * answer comes: nothing is buffered over a reconnect, and nothing waits for a time-out in vain.
   */
  readonly ask: <T>(request: () => Promise<T>) => Promise<T>;
  /** The server's limit for headers and payload together, as of the last (re)connect. */
  readonly maxPayload: () => number;
  /** Drains what is on its way and closes. */
  readonly close: () => Promise<void>;
}

export interface LinkOptions {
  readonly name: string;
  readonly log: Logger;
  readonly signal?: AbortSignal | undefined;
  /** Give up connecting after this long; without it, it tries for ever. */
  readonly giveUpMs?: number | undefined;
  readonly onReconnect?: (() => void) | undefined;
}

/**
 * Connects, trying again until it works; says every few seconds what it tries to reach. Throws `refused` for
 * credentials that the server does not take, a server that is too old and one without JetStream, `unreachable`
 * when giveUpMs is over.
 */
export async function openLink(server: ServerOptions, options: LinkOptions): Promise<Link> {
  const nc = await connectPatiently(server, options);
  try {
    refuseOldServer(nc);
    const jsm = await jetstreamManager(nc, { timeout: REQUEST_TIMEOUT_MS });
    return follow(nc, jsm, options);
  } catch (error) {
    await nc.close();
    throw explain(error, server.server);
  }
}

async function connectPatiently(server: ServerOptions, options: LinkOptions): Promise<NatsConnection> {
  const settings = connectionOptions(server, options.name);
  const began = performance.now();
  let saidAt = Number.NEGATIVE_INFINITY;
  for (;;) {
    try {
      return await connect(settings);
    } catch (error) {
      const clear = explain(error, server.server);
      if (clear.code !== 'unreachable') throw clear;
      const now = performance.now();
      if (options.signal?.aborted === true || now - began >= (options.giveUpMs ?? Number.POSITIVE_INFINITY))
        throw clear;
      if (now - saidAt >= SAY_EVERY_MS) {
        saidAt = now;
        options.log.warn(
          `cannot reach nats-server at ${withoutSecrets(server.server)} (${clear.message}); trying again`,
        );
      }
      await sleep(RECONNECT_WAIT_MS, options.signal);
    }
  }
}

function connectionOptions(server: ServerOptions, name: string): ConnectionOptions {
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
  const authenticator: Authenticator[] = [];
  if (server.creds !== undefined) authenticator.push(credsAuthenticator(secretFile(server.creds, '--creds')));
  if (server.nkey !== undefined) authenticator.push(nkeyAuthenticator(secretFile(server.nkey, '--nkey')));
  if (authenticator.length > 0) options.authenticator = authenticator;
  if (server.tlsCa !== undefined || server.tlsCert !== undefined || server.tlsKey !== undefined) {
    options.tls = {
      ...(server.tlsCa === undefined ? {} : { caFile: present(server.tlsCa, '--tls-ca') }),
      ...(server.tlsCert === undefined ? {} : { certFile: present(server.tlsCert, '--tls-cert') }),
      ...(server.tlsKey === undefined ? {} : { keyFile: present(server.tlsKey, '--tls-key') }),
    };
  }
  return options;
}

function present(file: string, flag: string): string {
  if (!existsSync(file))
    throw new LogferryError('usage', `${flag}: there is no file ${file}`, 'check the path');
  return file;
}

function secretFile(file: string, flag: string): Uint8Array {
  return readFileSync(present(file, flag));
}

function follow(nc: NatsConnection, jsm: JetStreamManager, options: LinkOptions): Link {
  let epoch = 0;
  let connected = true;
  let closing = false;
  let lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const disconnected = (): LogferryError =>
    new LogferryError('unreachable', 'the connection to nats-server was lost');
  const watch = async (): Promise<void> => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        epoch += 1;
        connected = false;
        lost.reject(disconnected());
        lost = Promise.withResolvers<never>();
        lost.promise.catch(() => {});
        if (!closing) options.log.warn('connection to nats-server lost; reconnecting');
      } else if (status.type === 'reconnect') {
        connected = true;
        options.log.info({ server: withoutSecrets(status.server) }, 'reconnected to nats-server');
        options.onReconnect?.();
      } else if (status.type === 'error') options.log.warn(`nats-server: ${messageOf(status.error)}`);
    }
  };
  void watch();
  return {
    nc,
    jsm,
    js: jetstream(nc, { timeout: REQUEST_TIMEOUT_MS }),
    epoch: () => epoch,
    isConnected: () => connected && !nc.isClosed(),
    ask: async (request) => {
      if (!connected || nc.isClosed()) throw disconnected();
      return await Promise.race([request(), lost.promise]);
    },
    maxPayload: () => nc.info?.max_payload ?? 1_048_576,
    close: async () => {
      closing = true;
      if (nc.isClosed()) return;
      await (connected ? nc.drain() : nc.close());
    },
  };
}

function refuseOldServer(nc: NatsConnection): void {
  const version = nc.info?.version ?? '0';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST_SERVER[0] || (major === OLDEST_SERVER[0] && minor < OLDEST_SERVER[1]))
    throw new LogferryError(
      'refused',
      `nats-server at ${withoutSecrets(nc.getServer())} is version ${version}, logferry needs 2.10 or newer`,
      'upgrade nats-server',
    );
}

/** Turns what the client throws into one clear line. */
export function explain(error: unknown, server: string): LogferryError {
  if (error instanceof LogferryError) return error;
  const where = withoutSecrets(server);
  const options = { cause: error };
  if (error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError)
    return new LogferryError(
      'refused',
      `nats-server at ${where} refuses these credentials (${messageOf(error)})`,
      'check --creds, --nkey, --user and --password, or --token',
      options,
    );
  if (error instanceof errors.PermissionViolationError)
    return new LogferryError('refused', messageOf(error), "ask for the user's permissions", options);
  if (isJetStreamOff(error))
    return new LogferryError(
      'refused',
      `JetStream is not enabled on nats-server at ${where}`,
      'start nats-server with -js, or enable JetStream for this account',
      options,
    );
  if (error instanceof JetStreamApiError)
    return new LogferryError('refused', messageOf(error), undefined, options);
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const why = systemCode(error) ?? systemCode(cause) ?? messageOf(error);
  return new LogferryError(
    'unreachable',
    `cannot reach nats-server at ${where} (${why})`,
    'start it, or give --server URL',
    options,
  );
}

function isJetStreamOff(error: unknown): boolean {
  return (
    error instanceof jserrors.JetStreamNotEnabled ||
    (error instanceof JetStreamApiError && error.code === 10_039)
  );
}

/** A server URL without the user and password that may stand in it. */
export function withoutSecrets(url: string): string {
  return url.replaceAll(/\/\/[^/@,]*@/g, '//');
}
