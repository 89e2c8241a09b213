// What `npm run bench -- many-files` compares: logferry and the peers, each of which follows all files of a directory.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { openLink } from '../common/nats/connection.ts';
import { silentLogger } from '../common/runtime/log.ts';
import { DEFAULT_STREAM } from '../common/wire/topology.ts';
import { PeerPair } from './peer-pair.ts';
import type { FoundPeer } from './peers.ts';
import { World, type WorldOptions } from './world.ts';

/** What lies in nats-server: the log stream, and all buckets. */
export interface Stored {
  readonly stream: { readonly messages: number; readonly bytes: number };
  /** Every set that there was, and what is there now. */
  readonly buckets: { readonly sets: number; readonly bytes: number };
}

/** A system that follows the files. */
export interface Following {
  /** Processes by what they do, in the order of a line's way. */
  readonly pids: Readonly<Record<string, readonly number[]>>;
  /** The central file of a source. */
  readonly central: (source: string) => string;
  /** Undefined for a system without nats-server. */
  readonly stored: () => Promise<Stored | undefined>;
  readonly stop: () => Promise<void>;
}

export interface System {
  readonly name: string;
  /** How often a byte crosses the loopback device. */
  readonly hops: number;
  /** @param sources files of one directory, whose names have one length */
  readonly start: (options: WorldOptions, sources: readonly string[]) => Promise<Following>;
}

export function systemsOf(peers: readonly FoundPeer[]): System[] {
  return [logferry, ...peers.map(systemOf)];
}

const logferry: System = {
  name: 'logferry',
  hops: 2,
  start: async (options, sources) => {
    const world = await World.start(options);
    const shipper = world.ship(globOf(sources), [], true);
    return {
      pids: { shipper: [shipper.pid], 'nats-server': world.serverPids, receiver: [world.receiver.pid] },
      central: (source) => world.destination(source),
      stored: async () => await storedAt(world.urls),
      stop: async () => {
        await shipper.stop();
        await world.stop();
      },
    };
  },
};

function systemOf(peer: FoundPeer): System {
  return {
    name: peer.name,
    hops: 1,
    start: async ({ dir, signal }, sources) => {
      const [first = ''] = sources;
      const out = path.join(dir, 'out');
      await mkdir(out, { recursive: true });
      const central = (source: string): string => path.join(out, path.basename(source));
      const pair = await PeerPair.start(peer, {
        configs: sources.length === 1 ? peer : (peer.many ?? peer),
        dir,
        values: { source: globOf(sources), central: central(first), ...placesIn(first) },
        signal,
      });
      const { agent, collector } = pair.pids;
      return {
        pids: { agent: [agent], collector: [collector] },
        central,
        stored: async () => await Promise.resolve(undefined),
        stop: async () => {
          await pair.stop();
        },
      };
    },
  };
}

function globOf(sources: readonly string[]): string {
  const [first = ''] = sources;
  return sources.length === 1 ? first : path.join(path.dirname(first), '*.log');
}

/** Where a file's name is in its path, and the line behind it in what is sent; the first character is 1. */
function placesIn(source: string): Record<string, string> {
  const nameLength = path.basename(source).length;
  return {
    nameFrom: String(source.length - nameLength + 1),
    nameTo: String(source.length),
    nameLength: String(nameLength),
    lineFrom: String(nameLength + 2),
  };
}

async function storedAt(server: string): Promise<Stored> {
  const link = await openLink({ server }, { name: 'bench', log: silentLogger() });
  try {
    const stored = { stream: { messages: 0, bytes: 0 }, buckets: { sets: 0, bytes: 0 } };
    for await (const { config, state } of link.jsm.streams.list())
      if (config.name === DEFAULT_STREAM) stored.stream = { messages: state.messages, bytes: state.bytes };
      else if (config.name.startsWith('KV_')) {
        stored.buckets.sets += state.last_seq;
        stored.buckets.bytes += state.bytes;
      }
    return stored;
  } finally {
    await link.close();
  }
}
