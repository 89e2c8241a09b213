// Flags: one declaration is the type, the default and the line in the help, and that of the key of the same name in a
// configuration file. Precedence: flag, environment, file, default. Never reads a file; the values it makes are checked
// one by one, contradictions between them by the command.

import { type Command, Option } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { formatBytes, parseBytes, parseDuration } from '../../common/text/units.ts';

export interface FlagText {
  readonly help: string;
  /** As a user would write it. */
  readonly default?: string;
  /** What happens without the flag, where that is no fixed value. */
  readonly otherwise?: string;
  readonly env?: string;
  readonly required?: true;
  /** Never shown. */
  readonly secret?: true;
}

/** What an editor may know of a value, in JSON Schema. */
export type Hint = Readonly<Record<string, unknown>>;

/** Makes the schema of a value; given the flag's name, for its messages. Throws `usage` for a wrong value. */
export interface Kind<S extends z.ZodType> {
  (name: string): S;
  readonly hint?: Hint;
}

export interface Declared extends FlagText {
  readonly flags: string;
  /** `--max-rate` */
  readonly name: string;
  readonly takes: 'text' | 'list' | 'switch';
  /** Throws `usage` for a text that does not do, or one of a list. */
  readonly check: Check | undefined;
  readonly hint: Hint | undefined;
}

/** @param name of what it is the value of, for the message */
export type Check = (value: string, name: string) => void;

const declared = z.registry<Declared>();

type Given = FlagText & ({ readonly default: string } | { readonly required: true });

/** Declares a flag, written as commander takes it: `--lease <duration>`, `--out <dir...>`. */
export function flag<S extends z.ZodType>(flags: string, text: Given, kind: Kind<S>): S;
export function flag<S extends z.ZodType>(flags: string, text: FlagText, kind: Kind<S>): z.ZodOptional<S>;
export function flag(flags: string, text: FlagText, kind: Kind<z.ZodType>): z.ZodType {
  const name = longName(flags);
  const value = kind(name);
  const schema = text.default === undefined && text.required !== true ? value.optional() : value;
  declared.add(schema, { ...text, flags, name, takes: 'text', ...checkOf(kind) });
  return schema;
}

/** Declares a flag without a value. */
export function toggle(flags: string, help: string): z.ZodDefault<z.ZodBoolean> {
  const schema = z.boolean().default(false);
  declared.add(schema, {
    ...{ help, flags, name: longName(flags), takes: 'switch' as const },
    ...{ check: undefined, hint: undefined },
  });
  return schema;
}

/** Declares a flag without a value that switches off (`--no-…`) what is on without it. */
export function switchOff(flags: `--no-${string}`, help: string): z.ZodDefault<z.ZodBoolean> {
  const schema = z.boolean().default(true);
  declared.add(schema, { help, flags, name: flags, takes: 'switch', check: undefined, hint: undefined });
  return schema;
}

/** Declares a flag that may be given several times, one value each. */
export function repeated<S extends z.ZodType>(
  flags: string,
  help: string,
  kind: Kind<S>,
): z.ZodDefault<z.ZodArray<S>> {
  const name = longName(flags);
  const schema = z.array(kind(name)).default([]);
  declared.add(schema, { help, flags, name, takes: 'list', ...checkOf(kind) });
  return schema;
}

function checkOf(kind: Kind<z.ZodType>): { check: Check; hint: Hint | undefined } {
  return { check: (value, name) => void kind(name).parse(value), hint: kind.hint };
}

/** `--lines` of `-n, --lines <N>`. */
function longName(flags: string): string {
  return /--\S+/.exec(flags)?.[0] ?? flags;
}

/** A flag as commander knows it, with what its declaration says beyond that. */
export class FlagOption extends Option {
  /** All values that it takes, where that is a fixed set; else none. */
  readonly words: readonly string[];
  readonly repeats: boolean;

