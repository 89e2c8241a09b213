// What became of a message that was refused, or not answered for: the last one of its lane tells. Pure.

/** The last message of a lane. */
export interface LastOfLane {
  readonly seq: number;
  /** Undefined for one that is not one of ours, or damaged. */
  readonly stamp: string | undefined;
}

export type Verdict =
  /** The stream has it. */
  | { readonly kind: 'stored'; readonly seq: number }
  /** Not as far as anybody knows: once more, behind this sequence. What was sent comes too late then, and is refused. */
  | { readonly kind: 'again'; readonly expected: number };

/**
 * A message carries its offsets, so once too often is only a duplicate; believed to be there though it is not, it would be a
 * hole. So nothing counts but its own stamp.
 *
 * @param stamp of the message in doubt
 * @param last undefined when the lane is empty
 */
export function afterDoubt(stamp: string, last: LastOfLane | undefined): Verdict {
  return last?.stamp === stamp
    ? { kind: 'stored', seq: last.seq }
    : { kind: 'again', expected: last?.seq ?? 0 };
}
