// A receiver of the model, outside its terms: when it takes a partition, what it merges after a lost bucket, and what
// it cuts of partitions that others own.

import {
  emptyRecord,
  lowerRecord,
  mergeRecord,
  takeRecord,
  termOf,
  type Relabel,
} from '../../common/record/record.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { claimsOf, reclaimStuck, relabelLines, type Ledger } from '../../receiver/ledger/ledger.ts';
import type { Found } from './bucket.ts';
import { appendLines, cutUnlisted, openLedger, recover } from './ledger-on-disk.ts';
import { isAlive, isPlannedFor } from './membership.ts';
import { ask, breath, insist, nap, type Process } from './scheduler.ts';
import { ownPartition } from './term.ts';
import type { Receiver, World } from './world.ts';

export function startReceiver(world: World, receiver: Receiver): void {
  receiver.dead = false;
  receiver.beat = world.scheduler.now;
  for (let partition = 0; partition < world.scenario.partitions; partition += 1)
    world.scheduler.spawn(receiver, watchPartition(world, receiver, partition));
}

function* watchPartition(world: World, receiver: Receiver, partition: number): Process {
  const { random, scheduler, scenario, bucket } = world;
  const { directory } = receiver;
  const key = partitionKey(partition);
  const ledger = openLedger(world, directory, partition);
  for (;;) {
    yield* nap(random.integer(3, 15));
    const found = yield* ask(() => {
      const isOld = !scheduler.quiet && random.chance(scenario.oldReads);
      return isOld ? bucket.readOld(key, random) : bucket.read(key);
    });
    if (found === undefined) continue;
    if (ledger.bucket === undefined) yield* appendLines(world, directory, ledger, [{ bucket: found.bucket }]);
    if (ledger.bucket !== found.bucket) {
      yield* merge(world, receiver, ledger, found);
      continue;
    }
    const owner = found.record?.owner ?? null;
    const isMineFromBefore = owner === receiver.name;
    const other = world.receivers.find((each) => each.name === owner);
    const isFree = isMineFromBefore || other === undefined || !isAlive(world, other);
    if (isFree && (isMineFromBefore || isPlannedFor(world, receiver, partition))) {
      yield* take(world, receiver, ledger, found);
      cutUnlisted(directory, ledger);
    } else yield* recover(world, directory, ledger, found.record);
  }
}

/** The bucket is another one than before: what this ledger knows goes into it, under a token of its own. */
function* merge(world: World, receiver: Receiver, ledger: Ledger, found: Found): Process {
  const { directory } = receiver;
  const term = termOf(directory.id, world.token());
  const record = found.record ?? emptyRecord(world.scenario.partitions);
  const merged = mergeRecord(record, { term, claims: claimsOf(ledger) });
  if (merged !== undefined) {
    const answer = yield* ask(() => world.bucket.set(partitionKey(ledger.partition), merged.record, found));
    if (answer === undefined || answer === 'refused') return;
    world.trace(`${receiver.name} merged its ledger as ${term}`);
    yield* relabel(world, receiver, ledger, merged.relabels, term);
  }
  yield* appendLines(world, directory, ledger, [{ bucket: found.bucket }]);
}

/** A new term: recover, set the record, note in the ledger what the term took over, then own until it is lost. */
function* take(world: World, receiver: Receiver, ledger: Ledger, found: Found): Process {
  yield* recover(world, receiver.directory, ledger, found.record);
  yield* breath();
  const stream = yield* insist(() => world.stream.info());
  const term = termOf(receiver.directory.id, world.token());
  const known = found.record ?? emptyRecord(world.scenario.partitions);
  const claims = claimsOf(ledger);
  const previous = lowerRecord(known, receiver.directory.id, claims)?.record ?? known;
  const taken = takeRecord(previous, { owner: receiver.name, term, claims, stream });
  const { record, relabels } = reclaimStuck(ledger, taken, term, claims);
  const answer = yield* ask(() => world.bucket.set(partitionKey(ledger.partition), record, found));
  if (answer === undefined || answer === 'refused') return;
  world.trace(`${receiver.name} took ${partitionKey(ledger.partition)} as ${term}`);
  yield* relabel(world, receiver, ledger, relabels, term);
  yield* ownPartition({ world, receiver, ledger, term, record, at: { ...found, revision: answer.revision } });
}

function* relabel(
  world: World,
  receiver: Receiver,
  ledger: Ledger,
  relabels: readonly Relabel[],
  term: string,
): Process {
  yield* appendLines(world, receiver.directory, ledger, relabelLines(relabels, term));
}
