// The other shippers that the bench runs where it finds them: each an agent, a collector, and the committed
// configuration that makes it fastest without giving up what it promises (bench/peers/).

import { accessSync, constants, readdirSync } from 'node:fs';
import path from 'node:path';

/** Where a role of a peer finds its things. */
export interface RoleFiles {
  readonly config: string;
  /** A directory of its own. */
  readonly work: string;
  /** Where the program's modules are; undefined for where it looks itself. */
  readonly modules: string | undefined;
}

/** Files in bench/peers/. */
export interface PeerConfigs {
  readonly agent: string;
  readonly collector: string;
}

/** Its own configurations are for one file. */
export interface Peer extends PeerConfigs {
  readonly name: string;
  readonly program: string;
  /** What arrival means to it. */
  readonly promise: 'acknowledged' | 'sent';
  /** For many files, each of which has a central file of its own. */
  readonly many?: PeerConfigs;
  readonly args: (files: RoleFiles) => string[];
  /** Where an unpacked package has its modules. */
  readonly moduleDirectory?: string;
}

/** A peer that was found here. */
export interface FoundPeer extends Peer {
  readonly binary: string;
  readonly env: NodeJS.ProcessEnv;
  readonly modules: string | undefined;
}

const rsyslog = {
  program: 'rsyslogd',
  moduleDirectory: 'rsyslog',
  args: ({ config, work, modules }: RoleFiles): string[] => [
    '-n',
    '-f',
    config,
    '-i',
    path.join(work, 'pid'),
    ...(modules === undefined ? [] : ['-M', modules]),
  ],
};

const yaml = (config: string): string[] => ['--config', config];

export const PEERS: readonly Peer[] = [
  {
    name: 'rsyslog RELP',
    promise: 'acknowledged',
    agent: 'rsyslog-relp-agent.conf',
    collector: 'rsyslog-relp-collector.conf',
    many: { agent: 'rsyslog-relp-files-agent.conf', collector: 'rsyslog-relp-files-collector.conf' },
    ...rsyslog,
  },
  {
    name: 'rsyslog TCP',
    promise: 'sent',
    agent: 'rsyslog-tcp-agent.conf',
    collector: 'rsyslog-tcp-collector.conf',
    many: { agent: 'rsyslog-tcp-files-agent.conf', collector: 'rsyslog-tcp-files-collector.conf' },
    ...rsyslog,
  },
  {
    name: 'syslog-ng TCP',
    program: 'syslog-ng',
    promise: 'sent',
    agent: 'syslog-ng-agent.conf',
    collector: 'syslog-ng-collector.conf',
    moduleDirectory: '../syslog-ng/3.38',
    args: ({ config, work, modules }) => [
      '-F',
      '--no-caps',
      '-f',
      config,
      '-R',
      path.join(work, 'persist'),
      '-c',
      path.join(work, 'control'),
      '-p',
      path.join(work, 'pid'),
      ...(modules === undefined ? [] : [`--module-path=${modules}`]),
    ],
  },
  {
    name: 'Fluent Bit forward',
    program: 'fluent-bit',
    promise: 'acknowledged',
    agent: 'fluent-bit-agent.yaml',
    collector: 'fluent-bit-collector.yaml',
    args: ({ config }) => yaml(config),
  },
  {
    name: 'Vector',
    program: 'vector',
    promise: 'acknowledged',
    agent: 'vector-agent.yaml',
    collector: 'vector-collector.yaml',
    args: ({ config }) => yaml(config),
  },
];

/**
 * The peers that are on the PATH or in the usual directories, or below a directory into which packages were unpacked
 * (`dpkg -x`), with the libraries that they need.
 *
 * @param wish that directory, `none` for no peers at all; `all`, or undefined, for those that are installed
 */
export function findPeers(env: NodeJS.ProcessEnv, wish: string | undefined): FoundPeer[] {
  if (wish === 'none') return [];
  const unpacked = wish === 'all' ? undefined : wish;
  const directories = [
    ...(env['PATH'] ?? '').split(':').filter((each) => each !== ''),
    '/usr/sbin',
    '/usr/bin',
  ];
  const found: FoundPeer[] = [];
  for (const peer of PEERS) {
    const installed = directories.map((each) => path.join(each, peer.program)).find(isExecutable);
    if (installed !== undefined) found.push({ ...peer, binary: installed, env, modules: undefined });
    else if (unpacked !== undefined) found.push(...unpackedPeer(peer, path.resolve(unpacked), env));
  }
  return found;
}

/** One line on those that were not found; nothing when all were. */
export function missingText(found: readonly Peer[], all: readonly Peer[]): string {
  const missing = all.filter(({ name }) => !found.some((peer) => peer.name === name));
  return missing.length === 0 ? '' : `not here: ${missing.map(({ name }) => name).join(', ')}\n`;
}

function unpackedPeer(peer: Peer, root: string, env: NodeJS.ProcessEnv): FoundPeer[] {
  const binary = ['usr/sbin', 'usr/bin']
    .map((each) => path.join(root, each, peer.program))
    .find(isExecutable);
  const library = librariesIn(path.join(root, 'usr/lib'));
  if (binary === undefined || library === undefined) return [];
  const libraries = [
    library,
    path.join(root, 'lib', path.basename(library)),
    path.join(root, 'usr/lib/syslog-ng'),
  ];
  return [
    {
      ...peer,
      binary,
      env: { ...env, LD_LIBRARY_PATH: libraries.join(':') },
      modules: peer.moduleDirectory === undefined ? undefined : path.join(library, peer.moduleDirectory),
    },
  ];
}

/** `usr/lib/x86_64-linux-gnu` and the like. */
function librariesIn(directory: string): string | undefined {
  try {
    const name = readdirSync(directory).find((each) => /-linux-gnu/.test(each));
    return name === undefined ? undefined : path.join(directory, name);
  } catch {
    return undefined;
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
