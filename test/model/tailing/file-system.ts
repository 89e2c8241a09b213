// A file system in memory: inodes, names, links, times that come in ticks, numbers that are used again. Answers at once; what
// an answer takes, and who may be killed meanwhile, others add (disk.ts).

import path from 'node:path';

import { clock, type Life } from './clock.ts';

/** The kernel's clock: births and changes of one tick have one time. */
const TICK_MS = 4;
const MOST_LINKS = 40;
const ROOT_INO = 2;
const NANOS = 1_000_000n;

export type Kind = 'file' | 'directory' | 'link';

export interface FileSystemOptions {
  /** Whether it tells when a file was born. */
  readonly hasBirths: boolean;
  /** Whether the number of a deleted file is given to the next one. */
  readonly usesNumbersAgain: boolean;
  /** See statfs(2). */
  readonly type: number;
  /** Numbers from 0 to 1: how long things take. */
  readonly random: () => number;
}

/** What happens to a name, as a watcher is told. */
export type Change = 'change' | 'rename';

export class Inode {
  readonly kind: Kind;
  ino: number;
  birthMs: number;
  changedMs: number;
  mode = 0o600;
  links = 0;
  /** Descriptors that are open. */
  opened = 0;
  readonly entries = new Map<string, Inode>();
  target = '';
  #bytes = Buffer.alloc(0);
  size = 0;

