// A receiver from start to stop: the output directory, the connection, the name, the partitions.

import path from 'node:path';
import { getHeapStatistics } from 'node:v8';

import { begin } from '../common/record/begin.ts';
import { Bucket, isUnanswered } from '../common/nats/bucket.ts';
import { Changing } from '../common/runtime/changing.ts';
import type { ReceiverStatus } from '../common/fleet/daemon-status.ts';
import { isDiskFull, LogferryError, oneLine } from '../common/runtime/errors.ts';
import { workIn } from '../common/runtime/files.ts';
import { type Logger, Throttle } from '../common/runtime/log.ts';
import { Registration } from '../common/fleet/members.ts';
import { openLink } from '../common/nats/connection.ts';
import type { PartitionRecord } from '../common/record/record.ts';
import { Bell, sleep, STOP_ANSWERS_MS, untilAnswered } from '../common/runtime/run.ts';
import { Shown } from '../common/health/shown.ts';
import { DEFAULT_MAX_AGE_MS, streamInfo } from '../common/stream/stream.ts';
import {
  membersBucket,
  partitionFilter,
  RECEIVER_INBOX,
  receiverKey,
  type Topology,
} from '../common/wire/topology.ts';
import { formatBytes } from '../common/text/units.ts';
import { prepareOutput } from './disk/access.ts';
import type { RotateOptions } from './disk/destination.ts';
import { noReceiverCounts } from './term/counts.ts';
import { Generations, mostGenerations } from './term/generations.ts';
import { LostBytes } from './term/lost.ts';
import { STATE_DIRECTORY } from './ledger/names.ts';
import { mostOpen, OpenDestinations } from './disk/open-destinations.ts';
import { closeLedgers, closeOutput, openOutput, type Output, recoverOutput } from './output/output.ts';
import { Ownership, type Self } from './ownership/ownership.ts';
import type { ReceiverContext } from './term/partition.ts';
import { PullMemory } from '../common/stream/pull.ts';
import type { ReceiverReading } from './report/reading.ts';
import { refusePassedOver } from './replay/state.ts';
import { RoomWatch } from './output/room-watch.ts';
import { Roster } from './ownership/roster.ts';
import { isThere } from './disk/segments.ts';
import { serveReceiver } from './report/service.ts';
import { keepUp, passOnce, type UpkeepContext } from './upkeep/upkeep.ts';
import { verifyEndpoint } from './read/verify.ts';
import { noReceiverStats } from './term/counts.ts';
import type { FixedShare, ReceiveLimits, ReceiveOptions } from './options.ts';

/** All pulls of a receiver together. */
const PULL_BYTES = 64 * 1024 * 1024;
const ONCE_GIVE_UP_MS = 30_000;
const ONCE_LOOK_MS = 200;
/** What the disk has no room for at the start is tried again this often. */
const NO_ROOM_WAIT_MS = 5_000;

/** Receives until the signal fires (or, with `once`, until all is committed). */
export async function receive(options: ReceiveOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  const shown = options.shown ?? new Shown<ReceiverReading>();
  const started = new Date().toISOString();
  const isNew = await workIn(options.out, '--out', async () => !(await isThere(options.out)));
  const output = await openOutput(options.out, options.id, log);
  try {
    await refusePassedOver(output.out);
    await prepareOutput(output.out, options.rotate.access ?? {}, isNew);
    shown.waitsFor = () => 'no connection to nats-server yet';
    const inboxPrefix = options.server.inboxPrefix ?? RECEIVER_INBOX;
    const link = await openLink(
      { ...options.server, inboxPrefix },
      {
        name: `logferry receiver ${output.id}`,
        log,
        signal,
        giveUpMs: options.once ? ONCE_GIVE_UP_MS : undefined,
        stopMs: STOP_ANSWERS_MS,
      },
    );
    shown.link = link;
    shown.waitsFor = () => `waiting for stream ${options.stream} and its buckets`;
    try {
      const begun = await begin(
        link,
        options,
        { directory: path.join(output.out, STATE_DIRECTORY) },
        log,
        signal,
      );
      if (begun === undefined) return;
      const { report, store, restoreVanished } = begun;
      const rotations = new Bell();
      const stats = noReceiverStats(shown.countsLines);
      const counts = noReceiverCounts();
      const limits = options.changes ?? new Changing<ReceiveLimits>(options);
      const giveUpByDefault = defaultGiveUp(report.likeness.maxAgeMs);
      const context: ReceiverContext = {
        link,
        topology: report.topology,
        store,
        output,
        rotate: rotationOf(options.rotate, limits, () => {
          counts.rotations += 1;
          rotations.ring();
        }),
        open: new OpenDestinations(mostOpen()),
        log,
        throttle: new Throttle(),
        stats,
        counts,
        pulse: shown.pulse,
        onCommit: options.onCommit,
        lost: new LostBytes(),
        get giveUpAfterMs() {
          return limits.value.giveUpAfterMs ?? giveUpByDefault;
        },
        memory: new PullMemory(PULL_BYTES, link.maxPayload),
        generations: new Generations(mostGenerations(getHeapStatistics().heap_size_limit)),
        room: roomWatch(options, output),
        restoreVanished,
      };
      const unlisten = whenChanged(limits, context, rotations, signal);
      await whileRegistered(
        { ...options, changes: limits, shown },
        context,
        rotations,
        started,
        signal,
      ).finally(unlisten);
      const { bytes, duplicates, foreign } = stats;
      log.info(
        { ...stats },
        `wrote ${formatBytes(bytes)}; skipped ${duplicates} duplicates and ${foreign} foreign messages`,
      );
    } finally {
      await link.close();
    }
  } finally {
    await closeOutput(output);
  }
}

