// The keys of a configuration file: which there are, in which section, and what each may be. They are made from the
// declarations of the flags, so that type, default and help stand in one place. Reads nothing.

import { z } from 'zod';

import { type Check, type Declared, declarationOf, type Hint, wrongValue } from '../flags/flag.ts';
import { logFlags, serverFlags, streamFlags } from '../flags/options.ts';
import { receiveFlags } from '../flags/receive.ts';
import { shipFlags } from '../flags/ship.ts';
import { shipSourceFlags } from '../flags/sources.ts';

/** The two that a file may be for. */
export const DAEMONS = ['ship', 'receive'] as const;
export type Daemon = (typeof DAEMONS)[number];

/** What a key holds. */
export type Leaf = Pick<Declared, 'takes' | 'check' | 'secret'>;

const leaves = z.registry<Leaf>();

/** YAML makes a number of what looks like one; it is read as it is written. */
const SCALAR: Hint = { type: ['string', 'number'] };
const SUBSTITUTED: Hint = { type: 'string', pattern: String.raw`\$\{` };

/** Flags that are no keys: the file that one is in is known. */
const NO_KEYS = new Set(['config']);

const SHARED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(Object.keys(serverFlags).map((name) => [name, `server.${kebab(name)}`])),
  server: 'server.url',
  stream: 'stream',
  prefix: 'prefix',
  logLevel: 'log.level',
  logFile: 'log.file',
  logSize: 'log.size',
  logKeep: 'log.keep',
};

/** The key of a flag, `receive.keep-age` for `keepAge` of receive. Undefined for one that has none. */
export function keyOf(daemon: Daemon, flagName: string): string | undefined {
  return NO_KEYS.has(flagName) ? undefined : (SHARED[flagName] ?? `${daemon}.${kebab(flagName)}`);
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

const source = z.strictObject({
  paths: listOf('the files, one glob or several; * stays within a directory, ** crosses', refuseEmpty),
  ...keysOf(shipSourceFlags),
});

const { server: url, ...login } = serverFlags;
const isSource = (name: string): boolean => name in shipSourceFlags;
const isShared = (name: string): boolean => name in SHARED || NO_KEYS.has(name);

export const fileSchema = z.strictObject({
  include: optionalList(
    'read these files too, one glob or several, relative to this file; sources are added up, any other key may be ' +
      'given once only',
    refuseEmpty,
  ),
  server: section('Where nats-server is, and who one is there', { url: leafOf(url), ...keysOf(login) }),
  ...keysOf(streamFlags),
  log: section('What is logged, and where', {
    level: leafOf(logFlags.logLevel),
    file: leafOf(logFlags.logFile),
    size: leafOf(logFlags.logSize),
    keep: leafOf(logFlags.logKeep),
  }),
  ship: section('What logferry ship does', {
    sources: z
      .array(source)
      .meta({
        description:
          'what is shipped; a path that several sources match belongs to the first. Where globs are given on the ' +
          'command line there may be none',
      })
      .optional(),
    ...keysOf(without(shipFlags.shape, (name) => isSource(name) || isShared(name))),
  }),
  receive: section(
    'What logferry receive does',
    keysOf(without(receiveFlags.shape, (name) => isShared(name))),
  ),
});

/** What a key of the schema holds; undefined for sections and lists of them. */
export function leafAt(schema: unknown): Leaf | undefined {
  return schema instanceof z.ZodType ? leaves.get(schema) : undefined;
}

/** The file's schema for editors, as JSON Schema. */
export function jsonSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' });
  const title = 'logferry configuration file';
  const description =
    'Durations like 30s or 7d, sizes like 100MiB. ${NAME} in a value stands for an environment variable, ' +
    '${NAME:-default} has a default, $${ is a literal ${.';
  return { $schema, title, description, ...rest };
}

function without(
  shape: Readonly<Record<string, z.ZodType>>,
  isLeftOut: (name: string) => boolean,
): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(shape).filter(([name]) => !isLeftOut(name)));
}

function section<S extends Record<string, z.ZodType>>(
  description: string,
  shape: S,
): z.ZodOptional<z.ZodObject<S, z.core.$strict>> {
  return z.strictObject(shape).meta({ description }).optional();
}

function keysOf(flags: Readonly<Record<string, z.ZodType>>): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(flags).map(([name, flag]) => [kebab(name), leafOf(flag)]));
}

function leafOf(flag: z.ZodType): z.ZodType {
  const {
    takes,
    check,
    hint: narrower,
    help,
    default: fallback,
    otherwise,
    secret,
    name,
  } = declarationOf(flag);
  const isOn = name.startsWith('--no-');
  const description = [
    isOn ? `false: ${help}` : help,
    ...(otherwise === undefined ? [] : [`default: ${otherwise}`]),
  ].join('; ');
  if (takes === 'switch') {
    const schema = z
      .unknown()
      .meta({ anyOf: [{ type: 'boolean' }, SUBSTITUTED], description, default: isOn })
      .optional();
    leaves.add(schema, { takes, check });
    return schema;
  }
  if (takes === 'list') return optionalList(help, check);
  const hint = withSubstitution(narrower);
  const schema = z
    .unknown()
    .meta({ ...hint, description, ...(fallback === undefined ? {} : { default: fallback }) })
    .optional();
  leaves.add(schema, { takes, check, ...(secret === undefined ? {} : { secret }) });
  return schema;
}

function refuseEmpty(value: string, name: string): void {
  if (value.trim() === '') throw wrongValue(name, value, 'a glob');
}

/** What is narrower than a text may come from an environment variable too. */
function withSubstitution(hint: Hint | undefined): Hint {
  if (hint === undefined) return SCALAR;
  const some = Array.isArray(hint['anyOf']) ? (hint['anyOf'] as Hint[]) : [hint];
  return { anyOf: [...some, SUBSTITUTED] };
}

function optionalList(description: string, check: Check | undefined): z.ZodType {
  const schema = listOf(description, check).optional();
  leaves.add(schema, { takes: 'list', check });
  return schema;
}

/** One text stands for a list of one. */
function listOf(description: string, check: Check | undefined): z.ZodType {
  const schema = z.union([z.string(), z.array(z.string())]).meta({ description });
  leaves.add(schema, { takes: 'list', check });
  return schema;
}
