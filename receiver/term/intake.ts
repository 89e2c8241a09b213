// Messages as chunks: what a delivery holds, and of whom. What logferry did not write is counted, said and skipped.

import { messageOf } from '../../common/runtime/errors.ts';
import type { Logger, Throttle } from '../../common/runtime/log.ts';
import type { Delivery } from '../../common/stream/pull.ts';
import { type Bundle, bundleIn } from '../../common/wire/bundle.ts';
import type { Chunk } from '../../common/wire/chunk.ts';
import type { SourceName } from '../../common/wire/subjects.ts';

/** A message of the stream, also one that is read again. */
export type Message = Pick<Delivery, 'subject' | 'seq' | 'header' | 'data'>;

/** A chunk of a message. */
export interface Taken {
  readonly seq: number;
  readonly source: SourceName;
  readonly chunk: Chunk;
  readonly bundle: Bundle;
  /** Where it is among those of the bundle. */
  readonly index: number;
  /** While it is read ahead; settles to undefined when the payload is not what the header says. */
  data: Promise<Uint8Array | undefined> | undefined;
}

/** A message that was taken apart. */
export interface Opened {
  readonly host: string;
  /** Source bytes of all chunks. */
  readonly bytes: number;
  readonly chunks: readonly Taken[];
}

export interface IntakeOptions {
  readonly prefix: string;
  readonly log: Logger;
  readonly throttle: Throttle;
  readonly stats: { foreign: number };
  /**
   * Whose messages these are; undefined for all. The stream keeps a message under the partition that its host was in
   * when it was published: after a change of their number, others lie under this one.
   */
  readonly isOwn?: (host: string) => boolean;
}

/**
 * Undefined for what is not to be written here.
 *
 * @param again it was read before, and said then what it is
 */
export function open(options: IntakeOptions, message: Message, again = false): Opened | undefined {
  const { prefix, isOwn } = options;
  try {
    const { host, bundle } = bundleIn(prefix, message);
    if (isOwn?.(host) === false) return undefined;
    const { seq } = message;
    const chunks = bundle.listed.map(({ path, file, chunk }, index) => {
      return { seq, source: { host, path, file }, chunk, bundle, index, data: undefined };
    });
    return { host, bytes: bundle.bytes, chunks };
  } catch (error) {
    if (!again) sayForeign(options, message, error);
    return undefined;
  }
}

function sayForeign(
  { stats, throttle, log }: IntakeOptions,
  { subject, seq }: Message,
  error: unknown,
): void {
  stats.foreign += 1;
  throttle.run('foreign', (repeated) => {
    log.warn(
      { subject: subject.slice(0, 200), seq, repeated },
      `skipped a message that logferry did not write: ${messageOf(error)}`,
    );
  });
}
