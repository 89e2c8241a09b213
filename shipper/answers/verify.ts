// What a shipper answers when its bytes are compared with a receiver's: hashes of blocks of one generation, read through
// a descriptor opened for it. Never touches where shipping is, and never answers for a file that is not the generation.

import type { FileHandle } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { readFully } from '../../common/runtime/files.ts';
import type { Endpoint } from '../../common/nats/service.ts';
import { endpointSubject } from '../../common/wire/topology.ts';
import { Turns } from '../../common/runtime/turns.ts';
import {
  beginBlock,
  blocksIn,
  endBlock,
  readShipperQuestion,
  type ShipperAnswer,
  type ShipperQuestion,
  VERIFY_ENDPOINT,
} from '../../common/fleet/verify.ts';
import { headMatches } from '../files/identity.ts';
import { firstBytes, standsBefore } from '../files/fingerprint.ts';
import type { AnySource, Kept } from '../lane/any-source.ts';

/** Small reads, so that whoever ships gets the disk and the processor in between. */
const READ_BYTES = 256 * 1024;

/**
 * One question at a time, whoever asks.
 *
 * @param sources undefined before they are all known: then it has no answer
 */
export function verifyEndpoint(
  prefix: string,
  host: string,
  sources: () => Iterable<AnySource> | undefined,
): Endpoint {
  const turns = new Turns();
  return {
    name: VERIFY_ENDPOINT,
    subject: endpointSubject(VERIFY_ENDPOINT, prefix, 'shipper', host),
    handle: async (data) => {
      const question = readShipperQuestion(data);
      const all = sources();
      if (all === undefined) throw new LogferryError('busy', 'it has not looked at its files yet');
      return JSON.stringify(await turns.take(async () => await answer(question, [...all])));
    },
  };
}

async function answer(question: ShipperQuestion, all: readonly AnySource[]): Promise<ShipperAnswer> {
  const { file, path } = question;
  const source =
    all.find((each) => each.generations.some(({ entry }) => entry.file === file)) ??
    all.find((each) => each.name === path);
  const gone = (why: string): ShipperAnswer => ({ state: 'gone', why });
  if (source === undefined) return gone('the path is not shipped from there any more');
  try {
    const kept = await source.openWhole(file);
    if (kept === undefined) return gone('it is not on the host any more, or only compressed');
    try {
      if (!(await isStill(kept, question))) return gone('the file is another one by now, or was truncated');
      const hashes = await hashBlocks(kept.handle, question);
      // Truncated or written anew in the meantime, what was read says nothing.
      if (hashes === undefined || !(await isStill(kept, question)))
        return gone('the file was changed while it was read');
      return { state: 'here', hashes };
    } finally {
      await kept.handle.close();
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return gone(`it cannot be read (${messageOf(error)})`);
  }
}

/** Whether the open file holds the generation as far as it is committed: its head, and what stands before offsets. */
async function isStill(
  { handle, entry, generation }: Kept,
  { end, committed, tail }: ShipperQuestion,
): Promise<boolean> {
  const { size } = await handle.stat();
  if (size < Math.max(end, committed)) return false;
  if (entry === undefined) return tail !== null && (await standsBefore(handle, committed, tail));
  if (!headMatches(entry.head, await firstBytes(handle))) return false;
  if (!(await standsBefore(handle, committed, tail ?? undefined))) return false;
  return generation === undefined || (await generation.cursor.isContinuedBy(handle));
}

/** Undefined when the file ends before. */
async function hashBlocks(
  handle: FileHandle,
  { start, end, block }: ShipperQuestion,
): Promise<string[] | undefined> {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const hashes: string[] = [];
  for (const [from, to] of blocksIn(start, end, block)) {
    const hash = beginBlock();
    for (let at = from; at < to;) {
      const length = Math.min(READ_BYTES, to - at);
      if ((await readFully(handle, buffer, at, length)) < length) return undefined;
      hash.update(buffer.subarray(0, length));
      at += length;
    }
    hashes.push(endBlock(hash));
    await setImmediate();
  }
  return hashes;
}
