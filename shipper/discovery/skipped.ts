// What is not shipped though a glob names it: said once for each path and cause, and again when it was well meanwhile.

import type { Logger } from '../../common/runtime/log.ts';
import type { Sight } from '../files/discover.ts';

export class Skipped {
  readonly #log: Logger;
  readonly #said = new Map<string, string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param about the path that it is about, or whatever it is said once for */
  say(about: string, text: string, level: 'info' | 'warn' = 'warn'): void {
    if (this.#said.get(about) === text) return;
    this.#said.set(about, text);
    this.#log[level]({ path: about }, text.replaceAll('\n', ' '));
  }

  /** There is nothing to be said about it any more. */
  clear(about: string): void {
    this.#said.delete(about);
  }

  /** Says what cannot be shipped of what is at a path that was named, or once for all that a wildcard matched. */
  sight(file: string, sight: Sight, wildcard: string | undefined): void {
    if (sight.kind === 'file' || sight.kind === 'nothing') this.clear(file);
    else if (sight.kind === 'other') this.say(file, `skipping ${file}: it is ${sight.what}: ${sight.hint}`);
    else if (sight.kind === 'unnameable')
      this.say(file, `cannot ship ${file}: its name is not valid UTF-8: rename it`);
    else if (wildcard === undefined)
      this.say(file, `skipping ${file}: it is a directory: name the files in it, like '${file}/*.log'`);
    else if (!wildcard.includes('**'))
      this.say(
        wildcard,
        `${wildcard} matches directories too, ${file} for one: only files are shipped`,
        'info',
      );
  }
}
