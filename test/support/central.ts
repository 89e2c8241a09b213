// An output directory that is written as a receiver does, without one: the data, then a line of a real ledger.

import { appendFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';

import { crc32, hex32 } from '../../common/wire/digest.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { openLines, type RunLine } from '../../receiver/ledger/ledger.ts';
import { LedgerFile } from '../../receiver/ledger/ledger-file.ts';
import {
  activeName,
  compressedName,
  destinationOf,
  type Format,
  segmentName,
  STATE_DIRECTORY,
} from '../../receiver/ledger/names.ts';
import { inodeOf } from '../../receiver/disk/segments.ts';

/** A directory of the test's own; kept, and named, when it fails. */
export async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-reader-'));
  t.after(async () => {
    if ('passed' in t && t.passed === true) await rm(directory, { recursive: true, force: true });
    else t.diagnostic(`kept ${directory}`);
  });
  return directory;
}

export interface Write {
  readonly host?: string;
  readonly path?: string;
  readonly id: string;
  readonly start: number;
  readonly data: string;
  readonly after?: { file: string; size: number };
  readonly before?: Record<string, number>;
}

/** An output directory, written as a receiver does: the data, then a line of a real ledger. */
export class Central {
  readonly out: string;
  ledger: LedgerFile;
  /** What it writes from now on. */
  format: Format = 'plain';
  #rotations = 0;

  private constructor(out: string, ledger: LedgerFile) {
    this.out = out;
    this.ledger = ledger;
  }

  static async make(t: TestContext, out: string, partition = 7): Promise<Central> {
    await mkdir(path.join(out, STATE_DIRECTORY), { recursive: true });
    const ledger = await LedgerFile.open(out, path.basename(out), partition, silentLogger());
    const central = new Central(out, ledger);
    t.after(() => central.ledger.close());
    return central;
  }

  async write({
    host = 'web1',
    path: source = '/var/log/a.log',
    id,
    start,
    data,
    ...links
  }: Write): Promise<void> {
    const destination = destinationOf(host, source);
    const active = path.join(this.out, activeName(destination, this.format));
    await mkdir(path.dirname(active), { recursive: true });
    const bytes = this.format === 'plain' ? Buffer.from(data) : zstdCompressSync(data);
    await appendFile(active, bytes);
    const stats = await stat(active, { bigint: true });
    const length = Buffer.byteLength(data);
    const { format } = this;
    const line: RunLine = {
      term: `${path.basename(this.out)}.t1`,
      file: fileKey(host, id),
      path: source,
      start,
      end: start + length,
      destination,
      inode: inodeOf(stats),
      ...(format === 'plain' ? {} : { format }),
      from: Number(stats.size) - bytes.length,
      to: Number(stats.size),
      tail: '',
      checksum: hex32(crc32(bytes)),
      ...links,
    };
    await this.ledger.append([...openLines(this.ledger.ledger, destination, format), line]);
  }

  async rotate(host = 'web1', source = '/var/log/a.log'): Promise<string> {
    const destination = path.join(this.out, destinationOf(host, source));
    this.#rotations += 1;
    const plain = segmentName(path.basename(destination), new Date(), this.#rotations);
    const name = path.join(
      path.dirname(destination),
      this.format === 'plain' ? plain : compressedName(plain, this.format),
    );
    await rename(activeName(destination, this.format), name);
    return name;
  }
}
