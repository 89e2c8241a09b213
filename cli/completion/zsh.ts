// What makes zsh complete logferry, as a script: nothing is started when it completes. Pure.

import type { CommandOutline, FlagOutline, Outline, ValueOutline } from './outline.ts';
import { shellQuoted } from './shell-quoted.ts';

const FINDERS = { files: '_files', directories: '_files -/' };

/** The script: a file `_logferry` of $fpath, or to be sourced after compinit. */
export function zshCompletion({ flags, commands }: Outline): string {
  const names = commands.map(
    ({ name, summary }) => `      ${shellQuoted(`${escaped(name, '\\:')}:${escaped(summary, '\\')}`)}`,
  );
  return `#compdef logferry
# What completes logferry in zsh. Made by: logferry completion zsh

_logferry() {
  local curcontext=$curcontext state line ret=1
  local -A opt_args
  local -a commands
  _arguments -C -S \\
    ${[...flags.flatMap(flagSpecs), '1:command:->command', '*::argument:->argument'].map(shellQuoted).join(' \\\n    ')} && ret=0
  case $state in
  command)
    commands=(
${names.join('\n')}
    )
    _describe -t commands command commands && ret=0
    ;;
  argument)
    curcontext=\${curcontext%:*:*}:logferry-$words[1]:
    case $words[1] in
${commands.map(commandCase).join('\n')}
    esac
    ;;
  esac
  return ret
}

# Whether the last flag is one of these, so that another of its values may follow.
_logferry_goes_on() {
  local -a given=(\${(M)words[2,CURRENT-1]:#-*})
  [[ $words[CURRENT] != -* ]] && (( $argv[(Ie)\${given[-1]%%=*}] ))
}

if [[ $funcstack[1] == _logferry ]]; then _logferry "$@"; else compdef _logferry logferry; fi
`;
}

function commandCase(command: CommandOutline): string {
  const specs = [
    ...command.flags.flatMap(flagSpecs),
    ...command.arguments.map((one) => `${one.many ? '*' : ''}:${escaped(one.name, ':')}:${actionOf(one)}`),
  ];
  const further = command.flags.flatMap(({ names, value }) =>
    value === undefined || !value.many
      ? []
      : `      if _logferry_goes_on ${listed(names)}; then ${commandFor(value)}; return; fi\n`,
  );
  return `    ${shellQuoted(command.name)})
${further.join('')}      _arguments -S \\
        ${specs.map(shellQuoted).join(' \\\n        ')} && ret=0
      ;;`;
}

/** One for each name of the flag; where it does not repeat, each excludes the others. */
function flagSpecs({ names, help, value, repeats }: FlagOutline): string[] {
  const given = repeats ? '*' : names.length > 1 ? `(${names.join(' ')})` : '';
  return names.map((name) => {
    const described = `[${escaped(help, '\\[]')}]`;
    if (value === undefined) return `${given}${name}${described}`;
    const mark = name.startsWith('--') ? '=' : '+';
    return `${given}${name}${mark}${described}:${escaped(value.name, ':')}:${actionOf(value)}`;
  });
}

/** What completes a value, in the language of _arguments. */
function actionOf({ from }: ValueOutline): string {
  if (from === 'anything') return ' ';
  if (typeof from === 'string') return FINDERS[from];
  // zsh evaluates what is between the brackets.
  return `(${escaped(listed(from), ':')})`;
}

/** The same as a command. */
function commandFor({ name, from }: ValueOutline): string {
  if (from === 'anything') return `_message ${shellQuoted(name)}`;
  return typeof from === 'string' ? FINDERS[from] : `compadd -- ${listed(from)}`;
}

function listed(words: readonly string[]): string {
  return words.map(shellQuoted).join(' ');
}

/** With a backslash before each of these characters. */
function escaped(text: string, special: string): string {
  return text.replaceAll(/./gsu, (char) => (special.includes(char) ? `\\${char}` : char));
}
