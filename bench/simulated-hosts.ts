// Hosts that exist only as messages: chunks with the headers that a shipper gives them, published as fast as the server
// takes them. What each file should hold can be computed again.

import { headers } from '@nats-io/transport-node';

import { chunkHeaders } from '../common/wire/chunk.ts';
import { crc32, tailOf } from '../common/wire/digest.ts';
import type { Link } from '../common/nats/connection.ts';
import { inParallel } from '../common/runtime/run.ts';
import { publishSubject } from '../common/wire/subjects.ts';

const PUBLISHES_AT_ONCE = 256;
const TAIL_BYTES = 256;

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

  /** One more chunk of each file; resolves when the stream has all of them. */
  async publishRound(files: readonly SimulatedFile[] = this.files): Promise<void> {
    await inParallel(files, PUBLISHES_AT_ONCE, async (file) => {
      await this.publish(file);
    });
  }

  /** One more chunk of a file, one at a time for each; resolves when the stream has it. */
  async publish(file: SimulatedFile): Promise<void> {
    const start = file.bytes;
    const payload = contentOf(file, start, start + this.chunkBytes);
    const end = start + payload.length;
    const tail = tailOf(contentOf(file, Math.max(0, end - TAIL_BYTES), end));
    const messageHeaders = headers();
    const chunk = {
      kind: 'data' as const,
      start,
      end,
      begin: 0,
      after: undefined,
      tail,
      encoding: 'none' as const,
      crc32: crc32(payload),
    };
    for (const [name, value] of chunkHeaders(chunk)) messageHeaders.set(name, value);
    const subject = publishSubject(this.#prefix, file);
    const ack = await this.#link.js.publish(subject, payload, { headers: messageHeaders, timeout: 30_000 });
    file.bytes = end;
    file.seq = ack.seq;
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
