// The options that the commands share: which server and who one is there, which stream, which log. Never connects.

import { z } from 'zod';

import { DOMAIN_NAME } from '../../common/nats/domain.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { createLog, type Log, type Logger } from '../../common/runtime/log.ts';
import { DEFAULT_SERVER, type ServerOptions } from '../../common/nats/connection.ts';
import { DEFAULT_STREAM } from '../../common/wire/topology.ts';
import { flag, integer, oneOf, parsed, size, text, toggle, wrongValue } from './flag.ts';
import { type NatsContext, readNatsContext } from './nats-context.ts';
import { type Login, readServers } from './servers.ts';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Bounds from nats-server: a stream's name is a directory's, and a bucket's is `<stream>_partitions`. */
const STREAM_NAME = /^[A-Za-z0-9_-]{1,200}$/;

/** A token of a subject: no blanks, no wildcards, nothing that is not printed. */
const PREFIX_TOKEN = /^[^\s.*>\p{C}]+$/u;

/** A log that is rotated with every few lines tells nothing. */
const LEAST_LOG = 64 * 1024;
/** Each rotation renames all of them. */
const MOST_LOGS = 1_000;

const file = text('a path');

export const serverFlags = {
  server: flag(
    '--server <url>',
    {
      help: 'where nats-server is, several separated by commas',
      otherwise: `what --context says, or ${DEFAULT_SERVER}`,
      env: 'NATS_URL',
    },
    parsed(readServers),
  ),
  context: flag(
    '--context <name>',
    {
      help: 'server and login from this context of the nats CLI, where no other flag or variable gives them',
      otherwise: 'none, also where nats has one selected',
      env: 'NATS_CONTEXT',
    },
    text('a name'),
  ),
  creds: flag('--creds <file>', { help: 'log in with a credentials file', env: 'NATS_CREDS' }, file),
  nkey: flag('--nkey <file>', { help: 'log in with an NKey seed file', env: 'NATS_NKEY' }, file),
  user: flag('--user <name>', { help: 'log in with a user name', env: 'NATS_USER' }, text('a user name')),
  password: flag(
    '--password <text>',
    { help: 'and its password; in the variable ps does not show it', env: 'NATS_PASSWORD', secret: true },
    text('a password'),
  ),
  token: flag(
    '--token <text>',
    { help: 'log in with a token; in the variable ps does not show it', env: 'NATS_TOKEN', secret: true },
    text('a token'),
  ),
  tlsCa: flag(
    '--tls-ca <file>',
    { help: "trust servers by this authority's certificate", env: 'NATS_CA' },
    file,
  ),
  tlsCert: flag('--tls-cert <file>', { help: 'show this certificate to the server', env: 'NATS_CERT' }, file),
  tlsKey: flag('--tls-key <file>', { help: 'and this is its key', env: 'NATS_KEY' }, file),
  tlsFirst: toggle('--tls-first', 'encrypt before the server says anything, for servers set up so'),
  inboxPrefix: flag(
    '--inbox-prefix <subject>',
    {
      help: 'what the subjects of answers begin with',
      otherwise: 'ship: _INBOX_ship_<host>, receive: _INBOX_receive, else _INBOX',
    },
    parsed(readInbox),
  ),
};

export const streamFlags = {
  stream: flag(
    '--stream <name>',
    { help: 'the JetStream stream', default: DEFAULT_STREAM },
    parsed(readStream),
  ),
  prefix: flag(
    '--prefix <subject>',
    { help: 'what its subjects begin with', otherwise: "the stream's name in lower case" },
    parsed(readPrefix),
  ),
};

/** Of the commands that can be configured by a file. */
export const configFlag = flag(
  '--config <file>',
  { help: 'read what is not given here from this YAML file' },
  file,
);

export const logFlags = {
  logLevel: flag('--log-level <level>', { help: LEVELS.join(', '), default: 'info' }, oneOf(...LEVELS)),
  logFile: flag('--log-file <file>', { help: 'write the log here', otherwise: 'stderr' }, file),
  logSize: flag(
    '--log-size <size>',
    { help: 'rotate --log-file before it is larger than this', default: '10MiB' },
    size(LEAST_LOG),
  ),
  logKeep: flag(
    '--log-keep <n>',
    { help: 'so many rotated files stay, as <file>.1 (the newest), .2 and so on', default: '5' },
    integer(0, MOST_LOGS),
  ),
};

/** What every command that talks to a server takes. */
export const commonFlags = { ...serverFlags, ...streamFlags, ...logFlags };

const serverSchema = z.strictObject(serverFlags);
const streamSchema = z.strictObject(streamFlags);
const logSchema = z.strictObject(logFlags);

/**
 * Throws `usage` for more than one way to log in, for halves of one, and for a context that cannot be used. A login in
 * flags or variables replaces the context's as a whole.
 */
