// `logferry check-config`: reads a configuration file as the daemons do, and shows what counts and where each value came
// from. Never connects, and never shows a secret.

import { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { buildCommand } from '../flags/command.ts';
import { type Daemon, DAEMONS, jsonSchema } from './keys.ts';
import { readConfig } from './read.ts';
import { masked } from './secrets.ts';
import type { Setting } from './setting.ts';
import { receiveSettings, shipSettings } from './settings.ts';
import { addFlags, commandLineOf, flag, oneOf, type Origin, toggle } from '../flags/flag.ts';
import { printable } from '../terminal/printable.ts';
import { receiveFlags } from '../flags/receive.ts';
import { shipFlags } from '../flags/ship.ts';

const flags = z.strictObject({
  for: flag(
    '--for <daemon>',
    {
      help: 'which daemon would read it: ship or receive',
      otherwise: 'those that the file has a section for',
    },
    oneOf(...DAEMONS),
  ),
  json: toggle('--json', 'print one JSON object a line'),
  schema: toggle('--schema', 'print the JSON Schema of the file instead, for editors'),
});

export function checkConfigCommand(): Command {
  return buildCommand({
    name: 'check-config',
    arguments: [
      { name: '[file...]', help: 'the file, and behind -- the globs and flags it will be used with' },
    ],
    usage: '<file> [--for ship|receive] [--json] [-- <glob or flag...>], or --schema',
    description:
      'Checks a configuration file as ship and receive do, and prints every value that counts with where it came ' +
      'from: a flag, the environment, file:line:column, or the default. Secrets are shown as ***. Exits 2 for a ' +
      'file that would be refused.',
    examples: [
      { does: 'check what --config would be given', line: 'logferry check-config /etc/logferry.yaml' },
      {
        does: 'with a flag that beats the file',
        line: 'logferry check-config /etc/logferry.yaml --for ship -- --max-rate 5MB',
      },
      {
        does: 'completion and checks in an editor',
        line: 'logferry check-config --schema > logferry.schema.json',
      },
    ],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>, args: readonly string[]): Promise<void> {
  if (options.schema) {
    process.stdout.write(`${JSON.stringify(jsonSchema(), null, 2)}\n`);
    return;
  }
  const [file, ...rest] = args;
  if (file === undefined)
    throw new LogferryError('usage', 'no file is given', 'see logferry check-config --help');
  const daemons = options.for === undefined ? await daemonsOf(file) : [options.for];
  if (rest.length > 0 && daemons.length !== 1)
    throw new LogferryError('usage', `${file} is for ship and receive`, 'say which one with --for');
  const settings = new Map<string, Setting>();
  const warnings = new Set<string>();
  for (const daemon of daemons) {
    const all = await settingsFor(daemon, file, rest);
    for (const setting of all.settings) settings.set(setting.key, setting);
    for (const warning of all.warnings) warnings.add(warning);
  }
  for (const warning of warnings) process.stderr.write(`logferry: warning: ${warning}\n`);
  const lines = [...settings.values()];
  process.stdout.write(
    options.json ? lines.map((one) => `${JSON.stringify(asJson(one))}\n`).join('') : table(lines),
  );
}

/** Both where the file has a section for neither: then only what they share is in it. */
async function daemonsOf(file: string): Promise<Daemon[]> {
  const { sections } = await readConfig(file, process.env);
  const some = DAEMONS.filter((daemon) => sections.has(daemon));
  if (some.length > 0) return some;
  throw new LogferryError(
    'usage',
    `${file} has neither a section ship nor one receive`,
    'say with --for which of them it is for, and behind -- what it will be used with',
  );
}

async function settingsFor(
  daemon: Daemon,
  file: string,
  args: readonly string[],
): Promise<{ settings: readonly Setting[]; warnings: readonly string[] }> {
  const schema = daemon === 'ship' ? shipFlags : receiveFlags;
  const command = new Command(daemon).argument('[glob...]').exitOverride();
  command.configureOutput({ outputError: () => undefined });
  addFlags(command, schema);
  command.parse([...args], { from: 'user' });
  const line = commandLineOf(command, schema);
  const given = { ...line, flags: { ...line.flags, config: file } };
  return daemon === 'ship'
    ? await shipSettings(given, process.env)
    : await receiveSettings(given, process.env);
}

function asJson(setting: Setting): object {
  const { key, otherwise, from } = setting;
  const value = masked(setting) ?? null;
  return { key, value, ...(value === null && otherwise !== undefined ? { otherwise } : {}), from };
}

function table(settings: readonly Setting[]): string {
  const rows = [
    ['KEY', 'VALUE', 'FROM'],
    ...settings.map((one) => [one.key, valueOf(one), originOf(one.from)]),
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

function valueOf(setting: Setting): string {
  const value = masked(setting);
  if (value === undefined) return setting.otherwise === undefined ? '-' : `(${setting.otherwise})`;
  if (!Array.isArray(value)) return printable(String(value as string | boolean));
  return value.length === 0 ? '-' : value.map((one) => printable(String(one))).join(' ');
}

function originOf(from: Origin): string {
  if (from.kind === 'flag') return from.name;
  if (from.kind === 'environment') return `$${from.variable}`;
  return from.kind === 'file' ? from.place : 'default';
}
