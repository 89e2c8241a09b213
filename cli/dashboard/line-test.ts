// Which lines a viewer's regular expression matches. An expression may take for ever on a line, so it gets a time after
// which it is given up: everybody else waits for it.

import { createContext, Script } from 'node:vm';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';

export interface Search {
  readonly grep: string;
  readonly invert: boolean;
  readonly ignoreCase: boolean;
}

/** For all lines of a batch: some milliseconds are usual. */
const TIMEOUT_MS = 500;

const prepare = new Script('expression = new RegExp(source, flags)');
const test = new Script('lines.map((line) => expression.test(line))');

/**
 * A function that keeps the lines that are wanted. Throws `usage` when it is no expression; the function throws
 * `failed` when it takes too long.
 */
export function lineTest({ grep, invert, ignoreCase }: Search): (lines: readonly string[]) => boolean[] {
  if (grep === '') return (lines) => lines.map(() => !invert);
  const flags = ignoreCase ? 'i' : '';
  try {
    new RegExp(grep, flags);
  } catch (error) {
    const why = messageOf(error).replace(/^Invalid regular expression: /, '');
    throw new LogferryError('usage', `${why} is no JavaScript regular expression`, undefined, {
      cause: error,
    });
  }
  // Its variables, not its code: what a viewer writes is never run.
  const variables: Record<string, unknown> = { source: grep, flags, lines: [], expression: undefined };
  const context = createContext(variables);
  prepare.runInContext(context);
  return (lines) => {
    variables['lines'] = lines;
    try {
      const found: unknown = test.runInContext(context, { timeout: TIMEOUT_MS });
      return Array.isArray(found) ? found.map((one) => (one === true) !== invert) : [];
    } catch (error) {
      if (!isTimeout(error)) throw error;
      throw new LogferryError('failed', 'this expression takes too long', 'write a simpler one');
    } finally {
      variables['lines'] = [];
    }
  };
}

/** The error is made in the context, so it is no Error of ours. */
function isTimeout(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
