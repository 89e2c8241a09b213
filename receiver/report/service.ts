// A receiver as a NATS service: it answers what it owns and how fast it writes, under its name. Never decides anything.

import { hostname } from 'node:os';

import { RECEIVER_SERVICE, type ReceiverStatus, STATUS_ENDPOINT } from '../../common/fleet/daemon-status.ts';
import { type Endpoint, serve } from '../../common/nats/service.ts';
import { endpointSubject } from '../../common/wire/topology.ts';
import { packageVersion } from '../../common/runtime/version.ts';
import type { ReceiverContext } from '../term/partition.ts';
import { Rate } from './rate.ts';
import type { Space } from '../output/room.ts';
import { spaceOf } from '../output/room-watch.ts';

export interface ReceiverServiceOptions {
  readonly context: ReceiverContext;
  /** When the receiver started: ISO 8601. */
  readonly started: string;
  /** What changes with the time under its name. */
  readonly now: () => Pick<ReceiverStatus, 'partitions' | 'hasRoom' | 'waitingFiles'>;
  readonly endpoints?: readonly Endpoint[];
}

const SAMPLE_MS = 1_000;
/** The disk is measured with every so many samples. */
const DISK_SAMPLES = 5;

export interface ReceiverService {
  /** What it answers. */
  readonly status: () => ReceiverStatus;
  /** May be called again. */
  readonly stop: () => void;
}

/** Answers for this receiver until it is stopped. */
export function serveReceiver({
  context,
  started,
  now,
  endpoints = [],
}: ReceiverServiceOptions): ReceiverService {
  const { link, topology, output, stats, lost } = context;
  const { stream, prefix } = topology;
  const rate = new Rate();
  let disk: Space | undefined;
  let samples = 0;
  let isMeasuring = false;
  const measure = async (): Promise<void> => {
    // One that hangs (a remote file system that is away) is not asked again meanwhile.
    if (isMeasuring) return;
    isMeasuring = true;
    try {
      disk = await spaceOf(output.out);
    } finally {
      isMeasuring = false;
    }
  };
  const sample = (): void => {
    rate.note(stats.bytes, performance.now());
    if (samples % DISK_SAMPLES === 0) void measure();
    samples += 1;
  };
  sample();
  const timer = setInterval(sample, SAMPLE_MS).unref();
  const status = (): ReceiverStatus => {
    const { bytes, duplicates, missing, foreign } = stats;
    return {
      started,
      ...now(),
      bytes,
      bytesPerSecond: rate.perSecond(bytes, performance.now()),
      disk: disk === undefined ? null : { free: disk.free, total: disk.total },
      ...{ duplicates, missing, foreign },
      lostBytes: lost.total,
      lost: lost.most(),
    };
  };
  const stopServing = serve(link.nc, {
    name: RECEIVER_SERVICE,
    version: packageVersion(),
    description: 'writes what hosts ship into files below a directory',
    metadata: { receiver: output.id, stream, prefix, machine: hostname(), directory: output.out },
    endpoints: [
      {
        name: STATUS_ENDPOINT,
        subject: endpointSubject(STATUS_ENDPOINT, prefix, 'receiver', output.id),
        handle: async () => await Promise.resolve(JSON.stringify(status())),
        data: status,
      },
      ...endpoints,
    ],
  });
  const stop = (): void => {
    clearInterval(timer);
    stopServing();
  };
  return { status, stop };
}
