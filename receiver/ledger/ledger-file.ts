// A ledger on disk: append and fsync, load, compact. Everything that it says is safe on this disk.

import { type FileHandle, open, readdir, rename, stat } from 'node:fs/promises';
import path from 'node:path';

import { isDiskFull, LogferryError } from '../../common/runtime/errors.ts';
import {
  deleted,
  setAside,
  syncDirectory,
  tolerateMissing,
  wholeLines,
  writeBeside,
} from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { sleep } from '../../common/runtime/run.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { applyLine, emptyLedger, type Ledger, type LedgerLine } from './ledger.ts';
import { compactText, decodeLine, encodeLine } from './lines.ts';
import { STATE_DIRECTORY } from './names.ts';
import { Turns } from '../../common/runtime/turns.ts';

/** A ledger is rewritten when it has grown to this many times what it needs, and to so many bytes at least. */
const COMPACT_TIMES = 4;
const COMPACT_BYTES = 1024 * 1024;

/** What a receiver writes, or cuts back on a full disk, while it is read is whole by then. */
const LOOK_AGAIN_MS = 20;

/** A ledger as it was read: how many whole lines, and up to which byte. */
interface Loaded {
  readonly ledger: Ledger;
  readonly lines: number;
  readonly bytes: number;
  readonly damaged: boolean;
}

export class LedgerFile {
  readonly ledger: Ledger;
  /** Lines were lost to damage just now: bytes that nothing lists may still be somebody's. */
  readonly damaged: boolean;
  /** There was none before: what the record knows more is not lost from it. */
  readonly isNew: boolean;
  /** Destinations in which bytes may be that this ledger does not list: at first all, then those written to. */
  readonly unlisted: Set<string>;
  readonly #file: string;
  #handle: FileHandle;
  /** Where the next line goes; a failed append is cut back to it. */
  #size: number;

  /** Its size when it was last as short as can be. */
  #compactSize: number;
  /** The directory says that this file is the ledger, durably. */
  #isInPlace = true;

  /** The partition and the upkeep of its segments append at the same time. */
  readonly #lines = new Turns();
  readonly #files = new Turns();

  private constructor(file: string, handle: FileHandle, size: number, loaded: Loaded) {
    this.#file = file;
    this.#handle = handle;
    this.#size = size;
    this.#compactSize = size;
    this.ledger = loaded.ledger;
    this.unlisted = new Set(loaded.ledger.opened);
    this.damaged = loaded.damaged;
    this.isNew = loaded.lines === 0 && !loaded.damaged;
  }

  /** Opens or creates the ledger of a partition. Throws `newer` for a later version's. */
  static async open(out: string, directory: string, partition: number, log: Logger): Promise<LedgerFile> {
    const file = ledgerPath(out, partition);
    const loaded = await loadLedger(file, directory, partition);
    if (loaded.damaged || loaded.lines === 0) {
      // On a full disk nothing is set aside: the lines that do parse are only there.
      const compacted = await writeBeside(file, compactText(loaded.ledger));
      if (loaded.damaged) {
        const aside = await setAside(file);
        log.error(
          { partition, file: aside },
          `${file} does not parse; set aside, rebuilt from the lines that do`,
        );
      }
      await rename(compacted, file);
      await syncDirectory(path.dirname(file));
    }
    const handle = await open(file, 'r+');
    const { size } = await handle.stat();
    // Behind a torn last line.
    const end = loaded.damaged || loaded.lines === 0 ? size : loaded.bytes;
    if (end < size) await handle.truncate(end);
    const opened = new LedgerFile(file, handle, end, loaded);
    if (end > COMPACT_BYTES) await opened.#compact();
    return opened;
  }

