// One term of a receiver of the model: consume, accept, write, commit, acknowledge; until the term is lost to another
// or the plan takes the partition away. The order is that of the real partition: data, ledger, record, ack.

import {
  adoptRecord,
  commitRecord,
  releaseRecord,
  streamPosition,
  type FileChange,
  type PartitionRecord,
} from '../../common/record/record.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { accept } from '../../receiver/term/accept.ts';
import type { Known } from '../../receiver/ledger/known.ts';
import type { Ledger, RunLine } from '../../receiver/ledger/ledger.ts';
import { Said } from '../../receiver/term/said.ts';
import type { Found } from './bucket.ts';
import { activeFile, sizeOf } from './directory.ts';
import { appendLines } from './ledger-on-disk.ts';
import { isPlannedFor } from './membership.ts';
import { ask, breath, insist, nap, type Process } from './scheduler.ts';
import type { Pulled, Sent } from './stream.ts';
import type { Receiver, World } from './world.ts';

/** What was written and not yet committed. */
interface Group {
  earlier: Known[];
  lines: RunLine[];
  changes: Map<string, FileChange[]>;
  seqs: number[];
}

interface Term {
  readonly world: World;
  readonly receiver: Receiver;
  readonly ledger: Ledger;
  readonly term: string;
  /** The record as this term last knew it, and the revision that the next set expects. */
  record: PartitionRecord;
  at: Found;
}

interface Owned extends Term {
  readonly key: string;
  /** How far each generation is written, committed or not. */
  readonly written: Map<string, { offset: number; after: string | null }>;
  readonly said: Said;
  group: Group;
  consumer: string;
  created: string;
  connection: number;
  /** The highest stream sequence processed. */
  seq: number;
}

const emptyGroup = (): Group => ({ earlier: [], lines: [], changes: new Map(), seqs: [] });

export function* ownPartition(term: Term): Process {
  const { world, receiver, ledger } = term;
  const { random, scheduler, stream } = world;
  const owned: Owned = {
    ...term,
    key: partitionKey(ledger.partition),
    written: new Map(),
    said: new Said(ledger),
    group: emptyGroup(),
    consumer: '',
    created: '',
    connection: 0,
    seq: 0,
  };
  raiseWritten(owned);
  yield* consumeAnew(owned);
  for (;;) {
    const isPlanned = isPlannedFor(world, receiver, ledger.partition);
    if (!isPlanned && (scheduler.quiet || random.chance(0.3))) {
      yield* release(owned);
      return;
    }
    const max = random.integer(1, 5);
    const pulled = yield* ask(() => stream.pull(owned.consumer, max, scheduler.now));
    if (pulled === undefined) continue;
    if (pulled === 'no consumer' || isAnotherStream(owned, pulled)) {
      if (owned.group.seqs.length > 0 && !(yield* commit(owned))) return;
      if (yield* isLost(owned)) return;
      yield* consumeAnew(owned);
      continue;
    }
    if (random.chance(0.12) && !(yield* heartbeat(owned))) return;
    for (const { seq, chunks } of pulled.messages) {
      for (const sent of chunks) yield* process(owned, sent);
      owned.seq = Math.max(owned.seq, seq);
      owned.group.seqs.push(seq);
    }
    const isFull = pulled.messages.length > 0 && !random.chance(world.scenario.longGroups);
    if (owned.group.seqs.length === 0) yield* nap(random.integer(3, 12));
    else if ((isFull || pulled.messages.length === 0) && !(yield* commit(owned))) return;
  }
}

/** The server was restarted, or the stream is another one or shorter than what was processed. */
function isAnotherStream(owned: Owned, { info }: Exclude<Pulled, string>): boolean {
  return info.created !== owned.created || info.connection !== owned.connection || info.lastSeq < owned.seq;
}

