// What a replay keeps in its output directory: what was asked for, how far it is on disk, and what it had to leave out.
// So that it goes on after any stop, and nobody takes its directory for another's.

import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { z } from 'zod';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { readIfThere, writeFileDurably } from '../../common/runtime/files.ts';
import { ledgersIn } from '../ledger/ledger-file.ts';
import { STATE_DIRECTORY } from '../ledger/names.ts';
import { parseAs, parseJson, refuseNewer } from '../../common/runtime/json.ts';

export const REPLAY_VERSION = 1;

const FILE = 'replay.json';
const FRESH = 'give a fresh directory';
/** What a fresh file system has in it. */
const NOBODYS = new Set([STATE_DIRECTORY, 'lost+found']);

const sequence = z.int().min(0);
const generation = z.object({ host: z.string(), path: z.string(), file: z.string() });
const texts = z.array(z.string());
const schema = z.object({
  version: z.literal(REPLAY_VERSION),
  stream: z.object({ name: z.string(), prefix: z.string(), created: z.string() }),
  asked: z.object({
    host: texts,
    path: texts,
    exclude: texts,
    since: z.string().nullable(),
    until: z.string().nullable(),
  }),
  /** Stream sequences: what is replayed, both included, and up to which it is on disk. */
  first: sequence,
  last: sequence,
  reached: sequence,
  /** How many messages of what was asked for are behind that, at most. */
  left: sequence.default(Number.MAX_SAFE_INTEGER),
  done: z.boolean(),
  /** Stream sequences that the stream has dropped before they were read, and how many of them were asked for, at most. */
  dropped: z.array(z.object({ first: sequence, last: sequence, messages: sequence })).default([]),
  /** Generations that wait for bytes before the ones up to `end`, which came out of order. */
  waiting: z.array(generation.extend({ end: sequence })),
  /** Where paths begin whose earlier bytes are not in what is replayed. */
  begins: z.array(generation.extend({ offset: sequence })),
  /** Bytes in the middle that are not in the stream, and how many such ranges are not listed. */
  holes: z.array(generation.extend({ from: sequence, to: sequence })),
  moreHoles: sequence,
  /** Bytes were passed over that no receiver has committed: one that went on here would never ask for them. */
  uncommitted: z.boolean(),
});

export type ReplayState = z.output<typeof schema>;
/** As it was written on the command line. */
export type Asked = ReplayState['asked'];
export type Dropped = ReplayState['dropped'][number];
export type Begin = ReplayState['begins'][number];
export type Hole = ReplayState['holes'][number];
export type Waiting = ReplayState['waiting'][number];

/**
 * The replay that a directory holds; undefined for a fresh one, which may not be there yet. Throws `failed` for a
 * directory with anything else in it. Writes nothing.
 */
export async function replayIn(out: string): Promise<ReplayState | undefined> {
  const names = await namesIn(out);
  if (names === undefined) return undefined;
  const state = names.includes(STATE_DIRECTORY) ? await loadState(out) : undefined;
  if (state !== undefined) return state;
  if (names.includes(STATE_DIRECTORY) && (await ledgersIn(out)).length > 0)
    throw new LogferryError('failed', `${out} is a receiver's directory`, `${FRESH}: a replay only adds`);
  const [strange] = names.filter((name) => !NOBODYS.has(name));
  if (strange !== undefined)
    throw new LogferryError('failed', `${out} is not empty: there is ${JSON.stringify(strange)}`, FRESH);
  return undefined;
}

async function namesIn(out: string): Promise<string[] | undefined> {
  try {
    return await readdir(out);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === undefined) throw error;
    throw new LogferryError('failed', `cannot use ${out}: ${messageOf(error)}`, FRESH, { cause: error });
  }
}

async function loadState(out: string): Promise<ReplayState | undefined> {
  const file = path.join(out, STATE_DIRECTORY, FILE);
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const value = parseJson(text);
    refuseNewer(value, REPLAY_VERSION, file);
    return parseAs(schema, value);
  } catch (error) {
    if (!(error instanceof LogferryError) || error.code !== 'corrupt') throw error;
    throw new LogferryError('failed', `${file} does not parse (${error.message})`, FRESH, { cause: error });
  }
}

export async function saveState(out: string, state: ReplayState): Promise<void> {
  await writeFileDurably(path.join(out, STATE_DIRECTORY, FILE), `${JSON.stringify(state)}\n`);
}

/** Throws `failed` when this is not what the directory's replay was asked for, or its stream is gone. */
export function refuseOther(
  out: string,
  state: ReplayState,
  asked: Asked,
  stream: ReplayState['stream'],
): void {
  const isSame = JSON.stringify([state.asked, state.stream.name, state.stream.prefix]);
  if (isSame !== JSON.stringify([asked, stream.name, stream.prefix]))
    throw new LogferryError(
      'failed',
      `${out} holds another replay: of ${inWords(state)}`,
      `ask for the same to go on with it, or ${FRESH}`,
    );
  if (state.stream.created !== stream.created && !state.done)
    throw new LogferryError(
      'failed',
      `stream ${stream.name} was made anew since the replay in ${out} began`,
      `what is there stays readable; for what is in the stream now ${FRESH}`,
    );
}

function inWords({ stream, asked }: ReplayState): string {
  const { host, path: paths, exclude, since, until } = asked;
  const flags = [
    ...host.map((glob) => ['--host', glob]),
    ...paths.map((glob) => ['--path', glob]),
    ...exclude.map((glob) => ['--exclude', glob]),
    ...(since === null ? [] : [['--since', since]]),
    ...(until === null ? [] : [['--until', until]]),
  ].map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return `stream ${stream.name}${flags.length === 0 ? '' : ` with ${flags.join(' ')}`}`;
}

/**
 * For a receiver. Throws `failed` when its directory holds a replay that passed over bytes which may still come: the
 * receiver would tell everybody that they are committed.
 */
export async function refusePassedOver(out: string): Promise<void> {
  if ((await loadState(out))?.uncommitted !== true) return;
  throw new LogferryError(
    'failed',
    `${out} holds a replay that passed over bytes which no receiver has committed`,
    'give the receiver another --out; cat and segments read both',
  );
}
