// `logferry permissions`: the least that a shipper or a receiver needs, for nats-server's configuration, for nsc, or as
// JSON. Never connects.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import {
  type Imports,
  type Permissions,
  receiverPermissions,
  shipperAtEdge,
  shipperExports,
  shipperImports,
  shipperInItsAccount,
  shipperPermissions,
} from '../../common/fleet/permissions.ts';
import { encodeToken } from '../../common/wire/subjects.ts';
import { buildCommand } from '../flags/command.ts';
import { flag, integer, parsed, text, toggle } from '../flags/flag.ts';
import { readDomain, streamFlags, streamNames } from '../flags/options.ts';
import { tuning } from '../../common/runtime/tuning.ts';

const flags = z.strictObject({
  host: flag('--host <name>', { help: 'of a shipper of this host' }, text('a host name')),
  receiver: toggle('--receiver', 'of a receiver'),
  account: toggle(
    '--account',
    'with --host: for a shipper in an account of its own, which cannot read what other hosts ship',
  ),
  hubDomain: flag(
    '--hub-domain <domain>',
    { help: 'with --host: for a shipper at a leaf node, as logferry ship --hub-domain' },
    parsed(readDomain),
  ),
  partitions: flag(
    '--partitions <n>',
    { help: 'as the stream has them', default: String(tuning.partitions) },
    integer(1, 4_096),
  ),
  json: toggle('--json', 'print one JSON object'),
  nsc: toggle('--nsc', 'print the arguments of nsc'),
  ...streamFlags,
});

export function permissionsCommand(): Command {
  return buildCommand({
    name: 'permissions',
    usage: '--host <name> | --receiver [options]',
    description:
      "Prints the least permissions of a shipper or a receiver as nats-server's configuration. A shipper may publish " +
      'as its own host only, and change nothing of others; docs/security.md says what that protects from.',
    examples: [
      { does: 'for nats-server.conf', line: 'logferry permissions --host web1' },
      { does: 'for a receiver', line: 'logferry permissions --receiver' },
      {
        does: 'make a user with nsc',
        line: 'nsc add user --name web1 $(logferry permissions --host web1 --nsc)',
      },
      {
        does: 'a host that is not trusted, in an account of its own',
        line: 'logferry permissions --host web1 --account',
      },
    ],
    flags,
    run: async (options) => {
      process.stdout.write(print(options));
      await Promise.resolve();
    },
  });
}

function print(options: z.output<typeof flags>): string {
  const { host, receiver, account, hubDomain, json, nsc } = options;
  if ((host === undefined) === !receiver)
    throw new LogferryError('usage', 'one of --host and --receiver is needed', 'give one of them');
  if (json && nsc)
    throw new LogferryError('usage', '--json and --nsc contradict each other', 'give one of them');
  if (account && (host === undefined || nsc))
    throw new LogferryError('usage', '--account is for --host, without --nsc', 'leave one of them out');
  if (hubDomain !== undefined && (host === undefined || account))
    throw new LogferryError(
      'usage',
      '--hub-domain is for --host, without --account',
      'leave one of them out',
    );
  const topology = { ...streamNames(options), partitions: options.partitions };
  if (host === undefined) return format(receiverPermissions(topology), json, nsc);
  if (hubDomain !== undefined) return format(shipperAtEdge(topology, host, hubDomain), json, nsc);
  if (!account) return format(shipperPermissions(topology, host), json, nsc);
  const imports = shipperImports(topology, host);
  const exported = shipperExports(topology, host);
  const permissions = shipperInItsAccount(topology, host);
  if (json) return `${JSON.stringify({ permissions, imports, exports: exported })}\n`;
  return inAccounts(encodeToken(host), topology.stream, { imports, exported, permissions });
}

function format(permissions: Permissions, json: boolean, nsc: boolean): string {
  if (json) return `${JSON.stringify(permissions)}\n`;
  return nsc ? asArguments(permissions) : `${asConfiguration(permissions).join('\n')}\n`;
}

function asArguments({ publish, subscribe }: Permissions): string {
  const list = (name: string, subjects: readonly string[]): string[] =>
    subjects.map((subject) => `--allow-${name} ${subject}`);
  // To answer whoever asks how it is.
  const answers = ['--allow-pub-response=1', '--response-ttl 1m'];
  return `${[...list('pub', publish), ...list('sub', subscribe), ...answers].join('\n')}\n`;
}

function asConfiguration({ publish, subscribe }: Permissions): string[] {
  return [
    'permissions: {',
    ...listed('publish', publish),
    ...listed('subscribe', subscribe),
    '  allow_responses: { max: 1, expires: "1m" }',
    '}',
  ];
}

function listed(name: string, subjects: readonly string[]): string[] {
  return [`  ${name}: [`, ...subjects.map((subject) => `    ${JSON.stringify(subject)}`), '  ]'];
}

interface Shared {
  /** By the host's account. */
  readonly imports: Imports;
  /** Services of the host's account. */
  readonly exported: readonly string[];
  readonly permissions: Permissions;
}

/** Both sides of what the two accounts share, with a user whose password is to be filled in. */
function inAccounts(host: string, stream: string, { imports, exported, permissions }: Shared): string {
  const account = `SHIP_${host}`;
  const shared = [
    ...imports.services.map((subject) => ['service', subject] as const),
    ...imports.streams.map((subject) => ['stream', subject] as const),
  ];
  // What names no host is the same for all of them.
  const isOpen = (subject: string): boolean => EVERYBODYS.test(subject);
  const open = shared
    .filter(([, subject]) => isOpen(subject))
    .map(([kind, subject]) => asExport(kind, subject));
  const own = shared
    .filter(([, subject]) => !isOpen(subject))
    .map(([kind, subject]) => asExport(kind, subject, account));
  const taken = shared.map(([kind, subject]) => asImport(kind, subject, stream));
  const asked = exported.map((subject) => asImport('service', subject, account));
  const answered = exported.map((subject) => asExport('service', subject, stream));
  return [
    `# In the account of the stream and the receivers, called ${stream} here. Its exports, once for all hosts:`,
    ...indented(2, open),
    '# Its exports for this host:',
    ...indented(2, own),
    '# Its imports for this host:',
    ...indented(2, asked),
    '',
    '# Beside it:',
    `${JSON.stringify(account)}: {`,
    '  imports: [',
    ...indented(4, taken),
    '  ]',
    '  exports: [',
    ...indented(4, answered),
    '  ]',
    '  users: [{',
    `    user: ${JSON.stringify(host)}, password: "change me"`,
    ...indented(4, asConfiguration(permissions)),
    '  }]',
    '}',
    '',
  ].join('\n');
}

type Kind = 'service' | 'stream';

/** @param to the only account that may import it; without it, any may */
function asExport(kind: Kind, subject: string, to?: string): string {
  const accounts = to === undefined ? '' : `, accounts: [${JSON.stringify(to)}]`;
  return `{ ${kind}: ${JSON.stringify(subject)}${accounts} }`;
}

function asImport(kind: Kind, subject: string, from: string): string {
  return `{ ${kind}: { account: ${JSON.stringify(from)}, subject: ${JSON.stringify(subject)} } }`;
}

function indented(by: number, lines: readonly string[]): string[] {
  return lines.map((line) => ' '.repeat(by) + line);
}

/** Asking what the account has, and how a stream is: names no host, and is the same for all of them. */
const EVERYBODYS = /^\$JS\.API\.(INFO$|STREAM\.INFO\.)/;
