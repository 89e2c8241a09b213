// What a tail is asked for, out of the query of its URL. Pure. Comes from a browser, so every part is bounded.

import { LogferryError } from '../../common/runtime/errors.ts';
import { type Selection, selectionOf } from '../../common/fleet/selection.ts';
import { lineTest } from './line-test.ts';

export interface TailQuery {
  readonly selection: Selection;
  /** Which of these lines are wanted; undefined for all. Throws `failed` when it takes too long. */
  readonly test: ((lines: readonly string[]) => boolean[]) | undefined;
}

const MOST_GLOBS = 20;
const MOST_TEXT = 500;

/** `host`, `path` (each several times), `grep`, `invert`, `ignore-case`. Throws `usage`. */
export function readTailQuery(query: URLSearchParams): TailQuery {
  const hosts = readGlobs(query, 'host');
  const paths = readGlobs(query, 'path');
  const grep = query.get('grep') ?? '';
  if (grep.length > MOST_TEXT)
    throw new LogferryError('usage', `grep has ${grep.length} characters, expected at most ${MOST_TEXT}`);
  const search = { grep, invert: isOn(query, 'invert'), ignoreCase: isOn(query, 'ignore-case') };
  return { selection: selectionOf(hosts, paths, []), test: grep === '' ? undefined : lineTest(search) };
}

function readGlobs(query: URLSearchParams, name: string): string[] {
  const globs = query.getAll(name).filter((glob) => glob !== '');
  if (globs.length > MOST_GLOBS || globs.some((glob) => glob.length > MOST_TEXT))
    throw new LogferryError(
      'usage',
      `${name} is given ${globs.length} times, expected at most ${MOST_GLOBS} of at most ${MOST_TEXT} characters`,
    );
  return globs;
}

/** `?invert`, `?invert=1` and `?invert=true` are on. */
function isOn(query: URLSearchParams, name: string): boolean {
  return ['', '1', 'true'].includes(query.get(name) ?? 'off');
}