/** Holds the receiver's name and works under it; waits for it again when it was lost. */
async function whileRegistered(
  options: ReceiveOptions & {
    readonly changes: Changing<ReceiveLimits>;
    readonly shown: Shown<ReceiverReading>;
  },
  context: ReceiverContext,
  rotations: Bell,
  started: string,
  signal: AbortSignal,
): Promise<void> {
  const { log, shown } = options;
  const { output, link } = context;
  const { out, ledgers } = output;
  const recordOf = async (partition: number): Promise<PartitionRecord | undefined> =>
    (await context.store.read(partition)).record;
  const upkeep: UpkeepContext = {
    ...{ out, ledgers, recordOf, log },
    get compress() {
      return options.changes.value.upkeep.compress;
    },
    get keep() {
      return options.changes.value.upkeep.keep;
    },
  };
  const bucket = new Bucket(link, membersBucket(options.stream));
  const fixed = fixedShare(options.share, context.topology);
  while (!signal.aborted) {
    const { hasRoom } = context.room;
    const self: Self = { id: output.id, owned: [], fixed, stays: true, hasRoom };
    shown.waitsFor = () => `waiting for the receiver name ${output.id}`;
    shown.read = () => readingOf(context, undefined);
    const registration = await register(options, output, bucket, () => self, signal);
    if (registration === undefined) return;
    let ownership: Ownership | undefined;
    let isRecovered = false;
    const verifying = verifyEndpoint(context, () => isRecovered);
    // From now on, whatever it has to wait for: a disk that is full at the start is to be seen.
    const service = serveReceiver({
      context,
      started,
      now: () => ({
        partitions: [...self.owned],
        hasRoom: isRecovered && context.room.hasRoom,
        waitingFiles: ownership?.waitingFiles ?? 0,
      }),
      endpoints: [verifying.endpoint],
    });
    const stopServing = (): void => {
      service.stop();
      shown.waitsFor = () => `letting go of the receiver name ${output.id}`;
      shown.read = () => readingOf(context, undefined);
    };
    shown.read = () => readingOf(context, service.status());
    shown.waitsFor = () => `looking at what is below ${output.out}`;
    isRecovered = await recover(output, context.topology.partitions, log, signal);
    if (!isRecovered) {
      stopServing();
      await verifying.close();
      await registration.release();
      return;
    }
    await context.room.begin();
    log.info({ id: output.id, out: output.out }, `receiving as ${output.id} into ${output.out}`);
    const done = new AbortController();
    const stop = AbortSignal.any([signal, done.signal]);
    const bell = new Bell();
    const roster = new Roster(link, bucket, options.leaseMs, () => {
      bell.ring();
    });
    const heartbeatMs = Math.min(1_000, options.leaseMs / 4);
    ownership = new Ownership({
      ...{ context, registration, roster, self, bell, heartbeatMs },
      onReleasing: stopServing,
    });
    const watching = options.once ? watchOnce(context, upkeep, done, stop) : undefined;
    const keeping = options.once ? undefined : keepUp(upkeep, rotations, stop);
    const watchingRoom = context.room.run(stop);
    shown.waitsFor = () => (context.room.works ? undefined : `no room below ${output.out}`);
    try {
      await ownership.run(stop);
      return;
    } catch (error) {
      if (!(error instanceof LogferryError) || error.code !== 'lost') throw error;
      log.error(error.message);
    } finally {
      stopServing();
      done.abort();
      await verifying.close();
      await watching;
      await keeping;
      await watchingRoom;
      await closeLedgers(output);
    }
  }
}

function readingOf(context: ReceiverContext, status: ReceiverStatus | undefined): ReceiverReading {
  const { stats, counts, lost, topology, open, room, generations } = context;
  return {
    ...{ stats, counts, status, lostBytes: lost.total, partitions: topology.partitions },
    ...{ openFiles: open.count, generations },
    hasRoom: room.works && status?.hasRoom !== false,
  };
}