/** A consumer under a fresh name, from where the record says; an unanswered creation may arrive late. */
function* consumeAnew(owned: Owned): Process {
  const { world, ledger, term } = owned;
  for (;;) {
    const info = yield* insist(() => world.stream.info());
    const position = streamPosition(owned.record.stream, info);
    const consumer = `${term}.${world.token()}`;
    const start = position.seq + 1;
    const answer = yield* ask(() => world.stream.createConsumer(consumer, ledger.partition, start));
    if (answer === undefined) continue;
    const { created, connection } = info;
    Object.assign(owned, { consumer, created, connection, seq: position.seq });
    owned.record = { ...owned.record, stream: position };
    return;
  }
}

/** Reads the record as it is now; true when another's term stands there. */
function* isLost(owned: Owned): Process<boolean> {
  const found = yield* insist(() => owned.world.bucket.read(owned.key));
  if (found.record === undefined || found.record.term === owned.term) return false;
  owned.world.trace(`${owned.receiver.name} lost ${owned.key} to ${found.record.term ?? 'nobody'}`);
  return true;
}

/** Re-reads the record; sets it again when it is gone or was changed. False when the term is lost. */
function* heartbeat(owned: Owned): Process<boolean> {
  const { world, receiver, ledger } = owned;
  const found = yield* insist(() => world.bucket.read(owned.key));
  if (found.record !== undefined && found.record.term !== owned.term) return false;
  const { revision, connection } = owned.at;
  if (found.record === undefined || found.revision !== revision || found.connection !== connection) {
    adopt(owned, found);
    if (!(yield* setRecord(owned, (record) => record))) return false;
  }
  if (ledger.bucket !== found.bucket)
    yield* appendLines(world, receiver.directory, ledger, [{ bucket: found.bucket }]);
  return true;
}

/** Another record under my own term: a late answer, or a bucket that was rolled back. */
function adopt(owned: Owned, found: Found): void {
  owned.at = found;
  if (found.record === undefined) return;
  owned.record = adoptRecord(owned.record, found.record);
  raiseWritten(owned);
}

function raiseWritten({ record, written }: Owned): void {
  for (const [file, { offset, after }] of record.files)
    if ((written.get(file)?.offset ?? -1) < offset) written.set(file, { offset, after });
}

/** Sets the record until it is set, which is decided only by reading it. False when the term is lost. */
function* setRecord(owned: Owned, change: (record: PartitionRecord) => PartitionRecord): Process<boolean> {
  const { world } = owned;
  for (;;) {
    const record = change(owned.record);
    const { at } = owned;
    const answer = yield* ask(() => world.bucket.set(owned.key, record, at));
    if (answer !== undefined && answer !== 'refused') {
      owned.record = record;
      owned.at = { ...at, revision: answer.revision };
      return true;
    }
    const found = yield* insist(() => world.bucket.read(owned.key));
    if (found.record !== undefined && found.record.term !== owned.term) {
      world.trace(`${owned.receiver.name} lost ${owned.key} to ${found.record.term ?? 'nobody'}`);
      return false;
    }
    adopt(owned, found);
  }
}

function* release(owned: Owned): Process {
  const { world, receiver, key, at } = owned;
  if (owned.group.seqs.length > 0 && !(yield* commit(owned))) return;
  const record = releaseRecord(owned.record);
  const answer = yield* ask(() => world.bucket.set(key, record, { ...at, revision: owned.at.revision }));
  world.trace(`${receiver.name} releases ${key}: ${JSON.stringify(answer)}`);
}