  constructor(kind: Kind, ino: number, bornMs: number) {
    this.kind = kind;
    this.ino = ino;
    this.birthMs = bornMs;
    this.changedMs = bornMs;
  }

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.size);
  }

  write(data: Uint8Array, at: number): void {
    const end = at + data.length;
    if (end > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(end, this.#bytes.length * 2));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    this.#bytes.set(data, at);
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    if (size < this.size) this.#bytes.fill(0, size);
    this.size = size;
  }
}

/** An open file. */
export interface Descriptor {
  readonly inode: Inode;
  readonly name: string;
  readonly life: Life | undefined;
  readonly appends: boolean;
}

export class FileSystem {
  readonly options: FileSystemOptions;
  readonly root = new Inode('directory', ROOT_INO, 0);
  readonly descriptors = new Map<number, Descriptor>();
  /** Told of each change of a name. */
  onChange: (change: Change, file: string) => void = () => {};
  #nextIno = ROOT_INO + 10;
  readonly #freeInos: number[] = [];
  /** Far above what the process has. */
  #nextFd = 1_000_000;

  constructor(options: FileSystemOptions) {
    this.options = options;
    this.root.links = 1;
  }

  get tickMs(): number {
    return Math.floor(clock.now / TICK_MS) * TICK_MS;
  }

  // --- names ----------------------------------------------------------------------------------------------------

  /** What is at a path; undefined for nothing. Throws for what cannot be gone through. */
  find(file: string, follows: boolean): Inode | undefined {
    return this.#walk(file, follows).inode;
  }

  /** The same; throws when there is nothing. */
  need(file: string, follows: boolean, call: string): Inode {
    const inode = this.find(file, follows);
    if (inode === undefined) throw failure('ENOENT', call, file);
    return inode;
  }

  /** The path without links. Throws when nothing is there. */
  real(file: string): string {
    const { inode, real } = this.#walk(file, true);
    if (inode === undefined) throw failure('ENOENT', 'realpath', file);
    return real;
  }

  #walk(file: string, follows: boolean): { inode: Inode | undefined; real: string } {
    let left = path.resolve(file).split('/').filter(Boolean);
    let at = this.root;
    let real = '';
    for (let links = 0; left.length > 0;) {
      const [name = '', ...rest] = left;
      if (at.kind !== 'directory') throw failure('ENOTDIR', 'stat', file);
      const next = at.entries.get(name);
      if (next === undefined) {
        if (rest.length > 0) return { inode: undefined, real: '' };
        return { inode: undefined, real: `${real}/${name}` };
      }
      if (next.kind === 'link' && (follows || rest.length > 0)) {
        if ((links += 1) > MOST_LINKS) throw failure('ELOOP', 'stat', file);
        const target = path.resolve(real === '' ? '/' : real, next.target);
        left = [...target.split('/').filter(Boolean), ...rest];
        [at, real] = [this.root, ''];
        continue;
      }
      [at, real, left] = [next, `${real}/${name}`, rest];
    }
    return { inode: at, real: real === '' ? '/' : real };
  }

  directory(file: string, call: string): Inode {
    const inode = this.need(file, true, call);
    if (inode.kind !== 'directory') throw failure('ENOTDIR', call, file);
    return inode;
  }

  make(file: string, kind: Kind): Inode {
    const parent = this.directory(path.dirname(file), 'open');
    const inode = new Inode(kind, this.#newIno(), this.tickMs);
    inode.links = 1;
    parent.entries.set(path.basename(file), inode);
    this.onChange('rename', file);
    return inode;
  }

  #newIno(): number {
    return (this.options.usesNumbersAgain ? this.#freeInos.shift() : undefined) ?? (this.#nextIno += 1);
  }

  /** Takes a name away. */
  unlink(file: string): void {
    const parent = this.directory(path.dirname(file), 'unlink');
    const inode = parent.entries.get(path.basename(file));
    if (inode === undefined) throw failure('ENOENT', 'unlink', file);
    parent.entries.delete(path.basename(file));
    inode.links -= 1;
    this.#freeIfGone(inode);
    this.onChange('rename', file);
  }

  rename(from: string, to: string): void {
    const source = this.directory(path.dirname(from), 'rename');
    const inode = source.entries.get(path.basename(from));
    if (inode === undefined) throw failure('ENOENT', 'rename', from);
    const target = this.directory(path.dirname(to), 'rename');
    const before = target.entries.get(path.basename(to));
    if (before === inode) return;
    source.entries.delete(path.basename(from));
    target.entries.set(path.basename(to), inode);
    if (before !== undefined) {
      before.links -= 1;
      this.#freeIfGone(before);
    }
    this.onChange('rename', from);
    this.onChange('rename', to);
  }

  #freeIfGone(inode: Inode): void {
    if (inode.links > 0 || inode.opened > 0) return;
    this.#freeInos.push(inode.ino);
    this.#freeInos.sort((a, b) => a - b);
  }

  // --- open files -----------------------------------------------------------------------------------------------

  open(
    file: string,
    flags: { creates: boolean; truncates: boolean; isNew: boolean; appends: boolean; writes: boolean },
  ): number {
    const own = /^\/proc\/self\/fd\/(\d+)$/.exec(file)?.[1];
    if (own !== undefined) return this.#descriptor(this.descriptor(Number(own)).inode, file, false);
    const { inode: found, real } = this.#walk(file, true);
    if (found !== undefined && flags.isNew) throw failure('EEXIST', 'open', file);
    if (found === undefined && (!flags.creates || real === '')) throw failure('ENOENT', 'open', file);
    const inode = found ?? this.make(real, 'file');
    if (inode.kind === 'directory' && flags.writes) throw failure('EISDIR', 'open', file);
    if (flags.truncates && inode.size > 0) this.truncate(inode, 0, file);
    return this.#descriptor(inode, real === '' ? file : real, flags.appends);
  }

  #descriptor(inode: Inode, name: string, appends: boolean): number {
    const fd = (this.#nextFd += 1);
    inode.opened += 1;
    this.descriptors.set(fd, { inode, name, life: clock.life, appends });
    return fd;
  }

  /** Throws `EBADF` for one that is not open. */
  descriptor(fd: number): Descriptor {
    const is = this.descriptors.get(fd);
    if (is === undefined) throw failure('EBADF', 'read', String(fd));
    return is;
  }

  close(fd: number): void {
    const { inode } = this.descriptor(fd);
    this.descriptors.delete(fd);
    inode.opened -= 1;
    this.#freeIfGone(inode);
  }

  /** What was held by somebody who was killed. */
  closeAllOf(life: Life): void {
    for (const [fd, each] of [...this.descriptors]) if (each.life === life) this.close(fd);
  }

  /** The name that an open file has now, as /proc tells it. */
  nameOf(fd: number): string {
    const { inode, name } = this.descriptor(fd);
    return this.#nameOf(inode, this.root, '') ?? `${name} (deleted)`;
  }

  #nameOf(wanted: Inode, directory: Inode, at: string): string | undefined {
    for (const [name, inode] of directory.entries) {
      if (inode === wanted) return `${at}/${name}`;
      const below = inode.kind === 'directory' ? this.#nameOf(wanted, inode, `${at}/${name}`) : undefined;
      if (below !== undefined) return below;
    }
    return undefined;
  }

  read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
    const { inode } = this.descriptor(fd);
    const bytes = inode.bytes.subarray(position, position + length);
    buffer.set(bytes, offset);
    return bytes.length;
  }

  write(fd: number, data: Uint8Array, position?: number): number {
    const { inode, name, appends } = this.descriptor(fd);
    inode.write(data, appends || position === undefined ? inode.size : position);
    this.touched(inode, name);
    return data.length;
  }

  truncate(inode: Inode, size: number, file: string): void {
    inode.truncate(size);
    this.touched(inode, file);
  }

  touched(inode: Inode, file: string): void {
    inode.changedMs = this.tickMs;
    this.onChange('change', file);
  }

  // --- what is told of a file -----------------------------------------------------------------------------------

  stats(inode: Inode): Stats {
    const { hasBirths } = this.options;
    return new Stats(inode, hasBirths ? inode.birthMs : 0);
  }

  /** All paths below a directory, not through links. */
  below(directory: string): string[] {
    const inode = this.find(directory, true);
    if (inode?.kind !== 'directory') return [];
    return [...inode.entries].flatMap(([name, each]) => {
      const file = path.join(directory, name);
      return each.kind === 'directory' ? [file, ...this.below(file)] : [file];
    });
  }
}