/** What a destination is opened with: as the limits are then. */
function rotationOf(
  rotate: RotateOptions,
  limits: Changing<ReceiveLimits>,
  onRotated: () => void,
): RotateOptions {
  return {
    ...rotate,
    onRotated,
    get sizeBytes() {
      return limits.value.rotate.sizeBytes;
    },
    get interval() {
      return limits.value.rotate.interval;
    },
  };
}

/** After a change of the limits the segments are looked at, and central files go on with others for their rotation. */
function whenChanged(
  limits: Changing<ReceiveLimits>,
  { open, log }: ReceiverContext,
  rotations: Bell,
  signal: AbortSignal,
): () => void {
  let { sizeBytes, interval } = limits.value.rotate;
  return limits.listen(() => {
    rotations.ring();
    const { rotate } = limits.value;
    if (rotate.sizeBytes === sizeBytes && rotate.interval === interval) return;
    ({ sizeBytes, interval } = rotate);
    open.renew(signal).catch((error: unknown) => {
      log.warn(`cannot close a central file for its new limits (${oneLine(error)}); it keeps the old ones`);
    });
  });
}

/** Cuts what no ledger lists, and waits for room where that needs some. False when the signal fires first. */
async function recover(
  output: Output,
  partitions: number,
  log: Logger,
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      await recoverOutput(output, partitions, log);
      return true;
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (tries === 1) log.error(`no room to begin: ${oneLine(error)}; it goes on by itself`);
    }
    await sleep(NO_ROOM_WAIT_MS, signal);
  }
  return false;
}

function roomWatch({ handOverAfterMs, share, log }: ReceiveOptions, { out }: Output): RoomWatch {
  const consequence =
    share === undefined
      ? 'its partitions go to receivers that have room, if there are any'
      : "its share waits, which was given by hand (--own, --index) and is nobody else's";
  return new RoomWatch({ out, handOverAfterMs, consequence, log });
}

async function register(
  options: ReceiveOptions,
  output: Output,
  bucket: Bucket,
  status: () => Self,
  signal: AbortSignal,
): Promise<Registration | undefined> {
  return await Registration.acquire(
    {
      bucket,
      key: receiverKey(output.id),
      what: `the receiver name ${output.id}`,
      hint: 'give this one another --id to run both',
      directory: output.directory,
      leaseMs: options.leaseMs,
      status,
      log: options.log,
    },
    signal,
  );
}

/** Ends the run when every partition's last message is committed, by whoever owns it, and the segments are looked after. */
async function watchOnce(
  context: ReceiverContext,
  upkeep: UpkeepContext,
  done: AbortController,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(ONCE_LOOK_MS, signal);
    if ((await untilAnswered(async () => await allCommitted(context), isUnanswered, signal)) !== true)
      continue;
    await passOnce(upkeep, signal);
    done.abort();
  }
}

async function allCommitted(context: ReceiverContext): Promise<boolean> {
  const { link, store, topology } = context;
  const info = await streamInfo(link, topology.stream);
  if (info === undefined) return false;
  for (let partition = 0; partition < topology.partitions; partition += 1) {
    const filter = partitionFilter(topology, partition);
    const last = await lastSequence(context, filter);
    if (last === 0) continue;
    const { record } = await store.read(partition);
    if (record?.stream.created !== info.created || record.stream.seq < last) return false;
  }
  return true;
}

async function lastSequence(context: ReceiverContext, filter: string): Promise<number> {
  const message = await context.link.jsm.streams.getMessage(context.topology.stream, {
    last_by_subj: filter,
  });
  return message?.seq ?? 0;
}

/** Throws `usage` for a share that the stream has no partitions for. */
function fixedShare(share: FixedShare | undefined, topology: Topology): number[] | null {
  if (share === undefined) return null;
  const { partitions, stream } = topology;
  const all = Array.from({ length: partitions }, (_, number) => number);
  if ('ranges' in share) {
    const beyond = share.ranges.find(([, to]) => to >= partitions);
    if (beyond !== undefined)
      throw new LogferryError(
        'usage',
        `--own: there is no partition ${beyond[1]}: stream ${stream} has ${partitions}`,
        `give ranges from 0 to ${partitions - 1}`,
      );
    return all.filter((number) => share.ranges.some(([from, to]) => from <= number && number <= to));
  }
  return all.filter((number) => number % share.of === share.index);
}

/** An hour before the stream drops them; half of the time where it keeps them for less than two hours. */
function defaultGiveUp(maxAgeMs: number): number {
  const age = maxAgeMs === 0 ? DEFAULT_MAX_AGE_MS : maxAgeMs;
  return Math.max(age - 3_600_000, age / 2);
}
