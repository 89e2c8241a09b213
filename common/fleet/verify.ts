// What is asked and answered when bytes are compared without moving them: the questions to a shipper and to a receiver,
// and how a range is cut into blocks, so that both sides hash the same ones. Pure.

import { createHash, type Hash } from 'node:crypto';

import { z } from 'zod';

import { LogferryError } from '../runtime/errors.ts';
import { joinRanges, type ByteRange } from '../wire/ranges.ts';
import { parseAs, parseJson } from '../runtime/json.ts';

/** The endpoint of shippers and receivers, as a token of its subject. */
export const VERIFY_ENDPOINT = 'verify';

/** So much is read for one question at most. */
export const MOST_BYTES = 64 * 1024 * 1024;
export const LARGEST_BLOCK = 1024 * 1024;
/** A difference is narrowed down to this. */
export const SMALLEST_BLOCK = 4 * 1024;
/** Of one answer: some 25 bytes each. */
const MOST_BLOCKS = 1_024;
/** Of a list that an answer carries. */
const MOST_ROWS = 20_000;
const HASH_BYTES = 16;

const offset = z.int().min(0);
const text = z.string().max(8_192);
const fileId = z.string().regex(/^[a-z0-9-]{1,80}$/);
const hashed = z.string().length(22);

/** See Blocks. */
const blocks = { start: offset, end: offset, block: z.int().min(SMALLEST_BLOCK).max(LARGEST_BLOCK) };

const shipperQuestion = z.object({
  /** The file id. */
  file: fileId,
  /** The path as it is shipped. */
  path: text,
  ...blocks,
  /** How far the generation is committed, and what stands before that where it is known (see tailOf). */
  committed: offset,
  tail: z.string().max(64).nullable(),
});

/** Where the bytes of a generation are on its host; `hashes` has one of each block. */
const shipperAnswer = z.discriminatedUnion('state', [
  z.object({ state: z.literal('here'), hashes: z.array(hashed).max(MOST_BLOCKS) }),
  /** Not on the host any more, or only compressed, or changed. */
  z.object({ state: z.literal('gone'), why: text }),
]);

const receiverQuestion = z.discriminatedUnion('do', [
  z.object({ do: z.literal('introduce') }),
  /** What is held of a host, of the file ids behind `after`. */
  z.object({ do: z.literal('list'), host: text, after: z.string().max(80) }),
  z.object({ do: z.literal('hash'), host: text, file: fileId, ...blocks }),
  /** Compares with the ledger's own checksums, from the source byte `from` on. */
  z.object({ do: z.literal('check'), host: text, file: fileId, from: offset }),
]);

const range = z.tuple([offset, offset]);
const introduction = z.object({ id: text, directory: text });

const heldFile = z.object({
  file: fileId,
  path: text,
  held: z.array(range),
  /** Retention removed them. */
  removed: z.array(range),
  /** See tailOf, at the end of what is held; empty when it is not known. */
  tail: z.string().max(64),
});
const heldFiles = z.object({ files: z.array(heldFile).max(MOST_ROWS), next: z.string().max(80).nullable() });

/** Source bytes [start, end) lie at [from, to) of a file there: of what it decompresses to where it is encoded. */
const place = z.object({
  start: offset,
  end: offset,
  disk: text,
  from: offset,
  to: offset,
  encoding: z.enum(['gzip', 'zstd', 'zstd frames']).optional(),
});

const hashedBlocks = z.object({
  /** Null for a block that cannot be read: see `problems`. */
  hashes: z.array(hashed.nullable()).max(MOST_BLOCKS),
  problems: z
    .array(z.object({ start: offset, end: offset, why: text, isListed: z.boolean() }))
    .max(MOST_BLOCKS),
  places: z.array(place).max(MOST_ROWS),
});

const checkedStretches = z.object({
  stretches: z
    .array(
      place.extend({
        /** `unknown`: the ledger keeps no checksum of it. */
        result: z.enum(['same', 'differs', 'unknown', 'unreadable']),
        why: text,
      }),
    )
    .max(MOST_ROWS),
  /** Where to go on; null at the end. */
  next: offset.nullable(),
});