/** As node:fs tells it, with `bigint`. */
export class Stats {
  readonly ino: bigint;
  readonly dev = 77n;
  readonly size: bigint;
  readonly nlink: bigint;
  readonly mtimeNs: bigint;
  readonly mtimeMs: bigint;
  readonly birthtimeNs: bigint;
  readonly #kind: Kind;

  constructor({ ino, size, links, changedMs, kind }: Inode, birthMs: number) {
    this.ino = BigInt(ino);
    this.size = BigInt(size);
    this.nlink = BigInt(links);
    this.mtimeMs = BigInt(changedMs);
    this.mtimeNs = BigInt(changedMs) * NANOS;
    this.birthtimeNs = BigInt(birthMs) * NANOS;
    this.#kind = kind;
  }

  isFile(): boolean {
    return this.#kind === 'file';
  }

  isDirectory(): boolean {
    return this.#kind === 'directory';
  }

  isSymbolicLink(): boolean {
    return this.#kind === 'link';
  }

  isFIFO(): boolean {
    return false;
  }

  isSocket(): boolean {
    return false;
  }

  /** The same without `bigint`. */
  get plain(): object {
    const { ino, dev, size, nlink, mtimeMs } = this;
    const [kind] = [this.#kind];
    return {
      ...{
        ino: Number(ino),
        dev: Number(dev),
        size: Number(size),
        nlink: Number(nlink),
        mtimeMs: Number(mtimeMs),
      },
      ...{ isFile: () => kind === 'file', isDirectory: () => kind === 'directory' },
      isSymbolicLink: () => kind === 'link',
    };
  }
}

export function failure(code: string, call: string, file: string): Error {
  return Object.assign(new Error(`${code}: ${call} '${file}'`), { code, syscall: call, path: file });
}

let current: FileSystem | undefined;

/** The one of the history that is played. */
export function fileSystem(): FileSystem {
  if (current === undefined) throw new Error('BUG: no file system');
  return current;
}

export function mount(next: FileSystem): void {
  current = next;
}