  constructor({ flags, help, hint, takes, ...given }: Declared) {
    super(flags, `${help}${defaultText(given)}`);
    this.words = wordsOf(hint);
    this.repeats = takes === 'list';
    if (this.repeats) this.argParser((one: string, before: string[] | undefined) => [...(before ?? []), one]);
  }
}

/** The fixed set that a schema of oneOf, or of orOff upon it, lists. */
function wordsOf(hint: Hint | undefined): readonly string[] {
  const each = Array.isArray(hint?.['anyOf']) ? (hint['anyOf'] as Hint[]) : [hint ?? {}];
  const sets = each.map((one) => ('const' in one ? [one['const']] : one['enum']));
  return sets.every((set) => Array.isArray(set)) ? sets.flat().map(String) : [];
}

/** Adds every flag of a schema to a command. */
export function addFlags(command: Command, schema: z.ZodObject): void {
  for (const [key, value] of Object.entries(schema.shape)) {
    const option = new FlagOption(declarationOf(value));
    // A toggle called `--no-…` beside another flag of that name is no opposite of it.
    if (option.attributeName() !== key) option.negate = false;
    command.addOption(option);
  }
}

function defaultText(text: Omit<FlagText, 'help'>): string {
  const parts: string[] = [];
  if (text.required === true) parts.push('required');
  if (text.default !== undefined) parts.push(`default: ${text.default}`);
  if (text.otherwise !== undefined) parts.push(`default: ${text.otherwise}`);
  if (text.env !== undefined) parts.push(`env: ${text.env}`);
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`;
}

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'flag'; readonly name: string }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'file'; readonly place: string }
  | { readonly kind: 'default' };

/** What a command line says before it is understood. */
export interface CommandLine {
  readonly command: string;
  /** By the key in the schema, as commander has it. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly args: readonly string[];
}

/** Values that are neither a flag's nor the environment's, by the key in the schema. */
export type Beneath = ReadonlyMap<string, { readonly value: unknown; readonly place: string }>;

export interface Understood<S extends z.ZodObject> {
  readonly values: z.output<S>;
  /** The same before they were read, and where each came from. */
  readonly given: ReadonlyMap<string, { readonly value: unknown; readonly from: Origin }>;
}

/** Throws `usage` where commander took a flag for the value of another. */
export function commandLineOf(command: Command, schema: z.ZodObject): CommandLine {
  const flags: Record<string, unknown> = { ...command.opts() };
  for (const [key, value] of Object.entries(schema.shape)) {
    const { name, takes } = declarationOf(value);
    // commander counts what --no-… switches off as given.
    if (takes === 'switch' && command.getOptionValueSource(key) === 'default') delete flags[key];
    refuseSwallowed(name, flags[key], command);
  }
  return { command: command.name(), flags, args: command.args };
}

/** The values of a command's flags. Throws `usage`, naming the flag, its value and what was expected. */
export function readFlags<S extends z.ZodObject>(
  schema: S,
  line: CommandLine,
  env: NodeJS.ProcessEnv,
  beneath: Beneath = new Map(),
): Understood<S> {
  const given = new Map<string, { value: unknown; from: Origin }>();
  for (const [key, value] of Object.entries(schema.shape)) {
    const { name, env: variable, default: fallback, required } = declarationOf(value);
    // An empty variable counts as unset.
    const fromEnv = variable === undefined || env[variable] === '' ? undefined : env[variable];
    const below = beneath.get(key);
    if (line.flags[key] !== undefined)
      given.set(key, { value: line.flags[key], from: { kind: 'flag', name } });
    else if (fromEnv !== undefined && variable !== undefined)
      given.set(key, { value: fromEnv, from: { kind: 'environment', variable } });
    else if (below !== undefined)
      given.set(key, { value: below.value, from: { kind: 'file', place: below.place } });
    else if (fallback !== undefined) given.set(key, { value: fallback, from: { kind: 'default' } });
    else if (required === true)
      throw new LogferryError('usage', `${name} is missing`, `see logferry ${line.command} --help`);
  }
  const raw = Object.fromEntries([...given].map(([key, { value }]) => [key, value]));
  return { values: schema.parse(raw), given };
}

/** commander takes whatever follows for the value: `--out --once` would make a directory of that name. */
function refuseSwallowed(name: string, value: unknown, command: Command): void {
  for (const text of Array.isArray(value) ? value : [value])
    if (command.options.some(({ long }) => long === text))
      throw new LogferryError('usage', `${name} has no value, the flag ${text} follows`, 'give the value');
}

/** What was declared of a flag. */
export function declarationOf(schema: unknown): Declared {
  const found = schema instanceof z.ZodType ? declared.get(schema) : undefined;
  if (found === undefined) throw new Error('BUG: a flag that was not declared');
  return found;
}

/** The error for a value that does not do. */
export function wrongValue(name: string, value: string, expected: string): LogferryError {
  return new LogferryError('usage', `${name} is ${JSON.stringify(value)}, expected ${expected}`);
}

/** A text that is not empty. */
export function text(expected: string): Kind<z.ZodString> {
  return (name) =>
    z.string().check((context) => {
      if (context.value.trim() === '') throw wrongValue(name, context.value, expected);
    });
}

/** Anything that `read` makes of the text; it throws `usage`. */
export function parsed<T>(
  read: (value: string, name: string) => T,
  hint?: Hint,
): Kind<z.ZodPipe<z.ZodString, z.ZodTransform<T, string>>> {
  const kind = (name: string): z.ZodPipe<z.ZodString, z.ZodTransform<T, string>> =>
    z.string().transform((value) => read(value, name));
  return hint === undefined ? kind : Object.assign(kind, { hint });
}

/** One of these words. */
export function oneOf<const T extends string>(...words: readonly T[]): ReturnType<typeof parsed<T>> {
  return parsed(
    (value, name) => {
      const found = words.find((word) => word === value);
      if (found === undefined) throw wrongValue(name, value, words.join(' or '));
      return found;
    },
    { type: 'string', enum: words },
  );
}

export function integer(least: number, most: number): ReturnType<typeof parsed<number>> {
  return parsed(
    (value, name) => {
      const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
      if (number >= least && number <= most) return number;
      throw wrongValue(name, value, `a whole number from ${least} to ${most}`);
    },
    { type: 'integer', minimum: least, maximum: most },
  );
}

/** Milliseconds, both bounds included. */
export function duration(least: string, most?: string): ReturnType<typeof parsed<number>> {
  const leastMs = parseDuration(least, 'BUG');
  const mostMs = most === undefined ? Number.MAX_SAFE_INTEGER : parseDuration(most, 'BUG');
  const range = most === undefined ? `at least ${least}` : `from ${least} to ${most}`;
  return parsed(
    (value, name) => {
      const ms = parseDuration(value, name);
      if (ms >= leastMs && ms <= mostMs) return ms;
      throw wrongValue(name, value, `a duration ${range}`);
    },
    { type: 'string', pattern: String.raw`^\s*(\d+(\.\d+)?(ms|[smhdw]))+\s*$` },
  );
}

/** Bytes. */
export function size(least: number): ReturnType<typeof parsed<number>> {
  return parsed(
    (value, name) => {
      const bytes = parseBytes(value, name);
      if (bytes >= least) return bytes;
      throw wrongValue(name, value, `a size of at least ${formatBytes(least)}`);
    },
    {
      anyOf: [
        { type: 'string', pattern: String.raw`^\s*\d+(\.\d+)?\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\s*$` },
        { type: 'integer', minimum: least },
      ],
    },
  );
}

/** `off` for undefined. */
export function orOff<T>(kind: Kind<z.ZodType<T, string>>): ReturnType<typeof parsed<T | undefined>> {
  return parsed(
    (value, name) => (value === 'off' ? undefined : kind(name).parse(value)),
    kind.hint === undefined ? undefined : { anyOf: [kind.hint, { const: 'off' }] },
  );
}
