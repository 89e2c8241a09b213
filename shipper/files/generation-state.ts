// One generation as the state keeps it: which file it is, what is known of its bytes, how far it is in the stream.

import { z } from 'zod';

import { type FileStamp, NO_HEAD } from './identity.ts';
import { NO_SUMS, type Sums } from './sums.ts';

/** A number of bytes, or a sequence. */
export const offset = z.int().min(0);
const stamp = {
  ino: z.string(),
  birth: z.string(),
  /** See FileStamp: not kept, for it may be another one after a restart. */
  device: z
    .string()
    .default('')
    .transform(() => ''),
};
/** One generation as state.json has it. */
export const generationSchema = z.object({
  file: z.string(),
  ...stamp,
  /** When it was last seen at the path, in nanoseconds since 1970. */
  seen: z.string().default('0'),
  /** The directory that the path led to, where that is another than it says; null where it is the same. */
  directory: z.string().nullable().default(null),
  /** When it was found, in nanoseconds since 1970: a copy that was made later is its own, or of a later one. */
  since: z.string(),
  /** The file that has its bytes now: a copy of the truncated one, or a compressed one. */
  copy: z.object(stamp).nullable().default(null),
  /** What stood beside it while it was at the path, see Beside; null when nobody has looked. */
  beside: z
    .object({ strangers: z.boolean(), latest: z.record(z.string(), z.record(z.string(), z.string())) })
    .nullable()
    .default(null),
  head: z.object({ length: offset, hash: z.string() }),
  /** What is known of its bytes, see Sums. */
  sums: z.object({ from: offset, marks: z.array(z.tuple([offset, offset])) }).default({ from: 0, marks: [] }),
  begin: offset,
  after: z.object({ file: z.string(), size: offset }).nullable(),
  /** The size last seen: what was lost can be named when the file is gone. */
  size: offset,
  /** Nothing follows: rotated, truncated or deleted, and read to its end. */
  closed: z.enum(['rotated', 'truncated', 'deleted']).nullable(),
  /** Everything up to its final size was committed. */
  done: z.boolean(),
  /**
   * Where it had come to in the stream that `sent` of the state is about: its end there, what stands before that, whether the
   * end marker is there too, the sequence of its last message and of the last with bytes. Null when nothing is there.
   */
  sent: z
    .object({
      position: offset,
      tail: z.string().nullable(),
      ended: z.boolean(),
      seq: offset,
      dataSeq: offset,
    })
    .nullable()
    .default(null),
});
/** One generation as it is kept. */
export type GenerationState = Omit<z.infer<typeof generationSchema>, 'sums'> & { sums: Sums };

/** Where a generation had come to in the stream. */
export type Sent = NonNullable<GenerationState['sent']>;

/** Of which nothing is known yet but the file. */
export function newGeneration(
  file: string,
  { ino, birth, device }: FileStamp,
  begin: number,
  size: number,
): GenerationState {
  return {
    ...{ file, ino, birth, device, begin, size },
    ...{ since: '0', seen: '0', directory: null, copy: null, beside: null, after: null },
    ...{ head: NO_HEAD, sums: NO_SUMS, closed: null, done: false, sent: null },
  };
}
