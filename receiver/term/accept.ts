// What to do with one message: the rule that makes repeating harmless (design §5.4). Pure.

import type { Chunk } from '../../common/wire/chunk.ts';

export type Verdict =
  /** Everything in it is there already. */
  | { readonly kind: 'duplicate' }
  /** Write the bytes from this source offset on: the chunk's start, or later when its head is there already. */
  | { readonly kind: 'write'; readonly from: number }
  /** Bytes before it are missing: not written; the shipper sees it from the record and sends again. */
  | { readonly kind: 'missing' }
  /** The bytes [from, to) are gone for good. */
  | { readonly kind: 'gap'; readonly from: number; readonly to: number }
  /** Nothing follows in this generation, and all of it is there. */
  | { readonly kind: 'end' };

/**
 * @param known the file's offset, undefined when nothing of it was ever accepted
 * @param afterOffset the offset of the generation that the chunk names as the one before, undefined likewise
 */
export function accept(chunk: Chunk, known: number | undefined, afterOffset: number | undefined): Verdict {
  const offset = known ?? chunk.begin;
  if (chunk.kind !== 'end' && chunk.end <= offset) return { kind: 'duplicate' };
  if (chunk.start > offset) return { kind: 'missing' };
  if (chunk.after !== undefined && (afterOffset ?? 0) < chunk.after.size) return { kind: 'missing' };
  if (chunk.kind === 'end') return chunk.end === offset ? { kind: 'end' } : { kind: 'duplicate' };
  if (chunk.kind === 'gap') return { kind: 'gap', from: offset, to: chunk.end };
  return { kind: 'write', from: offset };
}
