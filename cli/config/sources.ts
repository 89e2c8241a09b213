// The sources of a configuration file as a shipper takes them, with the flags of its command line.

import { LogferryError } from '../../common/runtime/errors.ts';
import type { SourceOptions } from '../../shipper/options.ts';
import { keyOf } from './keys.ts';
import type { ConfigFile, Told, ToldSource } from './read.ts';
import { type Given, type Setting, settingOf } from './setting.ts';
import { type CommandLine, type Origin, readFlags } from '../flags/flag.ts';
import { shipSourceSchema, sourceOptions } from '../flags/sources.ts';

/** The sources of the file, undefined when the globs of the command line say what is shipped. */
export function toldSources(
  line: CommandLine,
  config: ConfigFile | undefined,
): readonly ToldSource[] | undefined {
  const sources = config?.sources;
  const [first] = sources ?? [];
  if (sources === undefined || first === undefined) return undefined;
  if (line.args.length > 0)
    throw new LogferryError(
      'usage',
      `${line.args.join(' ')} on the command line and ship.sources (${first.place}) contradict each other`,
      'give only one of them',
    );
  return sources;
}

export interface ReadSource {
  readonly options: SourceOptions;
  readonly index: number;
  readonly paths: Setting;
  readonly given: Given;
}

/** A source flag of the command line holds for every source; its --exclude is added to theirs. */
export function readSource(source: ToldSource, line: CommandLine, index = 0): ReadSource {
  const names = Object.keys(shipSourceSchema.shape);
  const flags = Object.fromEntries(
    names.flatMap((name) => (line.flags[name] === undefined ? [] : [[name, line.flags[name]]])),
  );
  const beneath = new Map<string, Told>();
  for (const name of names) {
    const told = source.values.get((keyOf('ship', name) ?? '').replace('ship.', ''));
    if (told !== undefined) beneath.set(name, told);
  }
  const excluded = beneath.get('exclude')?.value;
  if (Array.isArray(flags['exclude']) && Array.isArray(excluded))
    flags['exclude'] = [...(excluded as unknown[]), ...(flags['exclude'] as unknown[])];
  const { values, given } = readFlags(shipSourceSchema, { ...line, flags }, {}, beneath);
  const paths = source.values.get('paths');
  const globs = Array.isArray(paths?.value) ? (paths.value as string[]) : line.args;
  const from: Origin =
    paths === undefined ? { kind: 'flag', name: '<glob>' } : { kind: 'file', place: paths.place };
  return {
    options: sourceOptions(globs, values),
    index,
    paths: { key: 'paths', value: globs, otherwise: undefined, isSecret: false, from },
    given,
  };
}

/** What is shown of one. */
export function settingsOf({ paths, given }: ReadSource, index: number): Setting[] {
  const prefix = `ship.sources[${index}]`;
  const rest = Object.keys(shipSourceSchema.shape).map((name) =>
    settingOf(`${prefix}.${(keyOf('ship', name) ?? '').replace('ship.', '')}`, shipSourceSchema, name, given),
  );
  return [{ ...paths, key: `${prefix}.${paths.key}` }, ...rest];
}
