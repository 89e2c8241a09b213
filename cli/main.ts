// The command line's wiring: which command is loaded, and how errors and broken pipes end the process. Never does a
// command's work.

import { CommanderError } from 'commander';

import { buildProgram, COMMANDS } from './commands.ts';
import { exitCodeOf, LogferryError, messageOf, oneLine, systemCode } from '../common/runtime/errors.ts';

process.stdout.on('error', endQuietly);
process.stderr.on('error', endQuietly);
process.on('uncaughtException', (error) => {
  process.exit(fail(error));
});
process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const [wanted, asked] = args.filter((arg) => !arg.startsWith('-'));
  const program = await buildProgram((name) => name === (wanted === 'help' ? asked : wanted));
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return error instanceof CommanderError ? endOfParsing(error, wanted) : fail(error);
  }
}

/** What commander ends with: help and version are no errors, everything else is wrong usage. */
function endOfParsing(error: CommanderError, wanted: string | undefined): number {
  // Help that was asked for, and help in place of a missing command.
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return 0;
  if (error.code === 'commander.help') return error.exitCode === 0 ? 0 : 2;
  const message = error.message.replaceAll(/^error: |\.$/g, '').replaceAll(/\s*\n\s*/g, ' ');
  const known = COMMANDS.some(({ name }) => name === wanted);
  const hint = `see logferry ${known ? `${wanted} ` : ''}--help`;
  return fail(new LogferryError('usage', message, hint));
}

/** Says one line and returns the exit code. */
function fail(error: unknown): number {
  let line = oneLine(error);
  if (!(error instanceof LogferryError)) {
    // The system's own errors (a full disk, a missing permission) are no bugs of ours.
    const bug = systemCode(error) === undefined ? 'this is a bug, please report; ' : '';
    line += `: ${bug}LOGFERRY_DEBUG=1 shows the stack`;
  }
  process.stderr.write(`logferry: ${line}\n`);
  if (process.env['LOGFERRY_DEBUG'] === '1')
    process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : messageOf(error)}\n`);
  return exitCodeOf(error);
}

/** Whoever read our output has seen enough. */
function endQuietly(error: Error): void {
  if (systemCode(error) === 'EPIPE') process.exit(0);
  throw error;
}
