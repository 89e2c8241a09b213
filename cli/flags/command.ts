// How a command is built from its flags, and how one that runs until it is stopped ends. Never knows what a command does.

import { Argument, Command } from 'commander';
import type { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { stopSignal } from '../../common/runtime/run.ts';
import { formatDuration } from '../../common/text/units.ts';
import { addFlags, commandLineOf, type CommandLine, readFlags } from './flag.ts';

/** A stop takes less than five seconds, also without a server; after this a disk does not answer. */
const STOP_MS = 10_000;

export interface ArgumentSpec {
  /** As commander takes it: `<glob...>`. */
  readonly name: string;
  readonly help: string;
  /** All that it takes, where that is a fixed set; the command refuses the rest. */
  readonly words?: readonly string[];
}

interface CommandText<S extends z.ZodObject> {
  readonly name: string;
  readonly arguments?: readonly ArgumentSpec[];
  /** The usage line after the name. */
  readonly usage: string;
  readonly description: string;
  readonly examples: readonly { readonly does: string; readonly line: string }[];
  readonly flags: S;
}

export interface CommandSpec<S extends z.ZodObject> extends CommandText<S> {
  readonly run: (flags: z.output<S>, args: readonly string[]) => Promise<void>;
}

export function buildCommand<S extends z.ZodObject>(spec: CommandSpec<S>): Command {
  return buildConfigured({
    ...spec,
    run: async (line) => {
      await spec.run(readFlags(spec.flags, line, process.env).values, line.args);
    },
  });
}

/** One whose values may be in a configuration file: it reads the command line itself. */
export function buildConfigured<S extends z.ZodObject>(
  spec: CommandText<S> & { readonly run: (line: CommandLine) => Promise<void> },
): Command {
  const command = new Command(spec.name)
    .description(spec.description)
    .usage(spec.usage)
    .helpOption('-h, --help', 'print this help');
  for (const { name, help, words } of spec.arguments ?? []) {
    const argument = new Argument(name, help);
    if (words !== undefined) argument.argChoices = [...words];
    command.addArgument(argument);
  }
  addFlags(command, spec.flags);
  const examples = spec.examples.map(({ does, line }) => `  # ${does}\n  ${line}`);
  command.addHelpText('after', `\nExamples:\n${examples.join('\n\n')}`);
  command.action(async () => {
    await spec.run(commandLineOf(command, spec.flags));
  });
  return command;
}

/**
 * Runs until it is done or the first SIGINT or SIGTERM; the latter is a clean end, unless the command was to end by
 * itself: then `unfinished` says what it has not done, and is thrown. Throws what `run` throws.
 */
export async function runUntilStopped(
  log: Logger,
  unfinished: string | undefined,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = stopSignal((name) => {
    log.info(`${name}: stopping; a second one ends at once`);
    setTimeout(() => {
      log.warn(`stopping takes longer than ${formatDuration(STOP_MS)}; ending now, which loses nothing`);
      process.exit(unfinished === undefined ? 0 : 1);
    }, STOP_MS).unref();
  });
  // Started by another logferry (cli/demo/child.ts): it ends when that one is gone.
  if (process.channel !== undefined) process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  try {
    await run(signal);
  } catch (error) {
    // Stopped while it still tried to connect, or to start a server.
    const unconnected = error instanceof LogferryError && error.code === 'unreachable';
    const aborted = error instanceof Error && error.name === 'AbortError';
    if (!signal.aborted || !(unconnected || aborted)) throw error;
  }
  if (unfinished !== undefined && signal.aborted)
    throw new LogferryError(
      'failed',
      `stopped before ${unfinished}`,
      'run it again, it goes on where it stopped',
    );
}
