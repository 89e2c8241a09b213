// Where histories happen: on file systems that tell different things about a file.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Mounts, whyNot } from '../../integration/tailing/mounts.ts';
import type { Style } from './plan.ts';

export const FILE_SYSTEMS = ['temp', 'ext4-128', 'tmpfs', 'overlay'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** Where the files of a host are. */
export interface Place {
  readonly directory: string;
  readonly hasBirths: boolean;
}

const DISK_BYTES = 1024 * 1024 * 1024;
/** So many lines lie in the lower layer, in a file of which the shipper has read before its writer opens it. */
const LOWER_LINES = 20;

/** Why this one cannot be had here. */
export function whyNoneOf(name: FileSystem): string | undefined {
  return name === 'temp' ? undefined : whyNot();
}

/** Whether it tells when a file was born. */
export function hasBirths(name: string): boolean {
  return name !== 'ext4-128';
}

/** The places of the hosts of one world. */
export class Places {
  readonly #root: string;
  readonly #mounts = new Mounts();
  readonly #mounted = new Set<string>();

  /** @param root a directory of the world */
  constructor(root: string) {
    this.#root = root;
  }

  of(name: string, host: string, styles: readonly Style[]): Place {
    const disk = path.join(this.#root, `disk-${name}`);
    const directory = path.join(disk, host);
    if (!this.#mounted.has(name)) {
      this.#mounted.add(name);
      if (name === 'ext4-128') this.#mounts.smallInodes(disk, DISK_BYTES);
      if (name === 'tmpfs') this.#mounts.memory(disk);
    }
    if (name === 'overlay') this.#overlay(directory, styles);
    return { directory, hasBirths: hasBirths(name) };
  }

  #overlay(directory: string, styles: readonly Style[]): void {
    const lower = `${directory}.lower`;
    mkdirSync(lower, { recursive: true });
    for (const style of styles)
      if (style !== 'link')
        writeFileSync(
          path.join(lower, `${style}.log`),
          Array.from(
            { length: LOWER_LINES },
            (_, line) => `${style} of the lower layer, line ${line}\n`,
          ).join(''),
        );
    this.#mounts.overlay(directory, lower);
  }

  end(): void {
    this.#mounts.end();
  }
}
