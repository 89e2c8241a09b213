// What makes fish complete logferry, as a script: nothing is started when it completes. Pure.

import type { CommandOutline, FlagOutline, Outline, ValueOutline } from './outline.ts';
import { fishQuoted } from './shell-quoted.ts';

const FUNCTIONS = `
# Whether this is the command, or without one: whether there is none yet.
function __logferry_in
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        string match -q -- '-*' $word; and continue
        test "$word" = "$argv[1]"
        return
    end
    test -z "$argv[1]"
end

# Whether one of these words is there.
function __logferry_has
    for word in (commandline -opc)
        contains -- $word $argv; and return
    end
    return 1
end

# Whether the last flag is one of these, so that another of its values may follow.
function __logferry_goes_on
    set -l flags (string match -- '-*' (commandline -opc))
    contains -- (string replace -r '=.*' '' -- "$flags[-1]") $argv
end
`;

/** The script: a file of fish's completions, or to be sourced. */
export function fishCompletion({ flags, commands }: Outline): string {
  const lines = [
    ...flags.flatMap((flag) => flagLines('__logferry_in', flag)),
    ...commands.map((one) =>
      complete('__logferry_in', `-a ${candidates([one.name])} -d ${fishQuoted(one.summary)}`),
    ),
    ...commands.flatMap(commandLines),
  ];
  return `# What completes logferry in fish. Made by: logferry completion fish
${FUNCTIONS}
complete -c logferry -e
complete -c logferry -f
${lines.join('\n')}
`;
}

function commandLines({ name, flags, arguments: values }: CommandOutline): string[] {
  const inCommand = `__logferry_in ${fishQuoted(name)}`;
  return [
    ...flags.flatMap((flag) => flagLines(inCommand, flag)),
    ...values.flatMap(({ from }) => {
      // fish does not count arguments: words are offered until one of them is there.
      const known = typeof from === 'string' ? '' : `; and not __logferry_has ${listed(from)}`;
      return valueLines(`${inCommand}${known}`, from);
    }),
  ];
}

function flagLines(condition: string, { names, help, value }: FlagOutline): string[] {
  const named = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const line = complete(condition, `${named.join(' ')}${takes(value)} -d ${fishQuoted(help)}`);
  if (value === undefined || !value.many) return [line];
  return [line, ...valueLines(`${condition}; and __logferry_goes_on ${listed(names)}`, value.from)];
}

function takes(value: FlagOutline['value']): string {
  if (value === undefined) return '';
  if (value.from === 'anything') return ' -x';
  return value.from === 'files' ? ' -r -F' : ` -x -a ${candidates(value.from)}`;
}

/** What completes a value that is not directly behind its flag, or has none. */
function valueLines(condition: string, from: ValueOutline['from']): string[] {
  if (from === 'anything') return [];
  return [complete(condition, from === 'files' ? '-F' : `-a ${candidates(from)}`)];
}

function complete(condition: string, what: string): string {
  return `complete -c logferry -n ${fishQuoted(condition)} ${what}`;
}

/** fish evaluates what it is given as candidates, so words are quoted twice. */
function candidates(from: 'directories' | readonly string[]): string {
  return fishQuoted(from === 'directories' ? '(__fish_complete_directories)' : listed(from));
}

function listed(words: readonly string[]): string {
  return words.map(fishQuoted).join(' ');
}
