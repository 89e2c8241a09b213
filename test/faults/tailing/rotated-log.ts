// One log file of the model: written to and rotated on disk, with every byte of every generation remembered, and where
// it can be read now.

import path from 'node:path';

import { sleep } from '../../../common/runtime/run.ts';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
  copyFile,
  gzip,
} from './files.ts';
import { Generation, type Holder, holderOf } from './generation.ts';

/** Birth times come in ticks of the kernel's clock; two rotations in one tick have no order that anybody can know. */
const TICK_MS = 12;

export class RotatedLog {
  readonly path: string;
  readonly generations: Generation[] = [];
  /** Rotated files, newest first. */
  rotated: Holder[] = [];
  readonly #label: string;
  readonly #leastFirst: number;
  /** What the writer writes to. */
  #now: Generation | undefined;
  #fd: number | undefined;
  #isTaken = false;
  #rotations = 0;
  #bornAt = 0;

  /**
   * Another host's file of this name, nearby, has other bytes: lines say whose they are.
   *
   * @param leastFirst length of the first line: fewer bytes prove nothing where there are copies
   */
  constructor(file: string, leastFirst = 0) {
    this.path = file;
    this.#leastFirst = leastFirst;
    this.#label = path.join(path.basename(path.dirname(file)), path.basename(file));
  }

  /** The generation at the path; undefined while there is no file. */
  get current(): Generation | undefined {
    return this.#fd === undefined ? undefined : this.#now;
  }

  /** How often it was rotated. */
  get rotations(): number {
    return this.#rotations;
  }

  /** Opens the file, as a writer does that was told to. */
  async create(): Promise<Generation> {
    if (this.current !== undefined) return this.current;
    await this.#nextTick();
    return this.createNow();
  }

  /** What is there already was written before the first start; nobody has it open. True when there is something. */
  takeOver(): boolean {
    if (!existsSync(this.path)) return false;
    this.#begin(holderOf(this.path)).add(readFileSync(this.path));
    this.#isTaken = true;
    return true;
  }

  /** In the same tick as whatever was before. */
  createNow(): Generation {
    if (this.#isTaken) {
      this.#isTaken = false;
      // Over layers it is another file once it is opened.
      this.#now?.moveTo(holderOf(this.path));
      this.reopen(this.#now);
      this.#now?.moveTo(holderOf(this.path));
      if (this.#now !== undefined) this.#now.holder.generations = 1;
      return this.#now ?? this.createNow();
    }
    this.#fd = openSync(this.path, 'a');
    return this.#begin(holderOf(this.path));
  }

  /** Appends one line of about this length; without its end it is not finished yet. */
  async line(length: number, finished = true): Promise<void> {
    const generation = await this.create();
    const least = generation.size === 0 && generation.late.length === 0 ? this.#leastFirst : 0;
    this.append(this.lineOf(generation, Math.max(least, length), finished));
  }

  /** The next line of a generation, of which no two are equal. */
  lineOf(generation: Generation, length: number, finished = true): string {
    generation.lines += 1;
    const text = `${this.#label} ${generation.number}.${generation.lines} `;
    return `${text}${'x'.repeat(Math.max(0, length - text.length))}${finished ? '\n' : ''}`;
  }

  append(text: string): void {
    const generation = this.current;
    if (generation === undefined || this.#fd === undefined) throw new Error('BUG: no file to append to');
    const data = Buffer.from(text);
    if (generation === this.generations.at(-1)) generation.add(data);
    else generation.late.push(data);
    if (writeSync(this.#fd, data) !== data.length) throw new Error('a short write');
  }

  /** As logrotate does it with `dateext` and `nocreate`: the next write makes a new file. */
  rename(): void {
    this.rotate(`${this.path}-20261121${String(this.#rotations).padStart(6, '0')}`);
  }

  /** .1 becomes .2, the file .1. */
  chain(): void {
    this.#shift();
    this.rotate(`${this.path}.1`);
  }

  /** Nothing is written between the copy and the truncation. */
  async copyTruncate(): Promise<void> {
    const generation = this.current;
    if (generation === undefined) return;
    this.#shift();
    const copy = `${this.path}.1`;
    await this.#nextTick();
    await copyFile(this.path, copy);
    truncateSync(this.path, 0);
    const { holder } = generation;
    generation.moveTo(holderOf(copy));
    this.rotated.unshift(generation.holder);
    this.#rotations += 1;
    this.#begin(holder);
  }

  /** Truncated without a copy; returns what was in it. */
  truncate(): Generation | undefined {
    const generation = this.current;
    if (generation === undefined) return undefined;
    truncateSync(this.path, 0);
    const { holder } = generation;
    generation.holder = { ...holder, name: undefined };
    this.#begin(holder);
    return generation;
  }

  /** `gzip` of a rotated file. */
  async compress(holder: Holder): Promise<void> {
    if (holder.name === undefined || holder.compressed) return;
    await gzip(holder.name);
    holder.name = `${holder.name}.gz`;
    // Nothing tells whether its time is that of the original: without births, and where both were made in one tick.
    const { mtimeNs, birthtimeNs } = statSync(holder.name, { bigint: true });
    for (const { holder: its, named } of this.generations)
      if (its === holder && mtimeNs >= birthtimeNs) named.add(holder.name);
    holder.compressed = true;
  }

  /** Deletes a rotated file. */
  remove(holder: Holder): void {
    if (holder.name === undefined) return;
    unlinkSync(holder.name);
    holder.name = undefined;
    this.rotated = this.rotated.filter((other) => other !== holder);
  }

  /** Deletes the file at the path; the next write makes a new one. */
  delete(): void {
    const generation = this.current;
    if (generation === undefined) return;
    unlinkSync(this.path);
    generation.holder.name = undefined;
    this.close();
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  rotate(to: string): void {
    const generation = this.current;
    if (generation === undefined) return;
    renameSync(this.path, to);
    generation.holder.name = to;
    this.rotated.unshift(generation.holder);
    this.#rotations += 1;
    this.close();
  }

  /** Makes room for another .1. */
  #shift(): void {
    const numbered = this.rotated.filter(({ name }) => name !== undefined && /\.\d+(\.gz)?$/.test(name));
    for (const holder of numbered.toReversed()) {
      const name = holder.name?.replace(
        /\.(\d+)(\.gz)?$/,
        (_, count, gz = '') => `.${Number(count) + 1}${gz}`,
      );
      if (holder.name === undefined || name === undefined) continue;
      renameSync(holder.name, name);
      holder.name = name;
      for (const { holder: its, named } of this.generations)
        if (its === holder && named.size > 0) named.add(name);
    }
  }

  #begin(holder: Holder): Generation {
    const generation = new Generation(this.generations.length, holder);
    this.generations.push(generation);
    this.#now = generation;
    return generation;
  }

  /**
   * What is written to the file from now on comes behind what was shipped of it, though other bytes stand there.
   *
   * @param before what of the file is still as it was
   */
  changed(before: Buffer): void {
    const generation = this.current;
    if (generation === undefined) return;
    const { holder } = generation;
    generation.isChanged = true;
    generation.holder = { ...holder, name: undefined };
    this.#begin(holder).before = before;
  }

  /** The writer opens the file at the path again, which is another by now. */
  reopen(generation = this.current): void {
    this.close();
    this.#fd = openSync(this.path, 'a');
    const of = generation ?? this.#begin(holderOf(this.path));
    this.#now = of;
  }

  async #nextTick(): Promise<void> {
    const since = performance.now() - this.#bornAt;
    if (since < TICK_MS) await sleep(TICK_MS - since);
    this.#bornAt = performance.now();
  }
}
