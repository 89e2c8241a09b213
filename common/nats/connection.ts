// The connection to NATS: connecting with patience, telling what failed in one line, and knowing in which epoch an
// answer was read. Never retries an operation: whoever asked knows what repeating means.

import {
  type ConnectionOptions,
  errors,
  type NatsConnection,
  type PermissionViolationError,
} from '@nats-io/transport-node';
import {
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
import { jserrors } from '@nats-io/jetstream/internal';

import { connectionOptions, type ServerOptions } from './connection-options.ts';
import { LogferryError, messageOf, systemCode } from '../runtime/errors.ts';
import { connectFirst } from './first-connection.ts';
import type { Logger } from '../runtime/log.ts';
import { FEW_WAIT_MS, ReconnectPace, reconnectWaitMs } from './reconnect.ts';
import { sleep } from '../runtime/run.ts';
import { tlsMeaning } from './tls-errors.ts';
import { probeTls } from './tls-probe.ts';

export type { ServerOptions } from './connection-options.ts';

export const DEFAULT_SERVER = 'nats://127.0.0.1:4222';

/** Subject transforms in streams came with 2.10. */
const OLDEST_SERVER = [2, 10] as const;

/** How long any one request waits for its answer. */
export const REQUEST_TIMEOUT_MS = 5_000;

/** The status of an answer by a JetStream that has no leader or is shutting down. */
const UNAVAILABLE = 503;
/** JetStream API error codes: no leader any more, a vote that failed, a stream or a consumer whose servers are all down. */
const COMES_BACK: ReadonlySet<number> = new Set([10_006, 10_041, 10_118, 10_119]);

const DRAIN_MS = 2_000;
const SAY_EVERY_MS = 5_000;
/** Inboxes have a subject each. */
const MAX_VIOLATIONS = 100;

/** A connection with JetStream on it. */
export interface Link {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Grows with every disconnect: what was read in another epoch may be from before a rolled-back server. */
  readonly epoch: () => number;
  readonly isConnected: () => boolean;
  /** Fires when a stop has waited long enough for answers (LinkOptions.stopMs): from then on there are none. */
  readonly abandoned: AbortSignal;
  /** When the server was last away or left a request unanswered, in milliseconds of performance.now(). */
  readonly awayAt: () => number;
  /** Whether the last request was answered, be it with a no. */
  readonly answers: () => boolean;
  /**
   * Runs one request. Throws `unreachable` at once while there is no connection, and when it is lost before the
   * answer comes: nothing is buffered over a reconnect, and nothing waits for a time-out in vain.
   */
  readonly ask: <T>(request: () => Promise<T>) => Promise<T>;
  /** Subjects that this user may not be allowed to publish to, which whoever does looks after. */
  readonly handled: Set<string>;
  /** What the subjects of answers begin with. */
  readonly inboxPrefix: string;
  /** The server's limit for headers and payload together, as of the last (re)connect. */
  readonly maxPayload: () => number;
  /** What the server said last to a publish or a subscription on this subject that this user may not make. */
  readonly violation: (subject: string) => PermissionViolationError | undefined;
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
  /** So long after the signal it waits for answers; then it is closed, and whatever is asked is not answered. */
  readonly stopMs?: number | undefined;
  /** The longest wait between two tries to connect; a second without it. */
  readonly mostWaitMs?: number | undefined;
}

/**
 * Connects, trying again until it works; says every few seconds what it tries to reach. Throws `refused` for
 * credentials and certificates that one side does not take, a server that is too old and one without JetStream,
 * `usage` for credentials that are none, `unreachable` when giveUpMs is over.
 */
export async function openLink(server: ServerOptions, options: LinkOptions): Promise<Link> {
  const settings = connectionOptions(server, options.name);
  const began = performance.now();
  let saidAt = Number.NEGATIVE_INFINITY;
  for (let failures = 0; ; failures += 1) {
    try {
      return await connectOnce(settings, options);
    } catch (error) {
      const clear = explain(await withTlsCode(error, settings), server.server);
      if (clear.code !== 'unreachable') throw clear;
      const now = performance.now();
      if (options.signal?.aborted === true || now - began >= (options.giveUpMs ?? Number.POSITIVE_INFINITY))
        throw clear;
      if (now - saidAt >= SAY_EVERY_MS) {
        saidAt = now;
        options.log.warn(`${clear.message}; trying again`);
      }
      const { mostWaitMs = FEW_WAIT_MS } = options;
      await sleep(reconnectWaitMs(failures, mostWaitMs, Math.random()), options.signal);
    }
  }
}

/** A client certificate that is refused looks like a time-out. */
async function withTlsCode(error: unknown, settings: ConnectionOptions): Promise<unknown> {
  if (!(error instanceof errors.TimeoutError)) return error;
  const code = await probeTls(settings);
  return tlsMeaning(code) === undefined ? error : Object.assign(new Error('TLS failed'), { code });
}

/** A connection counts when JetStream answers on it: a cluster without a leader does not, and will. */
async function connectOnce(settings: ConnectionOptions, options: LinkOptions): Promise<Link> {
  const pace = new ReconnectPace(options.mostWaitMs ?? FEW_WAIT_MS);
  const nc = await connectFirst(settings, pace);
  try {
    refuseOldServer(nc);
    const jsm = await jetstreamManager(nc, { timeout: REQUEST_TIMEOUT_MS });
    return follow(nc, jsm, settings, options, pace);
  } catch (error) {
    await nc.close();
    throw error;
  }
}

function follow(
  nc: NatsConnection,
  jsm: JetStreamManager,
  settings: ConnectionOptions,
  options: LinkOptions,
  pace: ReconnectPace,
): Link {
  let epoch = 0;
  let connected = true;
  let closing = false;
  let awayAt = performance.now();
  let answers = true;
  const handled = new Set<string>();
  // Not a race with one promise that stands for the connection: that would keep something of every request for ever.
  const unanswered = new Set<(error: LogferryError) => void>();
  const disconnected = (): LogferryError =>
    new LogferryError('unreachable', 'the connection to nats-server was lost');
  const violations = new Map<string, PermissionViolationError>();
  const note = (violation: PermissionViolationError): void => {
    if (violations.size >= MAX_VIOLATIONS) violations.clear();
    violations.set(violation.subject, violation);
  };
  const watch = async (): Promise<void> => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect') {
        epoch += 1;
        connected = false;
        for (const reject of unanswered) reject(disconnected());
        unanswered.clear();
        if (!closing) options.log.warn('connection to nats-server lost; reconnecting');
      } else if (status.type === 'reconnect') {
        connected = true;
        awayAt = performance.now();
        pace.connected();
        options.log.info({ server: withoutSecrets(status.server) }, 'reconnected to nats-server');
        options.onReconnect?.();
      } else if (status.type === 'error') {
        if (status.error instanceof errors.PermissionViolationError) note(status.error);
        if (!isHandled(status.error, handled)) options.log.warn(`nats-server: ${messageOf(status.error)}`);
      }
    }
  };
  void watch();
  const abandoned = new AbortController();
  const abandon = (): void => {
    if (nc.isClosed()) return;
    closing = true;
    connected = false;
    options.log.warn(
      'nats-server does not answer; stopping without it, the next start goes on from what is on disk',
    );
    for (const reject of unanswered) reject(disconnected());
    unanswered.clear();
    abandoned.abort();
    nc.close().catch((error: unknown) => {
      options.log.debug(`closing the connection: ${messageOf(error)}`);
    });
  };
  const { signal, stopMs } = options;
  if (stopMs !== undefined)
    signal?.addEventListener('abort', () => void setTimeout(abandon, stopMs).unref(), { once: true });
  return {
    nc,
    jsm,
    js: jetstream(nc, { timeout: REQUEST_TIMEOUT_MS }),
    epoch: () => epoch,
    handled,
    inboxPrefix: settings.inboxPrefix ?? '_INBOX',
    isConnected: () => connected && !nc.isClosed(),
    abandoned: abandoned.signal,
    awayAt: () => awayAt,
    answers: () => answers,
    ask: async <T>(request: () => Promise<T>) => {
      if (!connected || nc.isClosed()) throw disconnected();
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      unanswered.add(reject);
      request().then(resolve, reject);
      try {
        const answer = await promise;
        answers = true;
        return answer;
      } catch (error) {
        answers = isAnswer(error);
        if (!answers) awayAt = performance.now();
        throw error;
      } finally {
        unanswered.delete(reject);
      }
    },
    violation: (subject) => violations.get(subject),
    maxPayload: () => nc.info?.max_payload ?? 1_048_576,
    close: async () => {
      closing = true;
      if (nc.isClosed()) return;
      // A server that does not answer is not waited for: what it had not acknowledged is repeated at the next start.
      if (connected) await Promise.race([nc.drain(), sleep(DRAIN_MS)]);
      if (!nc.isClosed()) await nc.close();
    },
  };
}

