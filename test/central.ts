// An output directory that is written as a receiver does, without one: the data, then a line of a real ledger.

import { appendFile, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';

import { silentLogger } from '../common/log.ts';
import { fileKey } from '../common/subjects.ts';
import type { RunLine } from '../receiver/ledger.ts';
import { LedgerFile } from '../receiver/ledger-file.ts';
import { destinationOf, segmentName, STATE_DIRECTORY } from '../receiver/names.ts';
import { inodeOf } from '../receiver/segments.ts';

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
    const active = path.join(this.out, destination);
    await mkdir(path.dirname(active), { recursive: true });
    await appendFile(active, data);
    const stats = await stat(active, { bigint: true });
    const length = Buffer.byteLength(data);
    const line: RunLine = {
      term: `${path.basename(this.out)}.t1`,
      file: fileKey(host, id),
      path: source,
      start,
      end: start + length,
      destination,
      inode: inodeOf(stats),
      from: Number(stats.size) - length,
      to: Number(stats.size),
      tail: '',
      checksum: '00000000',
      ...links,
    };
    await this.ledger.append([
      ...(this.ledger.ledger.opened.has(destination) ? [] : [{ open: destination }]),
      line,
    ]);
  }

  async rotate(host = 'web1', source = '/var/log/a.log'): Promise<string> {
    const active = path.join(this.out, destinationOf(host, source));
    this.#rotations += 1;
    const name = path.join(
      path.dirname(active),
      segmentName(path.basename(active), new Date(), this.#rotations),
    );
    await rename(active, name);
    return name;
  }
}
