// What the command line takes, as plain data: commands, flags and arguments, and what completes their values. Read
// from commander's objects, so that nothing is declared twice. Pure.

import { type Argument, type Command, Help, type Option } from 'commander';

import { FlagOption } from '../flags/flag.ts';

export interface Outline {
  /** Of logferry itself. */
  readonly flags: readonly FlagOutline[];
  readonly commands: readonly CommandOutline[];
}

export interface CommandOutline {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly FlagOutline[];
  readonly arguments: readonly ValueOutline[];
}

export interface FlagOutline {
  /** As typed: `-h`, `--help`. */
  readonly names: readonly string[];
  /** One line. */
  readonly help: string;
  readonly value: ValueOutline | undefined;
  readonly repeats: boolean;
}

export interface ValueOutline {
  /** As the help calls it: `dir`. */
  readonly name: string;
  /** Paths of this machine, one of these words, or what only the user knows. */
  readonly from: 'files' | 'directories' | 'anything' | readonly string[];
  /** Whether several may follow each other. */
  readonly many: boolean;
}

/** The help calls paths of this machine by these names; a `<path>` may be another machine's. */
const PATHS: ReadonlyMap<string, 'files' | 'directories'> = new Map([
  ['dir', 'directories'],
  ['file', 'files'],
]);

/** The outline of a program whose commands are all loaded. What the help hides is not in it. */
export function outlineOf(program: Command): Outline {
  const help = new Help();
  const flagsOf = (command: Command): FlagOutline[] => help.visibleOptions(command).map(flagOutline);
  const commands = help.visibleCommands(program).map((command) => ({
    name: command.name(),
    summary: oneLine(command.summary() === '' ? command.description() : command.summary()),
    flags: flagsOf(command),
    arguments: isHelp(command, program)
      ? [{ name: 'command', from: program.commands.map((one) => one.name()), many: false }]
      : command.registeredArguments.map(argumentOutline),
  }));
  return { flags: flagsOf(program), commands };
}

/** commander makes it itself, and does not list it. */
function isHelp(command: Command, program: Command): boolean {
  return !program.commands.includes(command);
}

function flagOutline(option: Option): FlagOutline {
  const takesValue = option.required || option.optional;
  const name = /[<[]([^.>\]]+)/.exec(option.flags)?.[1] ?? 'value';
  const words = option instanceof FlagOption ? option.words : [];
  return {
    names: [option.short, option.long].filter((one) => one !== undefined),
    help: oneLine(option.description),
    value: takesValue ? valueOutline(name, words, option.variadic) : undefined,
    repeats: option.variadic || (option instanceof FlagOption && option.repeats),
  };
}

function argumentOutline(argument: Argument): ValueOutline {
  const outline = valueOutline(argument.name(), argument.argChoices ?? [], argument.variadic);
  // Globs of a flag select among names from anywhere; those that a command is given are for files of this machine.
  return outline.name === 'glob' ? { ...outline, from: 'files' } : outline;
}

function valueOutline(name: string, words: readonly string[], many: boolean): ValueOutline {
  return { name, from: words.length > 0 ? words : (PATHS.get(name) ?? 'anything'), many };
}

function oneLine(help: string): string {
  return help.replaceAll(/\s+/g, ' ').trim();
}
