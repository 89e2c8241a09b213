// The table of commands, and the program that they make up. Never does a command's work: each is a file of its own,
// loaded when it is asked for.

import { Command } from 'commander';

import { packageVersion } from '../common/runtime/version.ts';

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'see it ship generated logs through kills, and compare every byte',
    load: async () => (await import('./demo/demo.ts')).demoCommand(),
  },
  {
    name: 'local',
    summary: 'nats-server, shipper and receiver on this machine, to try it',
    load: async () => (await import('./demo/local.ts')).localCommand(),
  },
  {
    name: 'setup',
    summary: 'create the stream and the buckets, or alter them',
    load: async () => (await import('./setup/setup.ts')).setupCommand(),
  },
  {
    name: 'ship',
    summary: 'ship the log files of this host',
    load: async () => (await import('./daemon/ship.ts')).shipCommand(),
  },
  {
    name: 'receive',
    summary: 'write what hosts ship into files below a directory',
    load: async () => (await import('./daemon/receive.ts')).receiveCommand(),
  },
  {
    name: 'check-config',
    summary: 'check a configuration file, and show what counts',
    load: async () => (await import('./config/check-config.ts')).checkConfigCommand(),
  },
  {
    name: 'doctor',
    summary: 'check server, stream, permissions and this machine, and say what to do',
    load: async () => (await import('./doctor/doctor.ts')).doctorCommand(),
  },
  {
    name: 'permissions',
    summary: 'print the least permissions of a shipper or a receiver',
    load: async () => (await import('./setup/permissions.ts')).permissionsCommand(),
  },
  {
    name: 'repartition',
    summary: 'divide the hosts into another number of partitions',
    load: async () => (await import('./setup/repartition.ts')).repartitionCommand(),
  },
  {
    name: 'segments',
    summary: 'list which bytes of which source file lie where',
    load: async () => (await import('./read/segments.ts')).segmentsCommand(),
  },
  {
    name: 'cat',
    summary: 'write a source file again, joined from output directories',
    load: async () => (await import('./read/cat.ts')).catCommand(),
  },
  {
    name: 'replay',
    summary: 'write what the stream still holds into a fresh directory',
    load: async () => (await import('./replay/replay.ts')).replayCommand(),
  },
  {
    name: 'status',
    summary: 'how far everybody is, and what is at risk',
    load: async () => (await import('./status/status.ts')).statusCommand(),
  },
  {
    name: 'tail',
    summary: 'print the lines of all hosts as they come',
    load: async () => (await import('./tail/tail.ts')).tailCommand(),
  },
  {
    name: 'dashboard',
    summary: 'serve a page that shows the fleet',
    load: async () => (await import('./dashboard/dashboard.ts')).dashboardCommand(),
  },
  {
    name: 'verify',
    summary: 'prove that central files hold what their sources do',
    load: async () => (await import('./verify/verify.ts')).verifyCommand(),
  },
  {
    name: 'completion',
    summary: 'print what makes bash, zsh or fish complete logferry',
    load: async () =>
      (await import('./completion/completion.ts')).completionCommand(() => buildProgram(() => true)),
  },
];

/**
 * `logferry` with all its commands; of those that are not wanted only the names and summaries. Parsing throws a
 * CommanderError and prints nothing but help and version.
 */
export async function buildProgram(isWanted: (name: string) => boolean): Promise<Command> {
  const program = new Command('logferry')
    .description('Ships log files through NATS JetStream: nothing lost, nothing twice, order kept per file.')
    .usage('<command> [options]')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', '\nlogferry <command> --help explains a command, with examples.')
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  for (const { name, summary, load } of COMMANDS) {
    const command = isWanted(name) ? await load() : new Command(name);
    program.addCommand(command.summary(summary).copyInheritedSettings(program));
  }
  return program;
}