function* process(owned: Owned, { source, chunk }: Sent): Process {
  const { world, written, group } = owned;
  const file = fileKey(source.host, source.file);
  const offset = written.get(file)?.offset;
  const before = chunk.after && written.get(fileKey(source.host, chunk.after.file));
  const verdict = accept(chunk, offset, before?.offset);
  const after = chunk.after?.file ?? null;
  const change = { path: source.path, tail: null, after, final: null, gap: false };
  const add = (more: Pick<FileChange, 'start' | 'end'> & Partial<FileChange>): void => {
    group.changes.set(file, joined(group.changes.get(file) ?? [], { ...change, ...more }));
    written.set(file, { offset: more.end, after });
  };
  world.trace(
    `${owned.receiver.name} ${verdict.kind} ${file} ${chunk.kind} ${chunk.start}-${chunk.end} at ${offset ?? 'none'}`,
  );
  if (verdict.kind === 'gap') add({ start: verdict.from, end: verdict.to, gap: true });
  else if (verdict.kind === 'end') add({ start: chunk.end, end: chunk.end, final: chunk.end });
  else if (verdict.kind === 'write' && chunk.kind === 'data') {
    yield* breath();
    write(owned, { source, chunk, file, from: verdict.from });
    add({ start: verdict.from, end: chunk.end, tail: chunk.tail });
  }
}

/** Changes that follow each other are one, as one group of writes. */
function joined(changes: readonly FileChange[], next: FileChange): FileChange[] {
  const last = changes.at(-1);
  if (last === undefined || last.gap || next.gap || last.end !== next.start) return [...changes, next];
  const tail = next.tail ?? last.tail;
  return [...changes.slice(0, -1), { ...next, tail, start: last.start }];
}

interface Write {
  readonly source: Sent['source'];
  readonly chunk: Extract<Sent['chunk'], { kind: 'data' }>;
  readonly file: string;
  readonly from: number;
}

/** Appends what the chunk has to the active file, not yet durable, and prepares the ledger's line. */
function write(owned: Owned, { source, chunk, file, from: start }: Write): void {
  const { world, receiver, ledger, term, written, said, group } = owned;
  const { path } = source;
  const destination = `${source.host}${path}`;
  const rotates = world.random.chance(world.scenario.rotations);
  const { formats } = world.scenario;
  const format = formats[receiver.life % formats.length]!;
  const disk = activeFile(receiver.directory, ledger.partition, destination, format, rotates);
  const last = group.lines.findLast((line) => line.destination === destination);
  const { end, tail, after } = chunk;
  const from = sizeOf(disk);
  const goesOn = last?.file === file && last.inode === disk.inode && last.end === start && last.to === from;
  // Some small chunks become one frame.
  const isJoined = goesOn && format === 'zstd' && world.random.chance(0.4);
  const earlier = isJoined ? disk.pieces.pop() : undefined;
  disk.pieces.push({ file, start: earlier?.start ?? Math.max(start, chunk.start), end });
  const to = sizeOf(disk);
  if (goesOn) {
    group.lines[group.lines.indexOf(last)] = { ...last, end, to, tail };
    return;
  }
  const before = said.begin(file, {
    ...source,
    after: after?.file ?? null,
    recorded: (key) => written.get(key),
  });
  if (before !== undefined) group.earlier.push(...before);
  group.lines.push({
    term,
    file,
    path,
    start,
    end,
    destination,
    inode: disk.inode,
    ...(format === 'zstd' && { format }),
    from,
    to,
    tail,
    checksum: '00000000',
    ...(before && after && { after }),
  });
}

/** Data, ledger, record, ack. False when the term is lost. */
function* commit(owned: Owned): Process<boolean> {
  const { world, receiver, ledger, term, group, said } = owned;
  const { changes, seqs } = group;
  said.commits();
  yield* breath();
  const lines = [...group.earlier.map((known) => ({ known })), ...group.lines];
  yield* appendLines(world, receiver.directory, ledger, lines);
  yield* breath();
  const stream = { created: owned.created, seq: owned.seq };
  if (
    !(yield* setRecord(owned, (record) => commitRecord(record, { term, stream, changes, holes: new Map() })))
  )
    return false;
  owned.group = emptyGroup();
  said.committed();
  yield* ask(() => world.stream.acknowledge(owned.consumer, seqs));
  return true;
}
