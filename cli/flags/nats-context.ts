// A context of the nats CLI: which server, and who one is there. Read where nats keeps it, never written, and never
// taken unless it is named.

import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

import { z } from 'zod';

import { refuseOpenToOthers } from '../../common/nats/connection-options.ts';
import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { parseJson } from '../../common/runtime/json.ts';

/** What is taken of one; what is empty counts as absent. */
export interface NatsContext {
  readonly url?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsCa?: string | undefined;
  readonly tlsFirst: boolean;
  readonly inboxPrefix?: string | undefined;
}

const string = z.string().optional();

/** By the names of https://github.com/nats-io/jsm.go, natscontext. */
const schema = z.looseObject({
  ...{ url: string, user: string, password: string, token: string, creds: string, nkey: string },
  ...{ cert: string, key: string, ca: string, tls_first: z.boolean().optional(), inbox_prefix: string },
});

const TAKEN = new Set(Object.keys(schema.shape));

/** They say nothing of the connection, or of one that is not made. */
const LEFT_OUT = new Set(['name', 'description', 'color_scheme', 'jetstream_event_prefix']);

/** Throws `usage`, naming the file, for a context that is not there, does not parse or needs what logferry cannot do. */
export function readNatsContext(name: string, env: NodeJS.ProcessEnv): NatsContext {
  const file = fileOf(name, env);
  const fields = parse(read(name, file), file);
  for (const [field, value] of Object.entries(fields))
    if (!TAKEN.has(field) && !LEFT_OUT.has(field) && !isEmpty(value))
      throw unusable(file, `it has ${JSON.stringify(field)}, which logferry does not know what to do with`);
  const text = (field: string): string | undefined => {
    const value = fields[field];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const place = (field: string): string | undefined => expanded(text(field), field, file, env);
  const { user, password, token } = { user: text('user'), password: text('password'), token: text('token') };
  if ((user === undefined) !== (password === undefined))
    throw unusable(file, 'it has one of "user" and "password" without the other');
  if (password !== undefined || token !== undefined) refuseOpenToOthers(file, '--context');
  return {
    ...{ url: text('url'), user, password, token, creds: place('creds'), nkey: place('nkey') },
    ...{ tlsCert: place('cert'), tlsKey: place('key'), tlsCa: place('ca') },
    ...{ tlsFirst: fields['tls_first'] === true, inboxPrefix: text('inbox_prefix') },
  };
}

function fileOf(name: string, env: NodeJS.ProcessEnv): string {
  if (name.includes('/') || name.includes('..'))
    throw new LogferryError(
      'usage',
      `--context is ${JSON.stringify(name)}, expected a name`,
      'see nats context ls',
    );
  const xdg = env['XDG_CONFIG_HOME'] ?? '';
  return path.join(xdg === '' ? path.join(home(env), '.config') : xdg, 'nats', 'context', `${name}.json`);
}

function home(env: NodeJS.ProcessEnv): string {
  return env['HOME'] ?? homedir();
}

function read(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    const what =
      systemCode(error) === 'ENOENT'
        ? `there is no context ${JSON.stringify(name)} of the nats CLI (${file})`
        : `cannot read the context ${file} (${messageOf(error)})`;
    throw new LogferryError('usage', what, 'see nats context ls', { cause: error });
  }
}

function parse(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    const { data, error } = schema.safeParse(parseJson(text));
    if (data !== undefined) return data;
    const [issue] = error.issues;
    throw unusable(file, `${JSON.stringify(issue?.path.join('.'))}: ${issue?.message ?? 'wrong'}`);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'corrupt') throw unusable(file, 'it is no JSON');
    throw error;
  }
}

/** `~` for the home directory, as the nats CLI has it. What asks another program for a secret is not done. */
function expanded(
  value: string | undefined,
  field: string,
  file: string,
  env: NodeJS.ProcessEnv,
): string | undefined {
  if (value?.includes('://') === true)
    throw unusable(file, `${JSON.stringify(field)} is no path, and logferry reads it from files only`);
  return value?.replace(/^~(?=\/|$)/, () => home(env));
}

function isEmpty(value: unknown): boolean {
  return value === '' || value === false || value === null || value === undefined || value === 0;
}

function unusable(file: string, why: string): LogferryError {
  return new LogferryError('usage', `cannot use the context ${file}: ${why}`, 'give flags instead');
}
