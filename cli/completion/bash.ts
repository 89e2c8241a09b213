// What makes bash complete logferry, as a script: nothing is started when it completes. Pure.

import type { CommandOutline, FlagOutline, Outline, ValueOutline } from './outline.ts';
import { shellQuoted } from './shell-quoted.ts';

/** The script, to be sourced. It is kept to what bash 3.2 reads too, which macOS has. */
export function bashCompletion({ flags, commands }: Outline): string {
  return `# What completes logferry in bash. Made by: logferry completion bash
${namesFunction(flags, commands)}
${valueFunction(flags, commands)}
${COMPLETE}`;
}

function namesFunction(flags: readonly FlagOutline[], commands: readonly CommandOutline[]): string {
  const names = commands.map(({ name }) => name);
  const cases = [
    `  '') words=(${listed(names)}) flags=(${listed(namesOf(flags))}) ;;`,
    ...commands.map((one) => `  ${shellQuoted(one.name)}) flags=(${listed(namesOf(one.flags))}) ;;`),
  ];
  return `
# The flags of a command; without one, logferry's, and the commands.
_logferry_names() {
  words=() flags=()
  case $1 in
${cases.join('\n')}
  esac
}`;
}

function valueFunction(flags: readonly FlagOutline[], commands: readonly CommandOutline[]): string {
  const cases = [
    ...flags.flatMap((flag) => flagCase('', flag)),
    ...commands.flatMap((command) => [
      ...command.flags.flatMap((flag) => flagCase(command.name, flag)),
      ...command.arguments.map((argument, index) => argumentCase(command.name, argument, index + 1)),
    ]),
  ];
  return `
# What a flag of a command takes, or an argument by its place: one of the words, file, directory, anything; or nothing.
_logferry_value() {
  takes='' many='' words=()
  case "$1 $2" in
${cases.join('\n')}
  esac
}`;
}

function flagCase(command: string, { names, value }: FlagOutline): string[] {
  if (value === undefined) return [];
  return [valueCase(names.map((name) => shellQuoted(`${command} ${name}`)).join(' | '), value)];
}

function argumentCase(command: string, value: ValueOutline, place: number): string {
  // The last one that may be several also has the places that follow.
  const pattern = value.many ? `${shellQuoted(`${command} `)}[0-9]*` : shellQuoted(`${command} ${place}`);
  return valueCase(pattern, { ...value, many: false });
}

function valueCase(pattern: string, { from, many }: ValueOutline): string {
  const takes = typeof from === 'string' ? `takes=${ACTIONS[from]}` : `takes=words words=(${listed(from)})`;
  return `  ${pattern}) ${takes}${many ? ' many=yes' : ''} ;;`;
}

/** As `compgen -A` calls them. */
const ACTIONS = { files: 'file', directories: 'directory', anything: 'anything' };

function namesOf(flags: readonly FlagOutline[]): string[] {
  return flags.flatMap(({ names }) => names);
}

function listed(words: readonly string[]): string {
  return words.map(shellQuoted).join(' ');
}

/** bash cuts words at = and : too, so `--from=end` is three of them, and so is `nats://host`. */
const COMPLETE = `
_logferry() {
  local current=$2 command='' takes='' many='' ended='' before='' prefix='' place=1 i word
  local -a words flags
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
    =*) if [[ $before == -* ]]; then before=''; elif ((++i == COMP_CWORD)); then return; fi ;;
    :*) if ((++i == COMP_CWORD)); then return; fi ;;
    ['<>']* | [0-9'&']['<>']*) if ((++i == COMP_CWORD)); then takes=file; fi ;;
    --) takes='' ended=yes ;;
    --*=*) takes='' ;;
    -?*) if [[ ! $ended ]]; then _logferry_value "$command" "$word"; fi ;;
    *)
      if [[ $takes ]]; then
        if [[ ! $many ]]; then takes=''; fi
      elif [[ $command ]]; then
        place=$((place + 1))
      else
        command=$word
      fi
      ;;
    esac
    before=$word
  done
  if [[ $current == = ]]; then current=''; fi
  if [[ $current == --*=* && ! $ended ]]; then
    prefix=\${current%%=*}=
    _logferry_value "$command" "\${current%%=*}"
    current=\${current#*=}
  elif [[ $current == -* && ! $ended ]]; then
    _logferry_names "$command"
    takes=words words=("\${flags[@]}")
  elif [[ ! $takes && ! $command ]]; then
    _logferry_names ''
    takes=words
  elif [[ ! $takes ]]; then
    _logferry_value "$command" "$place"
  fi
  case $takes in
  words)
    for word in "\${words[@]}"; do
      if [[ $word == "$current"* ]]; then COMPREPLY+=("$prefix$word"); fi
    done
    ;;
  file | directory)
    compopt -o filenames 2>/dev/null
    while IFS= read -r word; do COMPREPLY+=("$prefix$word"); done < <(compgen -A "$takes" -- "$current")
    ;;
  esac
}

complete -F _logferry logferry
`;