/** Source bytes [start, end) in blocks of so many bytes, a power of two. */
export interface Blocks {
  readonly start: number;
  readonly end: number;
  readonly block: number;
}

export type ShipperQuestion = z.infer<typeof shipperQuestion>;
export type ShipperAnswer = z.infer<typeof shipperAnswer>;
export type ReceiverQuestion = z.infer<typeof receiverQuestion>;
export type Introduction = z.infer<typeof introduction>;
export type HeldFile = z.infer<typeof heldFile>;
export type HeldFiles = z.infer<typeof heldFiles>;
export type HashedBlocks = z.infer<typeof hashedBlocks>;
export type CheckedStretches = z.infer<typeof checkedStretches>;
export type CheckedStretch = CheckedStretches['stretches'][number];
export type DiskPlace = z.infer<typeof place>;

/** What can be parsed, and has as many hashes as there are blocks: throws `corrupt` for anything else. */
export const answers = {
  shipper: (data: Uint8Array, blockCount: number): ShipperAnswer => {
    const answer = read(shipperAnswer, data);
    if (answer.state === 'here') refuseOtherCount(answer.hashes, blockCount);
    return answer;
  },
  introduction: (data: Uint8Array): Introduction => read(introduction, data),
  files: (data: Uint8Array): HeldFiles => {
    const { files, next } = read(heldFiles, data);
    return { files: files.map((one) => ({ ...one, ...inOrder(one) })), next };
  },
  hashes: (data: Uint8Array, blockCount: number): HashedBlocks => {
    const answer = read(hashedBlocks, data);
    refuseOtherCount(answer.hashes, blockCount);
    return answer;
  },
  stretches: (data: Uint8Array): CheckedStretches => read(checkedStretches, data),
} as const;

export function readShipperQuestion(data: Uint8Array): ShipperQuestion {
  const question = read(shipperQuestion, data);
  refuseTooMuch(question);
  return question;
}

export function readReceiverQuestion(data: Uint8Array): ReceiverQuestion {
  const question = read(receiverQuestion, data);
  if (question.do === 'hash') refuseTooMuch(question);
  return question;
}

function refuseOtherCount(hashes: readonly unknown[], wanted: number): void {
  if (hashes.length !== wanted)
    throw new LogferryError('corrupt', `${hashes.length} hashes of ${wanted} blocks`);
}

function inOrder({ held, removed }: HeldFile): { held: [number, number][]; removed: [number, number][] } {
  const clean = (ranges: readonly ByteRange[]): [number, number][] =>
    joinRanges(ranges).map(([start, end]) => [start, end]);
  return { held: clean(held), removed: clean(removed) };
}

function read<S extends z.ZodType>(schema: S, data: Uint8Array): z.output<S> {
  return parseAs(schema, parseJson(new TextDecoder().decode(data)));
}

/** A question may come from anybody who may publish. */
function refuseTooMuch(range: Blocks): void {
  const { start, end, block } = range;
  const isPower = Number.isInteger(Math.log2(block));
  if (end > start && end - start <= MOST_BYTES && isPower && countBlocks(range) <= MOST_BLOCKS) return;
  throw new LogferryError('corrupt', `cannot hash bytes ${start} to ${end} in blocks of ${block}`);
}

/** How many blocksIn gives. */
export function countBlocks({ start, end, block }: Blocks): number {
  return Math.ceil(end / block) - Math.floor(start / block);
}

/** The blocks of [start, end): they begin at multiples of the block's size, but for the first, and end there too. */
export function* blocksIn(start: number, end: number, block: number): Generator<ByteRange, void> {
  for (let at = start; at < end;) {
    const next = Math.min(end, (Math.floor(at / block) + 1) * block);
    yield [at, next];
    at = next;
  }
}

/** Cuts a range into parts that may be asked for at once, at multiples of the largest block. */
export function partsOf([start, end]: ByteRange): ByteRange[] {
  return [...blocksIn(start, end, MOST_BYTES)];
}

/** A hash of one block, to be updated; see endBlock. */
export function beginBlock(): Hash {
  return createHash('sha256');
}

/** 128 bits of it, which nobody meets by accident. */
export function endBlock(block: Hash): string {
  return block.digest().subarray(0, HASH_BYTES).toString('base64url');
}
