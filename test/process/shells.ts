// Asks real shells what they complete: bash by its completion function, zsh by its TAB key on a terminal of its own,
// fish by `complete -C`. PATH is empty meanwhile, so that a completion that starts a program fails.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { onPath } from '../../cli/nats-server/binary.ts';
import { TEST_MS } from '../support/timeouts.ts';

const run = promisify(execFile);

export type ShellName = 'bash' | 'zsh' | 'fish';

/** What a shell offers for a line: the candidates, in any order, and what it shows beside them. */
export interface Offered {
  readonly words: readonly string[];
  readonly shown: string;
}

export interface Asking {
  /** The completion script. */
  readonly script: string;
  readonly cwd: string;
  /** As typed up to the cursor; of plain words. */
  readonly lines: readonly string[];
}

/** Asks about each line; undefined where the shell is not installed. Throws when the shell says anything itself. */
export async function askShell(name: ShellName, asking: Asking): Promise<Offered[] | undefined> {
  const program = await findShell(name);
  return program === undefined ? undefined : await ASK[name](program, asking);
}

export async function findShell(name: ShellName): Promise<string | undefined> {
  return (await onPath(name, process.env))[0];
}

const ASK: Record<ShellName, (program: string, asking: Asking) => Promise<Offered[]>> = {
  bash: async (program, { script, cwd, lines }) => {
    const offered: Offered[] = [];
    for (const line of lines) {
      // bash cuts words at these two as well.
      const cut = line.split(' ').flatMap((word) => word.match(/[=:]+|[^=:]+/g) ?? ['']);
      const stdout = await output(program, ['--norc', asker('bash'), script, ...cut], cwd, process.env);
      offered.push({ words: stdout.split('\0').slice(0, -1), shown: '' });
    }
    return offered;
  },
  zsh: async (program, { script, cwd, lines }) => {
    const answers = `${script}.answers`;
    try {
      const env = { ...process.env, SCRIPT: script, ANSWERS: answers };
      await output(program, ['-f', asker('zsh'), program, ...lines], cwd, env);
      return split(await readFile(answers, 'utf8'), 'done').map((said) => ({
        words: said.flatMap((one) => (one.startsWith('word ') ? [one.slice('word '.length)] : [])),
        shown: said.filter((one) => one.startsWith('shown ')).join('\n'),
      }));
    } finally {
      await rm(answers, { force: true });
    }
  },
  fish: async (program, { script, cwd, lines }) => {
    const home = path.dirname(script);
    // It keeps its history and its variables below HOME.
    const env = { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home };
    const stdout = await output(program, ['--no-config', asker('fish'), script, ...lines], cwd, env);
    return split(stdout, '/done/').map((said) => ({
      words: said.map((one) => one.split('\t')[0] ?? ''),
      shown: said.join('\n'),
    }));
  },
};

function asker(name: ShellName): string {
  return path.join(import.meta.dirname, 'shells', `ask.${name}`);
}

async function output(
  program: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const { stdout, stderr } = await run(program, args, { cwd, env, timeout: TEST_MS });
  assert.equal(stderr, '', `${program} ${args.join(' ')}`);
  return stdout;
}

/** The lines before each end. */
function split(said: string, end: string): string[][] {
  return `\n${said}`
    .split(`\n${end}`)
    .slice(0, -1)
    .map((part) => part.split('\n').filter((line) => line !== ''));
}
