// What the stream was like when it was last seen, in a file beside the state or the ledgers: when all servers have lost
// their stores, a process that was restarted meanwhile creates it again like that. Never compared with what exists.

import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import type { StreamSource } from '@nats-io/jetstream';
import { z } from 'zod';

import { LogferryError, messageOf } from '../runtime/errors.ts';
import { readIfThere, setAside, writeFileDurably } from '../runtime/files.ts';
import type { Logger } from '../runtime/log.ts';
import { parseAs, parseJson, refuseNewer } from '../runtime/json.ts';

const VERSION = 1;

const sourceSchema = z.custom<StreamSource>(
  (value) => typeof value === 'object' && value !== null && 'name' in value,
);
const schema = z.object({
  version: z.literal(VERSION),
  stream: z.string(),
  partitions: z.int().min(1),
  replicas: z.int().min(1),
  /** 0 for no limit. */
  maxAgeMs: z.number().min(0),
  /** -1 for no limit. */
  maxBytes: z.int(),
  /** Streams of edges that it brings in. */
  sources: z.array(sourceSchema).default([]),
});

/** The stream's configuration, as far as it can be asked for. */
export type StreamLikeness = Omit<z.infer<typeof schema>, 'version' | 'stream'>;

export class StreamMemory {
  readonly #file: string;
  readonly #stream: string;
  readonly #log: Logger;
  #likeness: StreamLikeness | undefined;

  private constructor(file: string, stream: string, log: Logger, likeness: StreamLikeness | undefined) {
    this.#file = file;
    this.#stream = stream;
    this.#log = log;
    this.#likeness = likeness;
  }

  /** Throws `newer` for a file of a later version; one that does not parse is set aside. */
  static async open(directory: string, stream: string, log: Logger): Promise<StreamMemory> {
    const file = path.join(directory, 'stream.json');
    return new StreamMemory(file, stream, log, await load(file, stream, log));
  }

  /** How the stream of this name was seen last; undefined when it never was. */
  get likeness(): StreamLikeness | undefined {
    return this.#likeness;
  }

  /** A disk that is full ends nothing: it is written with the next change, or at the next start. */
  async remember(likeness: StreamLikeness): Promise<void> {
    const before = this.#likeness;
    if (isDeepStrictEqual(likeness, before)) return;
    this.#likeness = likeness;
    if (before !== undefined && likeness.replicas < before.replicas)
      this.#log.warn(
        `stream ${this.#stream} has ${inReplicas(likeness.replicas)} now and had ${before.replicas}; if nobody meant ` +
          `that, run logferry setup --replicas ${before.replicas} --alter`,
      );
    try {
      const kept = { version: VERSION, stream: this.#stream, ...likeness };
      await writeFileDurably(this.#file, `${JSON.stringify(kept)}\n`);
    } catch (error) {
      this.#log.warn(`cannot write ${this.#file} (${messageOf(error)})`);
    }
  }
}

/** `1 replica`, `3 replicas`. */
export function inReplicas(count: number): string {
  return `${count} replica${count === 1 ? '' : 's'}`;
}

async function load(file: string, stream: string, log: Logger): Promise<StreamLikeness | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const value = parseJson(text);
    refuseNewer(value, VERSION, file);
    const { version: _, stream: name, ...likeness } = parseAs(schema, value);
    return name === stream ? likeness : undefined;
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'newer') throw error;
    const aside = await setAside(file);
    log.warn({ file: aside }, `${file} does not parse (${messageOf(error)}); set aside`);
    return undefined;
  }
}
