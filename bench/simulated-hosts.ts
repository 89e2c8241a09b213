// Hosts that exist only as messages: bundles of chunks as a shipper makes them, published as fast as the server takes them.
// What each file should hold can be computed again.

import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER, packBundle, type Sent } from '../common/wire/bundle.ts';
import { TAIL_BYTES } from '../common/wire/chunk.ts';
import { tailOf } from '../common/wire/digest.ts';
import type { Link } from '../common/nats/connection.ts';
import { inParallel } from '../common/runtime/run.ts';
import { publishSubject } from '../common/wire/subjects.ts';

const PUBLISHES_AT_ONCE = 256;
/** Of one message: below the server's usual limit of 1 MiB, with room for the table. */
const BUNDLE_BYTES = 512 * 1024;
/** All of a host: what counts is the order of one lane, not that there are several. */
const LANE = 0;

/** One file of a simulated host. */
export interface SimulatedFile {
  readonly host: string;
  readonly path: string;
  readonly file: string;
  bytes: number;
  /** The stream sequence of its last message. */
  seq: number;
}

export class SimulatedHosts {
  readonly files: SimulatedFile[] = [];
  readonly #link: Link;
  readonly #prefix: string;
  #messages = 0;
  /** Source bytes of one message, a whole number of lines of 128 bytes. */
  chunkBytes: number;

  constructor(link: Link, prefix: string, hosts: number, filesEach: number, chunkBytes: number) {
    this.#link = link;
    this.#prefix = prefix;
    this.chunkBytes = chunkBytes;
    for (let host = 0; host < hosts; host += 1)
      for (let file = 0; file < filesEach; file += 1)
        this.files.push({
          host: `host${host}`,
          path: `/var/log/app${file}.log`,
          file: `f${file}-0`,
          bytes: 0,
          seq: 0,
        });
  }

  /** One more chunk of each file, those of a host in as few messages as hold them; resolves when the stream has all of them. */
  async publishRound(files: readonly SimulatedFile[] = this.files): Promise<void> {
    const most = Math.max(1, Math.floor(BUNDLE_BYTES / this.chunkBytes));
    const bundles: SimulatedFile[][] = [];
    for (const ofHost of Map.groupBy(files, ({ host }) => host).values())
      for (let at = 0; at < ofHost.length; at += most) bundles.push(ofHost.slice(at, at + most));
    await inParallel(bundles, PUBLISHES_AT_ONCE, async (bundle) => {
      await this.#publish(bundle);
    });
  }

  /** One more chunk of a file, one at a time for each; resolves when the stream has it. */
  async publish(file: SimulatedFile): Promise<void> {
    await this.#publish([file]);
  }

  /** @param files of one host */
  async #publish(files: readonly SimulatedFile[]): Promise<void> {
    const [{ host } = { host: '' }] = files;
    this.#messages += 1;
    const { header, payload } = packBundle(
      `00000000.${this.#messages}`,
      files.map((file) => this.#nextOf(file)),
      false,
    );
    const fields = headers();
    fields.set(BUNDLE_HEADER, header);
    const subject = publishSubject(this.#prefix, host, LANE);
    const { seq } = await this.#link.js.publish(subject, payload, { headers: fields, timeout: 30_000 });
    for (const file of files) {
      file.bytes += this.chunkBytes;
      file.seq = seq;
    }
  }

  #nextOf(file: SimulatedFile): Sent {
    const start = file.bytes;
    const end = start + this.chunkBytes;
    const tail = tailOf(contentOf(file, Math.max(0, end - TAIL_BYTES), end));
    const chunk = { kind: 'data', start, end, begin: 0, after: undefined, tail } as const;
    return { path: file.path, file: file.file, chunk, payload: contentOf(file, start, end) };
  }
}

const LINE = 128;

/** The bytes [start, end) of a simulated file: lines that say whose they are and where they stand. */
export function contentOf(file: Pick<SimulatedFile, 'host' | 'path'>, start: number, end: number): Buffer {
  const first = Math.floor(start / LINE);
  const lines: string[] = [];
  for (let line = first; line * LINE < end; line += 1)
    lines.push(`${file.host} ${file.path} ${line} `.padEnd(LINE - 1, 'x') + '\n');
  return Buffer.from(lines.join('')).subarray(start - first * LINE, end - first * LINE);
}