export function serverOptions(
  given: z.output<typeof serverSchema>,
  env: NodeJS.ProcessEnv = process.env,
): ServerOptions {
  const context = given.context === undefined ? undefined : readNatsContext(given.context, env);
  const server = given.server ?? readServers(context?.url ?? DEFAULT_SERVER, '--context');
  const own = waysOf(given.server?.login, given);
  if (own.length > 1) throw contradict(own);
  const { creds, nkey, ...flags } = own.length > 0 || context === undefined ? given : context;
  const login = own.length > 0 ? given.server?.login : server.login;
  const ways = waysOf(login, { ...flags, creds, nkey });
  if (ways.length > 1) throw contradict(ways);
  needBoth('--user', flags.user, '--password', flags.password);
  const pair = given.tlsCert === undefined && given.tlsKey === undefined ? (context ?? given) : given;
  const { tlsCert, tlsKey } = pair;
  needBoth('--tls-cert', tlsCert, '--tls-key', tlsKey);
  const { user, password, token } = login ?? flags;
  return {
    server: server.urls,
    ...{ creds, nkey, user, password, token, tlsCert, tlsKey },
    tlsCa: given.tlsCa ?? context?.tlsCa,
    tlsFirst: given.tlsFirst || context?.tlsFirst === true,
    inboxPrefix: given.inboxPrefix ?? inboxOf(context),
  };
}

function inboxOf(context: NatsContext | undefined): string | undefined {
  const prefix = context?.inboxPrefix;
  return prefix === undefined ? undefined : readInbox(prefix, 'inbox_prefix in --context');
}

/** The ways to log in that were given. */
function waysOf(inUrl: Login | undefined, flags: Partial<z.output<typeof serverSchema>>): string[] {
  const { creds, nkey, user, password, token } = flags;
  return [
    inUrl === undefined ? undefined : 'a user in --server (or NATS_URL)',
    creds === undefined ? undefined : '--creds',
    nkey === undefined ? undefined : '--nkey',
    user === undefined && password === undefined ? undefined : '--user and --password',
    token === undefined ? undefined : '--token',
  ].filter((way) => way !== undefined);
}

function contradict(ways: readonly string[]): LogferryError {
  const what = `${ways.join(' and ')} contradict each other`;
  return new LogferryError('usage', what, 'give only one of them');
}

function needBoth(one: string, a: string | undefined, other: string, b: string | undefined): void {
  if ((a === undefined) === (b === undefined)) return;
  const [given, missing] = a === undefined ? [other, one] : [one, other];
  throw new LogferryError('usage', `${given} needs ${missing}`, 'give both, or neither');
}

/** The stream and what its subjects begin with. */
export function streamNames(flags: z.output<typeof streamSchema>): { stream: string; prefix: string } {
  const { stream } = flags;
  return { stream, prefix: flags.prefix ?? readPrefix(stream.toLowerCase(), '--prefix (from --stream)') };
}

function readStream(value: string, name: string): string {
  if (STREAM_NAME.test(value)) return value;
  throw wrongValue(name, value, 'a name of letters, digits, _ and -, at most 200');
}

/** The name of a JetStream domain. Throws `usage`. */
export function readDomain(value: string, name: string): string {
  if (DOMAIN_NAME.test(value) && value.toUpperCase() !== 'API') return value;
  throw wrongValue(name, value, 'the name of a JetStream domain: letters, digits, _ and -, at most 100');
}

function readInbox(value: string, name: string): string {
  if (value.length <= 200 && value.split('.').every((token) => PREFIX_TOKEN.test(token))) return value;
  throw wrongValue(name, value, 'a subject without blanks, * and >, at most 200 bytes');
}

function readPrefix(value: string, name: string): string {
  const tokens = value.split('.');
  // The notices are logferry.committed.…: a stream over them would store its own.
  const reserved = tokens[0] === 'logferry' || /^(\$|_INBOX)/.test(tokens[0] ?? '');
  if (reserved || value.length > 200 || !tokens.every((token) => PREFIX_TOKEN.test(token)))
    throw wrongValue(
      name,
      value,
      'a subject without blanks, * and >, at most 200 bytes, that does not begin with logferry, $ or _INBOX',
    );
  return value;
}

/** Throws `failed` when the log file cannot be written. */
export function openLog(flags: z.output<typeof logSchema>): Logger {
  return openReopening(flags).log;
}

/** The same, for those that run on while somebody moves the file away. */
export function openReopening({
  logLevel: level,
  logFile,
  logSize,
  logKeep,
}: z.output<typeof logSchema>): Log {
  const file = logFile === undefined ? undefined : { file: logFile, maxBytes: logSize, keep: logKeep };
  try {
    return createLog({ level, file });
  } catch (error) {
    throw new LogferryError(
      'failed',
      `cannot write the log to ${logFile ?? 'stderr'}: ${messageOf(error)}`,
      'give another --log-file',
      { cause: error },
    );
  }
}
