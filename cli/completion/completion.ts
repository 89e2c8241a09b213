// `logferry completion`: what makes a shell complete logferry, on stdout. Never writes it anywhere itself.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { buildCommand } from '../flags/command.ts';
import { bashCompletion } from './bash.ts';
import { fishCompletion } from './fish.ts';
import { zshCompletion } from './zsh.ts';
import { wrongValue } from '../flags/flag.ts';
import { type Outline, outlineOf } from './outline.ts';

const SHELLS: Readonly<Record<string, (outline: Outline) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

const EXPECTED = 'bash, zsh or fish';

/** The command; `load` gives the program with all its commands. */
export function completionCommand(load: () => Promise<Command>): Command {
  return buildCommand({
    name: 'completion',
    arguments: [{ name: '[shell]', help: 'which one to print it for', words: Object.keys(SHELLS) }],
    usage: 'bash|zsh|fish',
    description:
      'Prints a script that makes a shell complete commands, flags and their values. It starts nothing and asks no ' +
      'server when it completes. Print it again after an update; new shells use it.',
    examples: [
      {
        does: 'bash, where the package bash-completion is installed',
        line: 'mkdir -p ~/.local/share/bash-completion/completions && logferry completion bash > "$_/logferry"',
      },
      {
        does: 'bash without it',
        line: "logferry completion bash > ~/.logferry.bash && echo '. ~/.logferry.bash' >> ~/.bashrc",
      },
      {
        does: 'zsh, into a directory of $fpath, before compinit is run',
        line: 'logferry completion zsh > "${fpath[1]}/_logferry"',
      },
      {
        does: 'fish, which finds it by itself',
        line: 'logferry completion fish > ~/.config/fish/completions/logferry.fish',
      },
    ],
    flags: z.strictObject({}),
    run: async (_flags, [shell]) => {
      if (shell === undefined) throw new LogferryError('usage', 'the shell is missing', `give ${EXPECTED}`);
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (script === undefined) throw wrongValue('the shell', shell, EXPECTED);
      process.stdout.write(script(outlineOf(await load())));
    },
  });
}