/** Whether it is the server that says no, and not the lack of one. */
function isAnswer(error: unknown): boolean {
  if (permissionViolation(error) !== undefined) return true;
  return error instanceof JetStreamApiError && error.apiError().code !== UNAVAILABLE;
}

function isHandled(error: Error, handled: ReadonlySet<string>): boolean {
  const violation = permissionViolation(error);
  return violation?.operation === 'publish' && handled.has(violation.subject);
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
  const permission = permissionViolation(error);
  if (permission !== undefined)
    return new LogferryError(
      'refused',
      `nats-server at ${where} refuses: ${permission.message}`,
      'give this user the permissions that logferry needs',
      options,
    );
  if (isJetStreamOff(error))
    return new LogferryError(
      'refused',
      `JetStream is not enabled on nats-server at ${where}`,
      'start nats-server with -js, or enable JetStream for this account',
      options,
    );
  if (error instanceof JetStreamApiError && !isUnavailable(error))
    return new LogferryError(
      'refused',
      `JetStream at ${where} refuses: ${messageOf(error)}`,
      undefined,
      options,
    );
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = systemCode(error) ?? systemCode(cause);
  const tls = tlsMeaning(code);
  if (tls !== undefined)
    return new LogferryError('refused', `nats-server at ${where} ${tls.what} (${code})`, tls.hint, options);
  const why = code ?? messageOf(error);
  return new LogferryError(
    'unreachable',
    `cannot reach nats-server at ${where} (${why})`,
    'start it, or give --server URL',
    options,
  );
}

/** The violation in an error; a request's comes wrapped, and nobody will answer that however often it is repeated. */
export function permissionViolation(error: unknown): PermissionViolationError | undefined {
  const cause = error instanceof errors.RequestError ? error.cause : error;
  return cause instanceof errors.PermissionViolationError ? cause : undefined;
}

/** Whether JetStream cannot answer now, and can when its servers are there again. */
export function isUnavailable(error: JetStreamApiError): boolean {
  return error.apiError().code === UNAVAILABLE || COMES_BACK.has(error.code);
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
