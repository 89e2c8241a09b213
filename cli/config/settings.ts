// What counts for a daemon: its command line, the environment and its configuration file put together, each value with
// where it came from. Never starts anything.

import type { z } from 'zod';

import { connectionOptions } from '../../common/nats/connection-options.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { ShipOptions } from '../../shipper/options.ts';
import { type Daemon, keyOf } from './keys.ts';
import { type ConfigFile, readConfig } from './read.ts';
import { exposures } from './secrets.ts';
import { type Given, type Setting, settingOf } from './setting.ts';
import { readSource, settingsOf, toldSources } from './sources.ts';
import { type Beneath, type CommandLine, declarationOf, readFlags } from '../flags/flag.ts';
import type { Listen } from '../flags/listen.ts';
import { receiveFlags, receiveOptionsOf } from '../flags/receive.ts';
import { shipFlags, shipOptionsOf } from '../flags/ship.ts';
import { shipSourceSchema } from '../flags/sources.ts';
import type { ReceiveOptions } from '../../receiver/options.ts';

export interface Settings<O> {
  readonly options: O;
  /** The flags as they were understood. */
  readonly log: LogSettings;
  /** Where the metrics are asked for; undefined: nowhere. */
  readonly metrics: Listen | undefined;
  readonly settings: readonly Setting[];
  /** One line each: what an operator should know though it works. */
  readonly warnings: readonly string[];
  /** Names the keys of the file in what is said of flags. */
  readonly inWords: (error: unknown) => unknown;
}

type LogSettings = Pick<z.output<typeof shipFlags>, 'logLevel' | 'logFile' | 'logSize' | 'logKeep'>;

/** Throws `usage`. */
export async function shipSettings(
  line: CommandLine,
  env: NodeJS.ProcessEnv,
): Promise<Settings<Omit<ShipOptions, 'log'>>> {
  const config = await configOf(line, env);
  return understand('ship', shipFlags, line, env, config, (values) => {
    const told = toldSources(line, config);
    if (told === undefined && config !== undefined && line.args.length === 0)
      throw new LogferryError(
        'usage',
        `${nameOf(config)} has no ship.sources, and no glob is given`,
        'say which files are shipped, in one of the two',
      );
    const sources = told?.map((source) => readSource(source, line));
    const options = shipOptionsOf(
      values,
      line.args,
      sources?.map((source) => source.options),
    );
    if (options.stdin !== undefined) return { options, settings: [] };
    const shown = sources ?? [readSource({ place: '', values: new Map() }, line)];
    return { options, settings: shown.flatMap(settingsOf) };
  });
}

/** Throws `usage`. */
export async function receiveSettings(
  line: CommandLine,
  env: NodeJS.ProcessEnv,
): Promise<Settings<Omit<ReceiveOptions, 'log'>>> {
  const config = await configOf(line, env);
  return understand('receive', receiveFlags, line, env, config, (values) => ({
    options: receiveOptionsOf(values),
    settings: [],
  }));
}

async function configOf(line: CommandLine, env: NodeJS.ProcessEnv): Promise<ConfigFile | undefined> {
  const { config } = line.flags;
  return typeof config === 'string' ? await readConfig(config, env) : undefined;
}

function understand<S extends z.ZodObject, O extends Pick<ShipOptions, 'server'>>(
  daemon: Daemon,
  schema: S,
  line: CommandLine,
  env: NodeJS.ProcessEnv,
  config: ConfigFile | undefined,
  read: (values: z.output<S>) => { options: O; settings: readonly Setting[] },
): Settings<O> {
  const beneath = beneathOf(daemon, schema, config);
  if (config !== undefined) refuseMissing(daemon, schema, line, beneath, config);
  const { values, given } = readFlags(schema, line, env, beneath);
  const names = namesInFile(daemon, schema, given);
  const inWords = (error: unknown): unknown => inWordsOf(error, names);
  try {
    const { options, settings } = read(values);
    connectionOptions(options.server, 'logferry');
    return {
      options,
      log: values as unknown as LogSettings,
      metrics: (values as unknown as { metrics: Listen | undefined }).metrics,
      settings: [...plainSettings(daemon, schema, given), ...settings],
      warnings: config === undefined ? [] : exposures(config),
      inWords,
    };
  } catch (error) {
    throw inWords(error);
  }
}

/** What the file says of the flags of a schema. */
function beneathOf(daemon: Daemon, schema: z.ZodObject, config: ConfigFile | undefined): Beneath {
  const beneath = new Map<string, { value: unknown; place: string }>();
  for (const name of Object.keys(schema.shape)) {
    const told = config?.values.get(keyOf(daemon, name) ?? '');
    if (told !== undefined) beneath.set(name, told);
  }
  return beneath;
}

function refuseMissing(
  daemon: Daemon,
  schema: z.ZodObject,
  { flags }: CommandLine,
  beneath: Beneath,
  config: ConfigFile,
): void {
  for (const [key, flag] of Object.entries(schema.shape)) {
    const { required, name } = declarationOf(flag);
    if (required === true && flags[key] === undefined && !beneath.has(key))
      throw new LogferryError(
        'usage',
        `${keyOf(daemon, key)} is missing in ${nameOf(config)}`,
        `give it there, or ${name}`,
      );
  }
}

// --- what is shown --------------------------------------------------------------------------------------------------

function plainSettings(daemon: Daemon, schema: z.ZodObject, given: Given): Setting[] {
  return Object.keys(schema.shape).flatMap((name) => {
    const key = keyOf(daemon, name);
    const isSources = daemon === 'ship' && name in shipSourceSchema.shape;
    return key === undefined || isSources ? [] : [settingOf(key, schema, name, given)];
  });
}

// --- words ----------------------------------------------------------------------------------------------------------

/** By flag, the key in the file and its place. */
function namesInFile(daemon: Daemon, schema: z.ZodObject, given: Given): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const [key, { from }] of given) {
    if (from.kind !== 'file') continue;
    names.set(declarationOf(schema.shape[key]).name, `${keyOf(daemon, key)} (${from.place})`);
  }
  return names;
}

/** What is said of `--own` is said of `receive.own (web1.yaml:12:3)` where that is where it stands. */
function inWordsOf(error: unknown, names: ReadonlyMap<string, string>): unknown {
  if (!(error instanceof LogferryError) || error.code !== 'usage') return error;
  const say = (text: string): string => text.replaceAll(/--[a-z][a-z-]*/g, (flag) => names.get(flag) ?? flag);
  return new LogferryError(
    'usage',
    say(error.message),
    error.hint === undefined ? undefined : say(error.hint),
    {
      cause: error,
    },
  );
}

function nameOf(config: ConfigFile): string {
  return config.files[0]?.file ?? 'the file';
}
