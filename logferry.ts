// The command line's wiring: which commands there are, and how errors and broken pipes end the process. Never does a
// command's work: each is a file under cli/, loaded when it is the one that was asked for.

import { Command, CommanderError } from 'commander';

import { exitCodeOf, LogferryError, messageOf, oneLine, systemCode } from './common/errors.ts';
import { packageVersion } from './common/version.ts';

const COMMANDS: readonly { name: string; summary: string; load: () => Promise<Command> }[] = [
  {
    name: 'demo',
    summary: 'see it ship generated logs through kills, and compare every byte',
    load: async () => (await import('./cli/demo.ts')).demoCommand(),
  },
  {
    name: 'local',
    summary: 'nats-server, shipper and receiver on this machine, to try it',
    load: async () => (await import('./cli/local.ts')).localCommand(),
  },
  {
    name: 'setup',
    summary: 'create the stream and the buckets, or alter them',
    load: async () => (await import('./cli/setup.ts')).setupCommand(),
  },
  {
    name: 'ship',
    summary: 'ship the log files of this host',
    load: async () => (await import('./cli/ship.ts')).shipCommand(),
  },
  {
    name: 'receive',
    summary: 'write what hosts ship into files below a directory',
    load: async () => (await import('./cli/receive.ts')).receiveCommand(),
  },
  {
    name: 'segments',
    summary: 'list which bytes of which source file lie where',
    load: async () => (await import('./cli/segments.ts')).segmentsCommand(),
  },
  {
    name: 'cat',
    summary: 'write a source file again, joined from output directories',
    load: async () => (await import('./cli/cat.ts')).catCommand(),
  },
];

process.stdout.on('error', endQuietly);
process.stderr.on('error', endQuietly);
process.on('uncaughtException', (error) => {
  process.exit(fail(error));
});
process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const program = new Command('logferry')
    .description('Ships log files through NATS JetStream: nothing lost, nothing twice, order kept per file.')
    .usage('<command> [options]')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', '\nlogferry <command> --help explains a command, with examples.')
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  const [wanted, asked] = args.filter((arg) => !arg.startsWith('-'));
  for (const { name, summary, load } of COMMANDS) {
    const isWanted = name === wanted || (wanted === 'help' && name === asked);
    const command = isWanted ? await load() : new Command(name);
    program.addCommand(command.summary(summary).copyInheritedSettings(program));
  }
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