  /** Appends durably, then applies. After an error the file says what it said before. */
  async append(lines: readonly LedgerLine[]): Promise<void> {
    if (lines.length === 0) return;
    await this.#lines.take(async () => {
      // Before the lines: once they are on disk they count, whatever fails then.
      if (this.#size > Math.max(COMPACT_BYTES, this.#compactSize * COMPACT_TIMES)) await this.#compact();
      await this.#syncPlace();
      if ((await this.#handle.stat()).nlink === 0) throw deleted(this.#file);
      const size = this.#size;
      await this.#write(lines);
      try {
        await this.#handle.datasync();
      } catch (error) {
        this.#size = size;
        await this.#handle.truncate(size);
        throw error;
      }
      for (const line of lines) applyLine(this.ledger, line);
    });
  }

  /**
   * Runs work that renames, cuts or deletes files that this ledger lists, or compares them with it: one at a time, so
   * none sees the middle of another's. It may append; it must not ask for this again.
   */
  async changingFiles<T>(work: () => Promise<T>): Promise<T> {
    return await this.#files.take(work);
  }

  /**
   * What is on disk before and after says the same; a crash in between leaves one of them. Where there is no room for
   * another file the long one stays: a line that says what was removed still has to fit.
   */
  async #compact(): Promise<void> {
    let compacted;
    try {
      compacted = await writeBeside(this.#file, compactText(this.ledger));
    } catch (error) {
      if (isDiskFull(error)) return;
      throw error;
    }
    const handle = await open(compacted, 'r+');
    try {
      await rename(compacted, this.#file);
    } catch (error) {
      await handle.close();
      throw error;
    }
    const before = this.#handle;
    this.#handle = handle;
    this.#isInPlace = false;
    this.#size = (await handle.stat()).size;
    this.#compactSize = this.#size;
    await before.close();
    await this.#syncPlace();
  }

  async #syncPlace(): Promise<void> {
    if (this.#isInPlace) return;
    await syncDirectory(path.dirname(this.#file));
    this.#isInPlace = true;
  }

  /** Appends what only has to survive a killed process. */
  async note(line: LedgerLine): Promise<void> {
    await this.#lines.take(async () => {
      await this.#write([line]);
      applyLine(this.ledger, line);
    });
  }

  async #write(lines: readonly LedgerLine[]): Promise<void> {
    const data = Buffer.from(lines.map(encodeLine).join(''));
    try {
      // A disk that gets full takes a part, and says why with the rest.
      for (let at = 0; at < data.length;)
        at += (await this.#handle.write(data, at, data.length - at, this.#size + at)).bytesWritten;
    } catch (error) {
      await this.#handle.truncate(this.#size);
      throw error;
    }
    this.#size += data.length;
  }

  async close(): Promise<void> {
    await this.#lines.take(async () => {
      await this.#handle.close();
    });
  }
}

export function ledgerPath(out: string, partition: number, below = STATE_DIRECTORY): string {
  return path.join(out, below, `${partitionKey(partition)}.ledger`);
}

/** The partitions that have a ledger in an output directory. */
export async function ledgersIn(out: string, below = STATE_DIRECTORY): Promise<number[]> {
  const names = await readdir(path.join(out, below));
  return names
    .map((name) => /^p(\d{2,5})\.ledger$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b);
}

/**
 * Reads a ledger without changing it. A torn last line is none: `bytes` ends before it. `damaged` when a whole line
 * does not parse, or when there is none in a file that is there: a ledger is put in its place with its first line.
 */
export async function loadLedger(file: string, directory: string, partition: number): Promise<Loaded> {
  let ledger = emptyLedger(directory, partition);
  let [lines, bytes] = [0, 0];
  let damaged = false;
  for await (const line of wholeLines(file)) {
    lines += 1;
    bytes += line.length + 1;
    try {
      const parsed = decodeLine(line.toString(), file);
      if ('version' in parsed && ledger.directory === '') ledger = { ...ledger, directory: parsed.directory };
      applyLine(ledger, parsed);
    } catch (error) {
      if (!(error instanceof LogferryError) || error.code !== 'corrupt') throw error;
      damaged = true;
    }
  }
  damaged ||= lines === 0 && (await stat(file).catch(tolerateMissing)) !== undefined;
  ledger.damaged ||= damaged;
  return { ledger, lines, bytes, damaged };
}

/** The same from outside, while a receiver may be writing it: damage counts when it is found twice. */
export async function loadLedgerOutside(file: string, partition: number): Promise<Loaded> {
  const loaded = await loadLedger(file, '', partition);
  if (!loaded.damaged) return loaded;
  await sleep(LOOK_AGAIN_MS);
  return await loadLedger(file, '', partition);
}
