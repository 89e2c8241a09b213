// Watches directories, and what their symbolic links lead to, by inotify: each write and each name is told on the spot. Finds
// directories below by itself, as deep as it may. Never the truth: see watch.ts.

import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

import { hasSystemCode, systemCode } from '../../common/runtime/errors.ts';
import { lstat, readdir, stat } from '../files/disk.ts';

export interface DirectoriesOptions {
  /** How many levels below the first one are watched too. */
  readonly depth: number;
  /** Whether a device is of a file system that is somewhere else: nothing tells here when it changes there. */
  readonly isRemote: (device: bigint) => boolean;
  readonly onWritten: (file: string) => void;
  /** Something came or went under this name. */
  readonly onNamed: (file: string) => void;
  /** A directory came or went. */
  readonly onChange: (directory: string) => void;
  readonly onError: (error: unknown) => void;
}

export class Directories {
  readonly #options: DirectoriesOptions;
  /** By path; those of links are no directories. */
  readonly #watchers = new Map<string, FSWatcher>();
  #isClosed = false;

  constructor(options: DirectoriesOptions) {
    this.#options = options;
  }

  /** Watches a directory and those below it. One that is not there, or is watched, is left alone. */
  async add(directory: string, level = 0): Promise<void> {
    const { isRemote } = this.#options;
    if (this.#isClosed || this.#watchers.has(directory)) return;
    try {
      const stats = await stat(directory, { bigint: true });
      if (!stats.isDirectory() || isRemote(stats.dev)) return;
      this.#watch(directory, (event, name) => {
        this.#happened(directory, level, event, name);
      });
      for (const entry of await readdir(directory, { withFileTypes: true })) {
        const name = path.join(directory, entry.name);
        if (entry.isSymbolicLink()) await this.follow(name);
        else if (entry.isDirectory() && level < this.#options.depth) await this.add(name, level + 1);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /** It went, or is another one, and so is all below it. */
  remove(name: string): void {
    for (const [watched, watcher] of this.#watchers) {
      if (watched !== name && !watched.startsWith(`${name}/`)) continue;
      watcher.close();
      this.#watchers.delete(watched);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(name: string, told: (event: string, file: string | null) => void): void {
    if (this.#isClosed || this.#watchers.has(name)) return;
    const watcher = watch(name, told);
    watcher.on('error', (error) => {
      this.remove(name);
      this.#failed(error);
    });
    this.#watchers.set(name, watcher);
  }

  #happened(directory: string, level: number, event: string, name: string | null): void {
    if (name === null) return;
    // Not joined: this is called for every write to every file in the directory.
    const file = directory === '/' ? `/${name}` : `${directory}/${name}`;
    if (event === 'change') {
      this.#options.onWritten(file);
      return;
    }
    this.#options.onNamed(file);
    void this.#named(file, level);
    // Told under its own name: it went itself, and another one may have its place.
    if (name !== path.basename(directory)) return;
    this.remove(directory);
    void this.add(directory, level);
  }

  /** What the name is of now. */
  async #named(file: string, level: number): Promise<void> {
    const { depth, onChange } = this.#options;
    try {
      const stats = await lstat(file);
      // Another one may be under the name.
      if (this.#watchers.has(file)) this.remove(file);
      if (stats.isSymbolicLink()) await this.follow(file);
      if (!stats.isDirectory()) return;
      if (level < depth) await this.add(file, level + 1);
      onChange(file);
    } catch (error) {
      this.#failed(error);
      if (!this.#watchers.has(file)) return;
      this.remove(file);
      onChange(file);
    }
  }

  /** A link to a file: what is written there is told here. One that is followed is left alone. */
  async follow(link: string): Promise<void> {
    const { isRemote, onWritten, onNamed } = this.#options;
    try {
      const stats = await stat(link, { bigint: true });
      if (!stats.isFile() || isRemote(stats.dev)) return;
      this.#watch(link, (event) => {
        if (event === 'change') onWritten(link);
        else {
          // What it led to has another name, or went.
          this.remove(link);
          void this.follow(link);
          onNamed(link);
        }
      });
    } catch (error) {
      if (systemCode(error) !== 'ELOOP') this.#failed(error);
    }
  }

  /** What is not there any more is no error. */
  #failed(error: unknown): void {
    if (systemCode(error) === undefined) throw error;
    if (!hasSystemCode(error, ['ENOENT', 'ENOTDIR'])) this.#options.onError(error);
  }
}
