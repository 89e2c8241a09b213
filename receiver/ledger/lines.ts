// How the lines of a ledger are written: the shortest that say the same, one line as text, and back. Pure.

import { z } from 'zod';

import { hex32 } from '../../common/wire/digest.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { parseJson, refuseNewer } from '../../common/runtime/json.ts';
import {
  allRuns,
  type Ledger,
  LEDGER_VERSION,
  type LedgerLine,
  PLAIN_VERSION,
  type Run,
  type RunLine,
} from './ledger.ts';
import { activeName } from './names.ts';
import { stretchesOf } from './sums.ts';

/** So much text is written at once. */
const PIECE_CHARACTERS = 64 * 1024;

/** The shortest list of lines that says the same: what a ledger is compacted to. One line for each checksum. */
export function* compactLines(ledger: Ledger): Generator<LedgerLine> {
  const { version, directory, partition, bucket, damaged, opened, actives } = ledger;
  yield { version, directory, partition };
  if (bucket !== undefined) yield { bucket };
  if (damaged) yield { damaged };
  for (const destination of opened) {
    yield { open: destination };
    if (actives.get(activeName(destination, 'zstd')) === destination)
      yield { open: destination, format: 'zstd' };
  }
  for (const known of ledger.known.values()) yield { known };
  for (const run of allRuns(ledger)) yield* linesOf(run);
}

/** The same as text, in pieces. */
export function* compactText(ledger: Ledger): Generator<string> {
  let text = '';
  for (const line of compactLines(ledger)) {
    text += encodeLine(line);
    if (text.length < PIECE_CHARACTERS) continue;
    yield text;
    text = '';
  }
  yield text;
}

function linesOf({ sums, after, tail, ...run }: Run): RunLine[] {
  return stretchesOf({ ...run, sums }).map(({ start, end, from, to, crc }) => ({
    ...{ ...run, start, end, from, to },
    tail: end === run.end ? tail : '',
    checksum: crc === undefined ? '' : hex32(crc),
    ...(start === run.start && after !== undefined ? { after } : {}),
  }));
}

const offset = z.int().min(0);
const encoding = z.enum(['gzip', 'zstd']);
const format = z.literal('zstd');
const lineSchema = z.union([
  z.object({
    version: z.int().min(PLAIN_VERSION).max(LEDGER_VERSION),
    directory: z.string(),
    partition: z.int().min(0),
  }),
  z.object({
    term: z.string(),
    file: z.string(),
    path: z.string(),
    start: offset,
    end: offset,
    destination: z.string(),
    inode: z.string(),
    encoding: encoding.optional(),
    format: format.optional(),
    from: offset,
    to: offset,
    tail: z.string(),
    checksum: z.string(),
    after: z.object({ file: z.string(), size: offset }).optional(),
  }),
  z.object({ relabel: z.string(), start: offset, term: z.string() }),
  z.object({ cut: z.string(), inode: z.string(), to: offset, end: offset.optional() }),
  z.object({ compressed: z.string(), inode: z.string(), as: z.string(), encoding }),
  z.object({ dropped: z.string(), inode: z.string() }),
  z.object({
    known: z.object({
      file: z.string(),
      path: z.string(),
      end: offset,
      tail: z.string(),
      after: z.string().optional(),
      removed: z.array(z.tuple([offset, offset])),
    }),
  }),
  z.object({ open: z.string(), format: format.optional() }),
  z.object({ damaged: z.boolean() }),
  z.object({ bucket: z.string() }),
]);

/** One line of the file, with its newline. */
export function encodeLine(line: LedgerLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** Reads one line (without its newline). Throws `newer` or `corrupt`. */
export function decodeLine(text: string, what = 'the ledger'): LedgerLine {
  const value = parseJson(text);
  refuseNewer(value, LEDGER_VERSION, what);
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) throw new LogferryError('corrupt', `not a line of a ledger: ${text.slice(0, 100)}`);
  return parsed.data;
}
